"""How a head, its eyes and its gaze move through a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmsa_lib.mini.look import Pose
from mmsa_lib.mini.plan import Cue

# emotion -> usual (pitch, roll, gaze right, gaze down): a sad head hangs, a disgusted one turns away
HABITS: dict[str, tuple[float, float, float, float]] = {
    "neutral": (0.0, 0.0, 0.0, 0.0),
    "joy": (-0.02, 0.03, 0.0, 0.0),
    "sadness": (0.09, 0.03, 0.0, 0.40),
    "surprise": (-0.05, 0.0, 0.0, -0.05),
    "fear": (-0.02, 0.0, 0.15, 0.0),
    "anger": (0.05, 0.0, 0.0, -0.05),
    "disgust": (-0.02, 0.05, 0.25, 0.10),
}


@dataclass(frozen=True)
class Motion:
    """Tracks of length T over a clip."""

    poses: tuple[Pose, ...]
    blink: np.ndarray  # (T,) 0 open .. 1 shut
    gaze: np.ndarray  # (T, 2) right and down, about -1..1


def head_and_eyes(cue: Cue, times: np.ndarray, mouth: np.ndarray, rng: np.random.Generator) -> Motion:
    """Draw the movement of a clip; `mouth` (T,) makes the head nod along with the speech."""
    pitch, roll, right, down = np.array(HABITS[cue.shown]) * cue.strength * rng.uniform(0.3, 1.3)
    turn = float(rng.choice([-1.0, 1.0]))
    yaw = np.clip(rng.normal(0, 0.15), -0.3, 0.3) + _sway(times, rng, 0.05)
    nod = pitch + rng.normal(0, 0.05) + _sway(times, rng, 0.025) + 0.04 * _slow(mouth) * rng.uniform(0, 1.5)
    tilt = turn * roll + rng.normal(0, 0.045) + _sway(times, rng, 0.02)
    x, y = _sway(times, rng, 0.035), _sway(times, rng, 0.02) + 0.05 * nod
    gaze = _saccades(times, rng) + np.array([turn * right, down])
    poses = tuple(Pose(*map(float, row)) for row in zip(yaw, nod, tilt, x, y, strict=True))
    return Motion(poses, _blinks(times, rng), np.clip(gaze, -1.0, 1.0))


def _sway(times: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    """Slow irregular movement (T,): three sines of random speed and phase."""
    speeds, phases = rng.uniform(0.8, 4.2, 3), rng.uniform(0, 2 * np.pi, 3)
    weights = rng.normal(0, size, 3) / np.sqrt(speeds)
    return (weights[:, None] * np.sin(speeds[:, None] * times + phases[:, None])).sum(0)


def _slow(mouth: np.ndarray) -> np.ndarray:
    if len(mouth) < 5:
        return mouth - mouth.mean()
    smooth = np.convolve(np.pad(mouth, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return smooth - smooth.mean()


def _blinks(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One blink each 1.5 to 5 seconds, closing faster than it opens."""
    blink = np.zeros(len(times))
    moment = rng.uniform(-0.5, 3.0)
    while len(times) and moment < times[-1] + 0.2:
        since = times - moment
        blink = np.maximum(blink, np.where(since < 0, 1 + since / 0.09, 1 - since / 0.17))
        moment += rng.uniform(1.5, 5.0)
    return np.clip(blink, 0.0, 1.0)


def _saccades(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaze (T, 2) that rests on a partner beside the camera and jumps away now and then."""
    partner = np.array([rng.normal(0, 0.35), rng.normal(0.05, 0.1)])
    gaze = np.tile(partner, (len(times), 1))
    moment = rng.uniform(0.3, 2.0)
    while len(times) and moment < times[-1]:
        end = moment + rng.uniform(0.2, 0.8)
        gaze[(times >= moment) & (times < end)] += rng.normal(0, (0.4, 0.18))
        moment = end + rng.uniform(0.4, 2.0)
    return gaze
