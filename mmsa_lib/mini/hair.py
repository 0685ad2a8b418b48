"""Hair in two parts: what lies behind the head, and what falls in front of it."""

from __future__ import annotations

import numpy as np

from mmsa_lib.mini.canvas import Canvas, mix, seeded, smooth
from mmsa_lib.mini.look import Head, Look, mirrored, scalp_depth

# x, y of the skull's silhouette from the crown to the ear, on the picture's right
_SKULL = [(0.0, -1.27), (0.52, -1.15), (0.86, -0.74), (0.98, -0.2)]


def draw_back_hair(canvas: Canvas, head: Head, look: Look) -> None:
    """The part of the hair behind neck and ears."""
    style = look.character.hair_style
    if style == "long":
        right = [
            (0, -1.5),
            (0.7, -1.36),
            (1.14, -0.8),
            (1.24, 0.1),
            (1.22, 1.0),
            (1.34, 1.9),
            (0.9, 2.25),
            (0, 2.2),
        ]
        canvas.fill(head.curve(mirrored(right), -0.3, closed=True), look.hair_dark)
    elif style == "bob":
        right = [
            (0, -1.5),
            (0.75, -1.36),
            (1.18, -0.75),
            (1.27, 0.1),
            (1.26, 0.8),
            (1.06, 1.28),
            (0.5, 1.32),
            (0, 1.2),
        ]
        canvas.fill(head.curve(mirrored(right), -0.25, closed=True), look.hair_dark)
    elif style == "curly":
        _curls(canvas, head, look, back=True)
    elif style == "bun":
        bun = head.at([(0.05 * look.side, -1.62)], -0.35)[0]
        radius = 0.43 * head.scale
        canvas.ellipse(bun, (radius, radius * 0.86), look.hair_dark)
        canvas.ellipse(bun - 0.05 * head.scale, (radius * 0.86, radius * 0.72), look.hair)
        for bend in (-0.5, 0.1, 0.6):
            arc = bun + np.array([(-0.3, bend * 0.2), (0, bend * 0.45 - 0.1), (0.3, bend * 0.2)]) * head.scale
            canvas.stroke(smooth(arc), look.hair_dark, (0.0, 0.05 * head.scale, 0.0))
    elif style == "parted" and look.character.sex == "female":
        right = [(0, -1.45), (0.7, -1.32), (1.12, -0.75), (1.18, 0.1), (1.15, 0.75), (0.9, 1.1), (0, 1.1)]
        canvas.fill(head.curve(mirrored(right), -0.25, closed=True), look.hair_dark)


def draw_front_hair(canvas: Canvas, head: Head, look: Look) -> None:
    """The part of the hair that frames the forehead."""
    styles = {
        "short": _short,
        "crop": _crop,
        "curly": _curly,
        "long": _long,
        "bob": _bob,
        "bun": _bun,
        "parted": _parted,
        "bald": _bald,
    }
    styles[look.character.hair_style](canvas, head, look)


def _strands(canvas: Canvas, head: Head, look: Look, curves: list, tone: str = "light") -> None:
    colour = {"light": look.hair_light, "dark": look.hair_dark}[tone]
    for points in curves:
        canvas.stroke(head.curve(points, 0.1), colour, (0.0, 0.055 * head.scale, 0.0))


def _cap(canvas: Canvas, head: Head, look: Look, volume: float, hairline: list, burn: float) -> np.ndarray:
    """Fill the area between a skull grown by `volume` and a hairline; returns its outline in pixels.

    `hairline` runs from the right temple over the forehead to the left temple; `burn` is how far down the
    hair reaches before the ears.
    """
    grown = [(x * (1 + volume * 0.75), y * (1 + volume) if y < 0 else y) for x, y in _SKULL]
    right = np.array([*grown, (1.0 + volume * 0.3, burn * 0.3), (0.93, burn)])
    top = np.concatenate([(right[1:] * (-1, 1))[::-1], right])
    outer = smooth(top)
    inner = smooth([(0.91, burn), *hairline, (-0.91, burn)])
    outline = np.concatenate([head.at(outer, 0.0), head.at(inner, scalp_depth(inner))])
    canvas.fill(outline, look.hair)
    return outline


def _short(canvas: Canvas, head: Head, look: Look) -> None:
    s = look.side
    line = [(0.80, -0.36), (0.70, -0.74), (0.30, -0.86), (-0.25, -0.80), (-0.66, -0.70), (-0.80, -0.36)]
    if s < 0:
        line = [(-x, y) for x, y in line[::-1]]
    outline = _cap(canvas, head, look, 0.13, line, 0.14)
    sweep = [
        (s * 0.72, -0.62),
        (s * 0.55, -1.0),
        (s * 0.1, -1.24),
        (-s * 0.5, -1.2),
        (-s * 0.82, -0.86),
        (-s * 0.4, -0.92),
        (s * 0.1, -0.86),
    ]
    canvas.clipped(outline, lambda c: c.fill(head.curve(sweep, 0.35, closed=True), look.hair_light))
    sweep2 = [
        (s * 0.78, -0.58),
        (s * 0.5, -0.92),
        (s * 0.0, -1.06),
        (-s * 0.5, -1.02),
        (-s * 0.86, -0.66),
        (-s * 0.4, -0.78),
        (s * 0.2, -0.76),
    ]
    canvas.clipped(outline, lambda c: c.fill(head.curve(sweep2, 0.45, closed=True), look.hair))
    strands = [
        [(s * 0.6, -0.8 - k * 0.08), (s * 0.05, -1.06 - k * 0.09), (-s * 0.6, -0.98 - k * 0.08)] for k in range(3)
    ]
    canvas.clipped(outline, lambda c: _strands(c, head, look, strands, "dark"))


def _crop(canvas: Canvas, head: Head, look: Look) -> None:
    back = 0.12 * look.age
    line = [
        (0.84, -0.30),
        (0.78, -0.66),
        (0.62, -0.80 - back),
        (0.2, -0.88 - back * 0.3),
        (-0.2, -0.88 - back * 0.3),
        (-0.62, -0.80 - back),
        (-0.78, -0.66),
        (-0.84, -0.30),
    ]
    fuzz = mix(look.hair, look.skin, 0.16)
    outline = _cap(canvas, head, look, 0.05, line, 0.1)
    canvas.fill(outline, fuzz)
    top = head.curve(
        [(-0.72, -0.86), (-0.5, -1.14), (0, -1.27), (0.5, -1.14), (0.72, -0.86), (0, -0.98)], 0.2, closed=True
    )
    canvas.clipped(outline, lambda c: c.fill(top, mix(look.hair, look.hair_light, 0.5)))


def _curls(canvas: Canvas, head: Head, look: Look, *, back: bool) -> None:
    """Round locks of hair along the skull; their places depend on the character alone."""
    rng = seeded(look.character.seed, 5)
    female = look.character.sex == "female"
    low = (0.95 if female else 0.0) if back else -0.42
    angles = np.linspace(-1.0, 1.0, 17 if back else 15)
    for a in angles:
        theta = a * (np.pi * (0.5 + 0.5 * max(low, 0.0) / 1.3) + 0.25)
        grow = rng.uniform(1.04, 1.16) * (1.05 if female else 0.97)
        x, y = np.sin(theta) * 1.06 * grow, -0.14 - np.cos(theta) * 1.16 * grow
        if not back and y > low:
            continue
        radius = rng.uniform(0.24, 0.33) * head.scale * (1.15 if female else 0.9)
        centre = head.at([(x, y)], -0.2 if back else 0.05)[0]
        canvas.ellipse(centre, (radius, radius), look.hair_dark if back else look.hair)


def _curly(canvas: Canvas, head: Head, look: Look) -> None:
    rng = seeded(look.character.seed, 6)
    line = [(0.84, -0.36), (0.68, -0.72), (0.3, -0.86), (-0.3, -0.86), (-0.68, -0.72), (-0.84, -0.36)]
    _cap(canvas, head, look, 0.12, line, 0.08)
    _curls(canvas, head, look, back=False)
    for x in np.linspace(-0.66, 0.66, 7):
        y = -0.90 + 0.22 * x * x + rng.uniform(-0.05, 0.05)
        radius = rng.uniform(0.12, 0.17) * head.scale
        canvas.ellipse(head.at([(x, y)])[0], (radius, radius), look.hair)
    for _ in range(26):
        theta, r = rng.uniform(-1.5, 1.5), rng.uniform(0.78, 1.16)
        x, y = np.sin(theta) * r, -0.14 - np.cos(theta) * 1.12 * r
        if y < -0.86 + 0.2 * x * x:
            arc = [
                (x - 0.09, y + 0.06),
                (x - 0.08, y - 0.03),
                (x, y - 0.08),
                (x + 0.08, y - 0.03),
                (x + 0.07, y + 0.05),
            ]
            tone = look.hair_light if rng.random() < 0.55 else look.hair_dark
            canvas.stroke(head.curve(arc, 0.2), tone, (0.0, 0.045 * head.scale, 0.0))


def _curtain(canvas: Canvas, head: Head, look: Look, part: float, lengths: tuple[float, float]) -> None:
    """Two locks that fall from a parting at x = `part` along both sides of the face."""
    for s, end in ((-1.0, lengths[0]), (1.0, lengths[1])):
        outer = [
            (part, -1.46),
            (part + (s - part) * 0.55, -1.38),
            (s * 1.06, -0.92),
            (s * 1.19, -0.1),
            (s * 1.17, 0.5 * end),
            (s * 1.12, end),
        ]
        inner = [
            (s * 0.94, end * 0.96),
            (s * 0.97, 0.4 * end),
            (s * 0.93, -0.1),
            (s * 0.80, -0.52),
            (part + (s - part) * 0.34, -0.86),
            (part, -1.06),
        ]
        outline = np.concatenate([head.at(smooth(outer), 0.0), head.at(smooth(inner), 0.18)])
        canvas.fill(outline, look.hair)
        flow = [
            [
                (part + s * 0.06, -1.3),
                (part + (s - part) * 0.6, -1.06 - 0.07 * k),
                (s * (0.98 + 0.05 * k), -0.3),
                (s * (1.04 + 0.04 * k), end * 0.8),
            ]
            for k in range(3)
        ]
        canvas.clipped(outline, lambda c, f=flow: _strands(c, head, look, f[::2], "light"))
        canvas.clipped(outline, lambda c, f=flow: _strands(c, head, look, f[1:2], "dark"))


def _long(canvas: Canvas, head: Head, look: Look) -> None:
    _curtain(canvas, head, look, look.side * 0.12, (1.75, 1.75))


def _parted(canvas: Canvas, head: Head, look: Look) -> None:
    if look.character.sex == "female":
        _curtain(canvas, head, look, look.side * 0.42, (0.85, 0.85))
        return
    s = look.side
    line = [(0.82, -0.34), (0.74, -0.70), (0.42, -0.92), (-0.2, -0.82), (-0.62, -0.58), (-0.82, -0.30)]
    if s < 0:
        line = [(-x, y) for x, y in line[::-1]]
    outline = _cap(canvas, head, look, 0.15, line, 0.2)
    flow = [
        [
            (s * 0.44, -0.98 - 0.1 * k),
            (-s * 0.1, -1.08 - 0.1 * k),
            (-s * 0.62, -0.82 - 0.12 * k),
            (-s * 0.9, -0.4 - 0.1 * k),
        ]
        for k in range(4)
    ]
    canvas.clipped(outline, lambda c: _strands(c, head, look, flow[::2], "light"))
    canvas.clipped(outline, lambda c: _strands(c, head, look, flow[1::2], "dark"))
    part = [(s * 0.44, -0.92), (s * 0.42, -1.2), (s * 0.34, -1.4)]
    canvas.clipped(
        outline, lambda c: c.stroke(head.curve(part, 0.2), mix(look.skin, look.hair, 0.4), 0.04 * head.scale)
    )


def _bob(canvas: Canvas, head: Head, look: Look) -> None:
    """A fringe over the forehead, straight sides to the jaw."""
    _curtain(canvas, head, look, 0.0, (1.05, 1.05))
    fringe_top = [(-0.9, -0.5), (-0.74, -1.0), (0, -1.3), (0.74, -1.0), (0.9, -0.5)]
    edge = [(0.86, -0.38), (0.66, -0.56), (0.3, -0.60), (-0.3, -0.60), (-0.66, -0.56), (-0.86, -0.38)]
    fringe = smooth(edge)
    outline = np.concatenate([head.at(smooth(fringe_top), 0.15), head.at(fringe, scalp_depth(fringe))])
    canvas.fill(outline, look.hair)
    locks = [[(x * 0.5, -1.25), (x * 0.9, -0.95), (x, -0.6)] for x in (-0.7, -0.42, -0.14, 0.14, 0.42, 0.7)]
    canvas.clipped(outline, lambda c: _strands(c, head, look, locks[::2], "dark"))
    canvas.clipped(outline, lambda c: _strands(c, head, look, locks[1::2], "light"))


def _bun(canvas: Canvas, head: Head, look: Look) -> None:
    line = [(0.86, -0.30), (0.72, -0.70), (0.34, -0.94), (-0.34, -0.94), (-0.72, -0.70), (-0.86, -0.30)]
    outline = _cap(canvas, head, look, 0.06, line, 0.1)
    pulled = [
        [(x, -0.66 - 0.3 * (1 - abs(x))), (x * 0.7, -1.08), (0.05 * look.side, -1.34)]
        for x in (-0.84, -0.5, -0.2, 0.2, 0.5, 0.84)
    ]
    canvas.clipped(outline, lambda c: _strands(c, head, look, pulled[::2], "dark"))
    canvas.clipped(outline, lambda c: _strands(c, head, look, pulled[1::2], "light"))


def _bald(canvas: Canvas, head: Head, look: Look) -> None:
    """Hair at the sides only, with a little shine on top."""
    for s in (-1, 1):
        side = [
            (s * 0.98, 0.12),
            (s * 1.05, -0.2),
            (s * 1.0, -0.56),
            (s * 0.9, -0.66),
            (s * 0.9, -0.36),
            (s * 0.92, 0.06),
        ]
        canvas.fill(head.curve(side, 0.0, closed=True), mix(look.hair, look.skin, 0.45))
