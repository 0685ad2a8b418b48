"""The model: shapes, missing modalities, saving and loading."""

import json

import pytest
import torch
from safetensors.torch import load_file
from worlds import tokens

from mmsa_lib import MultimodalSentimentModel
from mmsa_lib.errors import BackboneError, DataError


def build(**options):
    torch.manual_seed(0)
    return MultimodalSentimentModel(random_backbones=["video"], **options)


@pytest.fixture(scope="module")
def model():
    return build().eval()


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    return {
        "text_inputs": tokens([7, 4, 5]),
        "video_frames": torch.randn(3, 3, 8, 64, 64),
        "audio_features": torch.randn(3, 64, 40),
        "audio_lengths": torch.tensor([40, 22, 9]),
    }


def assert_same(a, b, **tolerance):
    for name in ("emotions", "sentiments"):
        torch.testing.assert_close(a[name], b[name], **tolerance)


def test_logits_of_both_tasks(model, inputs):
    logits = model(inputs["text_inputs"], inputs["video_frames"], inputs["audio_features"])
    assert logits["emotions"].shape == (3, 7) and logits["sentiments"].shape == (3, 3)


def test_the_designed_sizes(model):
    assert model.fusion[0].in_features == 384 and model.fusion[0].out_features == 256
    assert [layer.out_features for layer in model.emotion_head if hasattr(layer, "out_features")] == [128, 7]
    assert [layer.out_features for layer in model.sentiment_head if hasattr(layer, "out_features")] == [128, 3]


def test_backbone_features_in_place_of_raw_input_give_the_same_logits(model, inputs):
    kept = {
        **inputs,
        "text_inputs": model.encoders["text"].features(inputs["text_inputs"]),
        "video_frames": model.encoders["video"].features(inputs["video_frames"]),
    }
    assert_same(model(**inputs), model(**kept), atol=0, rtol=0)


def test_what_stands_in_a_masked_place_is_never_read(model, inputs):
    mask = torch.tensor([[True, False, True], [False, True, True], [True, True, False]])
    spoiled = {k: v.clone() if isinstance(v, torch.Tensor) else dict(v) for k, v in inputs.items()}
    spoiled["video_frames"][0] = float("nan")
    spoiled["audio_features"][2] = 1e9
    spoiled["text_inputs"]["input_ids"] = inputs["text_inputs"]["input_ids"].clone()
    spoiled["text_inputs"]["input_ids"][1] = 5
    assert_same(model(**inputs, modality_mask=mask), model(**spoiled, modality_mask=mask))


def test_an_input_that_is_none_is_masked_everywhere(model, inputs):
    mask = torch.tensor([[True, False, True]] * 3)
    without = {**inputs, "video_frames": None}
    assert_same(model(**without), model(**inputs, modality_mask=mask))
    with pytest.raises(ValueError, match="at least one"):
        model()


def test_missing_is_learned_and_differs_from_zeros(inputs):
    model = build().train()
    out = model(**{**inputs, "audio_features": None, "audio_lengths": None})
    out["emotions"].sum().backward()
    assert model.missing["audio"].grad.abs().sum() > 0
    assert model.missing["text"].grad is None or model.missing["text"].grad.abs().sum() == 0


def test_modality_dropout_hides_in_training_only_and_never_everything():
    model = build(modality_dropout=0.9).train()
    given = {m: torch.zeros(400, 1) for m in model.modalities}
    hidden = torch.stack(list(model._present(given, None).values()), dim=1)
    assert hidden.any(dim=1).all()
    assert 0 < hidden.float().mean() < 0.7
    shown = torch.stack(list(model.eval()._present(given, None).values()), dim=1)
    assert shown.all()


@pytest.mark.parametrize("size", [1, 2])
def test_small_batches_train(inputs, size):
    model = build(spec_augment=True, modality_dropout=0.5).train()
    few = {k: v[:size] for k, v in inputs.items() if k != "text_inputs"}
    few["text_inputs"] = {k: v[:size] for k, v in inputs["text_inputs"].items()}
    logits = model(**few)
    (logits["emotions"].sum() + logits["sentiments"].sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("modalities", [["text"], ["audio", "text"], ["video"]])
def test_fewer_modalities_make_a_smaller_fusion(modalities, inputs):
    model = build(modalities=modalities).eval()
    assert model.fusion[0].in_features == 128 * len(modalities)
    assert model(**inputs)["emotions"].shape == (3, 7)
    assert model.modalities == tuple(m for m in ("text", "video", "audio") if m in modalities)


def test_unknown_modality_is_refused():
    with pytest.raises(ValueError, match="smell"):
        build(modalities=["smell"])


class TestSaving:
    def test_round_trip_gives_the_same_logits_and_keeps_frozen_weights_out(self, inputs, tmp_path):
        model = build(modalities=["text", "audio"]).eval()
        model.save_pretrained(tmp_path)
        assert not any("backbone" in name for name in load_file(tmp_path / "model.safetensors"))
        assert (tmp_path / "model.safetensors").stat().st_size < 5_000_000
        assert_same(MultimodalSentimentModel.from_pretrained(tmp_path)(**inputs), model(**inputs), atol=0, rtol=0)

    def test_a_fine_tuned_backbone_is_stored(self, inputs, tmp_path):
        model = build(finetune=["video"]).eval()
        model.save_pretrained(tmp_path)
        loaded = MultimodalSentimentModel.from_pretrained(tmp_path)
        assert_same(loaded(**inputs), model(**inputs), atol=0, rtol=0)
        assert loaded.finetune == ("video",)
        loaded.save_pretrained(tmp_path / "again")
        config = json.loads((tmp_path / "again" / "config.json").read_text())
        assert config["random_backbones"] == ["video"]

    def test_the_width_of_the_audio_network_is_stored(self, inputs, tmp_path):
        model = build(modalities=["audio"], audio_channels=[8, 12, 16, 24]).eval()
        assert [block.conv.out_channels for block in model.encoders["audio"].blocks] == [8, 12, 16, 24]
        model.save_pretrained(tmp_path)
        assert_same(MultimodalSentimentModel.from_pretrained(tmp_path)(**inputs), model(**inputs), atol=0, rtol=0)

    def test_another_frozen_backbone_is_noticed(self, tmp_path):
        build(modalities=["text"]).save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        config["backbone_fingerprints"]["text"] = "0" * 64
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(BackboneError, match="text backbone"):
            MultimodalSentimentModel.from_pretrained(tmp_path)

    def test_an_empty_folder_is_a_clear_error(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(DataError, match=r"model\.safetensors"):
            MultimodalSentimentModel.from_pretrained(tmp_path)

    def test_weights_of_another_shape_of_model_are_refused(self, model):
        with pytest.raises(DataError, match="do not fit"):
            model.load_trained_state(build(modalities=["text"]).trained_state())

    def test_a_frozen_backbone_that_began_with_random_weights_is_stored(self, inputs, tmp_path):
        model = build().eval()
        model.save_pretrained(tmp_path)
        torch.manual_seed(5)  # the same name would now give other weights
        loaded = MultimodalSentimentModel.from_pretrained(tmp_path)
        assert_same(loaded(**inputs), model(**inputs), atol=0, rtol=0)
        assert not any(name.startswith("encoders.video") for name in model.trained_state() if "backbone" in name)
        loaded.save_pretrained(tmp_path / "again")
        again = MultimodalSentimentModel.from_pretrained(tmp_path / "again")
        assert_same(again(**inputs), model(**inputs), atol=0, rtol=0)

    def test_weights_that_were_cut_short_are_a_clear_error(self, tmp_path):
        build(modalities=["text"]).save_pretrained(tmp_path)
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        with pytest.raises(DataError, match=r"model\.safetensors: damaged"):
            MultimodalSentimentModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("training", [False, True])
def test_a_batch_in_which_every_row_lacks_everything(inputs, training):
    """As where the clips of a whole batch are missing: what stands in for them answers."""
    model = build(modality_dropout=0.5).train(training)
    nothing = torch.zeros(3, 3, dtype=torch.bool)
    torch.manual_seed(0)
    alone = model(modality_mask=nothing)
    torch.manual_seed(0)
    assert_same(alone, model(**inputs, modality_mask=nothing))
