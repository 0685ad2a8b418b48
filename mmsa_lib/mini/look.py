"""How a character looks: palettes, proportions and the pose that turns head points into pixels.

Head coordinates: the half-width of a usual face is 1, the origin lies between the eyes' outer corners on
the face's axis, x to the right of the picture, y down, z towards the viewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmsa_lib.mini.canvas import Colour, mix, seeded, smooth
from mmsa_lib.mini.plan import Character

SKINS: tuple[Colour, ...] = (
    (251, 217, 193),
    (245, 204, 172),
    (235, 190, 154),
    (219, 167, 126),
    (194, 140, 101),
    (163, 111, 77),
    (129, 85, 60),
    (99, 66, 49),
)
HAIRS: tuple[Colour, ...] = (
    (38, 33, 38),
    (62, 43, 36),
    (98, 66, 46),
    (134, 70, 42),
    (184, 98, 50),
    (206, 164, 98),
    (80, 58, 60),
    (178, 178, 184),
)
IRISES: tuple[Colour, ...] = ((62, 40, 28), (112, 72, 40), (84, 112, 62), (66, 112, 150), (104, 118, 128))
CLOTHES: tuple[Colour, ...] = (
    (52, 84, 120),
    (168, 66, 60),
    (72, 110, 84),
    (214, 168, 80),
    (96, 74, 122),
    (58, 62, 72),
    (206, 198, 184),
    (40, 118, 124),
    (188, 112, 84),
    (196, 130, 148),
)
GARMENTS = ("crew", "vneck", "shirt", "hoodie", "turtleneck", "blazer")
# (jaw half-width, jaw height, chin half-width, chin height, temple half-width)
SHAPES: dict[str, tuple[float, float, float, float, float]] = {
    "oval": (0.77, 0.84, 0.35, 1.31, 0.91),
    "round": (0.86, 0.82, 0.43, 1.25, 0.92),
    "square": (0.88, 0.90, 0.50, 1.27, 0.92),
    "heart": (0.72, 0.82, 0.27, 1.31, 0.95),
    "long": (0.79, 0.90, 0.37, 1.41, 0.88),
}


@dataclass(frozen=True)
class Look:
    """Everything about a character that stays the same from frame to frame."""

    character: Character
    skin: Colour
    shadow: Colour
    light: Colour
    blush: Colour
    line: Colour
    hair: Colour
    hair_dark: Colour
    hair_light: Colour
    brow: Colour
    iris: Colour
    lip: Colour
    lip_dark: Colour
    cloth: Colour
    garment: str
    age: float  # 0 young .. 1 old
    lashes: float  # extra weight of the lash line
    eye_gap: float  # half the distance between the eyes' centres
    eye_tilt: float
    brow_arch: float
    lip_full: float
    side: float  # which way the hair is parted, -1 or +1
    freckles: bool
    earrings: bool


def look_of(character: Character) -> Look:
    """Derive the look from the character's numbers and seed."""
    rng = seeded(character.seed, 2)
    skin = SKINS[character.skin % len(SKINS)]
    natural = character.hair % len(HAIRS)
    if character.skin >= 4 and natural in (3, 4, 5):  # red and blond hair is rare with brown skin
        natural -= 3
    hair = HAIRS[natural]
    shadow = tuple(round(c * f) for c, f in zip(skin, (0.70, 0.58, 0.56), strict=True))
    female = character.sex == "female"
    rose = (186, 72, 84) if female else (168, 88, 84)
    lip = mix(mix(skin, rose, 0.62 if female else 0.42), shadow, 0.12)
    return Look(
        character=character,
        skin=skin,
        shadow=shadow,
        light=mix(skin, (255, 246, 228), 0.55),
        blush=mix(skin, (214, 82, 82), 0.72 - 0.045 * character.skin),
        line=mix(shadow, (40, 20, 24), 0.45),
        hair=hair,
        hair_dark=mix(hair, (16, 10, 22), 0.42),
        hair_light=mix(hair, tuple(min(255, c * 1.6 + 14) for c in hair), 0.5),
        brow=mix(mix(hair, (30, 22, 26), 0.45), skin, 0.06),
        iris=IRISES[character.eyes % len(IRISES)],
        lip=lip,
        lip_dark=mix(lip, (58, 16, 26), 0.55),
        cloth=CLOTHES[character.clothes % len(CLOTHES)],
        garment=str(rng.choice(GARMENTS)),
        age={"young": 0.0, "adult": 0.35, "old": 1.0}[character.age],
        lashes=1.0 if female else 0.35,
        eye_gap=0.425 + rng.uniform(-0.015, 0.03),
        eye_tilt=rng.uniform(-0.02, 0.05),
        brow_arch=rng.uniform(0.03, 0.08) + (0.02 if female else 0.0),
        lip_full=rng.uniform(0.8, 1.15) * (1.12 if female else 0.92),
        side=float(rng.choice([-1.0, 1.0])),
        freckles=bool(character.skin <= 2 and rng.random() < 0.3),
        earrings=bool(female and rng.random() < 0.5),
    )


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned: angles in radians, offsets in head units.

    Positive yaw turns the face to the picture's right, positive pitch down, positive roll clockwise.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Head:
    """A posed head: turns head coordinates into pixels."""

    pose: Pose
    centre: tuple[float, float]  # pixels
    scale: float  # pixels per head unit
    width: float  # the character's own stretch of x

    def at(self, points: np.ndarray | list, z: float | np.ndarray | None = None) -> np.ndarray:
        """Pixels (N, 2) of head points (N, 2); without `z` they lie on the face's curved front."""
        points = np.asarray(points, dtype=np.float64)
        x, y = points[:, 0] * self.width, points[:, 1]
        if z is None:
            z = np.sqrt(np.clip(1.05 - (x / 1.12) ** 2 - (y / 1.75) ** 2, 0.02, None))
        cos_y, sin_y, cos_p, sin_p, cos_r, sin_r = self._turns
        turned, depth = x * cos_y + z * sin_y, z * cos_y - x * sin_y
        pivot = 1.5  # the head rolls about the neck, not about the nose
        tipped = y * cos_p + depth * sin_p - pivot
        pixels = np.empty_like(points)
        pixels[:, 0] = turned * cos_r - tipped * sin_r + self.pose.x
        pixels[:, 1] = turned * sin_r + tipped * cos_r + pivot + self.pose.y
        return pixels * self.scale + self.centre

    @cached_property
    def _turns(self) -> tuple[float, ...]:
        pose = self.pose
        return tuple(f(a) for a in (pose.yaw, pose.pitch, pose.roll) for f in (math.cos, math.sin))

    def curve(
        self, points: list, z: float | np.ndarray | None = None, *, closed: bool = False, steps: int = 7
    ) -> np.ndarray:
        """Pixels (M, 2) of the smooth curve through head points."""
        return self.at(smooth(points, closed=closed, steps=steps), z)


def scalp_depth(points: np.ndarray | list) -> np.ndarray:
    """Depth (N,) of points on the hairline: flatter than the face, so that hair stays on the head."""
    x = np.atleast_2d(np.asarray(points, dtype=np.float64))[:, 0]
    return 0.72 * np.sqrt(np.clip(1 - (x / 0.97) ** 2, 0, None))


def mirrored(right: np.ndarray | list) -> np.ndarray:
    """Close an outline given from the top centre down its right side by mirroring it to the left."""
    right = np.asarray(right, dtype=np.float64)
    left = right[::-1] * (-1, 1)
    keep = np.abs(left[:, 0]) > 1e-9
    return np.concatenate([right, left[keep]])


def face_outline(look: Look, jaw: float = 0.0) -> np.ndarray:
    """Control points (K, 3) of the face's silhouette, x, y, z; `jaw` lowers the chin by that many units."""
    jaw_x, jaw_y, chin_x, chin_y, temple = SHAPES[look.character.face_shape]
    right = [
        (0.0, -1.27),
        (0.52, -1.15),
        (0.86, -0.74),
        (temple + 0.06, -0.18),
        (temple + 0.02, 0.34),
        (jaw_x, jaw_y + 0.35 * jaw),
        (chin_x, chin_y - 0.08 + 0.9 * jaw),
        (0.0, chin_y + jaw),
    ]
    depth = [0.1, 0.1, 0.05, 0.0, 0.02, 0.15, 0.42, 0.5]
    outline = mirrored(right)
    return np.column_stack([outline, depth + depth[-2:0:-1]])


def posed_outline(head: Head, look: Look, jaw: float = 0.0) -> np.ndarray:
    """Pixels (M, 2) of the face's silhouette."""
    curve = smooth(face_outline(look, jaw), closed=True, steps=6)
    return head.at(curve[:, :2], curve[:, 2])
