"""Skin: soft light and shadow of the head's form, folds and wrinkles that muscles draw."""

from __future__ import annotations

import cv2
import numpy as np

from mmsa_lib.mini.canvas import Canvas, ellipse_points, mix, seeded, smooth
from mmsa_lib.mini.expression import Expression
from mmsa_lib.mini.look import SHAPES, Head, Look
from mmsa_lib.mini.scene import Scene


def shade_face(
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
    depth = 0.10 + 0.22 * look.age + 0.45 * moment[12] + 0.5 * moment[9] + 0.45 * moment[10] + 0.2 * moment[20]
    spread = 0.06 * moment[12] + 0.07 * moment[20]
    folds = []
    for s in (-1.0, 1.0):
        line = [(s * 0.26, 0.34 - 0.05 * moment[9]), (s * (0.42 + spread), 0.52), (s * (0.50 + spread), 0.80)]
        thick = [(x + s * 0.10, y + 0.02) for x, y in line[::-1]]
        folds.append((head.at(smooth(line + thick)), min(depth, 0.85)))
        bag = ellipse_points((s * look.eye_gap, 0.17 - 0.03 * moment[6]), (0.2, 0.035))
        folds.append((head.at(bag), 0.12 + 0.3 * look.age + 0.2 * moment[6]))
    return folds


def wrinkles(canvas: Canvas, head: Head, look: Look, moment: Expression, clip: np.ndarray) -> None:
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
        lines.append(([(s * 0.10, -0.50), (s * 0.075, -0.36), (s * 0.11, -0.22)], 0.95 * knit + old * 0.4, 0.045))
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
    chin = 1.12 + 0.9 * moment.jaw
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
