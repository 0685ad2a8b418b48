"""Scores by speaker, by length, by place in the dialogue, and which differences are noise. Derived in notebooks/08."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmsa_lib.calibration import wilson

SECONDS = (2, 4, 6)  # where one class of clip lengths ends and the next begins
TURNS = (1, 3, 6, 10)  # the last utterance of a dialogue, counted from 1, that belongs to each class of places
OTHERS, UNKNOWN = "all others", "unknown"


def groupings(table: pd.DataFrame, most_speakers: int = 8) -> dict[str, pd.Categorical]:
    """The ways to cut a split: name -> (N,) the group of each utterance, groups in their natural order.

    `speaker` (the commonest ones, the rest together), `clip length` (by the times of the rows; where no row has any,
    `words` of the text instead), `place in the dialogue`.
    """
    commonest = table["speaker"].value_counts().index[:most_speakers].tolist()
    speakers = table["speaker"].where(table["speaker"].isin(commonest), OTHERS)
    turns = table.groupby("dialogue_id")["utterance_id"].rank(method="first")
    return {
        "speaker": pd.Categorical(speakers, [*commonest, OTHERS] if OTHERS not in commonest else commonest),
        **_lengths(table),
        "place in the dialogue": _classes(turns, TURNS, ["first", "2 to 3", "4 to 6", "7 to 10", "after 10"]),
    }


def _lengths(table: pd.DataFrame) -> dict[str, pd.Categorical]:
    seconds = table["end"] - table["start"]
    if seconds.notna().any():
        return {"clip length": _classes(seconds, SECONDS, ["0 to 2 s", "2 to 4 s", "4 to 6 s", "over 6 s"])}
    words = table["text"].str.split().str.len()
    return {"words": _classes(words, (4, 10), ["1 to 4 words", "5 to 10 words", "over 10 words"])}


def _classes(values: pd.Series, ends: Sequence[float], names: Sequence[str]) -> pd.Categorical:
    """Classes of numbers (N,), each holding its upper end; what is not a number is `unknown`."""
    places = np.searchsorted(ends, values.fillna(0).to_numpy(dtype=float), side="left")
    return pd.Categorical(np.where(values.notna(), np.array(names)[places], UNKNOWN), [*names, UNKNOWN])


def by_group(
    labels: np.ndarray,
    predictions: np.ndarray,
    groups: Sequence[str] | np.ndarray | pd.Categorical,
    *,
    level: float = 0.95,
    permutations: int = 2000,
    seed: int = 0,
) -> dict:
    """Accuracy of each group of utterances, and whether groups differ by more than chance.

    Args:
        labels, predictions: (N,).
        groups: (N,) the name of each utterance's group.

    Returns `p` of the whole, see `permutation_test`, and `groups`, a row for each that occurs (in the order of the
    categories, else of appearance): `name`, `n`, `accuracy`, `low`, `high` (Wilson's interval), `expected` (the
    accuracy that its mix of true classes would have anyway), and `noise`: whether the difference between the two
    may be chance, by its own permutation test after Bonferroni.
    """
    order = groups.categories if isinstance(groups, pd.Categorical) else dict.fromkeys(np.asarray(groups).tolist())
    groups = np.asarray(groups)
    names = [name for name in order if (groups == name).any()]
    member = np.array([names.index(name) for name in groups.tolist()], dtype=int)
    right, sizes = (predictions == labels).astype(float), np.bincount(member)
    expected = np.bincount(member, weights=explained(right, labels)) / sizes
    accuracy = np.bincount(member, weights=right) / sizes
    p, each = permutation_test(right, member, labels, permutations, seed)
    low, high = wilson(accuracy, sizes, level)
    columns = zip(names, sizes, accuracy, low, high, expected, each, strict=True)
    rows = [
        {
            "name": str(name),
            "n": int(n),
            "accuracy": float(a),
            "low": float(lo),
            "high": float(hi),
            "expected": float(e),
            "noise": bool(own * len(names) >= 1 - level),
        }
        for name, n, a, lo, hi, e, own in columns
    ]
    return {"p": p, "groups": rows}


def explained(right: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """(N,) the mean of `right` over the utterances of the same stratum."""
    place = np.unique(strata, return_inverse=True)[1]
    return (np.bincount(place, weights=right) / np.bincount(place))[place]


def permutation_test(
    right: np.ndarray, member: np.ndarray, strata: np.ndarray, permutations: int = 2000, seed: int = 0
) -> tuple[float, np.ndarray]:
    """How often chance alone makes groups differ as much as they do.

    Args:
        right: (N,) whether each answer is right.
        member: (N,) the number of each utterance's group, from 0.
        strata: (N,) such as the true class. Answers are shuffled inside a stratum only, so that a group that merely
            has more of an easy class does not count as different.

    Returns p of all groups together (the statistic is the spread of their accuracies about what their strata
    explain) and p of each group alone (G,), not corrected for their number.
    """
    excess, sizes = right - explained(right, strata), np.bincount(member)
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    sums = np.empty((permutations + 1, len(sizes)))
    for row in sums:
        row[:] = np.bincount(member, weights=excess)  # the first one is what was observed
        for at in places:
            excess[at] = excess[rng.permutation(at)]
    spread = (sums**2 / sizes).sum(axis=1)
    as_far = np.abs(sums[1:]) >= np.abs(sums[0]) - 1e-9
    as_spread = spread[1:] >= spread[0] - 1e-9
    return float((1 + as_spread.sum()) / (1 + permutations)), (1 + as_far.sum(axis=0)) / (1 + permutations)


def chance_gaps(
    right: np.ndarray, groups: Sequence | np.ndarray, tries: int = 2000, seed: int = 0
) -> tuple[float, np.ndarray]:
    """Accuracy of the best group minus that of the worst, and the same (tries,) for groups that mean nothing.

    The latter have the same sizes and are drawn at random. `right` (N,) says which answers are right.
    """
    member, rng = np.unique(np.asarray(groups), return_inverse=True)[1], np.random.default_rng(seed)
    sizes, right = np.bincount(member), np.asarray(right, dtype=float)
    shuffled = rng.permuted(np.broadcast_to(right, (tries, len(right))), axis=1)
    shares = np.vstack([right, shuffled]) @ np.eye(len(sizes))[member] / sizes  # (1 + tries, groups)
    gaps = np.ptp(shares, axis=1)
    return float(gaps[0]), gaps[1:]


def noise_words(found: Mapping, level: float = 0.05) -> str:
    """One sentence on whether the groups of `by_group` differ."""
    if len(found["groups"]) < 2:
        return "There is one group only; nothing to compare."
    odd = [row["name"] for row in found["groups"] if not row["noise"]]
    if found["p"] >= level:
        return f"The groups differ no more than chance would make them (permutation test, p = {found['p']:.2f})."
    named = f": {', '.join(odd)} stands out" if odd else ", though no single group stands out"
    return f"The groups differ by more than chance (permutation test, p = {found['p']:.3f}){named}."
