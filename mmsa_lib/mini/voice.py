"""Speaks an utterance: eSpeak NG says the words, signal processing adds the feeling and the room."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from math import log2
from xml.sax.saxutils import escape

import numpy as np
from scipy import signal

from mmsa_lib.errors import MMSAError
from mmsa_lib.mini import sound
from mmsa_lib.mini.canvas import seeded
from mmsa_lib.mini.plan import Character, Speech, UtterancePlan
from mmsa_lib.mini.prosody import Prosody, draw_prosody

SAMPLE_RATE = 16_000
ENVELOPE_FPS = 100.0
VARIANT_PITCH: dict[str, float] = {
    "m1": 96, "m2": 101, "m3": 106, "m4": 96, "m5": 100, "m6": 101, "m7": 107, "m8": 100,
    "f1": 179, "f2": 195, "f3": 212, "f4": 179, "f5": 206,
}  # fmt: skip
"""Median pitch in hertz of eSpeak NG's voice variants at its default setting (measured on version 1.51)."""
_OCTAVE = 70.0  # steps of eSpeak's -p for one octave (measured: 60 steps are a factor of 1.8)


def speak(plan: UtterancePlan) -> Speech:
    """Say the plan's text in its character's voice, coloured by its audio cue.

    Returns 16 kHz mono with short margins; the mouth envelope has 100 values a second. Raises `MMSAError`
    if eSpeak NG is missing or cannot say the text.
    """
    rng = seeded(plan.seed, 1)
    prosody = draw_prosody(plan.audio, rng)
    dry = _words(plan.character, plan.text, prosody, rng)
    if len(dry) == 0:
        raise MMSAError(f"eSpeak NG says nothing for {plan.text!r}")
    feeling = _colour(dry, prosody, rng)
    lead, tail = _margins(len(feeling), len(plan.text.split()), plan.character, rng)
    padded = np.pad(feeling, (lead, tail))
    mouth = _mouth(padded)
    _add_breaths(padded, lead, tail, prosody, rng)
    return Speech(_record(padded, rng), SAMPLE_RATE, mouth, ENVELOPE_FPS)


def espeak(text: str, voice: str, *, pitch: int = 50, rate: int = 175, markup: bool = False) -> np.ndarray:
    """Run eSpeak NG: waveform (S,) at 16 kHz in [-1, 1]. `pitch` is 0..99, `rate` in words per minute."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise MMSAError("eSpeak NG is not installed: `apt install espeak-ng` (needed only to build the data)")
    command = [program, "-v", voice, "-p", str(pitch), "-s", str(rate), "-z", "--stdin", "--stdout"]
    command += ["-m"] if markup else []
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode or len(done.stdout) < 44:
        reason = done.stderr.decode(errors="replace").strip() or "no sound came back"
        raise MMSAError(f"eSpeak NG, voice {voice!r}: {reason}")
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate_in, data = file.getframerate(), done.stdout[44:]
    samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32768.0
    return signal.resample_poly(samples, SAMPLE_RATE // 50, rate_in // 50)


def _words(character: Character, text: str, prosody: Prosody, rng: np.random.Generator) -> np.ndarray:
    """The bare speech with pitch, range, rate and pauses set, silence cut from its ends."""
    variant = character.espeak_voice.partition("+")[2]
    factor = character.pitch_hz / VARIANT_PITCH.get(variant, 100.0)
    # formants move by playing the speech faster or slower: pitch and rate are set to undo that
    semitones = prosody.pitch - 12 * prosody.formant / np.log(2)
    pitch = 50 + _OCTAVE * (log2(factor) + semitones / 12)
    rate = character.rate_wpm * np.exp(prosody.rate - prosody.formant)
    spread = 100 * character.pitch_range * np.exp(prosody.range)
    body = _with_pause(text, prosody.pause, rng)
    markup = f'<speak><prosody range="{round(float(np.clip(spread, 15, 260)))}%">{body}</prosody></speak>'
    waveform = espeak(
        markup,
        character.espeak_voice,
        pitch=round(float(np.clip(pitch, 0, 99))),
        rate=round(float(np.clip(rate, 110, 300))),
        markup=True,
    )
    return sound.trim(waveform, SAMPLE_RATE)


def _with_pause(text: str, seconds: float, rng: np.random.Generator) -> str:
    """SSML of the text, with one hesitation between two words.

    Exclamation marks become full stops: what they mean for the voice is the audio cue's business.
    """
    words = text.replace("!", ".").split()
    place = int(rng.integers(1, max(len(words), 2)))
    escaped = [escape(word) for word in words]
    if seconds > 0.02 and len(words) > 2:
        escaped.insert(place, f'<break time="{round(1000 * min(seconds, 0.4))}ms"/>')
    return " ".join(escaped)


def _colour(waveform: np.ndarray, prosody: Prosody, rng: np.random.Generator) -> np.ndarray:
    """Everything of the emotion that eSpeak cannot do."""
    contour = sound.pitch_contour(len(waveform), SAMPLE_RATE, prosody.rise, prosody.lilt, prosody.tremor, rng)
    x = sound.bend_pitch(waveform, contour + 12 * prosody.formant / np.log(2))
    x = sound.creak(x, SAMPLE_RATE, prosody.creak, rng)
    x = sound.punch(x, SAMPLE_RATE, prosody.punch)
    x = sound.drive(x, prosody.drive)
    x = sound.tilt(x, SAMPLE_RATE, prosody.tilt)
    x = sound.tremble(x, SAMPLE_RATE, prosody.tremor, rng)
    return sound.breathe(x, SAMPLE_RATE, prosody.breath, rng)


def _margins(length: int, words: int, character: Character, rng: np.random.Generator) -> tuple[int, int]:
    """Samples of silence before and after the speech, whose length in samples is given.

    They make up for its pace and pauses: the length of a clip tells the number of words, not the emotion.
    """
    seconds = 0.26 * words * 172 / character.rate_wpm + 1.1 + rng.uniform(0, 0.25)
    spare, share = seconds * SAMPLE_RATE - length, rng.uniform(0.35, 0.65)
    least = 0.12 * SAMPLE_RATE
    return round(max(share * spare, least)), round(max((1 - share) * spare, least))


def _add_breaths(padded: np.ndarray, lead: int, tail: int, prosody: Prosody, rng: np.random.Generator) -> None:
    """Gasp, sigh and laughter, in place and inside the margins, so that they do not change the length."""
    loud = 0.5 * np.percentile(np.abs(padded), 99)
    before, after = lead / SAMPLE_RATE, tail / SAMPLE_RATE
    gasp = sound.breath_sound(before * rng.uniform(0.6, 0.9), SAMPLE_RATE, rng, inward=True)
    sigh = sound.breath_sound(after * 0.95, SAMPLE_RATE, rng, inward=False)
    laugh = sound.breath_sound(after * 0.95, SAMPLE_RATE, rng, inward=False, puffs=rng.uniform(7, 10))
    padded[lead - len(gasp) : lead] += loud * min(prosody.gasp, 1.2) * gasp
    start = len(padded) - tail
    padded[start : start + len(sigh)] += loud * min(prosody.sigh, 1.2) * sigh
    padded[start : start + len(laugh)] += 1.2 * loud * min(prosody.chuckle, 1.2) * laugh


def _mouth(waveform: np.ndarray) -> np.ndarray:
    """How far the lips are open (N,) in [0, 1]: the loudness, relative to the utterance's own peaks."""
    rms = sound.envelope(waveform, SAMPLE_RATE, ENVELOPE_FPS, smooth=0.06)
    peak = np.percentile(rms[rms > 0.02 * rms.max()], 92) if rms.max() > 0 else 1.0
    return np.clip((rms / peak) ** 0.8, 0.0, 1.0).astype(np.float32)


def _record(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put the voice into a room and record it: level, noise and microphone know nothing of the emotion."""
    wet = sound.room(waveform, SAMPLE_RATE, rng)
    wet = sound.tilt(wet, SAMPLE_RATE, rng.normal(0, 1.5), corner=2500.0)
    level = 10 ** (rng.uniform(-27, -19) / 20)
    wet *= level / (np.sqrt(np.mean(wet**2)) + 1e-9)
    noise = sound.background(len(wet), SAMPLE_RATE, rng) * level * 10 ** (-rng.uniform(20, 36) / 20)
    mixed = wet + noise
    peak = np.abs(mixed).max()
    return (mixed * min(1.0, 0.97 / peak)).astype(np.float32)
