"""Experiments: what the data know about themselves, and clips chosen for the picture of a run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import write_world

from mmsa_lib import experiment
from mmsa_lib.errors import DataError
from mmsa_lib.meld import load_split
from mmsa_lib.presets import PRESETS


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
