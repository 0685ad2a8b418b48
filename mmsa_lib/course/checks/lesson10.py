"""Checks of lesson 10: the turns before, who reaches whom, which token may look at which."""

import numpy as np
import torch

from mmsa_lib.course.checks.common import Misconception, close, exercise, expect_array, expect_tensor, unchanged


@exercise("10.1")
def past_turns(answer):
    """(N,) dialogue numbers, past -> (N, past) rows of the turns before, the farthest first, -1 where there is none."""
    dialogue, past = np.array([4, 4, 4, 4, 7, 7, 2]), 3
    with unchanged(dialogue):
        got = expect_array(answer(dialogue, past), (7, past))
    own = np.arange(7)[:, None]
    rows = own - np.arange(past, 0, -1)  # (7, 3)
    starts = np.array([0, 0, 0, 0, 4, 4, 6])[:, None]
    right = np.where(rows >= starts, rows, -1)
    after = own + np.arange(1, past + 1)
    itself = own - np.arange(past - 1, -1, -1)
    known = [
        (
            np.where(rows >= 0, rows, -1),
            "The first turns of a dialogue look into the dialogue before: compare the dialogue numbers, too.",
        ),
        (rows, "Rows are counted back past the start: row 0 has no turn before it, only -1, and no other dialogue."),
        (rows % 7, "Row 0 sees the end of the table: a negative index in NumPy counts from the end."),
        (
            np.where((rows % 7 == rows) & (dialogue[rows] == dialogue[:, None]), rows, -1)[:, ::-1],
            "The order is turned round: the farthest turn comes first, the nearest last.",
        ),
        (np.where(itself >= starts, itself, -1), "The window ends with the turn itself; only those before are wanted."),
        (
            np.where((after < 7) & (dialogue[after % 7] == dialogue[:, None]), after, -1),
            "Those are the turns *after* it: the future leaks.",
        ),
        (
            np.maximum(rows, starts),
            "Where there is no turn before, you repeat the first one. Say -1: nothing is there.",
        ),
    ]
    close(got, right, known=known, otherwise="These are not the rows of the turns before, within one dialogue.")
    close(
        expect_array(answer(np.array([4, 4, 4]), 2), (3, 2)),
        np.array([[-1, -1], [-1, 0], [0, 1]]),
        otherwise="Where there is one dialogue only, row 0 finds its end: a negative index in NumPy counts from there. "
        "Leave out rows below 0, too.",
    )


@exercise("10.2")
def reach(answer):
    """A function (N, D) -> (N, D) and an x -> (N, N) bool: whether row i of the answer moves with row j of x."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(5, 6, generator=generator)
    x[3] = 0.0
    seen = torch.tensor(
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 1], [0, 0, 1, 1, 0], [0, 0, 0, 1, 0]], dtype=torch.bool
    )

    def function(turns: torch.Tensor) -> torch.Tensor:
        """Blind to a shift and to the scale of a row, as a network is that begins with a LayerNorm."""
        return seen.float() @ torch.nn.functional.layer_norm(turns, (6,), eps=1e-12)

    with unchanged(x):
        got = expect_tensor(answer(function, x), (5, 5))
    if got.dtype != torch.bool:
        raise Misconception(f"Booleans are wanted, not {got.dtype}: compare the change with a small number.")
    anywhere, no_zeros = seen.any(dim=0, keepdim=True).expand(5, 5), seen.clone()
    no_zeros[:, 3] = False
    known = [
        (seen.T, "Rows and columns are exchanged: the judged turn is the row, the changed one the column."),
        (
            torch.zeros(5, 5),
            "Nothing seems to reach anything: was every number of the row moved or scaled alike? A model that begins "
            "with a LayerNorm is blind to that. Move each number by another amount.",
        ),
        (no_zeros, "A row of zeros was not changed by what you do to it. Add something instead."),
        (anywhere, "You ask whether the answer changed *anywhere*. Ask for each row on its own."),
        (~seen, "That is where nothing moves: the comparison is the wrong way round."),
        (seen & ~torch.eye(5, dtype=torch.bool), "A turn may well reach its own answer: keep the diagonal."),
        (seen.cummax(dim=1).values, "The changes pile up: begin with a fresh copy of x for each row."),
        (
            torch.tril(seen),
            "Only the past was asked. The point is to find out whether something comes from the future.",
        ),
    ]
    close(got, seen, known=known, otherwise="This is not which row of x moves which row of the answer.")


@exercise("10.3")
def visible(answer):
    """(L,) turn of each token, -1 for padding, and past -> (L, L) bool: whether token i may look at token j."""
    row = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, -1, -1])
    size, past = len(row), 1
    with unchanged(row):
        got = expect_tensor(answer(row, past), (size, size))
    if got.dtype != torch.bool:
        raise Misconception(f"A mask of booleans is wanted, not of {got.dtype}.")
    distance, itself = row[:, None] - row, torch.eye(size, dtype=torch.bool)
    place = torch.arange(size)[:, None] - torch.arange(size)
    real, near = row >= 0, (distance >= 0) & (distance <= past)
    right = near & real | itself
    both = (distance.abs() <= past) & real | itself
    within = "Padding is looked at: its number -1 is one less than that of turn 0. Leave out columns of padding."
    known = [
        (right.T, "Row and column are exchanged: turns look at later ones, the future leaks."),
        (both, "Turns on both sides are seen; `past` counts only those before."),
        (near, within),
        (near | itself, within),
        (
            near & real,
            "A row of padding may look at nothing, and a softmax over nothing is NaN. Let every token see itself.",
        ),
        (right & (place >= 0), "Inside its own turn a token may look ahead: only *later turns* are hidden."),
        (
            (place >= 0) & (place <= past) & real | itself,
            "You count tokens. `past` counts turns: compare the turns of two tokens.",
        ),
        ((distance >= 0) & real | itself, "Any earlier turn is seen; only `past` of them are allowed."),
        ((distance == 0) & real | itself, "Every turn is alone: the turns before are hidden."),
        ((distance > 0) & (distance <= past) & real | itself, "A token does not see the rest of its own turn."),
    ]
    close(got, right, known=known, otherwise="This mask opens or closes other pairs of tokens than it should.")
    close(
        expect_tensor(answer(row, 2), (size, size)),
        (distance >= 0) & (distance <= 2) & real | itself,
        known=[
            (right, "`past` makes no difference: with 2 a token sees one turn more than with 1."),
            (
                ((distance == 0) | (distance == 2)) & real | itself,
                "With 2 only the turn exactly two back is seen; those between are hidden.",
            ),
        ],
        otherwise="With a `past` of 2 other pairs of tokens are open than should be.",
    )
