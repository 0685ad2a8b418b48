"""Figures of merit of a whole split, and how uncertain they are. Derived in notebooks 06 and 08."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

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
    weighted = precision_recall_fscore_support(labels, predictions, average="weighted", zero_division=0)
    return {
        "accuracy": float(accuracy_score(labels, predictions)),
        "weighted_precision": float(weighted[0]),
        "weighted_f1": float(weighted[2]),
        "macro_f1": float(f1_score(labels, predictions, average="macro", zero_division=0)),
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
    matrix = confusion_matrix(labels, predictions, labels=range(num_classes))
    draws = np.random.default_rng(seed).multinomial(matrix.sum(), matrix.ravel() / matrix.sum(), size=resamples)
    scores = confusion_scores(draws.reshape(resamples, num_classes, num_classes))
    tail = (1 - level) / 2
    return {name: tuple(float(q) for q in np.quantile(values, [tail, 1 - tail])) for name, values in scores.items()}


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
