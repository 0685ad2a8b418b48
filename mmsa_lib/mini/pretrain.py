"""Pretrains `r3d_mini`: from small pictures of a drawn face, predict the drawing's action units.

First a flat twin of the network sees single frames with plainly visible units, then it is inflated and sees
clips of eight frames as they are in the data set: from nothing, clips alone teach it nothing for a long time.

The faces belong to characters drawn from seeds that the data set never uses, and their action units are
random sets, not the emotions' prototypes: the network learns what a face does, never what it means. Its
part is the one that Kinetics plays for R3D-18.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from mmsa_lib.backbones import R3D_MINI_WEIGHTS, R3DMini, build_r3d_mini, video_spec
from mmsa_lib.errors import DataError
from mmsa_lib.mini.action_units import ACTION_UNITS, AU_NAMES
from mmsa_lib.mini.inflate import flat_twin, inflate
from mmsa_lib.mini.random_faces import SIDE, TARGETS, draw_clip, draw_frame, examples
from mmsa_lib.preprocess import standardise


@dataclass(frozen=True)
class Stage:
    """One of the two trainings that follow each other."""

    steps: int
    batch: int
    fresh: int  # new examples each step; the rest of a batch are earlier ones
    learning_rate: float
    scale: tuple[float, ...]  # usual size of each target, which makes the losses comparable

    @property
    def examples(self) -> int:
        """How many examples are drawn."""
        return self.batch + self.fresh * self.steps


@dataclass(frozen=True)
class Recipe:
    """Everything a pretraining depends on."""

    frames: Stage = Stage(4000, 32, 8, 2e-3, (0.36,))
    clips: Stage = Stage(800, 16, 4, 1e-3, (0.18, 0.27, 0.11))
    held_out: int = 400
    weight_decay: float = 1e-3
    seed: int = 0


# ---------------------------------------------------------------------------------------- training


class ActionUnitRegressor(nn.Module):
    """A backbone, 2-D or 3-D, that predicts R targets of each action unit.

    `head` reads the pooled features, which are what stays. `local` also sees where in the picture they
    were found: it is thrown away, but makes the first steps several times as quick.
    """

    def __init__(self, backbone: nn.Module, scale: tuple[float, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self.shape = (len(scale), len(ACTION_UNITS))
        outputs = len(scale) * len(ACTION_UNITS)
        self.head = nn.Linear(R3DMini.width, outputs)
        self.local = nn.Linear(R3DMini.width * (SIDE // 16) ** 2, outputs)
        for layer in (self.head, self.local):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("scale", torch.tensor(scale)[:, None])

    def both(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised frames (B, 3, [T,] 64, 64) -> two predictions (B, R, A), pooled and local."""
        net = self.backbone
        maps = net.layer4(net.layer3(net.layer2(net.layer1(net.stem(frames)))))
        maps = maps.mean(2) if maps.dim() == 5 else maps  # (B, 128, 4, 4)
        pooled, local = self.head(maps.mean((2, 3))), self.local(maps.flatten(1))
        return tuple(x.view(-1, *self.shape) * self.scale for x in (pooled, local))

    def forward(self, frames: Tensor) -> Tensor:
        """Standardised frames (B, 3, [T,] 64, 64) -> (B, R, A)."""
        return self.both(frames)[0]

    def loss(self, frames: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of both predictions, in units of the targets' usual size."""
        errors = [((guess - targets) / self.scale).square().mean() for guess in self.both(frames)]
        return sum(errors) / 2


class Reservoir:
    """All examples drawn so far, in memory: frames (N, T, 64, 64, 3) uint8 and targets (N, R, A)."""

    def __init__(self, source: Iterator[tuple[np.ndarray, np.ndarray]], capacity: int) -> None:
        self.source, self.capacity, self.count = source, capacity, 0

    def take(self, amount: int) -> None:
        """Add the next `amount` examples of the source."""
        for _ in range(amount):
            frames, targets = next(self.source)
            if self.count == 0:
                self.frames = torch.empty((self.capacity, *frames.shape), dtype=torch.uint8)
                self.targets = torch.empty((self.capacity, *targets.shape))
            self.frames[self.count] = torch.from_numpy(frames)
            self.targets[self.count] = torch.from_numpy(targets)
            self.count += 1

    def batch(self, size: int, newest: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The `newest` examples and random earlier ones, frames mirrored at random (units are symmetric)."""
        old = torch.randint(0, self.count, (size - newest,), generator=generator)
        chosen = torch.cat([torch.arange(self.count - newest, self.count), old])
        frames = self.frames[chosen]
        flip = torch.rand(size, generator=generator) < 0.5
        return torch.where(flip.view(-1, 1, 1, 1, 1), frames.flip(3), frames), self.targets[chosen]


def _inputs(frames: Tensor) -> Tensor:
    """(B, T, H, W, 3) uint8 -> standardised (B, 3, T, H, W), or (B, 3, H, W) where T is 1."""
    x = standardise(frames.permute(0, 4, 1, 2, 3), video_spec("r3d_mini"))
    if x.shape[2] == 1:
        return x[:, :, 0].contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last_3d)


def fit(
    model: ActionUnitRegressor, stage: Stage, reservoir: Reservoir, recipe: Recipe, name: str | None
) -> list[float]:
    """Train in place through one stage; returns the loss of every step. Without a name no bar is shown."""
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), stage.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_cosine(step, stage.steps))
    reservoir.take(stage.batch)
    losses = []
    bar = tqdm(range(stage.steps), desc=name, unit="step", disable=name is None)
    for _ in bar:
        reservoir.take(stage.fresh)
        frames, targets = reservoir.batch(stage.batch, stage.fresh, generator)
        loss = model.loss(_inputs(frames), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{np.mean(losses[-100:]):.3f}")
    return losses


def train(recipe: Recipe, jobs: int = 1, progress: bool = True) -> tuple[ActionUnitRegressor, dict]:
    """Pretrain from random weights, on frames and then on clips.

    Returns the model in eval mode and the losses of every step, {"frames": [...], "clips": [...]}.
    """
    torch.manual_seed(recipe.seed)
    backbone, losses = build_r3d_mini(), {}
    flat = ActionUnitRegressor(flat_twin(backbone), recipe.frames.scale).to(memory_format=torch.channels_last)
    model = ActionUnitRegressor(backbone, recipe.clips.scale)
    stages = (("frames", draw_frame, recipe.frames, flat), ("clips", draw_clip, recipe.clips, model))
    for name, drawer, stage, trained in stages:
        if name == "clips":
            inflate(flat.backbone, backbone)
            model.to(memory_format=torch.channels_last_3d)
        source = examples(drawer, range(stage.examples), recipe.seed, jobs)
        reservoir = Reservoir(source, stage.examples)
        losses[name] = fit(trained, stage, reservoir, recipe, f"r3d_mini, {name}" if progress else None)
    return model.eval(), losses


def _warm_cosine(step: int, steps: int) -> float:
    """The learning rate's factor: up over the first twentieth, then down along a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@torch.inference_mode()
def score(model: ActionUnitRegressor, recipe: Recipe, jobs: int = 1) -> dict[str, dict[str, dict[str, float]]]:
    """R^2 and correlation on characters never drawn in training: target -> unit -> {"r2", "r"}."""
    start = 500_000  # indices far beyond any training
    reservoir = Reservoir(
        examples(draw_clip, range(start, start + recipe.held_out), recipe.seed, jobs), recipe.held_out
    )
    reservoir.take(recipe.held_out)
    guess = torch.cat([model(_inputs(frames)) for frames in reservoir.frames.split(16)]).double().numpy()
    truth = reservoir.targets.double().numpy()
    r2, r = agreement(guess, truth)
    return {
        name: {
            f"AU{unit}": {"r2": round(float(r2[k, i]), 3), "r": round(float(r[k, i]), 3)}
            for i, unit in enumerate(ACTION_UNITS)
        }
        for k, name in enumerate(TARGETS)
    }


def agreement(guess: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R^2 and Pearson's r along the first axis; both are 0 where either side never varies."""
    spread, error = truth - truth.mean(0), guess - truth
    total, own = (spread**2).sum(0), ((guess - guess.mean(0)) ** 2).sum(0)
    varied = (total > 1e-12) & (own > 1e-12)
    r2 = np.where(varied, 1 - (error**2).sum(0) / np.maximum(total, 1e-12), 0.0)
    r = np.where(varied, (spread * guess).sum(0) / np.sqrt(np.maximum(total * own, 1e-24)), 0.0)
    return r2, r


# ------------------------------------------------------------------------------------------ saving


def half(model: ActionUnitRegressor) -> dict[str, Tensor]:
    """The backbone's weights in float16 (counters too: they are small whole numbers)."""
    return {name: tensor.half().contiguous() for name, tensor in model.backbone.state_dict().items()}


def save(model: ActionUnitRegressor, report: dict, out: Path) -> None:
    """Write the backbone as float16 safetensors, and the report both into its metadata and beside it."""
    if out.suffix != ".safetensors":
        raise DataError(f"{out}: the weights' file name must end in .safetensors")
    out.parent.mkdir(parents=True, exist_ok=True)
    staged, beside = out.with_suffix(".tmp"), out.with_suffix(".json")
    metadata = {key: json.dumps(value, sort_keys=True) for key, value in report.items()}
    save_file(half(model), staged, metadata=metadata)
    os.replace(staged, out)
    staged.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(staged, beside)


def make_report(recipe: Recipe, losses: dict[str, list[float]], table: dict) -> dict:
    """What the JSON beside the weights says."""
    average = {
        target: {m: round(float(np.mean([unit[m] for unit in units.values()])), 3) for m in ("r2", "r")}
        for target, units in table.items()
    }
    return {
        "what": "r3d_mini, R3D-18 at a quarter of the width, pretrained to predict facial action units",
        "data": "faces drawn for this purpose: random characters and random action units, no emotion, no clip "
        "of the data set",
        "recipe": asdict(recipe) | {"optimizer": "AdamW, warm-up and cosine", "loss": "mean squared error"},
        "action_units": {f"AU{unit}": AU_NAMES[unit] for unit in ACTION_UNITS},
        "loss": {
            name: {"first": round(values[0], 4), "last": round(float(np.mean(values[-100:])), 4)}
            for name, values in losses.items()
        },
        "held_out_average": average,
        "held_out": table,
    }


app = typer.Typer(add_completion=False)


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Where the weights go.")] = R3D_MINI_WEIGHTS,
    effort: Annotated[float, typer.Option(min=0.001, help="Multiplies the number of steps.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = Recipe.seed,
    jobs: Annotated[int, typer.Option(min=0, help="Processes that draw.")] = 1,
) -> None:
    """Pretrain r3d_mini on freshly drawn faces and write its weights and their report."""
    frames, clips = (
        replace(stage, steps=max(1, round(effort * stage.steps))) for stage in (Recipe.frames, Recipe.clips)
    )
    recipe = Recipe(frames, clips, seed=seed)
    model, losses = train(recipe, jobs)
    model.backbone.load_state_dict({k: v.float() for k, v in half(model).items()})  # score what is saved
    report = make_report(recipe, losses, score(model, recipe, jobs))
    save(model, report, out)
    for name, values in report["held_out_average"].items():
        print(f"{name:>7}: R2 {values['r2']:.3f}  r {values['r']:.3f}")
    print(out)


def main(args: list[str]) -> None:
    """Run the command with the given arguments."""
    app(args=args, prog_name="python -m mmsa_lib.mini pretrain")
