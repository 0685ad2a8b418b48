"""How sure a difference of two scores is: the paired bootstrap over utterances, and Student's t over seeds."""

import numpy as np
from scipy.stats import t

from mmsa_lib.metrics import confusion_scores

RESAMPLES = 1000
LEVEL = 0.95


def resampled_f1(labels: np.ndarray, answers: np.ndarray, num_classes: int = 7, draw_seeds: bool = False) -> np.ndarray:
    """Weighted F1 of the utterances at hand, then of `RESAMPLES` draws of them with replacement: (1 + RESAMPLES,).

    The draws depend on the number of utterances alone, so that the difference of two results is paired. Weighted F1
    is explained in notebooks/06, the bootstrap in notebooks/08.

    Args:
        labels: the true classes (N,).
        answers: what each of S models said (S, N); the scores are means over the models.
        draw_seeds: draw the models with replacement, too.
    """
    answers = np.atleast_2d(answers)
    size, models = len(labels), len(answers)
    rng = np.random.default_rng(0)
    often = rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES)  # how often each utterance is drawn
    often = np.vstack([np.ones_like(often[:1]), often])
    cells = np.eye(num_classes**2)[labels * num_classes + answers]  # (S, N, cells of the confusion matrix)
    matrices = [(often @ of_model).reshape(-1, num_classes, num_classes) for of_model in cells]
    scores = np.stack([confusion_scores(m)["weighted_f1"] for m in matrices], axis=1)  # (1 + RESAMPLES, S)
    if not draw_seeds:
        return scores.mean(axis=1)
    chosen = np.vstack([np.arange(models)[None], rng.integers(models, size=(RESAMPLES, models))])
    return np.take_along_axis(scores, chosen, axis=1).mean(axis=1)


def weighted_f1(labels: np.ndarray, answers: np.ndarray, num_classes: int = 7) -> float:
    """Weighted F1 of (N,) answers, as scikit-learn has it, in microseconds."""
    cells = np.bincount(labels * num_classes + answers, minlength=num_classes**2)
    return float(confusion_scores(cells.reshape(1, num_classes, num_classes))["weighted_f1"][0])


def spread(resampled: np.ndarray) -> float:
    """Half of the 95 % interval of a score, or of a difference of scores, as `resampled_f1` gives them."""
    return float(np.ptp(interval(resampled)) / 2)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Both ends of the 95 % interval; the first entry, the score itself, is not a draw."""
    low, high = np.quantile(resampled[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def seed_spread(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean of (S,) values, one a seed (Student's t)."""
    return float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
