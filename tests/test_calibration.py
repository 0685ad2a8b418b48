"""Calibration: bins against a naive loop, temperature against scipy's optimiser, the floor against its meaning."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from mmsa_lib import calibration
from mmsa_lib.metrics import resampling_weights


def truthful(n=4000, k=5, sharpness=2.0, seed=0):
    """Logits (N, K) and labels drawn from their own softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, k))
    labels = (calibration.scale(logits).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits, labels


def naive_ece(probabilities, labels, bins):
    """By the definition, one utterance and one bin at a time."""
    total = 0.0
    for b in range(bins):
        inside = []
        for p, y in zip(probabilities, labels, strict=True):
            sure = max(p)
            if b / bins < sure <= (b + 1) / bins or (b == 0 and sure == 0):
                inside.append((sure, float(int(np.argmax(p)) == y)))
        if inside:
            confidence, accuracy = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 7, 10, 15])
def test_the_calibration_error_is_that_of_a_naive_loop(bins):
    logits, labels = truthful(300, seed=bins)
    p = calibration.scale(logits, 0.6)
    assert calibration.expected_calibration_error(p, labels, bins) == pytest.approx(naive_ece(p, labels, bins))


def test_confidence_on_an_edge_belongs_to_the_bin_below_and_certainty_to_the_last():
    p = np.array([[0.5, 0.5], [1.0, 0.0], [0.6, 0.4]])
    found = calibration.reliability(p, np.zeros(3, int), bins=2)
    assert found["count"].tolist() == [1, 2] and found["accuracy"].tolist() == [1, 1]
    assert np.isnan(calibration.reliability(p, np.zeros(3, int), bins=4)["confidence"][0])


def test_bins_of_equal_mass_hold_equally_many():
    logits, labels = truthful(1000)
    found = calibration.reliability(calibration.scale(logits), labels, 8, equal_mass=True)
    assert found["count"].min() >= 124 and found["count"].sum() == 1000
    error = calibration.expected_calibration_error(calibration.scale(logits), labels, 8, equal_mass=True)
    assert error == pytest.approx((found["count"] / 1000 * abs(found["accuracy"] - found["confidence"])).sum())


def test_no_utterance_is_not_a_number():
    assert np.isnan(calibration.expected_calibration_error(np.empty((0, 3)), np.empty(0, int)))
    with pytest.raises(ValueError, match="at least one"):
        calibration.fit_temperature(np.empty((0, 3)), np.empty(0, int))


def test_wilson_equals_scipy():
    from scipy.stats import binomtest

    low, high = calibration.wilson(np.array([3 / 7, 1.0, 0.0]), np.array([7, 4, 9]))
    for i, (hits, n) in enumerate([(3, 7), (4, 4), (0, 9)]):
        reference = binomtest(hits, n).proportion_ci(method="wilson")
        assert (low[i], high[i]) == pytest.approx((reference.low, reference.high))


@pytest.mark.parametrize("stretch", [0.2, 1.0, 4.0])
def test_the_temperature_is_that_of_scipy_and_undoes_a_stretch(stretch):
    logits, labels = truthful(3000)
    ours = calibration.fit_temperature(stretch * logits, labels)

    def loss(temperature):
        return calibration.negative_log_likelihood(calibration.scale(stretch * logits, temperature), labels)

    reference = minimize_scalar(loss, bounds=(0.02, 50), method="bounded", options={"xatol": 1e-9})
    assert ours == pytest.approx(reference.x, rel=1e-4)
    assert ours == pytest.approx(stretch, rel=0.06)


@pytest.mark.parametrize(("logits", "labels", "wanted"), [
    (np.eye(3) * 5, np.arange(3), 0.15),  # never wrong: as sure as can be seen
    (np.eye(3) * 5, np.array([1, 2, 0]), 50.0),  # always wrong: no opinion
    (np.zeros((4, 3)), np.array([0, 1, 2, 0]), None),  # no opinion to scale
    (np.array([[800.0, -800.0], [800.0, -800.0], [-800.0, 800.0]]), np.array([0, 1, 1]), 50.0),
])  # fmt: skip
def test_degenerate_temperatures_end_at_a_bound(logits, labels, wanted):
    found = calibration.fit_temperature(logits, labels)
    assert np.isfinite(found) and 0.0199 < found < 50.1
    if wanted is not None:
        assert found == pytest.approx(wanted, rel=0.2)


def test_temperature_keeps_every_answer():
    logits, _ = truthful(200)
    assert (calibration.scale(logits, 7).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_the_floor_is_the_error_of_a_model_that_tells_the_truth():
    errors = []
    for seed in range(30):
        logits, labels = truthful(260, seed=seed)
        errors.append(calibration.expected_calibration_error(calibration.scale(logits), labels))
    floor = calibration.calibration_floor(calibration.scale(truthful(260)[0]))
    assert floor["mean"] == pytest.approx(np.mean(errors), abs=0.008)
    assert np.mean(np.array(errors) > floor["high"]) < 0.2 and 0 < floor["mean"] < floor["high"]


def test_resampled_errors_are_those_of_the_resampled_utterances():
    logits, labels = truthful(80)
    p, weights = calibration.scale(logits, 0.5), resampling_weights(80, 5)
    for weight, ours in zip(weights, calibration.calibration_draws(p, labels, weights), strict=True):
        rows = np.repeat(np.arange(80), weight)
        assert ours == pytest.approx(calibration.expected_calibration_error(p[rows], labels[rows]))


def test_the_interval_holds_the_error_though_resampled_errors_are_larger():
    logits, labels = truthful(260, seed=4)
    p, weights = calibration.scale(logits), resampling_weights(260, 500)
    error = calibration.expected_calibration_error(p, labels)
    assert calibration.calibration_draws(p, labels, weights).mean() > error
    low, high = calibration.calibration_interval(p, labels, weights)
    assert 0 <= low < error < high < 0.2


def test_scores_of_probabilities():
    p, y = np.array([[0.8, 0.2], [0.0, 1.0]]), np.array([0, 0])
    assert calibration.brier_score(p, y) == pytest.approx((2 * 0.2**2 + 2) / 2)
    assert calibration.negative_log_likelihood(p[:1], y[:1]) == pytest.approx(-np.log(0.8))
    assert np.isfinite(calibration.negative_log_likelihood(p, y))
