"""The written lines: reading them, sharing them out among the splits, and choosing one for an utterance."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LINES = Path(__file__).with_name("lines.csv")
BUCKETS = ((1, 4, 0.22), (5, 7, 0.27), (8, 10, 0.26), (11, 18, 0.25))
"""(fewest words, most words, share): the length classes come in these shares whatever an utterance expresses
and whatever its speaker feels, so that the number of words says nothing about the emotion."""
SHARES = {"test": 0.27, "dev": 0.13}
"""Shares of the lines that go to these splits; the rest is for training."""
AMBIGUOUS_SHARE = 0.3
"""Of the lines with a neutral look, how many could be said in any mood ("Oh my God."), not only in none."""


@dataclass(frozen=True)
class Line:
    """One written line. `shows` is a feeling or "ambiguous"; `degree` is "plain" or "mild"; `sarcasm` says
    that the line suits sarcasm too (it is drawn for sincere joy all the same)."""

    text: str
    shows: str
    degree: str
    sarcasm: bool

    @property
    def words(self) -> int:
        """Number of words."""
        return len(self.text.split())

    @property
    def bucket(self) -> int:
        """Index into BUCKETS."""
        return next(i for i, (low, high, _) in enumerate(BUCKETS) if low <= self.words <= high)


def read_lines(path: Path = LINES) -> list[Line]:
    """All lines, in the order of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Line(row["text"], row["shows"], row["degree"], row["sarcasm"] == "1") for row in csv.DictReader(file)]


Stratum = tuple[str, str, int]  # shows, degree, bucket


def share_out(lines: list[Line], rng: np.random.Generator) -> dict[str, dict[Stratum, list[Line]]]:
    """Deal the lines to the splits, stratum by stratum: no line goes to two splits."""
    strata: dict[Stratum, list[Line]] = defaultdict(list)
    for line in lines:
        strata[line.shows, line.degree, line.bucket].append(line)
    dealt: dict[str, dict[Stratum, list[Line]]] = {"train": {}, "dev": {}, "test": {}}
    for stratum in sorted(strata):
        deck = [strata[stratum][i] for i in rng.permutation(len(strata[stratum]))]
        for split, share in SHARES.items():
            size = max(1, round(share * len(strata[stratum])))
            dealt[split][stratum], deck = deck[:size], deck[size:]
        dealt["train"][stratum] = deck
    return dealt


class Prompter:
    """Hands out one split's lines: always one of those used least so far."""

    def __init__(self, lines: dict[Stratum, list[Line]], rng: np.random.Generator) -> None:
        self.lines, self.rng = lines, rng
        self.used: dict[str, int] = defaultdict(int)
        self.drawn: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(BUCKETS)))

    def _bucket(self, truth: str) -> int:
        """The length class that is furthest behind its share among utterances of the true feeling."""
        drawn, shares = self.drawn[truth], np.array([share for *_, share in BUCKETS])
        behind = shares * (drawn.sum() + 1) - drawn + self.rng.uniform(0, 0.5, len(BUCKETS))
        drawn[behind.argmax()] += 1
        return int(behind.argmax())

    def line(self, truth: str, feeling: str, level: str) -> Line:
        """A line that displays `feeling` at `level` ("strong", "weak" or "neutral") when `truth` is felt."""
        bucket, shows = self._bucket(truth), feeling
        if feeling == "neutral" and self.rng.random() < AMBIGUOUS_SHARE:
            shows = "ambiguous"
        candidates = self.lines[shows, "mild" if level == "weak" else "plain", bucket]
        fewest = min(self.used[line.text] for line in candidates)
        freshest = [line for line in candidates if self.used[line.text] == fewest]
        chosen = freshest[int(self.rng.integers(len(freshest)))]
        self.used[chosen.text] += 1
        return chosen
