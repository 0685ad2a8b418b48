"""Facial action units: which muscles an emotion moves, how far, and when.

Action units (AUs) are the visible muscle actions of the Facial Action Coding System (P. Ekman & W. V.
Friesen, 1978; revised with J. C. Hager, 2002). The prototypes follow EMFACS (Friesen & Ekman, 1983):
joy 6+12, sadness 1+4+15, surprise 1+2+5+26, fear 1+2+4+5+20+26, anger 4+5+7+23, disgust 9+15+17 with the
upper lip raised (10). The amplitudes and the odds are this project's own.
"""

from __future__ import annotations

import numpy as np

from mmsa_lib.mini.plan import Cue

ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 25, 26)
AU_NAMES: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    25: "lips part",
    26: "jaw drop",
}
AU_INDEX: dict[int, int] = {au: i for i, au in enumerate(ACTION_UNITS)}

PROTOTYPES: dict[str, dict[int, tuple[float, float]]] = {
    "neutral": {},
    "joy": {6: (0.75, 0.97), 12: (0.9, 1), 25: (0.5, 0.74), 26: (0.3, 0.3), 2: (0.3, 0.25)},
    "sadness": {1: (0.85, 0.97), 4: (0.5, 0.87), 15: (0.8, 0.94), 17: (0.5, 0.71), 7: (0.3, 0.3)},
    "surprise": {1: (0.85, 1), 2: (0.9, 1), 5: (0.75, 0.94), 25: (0.6, 0.87), 26: (0.75, 0.9)},
    "fear": {
        1: (0.85, 0.97),
        2: (0.5, 0.84),
        4: (0.6, 0.9),
        5: (0.85, 0.97),
        20: (0.85, 0.9),
        25: (0.5, 0.74),
        26: (0.35, 0.45),
    },
    "anger": {
        4: (0.95, 1),
        5: (0.45, 0.71),
        7: (0.7, 0.9),
        23: (0.75, 0.87),
        17: (0.35, 0.35),
        10: (0.3, 0.25),
    },
    "disgust": {
        9: (0.9, 0.94),
        10: (0.8, 0.9),
        17: (0.5, 0.74),
        15: (0.4, 0.68),
        4: (0.4, 0.68),
        7: (0.4, 0.68),
        6: (0.3, 0.3),
    },
}
"""emotion -> action unit -> (usual amplitude, odds that an expression uses it)."""

SURPRISE_VARIANTS: dict[int, dict[int, tuple[float, float]]] = {
    1: {12: (0.45, 0.8), 6: (0.3, 0.6)},
    0: {},
    -1: {4: (0.4, 0.75), 20: (0.4, 0.6)},
}
"""What a pleasant or an unpleasant surprise adds."""


def expression(cue: Cue, rng: np.random.Generator) -> np.ndarray:
    """Draw apex amplitudes (A,) in [0, 1] for a cue: a random subset of its prototype, spread and scaled."""
    prototype = dict(PROTOTYPES[cue.shown])
    if cue.shown == "surprise":
        prototype |= SURPRISE_VARIANTS[int(np.sign(cue.valence))]
    target = np.zeros(len(ACTION_UNITS))
    for au, (amplitude, odds) in prototype.items():
        drawn = amplitude * rng.normal(1.0, 0.13)
        if rng.random() < odds:
            target[AU_INDEX[au]] = drawn
    target *= cue.strength * rng.uniform(1.1, 1.4)
    return np.clip(target + idle(rng), 0.0, 1.0)


def idle(rng: np.random.Generator) -> np.ndarray:
    """Small movements (A,) that mean nothing and accompany any talk, whatever the emotion."""
    habits = {
        1: 0.17,
        2: 0.17,
        4: 0.15,
        5: 0.09,
        6: 0.09,
        7: 0.11,
        12: 0.15,
        15: 0.09,
        17: 0.11,
        20: 0.09,
        23: 0.11,
    }
    noise = np.zeros(len(ACTION_UNITS))
    for au, ceiling in habits.items():
        size = rng.uniform(0, ceiling)
        if rng.random() < 0.3:
            noise[AU_INDEX[au]] = size
    return noise


def _bump(t: np.ndarray, onset: float, rise: float, offset: float, fall: float) -> np.ndarray:
    """0 before `onset`, 1 from onset + rise to offset, 0 after offset + fall, smooth between (seconds)."""
    up = np.clip((t - onset) / rise, 0, 1)
    down = np.clip((t - offset) / fall, 0, 1)
    return (up * up * (3 - 2 * up)) * (1 - down * down * (3 - 2 * down))


def timeline(apex: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Amplitudes (T, A) over `times` (seconds): onset, apex and offset, each unit a little early or late.

    The apex lasts for 40 to 80 % of the clip, and a part of the expression may already or still be there
    at the clip's ends, as when a film is cut in the middle of a conversation.
    """
    duration = max(float(times[-1] - times[0]), 0.4) if len(times) else 1.0
    onset = rng.uniform(-0.15, 0.2) * duration
    offset = onset + rng.uniform(0.45, 0.85) * duration
    rise, fall = rng.uniform(0.18, 0.5), rng.uniform(0.3, 0.8)
    rest = rng.uniform(0.2, 0.45)
    lag = rng.normal(0, 0.06, len(apex))
    wobble = rng.uniform(0.9, 1.1, len(apex))
    phase, speed = rng.uniform(0, 2 * np.pi, len(apex)), rng.uniform(1.5, 4.0, len(apex))
    tracks = np.empty((len(times), len(apex)))
    for i, amplitude in enumerate(apex):
        shape = rest + (1 - rest) * _bump(times, onset + lag[i], rise, offset + lag[i], fall)
        ripple = 1 + 0.08 * np.sin(speed[i] * times + phase[i])
        tracks[:, i] = amplitude * shape * ripple * wobble[i]
    return np.clip(tracks, 0.0, 1.0)
