"""Draws a speaking face from action units, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from mmsa_lib.mini import action_units as au
from mmsa_lib.mini.canvas import Canvas, Colour, ellipse_points, mix, seeded, smooth
from mmsa_lib.mini.hair import draw_back_hair, draw_front_hair
from mmsa_lib.mini.look import SHAPES, Head, Look, Pose, look_of, posed_outline
from mmsa_lib.mini.motion import head_and_eyes
from mmsa_lib.mini.plan import Character, UtterancePlan
from mmsa_lib.mini.scene import Scene, draw_body, make_scene

FPS = 12.5
SIZE = 112


@dataclass(frozen=True)
class Expression:
    """One moment of a face: action units as a mapping, and what speech and eyes add to them."""

    units: Mapping[int, float]
    mouth_open: float = 0.0  # 0..1, from the sound
    blink: float = 0.0  # 0 open .. 1 shut
    gaze: tuple[float, float] = (0.0, 0.0)  # -1..1, right and down

    def __getitem__(self, unit: int) -> float:
        return float(self.units.get(unit, 0.0))


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
    _ears(canvas, head, look)
    jaw = _jaw_drop(moment)
    outline = posed_outline(head, look, jaw)
    canvas.fill(outline, look.skin)
    _shade_face(canvas, head, look, scene, moment, jaw, canvas.mask(outline))
    _beard(canvas, head, look, jaw, outline)
    _wrinkles(canvas, head, look, moment, canvas.mask(outline))
    _nose(canvas, head, look, scene, moment)
    _mouth(canvas, head, look, moment, jaw)
    for side in (-1.0, 1.0):
        _eye(canvas, head, look, moment, side)
        _brow(canvas, head, look, moment, side)
    draw_front_hair(canvas, head, look)
    if look.character.glasses:
        _glasses(canvas, head, look, scene)
    return np.clip(canvas.finish() * scene.gain, 0, 255).astype(np.uint8)


def _jaw_drop(moment: Expression) -> float:
    """How far the chin goes down, in head units."""
    return 0.26 * max(moment[26], 0.0) + 0.12 * moment.mouth_open


def _ears(canvas: Canvas, head: Head, look: Look) -> None:
    for s in (-1.0, 1.0):
        ear = [
            (s * 0.93, -0.12),
            (s * 1.06, -0.24),
            (s * 1.15, -0.08),
            (s * 1.10, 0.20),
            (s * 1.0, 0.36),
            (s * 0.92, 0.24),
        ]
        canvas.fill(head.curve(ear, -0.12, closed=True), mix(look.skin, look.shadow, 0.35))
        inner = [(s * 0.99, -0.1), (s * 1.08, -0.06), (s * 1.04, 0.16), (s * 0.98, 0.22)]
        canvas.stroke(head.curve(inner, -0.12), mix(look.skin, look.shadow, 0.9), 0.05 * head.scale)
        if look.earrings:
            drop = head.at([(s * 1.03, 0.46)], -0.1)[0]
            canvas.ellipse(drop, (0.07 * head.scale, 0.09 * head.scale), (232, 196, 108))


def _shade_face(
    canvas: Canvas, head: Head, look: Look, scene: Scene, moment: Expression, jaw: float, clip: np.ndarray
) -> None:
    """Soft light and shadow of the head's round form, clipped to the skin."""
    side, hard = scene.light_side, scene.light
    away, unit = -side, scene.size / 112
    chin = SHAPES[look.character.face_shape][3] + jaw
    far = [
        (away * 0.25, -1.4),
        (away * 0.62, -0.7),
        (away * 0.66, 0.1),
        (away * 0.55, 0.7),
        (away * 0.2, chin),
        (away * 0.9, chin),
        (away * 1.4, 0.3),
        (away * 1.3, -1.0),
    ]
    under_lip = 1.02 + 0.8 * jaw
    dark = [
        (head.curve(far, 0.2, closed=True), 0.42 * hard),
        (head.at(ellipse_points((0, chin + 0.06), (0.75, 0.16)), 0.4), 0.45),
        (head.at(ellipse_points((-0.42, -0.16), (0.33, 0.16))), 0.34),
        (head.at(ellipse_points((0.42, -0.16), (0.33, 0.16))), 0.34),
        (head.at(ellipse_points((0, under_lip), (0.24, 0.05))), 0.30 + 0.3 * moment[17]),
        (head.at(ellipse_points((0, -1.12), (0.9, 0.18)), 0.1), 0.30),
    ]
    dark += _cheek_folds(head, look, moment)
    canvas.soft(dark, look.shadow, 2.1 * unit, clip)
    lift = 0.10 * moment[6] + 0.05 * moment[12]
    glow = [
        (head.at(ellipse_points((side * 0.18, -0.78), (0.42, 0.2))), 0.38),
        (
            head.at(ellipse_points((side * 0.60, 0.30 - lift), (0.22, 0.13 + 0.04 * moment[6]))),
            0.45 + 0.3 * moment[6],
        ),
        (
            head.at(ellipse_points((away * 0.58, 0.30 - lift), (0.2, 0.12 + 0.04 * moment[6]))),
            0.12 + 0.3 * moment[6],
        ),
        (head.at(ellipse_points((0, chin - 0.16), (0.18, 0.08))), 0.25),
    ]
    canvas.soft(glow, look.light, 2.2 * unit, clip)
    rosy = [(head.at(ellipse_points((s * 0.60, 0.42 - lift), (0.24, 0.16))), 0.34) for s in (-1, 1)]
    rosy.append((head.at(ellipse_points((0, 0.42), (0.15, 0.1)), 1.25), 0.22))
    canvas.soft(rosy, look.blush, 2.4 * unit, clip)
    if look.freckles:
        _freckles(canvas, head, look)


def _freckles(canvas: Canvas, head: Head, look: Look) -> None:
    rng = seeded(look.character.seed, 7)
    tone = mix(look.skin, look.shadow, 0.8)
    for x, y in rng.uniform((-0.75, 0.2), (0.75, 0.5), (22, 2)):
        if abs(x) > 0.2:
            canvas.ellipse(head.at([(x, y)])[0], (0.022 * head.scale, 0.02 * head.scale), tone)


def _cheek_folds(head: Head, look: Look, moment: Expression) -> list[tuple[np.ndarray, float]]:
    """Soft shadow beside nose and mouth: deeper with age, a smile or a raised upper lip."""
    depth = (
        0.10 + 0.22 * look.age + 0.45 * moment[12] + 0.5 * moment[9] + 0.45 * moment[10] + 0.2 * moment[20]
    )
    spread = 0.06 * moment[12] + 0.07 * moment[20]
    folds = []
    for s in (-1.0, 1.0):
        line = [(s * 0.26, 0.34 - 0.05 * moment[9]), (s * (0.42 + spread), 0.52), (s * (0.50 + spread), 0.80)]
        thick = [(x + s * 0.10, y + 0.02) for x, y in line[::-1]]
        folds.append((head.at(smooth(line + thick)), min(depth, 0.85)))
        bag = ellipse_points((s * look.eye_gap, 0.17 - 0.03 * moment[6]), (0.2, 0.035))
        folds.append((head.at(bag), 0.12 + 0.3 * look.age + 0.2 * moment[6]))
    return folds


def _wrinkles(canvas: Canvas, head: Head, look: Look, moment: Expression, clip: np.ndarray) -> None:
    """Crisp lines that a muscle draws into the skin, as faint as it is weak."""
    lines: list[tuple[list, float, float]] = []  # control points, strength, width in head units
    old = 0.35 * look.age
    raised = max(0.0, 0.5 * (moment[1] + moment[2]) - 0.15)
    for k, y in enumerate((-0.60, -0.71, -0.82)):
        half = 0.52 - 0.06 * k
        bow = -0.05 * moment[2] + 0.03 * moment[1]
        lines.append(([(-half, y - bow), (0, y - 0.03), (half, y - bow)], 0.75 * raised + old * 0.7, 0.028))
    for s in (-1.0, 1.0):
        knit = moment[4] + 0.4 * moment[9]
        lines.append(
            ([(s * 0.10, -0.50), (s * 0.075, -0.36), (s * 0.11, -0.22)], 0.95 * knit + old * 0.4, 0.045)
        )
        for k in range(2):
            wing = [(s * 0.05, -0.08 + 0.09 * k), (s * 0.14, -0.04 + 0.09 * k), (s * 0.21, 0.04 + 0.09 * k)]
            lines.append((wing, 1.0 * moment[9], 0.04))
        fold = [
            (s * 0.23, 0.34 - 0.07 * moment[9]),
            (s * (0.40 + 0.06 * moment[12]), 0.50),
            (s * (0.49 + 0.07 * moment[12]), 0.74),
        ]
        lines.append((fold, 0.65 * max(moment[12], moment[9], moment[10]) + 0.25 * old, 0.035))
        for k in range(3):
            crow = [(s * 0.73, 0.02 + 0.05 * k), (s * 0.87, -0.05 + 0.09 * k)]
            lines.append((crow, 0.7 * moment[6] + old * 0.7, 0.024))
        lines.append(([(s * 0.56, 0.86), (s * 0.60, 0.95), (s * 0.57, 1.06)], 0.7 * moment[15], 0.035))
    chin = 1.12 + 0.9 * _jaw_drop(moment)
    lines.append(([(-0.17, chin + 0.02), (0, chin - 0.05), (0.17, chin + 0.02)], 0.9 * moment[17], 0.05))
    alpha = np.zeros(clip.shape, np.uint8)
    brush = Canvas(canvas.size, canvas.supersample, image=np.zeros((*clip.shape, 3), np.uint8))
    for points, strength, width in lines:
        if strength > 0.04:
            value = round(255 * min(strength, 1.0) * 0.8)
            shape = head.curve(points, steps=6)
            brush.stroke(shape, (value,) * 3, (0.0, width * head.scale * (0.6 + 0.5 * min(strength, 1)), 0.0))
    alpha = cv2.min(brush.image[..., 0], clip)
    canvas.blend(alpha, mix(look.shadow, look.line, 0.55))


def _brow(canvas: Canvas, head: Head, look: Look, moment: Expression, s: float) -> None:
    up_in, up_out = 0.24 * moment[1], 0.22 * moment[2]
    knit, wrinkle = moment[4], moment[9]
    y, arch = -0.375, look.brow_arch
    inner = (s * (0.185 - 0.075 * knit), y + 0.02 - up_in - 0.05 * moment[2] + 0.16 * knit + 0.09 * wrinkle)
    middle = (
        s * (0.45 - 0.03 * knit),
        y - arch - 0.45 * up_in - 0.62 * up_out + 0.11 * knit + 0.06 * wrinkle,
    )
    outer = (s * 0.76, y + 0.05 - up_out + 0.04 * moment[1] + 0.01 * knit)
    thick = 0.115 * look.character.brow_weight * head.scale
    curve = head.curve([inner, middle, outer], steps=9)
    canvas.stroke(curve, look.brow, (0.75 * thick, thick, 0.8 * thick, 0.25 * thick))


def _lids(look: Look, moment: Expression, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Control points (5, 2) of the upper and the lower lid, from the inner to the outer corner."""
    x, y, half = s * look.eye_gap, 0.0, 0.235 * look.character.eye_size
    tall = 0.155 * look.character.eye_size * (1 - 0.12 * look.age)
    open_up = (
        1
        + 0.60 * moment[5]
        + 0.08 * moment[2]
        - 0.34 * moment[7]
        - 0.16 * moment[4]
        - 0.12 * moment[6]
        - 0.22 * moment[9]
    )
    open_low = 1 - 0.62 * moment[7] - 0.75 * moment[6] - 0.35 * moment[9] + 0.15 * moment[5]
    shut = 1 - min(max(moment.blink, 0.0), 1.0)
    up, low = tall * max(open_up, 0.2) * shut, 0.62 * tall * max(open_low, -0.25) * shut
    drop = 0.08 * tall / 0.155 * (1 - shut)
    slant = 0.05 * moment[4] - 0.05 * moment[1]
    t = np.array([-1.0, -0.55, 0.05, 0.6, 1.0])
    lift_u = np.array([0.0, 0.80, 1.0, 0.78, 0.0]) * up
    lift_l = np.array([0.0, 0.75, 1.0, 0.85, 0.0]) * low
    tilt = -look.eye_tilt * t - slant * np.array([0.0, -1.0, 0.0, 0.6, 0.2]) * shut
    upper = np.stack([x + s * half * t, y + drop + tilt - lift_u], axis=1)
    lower = np.stack([x + s * half * t, y + drop - look.eye_tilt * t + lift_l], axis=1)
    return upper, lower


def _eye(canvas: Canvas, head: Head, look: Look, moment: Expression, s: float) -> None:
    upper, lower = (smooth(lid, steps=6) for lid in _lids(look, moment, s))
    lower[:, 1] = np.maximum(lower[:, 1], upper[:, 1])
    top, bottom = head.at(upper), head.at(lower)
    scale = head.scale
    outline = np.concatenate([top, bottom[::-1]])
    canvas.fill(outline, (246, 243, 240))
    gx, gy = moment.gaze
    centre = (s * look.eye_gap + 0.085 * gx, -0.035 + 0.055 * gy)
    canvas.clipped(outline, lambda c: _eyeball(c, head, look, centre, top))
    canvas.stroke(bottom, mix(look.skin, look.line, 0.75), (0.02 * scale, 0.035 * scale, 0.03 * scale))
    lash = (0.045 + 0.03 * look.lashes) * scale
    canvas.stroke(top, (34, 24, 28), (0.55 * lash, lash, lash, 0.75 * lash))
    if look.lashes > 0.5:
        tip = upper[-1]
        flick = head.at([tip - (s * 0.03, 0.02), tip + (s * 0.07, -0.05)])
        canvas.stroke(flick, (34, 24, 28), (lash, 0.2 * lash))
    crease = upper[4:-2] - (0, 0.065 - 0.02 * moment[5] + 0.03 * moment.blink)
    canvas.stroke(
        head.at(crease), mix(look.skin, look.line, 0.55), (0.01 * scale, 0.034 * scale, 0.01 * scale)
    )


def _eyeball(canvas: Canvas, head: Head, look: Look, centre: tuple[float, float], lid: np.ndarray) -> None:
    radius = 0.122 * look.character.eye_size
    at = head.at([centre])[0]
    r = radius * head.scale
    squash = np.cos(head.pose.yaw)
    canvas.ellipse(at, (r * squash, r), mix(look.iris, (20, 14, 16), 0.5))
    canvas.ellipse(at, (0.84 * r * squash, 0.84 * r), look.iris)
    canvas.ellipse(at + (0, 0.25 * r), (0.6 * r * squash, 0.5 * r), mix(look.iris, (255, 255, 255), 0.22))
    canvas.ellipse(at, (0.46 * r * squash, 0.46 * r), (18, 14, 18))
    canvas.stroke(lid + (0, 0.035 * head.scale), (188, 178, 180), 0.06 * head.scale)
    canvas.ellipse(at + (-0.34 * r, -0.36 * r), (0.26 * r, 0.26 * r), (255, 255, 255))


def _nose(canvas: Canvas, head: Head, look: Look, scene: Scene, moment: Expression) -> None:
    size, away = look.character.nose_size, -scene.light_side
    lift, flare = 0.06 * moment[9] + 0.03 * moment[10], 0.04 * moment[9] + 0.02 * moment[12]
    tip, base = 0.40 - lift, 0.50 - lift
    wing = (0.17 + flare) * size
    plane = [
        (away * 0.07, -0.12),
        (away * 0.03, 0.15),
        (away * 0.05, tip),
        (away * 0.10, base),
        (away * wing, base - 0.02),
        (away * wing * 0.9, tip - 0.06),
        (away * 0.13, 0.12),
    ]
    bump = np.interp(smooth(plane, closed=True)[:, 1], [-0.1, tip], [1.02, 1.25])
    canvas.fill(head.at(smooth(plane, closed=True), bump), mix(look.skin, look.shadow, 0.42))
    shine = head.at(ellipse_points((-away * 0.035, tip - 0.03), (0.045 * size, 0.06)), 1.27)
    canvas.fill(shine, mix(look.skin, look.light, 0.5))
    dark = mix(look.shadow, look.line, 0.75)
    under = [
        (-wing, base - 0.06),
        (-wing * 0.85, base),
        (-wing * 0.35, base + 0.01),
        (0, base + 0.05),
        (wing * 0.35, base + 0.01),
        (wing * 0.85, base),
        (wing, base - 0.06),
    ]
    width = 0.04 * head.scale
    canvas.stroke(head.curve(under, 1.14), dark, (0.3 * width, width, 0.7 * width, width, 0.3 * width))
    for s in (-1, 1):
        hole = ellipse_points((s * wing * 0.48, base - 0.005), (0.05 * size, 0.026))
        canvas.fill(head.at(hole, 1.15), mix(look.line, (30, 12, 16), 0.3))


@dataclass(frozen=True)
class Lips:
    """Control points (5, 2) in head coordinates from the left to the right corner."""

    upper_out: np.ndarray
    upper_in: np.ndarray
    lower_in: np.ndarray
    lower_out: np.ndarray
    gap: float


def _lips(look: Look, moment: Expression, jaw: float) -> Lips:
    smile, frown, stretch, tight = moment[12], moment[15], moment[20], moment[23]
    half = (
        0.335
        * look.character.mouth_width
        * (
            1
            + 0.34 * smile
            + 0.34 * stretch
            - 0.22 * tight
            - 0.10 * moment[26]
            - 0.05 * moment[17]
            + 0.04 * frown
            - 0.06 * moment.mouth_open
        )
    )
    y = 0.80
    parted = max(moment[25] - 0.5 * tight, 0.0)
    gap = (
        0.11 * parted
        + 0.32 * moment[26] * (0.6 + 0.4 * parted)
        + 0.19 * moment.mouth_open * (1 - 0.3 * tight)
    )
    gap = max(gap - 0.04 * moment[17], 0.0) + 0.05 * moment[10] * (
        0.3 + 0.7 * (parted + moment.mouth_open > 0.1)
    )
    corner = y - 0.19 * smile + 0.19 * frown + 0.05 * stretch + 0.30 * gap
    raise_up = 0.10 * moment[10] + 0.05 * moment[9]
    push = 0.075 * moment[17]
    middle_up = y - raise_up - push + 0.02 * smile - 0.02 * (gap > 0.05)
    middle_low = middle_up + gap
    full = look.lip_full * (1 - 0.62 * tight) * (1 - 0.22 * smile - 0.20 * stretch)
    thick_u, thick_l = 0.088 * full, 0.125 * full * (1 + 0.3 * moment[17])
    shift = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    blend = np.array([1.0, 0.30, 0.0, 0.30, 1.0])  # how much of the corner's height each point takes
    x = half * shift
    upper_in = middle_up * (1 - blend) + corner * blend
    lower_in = middle_low * (1 - blend) + corner * blend + 0.12 * gap * np.array([0, 1, 0, 1, 0])
    peak = np.array([0.10, 1.02, 0.72, 1.02, 0.10]) + raise_up * np.array([0, 2.5, 0, 2.5, 0])
    upper_out = upper_in - thick_u * peak
    lower_out = lower_in + thick_l * np.array([0.10, 0.75, 1.0, 0.75, 0.10])
    return Lips(*(np.stack([x, v], axis=1) for v in (upper_out, upper_in, lower_in, lower_out)), gap=gap)


def _mouth(canvas: Canvas, head: Head, look: Look, moment: Expression, jaw: float) -> None:
    lips = _lips(look, moment, jaw)
    rows = [
        head.curve(points.tolist(), steps=7)
        for points in (lips.upper_out, lips.upper_in, lips.lower_in, lips.lower_out)
    ]
    upper_out, upper_in, lower_in, lower_out = rows
    canvas.fill(np.concatenate([upper_out, upper_in[::-1]]), mix(look.lip, look.lip_dark, 0.22))
    canvas.fill(np.concatenate([lower_in, lower_out[::-1]]), look.lip)
    shine = lips.lower_in[2] + (0, 0.45 * (lips.lower_out[2, 1] - lips.lower_in[2, 1]))
    radii = (0.3 * abs(lips.lower_in[4, 0]), 0.16 * (lips.lower_out[2, 1] - lips.lower_in[2, 1]))
    canvas.fill(head.at(ellipse_points(shine, radii)), mix(look.lip, (255, 235, 225), 0.28))
    line = 0.042 * head.scale
    if lips.gap > 0.03:
        opening = np.concatenate([upper_in, lower_in[::-1]])
        canvas.fill(opening, (64, 18, 24))
        canvas.clipped(opening, lambda c: _inside(c, head, lips, moment))
    else:
        canvas.stroke(
            0.5 * (upper_in + lower_in), look.lip_dark, (0.5 * line, 1.1 * line, line, 1.1 * line, 0.5 * line)
        )
    for end in (0, -1):
        corner = upper_in[end]
        canvas.ellipse(corner, (0.75 * line, 0.62 * line), mix(look.shadow, look.lip_dark, 0.6))


def _inside(canvas: Canvas, head: Head, lips: Lips, moment: Expression) -> None:
    """Tongue and teeth, painted inside the opening."""
    bottom, width = lips.lower_in[2], abs(lips.lower_in[4, 0])
    if lips.gap > 0.12:
        canvas.fill(
            head.at(ellipse_points(bottom + (0, 0.02), (0.62 * width, 0.45 * lips.gap))), (186, 84, 88)
        )
    band = min(0.55 * lips.gap, 0.11) * (0.55 + 0.45 * min(1.0, moment[12] + moment[10] + moment[20]))
    teeth = np.concatenate([lips.upper_in - (0, 0.03), (lips.upper_in + (0, band))[::-1]])
    canvas.fill(head.at(smooth(teeth)), (244, 240, 232))
    bared = max(moment[20], moment[10] * 0.4)
    if bared > 0.25 and lips.gap > 0.07:
        lower = np.concatenate(
            [lips.lower_in + (0, 0.03), (lips.lower_in - (0, 0.25 * lips.gap * bared))[::-1]]
        )
        canvas.fill(head.at(smooth(lower)), (228, 222, 214))


def _beard(canvas: Canvas, head: Head, look: Look, jaw: float, outline: np.ndarray) -> None:
    kind = look.character.beard
    if kind == "none":
        return
    chin = SHAPES[look.character.face_shape][3] + jaw
    unit = canvas.size / 112
    if kind in ("stubble", "full"):
        area = [
            (-1.05, 0.05),
            (-0.93, 0.10),
            (-0.74, 0.52),
            (-0.45, 0.66),
            (0, 0.60),
            (0.45, 0.66),
            (0.74, 0.52),
            (0.93, 0.10),
            (1.05, 0.05),
            (1.1, 0.8),
            (0.5, chin + 0.2),
            (-0.5, chin + 0.2),
            (-1.1, 0.8),
        ]
        shape = head.curve(area, 0.3, closed=True)
        opacity = 0.36 if kind == "stubble" else 0.96
        canvas.soft(
            [(shape, opacity)],
            look.hair_dark if kind == "stubble" else look.hair,
            0.9 * unit,
            canvas.mask(outline),
        )
    if kind == "full":
        low = [(-0.6, 1.0), (-0.5, chin - 0.02), (0, chin + 0.13), (0.5, chin - 0.02), (0.6, 1.0)]
        canvas.fill(head.curve(low, 0.35, closed=True), look.hair)
        for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
            hair = [(x, chin - 0.28), (x * 0.94, chin - 0.12), (x * 0.86, chin + 0.02)]
            canvas.stroke(
                head.curve(hair, 0.4), mix(look.hair, look.hair_dark, 0.35), (0.0, 0.04 * head.scale, 0.0)
            )
    if kind in ("moustache", "full"):
        right = [(0.0, 0.60), (0.2, 0.575), (0.42, 0.70), (0.47, 0.82)]
        low = [(0.40, 0.76), (0.2, 0.70), (0.0, 0.69)]
        shape = np.array(right + low)
        both = np.concatenate([shape, (shape * (-1, 1))[::-1]])
        canvas.fill(head.at(both, 1.08), mix(look.hair, look.hair_dark, 0.25))


def _glasses(canvas: Canvas, head: Head, look: Look, scene: Scene) -> None:
    rng = seeded(look.character.seed, 8)
    square = rng.random() < 0.5
    frame: Colour = [(40, 34, 40), (110, 62, 40), (150, 120, 70), (70, 84, 110)][rng.integers(4)]
    width = 0.05 * head.scale
    depth = 1.02
    for s in (-1.0, 1.0):
        x, y = s * (look.eye_gap + 0.01), 0.02
        t = np.linspace(0, 2 * np.pi, 29)
        power = 0.55 if square else 1.0
        rx, ry = (0.325, 0.25) if square else (0.31, 0.28)
        cx, cy = np.cos(t), np.sin(t)
        rim = np.stack(
            [x + rx * np.sign(cx) * np.abs(cx) ** power, y + ry * np.sign(cy) * np.abs(cy) ** power], 1
        )
        ring = head.at(rim, depth)
        canvas.stroke(ring, frame, width)
        glint = head.at([(x - 0.18, y - 0.06), (x - 0.06, y - 0.17)], depth)
        canvas.stroke(glint, (240, 244, 250), (0.1 * width, 0.8 * width, 0.1 * width))
        canvas.stroke(
            head.at([(s * (look.eye_gap + 0.33), -0.04), (s * 1.02, -0.08)], np.array([0.9, 0.0])),
            frame,
            width,
        )
    bridge = head.curve([(-look.eye_gap + 0.31, -0.03), (0, -0.09), (look.eye_gap - 0.31, -0.03)], 1.08)
    canvas.stroke(bridge, frame, width)


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
