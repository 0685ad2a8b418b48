"""Finding speech and writing it down: on embedded clips with the real recogniser, on the rules with a false one."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmsa_lib import speech
from mmsa_lib.agreement import normalise
from mmsa_lib.errors import BackboneError, DataError
from mmsa_lib.media import SAMPLE_RATE, read_clip

CLIPS = Path(__file__).resolve().parents[1] / "data" / "mini" / "dev_splits_complete"


@pytest.fixture(scope="module")
def dialogue():
    return joined(0)


def joined(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Three utterances of a dialogue, one after the other, and the samples at which they begin and end."""
    sounds = [read_clip(CLIPS / f"dia{number}_utt{i}.mp4", video=False).waveform for i in range(3)]
    return np.concatenate(sounds), np.cumsum([0, *map(len, sounds)])


def in_blocks(sound: np.ndarray, seconds: float) -> list[np.ndarray]:
    size = round(seconds * SAMPLE_RATE)
    return [sound[i : i + size] for i in range(0, len(sound), size)]


class TestFindSpeech:
    def test_each_utterance_is_one_stretch(self, dialogue):
        sound, edges = dialogue
        found = list(speech.find_speech([sound]))
        assert len(found) == 3
        for stretch, start, end in zip(found, edges[:-1], edges[1:], strict=True):
            assert start <= stretch.start * SAMPLE_RATE < stretch.end * SAMPLE_RATE <= end

    @pytest.mark.parametrize("seconds", [0.5, 1.7, 4.0])
    def test_blocks_hardly_matter(self, seconds):
        sound, _ = joined(1)
        at_once = [(s.start, s.end) for s in speech.find_speech([sound])]
        in_pieces = [(s.start, s.end) for s in speech.find_speech(in_blocks(sound, seconds))]
        assert np.array(in_pieces) == pytest.approx(np.array(at_once), abs=0.12)

    @pytest.mark.parametrize("number", [0, 4])
    @pytest.mark.parametrize("seconds", [0.5, 1.7, 4.0])
    def test_blocks_move_no_start_and_no_end_by_more_than_a_pause(self, number, seconds):
        """In these two dialogues the detector, begun at another sample, takes an end a pause later or earlier."""
        sound, _ = joined(number)
        at_once = np.array([(s.start, s.end) for s in speech.find_speech([sound])])
        in_pieces = np.array([(s.start, s.end) for s in speech.find_speech(in_blocks(sound, seconds))])
        assert in_pieces.shape == at_once.shape
        assert in_pieces[:, 0] == pytest.approx(at_once[:, 0], abs=0.12)
        assert in_pieces[:, 1] == pytest.approx(at_once[:, 1], abs=speech.MIN_PAUSE + 0.12)

    def test_the_sound_of_a_stretch_is_that_of_its_time(self, dialogue):
        sound, _ = dialogue
        for stretch in speech.find_speech(in_blocks(sound, 2.0)):
            first = round((stretch.start - stretch.lead) * SAMPLE_RATE)
            assert np.array_equal(stretch.waveform, sound[first : first + len(stretch.waveform)])
            assert 0 <= stretch.lead <= speech.MARGIN

    def test_memory_is_a_block_and_an_open_stretch(self, dialogue, monkeypatch):
        sound, _ = dialogue
        largest, detect = 0, speech.detect

        def measuring(waveform, *rest):
            nonlocal largest
            largest = max(largest, len(waveform))
            return detect(waveform, *rest)

        monkeypatch.setattr(speech, "detect", measuring)
        list(speech.find_speech(in_blocks(np.tile(sound, 6), 5.0)))
        assert largest < 12 * SAMPLE_RATE

    def test_long_speech_is_cut(self, dialogue):
        sound, edges = dialogue
        words = sound[round(0.8 * SAMPLE_RATE) : edges[1] - round(0.8 * SAMPLE_RATE)]
        found = list(speech.find_speech([np.tile(words, 5)], longest=4.0))
        assert len(found) >= 2 and max(s.end - s.start for s in found) <= 4.1

    @pytest.mark.parametrize("kind", ["silence", "noise", "chords", "nothing", "empty"])
    def test_what_is_no_speech(self, kind):
        t = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
        chords = sum(0.1 * np.sin(2 * np.pi * f * t) * np.exp(-3 * (t % 0.5)) for f in (220, 277, 330))
        sounds = {
            "silence": [np.zeros(6 * SAMPLE_RATE, np.float32)],
            "noise": [(0.1 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)],
            "chords": [chords.astype(np.float32)],
            "nothing": [],
            "empty": [np.zeros(0, np.float32)],
        }
        assert list(speech.find_speech(sounds[kind])) == []


class TestRecogniser:
    def test_words_with_times(self, dialogue):
        sound, _ = dialogue
        stretches = list(speech.find_speech([sound]))
        spoken = list(speech.recognise(speech.load_recogniser(), stretches))
        assert [(s.start, s.end) for s in spoken] == [(s.start, s.end) for s in stretches]
        heard = set(normalise(" ".join(s.text or "" for s in spoken)))
        assert {"came", "way", "man", "saturday"} <= heard
        assert all(0 < s.confidence <= 1 and s.language == "en" for s in spoken if s.text)
        again = list(speech.recognise(speech.load_recogniser(), stretches))
        assert again == spoken

    def test_the_packaged_model_is_on_disk_and_checked(self, monkeypatch):
        assert (Path(speech.recogniser_source()) / "model.bin").is_file()
        speech.recogniser_source.cache_clear()
        monkeypatch.setitem(speech.PACKAGED_SHA256, "config.json", "0" * 64)
        with pytest.raises(BackboneError, match=r"config.json: SHA-256 .* reinstall"):
            speech.recogniser_source()
        speech.recogniser_source.cache_clear()

    def test_a_name_that_is_not_here_says_what_to_do(self):
        with pytest.raises(BackboneError, match=r"'large-v3' could not be loaded.*download"):
            speech.load_recogniser("large-v3")

    def test_without_the_extra(self, monkeypatch):
        monkeypatch.setattr(speech, "find_spec", lambda name: None)
        with pytest.raises(DataError, match=r"mmsa-lib\[speech\]"):
            speech.detect(np.zeros(10, np.float32))
        with pytest.raises(DataError, match=r"mmsa-lib\[speech\]"):
            speech.load_recogniser.__wrapped__()


class FalseModel:
    """Hears what it is told, as often as it is asked; remembers how long the sounds were."""

    model = SimpleNamespace(is_multilingual=True)
    supported_languages = ("de", "en", "nl")

    def __init__(self, words, logprob=-0.3, language="en"):
        self.words, self.logprob, self.language, self.seconds, self.asked = words, logprob, language, [], []

    def transcribe(self, sound, language, **options):
        self.seconds.append(len(sound) / SAMPLE_RATE)
        self.asked.append(language)
        words = [SimpleNamespace(word=w, start=s, end=e, probability=p) for w, s, e, p in self.words]
        return [SimpleNamespace(words=words, avg_logprob=self.logprob)], SimpleNamespace(language=self.language)


def stretches(count: int, seconds: float) -> list[speech.Stretch]:
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    return [speech.Stretch(10.0 * i, 10.0 * i + seconds, 0.0, sound) for i in range(count)]


class TestRecognise:
    def test_a_word_goes_to_the_stretch_it_lies_in(self):
        model = FalseModel(
            [(" One", 0.1, 0.5, 0.9), (" two.", 0.6, 1.1, 0.7), (" Three", 1.9, 2.3, 0.5), (" x", 9, 9, 0.5)]
        )
        first, second = speech.recognise(model, stretches(2, 2.0))
        assert (first.text, second.text) == ("One two.", "Three x")
        assert first.confidence == pytest.approx(0.8) and (second.start, second.end) == (10, 12)

    def test_as_much_as_the_window_holds_is_heard_in_one_go(self):
        model = FalseModel([])
        assert len(list(speech.recognise(model, stretches(7, 10.0)))) == 7
        assert model.seconds == [20, 20, 20, 10]

    @pytest.mark.parametrize(
        ("words", "logprob"), [([(" One", 0, 1, 0.1)], -1.3), ([(" ...", 0, 1, 0.9)], -0.2), ([], 0)]
    )
    def test_words_that_are_none_are_withheld(self, words, logprob):
        (spoken,) = speech.recognise(FalseModel(words, logprob), stretches(1, 2.0))
        assert spoken.text is None and spoken.confidence is None

    def test_another_language_is_named(self):
        model = FalseModel([(" Hallo", 0, 1, 0.9)], language="de")
        (spoken,) = speech.recognise(model, stretches(1, 2.0))
        assert spoken.language == "de" and model.asked == [None]
        list(speech.recognise(model, stretches(1, 2.0), language="nl"))
        assert model.asked == [None, "nl"]
        with pytest.raises(DataError, match="--language: 'dutch'"):
            list(speech.recognise(model, stretches(1, 2.0), language="dutch"))

    def test_one_that_knows_english_only_says_so(self):
        model = FalseModel([(" Hello", 0, 1, 0.9)])
        model.model = SimpleNamespace(is_multilingual=False)
        assert len(list(speech.recognise(model, stretches(1, 2.0), language="en"))) == 1
        with pytest.raises(DataError, match="English only, not 'de'"):
            list(speech.recognise(model, stretches(1, 2.0), language="de"))
