"""Metrics: equal to scikit-learn's; intervals that cover what they should."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mmsa_lib.labels import EMOTIONS
from mmsa_lib.metrics import (
    bootstrap_intervals,
    class_intervals,
    class_scores,
    classification_metrics,
    confusion_scores,
    majority_baseline,
    over_seeds,
    paired_bootstrap,
    per_class,
    report,
    resampled_scores,
    resampling_weights,
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


# ------------------------------------------------------------------------------- classes, pairs, seeds


def test_scores_of_classes_from_a_confusion_matrix_equal_those_from_the_answers():
    y, p = random_answers(80, seed=4)
    scores = class_scores(sk.confusion_matrix(y, p, labels=range(7))[None])
    for name, row in per_class(y, p, EMOTIONS).items():
        for score, values in scores.items():
            assert values[0, EMOTIONS.index(name)] == pytest.approx(row[score])


def test_intervals_of_classes_hold_their_scores_and_a_rare_class_is_less_certain():
    rng = np.random.default_rng(0)
    y = np.repeat([3, 4], [20, 400])
    p = np.where(rng.random(420) < 0.7, y, 7 - y)
    found, scores = class_intervals(y, p, EMOTIONS), per_class(y, p, EMOTIONS)
    for name in ("joy", "neutral"):
        for score in ("precision", "recall", "f1"):
            low, high = found[name][score]
            assert low < scores[name][score] < high
    assert np.ptp(found["joy"]["recall"]) > 2 * np.ptp(found["neutral"]["recall"])
    assert found["fear"]["f1"] == (0.0, 0.0)


def test_paired_bootstrap_is_resampling_both_models_answers_together():
    y, p = random_answers(60, seed=1)
    q = random_answers(60, seed=1)[1][::-1].copy()
    found = paired_bootstrap(y, p, q, 7, resamples=40, seed=5)
    for weight, ours in zip(resampling_weights(60, 40, 5), found["draws"], strict=True):
        rows = np.repeat(np.arange(60), weight)
        one, two = (sk.f1_score(y[rows], a[rows], average="weighted", zero_division=0) for a in (p, q))
        assert ours == pytest.approx(two - one, abs=1e-6)
    assert found["difference"] == pytest.approx(found["second"] - found["first"])
    assert found["interval"] == tuple(np.quantile(found["draws"], [0.025, 0.975]))


def test_a_model_against_itself_is_noise_and_against_a_better_one_is_not():
    y, p = random_answers(200)
    same = paired_bootstrap(y, p, p, 7)
    assert same["difference"] == 0 and same["interval"] == (0, 0) and same["noise"] and same["p"] == 1
    better = paired_bootstrap(y, p, y, 7)
    assert better["difference"] > 0.3 and not better["noise"] and better["p"] == 0
    assert better["second"] == 1 and better["first"] == pytest.approx(sk.f1_score(y, p, average="weighted"))


def test_a_paired_interval_is_narrower_than_two_of_its_own():
    y, p = random_answers(300)
    q = p.copy()
    q[:6] = y[:6]
    paired = np.ptp(paired_bootstrap(y, p, q, 7)["interval"])
    assert paired < 0.5 * np.ptp(bootstrap_intervals(y, p, 7)["weighted_f1"])


def test_seeds_are_averaged_score_by_score():
    y, p = random_answers(50)
    q = random_answers(50, seed=9)[1]
    weights = resampling_weights(50, 4)
    both = resampled_scores(y, np.stack([p, q]), 7, weights)["weighted_f1"]
    one, two = (resampled_scores(y, a, 7, weights)["weighted_f1"] for a in (p, q))
    np.testing.assert_allclose(both, (one + two) / 2)


def test_dialogues_are_drawn_whole_and_make_alike_utterances_less_certain():
    groups = np.repeat(np.arange(30), 10)
    weights = resampling_weights(300, 500, groups=groups)
    assert (weights.reshape(500, 30, 10) == weights[:, ::10, None]).all()
    y = np.zeros(300, int)
    p = np.repeat(np.arange(30) % 3 == 0, 10).astype(int)  # whole dialogues are wrong
    alone = np.ptp(paired_bootstrap(y, p, y, 2, metric="accuracy")["interval"])
    whole = np.ptp(paired_bootstrap(y, p, y, 2, metric="accuracy", groups=groups)["interval"])
    assert whole > 2 * alone


def test_the_mean_over_seeds_has_students_interval():
    from scipy import stats

    values = [0.74, 0.76, 0.75, 0.79]
    found = over_seeds(values)
    reference = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx(reference)
    assert found["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(over_seeds([0.5])["low"]) and over_seeds([0.5])["mean"] == 0.5
