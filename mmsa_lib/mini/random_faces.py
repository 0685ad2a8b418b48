"""Random faces that show random action units, single or in short clips: what `r3d_mini` is pretrained on.

The characters come from seeds that the data set never uses. Nothing here knows of an emotion. (Kept apart
from `pretrain`, so that the processes that draw need no torch.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing import get_context

import cv2
import numpy as np

from mmsa_lib.mini.action_units import ACTION_UNITS, timeline
from mmsa_lib.mini.canvas import seeded
from mmsa_lib.mini.characters import draw_character
from mmsa_lib.mini.expression import Expression
from mmsa_lib.mini.face import FPS, paint
from mmsa_lib.mini.look import Pose, look_of
from mmsa_lib.mini.motion import head_and_eyes
from mmsa_lib.mini.plan import Cue
from mmsa_lib.mini.scene import make_scene

FRAMES, SIDE = 8, 64
FIRST_SEED = 1_000_000_000  # characters of the data set have seeds far below
TARGETS = ("mean", "apex", "change")
"""What is predicted of each unit of a clip: its mean, its largest value, second half minus first half of the clip."""


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


def plain_units(rng: np.random.Generator) -> np.ndarray:
    """Amplitudes (A,) of a random third of the action units, all of them well visible."""
    return (rng.random(len(ACTION_UNITS)) < 0.35) * rng.uniform(0.4, 1.0, len(ACTION_UNITS))


def draw_frame(index: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One plain example: a frame (1, 64, 64, 3) uint8 RGB and its units (1, A) float32."""
    cv2.setNumThreads(1)
    rng = seeded(FIRST_SEED, seed, index, 1)
    character = draw_character("passer-by", FIRST_SEED + seed * 1_000_000 + index)
    units = plain_units(rng)
    turn = rng.normal(0, (0.15, 0.06, 0.05, 0.03, 0.02)).clip(-0.35, 0.35)
    mouth = rng.random() * (rng.random() < 0.4)
    gaze = rng.normal(0, (0.35, 0.2)).clip(-1, 1)
    moment = Expression(dict(zip(ACTION_UNITS, units.tolist(), strict=True)), mouth, 0.0, (gaze[0], gaze[1]))
    scene = make_scene(character, (FIRST_SEED, seed, index), supersample=3)
    frame = paint(look_of(character), scene, moment, Pose(*turn.tolist()))
    return _film([frame], rng), units[None].astype(np.float32)


def draw_clip(index: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
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


Drawer = Callable[[int, int], tuple[np.ndarray, np.ndarray]]  # index, seed -> frames, targets


def _draw(task: tuple[Drawer, int, int]) -> tuple[np.ndarray, np.ndarray]:
    drawer, index, seed = task
    return drawer(index, seed)


def examples(drawer: Drawer, indices: range, seed: int, jobs: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Examples in the order of `indices`, drawn by `jobs` processes (0: in this one)."""
    tasks = ((drawer, index, seed) for index in indices)
    if jobs == 0:
        yield from map(_draw, tasks)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_draw, tasks, chunksize=8)
