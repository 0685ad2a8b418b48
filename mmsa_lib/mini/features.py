"""Eyes, brows, nose, mouth, ears, beard and glasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmsa_lib.mini.canvas import Canvas, Colour, ellipse_points, mix, seeded, smooth
from mmsa_lib.mini.expression import Expression
from mmsa_lib.mini.look import SHAPES, Head, Look
from mmsa_lib.mini.scene import Scene


def draw_ears(canvas: Canvas, head: Head, look: Look) -> None:
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


def draw_brow(canvas: Canvas, head: Head, look: Look, moment: Expression, s: float) -> None:
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


def draw_eye(canvas: Canvas, head: Head, look: Look, moment: Expression, s: float) -> None:
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
    canvas.stroke(head.at(crease), mix(look.skin, look.line, 0.55), (0.01 * scale, 0.034 * scale, 0.01 * scale))


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


def draw_nose(canvas: Canvas, head: Head, look: Look, scene: Scene, moment: Expression) -> None:
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
    gap = 0.11 * parted + 0.32 * moment[26] * (0.6 + 0.4 * parted) + 0.19 * moment.mouth_open * (1 - 0.3 * tight)
    gap = max(gap - 0.04 * moment[17], 0.0) + 0.05 * moment[10] * (0.3 + 0.7 * (parted + moment.mouth_open > 0.1))
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


def draw_mouth(canvas: Canvas, head: Head, look: Look, moment: Expression, jaw: float) -> None:
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
        canvas.fill(head.at(ellipse_points(bottom + (0, 0.02), (0.62 * width, 0.45 * lips.gap))), (186, 84, 88))
    band = min(0.55 * lips.gap, 0.11) * (0.55 + 0.45 * min(1.0, moment[12] + moment[10] + moment[20]))
    teeth = np.concatenate([lips.upper_in - (0, 0.03), (lips.upper_in + (0, band))[::-1]])
    canvas.fill(head.at(smooth(teeth)), (244, 240, 232))
    bared = max(moment[20], moment[10] * 0.4)
    if bared > 0.25 and lips.gap > 0.07:
        lower = np.concatenate([lips.lower_in + (0, 0.03), (lips.lower_in - (0, 0.25 * lips.gap * bared))[::-1]])
        canvas.fill(head.at(smooth(lower)), (228, 222, 214))


def draw_beard(canvas: Canvas, head: Head, look: Look, jaw: float, outline: np.ndarray) -> None:
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
            canvas.stroke(head.curve(hair, 0.4), mix(look.hair, look.hair_dark, 0.35), (0.0, 0.04 * head.scale, 0.0))
    if kind in ("moustache", "full"):
        right = [(0.0, 0.60), (0.2, 0.575), (0.42, 0.70), (0.47, 0.82)]
        low = [(0.40, 0.76), (0.2, 0.70), (0.0, 0.69)]
        shape = np.array(right + low)
        both = np.concatenate([shape, (shape * (-1, 1))[::-1]])
        canvas.fill(head.at(both, 1.08), mix(look.hair, look.hair_dark, 0.25))


def draw_glasses(canvas: Canvas, head: Head, look: Look, scene: Scene) -> None:
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
        rim = np.stack([x + rx * np.sign(cx) * np.abs(cx) ** power, y + ry * np.sign(cy) * np.abs(cy) ** power], 1)
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
