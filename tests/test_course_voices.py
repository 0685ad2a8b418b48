"""Pitch, brightness and level of tones whose answers are known; the embedded voices."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmsa_lib.course import session, voices
from mmsa_lib.media import SAMPLE_RATE


def tone(hertz: float, seconds: float = 0.5, size: float = 0.3) -> np.ndarray:
    """A sine with its first overtone: what a voice has at least."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * hertz * time) + 0.5 * np.sin(4 * np.pi * hertz * time)
    return (size * wave).astype(np.float32)


@pytest.mark.parametrize("hertz", [90, 147, 260])
def test_the_pitch_of_a_tone_is_found_in_every_frame(hertz):
    found, periodic = voices.pitch(voices.cut(tone(hertz)))
    assert np.abs(found / hertz - 1).max() < 0.03
    assert periodic.min() > 0.95


def test_noise_repeats_itself_nowhere():
    noise = np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32)
    assert np.median(voices.pitch(voices.cut(noise))[1]) < voices.VOICED
    assert np.isnan(voices.measure(noise)["pitch"])


def test_an_octave_is_twelve_semitones_and_tenfold_amplitude_twenty_decibels():
    low, high, loud = (voices.measure(wave) for wave in (tone(110), tone(220), tone(110, size=0.03)))
    assert high["pitch"] - low["pitch"] == pytest.approx(12, abs=0.5)
    assert low["level"] - loud["level"] == pytest.approx(20, abs=0.1)
    assert low["range"] == pytest.approx(0, abs=0.2)
    assert voices.measure(tone(110) + tone(3000, size=0.1))["brightness"] > low["brightness"] + 10


def test_explained_is_one_for_groups_without_spread_and_zero_for_equal_means():
    groups = pd.Series(list("aabb"))
    assert voices.explained(pd.Series([1.0, 1.0, 3.0, 3.0]), groups) == pytest.approx(1)
    assert voices.explained(pd.Series([1.0, 3.0, 1.0, 3.0]), groups) == pytest.approx(0)


def test_the_pair_is_one_speaker_with_two_voices():
    table = voices.load_table(session.DATA)
    pair = voices.pair(table)
    assert list(pair.index) == ["surprise", "sadness"]
    assert pair["speaker"].nunique() == 1
    assert len(table) == 800 and set(table["voice"]) >= {"neutral", "joy", "anger"}


def test_where_the_tracker_slipped_there_is_no_pitch(monkeypatch):
    found = {"n1": (80, 2), "n2": (82, 2), "low": (78, 1.5), "jumps": (79, 29), "octave": (95, 2)}  # pitch, range
    table = pd.DataFrame({"speaker": "Ada", "clip": list(found), "audio_level": "strong", "audio_strength": 1.0})
    table["voice"] = ["neutral", "neutral", "sadness", "sadness", "fear"]
    monkeypatch.setattr(voices, "read_clip", lambda clip, **_: SimpleNamespace(waveform=clip))
    monkeypatch.setattr(voices, "measure", lambda clip: dict(zip(("pitch", "range"), found[clip], strict=True)))
    measured = voices.measure_clips(table).set_index("clip")
    assert measured["semitones"].dropna().to_dict() == {"n1": -1, "n2": 1, "low": -3}
    assert measured["range"].isna().to_dict() == {c: c in ("jumps", "octave") for c in found}
