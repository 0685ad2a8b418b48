"""Experiments: what the data know about themselves, and clips chosen for the picture of a run."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import write_world

from mmsa_lib import experiment, processes
from mmsa_lib.cli import left_out_lines
from mmsa_lib.errors import DataError
from mmsa_lib.evaluation import assess, read_run
from mmsa_lib.meld import load_split
from mmsa_lib.presets import PRESETS
from mmsa_lib.runs import load_run, open_run, opened


def test_only_made_data_know_their_ceiling(tmp_path):
    assert experiment.known_ceiling(tmp_path, ["text"]) is None
    scores = {"emotion": {"accuracy": 0.9, "weighted_f1": 0.8}, "sentiment": {"accuracy": 1.0, "weighted_f1": 1.0}}
    (tmp_path / "ceiling.json").write_text(json.dumps({"text+audio": {"without_context": scores}}))
    assert experiment.known_ceiling(tmp_path, ["text", "audio"]) == scores


def test_samples_for_the_picture_are_spread_and_damaged_clips_left_out(tmp_path):
    root = write_world(tmp_path, {"test": 7})
    table = load_split(root, "test")
    outputs = {"emotions": torch.zeros(7, 7), "sentiments": torch.zeros(7, 3)}
    samples = experiment.strip_samples(table, outputs, count=3)
    assert [s["emotion"] for s in samples] == ["disgust", "joy", "sadness"]
    np.testing.assert_allclose(samples[0]["emotion_probs"], 1 / 7, rtol=1e-6)
    (root / "output_repeated_splits_test" / "dia0_utt3.mp4").write_bytes(b"")
    assert [s["emotion"] for s in experiment.strip_samples(table, outputs, count=3)] == ["disgust", "sadness"]
    left_out = {"dia1_utt2.mp4": "it crashed the decoder"}
    assert "dia1_utt2.mp4" in [clip.name for clip in table["clip"]]
    spared = [s["emotion"] for s in experiment.strip_samples(table, outputs, count=7, left_out=left_out)]
    assert "surprise" not in spared and len(spared) == 5
    table["clip"] = None
    assert experiment.strip_samples(table, outputs) == []


def test_a_preset_sets_the_dropout_of_both_backbones_features():
    model = experiment.build_model(replace(PRESETS["mini"], feature_dropout=0.4))
    assert {m: model.encoders[m].feature_dropout.p for m in ("text", "video")} == {"text": 0.4, "video": 0.4}
    mini = PRESETS["mini"]
    assert (mini.feature_dropout, mini.modality_dropout, PRESETS["meld"].feature_dropout) == (0.5, 0.3, 0)


def test_an_empty_split_is_named(tmp_path):
    root = write_world(tmp_path, {"dev": 0}, clips=False)
    with pytest.raises(DataError, match="dev split has no utterance"):
        experiment.read_table(PRESETS["mini"], root, "dev")


def test_modalities_keep_their_order():
    assert experiment.used_modalities(["audio", "text"]) == ("text", "audio")
    for wrong in (["smell"], []):
        with pytest.raises(DataError, match="modalities"):
            experiment.used_modalities(wrong)


def write_run(folder, **changes):
    torch.manual_seed(0)
    preset = replace(PRESETS["mini"], **changes)
    open_run(folder, preset, "data", restart=False)
    experiment.build_model(preset).eval().save_pretrained(folder)
    return preset


def test_an_old_model_is_never_left_beside_new_settings(tmp_path):
    preset = write_run(tmp_path, modalities=("audio",))
    (tmp_path / "metrics.json").write_text("{}")
    open_run(tmp_path, replace(preset, seed=3), "data", restart=True)
    with pytest.raises(DataError, match="no trained model there"):
        load_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"run.json", "README.md"}


@pytest.mark.parametrize("name", ["run.json", "config.json", "model.safetensors"])
def test_a_damaged_run_is_an_error_that_names_it(tmp_path, name):
    write_run(tmp_path, modalities=("audio",))
    for content in (b"", b"[]", b'{"preset": {"colour": "red"}}'):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=str(tmp_path)):
            load_run(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=str(tmp_path)):
        load_run(tmp_path)


def test_weights_of_another_size_are_an_error_that_names_one(tmp_path):
    write_run(tmp_path, modalities=("audio",))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"audio_channels": [8, 8, 8]}))
    with pytest.raises(DataError, match=r"do not fit this model"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"audio_channels": [8] * 4}))
    with pytest.raises(DataError, match=r"of another size: encoders.audio"):
        load_run(tmp_path)


@pytest.mark.parametrize("restart", [False, True])
def test_a_model_that_others_have_made_stays(tmp_path, restart):
    experiment.build_model(replace(PRESETS["mini"], modalities=("audio",))).save_pretrained(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(DataError, match="did not make"):
        open_run(tmp_path, PRESETS["mini"], "data", restart)
    assert (tmp_path / "model.safetensors").read_bytes() == before and not (tmp_path / "run.json").exists()


def test_one_training_at_a_time_in_a_run_directory(tmp_path):
    preset = replace(PRESETS["mini"], modalities=("text",))
    root = write_world(tmp_path / "data", clips=False)
    run = tmp_path / "run"
    with opened(run, preset, root):
        before = (run / "run.json").read_bytes()
        with pytest.raises(DataError, match="another training is at work"):
            experiment.train(replace(preset, seed=1), root, run, tmp_path / "features")
        assert (run / "run.json").read_bytes() == before and not (run / "checkpoint.pt").exists()
    with opened(run, replace(preset, seed=1), root):  # it was given back
        assert (run / "run.json").read_bytes() != before


def test_hiding_what_the_model_does_not_read_is_an_error(tmp_path):
    write_run(tmp_path, modalities=("audio",))
    with pytest.raises(DataError, match=r"without text, video: .* does not read that anyway, only audio"):
        experiment.evaluate(tmp_path, tmp_path, "test", tmp_path, without=["text", "video"])


def test_a_report_needs_the_clips_of_its_own_split_alone(tmp_path):
    root, run = write_world(tmp_path / "data"), tmp_path / "run"
    for folder in ("train_splits", "dev_splits_complete"):
        shutil.rmtree(root / folder)
    write_run(run, modalities=("text", "audio"))
    found = read_run(run, root, "test", tmp_path / "kept", num_workers=0)
    assert found.dev_logits is None and len(found.train_labels["emotion"]) == 14
    assert assess(found)["calibration"]["emotion"]["after"] is None


def test_left_out_clips_are_told_by_every_evaluation(tmp_path):
    root = write_world(tmp_path / "data", {"test": 3})
    (root / "output_repeated_splits_test" / "dia0_utt1.mp4").write_bytes(b"")
    write_run(tmp_path / "run", modalities=("text", "audio"))
    result = experiment.evaluate(tmp_path / "run", root, "test", tmp_path / "kept", num_workers=0)
    assert result["left_out"] == {"test": {"dia0_utt1.mp4": "empty file"}}
    assert left_out_lines(result["left_out"]) == [
        "test: 1 clip left out, other modalities still count",
        "  dia0_utt1.mp4: empty file",
    ]


@pytest.mark.end_to_end
def test_hardly_any_clips_are_enough(tmp_path):
    """Where most clips are missing whole batches have nothing to hear; the model answers all the same."""
    root = write_world(tmp_path / "data", {"train": 40, "dev": 40, "test": 40})
    for folder in ("train_splits", "dev_splits_complete", "output_repeated_splits_test"):
        for clip in sorted((root / folder).iterdir())[4:]:
            clip.unlink()
    preset = replace(PRESETS["mini"], modalities=("audio",), epochs=1)
    result = experiment.train(preset, root, tmp_path / "run", tmp_path / "kept", num_workers=0, progress=False)
    assert result["n"] == 40


def test_trainings_of_two_precisions_in_one_process():
    first, second = (processes.accelerator(mixed_precision=p).mixed_precision for p in ("no", "bf16"))
    assert (first, second) == ("no", "bf16")
    assert processes.accelerator(mixed_precision="no").mixed_precision == "no"
