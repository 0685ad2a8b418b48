"""Checks of lesson 08: the paired bootstrap, the calibration error, Shapley values."""

from itertools import permutations

import numpy as np

from mmsa_lib.course.checks.common import (
    Misconception,
    close,
    exercise,
    expect_array,
    expect_number,
    expect_type,
    unchanged,
)

PLAYERS = ("text", "video", "audio")


@exercise("8.1")
def paired_differences(answer):
    """(N,) bool, (N,) bool, (R, N) indices -> (R,): accuracy of the second minus the first on the same utterances."""
    rng = np.random.default_rng(8)
    first, second = rng.random(30) < 0.55, rng.random(30) < 0.55  # whose differences have both signs
    picks = rng.integers(0, 30, (50, 30))
    with unchanged(first, second, picks):
        got = expect_array(answer(first, second, picks))
    right = second[picks].mean(axis=1) - first[picks].mean(axis=1)
    if got.ndim == 0 or got.shape == (30,):
        raise Misconception(
            "One number a resample is wanted, (R,): index with all of `picks`, then average over its last axis."
        )
    expect_array(got, (50,))
    known = [
        (-right, "The sign is turned round: second minus first, so that a better second model is above zero."),
        (right * 30, "That is a count of utterances. Divide by N: an accuracy is a mean."),
        (np.abs(right), "The sign is lost. Without it the interval can never hold zero."),
        (
            np.full(50, second.mean() - first.mean()),
            "All resamples give the same number: the utterances that `picks` names are not used.",
        ),
        (
            second[picks].mean(axis=1) - first.mean(),
            "Only the second model is asked about the resample. Paired means: both, about the same utterances.",
        ),
        (
            second[picks].mean(axis=1) - first[picks[::-1]].mean(axis=1),
            "The two models are asked about different resamples, so the luck of the draw does not cancel.",
        ),
        (second[picks].mean(axis=1), "That is the accuracy of the second model. The difference is wanted."),
    ]
    close(got, right, known=known, otherwise="This is not the difference of two accuracies on each row of `picks`.")


@exercise("8.2")
def calibration_error(answer):
    """(N,), (N,) bool, bins -> one number: the mean gap of accuracy and confidence, weighed by the size of the bins."""
    rng = np.random.default_rng(2)
    sureness = np.round(rng.beta(4, 2, 90), 3) + 0.0003  # on no edge
    sureness = sureness[sureness < 0.999]
    right = rng.random(len(sureness)) < 0.5  # too modest in the low bins, too sure in the high ones
    with unchanged(sureness, right):
        got = expect_number(answer(sureness, right, 5))
    place = np.minimum((sureness * 5).astype(int), 4)
    full = [place == b for b in range(5) if (place == b).any()]
    gaps = np.array([right[inside].mean() - sureness[inside].mean() for inside in full])
    sizes = np.array([inside.mean() for inside in full])
    middles = np.array([(b + 0.5) / 5 for b in range(5) if (place == b).any()])
    accuracies = np.array([right[inside].mean() for inside in full])
    known = [
        (np.abs(gaps).mean(), "Every bin counts alike here. Weigh each by the share of utterances in it."),
        ((sizes * gaps).sum(), "Gaps of different sign cancel. Take the absolute value in each bin, before the sum."),
        (
            abs(right.mean() - sureness.mean()),
            "That is the gap of the two overall means, where too sure and not sure enough cancel: bins first.",
        ),
        (
            (sizes * np.abs(accuracies - middles)).sum(),
            "You compare with the middle of the bin. Compare with the mean confidence of the answers in it.",
        ),
        (np.abs(gaps).max(), "That is the largest gap (the maximum calibration error); the mean one is wanted."),
        ((sizes * gaps**2).sum(), "The gaps are squared; the calibration error takes their absolute value."),
        (np.abs(right - sureness).mean(), "That is the gap of each answer alone. Average inside a bin, then compare."),
        (np.abs(gaps).sum() / 5, "Empty bins count as perfect here, and every bin counts alike: weigh by size."),
    ]
    expected = (sizes * np.abs(gaps)).sum()
    close(got, expected, known=known, otherwise="This is not the mean of |accuracy - confidence| over bins by size.")
    few = expect_number(answer(np.array([0.95, 0.85]), np.array([True, False]), 10))
    if np.isnan(few):
        raise Misconception("With few utterances the result is NaN: an empty bin has no mean. Pass over it.")
    close(few, 0.45, otherwise="On two utterances in two bins, [0.95, 0.85], one right, the error should be 0.45.")
    if np.isnan(certain := expect_number(answer(np.array([1.0]), np.array([True]), 10))) or certain != 0:
        raise Misconception("A confidence of exactly 1 falls out of the last bin: it belongs in it.")
    close(
        expect_number(answer(np.array([0.91, 1.0]), np.array([True, False]), 10)),
        0.455,
        known=[(0.545, "A confidence of exactly 1 has a bin of its own: it belongs in the last one.")],
        otherwise="For [0.91, 1.0], the first one right, and 10 bins the error should be 0.455.",
    )


@exercise("8.3")
def shapley(answer):
    """{set: value} -> {modality: what it adds, averaged over all orders of arrival}."""
    rng = np.random.default_rng(3)
    sets = [tuple(m for i, m in enumerate(PLAYERS) if mask >> i & 1) for mask in range(8)]
    values = {s: float(rng.random()) for s in sets}
    with unchanged(values):
        got = expect_type(answer(values), dict)
    if set(got) != set(PLAYERS):
        raise Misconception(f"The keys must be text, video and audio, not {', '.join(map(str, got)) or 'none'}.")
    shown = np.array([expect_number(got[m], f"the value of {m}") for m in PLAYERS])
    close(
        shown,
        _mean_over(values, lambda before: 1 / 6, orders=True),
        known=[
            (_alone(values), "That is what each is worth alone: only the orders in which it comes first."),
            (_removed(values), "That is what removal costs: only the orders in which it comes last."),
            ((_alone(values) + _removed(values)) / 2, "First and last places only: it can also arrive in the middle."),
            (
                _mean_over(values, lambda before: 1 / 4),
                "Every set found on arrival counts alike. The empty set and the full pair are found in two orders "
                "each, a single modality in one.",
            ),
            (_mean_over(values, lambda before: 1, orders=True), "That is the sum over the six orders; divide by 6."),
            (
                -_mean_over(values, lambda before: 1 / 6, orders=True),
                "The sign: the set with it minus the set without.",
            ),
            (
                np.full(3, (values[PLAYERS] - values[()]) / 3),
                "You share the gain evenly. What each adds depends on who is there already.",
            ),
        ],
        otherwise="This is not what each modality adds, averaged over the six orders. (They should sum to "
        "v(all) - v(nothing).)",
    )


def _with(before: tuple[str, ...], m: str) -> tuple[str, ...]:
    return tuple(p for p in PLAYERS if p in before or p == m)


def _alone(values: dict) -> np.ndarray:
    return np.array([values[m,] - values[()] for m in PLAYERS])


def _removed(values: dict) -> np.ndarray:
    return np.array([values[PLAYERS] - values[tuple(p for p in PLAYERS if p != m)] for m in PLAYERS])


def _mean_over(values: dict, share, orders: bool = False) -> np.ndarray:
    """What each adds, weighed by `share`: over the six orders, or over the four sets that it can find."""
    found = []
    for m in PLAYERS:
        arrivals = [tuple(p for p in PLAYERS if p in o[: o.index(m)]) for o in permutations(PLAYERS)]
        arrivals = arrivals if orders else sorted(set(arrivals))
        found.append(sum(share(b) * (values[_with(b, m)] - values[b]) for b in arrivals))
    return np.array(found)
