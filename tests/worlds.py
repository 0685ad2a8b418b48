"""Tiny data sets in MELD's layout, and batches of random features, for tests of training and testing."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mmsa_lib.dataset import MELDDataset
from mmsa_lib.features import Features
from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.media import write_clip

WORDS = {
    "anger": "I am furious with you, stop it",
    "disgust": "that is revolting, take it away",
    "fear": "I am so scared, please stay",
    "joy": "this is wonderful, I am so happy",
    "neutral": "the train leaves at nine",
    "sadness": "I miss her, everything is lost",
    "surprise": "what, really, I had no idea",
}
SENTIMENT = dict(zip(EMOTIONS, ("negative",) * 3 + ("positive", "neutral", "negative", "positive"), strict=True))
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}


def write_world(root: Path, sizes: dict[str, int] | None = None, clips: bool = True, seed: int = 0) -> Path:
    """A data set whose pitch, brightness and words all follow the emotion; small clips of 0.3-0.6 s."""
    rng = np.random.default_rng(seed)
    for split, size in (sizes or {"train": 14, "dev": 7, "test": 7}).items():
        rows = []
        for i in range(size):
            emotion = EMOTIONS[i % len(EMOTIONS)]
            rows.append([i + 1, f"{WORDS[emotion]} {i}", "Ann", emotion, SENTIMENT[emotion], i // 4, i % 4])
            if clips:
                write_tiny_clip(root / FOLDERS[split] / f"dia{i // 4}_utt{i % 4}.mp4", EMOTIONS.index(emotion), rng)
        names = ["Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"]
        root.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=names).to_csv(root / f"{split}_sent_emo.csv", index=False)
    return root


def write_tiny_clip(path: Path, label: int, rng: np.random.Generator) -> None:
    seconds = rng.uniform(0.3, 0.6)
    frames = rng.integers(0, 60, (round(seconds * 12), 64, 64, 3)) + 28 * label
    t = np.arange(round(seconds * 16_000)) / 16_000
    waveform = 0.4 * np.sin(2 * np.pi * (200 + 250 * label) * t) + 0.02 * rng.standard_normal(t.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, frames.astype(np.uint8), 12, waveform.astype(np.float32), preset="ultrafast")


def feature_dataset(size: int, seed: int = 0, modalities=("text", "video", "audio")) -> MELDDataset:
    """A data set that lies in memory: random features that hint at random labels."""
    rng = np.random.default_rng(seed)
    emotions = rng.choice(len(EMOTIONS), size, p=[0.1, 0.05, 0.05, 0.2, 0.4, 0.1, 0.1])
    table = pd.DataFrame(
        {
            "split": "train",
            "text": [f"utterance {i}" for i in range(size)],
            "emotion": [EMOTIONS[e] for e in emotions],
            "sentiment": [SENTIMENT[EMOTIONS[e]] for e in emotions],
        }
    )
    assert set(table["sentiment"]) <= set(SENTIMENTS)
    generator = torch.Generator().manual_seed(seed)

    def vectors(width: int) -> list[torch.Tensor]:
        rows = torch.randn(size, width, generator=generator)
        rows[:, :7] += 2 * torch.nn.functional.one_hot(torch.tensor(emotions), 7)
        return list(rows)

    rows = {"text": vectors(384), "video": vectors(128)}
    rows["audio"] = [torch.randn(64, int(n), generator=generator) for n in rng.integers(5, 40, size)]
    dataset = MELDDataset(table, modalities=modalities)
    dataset.features = Features({m: rows[m] for m in modalities})
    return dataset


def tokens(lengths, size=None, seed=0):
    """Token ids and mask of texts of the given lengths, padded to the longest or to `size`."""
    size = size or max(lengths)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1000, 2000, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    padded = torch.zeros(len(lengths), size, dtype=torch.long)
    padded[:, : ids.shape[1]] = ids
    return {"input_ids": padded * mask, "attention_mask": mask.long()}
