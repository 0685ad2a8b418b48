"""Can a probability be believed? Reliability, calibration error, temperature scaling. Derived in notebooks/08.

Of all answers that a model is 80 % sure of, 80 % should be right. After Guo, Pleiss, Sun, Weinberger,
"On calibration of modern neural networks" (2017). Confidence is the probability of the answer that is given.
"""

import numpy as np
from scipy.special import log_softmax, softmax
from scipy.stats import norm

BINS = 10
SHARPEST, FLATTEST = 0.02, 50.0  # temperatures


def confidence(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, K) -> the answers (N,) and how sure the model is of each (N,)."""
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def bin_edges(sureness: np.ndarray, bins: int = BINS, equal_mass: bool = False) -> np.ndarray:
    """(bins + 1,) edges from 0 to 1: equally wide, or with about as many of `sureness` (N,) in each bin."""
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass and len(sureness):
        edges[1:-1] = np.quantile(sureness, edges[1:-1])
    return edges


def _places(sureness: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Which bin (N,) each falls into; a bin holds its upper edge, the first one 0 too."""
    return np.clip(np.searchsorted(edges, sureness, side="left") - 1, 0, len(edges) - 2)


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS, equal_mass: bool = False
) -> dict[str, np.ndarray]:
    """What a reliability diagram shows, one value a bin of confidence.

    `low`, `high`: the bin's edges; `count`; `confidence`, `accuracy`: means over the bin, NaN where it is empty;
    `accuracy_low`, `accuracy_high`: Wilson's 95 % interval of the accuracy.
    """
    answers, sureness = confidence(probabilities)
    edges = bin_edges(sureness, bins, equal_mass)
    places = _places(sureness, edges)
    count = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(places, weights=x, minlength=bins) / count for x in (sureness, answers == labels)]
    low, high = wilson(means[1], count)
    return {
        "low": edges[:-1],
        "high": edges[1:],
        "count": count,
        "confidence": means[0],
        "accuracy": means[1],
        "accuracy_low": low,
        "accuracy_high": high,
    }


def wilson(share: np.ndarray, n: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share of n; it stays inside [0, 1] and is right for small n."""
    z = norm.ppf(0.5 + level / 2)
    n = np.where(np.asarray(n) > 0, n, np.nan)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS, equal_mass: bool = False
) -> float:
    """ECE: how far accuracy and confidence lie apart, averaged over the bins by their size; NaN of no utterance."""
    if len(labels) == 0:
        return float("nan")
    answers, sureness = confidence(probabilities)
    return float(_errors(sureness, (answers == labels)[None], bins, equal_mass)[0])


def _errors(sureness: np.ndarray, right: np.ndarray, bins: int, equal_mass: bool = False) -> np.ndarray:
    """ECE of each row of `right` (R, N) for the same confidences (N,): (R,)."""
    places = _places(sureness, bin_edges(sureness, bins, equal_mass))
    member = np.eye(bins)[places]  # (N, bins)
    return np.abs((right - sureness) @ member).sum(axis=1) / len(sureness)


def calibration_floor(
    probabilities: np.ndarray, bins: int = BINS, resamples: int = 1000, seed: int = 0, equal_mass: bool = False
) -> dict[str, float]:
    """The ECE that a perfectly calibrated model would show by chance with these confidences.

    ECE is never negative, so noise adds up instead of cancelling: with few utterances even a model that tells the
    truth has an ECE well above 0. Each of the N answers is made right with its own probability, many times.
    Returns `mean` and `high`, the 95th percentile: an ECE below it gives no reason to doubt the model.
    """
    sureness = confidence(probabilities)[1]
    right = np.random.default_rng(seed).random((resamples, len(sureness))) < sureness
    drawn = _errors(sureness, right, bins, equal_mass)
    return {"mean": float(drawn.mean()), "high": float(np.quantile(drawn, 0.95))}


def calibration_draws(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """ECE under every row of bootstrap weights (R, N), see `mmsa_lib.metrics.resampling_weights`: (R,)."""
    answers, sureness = confidence(probabilities)
    member = np.eye(bins)[_places(sureness, bin_edges(sureness, bins))]
    gaps = weights @ (member * ((answers == labels) - sureness)[:, None])  # (R, bins)
    return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)


def calibration_interval(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, bins: int = BINS, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of the ECE, from `calibration_draws` moved so that their mean is the ECE itself.

    Resampling adds noise, which an absolute value turns into error: the draws as they are lie too high, and their
    percentiles may not even hold the ECE. No end is below 0.
    """
    draws = calibration_draws(probabilities, labels, weights, bins)
    found = expected_calibration_error(probabilities, labels, bins)
    low, high = np.quantile(draws - draws.mean() + found, [(1 - level) / 2, (1 + level) / 2])
    return max(0.0, float(low)), max(0.0, float(high))


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p(true class); the proper score that temperature scaling minimises."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of the distribution from the label's one-hot vector, 0 to 2."""
    return float(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1).mean())


# ----------------------------------------------------------------------------------- temperature


def scale(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, K) of logits divided by the temperature: above 1 more doubt, the same answers."""
    return softmax(np.asarray(logits, dtype=float) / temperature, axis=1)


def fit_temperature(logits: np.ndarray, labels: np.ndarray, steps: int = 100) -> float:
    """The temperature that makes labels (N,) most likely given logits (N, K); fit it on dev, never on test.

    The negative log likelihood is convex in 1/T, so Newton's method with halving where a step would leave the
    bracket finds its only minimum. A model that is never wrong has no best temperature:
    T then ends where the slope has vanished, or at a bound of [0.02, 50].
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels)
    if len(y) == 0:
        raise ValueError("a temperature needs at least one utterance to be fitted on")
    low, high = 1 / FLATTEST, 1 / SHARPEST
    sharpness = 1.0
    for _ in range(steps):
        slope, curvature = _slope(z, y, sharpness)
        low, high = (sharpness, high) if slope < 0 else (low, sharpness)
        step = sharpness - slope / max(curvature, 1e-12)
        following = step if low < step < high else (low + high) / 2
        if abs(following - sharpness) < 1e-10 * sharpness:
            break
        sharpness = following
    return float(1 / sharpness)


def _slope(z: np.ndarray, y: np.ndarray, sharpness: float) -> tuple[float, float]:
    """First and second derivative, by 1/T, of the mean negative log likelihood."""
    p = np.exp(log_softmax(sharpness * z, axis=1))
    mean = (p * z).sum(axis=1)
    return float((mean - z[np.arange(len(y)), y]).mean()), float(((p * z**2).sum(axis=1) - mean**2).mean())
