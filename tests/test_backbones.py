"""Loading backbones: the real code of both presets, without a hub."""

import json
import math

import pytest
import torch
from torchvision.models.video import R3D_18_Weights, r3d_18
from transformers import BertConfig, BertModel, BertTokenizerFast, CLIPConfig, RobertaConfig, T5Config, XLNetConfig

from mmsa_lib import TextEncoder, VideoEncoder
from mmsa_lib import backbones as module
from mmsa_lib.backbones import (
    MINILM,
    build_r3d_mini,
    fingerprint,
    load_text_backbone,
    load_tokenizer,
    load_video_backbone,
    most_tokens,
    video_spec,
)
from mmsa_lib.errors import BackboneError


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    """A folder as `bert-base-uncased` unpacks to: its shape (12 layers, 768 wide), random weights."""
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "there"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(words))).save_pretrained(folder)
    return folder


def test_a_bert_base_from_a_folder(bert_folder):
    encoder = TextEncoder(str(bert_folder), pooling="pooler")
    assert encoder.width == 768 and len(encoder.backbone.encoder.layer) == 12
    ids = load_tokenizer(str(bert_folder))("hello there", return_tensors="pt")
    out = encoder({"input_ids": ids["input_ids"], "attention_mask": ids["attention_mask"]})
    assert out.shape == (1, 128)
    reference = BertModel.from_pretrained(bert_folder).eval()
    assert fingerprint(encoder.backbone) == fingerprint(reference)


def test_random_text_weights_keep_the_shape_only(bert_folder):
    assert fingerprint(load_text_backbone(str(bert_folder), pretrained=False)) != fingerprint(
        load_text_backbone(str(bert_folder))
    )


def test_minilm_comes_from_its_package():
    model = load_text_backbone(MINILM)
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (384, 6)


def test_a_tampered_package_is_refused(monkeypatch):
    module._packaged_minilm.cache_clear()
    monkeypatch.setattr(module, "MINILM_SHA256", "0" * 64)
    with pytest.raises(BackboneError, match="SHA-256"):
        load_text_backbone(MINILM)
    module._packaged_minilm.cache_clear()


def test_text_weights_that_cannot_be_had_say_what_to_do(tmp_path):
    for name in ("no-such/encoder", str(tmp_path)):
        with pytest.raises(BackboneError, match="folder of a downloaded copy") as caught:
            load_text_backbone(name)
        assert "\n" not in str(caught.value)


class TestR3D18:
    @pytest.fixture
    def torch_home(self, tmp_path, monkeypatch):
        monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
        (tmp_path / "checkpoints").mkdir()
        return tmp_path / "checkpoints"

    def test_from_torchs_own_cache(self, torch_home):
        torch.manual_seed(0)
        reference = r3d_18(weights=None).eval()
        torch.save(reference.state_dict(), torch_home / R3D_18_Weights.DEFAULT.url.rsplit("/", 1)[1])
        encoder = VideoEncoder("r3d_18").eval()
        assert encoder.width == 512
        frames = torch.randn(1, 3, 4, 32, 32)
        reference.fc = torch.nn.Identity()
        torch.testing.assert_close(encoder.features(frames), reference(frames), atol=1e-4, rtol=1e-4)

    def test_weights_that_cannot_be_had_say_what_to_do(self, torch_home, monkeypatch):
        def refuse(*_, **__):
            raise OSError("no network")

        monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
        with pytest.raises(BackboneError, match=r"no network.*r3d_18-.*\.pth"):
            VideoEncoder("r3d_18")

    def test_a_pickle_with_code_is_not_run(self, torch_home):
        class Evil:
            def __reduce__(self):
                return (pytest.fail, ("code from a weights file was run",))

        torch.save({"fc.weight": Evil()}, torch_home / R3D_18_Weights.DEFAULT.url.rsplit("/", 1)[1])
        with pytest.raises(BackboneError, match=r"(?i)weights.only"):
            VideoEncoder("r3d_18")


def test_video_specs_are_torchvisions():
    transforms = R3D_18_Weights.DEFAULT.transforms()
    spec = video_spec("r3d_18")
    assert (spec.crop, spec.resize) == (tuple(transforms.crop_size), tuple(transforms.resize_size))
    assert (spec.mean, spec.std, spec.num_frames) == (tuple(transforms.mean), tuple(transforms.std), 16)


def test_unknown_names_are_listed_against_the_known():
    with pytest.raises(BackboneError, match=r"'r4d'.*r3d_18"):
        video_spec("r4d")


def test_r3d_mini_is_r3d_18_at_a_quarter_of_the_width():
    mini, full = build_r3d_mini(), r3d_18(weights=None)
    full.fc = torch.nn.Identity()
    small = [tuple(p.shape) for p in mini.parameters()]
    large = [tuple(p.shape) for p in full.parameters()]
    assert len(small) == len(large)
    for ours, theirs in zip(small, large, strict=True):
        assert ours[0] * 4 == theirs[0] and ours[2:] == theirs[2:]
    assert mini(torch.randn(2, 3, 8, 64, 64)).shape == (2, 128)


def test_missing_r3d_mini_weights_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "R3D_MINI_WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(BackboneError, match="pretrain"):
        load_video_backbone("r3d_mini")


def test_other_torchvision_video_models_lose_their_classifier():
    model, width = load_video_backbone("mvit_v1_b", pretrained=False)
    assert width == 768 and not any(isinstance(m, torch.nn.Linear) and m.out_features == 400 for m in model.modules())
    with pytest.raises(BackboneError, match="linear"):
        load_video_backbone("s3d", pretrained=False)


def test_a_fingerprint_tells_any_change():
    model = build_r3d_mini()
    before = fingerprint(model)
    assert fingerprint(model) == before
    with torch.no_grad():
        model.stem[0].weight[0, 0, 0, 0, 0] += 1e-6
    assert fingerprint(model) != before
    assert json.dumps(before)  # goes into config.json


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_text_weights_kept_in_half_precision(tmp_path, precision):
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertModel(config).to(precision).save_pretrained(tmp_path)
    encoder = TextEncoder(str(tmp_path), frozen=False)
    assert fingerprint(encoder.backbone)
    encoder({"input_ids": torch.ones(1, 3, dtype=torch.long), "attention_mask": torch.ones(1, 3)}).sum().backward()
    assert fingerprint(TextEncoder(str(tmp_path), pretrained=False).backbone)


def test_a_mistyped_video_backbone_is_answered_with_the_names():
    with pytest.raises(BackboneError, match=r"'r3d18'; known: r3d_mini, .*r3d_18"):
        load_video_backbone("r3d18", pretrained=False)


def test_a_text_backbone_without_a_width_is_refused(tmp_path):
    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match="is no encoder of text: its configuration names no hidden_size"):
        load_text_backbone(str(tmp_path), pretrained=False)


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (BertConfig(), 512),
        (RobertaConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (T5Config(), math.inf),
        (XLNetConfig(), math.inf),
    ],
)
def test_how_much_a_text_backbone_reads_at_once(config, most):
    assert most_tokens(config) == most
