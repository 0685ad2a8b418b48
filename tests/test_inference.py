"""Reading whole videos: utterances from start to end, and what happens where something is lacking."""

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import clips
import numpy as np
import pandas as pd
import pytest
import torch

from mmsa_lib import inference, speech
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.experiment import build_model, predict_dataset, raw_dataset
from mmsa_lib.inference import predict, read_video, windows
from mmsa_lib.media import SAMPLE_RATE, read_clip, write_clip
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.presets import PRESETS
from mmsa_lib.runs import load_run, write_json
from mmsa_lib.speech import Spoken

CLIPS = Path(__file__).resolve().parents[1] / "data" / "mini" / "dev_splits_complete"


def write_run(folder: Path, **changes) -> Path:
    """A model that has learned nothing, as a run directory."""
    preset = replace(PRESETS["mini"], **changes)
    torch.manual_seed(0)
    build_model(preset).eval().save_pretrained(folder)
    write_json(folder / "run.json", {"preset": asdict(preset), "finished": True})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


def seconds_of(path) -> float:
    return len(read_clip(path, num_frames=None, audio=False).frames) / 12.5


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory):
    """Two embedded clips as one video."""
    parts = [read_clip(CLIPS / f"dia0_utt{i}.mp4", num_frames=None) for i in range(2)]
    frames = np.concatenate([p.frames for p in parts])
    sounds = [np.resize(p.waveform, round(len(p.frames) / 12.5 * SAMPLE_RATE)) for p in parts]
    path = tmp_path_factory.mktemp("video") / "talk.mp4"
    write_clip(path, frames, 12.5, np.concatenate(sounds))
    return path


@pytest.fixture
def told(monkeypatch):
    """Replace hearing: `told(utterances)` says what is heard."""

    def tell(*heard: Spoken):
        monkeypatch.setattr(speech, "load_recogniser", lambda name: None)
        monkeypatch.setattr(speech, "find_speech", lambda blocks: [len(list(blocks))])
        monkeypatch.setattr(speech, "recognise", lambda model, stretches, language: (list(stretches), iter(heard))[1])

    return tell


def test_a_dialogue_from_the_file_alone(run, dialogue):
    reading = read_video(run, dialogue, progress=False)
    assert reading.video == "talk.mp4" and reading.duration == pytest.approx(seconds_of(dialogue), abs=0.1)
    assert not reading.notes
    assert len(reading.utterances) == 2
    for u in reading.utterances:
        assert u.modalities == ("text", "video", "audio") and u.text and 0 < u.confidence <= 1
        assert sum(u.emotion.values()) == pytest.approx(1, abs=1e-5)
    first, second = reading.utterances
    assert 0.5 < first.start < first.end < seconds_of(CLIPS / "dia0_utt0.mp4") < second.start


def test_a_stretch_with_its_words_is_read_as_its_clip_would_be(run, dialogue, told, monkeypatch):
    told(Spoken(4.24, 6.3, "You made me happy."))
    (from_video,) = read_video(run, dialogue, progress=False).utterances
    part = read_clip(dialogue, num_frames=None, start=4.24 - inference.AROUND, max_seconds=2.06 + 2 * inference.AROUND)
    cut = dialogue.with_name("cut.mp4")
    write_clip(cut, part.frames, 12.5, part.waveform, crf=10)
    (from_clip,) = predict(run, cut, "You made me happy.")
    assert list(from_video.emotion.values()) == pytest.approx(list(from_clip.emotion.values()), abs=0.02)
    assert from_video.modalities == from_clip.modalities


def test_progress_goes_to_stderr_and_reaches_the_end(run, dialogue, told, capsys):
    told(Spoken(1.0, 3.0, "Hello."))
    read_video(run, dialogue)
    printed = capsys.readouterr()
    assert printed.out == "" and "talk.mp4" in printed.err


def test_words_that_were_not_understood_leave_face_and_voice(run, dialogue, told):
    told(Spoken(1.0, 3.0), Spoken(4.3, 6.2, "Fine."))
    reading = read_video(run, dialogue, progress=False)
    assert [u.modalities for u in reading.utterances] == [("video", "audio"), ("text", "video", "audio")]
    assert "1 of 2 utterances were not understood" in reading.notes[0]


def test_another_language_is_kept_but_not_read_unless_asked_for(run, dialogue, told):
    told(Spoken(1.0, 3.0, "Guten Tag.", 0.9, "de"))
    reading = read_video(run, dialogue, progress=False)
    assert reading.utterances[0].text == "Guten Tag." and "text" not in reading.utterances[0].modalities
    assert "not English (de)" in reading.notes[0]
    reading = read_video(run, dialogue, language="de", progress=False)
    assert "text" in reading.utterances[0].modalities and not reading.notes


def test_many_utterances_are_read_in_order_and_in_batches(run, dialogue, told):
    told(*[Spoken(0.3 * i, 0.3 * i + 0.25, f"Word {i}.") for i in range(19)])
    reading = read_video(run, dialogue, progress=False)
    assert [u.text for u in reading.utterances] == [f"Word {i}." for i in range(19)]
    told(Spoken(0.3 * 9, 0.3 * 9 + 0.25, "Word 9."))
    (alone,) = read_video(run, dialogue, progress=False).utterances
    assert list(alone.emotion.values()) == pytest.approx(list(reading.utterances[9].emotion.values()), abs=1e-4)


def test_few_lengths_reach_the_audio_network_and_change_nothing(run, dialogue, told, monkeypatch):
    spoken = [Spoken(0.2 * i, 0.2 * i + 0.5 + 0.03 * i, "No.") for i in range(3)]
    told(*spoken)
    shapes = []
    inner = MultimodalSentimentModel.forward

    def noted(self, **inputs):
        shapes.append(inputs["audio_features"].shape[2])
        return inner(self, **inputs)

    monkeypatch.setattr(MultimodalSentimentModel, "forward", noted)
    padded = read_video(run, dialogue).utterances
    monkeypatch.setattr(inference, "STEP", 1)
    exact = read_video(run, dialogue).utterances
    assert shapes[0] % 64 == 0 and shapes[1] % 64
    for one, other in zip(padded, exact, strict=True):
        assert one.emotion == pytest.approx(other.emotion, abs=1e-5)


@pytest.mark.parametrize("future", [0, 2])
def test_a_model_with_context_sees_the_turns_around(tmp_path, dialogue, told, future):
    """In batches of 8 each turn is judged as in one batch of all."""
    run = write_run(tmp_path / "run", modalities=("text",), context=3, future=future)
    heard = [Spoken(0.3 * i, 0.3 * i + 0.25, f"Word {i}.") for i in range(21)]
    told(*heard)
    reading = read_video(run, dialogue, progress=False)
    reader = inference._Reader(run, dialogue)
    parts = [reader.cut(s, None, True) for s in heard]
    whole = reader.judge(parts, 0, len(parts))
    assert [u.text for u in reading.utterances] == [s.text for s in heard]
    ours, theirs = (np.array([list(u.emotion.values()) for u in us]) for us in (reading.utterances, whole))
    assert ours == pytest.approx(theirs, abs=1e-5)
    alone = reader.judge(parts[5:6], 0, 1)[0]
    assert list(alone.emotion.values()) != pytest.approx(list(whole[5].emotion.values()), abs=1e-5)


class TestWithoutSpeech:
    def test_music_is_not_taken_for_a_voice(self, run, tmp_path):
        path = clips.encode(tmp_path / "music.mp4", clips.counting_frames(150), clips.tone(6.0))
        reading = read_video(run, path, progress=False)
        assert [u.modalities for u in reading.utterances] == [("video",)] * 2
        assert "nobody speaks: the picture alone is read" in reading.notes[0]
        assert (reading.utterances[0].start, reading.utterances[-1].end) == (0, pytest.approx(6.0, abs=0.05))

    def test_no_sound_track(self, run, tmp_path):
        path = clips.encode(tmp_path / "mute.mp4", clips.counting_frames(25))
        reading = read_video(run, path, progress=False)
        assert len(reading.utterances) == 1 and "no sound" in reading.notes[0]

    def test_no_picture_either_leaves_the_sound(self, run, tmp_path):
        path = clips.encode(tmp_path / "tone.wav", sound=clips.tone(1.0), audio_codec="pcm_s16le")
        reading = read_video(run, path, progress=False)
        assert reading.utterances[0].modalities == ("audio",) and "the sound alone" in reading.notes[0]

    def test_a_damaged_sound_track_leaves_the_picture(self, run, dialogue, monkeypatch):
        def broken(path):
            raise MediaError(path, "no audio could be decoded")
            yield

        monkeypatch.setattr(inference, "sound_blocks", broken)
        reading = read_video(run, dialogue, progress=False)
        assert reading.notes == ("no sound: the picture alone is read, 5 s each",)
        assert [u.modalities for u in reading.utterances] == [("video",)] * 2

    def test_a_length_that_the_header_does_not_know_is_counted(self, run, tmp_path, monkeypatch):
        path = clips.encode(tmp_path / "mute.mp4", clips.counting_frames(150))
        facts = inference.probe(path) | {"duration": None}
        monkeypatch.setattr(inference, "probe", lambda path: facts)
        assert read_video(run, path, progress=False).duration == pytest.approx(6.0)

    def test_nothing_that_the_model_could_use(self, tmp_path):
        run = write_run(tmp_path / "run", modalities=("text",))
        path = clips.encode(tmp_path / "mute.mp4", clips.counting_frames(25))
        with pytest.raises(DataError, match=r"mute.mp4: no sound, and this model reads text only"):
            read_video(run, path, progress=False)

    def test_a_voice_without_a_picture(self, run, told, tmp_path):
        path = clips.encode(tmp_path / "radio.m4a", sound=clips.tone(4.0))
        told(Spoken(1.0, 3.0, "Good evening."))
        reading = read_video(run, path, progress=False)
        assert reading.utterances[0].modalities == ("text", "audio")

    @pytest.mark.parametrize("content", [b"", b"no film" * 99])
    def test_what_is_no_video(self, run, tmp_path, content):
        path = tmp_path / "film.mp4"
        path.write_bytes(content)
        with pytest.raises(MediaError, match=r"film\.mp4"):
            read_video(run, path, progress=False)


@pytest.mark.parametrize(("duration", "count"), [(0.0, 1), (4.0, 1), (5.0, 1), (5.1, 2), (61.0, 13)])
def test_windows_cover_everything(duration, count):
    found = windows(duration)
    assert len(found) == count and found[0].start == 0 and found[-1].end == duration
    assert all(a.end == b.start for a, b in pairwise(found))


class TestPredict:
    def test_words_do_where_the_file_lacks_the_rest(self, tmp_path):
        run = write_run(tmp_path / "run", modalities=("text", "audio"))
        silent = clips.encode(tmp_path / "silent.mp4", clips.counting_frames(12), None)
        (answer,) = predict(run, silent, "I am so happy")
        assert answer.modalities == ("text",)
        with pytest.raises(MediaError, match="no audio"):
            predict(run, silent)

    def test_a_length_that_the_header_does_not_know_is_counted(self, run, dialogue, monkeypatch):
        known = inference.probe
        monkeypatch.setattr(inference, "probe", lambda path: known(path) | {"duration": None})
        assert predict(run, dialogue, "Hello.")[0].end == pytest.approx(seconds_of(dialogue), abs=0.1)


@pytest.mark.parametrize("future", [0, 1])
def test_a_reader_of_words_sees_what_it_has_learned_from(tmp_path, dialogue, told, future):
    """In a long dialogue every turn is answered as in the excerpt that training gives of it."""
    words = ("Never.", "Why not?", "Because I say so.", "Oh.", "Good.")
    changes = {"context": 1, "future": future, "context_reader": "text", "finetune": ("text",), "modalities": ("text",)}
    run = write_run(tmp_path, **changes)
    told(*(Spoken(i, i + 0.9, word) for i, word in enumerate(words)))
    read = read_video(run, dialogue, progress=False).utterances
    preset, model = load_run(run)
    table = pd.DataFrame({"text": words, "split": "test", "dialogue_id": 0, "speaker": "", "clip": None})
    table = table.assign(emotion="neutral", sentiment="neutral")
    answers = predict_dataset(model, raw_dataset(preset, table))["emotions"].softmax(dim=1)
    found = torch.tensor([list(u.emotion.values()) for u in read])
    torch.testing.assert_close(found, answers, atol=1e-5, rtol=1e-4)
