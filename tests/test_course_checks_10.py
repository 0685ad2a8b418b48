"""Exercise checks of lesson 10: typical wrong answers are told apart."""

import numpy as np
import pytest
import torch
from exercises import cases, judge

from mmsa_lib.context import Packs
from mmsa_lib.course.checks import Misconception, registry


def rows_before(dialogue, past):
    return np.arange(len(dialogue))[:, None] - np.arange(past, 0, -1)


def past_turns(dialogue, past):
    rows = rows_before(dialogue, past)
    return np.where((rows >= 0) & (dialogue[rows] == dialogue[:, None]), rows, -1)


def without_a_floor(dialogue, past):
    rows = rows_before(dialogue, past)
    return np.where(dialogue[rows] == dialogue[:, None], rows, -1)


def with_itself(dialogue, past):
    rows = rows_before(dialogue, past) + 1
    return np.where((rows >= 0) & (dialogue[rows] == dialogue[:, None]), rows, -1)


def after(dialogue, past):
    rows = np.arange(len(dialogue))[:, None] + np.arange(1, past + 1)
    inside = rows < len(dialogue)
    return np.where(inside & (dialogue[np.where(inside, rows, 0)] == dialogue[:, None]), rows, -1)


def repeats_the_first(dialogue, past):
    first = np.array([np.flatnonzero(dialogue == d)[0] for d in dialogue])
    return np.maximum(rows_before(dialogue, past), first[:, None])


def spoils(dialogue, past):
    found = past_turns(dialogue, past)
    dialogue[:] = 0
    return found


def reach_by(change, compare=lambda new, old: (new - old).abs().amax(dim=1) > 1e-6, keep=lambda found: found):
    """An answer to 10.2 that changes row j of a copy with `change`."""

    def answer(function, x):
        found = torch.zeros(len(x), len(x), dtype=torch.bool)
        for j in range(len(x)):
            changed = x.clone()
            changed[j] = change(changed[j])
            found[:, j] = compare(function(changed), function(x))
        return keep(found)

    return answer


def noise(row):
    return row + torch.linspace(-1, 2, len(row)) ** 2


def piles_up(function, x):
    changed, found = x.clone(), torch.zeros(len(x), len(x), dtype=torch.bool)
    for j in range(len(x)):
        changed[j] = noise(changed[j])
        found[:, j] = (function(changed) - function(x)).abs().amax(dim=1) > 1e-6
    return found


def in_place(function, x):
    before = function(x)
    found = []
    for j in range(len(x)):
        x[j] += torch.randn(x.shape[1])
        found.append((function(x) - before).abs().amax(dim=1) > 1e-6)
    return torch.stack(found, dim=1)


def visible(row, past):
    return Packs(row[None], row[None], row[None] >= 0).visible(past, 0)[0]


def distance(row):
    return row[:, None] - row


def itself(row):
    return torch.eye(len(row), dtype=torch.bool)


def tokens_apart(row):
    return torch.arange(len(row))[:, None] - torch.arange(len(row))


def near(row, past):
    return (distance(row) >= 0) & (distance(row) <= past)


WRONG = {
    "10.1": [
        (lambda d, p: np.maximum(rows_before(d, p), -1), "dialogue before"),
        (rows_before, "counted back past the start"),
        (lambda d, p: rows_before(d, p) % len(d), "negative index"),
        (lambda d, p: past_turns(d, p)[:, ::-1], "turned round"),
        (with_itself, "the turn itself"),
        (after, "future leaks"),
        (without_a_floor, "one dialogue only"),
        (repeats_the_first, "repeat the first"),
        (lambda d, p: past_turns(d, p).tolist(), "NumPy array"),
        (lambda d, p: past_turns(d, p).T, "another order"),
        (spoils, "in place"),
    ],
    "10.2": [
        (reach_by(noise, keep=lambda found: found.T), "exchanged"),
        (reach_by(lambda row: row + 1), "blind"),
        (reach_by(lambda row: 3 * row), "blind"),
        (reach_by(torch.zeros_like), "row of zeros"),
        (reach_by(noise, compare=lambda new, old: ((new - old).abs() > 1e-6).any()), "anywhere"),
        (reach_by(noise, keep=lambda found: ~found), "wrong way round"),
        (reach_by(noise, keep=lambda found: found & ~torch.eye(5, dtype=torch.bool)), "diagonal"),
        (reach_by(noise, keep=torch.tril), "Only the past"),
        (piles_up, "pile up"),
        (in_place, "in place"),
        (reach_by(noise, keep=lambda found: found.float()), "Booleans"),
    ],
    "10.3": [
        (lambda row, past: visible(row, past).T, "exchanged"),
        (lambda row, past: (distance(row).abs() <= past) & (row >= 0) | itself(row), "both sides"),
        (near, "Padding is looked at"),
        (lambda row, past: near(row, past) | itself(row), "Padding is looked at"),
        (lambda row, past: near(row, past) & (row >= 0), "NaN"),
        (lambda row, past: visible(row, past).tril(), "look ahead"),
        (lambda row, past: (tokens_apart(row).abs() <= past).tril() & (row >= 0) | itself(row), "count tokens"),
        (lambda row, past: (distance(row) >= 0) & (row >= 0) | itself(row), "Any earlier turn"),
        (lambda row, past: visible(row, 0), "alone"),
        (lambda row, past: visible(row, 1), "no difference"),
        (
            lambda row, past: ((distance(row) == 0) | (distance(row) == past)) & (row >= 0) | itself(row),
            "those between",
        ),
        (lambda row, past: near(row, past) & (distance(row) > 0) & (row >= 0) | itself(row), "rest of its own turn"),
        (lambda row, past: visible(row, past).float(), "booleans"),
    ],
}
RIGHT = {"10.1": past_turns, "10.2": reach_by(noise), "10.3": visible}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)


@pytest.mark.parametrize("exercise", RIGHT)
def test_a_right_answer_passes(exercise, capsys):
    registry()[exercise](RIGHT[exercise])
    assert capsys.readouterr().out == f"Exercise {exercise}: passed ✓\n"
