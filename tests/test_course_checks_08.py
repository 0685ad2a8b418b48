"""Exercise checks of lesson 08: typical wrong answers are told apart."""

from itertools import permutations

import numpy as np
import pytest
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception, registry

PLAYERS = ("text", "video", "audio")


def bins(sureness, k):
    place = np.minimum((sureness * k).astype(int), k - 1)
    return [place == b for b in range(k)]


def by_bins(combine, gap):
    """An answer to 8.2 that combines (sizes, gaps) of the bins that are not empty."""

    def answer(sureness, right, k):
        full = [inside for inside in bins(sureness, k) if inside.any()]
        gaps = np.array([gap(sureness[inside], right[inside]) for inside in full])
        return float(combine(np.array([inside.mean() for inside in full]), gaps))

    return answer


def plain_gap(sureness, right):
    return right.mean() - sureness.mean()


def nan_of_empty_bins(sureness, right, k):
    total = 0.0
    for inside in bins(sureness, k):
        gap = abs(right[inside].sum() - sureness[inside].sum()) / inside.sum() if inside.sum() else float("nan")
        total += inside.mean() * gap
    return total


def drops_certainty(sureness, right, k):
    total = 0.0
    for b in range(k):
        inside = (sureness >= b / k) & (sureness < (b + 1) / k)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sureness[inside].mean())
    return total if (sureness < 1).any() else float("nan")


def certainty_apart(sureness, right, k):
    place = (sureness * k).astype(int)
    return sum(
        (place == b).mean() * abs(right[place == b].mean() - sureness[place == b].mean()) for b in np.unique(place)
    )


def middles(sureness, right, k):
    return sum(
        inside.mean() * abs(right[inside].mean() - (b + 0.5) / k)
        for b, inside in enumerate(bins(sureness, k))
        if inside.any()
    )


def with_(before, m):
    return tuple(p for p in PLAYERS if p in before or p == m)


def over(found, weight):
    """An answer to 8.3: a weighed sum over what each modality can find."""

    def answer(v):
        return {m: sum(weight * (v[with_(b, m)] - v[b]) for b in found(m)) for m in PLAYERS}

    return answer


def orders(m):
    return [tuple(p for p in PLAYERS if p in o[: o.index(m)]) for o in permutations(PLAYERS)]


def others(m):
    return tuple(p for p in PLAYERS if p != m)


def spoils(v):
    right = over(orders, 1 / 6)(v)
    v[()] = 0.0
    return right


WRONG = {
    "8.1": [
        (lambda a, b, picks: a[picks].mean(axis=1) - b[picks].mean(axis=1), "sign is turned"),
        (lambda a, b, picks: b[picks].sum(axis=1) - a[picks].sum(axis=1).astype(int), "count of utterances"),
        (lambda a, b, picks: abs(b[picks].mean(axis=1) - a[picks].mean(axis=1)), "sign is lost"),
        (lambda a, b, picks: np.full(len(picks), b.mean() - a.mean()), "same number"),
        (lambda a, b, picks: b[picks].mean(axis=1) - a.mean(), "Only the second"),
        (lambda a, b, picks: b[picks].mean(axis=1) - a[picks[::-1]].mean(axis=1), "different resamples"),
        (lambda a, b, picks: b[picks].mean(axis=0) - a[picks].mean(axis=0), "last axis"),
        (lambda a, b, picks: (b[picks].mean(axis=1) - a[picks].mean(axis=1)).tolist(), "NumPy array"),
    ],
    "8.2": [
        (by_bins(lambda n, g: abs(g).mean(), plain_gap), "counts alike"),
        (by_bins(lambda n, g: (n * g).sum(), plain_gap), "cancel"),
        (lambda s, r, k: abs(r.mean() - s.mean()), "overall means"),
        (middles, "middle of the bin"),
        (by_bins(lambda n, g: abs(g).max(), plain_gap), "largest gap"),
        (by_bins(lambda n, g: (n * g**2).sum(), plain_gap), "squared"),
        (lambda s, r, k: abs(r - s).mean(), "each answer alone"),
        (nan_of_empty_bins, "NaN"),
        (drops_certainty, "exactly 1 falls"),
        (certainty_apart, "bin of its own"),
    ],
    "8.3": [
        (lambda v: {m: v[m,] - v[()] for m in PLAYERS}, "comes first"),
        (lambda v: {m: v[PLAYERS] - v[others(m)] for m in PLAYERS}, "comes last"),
        (lambda v: {m: (v[m,] - v[()] + v[PLAYERS] - v[others(m)]) / 2 for m in PLAYERS}, "in the middle"),
        (over(lambda m: sorted(set(orders(m))), 1 / 4), "counts alike"),
        (over(orders, 1), "divide by 6"),
        (over(orders, -1 / 6), "The sign"),
        (lambda v: dict.fromkeys(PLAYERS, (v[PLAYERS] - v[()]) / 3), "share the gain evenly"),
        (lambda v: {"text": 0.0}, "keys must be"),
        (spoils, "in place"),
    ],
}
RIGHT = {
    "8.1": lambda a, b, picks: (b[picks].astype(float) - a[picks]).mean(axis=1),
    "8.2": by_bins(lambda n, g: (n * abs(g)).sum(), plain_gap),
    "8.3": over(orders, 1 / 6),
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)


@pytest.mark.parametrize("exercise", RIGHT)
def test_a_right_answer_passes(exercise, capsys):
    registry()[exercise](RIGHT[exercise])
    assert capsys.readouterr().out == f"Exercise {exercise}: passed ✓\n"
