"""A reading made of random logits: a run that was asked about every set of modalities, without any run."""

import numpy as np
import pandas as pd
from worlds import SENTIMENT

from mmsa_lib.attribution import subsets
from mmsa_lib.evaluation import Reading
from mmsa_lib.labels import EMOTION_INDEX, EMOTIONS, MODALITIES, SENTIMENT_INDEX, SENTIMENTS

SIZES = {"emotions": 7, "sentiments": 3}


def labels(n: int, seed: int) -> dict[str, np.ndarray]:
    emotions = np.random.default_rng(seed).choice(7, n, p=[0.1, 0.05, 0.05, 0.2, 0.4, 0.1, 0.1])
    sentiments = np.array([SENTIMENT_INDEX[SENTIMENT[EMOTIONS[e]]] for e in emotions])
    return {"emotion": emotions, "sentiment": sentiments}


def logits(truth: dict[str, np.ndarray], hint: float, seed: int) -> dict[str, np.ndarray]:
    """Noise plus a hint at the truth."""
    rng = np.random.default_rng(seed)
    heads = zip(SIZES.items(), truth.values(), strict=True)
    return {head: rng.normal(size=(len(y), k)) + hint * np.eye(k)[y] for (head, k), y in heads}


def table(truth: dict[str, np.ndarray], split: str = "test") -> pd.DataFrame:
    n = len(truth["emotion"])
    return pd.DataFrame(
        {
            "split": split,
            "dialogue_id": np.arange(n) // 5,
            "utterance_id": np.arange(n) % 5,
            "speaker": np.array(["Ann", "Bob", "Cleo"])[np.arange(n) % 3],
            "text": [f"<b>line {i}</b> & more" for i in range(n)],
            "emotion": [EMOTIONS[e] for e in truth["emotion"]],
            "sentiment": [SENTIMENTS[s] for s in truth["sentiment"]],
            "start": 0.0,
            "end": 1.0 + np.arange(n) % 8,
            "clip": None,
        }
    )


def reading(n: int = 60, seed: int = 0, modalities=MODALITIES, dev: bool = True, train: bool = True) -> Reading:
    """Every further modality hints a little more; only the noise depends on `seed`."""
    truth = labels(n, 0)
    said = {s: logits(truth, 0.6 * len(s), 100 * seed + i) for i, s in enumerate(subsets(modalities))}
    own = Reading(f"run{seed}", "test", table(truth), truth, said)
    if dev:
        own.dev_labels = labels(40, 1)
        own.dev_logits = {k: 3 * z for k, z in logits(own.dev_labels, 1.2, seed + 7).items()}
    if train:
        own.train_labels = labels(200, 2)
    return own


def cues(truth: dict[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """What made data tell: half of the cues are clear."""
    rng = np.random.default_rng(seed)
    columns = {}
    for m in MODALITIES:
        clear = rng.random(len(truth["emotion"])) < 0.5
        other = rng.choice(sorted(EMOTION_INDEX), len(clear))
        columns[f"{m}_cue"] = np.where(clear, "clear", "misleads")
        columns[f"{m}_shows"] = np.where(clear, np.array(EMOTIONS)[truth["emotion"]], other)
    return pd.DataFrame(columns)
