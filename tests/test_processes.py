"""Two processes on a CPU: the same features, the same metrics, each file written once, no utterance counted twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torture import tree
from worlds import write_world

from mmsa_lib import experiment
from mmsa_lib.presets import PRESETS
from mmsa_lib.processes import this_process

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The data, what two processes left behind, and what they printed."""
    data = write_world(tmp_path_factory.mktemp("data"), {"train": 21, "dev": 9, "test": 7})
    out = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(ROOT / "tests" / "two_processes.py"), str(data), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return data, out, done.stdout


def test_one_process_is_the_main_one():
    process = this_process()
    assert process.is_main_process and process.num_processes == 1


def test_features_are_those_of_one_process(launched, tmp_path):
    data, out, _ = launched
    preset = PRESETS["mini"].__class__(**{**vars(PRESETS["mini"]), "modalities": ("text", "audio")})
    efforts = [effort for _, _, effort, _ in experiment.extract_all(preset, data, ("train", "dev", "test"), tmp_path)]
    assert sum(effort.clips for effort in efforts) == 21 + 9 + 7
    assert len(tree(tmp_path)) == 12 and tree(tmp_path) == tree(out / "features")


def test_each_thing_is_printed_once(launched):
    _, _, printed = launched
    assert printed.count("train: 21 utterances, 0 clips left out") == 1
    assert printed.count("test on 7 utterances") == 4  # trainings


def test_metrics_are_those_of_one_process(launched):
    """21 utterances in batches of 8: the second process has one batch less, and repeats utterances instead."""
    data, out, printed = launched
    two = json.loads(printed[printed.index("{") :])
    one = experiment.evaluate(out / "whole", data, "train", out / "features", num_workers=0)
    assert two["n"] == 21
    assert two == json.loads(json.dumps(one))


@pytest.mark.parametrize("name", ["turns", "words"])
def test_no_utterance_of_a_dialogue_is_lost(launched, name):
    """Batches of dialogues differ in size; all of them have to be dealt out."""
    data, out, _ = launched
    two = json.loads((out / f"{name}.json").read_text())
    one = experiment.evaluate(out / name, data, "train", out / "features", num_workers=0)
    assert two["n"] == one["n"] == 21
    assert two["emotion"]["confusion"] == json.loads(json.dumps(one))["emotion"]["confusion"]
    predictions = pd.read_csv(out / name / "predictions.csv")
    assert len(predictions) == 7 and predictions.notna().all(axis=None)


def test_an_interrupted_training_ends_with_the_same_weights(launched):
    _, out, _ = launched
    whole, resumed = (load_file(out / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert (out / "whole" / "history.csv").read_text() == (out / "cut" / "history.csv").read_text()


def test_nothing_half_written_is_left(launched):
    _, out, _ = launched
    assert not [name for name in tree(out) if ".tmp" in name]
    assert json.loads((out / "cut" / "run.json").read_text())["finished"]
