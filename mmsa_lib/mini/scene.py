"""What surrounds a face: blurred rooms, light, shoulders and clothes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from mmsa_lib.mini.canvas import Canvas, Colour, ellipse_points, mix, seeded, smooth
from mmsa_lib.mini.look import Head, Look
from mmsa_lib.mini.plan import Character

# wall, lower wall or furniture, accent, accent
ROOMS: tuple[tuple[Colour, Colour, Colour, Colour], ...] = (
    ((178, 196, 198), (120, 136, 140), (226, 190, 120), (92, 124, 104)),  # living room with a window
    ((206, 184, 158), (126, 92, 70), (164, 74, 62), (70, 96, 108)),  # book shelves
    ((150, 166, 146), (92, 104, 92), (224, 214, 190), (190, 130, 80)),  # green wall with pictures
    ((94, 104, 130), (60, 64, 88), (250, 204, 128), (140, 110, 150)),  # evening with a lamp
    ((224, 212, 192), (168, 148, 124), (98, 138, 104), (204, 128, 96)),  # bright room with plants
    ((120, 92, 84), (72, 52, 50), (244, 186, 104), (216, 120, 84)),  # coffee house with round lights
    ((196, 206, 216), (150, 164, 180), (234, 234, 228), (112, 146, 180)),  # kitchen with tiles
    ((186, 160, 168), (128, 100, 116), (240, 220, 200), (108, 120, 150)),  # curtains
)


@dataclass(frozen=True)
class Scene:
    """What stays the same through a clip."""

    background: np.ndarray  # (side, side, 3) uint8 at the canvas's inner size
    gain: np.ndarray  # (size, size, 3) float32, the light of the shot
    light_side: float  # -1: the key light comes from the left of the picture, +1 from the right
    light: float  # how hard that light is, 0..1
    centre: tuple[float, float]  # the head's place, pixels
    scale: float  # pixels per head unit
    size: int
    supersample: int


def make_scene(character: Character, key: tuple[int, ...], *, size: int = 112, supersample: int = 4) -> Scene:
    """Draw the room and the light of one clip; `key` seeds what varies from clip to clip."""
    rng = seeded(*key)
    unit = size / 112
    side = float(rng.choice([-1.0, 1.0]))
    zoom = rng.uniform(0.94, 1.07)
    centre = ((56 + rng.uniform(-4, 4)) * unit, (53.5 + rng.uniform(-2, 2.5)) * unit)
    return Scene(
        background=_room(character, rng, size, supersample),
        gain=_gain(rng, size, side),
        light_side=side,
        light=rng.uniform(0.5, 1.0),
        centre=centre,
        scale=27.0 * unit * zoom,
        size=size,
        supersample=supersample,
    )


def _gain(rng: np.random.Generator, size: int, side: float) -> np.ndarray:
    """Exposure, colour temperature, a gradient from the key light and darker corners."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / (size - 1) * 2 - 1
    exposure, slope = rng.uniform(0.82, 1.0), rng.uniform(0.02, 0.1)
    warmth = rng.normal(0, 0.03)
    tint = np.array([1 + warmth, 1 + 0.15 * warmth, 1 - warmth], np.float32)
    fall = 1 + slope * side * x - 0.04 * y - rng.uniform(0.04, 0.12) * (x**2 + y**2)
    return (exposure * fall)[..., None] * tint


def _box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)


def _room(character: Character, rng: np.random.Generator, size: int, supersample: int) -> np.ndarray:
    """A blurred room: the same furniture for a character, seen from a slightly different place each clip."""
    room = character.background % len(ROOMS)
    palette = [mix(c, (128, 128, 128), 0.12) for c in ROOMS[room]]
    canvas = Canvas(size, 1)
    ramp = np.linspace(1.06, 0.86, size)[:, None, None]
    canvas.image[:] = np.clip(np.array(palette[0]) * ramp, 0, 255).astype(np.uint8)
    furniture = seeded(character.seed, 4)
    paint = (_window, _shelves, _pictures, _lamp, _plants, _bokeh, _tiles, _curtains)[room]
    unit = size / 112
    paint(canvas, palette, furniture, np.array([rng.uniform(-7, 7), rng.uniform(-3, 3)]), unit)
    image = cv2.GaussianBlur(canvas.image, (0, 0), rng.uniform(1.7, 2.6) * unit)
    side = size * supersample
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)


def _window(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    wall, low, warm, green = palette
    left = rng.choice([-4.0, 74.0])
    canvas.fill((_box(left - 4, 4, left + 46, 72) + shift) * unit, mix(wall, (255, 255, 255), 0.35))
    canvas.fill((_box(left, 8, left + 42, 68) + shift) * unit, (222, 234, 240))
    canvas.fill((_box(left, 44, left + 42, 68) + shift) * unit, mix(green, (222, 234, 240), 0.35))
    canvas.fill((_box(left + 20, 4, left + 23, 70) + shift) * unit, mix(wall, (255, 255, 255), 0.4))
    canvas.fill((_box(-10, 86, 124, 124) + shift) * unit, low)
    canvas.ellipse((np.array([104 - left, 84]) + shift) * unit, (12 * unit, 10 * unit), warm)


def _shelves(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    wall, low, red, blue = palette
    for top in (-6, 24, 54, 84):
        canvas.fill((_box(-10, top + 26, 124, top + 30) + shift) * unit, low)
        x = -8.0
        while x < 120:
            width, height = rng.uniform(3, 8), rng.uniform(14, 24)
            colour = mix([red, blue, wall, low][rng.integers(4)], (230, 214, 180), rng.uniform(0, 0.45))
            if rng.random() < 0.82:
                canvas.fill((_box(x, top + 26 - height, x + width, top + 26) + shift) * unit, colour)
            x += width + 0.6


def _pictures(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    _, low, pale, accent = palette
    for x, y, w, h in ((4, 12, 24, 32), (82, 6, 28, 22), (86, 36, 22, 30)):
        corner = np.array([x, y]) + rng.uniform(-2, 2, 2) + shift
        canvas.fill((_box(0, 0, w, h) + corner) * unit, mix(low, (30, 24, 20), 0.4))
        canvas.fill((_box(2, 2, w - 2, h - 2) + corner) * unit, pale)
        canvas.ellipse((corner + np.array([w / 2, h * 0.6])) * unit, (w * 0.28 * unit, h * 0.2 * unit), accent)
    canvas.fill((_box(-10, 84, 124, 124) + shift) * unit, low)


def _lamp(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    wall, low, glow, violet = palette
    x = float(rng.choice([14.0, 98.0]))
    for radius, amount in ((40, 0.25), (28, 0.45), (18, 0.7)):
        canvas.ellipse((np.array([x, 36]) + shift) * unit, (radius * unit, radius * unit), mix(wall, glow, amount))
    shade = np.array([(x - 7, 24), (x + 7, 24), (x + 12, 44), (x - 12, 44)]) + shift
    canvas.fill(shade * unit, mix(glow, (255, 255, 240), 0.4))
    canvas.fill((_box(x - 1.5, 44, x + 1.5, 90) + shift) * unit, low)
    canvas.fill((_box(-10, 82, 124, 124) + shift) * unit, low)
    canvas.fill((_box(100 - x, 14, 124 - x, 46) + shift) * unit, violet)


def _plants(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    _, low, green, terracotta = palette
    canvas.fill((_box(-10, 88, 124, 124) + shift) * unit, low)
    for x in (10.0, 100.0):
        canvas.fill((_box(x - 9, 70, x + 9, 90) + shift) * unit, terracotta)
        for _ in range(9):
            lean, height = rng.uniform(-0.9, 0.9), rng.uniform(22, 44)
            middle = np.array([x + lean * height * 0.5, 70 - height * 0.6]) + shift
            leaf = ellipse_points(middle * unit, (3.4 * unit, height * 0.5 * unit), lean)
            canvas.fill(leaf, mix(green, (40, 70, 50), rng.uniform(0, 0.5)))


def _bokeh(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    wall, low, amber, coral = palette
    canvas.fill((_box(-10, 74, 124, 124) + shift) * unit, low)
    canvas.fill((_box(-10, 40, 30, 76) + shift) * unit, mix(wall, low, 0.5))
    for _ in range(22):
        place = np.array([rng.uniform(-4, 116), rng.uniform(0, 70)]) + shift
        radius = rng.uniform(3, 8) * unit
        colour = mix(wall, [amber, coral, (255, 232, 190)][rng.integers(3)], rng.uniform(0.35, 0.85))
        canvas.ellipse(place * unit, (radius, radius), colour)


def _tiles(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    wall, low, white, blue = palette
    for row in range(7):
        for column in range(-1, 9):
            x, y = column * 15 + (row % 2) * 7.5, 24 + row * 9
            tone = mix(white, wall, rng.uniform(0.2, 0.8))
            canvas.fill((_box(x, y, x + 14, y + 8) + shift) * unit, tone)
    canvas.fill((_box(-10, -10, 40, 22) + shift) * unit, low)
    canvas.fill((_box(70, -10, 124, 22) + shift) * unit, low)
    canvas.fill((_box(-10, 86, 124, 124) + shift) * unit, mix(low, (90, 84, 80), 0.4))
    canvas.ellipse((np.array([float(rng.choice([12, 100])), 78]) + shift) * unit, (8 * unit, 10 * unit), blue)


def _curtains(canvas: Canvas, palette: list[Colour], rng: np.random.Generator, shift: np.ndarray, unit: float) -> None:
    wall, low, cream, blue = palette
    canvas.fill((_box(34, -10, 80, 124) + shift) * unit, mix(cream, blue, 0.25))
    for x in (*np.arange(-12, 34, 6), *np.arange(78, 126, 6)):
        tone = mix(wall, low, rng.uniform(0.1, 0.8))
        wave = smooth([(x, -10), (x + rng.uniform(-2, 2), 40), (x + rng.uniform(-2, 2), 124)])
        canvas.stroke((wave + shift) * unit, tone, 7 * unit)


Placer = Callable[..., np.ndarray]  # body points (N, 2) in head units -> pixels (N, 2)


def draw_body(canvas: Canvas, head: Head, look: Look, scene: Scene) -> None:
    """Neck, shoulders and clothes. The shoulders follow the head's movement a little."""
    place = np.array(scene.centre) + np.array([head.pose.x, head.pose.y]) * 0.3 * scene.scale
    broad = 1.0 if look.character.sex == "male" else 0.87

    def at(points: list | np.ndarray) -> np.ndarray:
        return np.asarray(points, dtype=np.float64) * (broad, 1) * scene.scale + place

    top = head.at([(-0.50 * broad, 0.75), (0.50 * broad, 0.75)], 0.0)
    neck = np.concatenate([top, at([(0.56, 1.72), (-0.56, 1.72)])])
    chest = smooth([(-0.95, 1.95), (-0.4, 1.6), (0.4, 1.6), (0.95, 1.95), (0, 2.6)], closed=True)
    canvas.fill(neck, look.skin)
    canvas.fill(at(chest), look.skin)
    chin = head.curve([(-0.85, 0.7), (-0.5, 1.35), (0, 1.62), (0.5, 1.35), (0.85, 0.7)], 0.2)
    canvas.clipped(neck, lambda c: c.fill(chin, mix(look.skin, look.shadow, 0.85)))
    _garment(canvas, at, look, scene)


def _garment(canvas: Canvas, at: Placer, look: Look, scene: Scene) -> None:
    details = {
        "crew": _crew,
        "vneck": _vneck,
        "shirt": _shirt,
        "hoodie": _hoodie,
        "turtleneck": _turtleneck,
        "blazer": _blazer,
    }
    if look.garment == "blazer":
        canvas.fill(at([(-0.62, 1.66), (0.62, 1.66), (0.7, 3.2), (-0.7, 3.2)]), _WHITE)
        canvas.fill(at([(-0.3, 1.6), (0.3, 1.6), (0.0, 2.05)]), look.skin)
    collar = _collar(look.garment)
    edge = collar[-1]
    right = smooth([edge, (1.08, 1.78), (1.74, 1.99), (2.16, 2.5), (2.35, 3.4)])
    torso = at(np.concatenate([collar, right[1:], (right * (-1, 1))[::-1][:-1]]))
    canvas.fill(torso, look.cloth)
    away = -scene.light_side
    shade = [(0.7, 1.5), (1.05, 2.2), (0.8, 3.4), (2.8, 3.4), (2.6, 1.7)]
    dark = at(smooth([(away * x, y) for x, y in shade], closed=True))
    canvas.clipped(torso, lambda c: c.fill(dark, mix(look.cloth, _DARK, 0.18)))
    details[look.garment](canvas, at, look.cloth, scene.scale, collar)


_WHITE, _DARK, _PALE = (236, 232, 224), (20, 16, 30), (255, 250, 240)


def _collar(garment: str) -> np.ndarray:
    """The neckline (N, 2) from the left to the right shoulder."""
    dip = {"crew": 1.86, "vneck": 2.35, "shirt": 2.2, "hoodie": 1.95, "turtleneck": 1.5, "blazer": 2.6}[garment]
    wide, rise = (0.50, 1.42) if garment == "turtleneck" else (0.66, 1.60)
    if garment in ("vneck", "shirt", "blazer"):
        return np.array([(-wide, rise), (0, dip), (wide, rise)], dtype=np.float64)
    bend = (rise + dip) / 2 + 0.1
    return smooth([(-wide, rise), (-wide * 0.62, bend), (0, dip), (wide * 0.62, bend), (wide, rise)])


def _crew(canvas: Canvas, at: Placer, cloth: Colour, scale: float, collar: np.ndarray) -> None:
    canvas.stroke(at(collar), mix(cloth, _DARK, 0.16), 0.11 * scale)


def _vneck(canvas: Canvas, at: Placer, cloth: Colour, scale: float, collar: np.ndarray) -> None:
    canvas.stroke(at(collar), mix(cloth, _PALE, 0.16), 0.11 * scale)


def _shirt(canvas: Canvas, at: Placer, cloth: Colour, scale: float, collar: np.ndarray) -> None:
    for s in (-1, 1):
        canvas.fill(
            at([(s * 0.62, 1.52), (s * 0.05, 2.18), (s * 0.52, 2.36), (s * 0.86, 1.78)]),
            mix(cloth, _PALE, 0.16),
        )
        canvas.stroke(
            at([(s * 0.05, 2.18), (s * 0.52, 2.36), (s * 0.86, 1.78)]), mix(cloth, _DARK, 0.32), 0.035 * scale
        )


def _hoodie(canvas: Canvas, at: Placer, cloth: Colour, scale: float, collar: np.ndarray) -> None:
    hood = smooth([(-0.8, 1.5), (-0.66, 1.95), (0, 2.2), (0.66, 1.95), (0.8, 1.5)])
    canvas.stroke(at(hood), mix(cloth, _PALE, 0.16), 0.26 * scale)
    for s in (-1, 1):
        canvas.stroke(at([(s * 0.26, 2.15), (s * 0.3, 2.9)]), _WHITE, 0.05 * scale)


def _turtleneck(canvas: Canvas, at: Placer, cloth: Colour, scale: float, collar: np.ndarray) -> None:
    light = mix(cloth, _PALE, 0.10)
    band = smooth([(-0.53, 1.40), (0, 1.46), (0.53, 1.40)])
    canvas.fill(at(np.concatenate([band, smooth([(0.62, 1.84), (0, 1.94), (-0.62, 1.84)])])), light)
    for y in (1.54, 1.68, 1.82):
        fold = smooth([(-0.56, y - 0.03), (0, y + 0.06), (0.56, y - 0.03)])
        canvas.stroke(at(fold), mix(light, _DARK, 0.14), (0.0, 0.035 * scale, 0.0))


def _blazer(canvas: Canvas, at: Placer, cloth: Colour, scale: float, collar: np.ndarray) -> None:
    for s in (-1, 1):
        lapel = at([(s * 0.66, 1.58), (s * 0.02, 2.62), (s * 0.62, 2.5), (s * 1.0, 1.95)])
        canvas.fill(lapel, mix(cloth, _DARK, 0.12))
