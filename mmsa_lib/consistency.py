"""Do the two heads agree? Joy with a negative sentiment is two answers of which one is wrong. Derived in notebooks/08.

MELD's sentiment follows from the emotion, but for surprise, which is positive or negative.
"""

from collections.abc import Sequence

import numpy as np

from mmsa_lib.labels import EMOTION_INDEX, EMOTIONS, SENTIMENT_INDEX, SENTIMENTS

SENTIMENTS_OF: dict[str, tuple[str, ...]] = {
    "anger": ("negative",),
    "disgust": ("negative",),
    "fear": ("negative",),
    "joy": ("positive",),
    "neutral": ("neutral",),
    "sadness": ("negative",),
    "surprise": ("negative", "positive"),
}


def meld_pairs() -> np.ndarray:
    """(7, 3) bool: which sentiment may stand beside which emotion in MELD."""
    allowed = np.zeros((len(EMOTIONS), len(SENTIMENTS)), dtype=bool)
    for emotion, sentiments in SENTIMENTS_OF.items():
        allowed[EMOTION_INDEX[emotion], [SENTIMENT_INDEX[s] for s in sentiments]] = True
    return allowed


def pair_counts(emotions: np.ndarray, sentiments: np.ndarray) -> np.ndarray:
    """(7, 3) how often each pair occurs among labels or predictions (N,) and (N,)."""
    counts = np.zeros((len(EMOTIONS), len(SENTIMENTS)), dtype=int)
    np.add.at(counts, (emotions, sentiments), 1)
    return counts


def contradictions(emotions: np.ndarray, sentiments: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
    """(N,) bool: whether the two answers cannot both be right."""
    allowed = meld_pairs() if allowed is None else allowed
    return ~allowed[emotions, sentiments]


def joint_probabilities(
    emotion_probs: np.ndarray,
    sentiment_probs: np.ndarray,
    allowed: np.ndarray | None = None,
    pair_shares: np.ndarray | None = None,
) -> np.ndarray:
    """Probabilities of pairs, (N, 7, 3): the product of both heads over the allowed pairs, each row summing to 1.

    Args:
        emotion_probs, sentiment_probs: (N, 7) and (N, 3).
        allowed: (7, 3) bool, by default MELD's.
        pair_shares: (7, 3) shares of the pairs in training. With them a pair's product is multiplied by
            share(pair) / (share(emotion) share(sentiment)): both heads have counted how common the pair is, and it
            should count once. Without them every allowed pair is weighed alike.
    """
    allowed = meld_pairs() if allowed is None else np.asarray(allowed, dtype=bool)
    weight = allowed.astype(float)
    if pair_shares is not None:
        expected = pair_shares.sum(axis=1, keepdims=True) * pair_shares.sum(axis=0, keepdims=True)
        weight = weight * pair_shares / np.maximum(expected, 1e-12)
    joint = emotion_probs[:, :, None] * sentiment_probs[:, None, :] * weight
    total = joint.sum(axis=(1, 2), keepdims=True)
    even = weight / weight.sum()
    return np.where(total > 0, joint / np.where(total > 0, total, 1), even)


def decode(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest pair of each utterance: joint (N, 7, 3) -> emotions (N,), sentiments (N,)."""
    best = joint.reshape(len(joint), -1).argmax(axis=1)
    return tuple(np.unravel_index(best, joint.shape[1:]))


def from_emotion(emotions: np.ndarray, sentiment_probs: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
    """Sentiments (N,) that obey the emotion head: the likeliest one that may stand beside its answer."""
    allowed = meld_pairs() if allowed is None else allowed
    return np.where(allowed[emotions], sentiment_probs, -1.0).argmax(axis=1)


def pair_names(allowed: np.ndarray | None = None) -> Sequence[str]:
    """The allowed pairs in words, in the order of the labels."""
    allowed = meld_pairs() if allowed is None else allowed
    return [f"{EMOTIONS[e]}, {SENTIMENTS[s]}" for e, s in np.argwhere(allowed)]
