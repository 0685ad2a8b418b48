"""Trainings looked at from outside: epoch by epoch, killed, resumed, read back. For notebooks/07."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from mmsa_lib.trainer import MultimodalTrainer

VALLEY_START = (-4.0, 1.5)


def smoothing_floor(num_classes: int, smoothing: float) -> float:
    """The lowest cross-entropy that smoothed labels allow: the entropy of the targets, in nats."""
    low = smoothing / num_classes
    high = 1 - smoothing + low
    return -high * math.log(high) - (num_classes - 1) * low * math.log(low)


def batch_floor(inputs: Tensor, labels: Tensor, num_classes: int, smoothing: float) -> float:
    """The lowest mean cross-entropy of a batch, in nats, where equal inputs (N, D) with other labels (N,) occur.

    They get one answer; the best is the mean of their smoothed targets.
    """
    same = (inputs[:, None] == inputs).all(dim=2).float()  # (N, N)
    targets = functional.one_hot(labels, num_classes) * (1 - smoothing) + smoothing / num_classes
    best = same @ targets / same.sum(dim=1, keepdim=True)
    return -(targets * best.log()).sum(dim=1).mean().item()


def height(x, y):
    """A valley 30 times steeper across (y) than along (x), of numbers, arrays or tensors."""
    return 0.5 * x**2 + 15 * y**2


def walk(make: Callable[[list[Tensor]], object], steps: int = 80, scale: float = 1.0) -> Tensor:
    """The way (steps, 2) of an optimiser, made by `make([place])`, down `scale` times the valley."""
    place = torch.tensor(VALLEY_START, requires_grad=True)
    optimizer, path = make([place]), []
    for _ in range(steps):
        path.append(place.detach().clone())
        place.grad = None
        (scale * height(*place)).backward()
        optimizer.step()
    return torch.stack(path)


# --------------------------------------------------------------------------------- epoch by epoch


def watch(trainers: Iterable[MultimodalTrainer], test_loader: DataLoader, epochs: int) -> dict[str, np.ndarray]:
    """Trainings of which nothing is hidden: name -> (trainers, epochs).

    `rate`; `loss`, `dev` and `test` (weighted F1 of the emotion) of the weights after each epoch; `averaged_dev` and
    `averaged_test` of their running average. The scheduler goes on by the loss of the weights themselves. One
    trainer is asked for after the other, so a generator lets each start from its own seed.
    """
    columns = ("rate", "loss", "dev", "test", "averaged_loss", "averaged_dev", "averaged_test")
    rows = []
    for trainer in trainers:
        rows.append([])
        for _ in range(epochs):
            rate = trainer.optimizer.param_groups[0]["lr"]
            trainer.train_epoch()
            own = _look(trainer, test_loader)
            with trainer.average.applied():
                rows[-1].append([rate, *own, *_look(trainer, test_loader)])
            trainer.scheduler.step(own[0])
    return dict(zip(columns, np.moveaxis(np.array(rows), 2, 0), strict=True))


def pick(values: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """From each training of (trainings, epochs) the value of one epoch, counted from 0: (trainings,)."""
    return values[np.arange(len(values)), epochs]


def _look(trainer: MultimodalTrainer, test_loader: DataLoader) -> list[float]:
    """Dev loss, dev F1, test F1. Looking takes no random numbers away from the training."""
    with torch.random.fork_rng():
        loss, dev = trainer.evaluate(trainer.val_loader)
        _, test = trainer.evaluate(test_loader)
    return [loss["total"], dev["emotion_weighted_f1"], test["emotion_weighted_f1"]]


# ------------------------------------------------------------------------------ killed and read back


class PowerCut(Exception):
    """What ends a training in the middle of a batch."""


def fit_until_power_cut(trainer: MultimodalTrainer, epochs: int, batch: int) -> None:
    """Train, and be killed at the given training batch, counted from 1 over all epochs."""
    seen = 0

    def pull_the_plug(module: nn.Module, inputs: object) -> None:
        nonlocal seen
        seen += module.training
        if seen == batch:
            raise PowerCut

    hook = trainer.unwrapped.register_forward_pre_hook(pull_the_plug)
    try:
        trainer.fit(epochs)
    except PowerCut:
        pass
    finally:
        hook.remove()


def numbers_in(part: object) -> int:
    """How many numbers the tensors of a checkpoint's part hold."""
    if isinstance(part, Tensor):
        return part.numel()
    values = part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ()
    return sum(map(numbers_in, values))


def read_events(folder: Path) -> pd.DataFrame:
    """The scalars of a run's TensorBoard events as a history, as `MultimodalTrainer.fit` returns it: a row an epoch."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        name = "_".join(reversed(tag.split("/")))  # loss_total/train -> train_loss_total
        curves[name] = {event.step: event.value for event in events.Scalars(tag)}
    table = pd.DataFrame(curves).sort_index()
    table.index.name = "epoch"
    return table.drop(columns="epoch", errors="ignore").reset_index()


def open_tensorboard(folder: Path) -> None:
    """TensorBoard's dashboard of all runs below a folder, below a notebook's cell; its server stays in the background.

    The program is looked for beside this Python, too: a kernel's PATH need not know it.
    """
    from tensorboard import notebook

    beside = Path(sys.executable).with_name("tensorboard")
    if beside.exists():
        os.environ.setdefault("TENSORBOARD_BINARY", str(beside))
    notebook.start(f"--logdir {folder}")
