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
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from mmsa_lib.backbones import R3D_MINI_WEIGHTS, R3DMini, build_r3d_mini, video_spec
from mmsa_lib.errors import DataError
from mmsa_lib.mini.action_units import ACTION_UNITS, AU_NAMES, timeline
from mmsa_lib.mini.canvas import seeded
from mmsa_lib.mini.characters import draw_character
from mmsa_lib.mini.face import FPS, Expression, paint
from mmsa_lib.mini.look import look_of
from mmsa_lib.mini.motion import head_and_eyes
from mmsa_lib.mini.plan import Cue
from mmsa_lib.mini.scene import make_scene
from mmsa_lib.preprocess import standardise

FRAMES, SIDE = 8, 64
FIRST_SEED = 1_000_000_000  # characters of the data set have seeds far below
TARGETS = ("mean", "apex", "change")
"""What is predicted of each unit: its mean, its largest value, second half minus first half of the clip."""


@dataclass(frozen=True)
class Recipe:
    """Everything a pretraining depends on."""

    steps: int = 1600
    batch: int = 32
    fresh: int = 8  # new clips each step; the rest of a batch are earlier ones, augmented anew
    held_out: int = 400
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0
    bfloat16: bool = False

    @property
    def clips(self) -> int:
        """How many clips are drawn for training."""
        return self.batch + self.fresh * self.steps


# ---------------------------------------------------------------------------------------- examples


def random_units(rng: np.random.Generator) -> np.ndarray:
    """Amplitudes (A,) in [0, 1] of a random set of up to seven action units."""
    apex = np.zeros(len(ACTION_UNITS))
    active = rng.choice(len(ACTION_UNITS), rng.integers(0, 8), replace=False)
    apex[active] = rng.uniform(0.1, 1.0, len(active))
    return apex


def babble(duration: float, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mouth openings (T,) as of speech: syllables at about 5 Hz inside a random stretch of the clip."""
    start, end = np.sort(rng.uniform(-0.2, 1.2, 2)) * duration
    speed, phase = rng.uniform(3.5, 6.5), rng.uniform(0, 2 * np.pi)
    syllables = np.clip(np.sin(np.pi * speed * times + phase) ** 2 * rng.uniform(0.2, 1.1, len(times)), 0, 1)
    return syllables * ((times > start) & (times < end))


def draw_example(index: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One example: frames (8, 64, 64, 3) uint8 RGB and targets (3, A) float32, see `TARGETS`.

    Every index is another character; held-out examples take indices of their own.
    """
    cv2.setNumThreads(1)
    rng = seeded(FIRST_SEED, seed, index)
    character = draw_character("passer-by", FIRST_SEED + seed * 1_000_000 + index)
    duration = rng.uniform(1.0, 5.0)
    steps = np.linspace(0, max(round(duration * FPS) - 1, FRAMES - 1), FRAMES).round()
    times = (steps + 0.5) / FPS
    tracks = timeline(random_units(rng), times, rng)
    mouth = babble(duration, times, rng)
    motion = head_and_eyes(Cue("neutral", 0.0, 0, "absent"), times, mouth, rng)
    gaze = np.clip(motion.gaze + rng.normal(0, (0.1, 0.15)), -1, 1)
    look, scene = look_of(character), make_scene(character, (FIRST_SEED, seed, index), supersample=3)
    frames = []
    for i in range(FRAMES):
        units = dict(zip(ACTION_UNITS, tracks[i].tolist(), strict=True))
        moment = Expression(units, float(mouth[i]), float(motion.blink[i]), (gaze[i, 0], gaze[i, 1]))
        frames.append(paint(look, scene, moment, motion.poses[i]))
    return _film(frames, rng), targets_of(tracks)


def targets_of(tracks: np.ndarray) -> np.ndarray:
    """Targets (3, A) float32 of amplitudes (T, A)."""
    half = len(tracks) // 2
    change = tracks[half:].mean(0) - tracks[:half].mean(0)
    return np.stack([tracks.mean(0), tracks.max(0), change]).astype(np.float32)


def _film(frames: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Compress as a video would (blocks, coarse colour), now and then blur, and scale down to 64x64."""
    quality, blur = int(rng.integers(35, 96)), rng.uniform(0.3, 0.9) if rng.random() < 0.3 else 0.0
    method = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
    small = np.empty((len(frames), SIDE, SIDE, 3), np.uint8)
    for i, frame in enumerate(frames):
        _, code = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        frame = cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]
        frame = cv2.GaussianBlur(frame, (0, 0), blur) if blur else frame
        small[i] = cv2.resize(frame, (SIDE, SIDE), interpolation=method)
    return small


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


def _example(task: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return draw_example(*task)


def examples(indices: range, seed: int, jobs: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Examples in the order of `indices`, drawn by `jobs` processes (0: in this one)."""
    tasks = ((index, seed) for index in indices)
    if jobs == 0:
        yield from map(_example, tasks)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_example, tasks, chunksize=4)


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
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.bfloat16):
            predicted = model(inputs.contiguous(memory_format=torch.channels_last_3d))
        loss = nn.functional.mse_loss(predicted.float(), targets)
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
    residual = ((guess - truth) ** 2).sum(0)
    r2 = 1 - residual / ((truth - truth.mean(0)) ** 2).sum(0)
    table = {}
    for k, name in enumerate(TARGETS):
        table[name] = {
            f"AU{unit}": {
                "r2": round(float(r2[k, i]), 3),
                "r": round(float(np.corrcoef(guess[:, k, i], truth[:, k, i])[0, 1]), 3),
            }
            for i, unit in enumerate(ACTION_UNITS)
        }
    return table


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
        int, typer.Option(min=1, help="Optimiser steps of 32 clips, 8 of them new.")
    ] = Recipe.steps,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = Recipe.seed,
    jobs: Annotated[int, typer.Option(min=0, help="Processes that draw.")] = 2,
    bfloat16: Annotated[bool, typer.Option(help="Half the time on processors that know it.")] = False,
) -> None:
    """Pretrain r3d_mini on freshly drawn faces and write its weights and their report."""
    recipe = Recipe(steps=steps, seed=seed, bfloat16=bfloat16)
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
