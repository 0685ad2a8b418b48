"""What one of several processes does in `test_processes`: features, a training, the same one interrupted, a test."""

import sys
from contextlib import suppress
from pathlib import Path

import torch

from mmsa_lib import cli, experiment, processes
from mmsa_lib.runs import write_json
from mmsa_lib.trainer import MultimodalTrainer


class Stopped(Exception):
    """In place of a power failure."""


def mmsa(*words: object) -> None:
    cli.app([str(word) for word in words], standalone_mode=False)


def stop_after_one_epoch(trainer: MultimodalTrainer) -> None:
    checkpoint(trainer)
    raise Stopped


data, out = Path(sys.argv[1]), Path(sys.argv[2])
experiment.EVALUATION_BATCH = 8  # three batches of the training split: one process repeats one
experiment.draw = lambda *_: None  # pictures take longer than all the rest
parts = ("--data", data, "--workers", 0, "--modalities", "text,audio")
mmsa("extract", *parts, "--features", out / "features")
train = ("train", *parts, "--features", out / "features", "--epochs", 2, "--batch-size", 4, "--accumulate", 2, "--run")
mmsa(*train, out / "whole")
checkpoint, MultimodalTrainer._checkpoint = MultimodalTrainer._checkpoint, stop_after_one_epoch
with suppress(Stopped):
    mmsa(*train, out / "cut")
MultimodalTrainer._checkpoint = checkpoint
torch.manual_seed(99)  # another launch begins with other random numbers
mmsa(*train, out / "cut")
context = ("--data", data, "--workers", 0, "--modalities", "text", "--features", out / "features", "--batch-size", 4)
context = ("train", *context, "--epochs", 1, "--context", 2, "--run")
mmsa(*context, out / "turns")
mmsa(*context, out / "words", "--finetune", "text", "--context-reader", "text")
for name in ("turns", "words"):
    result = experiment.evaluate(out / name, data, "train", out / "features", num_workers=0)
    if processes.this_process().is_main_process:
        write_json(out / f"{name}.json", result)
mmsa("evaluate", "--run", out / "whole", "--data", data, "--features", out / "features", "--split", "train", "--json")
processes.leave()
