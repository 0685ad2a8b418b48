"""How feelings move through a dialogue: turns, the chain of feelings, and exact shares over a split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from mmsa_lib.mini.tables import FEELINGS, transition_array

KEEP_TURN = 0.12
"""Probability that a speaker goes on with another utterance before somebody else answers."""
LENGTHS = range(4, 17)
"""A dialogue's number of utterances, each equally likely (MELD: 9.6 on average)."""


def draw_turns(rng: np.random.Generator, speakers: int, length: int) -> list[int]:
    """Who speaks when: the number of the speaker of each utterance."""
    turns = [int(rng.integers(speakers))]
    while len(turns) < length:
        if rng.random() < KEEP_TURN:
            turns.append(turns[-1])
        else:
            turns.append(int(rng.choice([s for s in range(speakers) if s != turns[-1]])))
    return turns


def pasts(turns: Sequence[int], feelings: Sequence[int]) -> list[tuple[int, int]]:
    """For each utterance, (own last feeling, last feeling of somebody else); 8 means "not yet"."""
    none, last, found = len(FEELINGS), {}, []
    for speaker, feeling in zip(turns, feelings, strict=True):
        own = last.pop(speaker, none)  # taken out and put back: the dictionary's last entry spoke last
        found.append((own, next(reversed(last.values()), none)))
        last[speaker] = feeling
    return found


@cache
def _log_transitions() -> list[list[list[float]]]:
    return np.log(transition_array()).tolist()  # plain floats: the swaps below look up a million of them


def log_probability(turns: Sequence[int], feelings: Sequence[int]) -> float:
    """log P(feelings | turns)."""
    table, past = _log_transitions(), pasts(turns, feelings)
    return sum(table[own][other][f] for (own, other), f in zip(past, feelings, strict=True))


def draw_dialogue(rng: np.random.Generator, turns: Sequence[int]) -> list[int]:
    """Feelings (indices into FEELINGS) for the given turns, drawn from the chain."""
    table, feelings = transition_array(), []
    for position in range(len(turns)):
        own, other = pasts(turns[: position + 1], [*feelings, 0])[-1]
        feelings.append(int(rng.choice(len(FEELINGS), p=table[own, other])))
    return feelings


def draw_with_counts(
    rng: np.random.Generator, dialogues: Sequence[Sequence[int]], counts: Sequence[int], sweeps: int = 60
) -> list[list[int]]:
    """Feelings for several dialogues, drawn from the chain given how often each feeling occurs in all.

    Exact conditioning by Metropolis swaps: from a random arrangement with the right counts, two utterances
    trade feelings with the probability that keeps the chain's distribution. `counts` must sum to the number
    of utterances.
    """
    places = [(d, u) for d, turns in enumerate(dialogues) for u in range(len(turns))]
    bag = rng.permutation(np.repeat(np.arange(len(FEELINGS)), counts)).tolist()
    if len(bag) != len(places):
        raise ValueError(f"counts sum to {len(bag)}, but the dialogues have {len(places)} utterances")
    rest = iter(bag)
    feelings = [[next(rest) for _ in turns] for turns in dialogues]
    scores = [log_probability(turns, f) for turns, f in zip(dialogues, feelings, strict=True)]
    for _ in range(sweeps * len(places)):
        (d1, u1), (d2, u2) = (places[i] for i in rng.integers(len(places), size=2))
        if feelings[d1][u1] == feelings[d2][u2]:
            continue
        feelings[d1][u1], feelings[d2][u2] = feelings[d2][u2], feelings[d1][u1]
        changed = {d: log_probability(dialogues[d], feelings[d]) for d in (d1, d2)}
        if np.log(rng.random()) < sum(new - scores[d] for d, new in changed.items()):
            scores = [changed.get(d, score) for d, score in enumerate(scores)]
        else:
            feelings[d1][u1], feelings[d2][u2] = feelings[d2][u2], feelings[d1][u1]
    return feelings
