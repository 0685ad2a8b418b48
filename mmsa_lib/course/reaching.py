"""Who reaches whom: which turn's input moves which turn's answer. Used in notebooks/10."""

from collections.abc import Callable

import torch
from torch import Tensor

SMALL = 1e-6


@torch.no_grad()
def reach(answers: Callable[[int | None], Tensor], size: int) -> Tensor:
    """(size, size) bool: whether the answer for turn i (row) moves when turn j (column) is changed.

    `answers(j)` gives all answers (size, D) of a model in eval mode with turn j changed, `answers(None)` as they are.
    """
    before = answers(None)
    moved = [(answers(j) - before).abs().amax(dim=1) > SMALL for j in range(size)]
    return torch.stack(moved, dim=1)
