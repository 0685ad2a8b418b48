"""Preprocessing: against torchaudio, torchvision and written formulas."""

import numpy as np
import pytest
import torch
from torchaudio.transforms import MelSpectrogram
from torchvision.transforms._presets import VideoClassification

from mmsa_lib.backbones import MINILM, load_tokenizer, video_spec
from mmsa_lib.preprocess import MelSpec, log_mel, prepare_frames, standardise, tokenize

SPEC = MelSpec()


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 400, 16_000, 16_001])
def test_mel_frame_count_is_torchaudios(samples):
    mel = log_mel(np.random.default_rng(0).standard_normal(samples).astype(np.float32))
    assert mel.shape == (64, 1 + samples // SPEC.hop_length)
    if samples > 200:  # torchaudio's reflection needs that many
        reference = MelSpectrogram(16_000, 400, hop_length=160, n_mels=64)(torch.randn(samples))
        assert mel.shape == reference.shape
    assert torch.isfinite(mel).all()


def test_mel_power_is_torchaudios():
    waveform = torch.randn(8_000)
    reference = MelSpectrogram(16_000, 400, hop_length=160, n_mels=64, pad_mode="constant")(waveform)
    torch.testing.assert_close(log_mel(waveform, MelSpec(log=False)), reference)


def test_a_higher_tone_lies_in_a_higher_band():
    t = np.arange(16_000) / 16_000
    bands = [int(log_mel(np.sin(2 * np.pi * f * t), MelSpec(log=False)).sum(dim=1).argmax()) for f in (200, 1000, 4000)]
    assert bands == sorted(set(bands))


def test_level_does_not_matter_and_silence_is_flat():
    waveform = torch.randn(16_000) * 0.3
    torch.testing.assert_close(log_mel(waveform), log_mel(waveform * 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(log_mel(torch.zeros(3_200)), torch.zeros(64, 21), atol=1e-6, rtol=0)


def test_frames_are_prepared_as_torchvision_prepares_them():
    spec = video_spec("r3d_18")
    frames = np.random.default_rng(0).integers(0, 256, (4, *spec.resize, 3), dtype=np.uint8)
    reference = VideoClassification(crop_size=spec.crop, resize_size=spec.resize)(
        torch.from_numpy(frames).permute(0, 3, 1, 2)
    )
    torch.testing.assert_close(standardise(prepare_frames(frames, spec), spec), reference, atol=1e-4, rtol=0)


def test_standardise_keeps_batches_apart():
    spec = video_spec("r3d_mini")
    frames = torch.randint(0, 256, (2, 3, 8, 64, 64), dtype=torch.uint8)
    assert torch.equal(standardise(frames, spec)[1], standardise(frames[1], spec))


def test_tokens_are_cut_but_never_padded():
    tokenizer = load_tokenizer(MINILM)
    assert tokenize("Hello there", tokenizer).tolist()[0] == tokenizer.cls_token_id
    assert len(tokenize("", tokenizer)) == 2
    assert len(tokenize("word " * 500, tokenizer)) == 128


def test_tokens_are_cut_where_the_tokenizers_own_network_ends(monkeypatch):
    tokenizer = load_tokenizer(MINILM)
    monkeypatch.setattr(tokenizer, "model_max_length", 64)
    assert len(tokenize("word " * 500, tokenizer)) == 64
    assert len(tokenize("word " * 500, tokenizer, max_tokens=32)) == 32
