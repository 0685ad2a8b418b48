"""The best scores possible in the mini-MELD world, computed from its stated probabilities.

The observer of these ceilings sees, for each modality it is given, exactly one of 15 things: a neutral look,
or one of the seven other feelings displayed strongly or weakly. It does not see whether the display is true.
It knows the tables. A model must in addition read the display off pixels, sound and words, so these are
upper bounds. Without context the sums are exact; with context they are a Monte Carlo estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from mmsa_lib.mini.dialogue import LENGTHS, draw_dialogue, draw_turns
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
    transition_array,
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


def merge(joint: np.ndarray, label_of: Callable[[str], str]) -> np.ndarray:
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


def posteriors(turns: list[int], likelihoods: np.ndarray) -> np.ndarray:
    """P(feeling | all displays of the dialogue), (T, 8), by the forward-backward algorithm.

    `turns` says who speaks (0, 1, ...), `likelihoods` (T, 8) is P(displays | feeling) of each utterance. The
    state is everybody's last feeling: an array with one axis of nine for each speaker, 8 for "not yet".
    """
    transitions, none = transition_array(), len(FEELINGS)
    others = [next((s for s in turns[t::-1] if s != turns[t]), None) for t in range(len(turns))]
    speakers = max(turns) + 1
    alpha = np.zeros((none + 1,) * speakers)
    alpha[(none,) * speakers] = 1.0
    alphas = []
    for t, speaker in enumerate(turns):
        alpha = _step(alpha, transitions, speaker, others[t])
        alpha = alpha * _along(likelihoods[t], speaker, speakers)
        alpha /= alpha.sum()
        alphas.append(alpha)
    beta, found = np.ones_like(alpha), []
    for t in range(len(turns) - 1, -1, -1):
        joint = np.moveaxis(alphas[t] * beta, turns[t], 0).reshape(none + 1, -1).sum(axis=1)[:none]
        found.append(joint / joint.sum())
        beta = _step_back(beta * _along(likelihoods[t], turns[t], speakers), transitions, turns[t], others[t])
        beta /= beta.max()
    return np.stack(found[::-1])


def _along(likelihood: np.ndarray, speaker: int, speakers: int) -> np.ndarray:
    shape = [1] * speakers
    shape[speaker] = len(FEELINGS) + 1
    return np.append(likelihood, 0.0).reshape(shape)


def _step(alpha: np.ndarray, transitions: np.ndarray, speaker: int, other: int | None) -> np.ndarray:
    """Replace the speaker's last feeling by the new one: the forward step, shape kept."""
    if other is None:
        moved = np.moveaxis(alpha, speaker, 0)
        new = np.einsum("o...,of->f...", moved, transitions[:, -1])
    else:
        moved = np.moveaxis(alpha, (speaker, other), (0, 1))
        new = np.einsum("ox...,oxf->fx...", moved, transitions)
    new = np.concatenate([new, np.zeros_like(new[:1])])
    return np.moveaxis(new, 0, speaker) if other is None else np.moveaxis(new, (0, 1), (speaker, other))


def _step_back(beta: np.ndarray, transitions: np.ndarray, speaker: int, other: int | None) -> np.ndarray:
    """The backward step: the transpose of `_step`."""
    if other is None:
        moved = np.moveaxis(beta, speaker, 0)[:-1]
        return np.moveaxis(np.einsum("f...,of->o...", moved, transitions[:, -1]), 0, speaker)
    moved = np.moveaxis(beta, (speaker, other), (0, 1))[:-1]
    return np.moveaxis(np.einsum("fx...,oxf->ox...", moved, transitions), (0, 1), (speaker, other))


def with_context(subset: tuple[str, ...], dialogues: int, seed: int) -> dict[str, dict[str, float]]:
    """Ceilings for an observer of whole dialogues, from simulated ones, with the standard error."""
    rng = np.random.Generator(np.random.PCG64([seed, 0xCE1]))
    tables = [display_table(modality) for modality in subset]
    truths, beliefs = [], []
    for _ in range(dialogues):
        turns = draw_turns(rng, int(rng.integers(2, 4)), int(rng.choice(LENGTHS)))
        turns = [sorted(set(turns)).index(turn) for turn in turns]
        feelings = draw_dialogue(rng, turns)
        displays = [[rng.choice(NUM_DISPLAYS, p=table[f]) for table in tables] for f in feelings]
        likelihoods = [np.prod([t[:, d] for t, d in zip(tables, shown, strict=True)], axis=0) for shown in displays]
        truths += feelings
        beliefs.append(posteriors(turns, np.array(likelihoods)))
    truth, belief = np.array(truths), np.concatenate(beliefs)
    return {
        task: _score(truth, belief, label_of)
        for task, label_of in (("emotion", emotion_of), ("sentiment", sentiment_of))
    }


def _score(truth: np.ndarray, belief: np.ndarray, label_of: Callable[[str], str]) -> dict[str, float]:
    names = [label_of(feeling) for feeling in FEELINGS]
    labels = sorted(set(names))
    true = np.array([labels.index(name) for name in names])[truth]
    decided = merge(belief.T, label_of).argmax(axis=0)
    confusion = np.zeros((len(labels), len(labels)))
    np.add.at(confusion, (true, decided), 1)
    accuracy = float(np.mean(true == decided))
    return {
        "accuracy": accuracy,
        "weighted_f1": weighted_f1(confusion),
        "standard_error": float(np.sqrt(accuracy * (1 - accuracy) / len(true))),
    }


def ceilings(dialogues: int = 600, seed: int = 0) -> dict[str, dict]:
    """Every set of modalities, without and with context: what `ceiling.json` holds."""
    return {
        "+".join(subset): {
            "without_context": without_context(subset),
            "with_context": with_context(subset, dialogues, seed),
        }
        for subset in SUBSETS
    }
