"""One moment of a face, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    """One moment of a face: action units as a mapping, and what speech and eyes add to them."""

    units: Mapping[int, float]
    mouth_open: float = 0.0  # 0..1, from the sound
    blink: float = 0.0  # 0 open .. 1 shut
    gaze: tuple[float, float] = (0.0, 0.0)  # -1..1, right and down

    def __getitem__(self, unit: int) -> float:
        return float(self.units.get(unit, 0.0))

    @property
    def jaw(self) -> float:
        """How far the chin goes down, in head units."""
        return 0.26 * max(self[26], 0.0) + 0.12 * self.mouth_open
