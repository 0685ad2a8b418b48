"""Metrics: equal to scikit-learn's; intervals that cover what they should."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mmsa_lib.labels import EMOTIONS
from mmsa_lib.metrics import (
    bootstrap_intervals,
    classification_metrics,
    confusion_scores,
    majority_baseline,
    per_class,
    report,
)


def random_answers(n=300, seed=0, classes=7):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, n, p=rng.dirichlet(np.ones(classes)))
    predictions = np.where(rng.random(n) < 0.5, labels, rng.integers(0, classes, n))
    return labels, predictions


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learn(seed):
    y, p = random_answers(seed=seed)
    ours = classification_metrics(y, p, 7)
    assert ours["accuracy"] == sk.accuracy_score(y, p)
    assert ours["weighted_f1"] == pytest.approx(sk.f1_score(y, p, average="weighted"))
    assert ours["macro_f1"] == pytest.approx(sk.f1_score(y, p, average="macro"))
    assert ours["weighted_precision"] == pytest.approx(sk.precision_score(y, p, average="weighted", zero_division=0))


@pytest.mark.parametrize("seed", range(5))
def test_scores_from_a_confusion_matrix_equal_those_from_the_answers(seed):
    y, p = random_answers(seed=seed, n=40)
    scores = confusion_scores(sk.confusion_matrix(y, p, labels=range(7))[None])
    direct = classification_metrics(y, p, 7)
    for name, values in scores.items():
        assert values[0] == pytest.approx(direct[name])


def test_intervals_agree_with_resampling_the_answers_one_by_one():
    y, p = random_answers(200, seed=3)
    fast = bootstrap_intervals(y, p, 7, resamples=4000)["weighted_f1"]
    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(y), (1000, len(y)))
    slow = np.quantile([sk.f1_score(y[i], p[i], average="weighted", zero_division=0) for i in picks], [0.025, 0.975])
    np.testing.assert_allclose(fast, slow, atol=0.01)


def test_intervals_are_the_same_each_time_and_hold_the_score():
    y, p = random_answers()
    first, second = bootstrap_intervals(y, p, 7), bootstrap_intervals(y, p, 7)
    assert first == second
    for name, (low, high) in first.items():
        assert low < classification_metrics(y, p, 7)[name] < high


def test_perfect_answers_have_no_uncertainty():
    y = np.arange(7).repeat(5)
    assert bootstrap_intervals(y, y, 7)["accuracy"] == (1.0, 1.0)


def test_majority_baseline_answers_the_commonest_training_class():
    y = np.array([0, 0, 0, 4])
    assert majority_baseline(y, 7)["accuracy"] == 0.75
    assert majority_baseline(y, 7, train_labels=np.array([4, 4, 1]))["accuracy"] == 0.25


def test_report_of_both_tasks_counts_every_utterance():
    y, p = random_answers()
    result = report({"emotion": y, "sentiment": y % 3}, {"emotion": p, "sentiment": p % 3})
    assert result["n"] == 300
    assert np.sum(result["emotion"]["confusion"]) == 300
    assert sum(c["support"] for c in result["sentiment"]["per_class"].values()) == 300
    expected = sk.f1_score(y, p, average=None, labels=range(7), zero_division=0)
    assert [result["emotion"]["per_class"][name]["f1"] for name in EMOTIONS] == pytest.approx(list(expected))


def test_classes_that_never_occur_count_zero_support():
    counts = per_class(np.array([3, 3]), np.array([3, 0]), EMOTIONS)
    assert counts["fear"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert counts["joy"]["recall"] == 0.5


def test_no_utterance_is_not_a_number():
    empty = np.array([], dtype=int)
    assert np.isnan(classification_metrics(empty, empty, 7)["accuracy"])
