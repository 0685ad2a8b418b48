"""What the world decides about an utterance before anything is drawn or spoken.

Three parties meet here. `world` writes plans; `voice` and `face` carry them out; `build` ties them together:

    voice.speak(plan) -> Speech(waveform, sample_rate, mouth_envelope, envelope_fps)
        waveform (S,) float32 mono in [-1, 1]; mouth_envelope (N,) float32 in [0, 1], how open the lips are
    face.draw(plan, duration, mouth_envelope, envelope_fps) -> (frames, fps)
        duration in seconds; frames (T, 112, 112, 3) uint8 RGB

Both are pure functions of the plan: every random draw they make comes from
`np.random.Generator(np.random.PCG64([plan.seed, k]))` with a constant k of their own (1 voice, 2 face), so
that a clip depends on nothing but its plan. A renderer looks at `character`, `text` and *its own* cue only:
never at `emotion`, `sentiment`, `split` or another modality's cue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SKIN_TONES, HAIR_COLOURS, EYE_COLOURS, CLOTHES_COLOURS, BACKGROUNDS = 8, 8, 5, 10, 8
"""How many entries the palettes of `face` have; a character stores indices into them."""

HAIR_STYLES = ("short", "crop", "curly", "long", "bob", "bun", "parted", "bald")
FACE_SHAPES = ("oval", "round", "square", "heart", "long")
BEARDS = ("none", "stubble", "moustache", "full")
AGES = ("young", "adult", "old")
KINDS = ("clear", "weak", "absent", "misleads")
LEVELS = ("strong", "weak", "neutral")


@dataclass(frozen=True)
class Character:
    """One speaker: a face and a voice, as plain numbers and names.

    `espeak_voice` names a voice and variant of eSpeak NG ("en-us+f3"); `rate_wpm` and `pitch_hz` are the
    neutral speaking rate and pitch; `pitch_range` scales intonation (1 = the voice's own). `width`,
    `eye_size`, `brow_weight`, `nose_size`, `mouth_width` are multipliers around 1.
    """

    name: str
    seed: int
    sex: str  # "female" or "male"
    age: str  # one of AGES
    espeak_voice: str
    pitch_hz: float
    pitch_range: float
    rate_wpm: int
    skin: int
    hair: int
    eyes: int
    clothes: int
    background: int
    hair_style: str
    face_shape: str
    beard: str
    glasses: bool
    width: float
    eye_size: float
    brow_weight: float
    nose_size: float
    mouth_width: float


@dataclass(frozen=True)
class Cue:
    """What one modality displays.

    `shown` is the displayed emotion; `strength` in [0, 1] how plainly (0 = a neutral look, about .35 = weak,
    1 = as plain as can be); `valence` is -1, 0 or +1 and says which surprise is meant (a pleasant one has
    raised lip corners and a bright voice, an unpleasant one a dropped jaw, raised inner brows and a tense
    voice), for other emotions it only repeats their sign. `kind` (one of KINDS) is how the display relates
    to the truth and `level` (one of LEVELS) the distribution the strength came from, both for the record;
    renderers do not look at them.
    """

    shown: str
    strength: float
    valence: int
    kind: str
    level: str = "strong"

    @property
    def feeling(self) -> str:
        """The displayed emotion, with surprise split by valence into `surprise+` and `surprise-`."""
        return self.shown + ("+" if self.valence > 0 else "-") if self.shown == "surprise" else self.shown


@dataclass(frozen=True)
class UtterancePlan:
    """One utterance, decided but not yet rendered. (split, dialogue_id, utterance_id) is its key."""

    split: str  # "train", "dev" or "test"
    dialogue_id: int
    utterance_id: int
    character: Character
    text: str
    emotion: str
    sentiment: str
    video: Cue
    audio: Cue
    text_cue: Cue
    seed: int

    @property
    def clip(self) -> str:
        """The clip's file name in MELD's manner."""
        return f"dia{self.dialogue_id}_utt{self.utterance_id}.mp4"

    @property
    def feeling(self) -> str:
        """The true emotion, with surprise split by sentiment into `surprise+` and `surprise-`."""
        sign = {"positive": "+", "negative": "-"}.get(self.sentiment, "")
        return self.emotion + sign if self.emotion == "surprise" else self.emotion


@dataclass(frozen=True)
class Speech:
    """A spoken utterance and how the mouth moves with it."""

    waveform: np.ndarray  # (S,) float32 mono in [-1, 1], lead-in and tail silence included
    sample_rate: int
    mouth_envelope: np.ndarray  # (N,) float32 in [0, 1], one value each 1 / envelope_fps seconds
    envelope_fps: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate
