"""The stated probabilities of the mini-MELD world: everything random about its emotions and cues.

The world knows eight *feelings*: the seven emotions, with surprise split into a pleasant and an unpleasant
one. Labels are read off the feeling; `cues.csv` and the ceilings are in terms of feelings.
"""

from __future__ import annotations

from functools import cache

import numpy as np

FEELINGS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise+", "surprise-")
NEUTRAL = FEELINGS.index("neutral")
SPLITS = ("train", "dev", "test")
MODALITIES = ("text", "video", "audio")

COUNTS: dict[str, tuple[int, ...]] = {
    # anger, disgust, fear, joy, neutral, sadness, surprise+, surprise-
    "train": (88, 32, 32, 136, 364, 52, 48, 48),
    "dev": (17, 6, 6, 25, 68, 10, 9, 9),
    "test": (28, 12, 12, 43, 118, 17, 15, 15),
}
"""Utterances of each feeling in each split: within two points of MELD's training split per emotion, with
disgust and fear raised so that the test split has twelve of each."""

INERTIA = 0.35
"""Probability that a speaker keeps the feeling of their own last utterance."""
CONTAGION = 0.25
"""Probability that the feeling answers the last utterance of somebody else, by `contagion_table`."""

AFFINITY = np.array(
    [  # how readily one feeling answers another, symmetric; 1 = no more than by chance
        # ang  dis  fea  joy  neu  sad  su+  su-
        [4.0, 2.0, 1.5, 0.2, 0.6, 1.5, 0.4, 2.0],  # anger
        [2.0, 4.0, 1.5, 0.4, 0.8, 0.8, 0.5, 2.0],  # disgust
        [1.5, 1.5, 5.0, 0.3, 0.7, 1.5, 0.5, 2.5],  # fear
        [0.2, 0.4, 0.3, 3.0, 0.7, 0.3, 3.0, 0.5],  # joy
        [0.6, 0.8, 0.7, 0.7, 1.4, 0.8, 0.8, 0.8],  # neutral
        [1.5, 0.8, 1.5, 0.3, 0.8, 4.0, 0.5, 1.5],  # sadness
        [0.4, 0.5, 0.5, 3.0, 0.8, 0.5, 2.5, 0.6],  # surprise+
        [2.0, 2.0, 2.5, 0.5, 0.8, 1.5, 0.6, 2.0],  # surprise-
    ]
)

CUE_TABLE: dict[str, dict[str, tuple[float, float, float, float]]] = {
    # P(clear), P(weak), P(absent), P(misleads); for neutral, "clear" is the neutral look
    "text": {
        "anger": (0.68, 0.08, 0.05, 0.19),
        "disgust": (0.74, 0.08, 0.04, 0.14),
        "fear": (0.74, 0.08, 0.04, 0.14),
        "joy": (0.78, 0.08, 0.04, 0.10),
        "neutral": (0.82, 0.00, 0.00, 0.18),
        "sadness": (0.71, 0.08, 0.05, 0.16),
        "surprise+": (0.73, 0.08, 0.04, 0.15),
        "surprise-": (0.73, 0.08, 0.04, 0.15),
    },
    "video": {
        "anger": (0.57, 0.08, 0.04, 0.31),
        "disgust": (0.62, 0.08, 0.04, 0.26),
        "fear": (0.55, 0.08, 0.04, 0.33),
        "joy": (0.60, 0.08, 0.04, 0.28),
        "neutral": (0.67, 0.00, 0.00, 0.33),
        "sadness": (0.56, 0.08, 0.05, 0.31),
        "surprise+": (0.58, 0.08, 0.04, 0.30),
        "surprise-": (0.58, 0.08, 0.04, 0.30),
    },
    "audio": {
        "anger": (0.64, 0.08, 0.03, 0.25),
        "disgust": (0.54, 0.08, 0.05, 0.33),
        "fear": (0.62, 0.08, 0.03, 0.27),
        "joy": (0.57, 0.08, 0.05, 0.30),
        "neutral": (0.67, 0.00, 0.00, 0.33),
        "sadness": (0.64, 0.08, 0.03, 0.25),
        "surprise+": (0.59, 0.08, 0.04, 0.29),
        "surprise-": (0.59, 0.08, 0.04, 0.29),
    },
}

STRONG_WHEN_MISLEADING = {"emotional": 0.9, "neutral": 0.9}
"""P(a misleading display is a strong one), by whether the true feeling is an emotion or neutral."""

_FACE_AND_VOICE_MISLEAD = [
    # true feeling by row, displayed feeling by column; neutral is never displayed by mistake ("absent" is)
    # ang  dis  fea  joy  neu  sad  su+  su-
    [0.00, 0.40, 0.10, 0.05, 0, 0.20, 0.00, 0.25],  # anger
    [0.45, 0.00, 0.15, 0.05, 0, 0.20, 0.00, 0.15],  # disgust
    [0.10, 0.10, 0.00, 0.00, 0, 0.30, 0.10, 0.40],  # fear
    [0.05, 0.05, 0.05, 0.00, 0, 0.10, 0.65, 0.10],  # joy
    [0.18, 0.10, 0.10, 0.26, 0, 0.20, 0.08, 0.08],  # neutral
    [0.20, 0.20, 0.30, 0.10, 0, 0.00, 0.00, 0.20],  # sadness
    [0.05, 0.05, 0.10, 0.50, 0, 0.00, 0.00, 0.30],  # surprise+
    [0.25, 0.10, 0.35, 0.05, 0, 0.10, 0.15, 0.00],  # surprise-
]
_TEXT_MISLEADS = [
    # as above, but words also mislead by sarcasm: cheerful words meant in anger, disgust or sadness
    # ang  dis  fea  joy  neu  sad  su+  su-
    [0.00, 0.10, 0.05, 0.60, 0, 0.15, 0.00, 0.10],  # anger
    [0.25, 0.00, 0.05, 0.55, 0, 0.10, 0.00, 0.05],  # disgust
    [0.20, 0.10, 0.00, 0.10, 0, 0.25, 0.05, 0.30],  # fear
    [0.15, 0.05, 0.10, 0.00, 0, 0.20, 0.40, 0.10],  # joy
    [0.18, 0.10, 0.10, 0.26, 0, 0.20, 0.08, 0.08],  # neutral
    [0.20, 0.05, 0.15, 0.45, 0, 0.00, 0.00, 0.15],  # sadness
    [0.10, 0.05, 0.10, 0.45, 0, 0.05, 0.00, 0.25],  # surprise+
    [0.25, 0.10, 0.25, 0.10, 0, 0.15, 0.15, 0.00],  # surprise-
]
MISLEADS: dict[str, np.ndarray] = {
    "text": np.array(_TEXT_MISLEADS),
    "video": np.array(_FACE_AND_VOICE_MISLEAD),
    "audio": np.array(_FACE_AND_VOICE_MISLEAD),
}
"""P(displayed feeling | true feeling, the cue misleads); rows sum to one."""

STRENGTH_BETA = {"strong": (10.0, 1.8), "weak": (6.0, 7.0)}
"""Beta(a, b) of the strength of a strong and of a weak display: means .85 and .46, and they overlap."""


def prior() -> np.ndarray:
    """P(feeling), (8,): the training split's shares."""
    counts = np.array(COUNTS["train"], dtype=float)
    return counts / counts.sum()


@cache
def contagion_table() -> np.ndarray:
    """P(feeling | the last utterance of somebody else had the row's feeling), (8, 8).

    The affinities, scaled so that the prior is stationary: whatever the dialogue, shares do not drift.
    """
    target, scale = prior(), np.ones(len(FEELINGS))
    for _ in range(500):  # symmetric Sinkhorn scaling
        scale = np.sqrt(scale * target / (AFFINITY @ scale))
    joint = scale[:, None] * AFFINITY * scale
    return joint / joint.sum(axis=1, keepdims=True)


def transition(own: int | None, other: int | None) -> np.ndarray:
    """P(feeling), (8,), given one's own last feeling and the last one of somebody else (None: not yet)."""
    weights = INERTIA * (own is not None), CONTAGION * (other is not None)
    probabilities = (1 - sum(weights)) * prior()
    if own is not None:
        probabilities[own] += weights[0]
    if other is not None:
        probabilities += weights[1] * contagion_table()[other]
    return probabilities


@cache
def transition_array() -> np.ndarray:
    """P(feeling | own last, other's last), (9, 9, 8); index 8 of the first two axes means "not yet"."""
    past = [*range(len(FEELINGS)), None]
    return np.array([[transition(own, other) for other in past] for own in past])


def emotion_of(feeling: str) -> str:
    """The MELD emotion of a feeling."""
    return feeling.rstrip("+-")


def valence_of(feeling: str) -> int:
    """-1, 0 or +1."""
    return 0 if feeling == "neutral" else 1 if feeling in ("joy", "surprise+") else -1


def sentiment_of(feeling: str) -> str:
    """The MELD sentiment of a feeling."""
    return ("negative", "neutral", "positive")[valence_of(feeling) + 1]
