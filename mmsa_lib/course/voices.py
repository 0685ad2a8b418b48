"""Pitch, range, brightness and level of voices. Derived in notebooks/04."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from mmsa_lib.media import SAMPLE_RATE, read_clip
from mmsa_lib.meld import load_split

FRAME, HOP = 640, 320  # samples: 40 ms, every 20 ms
LAGS = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 70)  # samples; voices swing between 70 and 400 times a second
NEARLY = 0.9  # a peak this high, relative to the highest, will do if it comes sooner
VOICED = 0.7  # similarity from which a frame repeats itself
LOUD = 15  # decibels below the loudest frame
FEWEST = 10  # frames that repeat themselves; with fewer a clip has no pitch
SPLIT_HERTZ = 1200  # brightness compares what is above with what is below
SLIP = 12  # semitones: further from the own neutral voice, or wider than that, and the tracker slipped
KEYS = ["split", "dialogue_id", "utterance_id"]


def cut(waveform: np.ndarray) -> np.ndarray:
    """Overlapping frames (F, 640) of a waveform (S,), each centred on zero."""
    frames = sliding_window_view(waveform, FRAME)[::HOP]
    return frames - frames.mean(axis=1, keepdims=True)


def similarity(frames: np.ndarray, lag: int) -> np.ndarray:
    """How much frames (F, n) resemble themselves `lag` samples later, -1 to 1: (F,)."""
    a, b = frames[:, :-lag], frames[:, lag:]
    return _dot(a, b) / np.sqrt(_dot(a, a) * _dot(b, b) + 1e-12)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products of rows: (F, n), (F, n) -> (F,)."""
    return np.einsum("fn,fn->f", a, b)  # thrice as quick as a product and its sum


def pitch(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hertz of frames (F, n), and how well each repeats itself: (F,) and (F,).

    What repeats after one period also does after two; so the shortest shift is taken among the peaks that are
    nearly as high as the highest.
    """
    curves = np.stack([similarity(frames, lag) for lag in LAGS], axis=1)  # (F, lags)
    inner = curves[:, 1:-1]
    highest = inner.max(axis=1, keepdims=True)
    peaks = (inner >= np.maximum(curves[:, :-2], curves[:, 2:])) & (inner > NEARLY * highest)
    return SAMPLE_RATE / LAGS[1 + peaks.argmax(axis=1)], highest[:, 0]


def measure(waveform: np.ndarray) -> dict[str, float]:
    """Of the loud frames of a voice (S,): median pitch and its range (semitones), brightness and level (dB).

    Pitch is NaN where too few frames repeat themselves, as in a whisper.
    """
    frames = cut(waveform)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)  # 0 dB is as loud as a file can be
    loud = frames[level > level.max() - LOUD]
    hertz, periodic = pitch(loud)
    tones = 12 * np.log2(hertz[periodic > VOICED])
    low, middle, high = np.percentile(tones, (25, 50, 75)) if len(tones) >= FEWEST else [np.nan] * 3
    power = (np.abs(np.fft.rfft(loud)) ** 2).sum(axis=0)
    border = SPLIT_HERTZ * FRAME // SAMPLE_RATE
    return {
        "pitch": middle,
        "range": high - low,
        "brightness": 10 * np.log10(power[border:].sum() / power[:border].sum()),
        "level": level[level > level.max() - LOUD].mean(),
    }


def explained(values: pd.Series, groups: pd.Series) -> float:
    """Share of the variance of `values` that lies between the groups (eta squared)."""
    values = values.dropna()
    return values.groupby(groups).transform("mean").var() / values.var()


# ---------------------------------------------------------------------------------- of the embedded data


def load_table(data: str | Path, split: str = "train") -> pd.DataFrame:
    """Annotations joined with the cues; the column `voice` says what each voice was made to show."""
    cues = pd.read_csv(Path(data) / "cues.csv").rename(columns=str.lower).drop(columns=["emotion", "sentiment"])
    table = load_split(data, split).merge(cues, on=KEYS)
    table["voice"] = table["audio_shows"].str.strip("+-")
    return table


def strong(table: pd.DataFrame) -> pd.DataFrame:
    """The clips whose voice shows a feeling strongly, the strongest last."""
    return table[table["audio_level"] == "strong"].sort_values("audio_strength")


def pair(table: pd.DataFrame) -> pd.DataFrame:
    """A clip of surprise and one of sadness by one speaker, whoever shows both most strongly; indexed by voice."""
    clips = strong(table)
    best = clips.groupby(["speaker", "voice"])["audio_strength"].max().unstack()
    speaker = best[["surprise", "sadness"]].min(axis=1).idxmax()
    return clips[clips["speaker"] == speaker].groupby("voice").last().loc[["surprise", "sadness"]]


def measure_clips(table: pd.DataFrame) -> pd.DataFrame:
    """`measure` of two neutral clips of each speaker and of the twenty strongest of each feeling.

    `semitones` is the pitch from the speaker's own neutral voice. Where the tracker slipped, in the whole clip or in
    so many of its frames that they span more than an octave, pitch and range are NaN.
    """
    neutral = table[table["voice"] == "neutral"].groupby("speaker").head(2)
    moved = strong(table)
    chosen = pd.concat([neutral, moved[moved["voice"] != "neutral"].groupby("voice").tail(20)])
    voices = chosen[["speaker", "voice", "clip"]].reset_index(drop=True)
    measured = [measure(read_clip(clip, video=False).waveform) for clip in voices["clip"]]
    voices = voices.join(pd.DataFrame(measured))
    own = voices[voices["voice"] == "neutral"].groupby("speaker")["pitch"].mean()
    voices["semitones"] = voices["pitch"] - voices["speaker"].map(own)
    slipped = (voices["semitones"].abs() > SLIP) | (voices["range"] > SLIP)
    voices.loc[slipped, ["pitch", "semitones", "range"]] = np.nan
    return voices
