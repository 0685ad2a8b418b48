"""What an emotion does to a voice, as a handful of numbers drawn for each utterance.

The directions follow reviews of vocal emotion (K. R. Scherer, 2003, Speech Communication 40; P. N. Juslin &
P. Laukka, 2003, Psychological Bulletin 129): anger is loud, bright and pressed; fear high, narrow and
trembling; joy high, wide and bright; sadness low, narrow, slow and dull; surprise wide and rising; disgust
low, slow and creaky. The sizes and the spread are this project's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mmsa_lib.mini.plan import Cue


@dataclass(frozen=True)
class Prosody:
    """How one utterance departs from its speaker's neutral voice. All zero is neutral."""

    pitch: float = 0.0  # semitones
    range: float = 0.0  # natural log of the factor on the intonation's range
    rate: float = 0.0  # natural log of the factor on words per minute
    rise: float = 0.0  # semitones the last third climbs (or falls)
    lilt: float = 0.0  # semitones of slow melodic bounce
    tremor: float = 0.0  # 0..1, fast unsteadiness of pitch and loudness
    tilt: float = 0.0  # decibels above 1.2 kHz
    drive: float = 0.0  # 0..1, pressed and distorted
    breath: float = 0.0  # 0..1, aspiration noise
    creak: float = 0.0  # 0..1, glottal fry
    formant: float = 0.0  # log of the vocal tract's scaling, positive as with spread lips
    punch: float = 0.0  # above 0 livelier, below 0 flatter changes of loudness
    pause: float = 0.0  # seconds of hesitation before one of the words
    gasp: float = 0.0  # 0..1, a sharp breath in before the first word
    sigh: float = 0.0  # 0..1, a long breath out after the last
    chuckle: float = 0.0  # 0..1, puffs of laughter after the last


EFFECTS: dict[str, Prosody] = {
    "neutral": Prosody(),
    "anger": Prosody(pitch=1.5, range=0.35, rate=0.05, rise=-2.0, tilt=9.0, drive=1.0, punch=0.6),
    "disgust": Prosody(pitch=-3.0, range=-0.1, rate=-0.05, rise=-4.0, creak=1.0, formant=-0.07, pause=0.03),
    "fear": Prosody(pitch=4.5, range=-0.5, rate=0.05, tremor=1.2, breath=0.5, punch=-0.2, pause=0.04, gasp=0.35),
    "joy": Prosody(pitch=3.5, range=0.5, rate=0.02, lilt=3.0, tilt=3.0, formant=0.07, punch=0.3, chuckle=0.9),
    "sadness": Prosody(
        pitch=-2.0,
        range=-0.8,
        rate=-0.06,
        rise=-2.5,
        tilt=-10.0,
        breath=0.6,
        punch=-0.6,
        pause=0.06,
        sigh=0.8,
    ),
    "surprise": Prosody(pitch=4.0, range=0.8, rise=8.0, tilt=1.0, punch=0.2, gasp=0.8),
}
SURPRISE_VARIANTS: dict[int, Prosody] = {
    1: Prosody(tilt=2.0, formant=0.04, lilt=0.8, chuckle=0.2),
    0: Prosody(),
    -1: Prosody(tremor=0.35, breath=0.3, tilt=-1.0),
}
SPREAD = Prosody(
    pitch=0.8, range=0.1, rate=0.09, rise=0.6, lilt=0.2, tremor=0.05, tilt=1.2, drive=0.05, breath=0.06,
    creak=0.05, formant=0.015, punch=0.1, pause=0.02, gasp=0.04, sigh=0.04, chuckle=0.03,
)  # fmt: skip
"""Standard deviations of what any utterance does by chance, whatever its emotion."""

_ONE_SIDED = ("lilt", "tremor", "drive", "breath", "creak", "pause", "gasp", "sigh", "chuckle")
_ODDS = 0.96  # each effect of an emotion is left out now and then


def draw_prosody(cue: Cue, rng: np.random.Generator) -> Prosody:
    """Draw the prosody of one utterance: the emotion's effects scaled by the cue's strength, plus chance."""
    effects, variant = EFFECTS[cue.shown], SURPRISE_VARIANTS[int(np.sign(cue.valence))]
    overall = cue.strength * rng.uniform(0.95, 1.35)
    drawn = {}
    for field in fields(Prosody):
        size = getattr(effects, field.name)
        if cue.shown == "surprise":
            size += getattr(variant, field.name)
        kept = rng.random() < _ODDS
        chance = rng.normal(0, getattr(SPREAD, field.name))
        value = size * overall * rng.normal(1.0, 0.18) * kept + chance
        drawn[field.name] = float(max(value, 0.0) if field.name in _ONE_SIDED else value)
    return Prosody(**drawn)
