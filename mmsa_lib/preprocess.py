"""From what a clip holds to what a network reads: frames, log-mel, token ids. Derived in notebooks 02-04."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from mmsa_lib.backbones import VideoSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_TOKENS = 128
MAX_AUDIO_SECONDS = 60.0  # the longest believable MELD clip lasts 41 s; a few faulty ones run to 305 s


@dataclass(frozen=True)
class MelSpec:
    """A log-mel spectrogram: 25 ms windows every 10 ms, 64 bands between 0 and 8 kHz."""

    sample_rate: int = 16_000
    n_fft: int = 400
    hop_length: int = 160
    n_mels: int = 64
    floor: float = 1e-6  # added before the logarithm: about -60 dB below a full-scale tone
    log: bool = True


@cache
def _mel_transform(spec: MelSpec) -> MelSpectrogram:
    return MelSpectrogram(
        spec.sample_rate, spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels, pad_mode="constant"
    )


def log_mel(waveform: np.ndarray | Tensor, spec: MelSpec = MelSpec()) -> Tensor:
    """Waveform (S,) in [-1, 1] at `spec.sample_rate` -> (64, T) with T = 1 + S // hop_length.

    Each band is centred on its average over the clip and scaled, so that microphone and recording
    level do not matter; `log=False` gives the plain mel power instead.
    """
    power = _mel_transform(spec)(torch.as_tensor(waveform, dtype=torch.float32))
    if not spec.log:
        return power
    mel = torch.log(power + spec.floor)
    return (mel - mel.mean(dim=1, keepdim=True)) / 4.0


def prepare_frames(frames: np.ndarray, spec: VideoSpec) -> Tensor:
    """Decoded RGB frames (T, H, W, 3) uint8, already resized -> centre-cropped (3, T, h, w) uint8."""
    height, width = spec.crop
    # rounded as torchvision's center_crop rounds
    top, left = round((frames.shape[1] - height) / 2), round((frames.shape[2] - width) / 2)
    cropped = frames[:, top : top + height, left : left + width]
    return torch.from_numpy(np.ascontiguousarray(cropped)).permute(3, 0, 1, 2).contiguous()


def standardise(frames: Tensor, spec: VideoSpec) -> Tensor:
    """uint8 (…, 3, T, h, w) -> float32 with the mean and std the backbone was trained with, same device."""
    mean, std = (torch.tensor(v, device=frames.device).view(3, 1, 1, 1) for v in (spec.mean, spec.std))
    return (frames.float() / 255 - mean) / std


def tokenize(text: str, tokenizer: "PreTrainedTokenizerBase", max_tokens: int = MAX_TOKENS) -> Tensor:
    """Text -> token ids (L,), cut at `max_tokens`, or sooner if the tokenizer's own network takes no more.

    Padding is the batch's business, see `collate`.
    """
    longest = min(max_tokens, tokenizer.model_max_length)
    return torch.tensor(tokenizer(text, truncation=True, max_length=longest)["input_ids"])
