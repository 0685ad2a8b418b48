"""The command line as a user runs it: a process, its exit status, what it prints and leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from clips import counting_frames, cut, encode, tone
from worlds import write_world

from mmsa_lib import cli
from mmsa_lib.cli import main

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parent.parent
VIDEO = ["--finetune", "video", "--from-scratch", "video"]


def mmsa(*words, cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mmsa_lib", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


@pytest.fixture
def here(monkeypatch, capsys):
    """`main` in this process (a start of Python and torch takes seconds): status, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["mmsa", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return run


def is_one_line(text):
    return text.count("\n") == 1 and text.startswith("mmsa: ") and "Traceback" not in text


@pytest.fixture(scope="module")
def damaged_world(tmp_path_factory):
    """A world in which one training clip is cut short and one test clip is missing."""
    root = write_world(tmp_path_factory.mktemp("damaged"))
    cut(root / "train_splits" / "dia1_utt1.mp4", 0.3)
    (root / "output_repeated_splits_test" / "dia0_utt2.mp4").unlink()
    return root


@pytest.fixture(scope="module")
def trained(damaged_world, tmp_path_factory):
    """A run directory, trained through the command line on all three modalities."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    done = mmsa("train", "--data", damaged_world, "--run", run, "--epochs", 2, "--workers", 1, *VIDEO)
    assert done.returncode == 0, done.stderr
    return run, done


class TestTrain:
    def test_it_ends_with_the_results_and_the_paths_of_the_pictures(self, trained):
        run, done = trained
        for word in ("emotion", "sentiment", "majority class", "this model", "weighted F1", "95 % interval"):
            assert word in done.stdout
        assert f"{run / 'confusion_emotion.png'}" in done.stdout.splitlines()

    def test_what_it_leaves_behind(self, trained):
        run, _ = trained
        names = {p.name for p in run.iterdir()}
        assert names >= {"config.json", "run.json", "model.safetensors", "metrics.json", "history.csv"}
        assert names >= {"predictions.csv", "learning_curves.png", "confusion_sentiment.png", "results.png"}
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["n"] == 7 and list(metrics["left_out"]["train"]) == ["dia1_utt1.mp4"]
        predictions = pd.read_csv(run / "predictions.csv")
        assert len(predictions) == 7
        assert predictions.filter(like="emotion_").sum(axis=1).tolist() == pytest.approx([1] * 7, abs=1e-4)

    def test_another_setting_in_the_same_run_directory_is_refused(self, trained, damaged_world, here):
        status, _, error = here("train", "--data", damaged_world, "--run", trained[0], "--epochs", 3, *VIDEO)
        assert status == 2 and is_one_line(error) and "epochs" in error and "--restart" in error

    def test_the_same_command_gives_the_same_numbers(self, trained, damaged_world, tmp_path):
        words = ("--data", damaged_world, "--epochs", 2, "--workers", 0, *VIDEO)
        again = mmsa("train", *words, "--run", tmp_path / "again", "--features", trained[0].parent / "features")
        assert again.returncode == 0, again.stderr
        assert "clip/s" not in again.stderr  # features were kept, no clip is decoded again
        first, second = (json.loads((run / "metrics.json").read_text()) for run in (trained[0], tmp_path / "again"))
        assert first["emotion"] == second["emotion"] and first["sentiment"] == second["sentiment"]

    def test_tables_alone_are_enough_for_text(self, tmp_path, here):
        root = write_world(tmp_path / "tables", clips=False)
        words = ("train", "--data", root, "--run", tmp_path / "run", "--epochs", 1)
        status, _, error = here(*words)
        assert status == 2 and is_one_line(error) and "--modalities text" in error
        status, out, error = here(*words, "--modalities", "text")
        assert status == 0 and "this model" in out, error

    def test_one_training_utterance(self, tmp_path, here):
        root = write_world(tmp_path / "one", {"train": 1, "dev": 1, "test": 1}, clips=False)
        with pytest.warns(UserWarning, match="no sample of class"):
            status, _, error = here(
                "train", "--data", root, "--run", tmp_path / "run", "--epochs", 1,
                "--modalities", "text", "--class-weights", "inverse",
            )  # fmt: skip
        assert status == 0, error


class TestBadInput:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--data", "no/such/folder"], "no/such/folder"),
            (["--modalities", "text,smell"], "smell"),
            (["--audio-channels", "64,,128"], "--audio-channels"),
            (["--audio-channels", "64,0"], "--audio-channels"),
            (["--preset", "huge"], "'huge' is not one of mini, meld"),
            (["--class-weights", "cubic"], "cubic"),
            (["--epochs", "zero"], "--epochs"),
            (["--epochs", "0"], "--epochs"),
            (["--bogus"], "--bogus"),
            (["--seed", "9" * 20], "--seed"),
            (["--prior-correction", "0.5"], "--prior-correction: does nothing without --class-weights"),
            (["--backbone-learning-rate", "1e-5"], "without --finetune"),
            (["--context-reader", "gru"], "--context-reader: does nothing without --context"),
            (["--excerpt", "4"], "--excerpt"),
            (["--modalities", "text", "--linear-mel"], "--linear-mel: does nothing without audio"),
            (["--modalities", "text", "--audio-channels", "8"], "--audio-channels"),
            (["--modalities", "text", "--video-backbone", "r3d_18"], "--video-backbone"),
            (["--modalities", "audio", "--pooling", "cls"], "--pooling"),
            (["--modalities", "text", "--finetune", "video"], "--finetune: video is not among the modalities (text)"),
            (["--from-scratch", "audio"], "--from-scratch: audio has no backbone"),
            (["--schedule", "linear", "--patience", "3"], "--patience"),
        ],
    )
    def test_wrong_options_are_one_line(self, here, tmp_path, words, said):
        status, out, error = here("train", "--run", tmp_path / "run", *words)
        assert (status, out) == (2, "") and is_one_line(error) and said in error
        assert not (tmp_path / "run").exists()

    def test_an_unknown_emotion_names_file_line_and_value(self, here, tmp_path):
        root = write_world(tmp_path / "data", clips=False)
        table = root / "dev_sent_emo.csv"
        table.write_text(table.read_text().replace("disgust,negative", "ennui,negative"))
        status, _, error = here("train", "--data", root, "--run", tmp_path / "run", "--modalities", "text")
        assert status == 2 and is_one_line(error)
        assert "dev_sent_emo.csv" in error and "line 3" in error and "'ennui'" in error

    def test_a_folder_without_a_run(self, here, tmp_path, world):
        status, _, error = here("evaluate", "--run", tmp_path, "--data", world)
        assert status == 2 and is_one_line(error) and "mmsa train" in error

    def test_as_a_process(self, tmp_path):
        done = mmsa("train", "--run", tmp_path / "run", "--data", tmp_path / "nothing")
        assert (done.returncode, done.stdout) == (2, "") and is_one_line(done.stderr)


class TestEvaluate:
    def test_json_has_the_documented_shape_and_the_numbers_of_training(self, trained, damaged_world, here):
        status, out, error = here("evaluate", "--run", trained[0], "--data", damaged_world, "--json")
        assert status == 0, error
        result = json.loads(out)
        assert result["n"] == 7
        for task in ("emotion", "sentiment"):
            assert {"accuracy", "weighted_f1", "macro_f1", "per_class"} <= set(result[task])
        saved = json.loads((trained[0] / "metrics.json").read_text())
        assert result["emotion"]["weighted_f1"] == saved["emotion"]["weighted_f1"]

    def test_a_report_leaves_the_run_as_it_is(self, trained, damaged_world, here):
        before = (trained[0] / "run.json").read_bytes()
        page = trained[0] / "run.html"
        status, _, error = here("evaluate", "--run", trained[0], "--data", damaged_world, "--report", page)
        assert status == 2 and is_one_line(error) and "run.json" in error
        assert (trained[0] / "run.json").read_bytes() == before and not page.exists()

    def test_hiding_a_modality_and_another_split(self, trained, damaged_world, here):
        common = ("evaluate", "--run", trained[0], "--data", damaged_world, "--split", "train", "--without")
        status, out, error = here(*common, "text,video")
        assert status == 0 and "14 utterances" in out, error
        status, _, error = here(*common, "text,video,audio")
        assert status == 2 and is_one_line(error)


class TestPredict:
    def test_a_clip_with_its_text(self, trained, damaged_world):
        clip = damaged_world / "dev_splits_complete" / "dia0_utt0.mp4"
        done = mmsa("predict", clip, "--run", trained[0], "--text", "I am furious", "--json")
        assert done.returncode == 0, done.stderr
        (utterance,) = json.loads(done.stdout)
        assert sum(utterance["emotion"].values()) == pytest.approx(1, abs=1e-5)
        assert sum(utterance["sentiment"].values()) == pytest.approx(1, abs=1e-5)
        assert utterance["modalities"] == ["text", "video", "audio"]
        assert 0.2 < utterance["end"] < 1

    def test_sound_alone_without_text(self, trained, tmp_path, here):
        clip = encode(tmp_path / "sound.mp4", sound=tone(0.5)[None])
        status, out, error = here("predict", clip, "--run", trained[0])
        assert status == 0 and "read from audio" in out and "neutral" in out, error

    def test_a_folder_gets_everything_there_is_to_see(self, trained, tmp_path, here):
        clip = encode(tmp_path / "mute film.mp4", counting_frames(150))
        status, out, error = here("predict", clip, "--run", trained[0], "--out", tmp_path / "read")
        assert status == 0 and "no sound" in error
        names = [f"mute film.{suffix}" for suffix in ("html", "json", "png", "srt", "vtt")]
        assert sorted(path.name for path in (tmp_path / "read").iterdir()) == names
        assert sorted(out.splitlines()) == [str(tmp_path / "read" / name) for name in names]
        status, out, _ = here("predict", clip, "--run", trained[0])
        assert status == 0 and "0.00-3.00 s, read from video" in out and "3.00-6.00 s" in out

    def test_without_the_recogniser_it_is_one_utterance(self, trained, tmp_path, here, monkeypatch):
        monkeypatch.setattr("mmsa_lib.speech.installed", lambda: False)
        clip = encode(tmp_path / "film.mp4", counting_frames(150), tone(6.0))
        status, out, error = here("predict", clip, "--run", trained[0], "--json")
        assert status == 0 and "mmsa-lib[speech]" in error
        (utterance,) = json.loads(out)
        assert utterance["modalities"] == ["video", "audio"] and utterance["end"] > 5.9

    def test_a_recogniser_that_is_not_here_is_one_line(self, trained, tmp_path, here):
        clip = encode(tmp_path / "film.mp4", counting_frames(10), tone(0.5))
        status, _, error = here("predict", clip, "--run", trained[0], "--recogniser", "large-v3")
        assert status == 2 and is_one_line(error) and "large-v3" in error

    def test_options_that_contradict_each_other_are_one_line(self, trained, tmp_path, here):
        clip = encode(tmp_path / "film.mp4", counting_frames(10), tone(0.5))
        for words in (("--text", "hi", "--language", "de"), ("--text", "hi", "--recogniser", "base")):
            status, _, error = here("predict", clip, "--run", trained[0], *words)
            assert status == 2 and is_one_line(error) and "--text" in error

    def test_what_others_have_written_stays(self, trained, tmp_path, here):
        clip = encode(tmp_path / "film.mp4", counting_frames(10), tone(0.5))
        (tmp_path / "film.srt").write_text("by hand")
        status, _, error = here("predict", clip, "--run", trained[0], "--text", "hi", "--out", tmp_path)
        assert status == 2 and is_one_line(error) and "film.srt" in error
        assert (tmp_path / "film.srt").read_text() == "by hand" and not (tmp_path / "film.json").exists()

    @pytest.mark.parametrize("content", [b"", b"not a film" * 100, None])
    def test_what_is_no_clip_is_one_line(self, trained, tmp_path, here, content):
        clip = tmp_path / "broken.mp4"
        if content is not None:
            clip.write_bytes(content)
        status, _, error = here("predict", clip, "--run", trained[0], "--text", "hello")
        assert status == 2 and is_one_line(error) and "broken.mp4" in error


def test_extract_fills_the_cache_and_reports_damage(damaged_world, tmp_path, here, monkeypatch):
    from mmsa_lib.presets import PRESETS

    scratch = PRESETS["mini"].__class__(**{**vars(PRESETS["mini"]), "random_backbones": ("video",)})
    monkeypatch.setitem(PRESETS, "mini", scratch)
    status, out, error = here("extract", "--data", damaged_world, "--features", tmp_path, "--workers", 0)
    assert status == 0 and "train: 14 utterances, 1 clips left out" in out, error
    assert "dia1_utt1.mp4" in out
    assert {p.parent.name.split("-")[0] for p in tmp_path.rglob("*.safetensors")} == {"text", "video", "audio"}


def test_doctor_tells_what_is_missing(here, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "EMBEDDED", tmp_path / "nowhere")
    status, out, _ = here("doctor")
    assert status == 1 and "MISSING embedded data" in out
    status, out, _ = here("doctor", "--json")
    checks = {c["name"]: c for c in json.loads(out)}
    assert checks["recogniser tiny.en"]["ok"]
    assert checks["torch"]["ok"] and not checks["embedded data"]["ok"]


def test_help_answers_without_loading_torch():
    code = "import sys; sys.argv=['mmsa','train','--help']\nfrom mmsa_lib.cli import main\n"
    code += "try: main()\nexcept SystemExit as stop: assert not stop.code\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "--modalities" in done.stdout, done.stderr


class TestBadPlaces:
    """What cannot be written is one line that names it, before any work is done where that can be known."""

    def test_a_run_directory_that_is_a_file(self, damaged_world, tmp_path, here):
        (tmp_path / "file").write_text("")
        status, _, error = here("train", "--data", damaged_world, "--run", tmp_path / "file", "--modalities", "text")
        assert status == 2 and is_one_line(error) and str(tmp_path / "file") in error

    def test_an_output_folder_that_is_a_file(self, trained, tmp_path, here):
        (tmp_path / "file").write_text("")
        clip = encode(tmp_path / "film.mp4", counting_frames(10), tone(0.5))
        status, _, error = here("predict", clip, "--run", trained[0], "--text", "hi", "--out", tmp_path / "file")
        assert status == 2 and is_one_line(error) and "--out" in error

    def test_a_picture_in_a_folder_that_is_a_file(self, damaged_world, tmp_path, here):
        (tmp_path / "file").write_text("")
        words = ("data", "audit", damaged_world, "--picture", tmp_path / "file" / "health.png", "--workers", 1)
        status, out, error = here(*words)
        assert status == 2 and error.splitlines()[-1].startswith("mmsa: ") and str(tmp_path / "file") in error
        assert "Traceback" not in error and "clips" in out


@pytest.mark.parametrize("words", [(), ("data",)])
def test_without_a_command_the_help_is_shown_as_it_stands(here, words):
    status, _, error = here(*words)
    assert status == 2 and error.startswith("Usage: ") and error.count("\n") > 5


@pytest.mark.parametrize(("words", "resumes"), [(("train",), True), (("data", "download"), True), (("doctor",), False)])
def test_only_what_goes_on_says_so_when_interrupted(here, monkeypatch, words, resumes):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    status, _, error = here(*words)
    assert status == 130 and ("the same command goes on from here" in error) == resumes
