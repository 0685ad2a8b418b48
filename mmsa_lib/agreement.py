"""How well heard words and found utterances agree with the true ones. Derived in notebooks/09."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Span = tuple[float, float]


class WordErrors(NamedTuple):
    """The fewest edits that turn what was said into what was heard, by kind."""

    substituted: int
    deleted: int
    inserted: int
    words: int  # in the reference

    @property
    def rate(self) -> float:
        """Word error rate; NaN for a reference without words, above 1 where more is wrong than was said."""
        return (self.substituted + self.deleted + self.inserted) / self.words if self.words else float("nan")


def normalise(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation; apostrophes inside words stay."""
    return re.findall(r"\w+(?:'\w+)*", text.lower().replace("’", "'"))


def word_errors(reference: str | Sequence[str], heard: str | Sequence[str]) -> WordErrors:
    """Levenshtein's distance over words, texts being normalised first; one row of the table is kept at a time."""
    said = normalise(reference) if isinstance(reference, str) else list(reference)
    got = normalise(heard) if isinstance(heard, str) else list(heard)
    row = [(j, 0, 0, j) for j in range(len(got) + 1)]  # edits, substituted, deleted, inserted
    for i, word in enumerate(said, start=1):
        diagonal, row[0] = row[0], (i, 0, i, 0)
        for j, other in enumerate(got, start=1):
            e, s, d, n = diagonal
            ways = [(e, s, d, n) if word == other else (e + 1, s + 1, d, n)]
            e, s, d, n = row[j]
            ways.append((e + 1, s, d + 1, n))
            e, s, d, n = row[j - 1]
            ways.append((e + 1, s, d, n + 1))
            diagonal, row[j] = row[j], min(ways, key=lambda way: way[0])
    return WordErrors(*row[-1][1:], len(said))


class Segmentation(NamedTuple):
    """Of the true utterances: found as one, cut in several, joined with a neighbour, missed."""

    one: int
    cut: int
    joined: int
    missed: int


def match(truth: Sequence[Span], found: Sequence[Span]) -> list[int | None]:
    """For each true utterance the found one that covers most of it (s), None where none does."""
    if not found:
        return [None] * len(truth)
    shared = _overlaps(truth, found)
    return [int(row.argmax()) if row.max() > 0 else None for row in shared]


def segmentation(truth: Sequence[Span], found: Sequence[Span], tolerance: float = 0.25) -> Segmentation:
    """How each true utterance fares; an overlap of less than `tolerance` seconds does not count."""
    counted = _overlaps(truth, found) > tolerance  # (true, found)
    counts = dict.fromkeys(Segmentation._fields, 0)
    for row in counted:
        if not row.any():
            counts["missed"] += 1
        elif (counted[:, row].sum(axis=0) > 1).any():
            counts["joined"] += 1
        else:
            counts["one" if row.sum() == 1 else "cut"] += 1
    return Segmentation(**counts)


def _overlaps(truth: Sequence[Span], found: Sequence[Span]) -> np.ndarray:
    """(true, found) seconds in common."""
    a, b = (np.asarray(spans, float).reshape(-1, 2) for spans in (truth, found))
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    return np.maximum(shared, 0)
