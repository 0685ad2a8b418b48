"""A small supersampled canvas: smooth curves, fills, tapered strokes, clipped and soft paint.

Coordinates are pixels of the finished picture, as floats; x to the right, y down. Everything is drawn
`supersample` times larger and averaged down at the end, which is what makes the edges smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np

Colour = tuple[int, int, int]
_SHIFT = 4  # fractional bits of the coordinates handed to OpenCV


def seeded(*key: int) -> np.random.Generator:
    """A generator that depends on nothing but the key."""
    return np.random.Generator(np.random.PCG64(list(key)))


@lru_cache(maxsize=256)
def _spline_basis(count: int, closed: bool, steps: int) -> np.ndarray:
    """Matrix (samples, count) that turns control points into samples of their Catmull-Rom curve."""
    segments = count if closed else count - 1
    t = np.arange(steps) / steps
    weights = 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3])
    basis = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for k in range(4):
            index = segment - 1 + k
            column = index % count if closed else min(max(index, 0), count - 1)
            basis[segment * steps : (segment + 1) * steps, column] += weights[k]
    if not closed:
        basis[-1, -1] = 1.0
    return basis


def smooth(points: Sequence | np.ndarray, *, closed: bool = False, steps: int = 7) -> np.ndarray:
    """Samples (N, D) of the Catmull-Rom curve through the control points (K, D)."""
    points = np.asarray(points, dtype=np.float64)
    return _spline_basis(len(points), closed, steps) @ points


def mix(first: Sequence[float], second: Sequence[float], amount: float) -> Colour:
    """The colour `amount` of the way from the first to the second."""
    r, g, b = (round(a + (c - a) * amount) for a, c in zip(first, second, strict=True))
    return r, g, b


@lru_cache(maxsize=512)
def _spread(widths: tuple[float, ...], count: int) -> np.ndarray:
    """Weights (count, 1) of half the widths, evenly spread over `count` samples."""
    places = np.linspace(0, 1, len(widths))
    return 0.5 * np.interp(np.linspace(0, 1, count), places, widths)[:, None]


def taper(points: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """Outline (2N, 2) of a stroke along points (N, 2) whose width runs through `widths`, evenly spread."""
    largest = max(widths) or 1.0
    half = _spread(tuple(round(w / largest, 3) for w in widths), len(points)) * largest
    tangent = np.empty_like(points)
    tangent[1:-1] = points[2:] - points[:-2]
    tangent[0], tangent[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    normal = tangent[:, ::-1] * (-1.0, 1.0) / length * half
    return np.concatenate([points + normal, (points - normal)[::-1]])


class Canvas:
    """An RGB picture of `size` pixels that is `supersample` times larger inside."""

    def __init__(self, size: int, supersample: int = 4, image: np.ndarray | None = None) -> None:
        self.size, self.supersample = size, supersample
        side = size * supersample
        self.image = np.zeros((side, side, 3), np.uint8) if image is None else image
        self.origin = np.zeros(2)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        inner = np.asarray(points, dtype=np.float64) * self.supersample - self.origin - 0.5
        return np.round(inner * (1 << _SHIFT)).astype(np.int32)

    def fill(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon (N, 2)."""
        cv2.fillPoly(self.image, [self._fixed(points)], colour, lineType=cv2.LINE_8, shift=_SHIFT)

    def stroke(self, points: np.ndarray, colour: Colour, widths: float | Sequence[float]) -> None:
        """A line along points (N, 2); several widths make it swell and taper."""
        widths = (widths, widths) if isinstance(widths, (int, float)) else widths
        self.fill(taper(np.asarray(points, dtype=np.float64), widths), colour)

    def ellipse(self, centre: Sequence[float], radii: Sequence[float], colour: Colour, angle: float = 0.0) -> None:
        """A filled ellipse; `angle` in radians turns it clockwise on the screen."""
        self.fill(ellipse_points(centre, radii, angle), colour)

    def clipped(self, outline: np.ndarray, paint: Callable[[Canvas], None]) -> None:
        """Run `paint` on a copy and keep only what falls inside the outline (N, 2)."""
        corner = np.floor(outline.min(0) * self.supersample - self.origin).astype(int) - 1
        end = np.ceil(outline.max(0) * self.supersample - self.origin).astype(int) + 2
        (x0, y0), (x1, y1) = np.maximum(corner, 0), np.maximum(end, 0)
        region = self.image[y0:y1, x0:x1]
        if region.size == 0:
            return
        layer = Canvas(self.size, self.supersample, image=region.copy())
        layer.origin = self.origin + (x0, y0)
        paint(layer)
        mask = np.zeros(region.shape[:2], np.uint8)
        cv2.fillPoly(mask, [layer._fixed(outline)], 255, lineType=cv2.LINE_8, shift=_SHIFT)
        cv2.copyTo(layer.image, mask, region)

    def mask(self, outline: np.ndarray) -> np.ndarray:
        """Inner-resolution mask (side, side) uint8 of a polygon."""
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self._fixed(outline)], 255, lineType=cv2.LINE_8, shift=_SHIFT)
        return mask

    def blend(self, alpha: np.ndarray, colour: Colour) -> None:
        """Mix a colour in by alpha (side, side) uint8."""
        x, y, width, height = cv2.boundingRect(alpha)
        if width == 0:
            return
        alpha, region = alpha[y : y + height, x : x + width], self.image[y : y + height, x : x + width]
        rest = 255 - alpha
        kept = cv2.multiply(region, cv2.merge([rest, rest, rest]), scale=1 / 255)
        paint = cv2.merge([cv2.convertScaleAbs(alpha, alpha=channel / 255) for channel in colour])
        cv2.add(kept, paint, dst=kept)
        region[:] = kept

    def soft(
        self,
        shapes: Sequence[tuple[np.ndarray, float]],
        colour: Colour,
        blur: float,
        clip: np.ndarray | None = None,
    ) -> None:
        """Blurred polygons in one colour: each shape is (points, opacity); `blur` is a sigma in pixels."""
        coarse = np.zeros((self.size, self.size), np.float32)
        for points, opacity in shapes:
            fixed = np.round((np.asarray(points) - 0.5) * (1 << _SHIFT)).astype(np.int32)
            layer = np.zeros((self.size, self.size), np.uint8)
            cv2.fillPoly(layer, [fixed], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
            coarse += layer * np.float32(opacity)
        coarse = np.clip(cv2.GaussianBlur(coarse, (0, 0), blur), 0, 255).astype(np.uint8)
        alpha = cv2.resize(coarse, self.image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        self.blend(alpha if clip is None else cv2.min(alpha, clip), colour)

    def finish(self) -> np.ndarray:
        """The picture (size, size, 3) uint8, averaged down."""
        return cv2.resize(self.image, (self.size, self.size), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=1)
def _circle() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def ellipse_points(centre: Sequence[float], radii: Sequence[float], angle: float = 0.0) -> np.ndarray:
    """Outline (28, 2) of an ellipse turned by `angle` radians."""
    points = _circle() * radii
    if angle:
        c, s = np.cos(angle), np.sin(angle)
        points = points @ np.array([(c, s), (-s, c)])
    return points + centre
