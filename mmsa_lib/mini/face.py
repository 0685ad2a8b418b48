"""Draws a speaking face from action units, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmsa_lib.mini import action_units as au
from mmsa_lib.mini.canvas import Canvas, seeded
from mmsa_lib.mini.expression import Expression
from mmsa_lib.mini.features import (
    draw_beard,
    draw_brow,
    draw_ears,
    draw_eye,
    draw_glasses,
    draw_mouth,
    draw_nose,
)
from mmsa_lib.mini.hair import draw_back_hair, draw_front_hair
from mmsa_lib.mini.look import Head, Look, Pose, look_of, posed_outline
from mmsa_lib.mini.motion import head_and_eyes
from mmsa_lib.mini.plan import Character, UtterancePlan
from mmsa_lib.mini.scene import Scene, draw_body, make_scene
from mmsa_lib.mini.skin import shade_face, wrinkles

FPS = 12.5
SIZE = 112


def draw_face(
    character: Character,
    action_units: Mapping[int, float] | np.ndarray,
    *,
    mouth_open: float = 0.0,
    blink: float = 0.0,
    gaze: tuple[float, float] = (0.0, 0.0),
    pose: Pose | None = None,
    scene: Scene | None = None,
    size: int = SIZE,
) -> np.ndarray:
    """One frame (size, size, 3) uint8 RGB.

    `action_units` maps unit numbers to amplitudes in [0, 1], or is an array in the order of
    `action_units.ACTION_UNITS`. Without a scene the character's own room is drawn (slow: make it once).
    """
    if isinstance(action_units, np.ndarray):
        action_units = dict(zip(au.ACTION_UNITS, action_units.tolist(), strict=True))
    scene = scene or make_scene(character, (character.seed, 9), size=size)
    moment = Expression(action_units, mouth_open, blink, gaze)
    return paint(look_of(character), scene, moment, pose or Pose())


def paint(look: Look, scene: Scene, moment: Expression, pose: Pose) -> np.ndarray:
    """One frame of a prepared look in a prepared scene, (size, size, 3) uint8 RGB."""
    canvas = Canvas(scene.size, scene.supersample, image=scene.background.copy())
    head = Head(pose, scene.centre, scene.scale, look.character.width)
    draw_back_hair(canvas, head, look)
    draw_body(canvas, head, look, scene)
    draw_ears(canvas, head, look)
    jaw = moment.jaw
    outline = posed_outline(head, look, jaw)
    canvas.fill(outline, look.skin)
    shade_face(canvas, head, look, scene, moment, jaw, canvas.mask(outline))
    draw_beard(canvas, head, look, jaw, outline)
    wrinkles(canvas, head, look, moment, canvas.mask(outline))
    draw_nose(canvas, head, look, scene, moment)
    draw_mouth(canvas, head, look, moment, jaw)
    for side in (-1.0, 1.0):
        draw_eye(canvas, head, look, moment, side)
        draw_brow(canvas, head, look, moment, side)
    draw_front_hair(canvas, head, look)
    if look.character.glasses:
        draw_glasses(canvas, head, look, scene)
    return np.clip(canvas.finish() * scene.gain, 0, 255).astype(np.uint8)


def draw(
    plan: UtterancePlan, duration: float, mouth_envelope: np.ndarray, envelope_fps: float
) -> tuple[np.ndarray, float]:
    """Film an utterance: frames (T, 112, 112, 3) uint8 RGB and their rate.

    `duration` in seconds; `mouth_envelope` (N,) in [0, 1] at `envelope_fps` values a second.
    Looks at the plan's character, video cue and seed alone.
    """
    times = (np.arange(max(1, round(duration * FPS))) + 0.5) / FPS
    mouth = _mouth_track(np.asarray(mouth_envelope, dtype=np.float64), envelope_fps, times)
    return film(plan, times, mouth), FPS


def film(plan: UtterancePlan, times: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Frames (T, 112, 112, 3) uint8 RGB at the given times (seconds) with the mouth open by `mouth` (T,)."""
    rng = seeded(plan.seed, 2)
    tracks = au.timeline(au.expression(plan.video, rng), times, rng)
    motion = head_and_eyes(plan.video, times, mouth, rng)
    look = look_of(plan.character)
    scene = make_scene(plan.character, (plan.seed, 2, 1), size=SIZE)
    frames = np.empty((len(times), SIZE, SIZE, 3), np.uint8)
    for i, units in enumerate(tracks):
        moment = Expression(
            dict(zip(au.ACTION_UNITS, units.tolist(), strict=True)),
            float(mouth[i]),
            float(motion.blink[i]),
            (float(motion.gaze[i, 0]), float(motion.gaze[i, 1])),
        )
        frames[i] = paint(look, scene, moment, motion.poses[i])
    return frames


def _mouth_track(envelope: np.ndarray, envelope_fps: float, times: np.ndarray) -> np.ndarray:
    """The envelope (N,) at the frames' times (T,), averaged over each frame; silence where it ends."""
    if len(envelope) == 0:
        return np.zeros(len(times))
    total = np.concatenate([[0.0], np.cumsum(envelope)]) / envelope_fps
    clock = np.arange(len(total)) / envelope_fps
    edges = np.concatenate([times - 0.5 / FPS, times[-1:] + 0.5 / FPS])
    return np.clip(np.diff(np.interp(edges, clock, total)) * FPS, 0.0, 1.0)
