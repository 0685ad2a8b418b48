"""Pretrains `r3d_mini`: from eight small frames of a drawn face, predict the drawing's action units.

The faces belong to characters drawn from seeds that the data set never uses, and their action units are
random sets, not the emotions' prototypes: the network learns what a face does, never what it means. Its
part is the one that Kinetics plays for R3D-18.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
from mmsa_lib.mini.random_faces import FRAMES, SIDE, TARGETS, examples
from mmsa_lib.preprocess import standardise


@dataclass(frozen=True)
class Recipe:
    """Everything a pretraining depends on."""

    steps: int = 1000
    batch: int = 24
    fresh: int = 6  # new clips each step; the rest of a batch are earlier ones, augmented anew
    held_out: int = 400
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0

    @property
    def clips(self) -> int:
        """How many clips are drawn for training."""
        return self.batch + self.fresh * self.steps


def augment(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, shift by up to 3 pixels, light and noise: (B, T, H, W, 3) uint8 -> (B, 3, T, H, W) uint8.

    None of it changes an action unit: the units here are the same on both sides of the face.
    """
    batch = frames.shape[0]
    x = frames.permute(0, 4, 1, 2, 3).float()
    flip = torch.rand(batch, generator=generator) < 0.5
    x = torch.where(flip.view(-1, 1, 1, 1, 1), x.flip(-1), x)
    shifts = torch.randint(-3, 4, (batch, 2), generator=generator).tolist()
    x = torch.stack([torch.roll(clip, tuple(shift), (-2, -1)) for clip, shift in zip(x, shifts, strict=True)])
    contrast = 1 + 0.15 * torch.randn(batch, 1, 1, 1, 1, generator=generator)
    tint = 1 + 0.05 * torch.randn(batch, 3, 1, 1, 1, generator=generator)
    noise = torch.rand(batch, 1, 1, 1, 1, generator=generator) * 5
    x = (x - 118) * contrast + 118 * tint + noise * torch.randn(x.shape, generator=generator)
    return x.clamp(0, 255).to(torch.uint8)


# ---------------------------------------------------------------------------------------- training


class ActionUnitRegressor(nn.Module):
    """The backbone and a linear layer: (B, 3, T, H, W) standardised frames -> (B, 3, A)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = build_r3d_mini()
        self.head = nn.Linear(R3DMini.width, len(TARGETS) * len(ACTION_UNITS))

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.backbone(frames)).view(-1, len(TARGETS), len(ACTION_UNITS))


class Reservoir:
    """All clips drawn so far, in memory: frames (N, 8, 64, 64, 3) uint8 and targets (N, 3, A)."""

    def __init__(self, capacity: int) -> None:
        self.frames = torch.empty((capacity, FRAMES, SIDE, SIDE, 3), dtype=torch.uint8)
        self.targets = torch.empty((capacity, len(TARGETS), len(ACTION_UNITS)))
        self.count = 0

    def take(self, source: Iterator[tuple[np.ndarray, np.ndarray]], amount: int) -> None:
        """Add the next `amount` examples of a source."""
        for _ in range(amount):
            frames, targets = next(source)
            self.frames[self.count] = torch.from_numpy(frames)
            self.targets[self.count] = torch.from_numpy(targets)
            self.count += 1

    def batch(self, size: int, newest: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The `newest` clips and random earlier ones."""
        old = torch.randint(0, self.count, (size - newest,), generator=generator)
        chosen = torch.cat([torch.arange(self.count - newest, self.count), old])
        return self.frames[chosen], self.targets[chosen]


def train(recipe: Recipe, jobs: int = 2, progress: bool = True) -> tuple[ActionUnitRegressor, list[float]]:
    """Pretrain from random weights; returns the model in eval mode and the loss of every step."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    model = ActionUnitRegressor().to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_cosine(step, recipe.steps))
    source = examples(range(recipe.clips), recipe.seed, jobs)
    reservoir, losses = Reservoir(recipe.clips), []
    reservoir.take(source, recipe.batch)
    spec = video_spec("r3d_mini")
    bar = tqdm(range(recipe.steps), desc="pretraining r3d_mini", unit="step", disable=not progress)
    for _ in bar:
        reservoir.take(source, recipe.fresh)
        frames, targets = reservoir.batch(recipe.batch, recipe.fresh, generator)
        inputs = standardise(augment(frames, generator), spec)
        loss = nn.functional.mse_loss(model(inputs.contiguous(memory_format=torch.channels_last_3d)), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}")
    return model.eval(), losses


def _warm_cosine(step: int, steps: int) -> float:
    """The learning rate's factor: up over the first twentieth, then down along a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@torch.inference_mode()
def score(
    model: ActionUnitRegressor, recipe: Recipe, jobs: int = 2
) -> dict[str, dict[str, dict[str, float]]]:
    """R^2 and correlation on characters never drawn in training: target -> unit -> {"r2", "r"}."""
    start = 500_000  # indices far beyond any training
    source = examples(range(start, start + recipe.held_out), recipe.seed, jobs)
    reservoir = Reservoir(recipe.held_out)
    reservoir.take(source, recipe.held_out)
    spec, predicted = video_spec("r3d_mini"), []
    for frames in reservoir.frames.split(recipe.batch):
        predicted.append(model(standardise(frames.permute(0, 4, 1, 2, 3), spec)))
    guess, truth = torch.cat(predicted).double().numpy(), reservoir.targets.double().numpy()
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


def make_report(recipe: Recipe, losses: list[float], table: dict) -> dict:
    """What the JSON beside the weights says."""
    average = {
        k: {m: round(float(np.mean([v[m] for v in t.values()])), 3) for m in ("r2", "r")}
        for k, t in table.items()
    }
    return {
        "what": "r3d_mini, R3D-18 at a quarter of the width, pretrained to predict facial action units",
        "data": "faces drawn for this purpose: random characters and random action units, no emotion, no clip "
        "of the data set",
        "recipe": asdict(recipe)
        | {"clips": recipe.clips, "frames": FRAMES, "side": SIDE, "loss": "mean squared error"},
        "action_units": {f"AU{unit}": AU_NAMES[unit] for unit in ACTION_UNITS},
        "loss": {"first": round(losses[0], 4), "last": round(float(np.mean(losses[-100:])), 4)},
        "held_out_average": average,
        "held_out": table,
    }


app = typer.Typer(add_completion=False)


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Where the weights go.")] = R3D_MINI_WEIGHTS,
    steps: Annotated[
        int, typer.Option(min=1, help="Optimiser steps of 24 clips, 6 of them new.")
    ] = Recipe.steps,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = Recipe.seed,
    jobs: Annotated[int, typer.Option(min=0, help="Processes that draw.")] = 2,
) -> None:
    """Pretrain r3d_mini on freshly drawn faces and write its weights and their report."""
    recipe = Recipe(steps=steps, seed=seed)
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
