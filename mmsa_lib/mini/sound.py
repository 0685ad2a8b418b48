"""Signal processing that gives synthetic speech a feeling, a room and a level.

Every function takes and returns a mono waveform (S,) of floats; nothing here draws more than its `rng` says.
"""

from __future__ import annotations

import numpy as np
from scipy import signal


def trim(waveform: np.ndarray, sample_rate: int, threshold: float = 0.012) -> np.ndarray:
    """Cut silence at both ends; a silent waveform comes back empty."""
    loud = np.flatnonzero(np.abs(waveform) > threshold * max(float(np.abs(waveform).max(initial=0)), 1e-6))
    if len(loud) == 0 or not np.abs(waveform).max(initial=0):
        return waveform[:0]
    edge = round(0.01 * sample_rate)
    return waveform[max(loud[0] - edge, 0) : loud[-1] + edge]


def envelope(waveform: np.ndarray, sample_rate: int, fps: float = 100.0, smooth: float = 0.03) -> np.ndarray:
    """Root mean square (N,) in windows of `smooth` seconds, `fps` values a second."""
    count = max(1, int(np.ceil(len(waveform) / sample_rate * fps)))
    power = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    middle = (np.arange(count) + 0.5) / fps * sample_rate
    half = smooth * sample_rate / 2
    low = np.clip(np.round(middle - half).astype(int), 0, len(waveform))
    high = np.clip(np.round(middle + half).astype(int), 0, len(waveform))
    return np.sqrt((power[high] - power[low]) / np.maximum(high - low, 1))


def bend_pitch(waveform: np.ndarray, semitones: np.ndarray) -> np.ndarray:
    """Play the waveform at a varying speed: `semitones` (S,) is the shift of pitch at each input sample."""
    speed = 2.0 ** (semitones / 12)
    clock = np.concatenate([[0.0], np.cumsum(1 / speed)])[:-1]
    return np.interp(np.arange(0, clock[-1]), clock, waveform) if len(waveform) > 1 else waveform


def pitch_contour(
    length: int, sample_rate: int, rise: float, lilt: float, tremor: float, rng: np.random.Generator
) -> np.ndarray:
    """Semitones (length,): a late climb, a melodic bounce at about 2.5 Hz and a tremble at about 7 Hz."""
    t = np.arange(length) / sample_rate
    position = np.linspace(0, 1, length)
    climb = rise * np.clip((position - 0.6) / 0.4, 0, 1) ** 1.5
    bounce = lilt * np.sin(2 * np.pi * rng.uniform(1.8, 3.2) * t + rng.uniform(0, 2 * np.pi))
    shake = np.sin(2 * np.pi * rng.uniform(6, 8.5) * t + rng.uniform(0, 2 * np.pi))
    drift = np.interp(t, np.arange(0, t[-1] + 0.2 if length else 0.2, 0.1), _walk(t, rng)) if length else shake
    return climb + bounce + tremor * (0.8 * shake + 0.5 * drift)


def _walk(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 1, len(np.arange(0, t[-1] + 0.2, 0.1)))


def tremble(waveform: np.ndarray, sample_rate: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Unsteady loudness at 6 to 9 Hz."""
    t = np.arange(len(waveform)) / sample_rate
    wave = np.sin(2 * np.pi * rng.uniform(6, 9) * t + rng.uniform(0, 2 * np.pi))
    return waveform * (1 - 0.5 * min(depth, 1.4) * (0.5 + 0.5 * wave))


def creak(waveform: np.ndarray, sample_rate: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Irregular glottal pulses at 17 to 28 a second, as in a disgusted drawl."""
    if depth <= 0.01 or len(waveform) == 0:
        return waveform
    steps = sample_rate / (rng.uniform(17, 28) * rng.uniform(0.75, 1.3, int(len(waveform) / sample_rate * 60) + 2))
    pulses = np.zeros(len(waveform))
    places = np.cumsum(steps).astype(int)
    pulses[places[places < len(waveform)]] = 1.0
    t = np.arange(round(0.06 * sample_rate)) / sample_rate
    decay = (1 - np.exp(-t / 0.002)) * np.exp(-t / 0.012)  # a soft attack: a sudden one would click
    gate = signal.oaconvolve(pulses, decay)[: len(waveform)]
    gate = np.clip(gate / max(float(gate.max()), 1e-9), 0, 1)
    depth = min(depth, 1.0) * 0.9
    return waveform * (1 - depth + depth * 1.8 * gate)


def tilt(waveform: np.ndarray, sample_rate: int, decibels: float, corner: float = 1200.0) -> np.ndarray:
    """First-order shelf: `decibels` more (or less) well above the corner frequency."""
    gain = 10 ** (float(np.clip(decibels, -16, 14)) / 20)
    omega = 2 * np.pi * corner
    b, a = signal.bilinear([np.sqrt(gain), omega], [1 / np.sqrt(gain), omega], fs=sample_rate)
    return signal.lfilter(b, a, waveform)


def drive(waveform: np.ndarray, amount: float) -> np.ndarray:
    """Pressed voice: soft saturation that adds harmonics and evens out the level."""
    if amount <= 0.02 or not len(waveform):
        return waveform
    level = np.sqrt(np.mean(waveform**2)) + 1e-9
    pushed = np.tanh(waveform / level * (0.25 + 1.6 * amount)) * level
    return (1 - min(amount, 1)) * waveform + min(amount, 1) * pushed * 1.2


def breathe(waveform: np.ndarray, sample_rate: int, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Aspiration: high noise that follows the speech's loudness, in exchange for some of its voice."""
    if amount <= 0.01 or not len(waveform):
        return waveform
    b, a = signal.butter(2, [1500, min(6500, 0.45 * sample_rate)], "bandpass", fs=sample_rate)
    noise = signal.lfilter(b, a, rng.normal(0, 1, len(waveform)))
    rms = envelope(waveform, sample_rate, smooth=0.05)
    loudness = np.interp(np.arange(len(waveform)) / sample_rate, (np.arange(len(rms)) + 0.5) / 100, rms)
    return waveform * (1 - 0.25 * min(amount, 1)) + noise * loudness * 0.55 * min(amount, 1.2)


def breath_sound(
    seconds: float, sample_rate: int, rng: np.random.Generator, *, inward: bool, puffs: float = 0.0
) -> np.ndarray:
    """A breath with a peak of about 1: swells when drawn in, fades when let out; `puffs` a second chop it."""
    count = max(8, round(seconds * sample_rate))
    position = np.linspace(0, 1, count)
    shape = (
        position**1.5 * np.clip((1 - position) * 8, 0, 1)
        if inward
        else np.exp(-3 * position) * np.clip(position * 12, 0, 1)
    )
    low, high = (1100, 5200) if inward else (450, 3200)
    b, a = signal.butter(2, [low * rng.uniform(0.85, 1.2), high * rng.uniform(0.85, 1.15)], "bandpass", fs=sample_rate)
    noise = signal.lfilter(b, a, rng.normal(0, 1, count))
    if puffs:
        shape = shape * np.clip(np.sin(2 * np.pi * puffs * position * seconds), 0, 1) ** 0.7
    breath = noise * shape
    return breath / (np.abs(breath).max() + 1e-9)


def punch(waveform: np.ndarray, sample_rate: int, amount: float) -> np.ndarray:
    """Expand (above 0) or flatten (below 0) the syllables' changes of loudness."""
    if not len(waveform):
        return waveform
    rms = envelope(waveform, sample_rate, smooth=0.08) + 1e-4
    gain = (rms / np.percentile(rms, 80)) ** (0.7 * float(np.clip(amount, -0.8, 0.8)))
    gain = np.clip(gain, 0.25, 2.5)
    return waveform * np.interp(np.arange(len(waveform)) / sample_rate, (np.arange(len(rms)) + 0.5) / 100, gain)


def room(waveform: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Early and late reflections of a small room of random size and damping."""
    decay = rng.uniform(0.05, 0.22)
    wet = rng.uniform(0.05, 0.3)
    t = np.arange(round(4 * decay * sample_rate)) / sample_rate
    tail = rng.normal(0, 1, len(t)) * np.exp(-t / decay) * (t > 0.004)
    tail *= wet / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    return signal.oaconvolve(waveform, tail)[: len(waveform)]


def background(length: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Room noise with unit power: between white and brown, a little mains hum."""
    noise = signal.lfilter([1.0], [1.0, -rng.uniform(0.6, 0.97)], rng.normal(0, 1, length + 200))[200:]
    noise /= np.sqrt(np.mean(noise**2)) + 1e-9
    t = np.arange(length) / sample_rate
    hum = sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6.28)) / k for k in (1, 2, 3))
    return noise + rng.uniform(0, 0.4) * hum
