"""The best scores possible in the mini-MELD world, computed from its stated probabilities.

The observer of these ceilings sees, for each modality it is given, exactly one of 15 things: a neutral look,
or one of the seven other feelings displayed strongly or weakly. It does not see whether the display is true.
It knows the tables. A model must in addition read the display off pixels, sound and words, so these are
upper bounds. Without context the sums are exact; with context they are a Monte Carlo estimate.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mmsa_lib.mini.dialogue import draw_dialogue
from mmsa_lib.mini.tables import (
    CUE_TABLE,
    FEELINGS,
    MISLEADS,
    MODALITIES,
    NEUTRAL,
    STRONG_WHEN_MISLEADING,
    emotion_of,
    prior,
    sentiment_of,
    transition,
)

SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size)]
NUM_DISPLAYS = 2 * len(FEELINGS)  # strong and weak of each feeling; the neutral look is strong neutral


def display_table(modality: str) -> np.ndarray:
    """P(display | feeling), (8, 16): columns 0-7 strong displays, 8-15 weak ones (weak neutral is unused)."""
    table = np.zeros((len(FEELINGS), NUM_DISPLAYS))
    for row, feeling in enumerate(FEELINGS):
        clear, weak, absent, misleads = CUE_TABLE[modality][feeling]
        strong = STRONG_WHEN_MISLEADING["neutral" if row == NEUTRAL else "emotional"]
        table[row, row] += clear
        table[row, row + len(FEELINGS)] += weak
        table[row, NEUTRAL] += absent
        table[row, : len(FEELINGS)] += misleads * strong * MISLEADS[modality][row]
        table[row, len(FEELINGS) :] += misleads * (1 - strong) * MISLEADS[modality][row]
    return table


def joint_table(subset: tuple[str, ...]) -> np.ndarray:
    """P(feeling, displays), (8, 16 ** len(subset)): displays are independent given the feeling."""
    joint = prior()[:, None]
    for modality in subset:
        joint = (joint[:, :, None] * display_table(modality)[:, None, :]).reshape(len(FEELINGS), -1)
    return joint


def merge(joint: np.ndarray, label_of) -> np.ndarray:
    """Add up the rows of feelings that share a label: (8, D) to (labels, D), labels in sorted order."""
    names = [label_of(feeling) for feeling in FEELINGS]
    return np.stack([joint[[n == label for n in names]].sum(axis=0) for label in sorted(set(names))])


def weighted_f1(confusion: np.ndarray) -> float:
    """Weighted F1 of a confusion matrix (true by row, predicted by column), counts or probabilities."""
    support, predicted, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    f1 = 2 * hits / np.maximum(support + predicted, 1e-12)
    return float(support @ f1 / support.sum())


def _confusion(joint: np.ndarray, decision: np.ndarray) -> np.ndarray:
    return np.stack([joint[:, decision == label].sum(axis=1) for label in range(len(joint))], axis=1)


def best_weighted_f1(joint: np.ndarray, steps: int = 50) -> float:
    """The highest weighted F1 a rule from displays to labels reaches, by repeated linearisation.

    The rule of highest accuracy is the start; each step decides every display by the gradient of weighted F1
    at the rule before. The best rule found is kept.
    """
    decision, best = joint.argmax(axis=0), 0.0
    for _ in range(steps):
        confusion = _confusion(joint, decision)
        best = max(best, weighted_f1(confusion))
        support, hits = confusion.sum(axis=1), np.diag(confusion)
        total = np.maximum(support + confusion.sum(axis=0), 1e-12)
        gain = support / total
        cost = support * hits / total**2
        following = (gain[:, None] * joint - cost[:, None] * joint.sum(axis=0)).argmax(axis=0)
        if np.array_equal(following, decision):
            break
        decision = following
    return best


def without_context(subset: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Exact ceilings of one set of modalities: `{"emotion": {"accuracy", "weighted_f1"}, "sentiment": …}`."""
    joint = joint_table(subset)
    scores = {}
    for task, label_of in (("emotion", emotion_of), ("sentiment", sentiment_of)):
        merged = merge(joint, label_of)
        scores[task] = {
            "accuracy": float(merged.max(axis=0).sum()),
            "weighted_f1": best_weighted_f1(merged),
        }
    return scores
