"""Encoders: shapes, frozen parts that stay frozen, padding that changes nothing."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertTokenizerFast
from worlds import tokens

from mmsa_lib import AudioEncoder, TextEncoder, VideoEncoder
from mmsa_lib.backbones import MINILM, load_tokenizer
from mmsa_lib.encoders import AUDIO_CHANNELS, SpecAugment, random_flip
from mmsa_lib.errors import BackboneError
from mmsa_lib.preprocess import standardise, tokenize
from mmsa_lib.presets import PRESETS


@pytest.fixture(scope="module")
def text_encoder():
    return TextEncoder(MINILM)


@pytest.fixture(scope="module")
def video_encoder():
    torch.manual_seed(0)
    return VideoEncoder("r3d_mini", pretrained=False)


class TestText:
    @pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
    def test_padding_never_changes_the_output(self, pooling):
        encoder = TextEncoder(MINILM, pooling).eval()
        alone, padded = encoder(tokens([6])), encoder(tokens([6], size=30))
        assert alone.shape == (1, 128)
        torch.testing.assert_close(alone, padded, atol=1e-5, rtol=1e-4)

    def test_one_that_learns_keeps_its_word_vectors(self):
        encoder = TextEncoder(MINILM, frozen=False)
        fixed = {name for name, p in encoder.named_parameters() if not p.requires_grad}
        assert fixed == {"backbone.embeddings.word_embeddings.weight"}
        scratch = TextEncoder(MINILM, frozen=False, pretrained=False)
        assert all(p.requires_grad for p in scratch.parameters())

    def test_mean_pooling_equals_a_loop_over_unpadded_texts(self, text_encoder):
        batch = tokens([9, 4, 1])
        pooled = text_encoder.features(batch)
        for row, n in enumerate([9, 4, 1]):
            ids = batch["input_ids"][row : row + 1, :n]
            hidden = text_encoder.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            torch.testing.assert_close(pooled[row], hidden[0].mean(dim=0), atol=1e-5, rtol=1e-4)

    def test_features_in_place_of_tokens_give_the_same(self, text_encoder):
        batch = tokens([5, 3])
        assert torch.equal(text_encoder(batch), text_encoder(text_encoder.features(batch)))

    def test_unknown_pooling_is_named(self):
        with pytest.raises(ValueError, match="'max'"):
            TextEncoder(MINILM, "max")


class TestFrozen:
    @pytest.mark.parametrize("name", ["text_encoder", "video_encoder"])
    def test_frozen_backbone_stays_in_eval_mode_without_gradients(self, name, request):
        encoder = request.getfixturevalue(name).train()
        assert encoder.training and encoder.projection.training
        assert not any(m.training for m in encoder.backbone.modules())
        assert not any(p.requires_grad for p in encoder.backbone.parameters())
        assert all(p.requires_grad for p in encoder.projection.parameters())

    def test_training_does_not_move_batch_norm_statistics(self, video_encoder):
        before = {k: v.clone() for k, v in video_encoder.backbone.state_dict().items()}
        video_encoder.train()(torch.randn(2, 3, 8, 32, 32)).sum().backward()
        assert all(torch.equal(v, before[k]) for k, v in video_encoder.backbone.state_dict().items())

    def test_a_backbone_that_is_fine_tuned_learns(self):
        encoder = VideoEncoder("r3d_mini", frozen=False, pretrained=False).train()
        encoder(torch.randint(0, 256, (2, 3, 8, 32, 32), dtype=torch.uint8)).sum().backward()
        assert encoder.backbone.stem[0].weight.grad.abs().sum() > 0
        assert all(m.training for m in encoder.backbone.modules())


class TestFeatureDropout:
    def test_training_hides_a_share_of_the_features_and_testing_none(self):
        torch.manual_seed(0)
        for encoder in (TextEncoder(MINILM, feature_dropout=0.25), VideoEncoder("r3d_mini", feature_dropout=0.25)):
            encoder.projection = nn.Identity()
            features = torch.ones(64, encoder.width)
            seen = encoder.train()(features)
            torch.testing.assert_close(seen.unique(), torch.tensor([0.0, 4 / 3]))  # what is left is scaled up
            assert (seen == 0).float().mean() == pytest.approx(0.25, abs=0.02)
            assert torch.equal(encoder.eval()(features), features)


class TestVideo:
    def test_shape_and_features_in_place_of_frames(self, video_encoder):
        video_encoder.eval()
        frames = torch.randn(2, 3, 8, 64, 64)
        features = video_encoder.features(frames)
        assert features.shape == (2, 128)
        assert torch.equal(video_encoder(frames), video_encoder(features))

    def test_uint8_frames_are_standardised_on_the_way(self, video_encoder):
        video_encoder.eval()
        frames = torch.randint(0, 256, (1, 3, 8, 64, 64), dtype=torch.uint8)
        torch.testing.assert_close(video_encoder(frames), video_encoder(standardise(frames, video_encoder.spec)))

    def test_flip_mirrors_whole_clips(self):
        torch.manual_seed(0)
        frames = torch.arange(2.0).repeat(16, 3, 2, 2, 1)  # every row reads 0, 1
        flipped = random_flip(frames)[:, 0, 0, 0, 0]
        assert 0 < flipped.sum() < 16  # some clips start with 1 now
        assert torch.equal(random_flip(frames).sum(dim=-1), frames.sum(dim=-1))


class TestAudio:
    @pytest.mark.parametrize("training", [False, True])
    def test_padding_never_changes_the_output(self, training):
        encoder = AudioEncoder().train(training)
        mel, lengths = torch.randn(3, 64, 37), torch.tensor([37, 20, 9])
        tight = encoder(mel, lengths)
        wide = torch.cat([mel, torch.full((3, 64, 50), 99.0)], dim=2)
        wide[1, :, 20:], wide[2, :, 9:] = -7.0, 1e4
        torch.testing.assert_close(encoder(wide, lengths), tight, atol=1e-5, rtol=1e-4)

    def test_a_padded_batch_equals_one_clip_after_the_other(self):
        encoder = AudioEncoder().eval()
        lengths = [31, 8, 1]
        batch = torch.randn(3, 64, 31)
        together = encoder(batch, torch.tensor(lengths))
        alone = torch.cat([encoder(batch[i : i + 1, :, :n]) for i, n in enumerate(lengths)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)

    def test_unpadded_it_equals_plain_torch_layers(self):
        encoder = AudioEncoder().eval()
        layers = []
        for block in encoder.blocks:
            norm = nn.BatchNorm1d(block.norm.num_features).eval()
            norm.load_state_dict(block.norm.state_dict())
            layers += [block.conv, norm, nn.ReLU(), nn.MaxPool1d(2)]
        plain = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), encoder.projection)
        mel = torch.randn(2, 64, 48)  # a multiple of 16, where rounding of lengths does not matter
        torch.testing.assert_close(encoder(mel), plain(mel), atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("frames", [1, 2, 3, 15])
    def test_clips_shorter_than_the_receptive_field_train(self, frames):
        out = AudioEncoder(spec_augment=True).train()(torch.randn(1, 64, frames))
        out.sum().backward()
        assert out.shape == (1, 128) and torch.isfinite(out).all()

    def test_the_preset_for_meld_has_the_usual_width(self):
        assert PRESETS["meld"].audio_channels == AUDIO_CHANNELS

    def test_spec_augment_hides_in_training_only(self):
        torch.manual_seed(0)
        mel, lengths = torch.ones(64, 64, 100), torch.full((64,), 100)
        augment = SpecAugment(max_bands=8, max_share=0.1)
        hidden = (augment(mel, lengths) == 0).float()
        bands, frames = hidden[:, :, :].amin(dim=2).sum(dim=1), hidden.amin(dim=1).sum(dim=1)
        assert bands.max() in (7, 8, 9) and frames.max() <= 11 and hidden.sum() > 0
        assert torch.equal(augment.eval()(mel, lengths), mel)


def test_attention_learns_without_dropout_and_the_rest_with_it():
    encoder = TextEncoder(MINILM, frozen=False).train()
    dropouts = {n: m.p for n, m in encoder.backbone.named_modules() if isinstance(m, torch.nn.Dropout)}
    inside = [p for name, p in dropouts.items() if "attention.self" in name]
    assert len(inside) == 6 and set(inside) == {0.0}
    assert {p for name, p in dropouts.items() if "attention.self" not in name} == {0.1}


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "there"]
TURNS = {"input_ids": torch.tensor([[2, 5, 3], [2, 3, 0]]), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}


def tiny_backbone(folder, kind, **settings):
    """A folder as a Hugging Face encoder unpacks to: two narrow layers of random weights, and a tokenizer."""
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    names = {  # of those whose configuration calls them otherwise
        "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
        "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64},
        "t5": {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_kv": 16, "d_ff": 64},
    }
    numbers = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    settings = names.get(kind, size) | (numbers if kind == "modernbert" else {}) | settings
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=len(WORDS), **settings)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return str(folder)


def refusal(folder, *args, **options):
    with pytest.raises(BackboneError) as caught:
        TextEncoder(folder, *args, **options)
    assert str(caught.value).startswith(f"text backbone {folder!r} cannot ") and "\n" not in str(caught.value)
    return str(caught.value)


class TestOtherTextBackbones:
    """What BERT can do many another encoder cannot: one line when it is built, not a traceback when it is read."""

    @pytest.mark.parametrize("kind", ["distilbert", "electra", "deberta-v2", "modernbert", "xlnet"])
    def test_one_without_a_pooler(self, tmp_path, kind):
        folder = tiny_backbone(tmp_path, kind)
        assert "pooling pooler (it has no pooler; mean and cls need none)" in refusal(folder, "pooler")
        assert TextEncoder(folder, "cls")(TURNS).shape == (2, 128)

    @pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
    def test_one_with_a_decoder(self, tmp_path, pooling):
        assert f"be read with pooling {pooling} (" in refusal(tiny_backbone(tmp_path, "t5"), pooling)

    def test_one_for_pictures(self, tmp_path):
        assert "be read with pooling mean (" in refusal(tiny_backbone(tmp_path, "vit"))

    @pytest.mark.parametrize("frozen", [True, False])
    @pytest.mark.parametrize("kind", ["deberta-v2", "xlnet", "fnet", "convbert"])
    def test_one_that_cannot_read_turns_together(self, tmp_path, kind, frozen):
        folder = tiny_backbone(tmp_path, kind)
        assert TextEncoder(folder, frozen=frozen).width == 32
        assert "read the turns of a dialogue together" in refusal(folder, frozen=frozen, past=1)

    @pytest.mark.parametrize("kind", ["fnet", "convbert"])
    def test_one_that_lets_turns_see_what_they_must_not(self, tmp_path, kind):
        assert "(a turn reaches others that must not see it)" in refusal(tiny_backbone(tmp_path, kind), future=2)

    @pytest.mark.parametrize("frozen", [True, False])
    @pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet", "distilbert", "electra", "modernbert"])
    def test_one_that_can(self, tmp_path, kind, frozen):
        encoder = TextEncoder(tiny_backbone(tmp_path, kind), frozen=frozen, past=1)
        assert encoder.training and encoder.backbone.training is not frozen
        assert encoder(TURNS, torch.zeros(2, dtype=torch.long)).shape == (2, 128)

    def test_trying_one_out_draws_no_random_number(self, tmp_path, monkeypatch):
        folder, drawn = tiny_backbone(tmp_path, "bert"), []
        for _ in range(2):
            torch.manual_seed(0)
            TextEncoder(folder, frozen=False, past=1)
            drawn.append(torch.rand(1))
            monkeypatch.setattr(TextEncoder, "_try_out", lambda self, name: None)
        assert torch.equal(*drawn)

    @pytest.mark.parametrize(("kind", "positions", "most"), [("bert", 64, 64), ("roberta", 66, 64), ("mpnet", 66, 64)])
    def test_one_with_few_positions_reads_long_texts(self, tmp_path, kind, positions, most):
        folder = tiny_backbone(tmp_path, kind, max_position_embeddings=positions)
        ids = tokenize("hello there " * 100, load_tokenizer(folder))
        assert len(ids) == most
        turns = ids.repeat(6, 1)
        mask = torch.ones_like(turns)
        TextEncoder(folder)({"input_ids": turns, "attention_mask": mask})
        turns = {"input_ids": turns[:, :13], "attention_mask": mask[:, :13]}  # five are one token too many
        TextEncoder(folder, past=2)(turns, torch.zeros(6, dtype=torch.long))
