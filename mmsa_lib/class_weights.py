"""Weights against class imbalance, from the label column alone. Derived in notebooks/06."""

import warnings
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mmsa_lib.labels import EMOTIONS, SENTIMENTS

SCHEMES = ("inverse", "sqrt", "effective", "none")
EFFECTIVE_BETA = 0.999


class Labelled(Protocol):
    """Anything that can tell its labels without loading its items."""

    emotion_labels: np.ndarray
    sentiment_labels: np.ndarray


def compute_class_weights(dataset: Labelled, scheme: str = "inverse") -> dict[str, Tensor]:
    """One weight a class: `{"emotion": (7,), "sentiment": (3,)}`, float32.

    Args:
        dataset: has integer arrays `emotion_labels` and `sentiment_labels`; no clip is opened.
        scheme: `inverse` frequency, its square root (`sqrt`), the `effective` number of samples
            (Cui et al., 2019, beta .999), or `none`. Each sums to the number of classes.
    """
    return {
        "emotion": class_weights(dataset.emotion_labels, EMOTIONS, scheme),
        "sentiment": class_weights(dataset.sentiment_labels, SENTIMENTS, scheme),
    }


def class_weights(labels: np.ndarray, names: tuple[str, ...], scheme: str = "inverse") -> Tensor:
    """Weights (K,) of one label column; an absent class weighs as one with a single sample, with a warning."""
    if scheme not in SCHEMES:
        raise ValueError(f"class weights must be one of {', '.join(SCHEMES)}, not {scheme!r}")
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(names)).astype(float)
    absent = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if absent:
        warnings.warn(f"no sample of class {', '.join(absent)}; counted as one", stacklevel=3)
    counts = np.maximum(counts, 1)
    weights = {
        "inverse": lambda: 1 / counts,
        "sqrt": lambda: 1 / np.sqrt(counts),
        "effective": lambda: (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**counts),
        "none": lambda: np.ones_like(counts),
    }[scheme]()
    return torch.tensor(weights * len(names) / weights.sum(), dtype=torch.float32)
