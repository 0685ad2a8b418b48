"""How sure a difference of two scores is, in the form that the boxes and pictures of lessons need."""

import numpy as np

from mmsa_lib import metrics

RESAMPLES = 1000


def resampled_f1(labels: np.ndarray, answers: np.ndarray, num_classes: int = 7, draw_seeds: bool = False) -> np.ndarray:
    """Weighted F1 of the utterances at hand, then of `RESAMPLES` draws of them with replacement: (1 + RESAMPLES,).

    The draws depend on the number of utterances alone, so that the difference of two results is paired.

    Args:
        labels: the true classes (N,).
        answers: what each of S models said (S, N), or one model (N,); the scores are means over the models.
        draw_seeds: draw the models with replacement, too.
    """
    answers, size = np.atleast_2d(answers), len(labels)
    often = np.vstack([np.ones((1, size), dtype=int), metrics.resampling_weights(size, RESAMPLES)])
    by_model = [metrics.resampled_scores(labels, one, num_classes, often)["weighted_f1"] for one in answers]
    scores = np.stack(by_model, axis=1)  # (1 + RESAMPLES, S)
    if not draw_seeds:
        return scores.mean(axis=1)
    models = np.arange(len(answers))
    drawn = np.random.default_rng(0).choice(models, size=(RESAMPLES, len(models)))
    return np.take_along_axis(scores, np.vstack([models, drawn]), axis=1).mean(axis=1)


def weighted_f1(labels: np.ndarray, answers: np.ndarray, num_classes: int = 7) -> float:
    """Weighted F1 of (N,) answers, as scikit-learn has it, in microseconds."""
    cells = np.bincount(labels * num_classes + answers, minlength=num_classes**2)
    return float(metrics.confusion_scores(cells.reshape(1, num_classes, num_classes))["weighted_f1"][0])


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Both ends of the 95 % interval; the first entry, the score itself, is not a draw."""
    return metrics.interval(resampled[1:])


def spread(resampled: np.ndarray) -> float:
    """Half of the 95 % interval of a score, or of a difference of scores, as `resampled_f1` gives them."""
    low, high = interval(resampled)
    return (high - low) / 2


def seed_spread(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean of (S,) values, one a seed (Student's t)."""
    found = metrics.over_seeds(values)
    return (found["high"] - found["low"]) / 2
