"""Spoken utterances: signal processing, prosody, and that a voice shows its own cue and nothing else."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from mmsa_lib.errors import MMSAError
from mmsa_lib.labels import EMOTIONS
from mmsa_lib.mini import sound, voice
from mmsa_lib.mini.canvas import seeded
from mmsa_lib.mini.characters import draw_character
from mmsa_lib.mini.plan import Cue, UtterancePlan
from mmsa_lib.mini.prosody import draw_prosody

RATE = 16_000
NEUTRAL = Cue("neutral", 0.0, 0, "absent")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="eSpeak NG is not installed")


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def loudest_frequency(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return spectrum.argmax() * RATE / len(waveform)


def plan_of(audio: Cue, seed: int = 5, text: str = "I was told you'd be here.") -> UtterancePlan:
    person = draw_character("Ada", 11, "female", "adult")
    return UtterancePlan("train", 0, 0, person, text, "joy", "positive", NEUTRAL, audio, NEUTRAL, seed)


# ------------------------------------------------------------------------------- signal processing


def test_trim_cuts_silence_and_keeps_sound():
    padded = np.pad(tone(200, 0.5), (3000, 5000))
    cut = sound.trim(padded, RATE)
    assert abs(len(cut) - 0.5 * RATE) < 0.03 * RATE
    assert len(sound.trim(np.zeros(1000), RATE)) == 0
    assert len(sound.trim(np.zeros(0), RATE)) == 0


def test_envelope_is_the_root_mean_square():
    rms = sound.envelope(np.concatenate([tone(400), np.zeros(RATE)]), RATE, fps=100)
    assert len(rms) == 200
    np.testing.assert_allclose(rms[5:95], np.sqrt(0.5), atol=0.01)
    np.testing.assert_allclose(rms[105:], 0, atol=1e-6)
    assert sound.envelope(np.zeros(0), RATE).tolist() == [0.0]


def test_bend_pitch_moves_pitch_by_semitones():
    up = sound.bend_pitch(tone(300), np.full(RATE, 12.0))
    assert loudest_frequency(up) == pytest.approx(600, rel=0.01)
    assert len(up) == pytest.approx(RATE / 2, rel=0.01)
    np.testing.assert_allclose(sound.bend_pitch(tone(300), np.zeros(RATE))[:100], tone(300)[:100], atol=1e-9)
    assert len(sound.bend_pitch(np.zeros(0), np.zeros(0))) == 0


def test_pitch_contour_rises_only_at_the_end():
    contour = sound.pitch_contour(RATE, RATE, rise=4.0, lilt=0.0, tremor=0.0, rng=seeded(0))
    assert contour[0] == contour[RATE // 2] == 0
    assert contour[-1] == pytest.approx(4.0)


@pytest.mark.parametrize("decibels", [-9.0, 0.0, 9.0])
def test_tilt_raises_highs_against_lows_by_its_decibels(decibels):
    def gain(frequency):
        return np.std(sound.tilt(tone(frequency), RATE, decibels)[2000:]) / np.std(tone(frequency))

    assert 20 * np.log10(gain(7500) / gain(60)) == pytest.approx(decibels, abs=1.0)


def test_breath_adds_high_noise_where_there_is_speech():
    speech = np.concatenate([tone(150), np.zeros(RATE)])
    breathy = sound.breathe(speech, RATE, 1.0, seeded(1))
    high = np.abs(np.fft.rfft(breathy[:RATE]))[2000:5000].mean()
    assert high > 5 * np.abs(np.fft.rfft(speech[:RATE]))[2000:5000].mean()
    assert np.abs(breathy[RATE + 2000 :]).max() < 1e-3
    assert sound.breathe(speech, RATE, 0.0, seeded(1)) is speech


def test_drive_adds_harmonics():
    spectrum = np.abs(np.fft.rfft(sound.drive(tone(200), 1.0)))
    assert spectrum[600] > 0.03 * spectrum[200]


def test_creak_and_tremor_change_loudness_over_time():
    for shaken in (
        sound.creak(tone(150), RATE, 1.0, seeded(2)),
        sound.tremble(tone(150), RATE, 1.0, seeded(2)),
    ):
        rms = sound.envelope(shaken, RATE, smooth=0.01)[5:-5]
        assert rms.std() / rms.mean() > 0.12
    rms = sound.envelope(tone(150), RATE, smooth=0.01)[5:-5]
    assert rms.std() / rms.mean() < 0.1


def test_punch_widens_or_narrows_the_loudness():
    speech = np.concatenate([tone(150, 0.5), 0.3 * tone(150, 0.5)])

    def ratio(x):
        return np.std(x[2000:6000]) / np.std(x[10000:14000])

    assert ratio(sound.punch(speech, RATE, -0.5)) < ratio(speech) < ratio(sound.punch(speech, RATE, 0.5))


@pytest.mark.parametrize("inward", [True, False])
def test_breath_sounds_are_short_noises_with_unit_peak(inward):
    breath = sound.breath_sound(0.3, RATE, seeded(0), inward=inward, puffs=8.0)
    assert len(breath) == 0.3 * RATE
    assert np.abs(breath).max() == pytest.approx(1.0)


# ----------------------------------------------------------------------------------------- prosody


def test_emotions_move_the_voice_in_the_known_directions():
    def mean(emotion, name, strength=0.9):
        draws = [draw_prosody(Cue(emotion, strength, 1, "clear"), seeded(k)) for k in range(150)]
        return np.mean([getattr(d, name) for d in draws])

    assert mean("fear", "pitch") > 2 > 0.5 > mean("neutral", "pitch") > -0.5 > mean("sadness", "pitch")
    assert mean("anger", "tilt") > 5 and mean("sadness", "tilt") < -5
    assert mean("surprise", "rise") > 4 and mean("joy", "range") > 0.25 > -0.4 > mean("sadness", "range")
    assert mean("fear", "tremor") > 0.6 and mean("disgust", "creak") > 0.6
    assert 0.5 < mean("anger", "tilt", 0.35) / mean("anger", "tilt") * 0.9 / 0.35 < 1.5


def test_no_effect_is_negative_where_that_means_nothing():
    for k in range(50):
        drawn = draw_prosody(Cue("neutral", 0.0, 0, "absent"), seeded(k))
        assert min(drawn.tremor, drawn.drive, drawn.breath, drawn.creak, drawn.pause, drawn.gasp) >= 0


# ------------------------------------------------------------------------------------------- words


def test_missing_synthesiser_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MMSAError, match="apt install espeak-ng"):
        voice.speak(plan_of(NEUTRAL))


@needs_espeak
def test_unknown_voice_and_unspeakable_text_are_named():
    with pytest.raises(MMSAError, match="xx-nobody"):
        voice.espeak("Hello.", "xx-nobody")
    with pytest.raises(MMSAError, match=r"\.\.\."):
        voice.speak(plan_of(NEUTRAL, text="..."))


@needs_espeak
def test_speech_keeps_its_promises_and_repeats_itself():
    plan = plan_of(Cue("joy", 0.8, 1, "clear"))
    speech = voice.speak(plan)
    assert speech.sample_rate == RATE and speech.waveform.dtype == np.float32 and speech.waveform.ndim == 1
    assert 0.05 < np.abs(speech.waveform).max() <= 0.98
    assert 1.0 < speech.duration < 4.0
    assert len(speech.mouth_envelope) == pytest.approx(speech.duration * speech.envelope_fps, abs=1)
    assert speech.mouth_envelope.min() >= 0 and speech.mouth_envelope.max() == 1
    assert speech.mouth_envelope[:10].max() < 0.1  # the margin is silent
    np.testing.assert_array_equal(speech.waveform, voice.speak(plan).waveform)


@needs_espeak
def test_voice_shows_the_audio_cue_and_nothing_else():
    plan, other = plan_of(Cue("joy", 0.8, 1, "clear")), Cue("anger", 1.0, -1, "clear")
    disguised = replace(plan, emotion="anger", sentiment="negative", video=other, text_cue=other, split="test")
    np.testing.assert_array_equal(voice.speak(plan).waveform, voice.speak(disguised).waveform)
    changed = voice.speak(replace(plan, audio=other)).waveform
    assert len(changed) != len(voice.speak(plan).waveform) or (changed != voice.speak(plan).waveform).any()


@needs_espeak
def test_length_and_level_hardly_tell_the_emotion():
    length, level = {}, {}
    for emotion in EMOTIONS:
        spoken = [voice.speak(plan_of(Cue(emotion, 0.8, -1, "clear"), seed=k)) for k in range(6)]
        length[emotion] = np.mean([s.duration for s in spoken])
        level[emotion] = [20 * np.log10(np.std(s.waveform)) for s in spoken]
    assert max(length.values()) / min(length.values()) < 1.25
    assert min(map(min, level.values())) > -30 and max(map(max, level.values())) < -17


@needs_espeak
def test_pitch_setting_follows_the_character():
    plan = plan_of(NEUTRAL)
    low, high = (
        voice.speak(replace(plan, character=replace(plan.character, pitch_hz=hz))).waveform for hz in (160, 250)
    )

    def pitch(x):
        window = 2048
        best = []
        for start in range(0, len(x) - window, 512):
            piece = x[start : start + window] - x[start : start + window].mean()
            echo = np.correlate(piece, piece, "full")[window - 1 :]
            lag = 40 + echo[40:160].argmax()
            if echo[lag] > 0.6 * echo[0]:
                best.append(RATE / lag)
        return np.median(best)

    assert 1.25 < pitch(high) / pitch(low) < 2.0


def test_pause_is_markup_and_text_is_escaped():
    body = voice._with_pause("You & me!", 0.2, seeded(0))
    assert "&amp;" in body and "<break" in body and "!" not in body
    assert voice._with_pause("Oh.", 0.2, seeded(0)) == "Oh."
