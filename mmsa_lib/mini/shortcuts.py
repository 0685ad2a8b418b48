"""Whether the emotion can be guessed without understanding anything: from length, file size, brightness, colour, words.

A data set with such a shortcut would reward a model for not looking. `python -m mmsa_lib.mini shortcuts` trains two
classifiers on nothing else and sets them beside the commonest class.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mmsa_lib.media import read_clip
from mmsa_lib.meld import load_split

FEATURES = ("seconds", "bytes", "brightness", "red", "green", "blue", "words")


def shallow_features(table: pd.DataFrame) -> np.ndarray:
    """What needs no understanding of each row's clip and text: (N, 7) in the order of `FEATURES`."""
    rows = []
    for clip, text in zip(tqdm(table["clip"], desc="clips", unit="clip"), table["text"], strict=True):
        read = read_clip(clip, num_frames=8, audio=False)
        colour = read.frames.reshape(-1, 3).mean(axis=0)
        rows.append([read.duration, Path(clip).stat().st_size, colour.mean(), *colour, len(text.split())])
    return np.array(rows, dtype=float)


def classifiers() -> dict[str, ClassifierMixin]:
    """The commonest class, and two that would find a shortcut if there was one."""
    return {
        "commonest class": DummyClassifier(),
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "random forest": RandomForestClassifier(500, min_samples_leaf=5, random_state=0),
    }


def measure(data: Path) -> pd.DataFrame:
    """Accuracy and weighted F1 on the test split of each classifier, trained on the training split."""
    tables = {split: load_split(data, split) for split in ("train", "test")}
    seen = {split: shallow_features(table) for split, table in tables.items()}
    truth = tables["test"]["emotion"]
    rows = []
    for name, classifier in classifiers().items():
        guess = classifier.fit(seen["train"], tables["train"]["emotion"]).predict(seen["test"])
        weighted_f1 = f1_score(truth, guess, average="weighted")
        rows.append({"classifier": name, "accuracy": accuracy_score(truth, guess), "weighted_f1": weighted_f1})
    return pd.DataFrame(rows)
