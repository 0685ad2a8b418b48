"""Figures of merit of a whole split, and how uncertain they are. Derived in notebooks 06 and 08."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mmsa_lib.labels import EMOTIONS, SENTIMENTS

TASKS: dict[str, tuple[str, ...]] = {"emotion": EMOTIONS, "sentiment": SENTIMENTS}
RESAMPLES = 2000


def classification_metrics(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> dict[str, float]:
    """Accuracy, weighted precision, weighted and macro F1 of (N,) predictions, as scikit-learn has them.

    A class that nobody predicts counts with F1 0. Macro F1 averages over the classes that occur among
    the labels or the predictions.
    """
    if len(labels) == 0:
        return dict.fromkeys(("accuracy", "weighted_precision", "weighted_f1", "macro_f1"), float("nan"))
    # from counts: scikit-learn's own take 20 ms, several times in every epoch
    matrix = np.bincount(labels * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, -1)
    precision = matrix.diagonal() / np.maximum(matrix.sum(axis=0), 1)
    scores = {name: float(score[0]) for name, score in confusion_scores(matrix[None]).items()}
    return {
        "accuracy": scores["accuracy"],
        "weighted_precision": float(precision @ matrix.sum(axis=1) / len(labels)),
        "weighted_f1": scores["weighted_f1"],
        "macro_f1": scores["macro_f1"],
    }


def per_class(labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of every class by name."""
    columns = precision_recall_fscore_support(
        labels, predictions, labels=range(len(names)), average=None, zero_division=0
    )
    return {
        name: {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
        }
        for name, precision, recall, f1, support in zip(names, *columns, strict=True)
    }


def majority_baseline(labels: np.ndarray, num_classes: int, train_labels: np.ndarray | None = None) -> dict[str, float]:
    """The metrics of always answering the commonest class (of the training labels, where given)."""
    seen = labels if train_labels is None else train_labels
    answer = np.bincount(seen, minlength=num_classes).argmax()
    return classification_metrics(labels, np.full_like(labels, answer), num_classes)


def confusion_scores(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, weighted F1 and macro F1 of stacked confusion matrices (R, K, K), true class first -> (R,)."""
    hits = np.diagonal(matrices, axis1=1, axis2=2).astype(float)
    true, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    total = matrices.sum(axis=(1, 2))
    f1 = 2 * hits / np.maximum(true + predicted, 1)
    occurs = (true + predicted) > 0
    return {
        "accuracy": hits.sum(axis=1) / total,
        "weighted_f1": (f1 * true).sum(axis=1) / total,
        "macro_f1": f1.sum(axis=1) / occurs.sum(axis=1),
    }


def class_scores(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of every class of stacked confusion matrices (R, K, K) -> (R, K); 0 where undefined."""
    hits = np.diagonal(matrices, axis1=1, axis2=2).astype(float)
    true, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    return {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(true, 1),
        "f1": 2 * hits / np.maximum(true + predicted, 1),
    }


# ------------------------------------------------------------------------------------------ bootstrap


def bootstrap_intervals(
    labels: np.ndarray,
    predictions: np.ndarray,
    num_classes: int,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of accuracy, weighted F1 and macro F1.

    Drawing N utterances with replacement draws their cells of the confusion matrix, so each resample
    is one multinomial draw of the matrix: exact, and thousands cost milliseconds.
    """
    matrices = _resampled_matrices(labels, predictions, num_classes, resamples, seed)
    return {name: interval(values, level) for name, values in confusion_scores(matrices).items()}


def class_intervals(
    labels: np.ndarray,
    predictions: np.ndarray,
    names: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, tuple[float, float]]]:
    """The same intervals for precision, recall and F1 of every class by name."""
    scores = class_scores(_resampled_matrices(labels, predictions, len(names), resamples, seed))
    return {
        name: {score: interval(values[:, i], level) for score, values in scores.items()} for i, name in enumerate(names)
    }


def _resampled_matrices(labels, predictions, num_classes: int, resamples: int, seed: int) -> np.ndarray:
    matrix = confusion_matrix(labels, predictions, labels=range(num_classes))
    draws = np.random.default_rng(seed).multinomial(matrix.sum(), matrix.ravel() / matrix.sum(), size=resamples)
    return draws.reshape(resamples, num_classes, num_classes)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of resampled values (R,): the percentile interval."""
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def resampling_weights(
    n: int, resamples: int = RESAMPLES, seed: int = 0, groups: Sequence | np.ndarray | None = None
) -> np.ndarray:
    """How often each of n utterances is in each resample: (resamples, n) integers.

    With `groups` (n,), such as dialogues, whole groups are drawn with replacement: utterances of one group are
    alike, and drawing them one by one would make the interval too narrow. Used for everything that is to be
    compared, the same weights make a comparison paired.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    found, member = np.unique(np.asarray(groups), return_inverse=True)
    return rng.multinomial(len(found), np.full(len(found), 1 / len(found)), size=resamples)[:, member]


def resampled_scores(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Accuracy, weighted F1 and macro F1 under every row of weights (R, N) -> (R,).

    Predictions are (N,), or (S, N) of S seeds of one model, whose scores are averaged.
    """
    scores = []
    for answers in np.atleast_2d(predictions):
        cells = np.eye(num_classes**2, dtype=np.float32)[labels * num_classes + answers]  # (N, K * K)
        matrices = (weights.astype(np.float32) @ cells).reshape(-1, num_classes, num_classes)
        scores.append(confusion_scores(matrices))
    return {name: np.mean([s[name] for s in scores], axis=0) for name in scores[0]}


def paired_bootstrap(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    num_classes: int,
    *,
    metric: str = "weighted_f1",
    groups: Sequence | np.ndarray | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict:
    """Is `second` better than `first`? Both are asked about the same resampled utterances. Derived in notebooks/08.

    Args:
        labels: (N,) true classes.
        first, second: predictions (N,), or (S, N) of several seeds, whose scores are averaged.
        metric: accuracy, weighted_f1 or macro_f1.
        groups: (N,) what is drawn as a whole, see `resampling_weights`.

    Returns `first`, `second`, `difference` (second minus first), its `interval`, `p` (two-sided: twice the share
    of resamples on the far side of zero, ties counted half), `noise` (whether the interval holds zero), and
    the resampled differences `draws` (resamples,).
    """
    everyone = np.ones((1, len(labels)), dtype=int)
    weights = np.vstack([everyone, resampling_weights(len(labels), resamples, seed, groups)])
    one, two = (resampled_scores(labels, p, num_classes, weights)[metric] for p in (first, second))
    draws = (two - one)[1:]
    low, high = interval(draws, level)
    below = float((draws < 0).mean() + 0.5 * (draws == 0).mean())
    return {
        "first": float(one[0]),
        "second": float(two[0]),
        "difference": float(two[0] - one[0]),
        "interval": (low, high),
        "p": min(1.0, 2 * min(below, 1 - below)),
        "noise": low <= 0 <= high,
        "draws": draws,
    }


def over_seeds(values: Sequence[float], level: float = 0.95) -> dict[str, float]:
    """Mean, standard deviation, and the interval of the mean (Student's t) of one score a seed."""
    from scipy.stats import t

    scores = np.asarray(values, dtype=float)
    mean = float(scores.mean())
    if len(scores) < 2:
        return {
            "seeds": len(scores),
            "mean": mean,
            "deviation": float("nan"),
            "low": float("nan"),
            "high": float("nan"),
        }
    deviation = float(scores.std(ddof=1))
    half = float(t.ppf(0.5 + level / 2, len(scores) - 1)) * deviation / len(scores) ** 0.5
    return {"seeds": len(scores), "mean": mean, "deviation": deviation, "low": mean - half, "high": mean + half}


# ------------------------------------------------------------------------------------------- a split


def report(
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    train_labels: Mapping[str, np.ndarray] | None = None,
) -> dict:
    """All that is said about a split, for both tasks: metrics, intervals, majority baseline, classes, confusion."""
    out: dict = {"n": len(labels["emotion"])}
    for task, names in TASKS.items():
        y, p = labels[task], predictions[task]
        baseline = majority_baseline(y, len(names), train_labels[task] if train_labels else None)
        out[task] = {
            **classification_metrics(y, p, len(names)),
            "interval_95": bootstrap_intervals(y, p, len(names)),
            "majority": baseline,
            "per_class": per_class(y, p, names),
            "confusion": confusion_matrix(y, p, labels=range(len(names))).tolist(),
        }
    return out
