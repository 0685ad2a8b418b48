"""Differences of scores with their uncertainty, as lessons state them."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from mmsa_lib.course.comparing import RESAMPLES, interval, resampled_f1, seed_spread, spread, weighted_f1


@pytest.fixture
def answers():
    """Labels (200,) and the answers of three models, right in about 60 %."""
    rng = np.random.default_rng(1)
    labels = rng.integers(7, size=200)
    said = np.where(rng.random((3, 200)) < 0.6, labels, rng.integers(7, size=(3, 200)))
    return labels, said


def test_the_first_entry_is_the_score_of_scikit_learn(answers):
    labels, said = answers
    wanted = np.mean([f1_score(labels, one, average="weighted") for one in said])
    for draw_seeds in (False, True):
        found = resampled_f1(labels, said, draw_seeds=draw_seeds)
        assert found.shape == (1 + RESAMPLES,)
        assert found[0] == pytest.approx(wanted)
    assert weighted_f1(labels, said[0]) == pytest.approx(f1_score(labels, said[0], average="weighted"))


def test_a_model_does_not_differ_from_itself(answers):
    labels, said = answers
    assert spread(resampled_f1(labels, said) - resampled_f1(labels, said)) == 0


def test_the_interval_holds_the_score_and_its_half_is_the_spread(answers):
    found = resampled_f1(*answers)
    low, high = interval(found)
    assert low < found[0] < high
    assert spread(found) == pytest.approx((high - low) / 2)
    assert 0.03 < spread(found) < 0.12


def test_drawing_the_seeds_too_is_less_sure(answers):
    labels, said = answers
    said = np.stack([said[0], labels, said[2]])  # one model far better than the others
    assert spread(resampled_f1(labels, said, draw_seeds=True)) > 2 * spread(resampled_f1(labels, said))


def test_the_spread_over_seeds_is_that_of_the_t_test():
    values = np.array([0.1, 0.3, 0.2, 0.25])
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert seed_spread(values) == pytest.approx((high - low) / 2)
