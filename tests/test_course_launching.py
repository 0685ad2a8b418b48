"""Why a full training cannot start, in one line; trainers of two precisions in one process."""

import subprocess
import sys

import pytest
import torch
from accelerate import Accelerator

from mmsa_lib import cli
from mmsa_lib.course import launching


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "dia0_utt0.mp4").touch()
    return tmp_path


@pytest.fixture
def gpus(monkeypatch):
    """A machine with two GPUs that nobody has touched."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    return monkeypatch


def test_without_data_or_clips_it_says_so(tmp_path, gpus):
    for data in (None, tmp_path):
        assert "clips are not here" in launching.obstacle(data, 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_without_a_gpu_it_says_so(clips):
    assert (
        launching.obstacle(clips, torch.cuda.device_count()) == launching.obstacle(clips, 1) == "there is no GPU here"
    )


def test_with_clips_and_gpus_nothing_is_in_the_way(clips, gpus):
    assert launching.obstacle(clips, 1) == launching.obstacle(clips, 2) == ""
    assert "3 GPUs are asked for, 2 are here" in launching.obstacle(clips, 3)


def test_a_kernel_that_has_touched_a_gpu_can_use_one_but_not_several(clips, gpus):
    gpus.setattr(torch.cuda, "is_initialized", lambda: True)
    assert launching.obstacle(clips, 1) == ""
    assert "restart it" in launching.obstacle(clips, 2)


def test_after_forgetting_another_precision_can_be_chosen():
    launching.forget_trainers()
    Accelerator(mixed_precision="no")
    with pytest.raises(ValueError, match="already been initialized"):
        Accelerator(mixed_precision="bf16")
    launching.forget_trainers()
    assert Accelerator(mixed_precision="bf16").mixed_precision == "bf16"
    launching.forget_trainers()


def test_features_are_extracted_by_the_command_line(tmp_path, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append((command, check)))
    knobs = {"data": "meld", "run": "runs/x", "modalities": ("text", "audio"), "epochs": 40, "precision": "bf16"}
    assert "text, audio" in launching.extract_features(knobs, tmp_path)
    ((command, check),) = called
    assert check and command[1:4] == ["-m", "mmsa_lib", "extract"]
    with pytest.raises(SystemExit):  # the real command knows every option, and finds no data at that place
        monkeypatch.setattr(sys, "argv", ["mmsa", *command[3:]])
        cli.main()
    assert "meld" in capsys.readouterr().err
    assert {"--modalities=text,audio", "--precision=bf16", "--data=meld", "--preset=meld"} <= set(command)
