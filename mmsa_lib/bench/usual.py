"""The usual way: what public code for MELD commonly does with a clip, a text and an epoch, here done correctly.

OpenCV reads the pictures of a clip one after another, all of them, and each is resized; an `ffmpeg` process writes
the sound as a 16 kHz mono WAV file, which is read back; texts are padded to 128 tokens; frozen backbones run again in
every epoch; labels are found by loading items. Much of that code looks at the first 30 pictures only, a quarter of
a median clip: here the frames are those the library takes, over the whole clip, so that both ways give the same.
"""

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader

from mmsa_lib.dataset import Item, MELDDataset, collate
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS
from mmsa_lib.media import SAMPLE_RATE, spread_indices
from mmsa_lib.preprocess import MAX_TOKENS, log_mel, prepare_frames


def require_tools() -> None:
    """DataError if OpenCV or `ffmpeg` is missing."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise DataError("the usual way reads frames with OpenCV; pip install 'mmsa-lib[course]'") from error
    if shutil.which("ffmpeg") is None:
        raise DataError("the usual way reads sound with the program ffmpeg, which is not installed here")


def read_frames(path: str | Path, count: int, size: tuple[int, int]) -> np.ndarray:
    """(count, H, W, 3) uint8 RGB: every picture is decoded, converted to BGR and resized, then `count` are picked."""
    import cv2

    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        found, image = capture.read()
        if not found:
            break
        frames.append(cv2.cvtColor(cv2.resize(image, size[::-1]), cv2.COLOR_BGR2RGB))
    capture.release()
    return np.stack([frames[i] for i in spread_indices(len(frames), count)])


def read_wanted_frames(path: str | Path, count: int, size: tuple[int, int]) -> np.ndarray:
    """As `read_frames`, as quick as OpenCV can: pictures nobody wants are decoded but not converted."""
    import cv2

    capture, frames = cv2.VideoCapture(str(path)), {}
    wanted = spread_indices(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), count)
    for index in range(max(wanted) + 1):
        if not capture.grab():
            break
        if index in wanted:
            frames[index] = cv2.cvtColor(cv2.resize(capture.retrieve()[1], size[::-1]), cv2.COLOR_BGR2RGB)
    capture.release()
    return np.stack([frames[i] for i in wanted])


def read_sound(path: str | Path) -> np.ndarray:
    """(S,) float32 mono at 16 kHz, by way of a WAV file that an `ffmpeg` process writes."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "sound.wav"
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", str(path), "-vn"]
        subprocess.run([*command, "-acodec", "pcm_s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", str(wav)], check=True)
        with wave.open(str(wav)) as file:
            samples = file.readframes(file.getnframes())
    return np.frombuffer(samples, np.int16).astype(np.float32) / 32768


class UsualDataset(MELDDataset):
    """The same items from the same rows, made the usual way."""

    read_frames = staticmethod(read_frames)

    def media(self, index: int) -> tuple[Tensor, Tensor]:
        """uint8 frames (3, T, h, w) and log-mel (64, T)."""
        clip, spec = self.table["clip"].iat[index], self.video
        frames = prepare_frames(self.read_frames(clip, spec.num_frames, spec.resize), spec)
        return frames, log_mel(read_sound(clip), self.mel)

    def tokens(self, index: int) -> Tensor:
        """Token ids (128,), padded."""
        ids = super().tokens(index)
        return pad(ids, (0, MAX_TOKENS - len(ids)), value=self.pad_token_id)


def collate_padded(items: Sequence[Item], pad_token_id: int = 0) -> dict[str, Any]:
    """As `mmsa_lib.dataset.collate`, of texts that are padded already."""
    batch = collate(items, pad_token_id)
    batch["text_inputs"]["attention_mask"] = (batch["text_inputs"]["input_ids"] != pad_token_id).long()
    return batch


def make_loader(dataset: UsualDataset, batch_size: int) -> DataLoader:
    """Shuffled batches, made in this process, as a `DataLoader` does unless it is told otherwise."""
    return DataLoader(
        dataset, batch_size, shuffle=True, collate_fn=partial(collate_padded, pad_token_id=dataset.pad_token_id)
    )


def class_weights(dataset: UsualDataset) -> Tensor:
    """(7,) inverse frequencies that sum to 7; every item is loaded to see its label."""
    labels = torch.tensor([dataset[i]["emotion_label"] for i in range(len(dataset))])
    inverse = 1 / torch.bincount(labels, minlength=len(EMOTIONS)).clamp(min=1)
    return inverse * len(EMOTIONS) / inverse.sum()


@torch.inference_mode()
def text_vectors(encoder, tokens: Sequence[Tensor], pad_token_id: int, batch_size: int = 64) -> Tensor:
    """(N, hidden) pooled features of texts in the order given, each padded to 128 tokens."""
    ids = torch.stack([pad(t, (0, MAX_TOKENS - len(t)), value=pad_token_id) for t in tokens])
    mask = torch.stack([pad(torch.ones_like(t), (0, MAX_TOKENS - len(t))) for t in tokens])
    batches = zip(ids.split(batch_size), mask.split(batch_size), strict=True)
    return torch.cat([encoder.features({"input_ids": i, "attention_mask": m}) for i, m in batches])
