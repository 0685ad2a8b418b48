"""Checks of lesson 07: clipping by the common length, early stopping, an exact checkpoint."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsa_lib.course.checks.common import Misconception, close, exercise, expect_tensor, expect_type, same, unchanged


@exercise("7.1")
def clip(answer):
    """List of gradients, limit -> list scaled to the limit by one common factor."""
    large = [torch.tensor([[3.0, -4.0], [0.0, 12.0]]), torch.tensor([84.0])]  # lengths 13 and 84, together 85
    small = [torch.tensor([0.3, 0.4]), torch.tensor([[-1.2]])]  # lengths 0.5 and 1.2, together 1.3
    with unchanged(*large):
        got = _gradients(answer(large, 8.5), large)
    ones = [g.clamp(-8.5, 8.5) for g in large]
    each = [g * min(1.0, 8.5 / float(g.norm())) for g in large]
    largest = [g * 8.5 / 84 for g in large]
    squared = [g * 8.5 / 85**2 for g in large]
    ninety_seven = [g * 8.5 / 97 for g in large]
    close(
        _flat(got),
        _flat([g * 0.1 for g in large]),
        known=[
            (_flat(ones), "Every number is clamped for itself: that turns the gradient. Scale all by one factor."),
            (_flat(each), "Each tensor is clipped by its own length; take the length of all of them together."),
            (_flat(largest), "The length is the root of the sum of squares, not the largest entry."),
            (_flat(squared), "The root is missing: you divide by the squared length."),
            (_flat(ninety_seven), "The lengths of the tensors are added; add their squares, then take the root."),
            (_flat(large), "A gradient longer than the limit comes back as it was."),
            (_flat([g / 85 for g in large]), "The result has the length 1; it should have the length max_norm."),
        ],
        otherwise="The clipped gradients are not the given ones times max_norm / length.",
    )
    close(
        _flat(_gradients(answer(small, 17.0), small)),
        _flat(small),
        known=[(_flat([g * 17 / 1.3 for g in small]), "A gradient shorter than the limit was stretched; leave it.")],
        otherwise="A gradient shorter than the limit must come back as it is.",
    )
    zeros = [torch.zeros(2), torch.zeros(1)]
    close(_flat(_gradients(answer(zeros, 1.0), zeros)), torch.zeros(3), otherwise="A gradient of zeros must stay zero.")


def _gradients(value: object, given: list[Tensor]) -> list[Tensor]:
    got = list(expect_type(value, (list, tuple)))
    if len(got) != len(given):
        raise Misconception(f"{len(given)} gradients go in, {len(got)} come out.")
    return [expect_tensor(g, tuple(old.shape), name="a gradient") for g, old in zip(got, given, strict=True)]


def _flat(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.detach().flatten() for g in gradients])


@exercise("7.2")
def early_stopping(answer):
    """Scores of the epochs, patience -> (kept epoch, last epoch), counted from 1."""
    scores = [0.30, 0.50, 0.40, 0.50, 0.60, 0.55, 0.58, 0.60, 0.20, 0.10, 0.05, 0.90]
    got = _pair(answer(list(scores), 3))
    same(
        got,
        (5, 8),
        known=[
            ((4, 7), "Epochs are counted from 1, not from 0."),
            ((12, 12), "The epochs after the stop are never trained; their scores must not be seen."),
            ((5, 9), "Too late: after epoch 8 there were already 3 epochs without a better score."),
            ((8, 11), "An equal score is not a better one: the first of them is kept."),
            ((8, 8), "The kept epoch is that of the best score, not the last one trained."),
            ((5, 6), "The count of bad epochs must start anew after a better one."),
            ((5, 7), "Too early: count the epochs since the best one; at 3 of them it ends."),
            ((1, 4), "Higher is better: these are scores, not losses."),
        ],
        otherwise=f"For {scores} with patience 3 the answer is not {got}.",
    )
    same(
        _pair(answer([0.1, 0.2, 0.3], 2)),
        (3, 3),
        otherwise="If the scores rise to the end, the last epoch is kept, and all are trained.",
    )
    same(
        _pair(answer([-0.5, -0.7, -0.6, -0.4], 2)),
        (1, 3),
        known=[((0, 2), "Scores may be negative: start from minus infinity, not from zero.")],
        otherwise="Scores may be negative: start from minus infinity, not from zero.",
    )
    same(
        _pair(answer([0.5, 0.4, 0.6, 0.5, 0.4, 0.3], 2)),
        (3, 5),
        known=[((3, 4), "The count of bad epochs must start anew after a better one.")],
        otherwise="The count of bad epochs must start anew after a better one.",
    )


def _pair(value: object) -> tuple:
    got = expect_type(value, (tuple, list))
    if len(got) != 2:
        raise Misconception("Two numbers are wanted: the kept epoch and the last one.")
    return tuple(int(x) for x in got)


@exercise("7.3")
def checkpoint(save, restore):
    """`save(model, optimizer, epoch)` -> dict, `restore(model, optimizer, state)` -> epoch: an exact resume."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, optimizer = _training()
        _steps(model, optimizer, 4)
        state = expect_type(save(model, optimizer, 5), dict, name="what save returns")
        kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        _steps(model, optimizer, 3)
        wanted = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        _resume(restore, state, kept, wanted)
        _resume(restore, state, kept, wanted, again=True)


def _training() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    return model, torch.optim.Adam(model.parameters(), lr=0.05)


def _steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    """Training on data that do not depend on the random generator, with dropout that does."""
    x = torch.linspace(-1, 1, 60).reshape(10, 6).sin()
    y = torch.arange(10) % 3
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def _resume(restore: Callable, state: dict, kept: dict, wanted: dict, again: bool = False) -> None:
    torch.manual_seed(99)
    model, optimizer = _training()
    epoch = restore(model, optimizer, state)
    found = model.state_dict()
    if not again and not _equal(found, kept):
        if _equal(found, wanted):
            raise Misconception(
                "What was saved has changed while training went on: state_dict() holds the tensors themselves. Copy."
            )
        if not _equal(
            {k: v for k, v in found.items() if "1." in k[:2]}, {k: v for k, v in kept.items() if "1." in k[:2]}
        ):
            raise Misconception("The weights are not back: BatchNorm's statistics or all of them are missing.")
        raise Misconception("The weights are not those of the moment of saving.")
    if epoch != 5:
        raise Misconception(f"restore must return the epoch, 5 here; it returns {epoch!r}.")
    entries = optimizer.state_dict()["state"]
    if not entries:
        raise Misconception("The optimiser is as good as new: Adam's averages are not saved or not put back.")
    _steps(model, optimizer, 3)
    if _equal(model.state_dict(), wanted):
        return
    if again:
        raise Misconception("A second restore from the same dictionary fails: the first training has changed it.")
    if {int(entry["step"]) for entry in entries.values()} != {7}:
        raise Misconception(
            "Adam's averages are not those of the moment of saving: copy the optimiser's state_dict() deeply, too."
        )
    raise Misconception("Dropout differs after the resume: the state of the random generator is missing.")


def _equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in b)
