"""Whether the full training can start in this kernel, and the state it needs. For notebooks/07."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate.state import AcceleratorState


def obstacle(data: str | Path | None, processes: int) -> str:
    """Why a training on `processes` GPUs cannot start here, in one line; empty if it can."""
    if data is None or not any(Path(data).rglob("dia*_utt*.mp4")):
        return "MELD's clips are not here (lesson 01 says where they belong)"
    if processes < 1 or not torch.cuda.is_available():
        return "there is no GPU here"
    if processes > torch.cuda.device_count():
        return f"{processes} GPUs are asked for, {torch.cuda.device_count()} are here"
    if processes > 1 and torch.cuda.is_initialized():
        return "several GPUs need a kernel that has not touched one: restart it, run the set-up cell, then this section"
    return ""


def forget_trainers() -> None:
    """Let the next trainer choose its precision anew: Accelerate keeps the first one's for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)


def extract_features(knobs: Mapping, features: Path) -> str:
    """Run the frozen backbones over all clips, by the command line in a process of its own.

    Args:
        knobs: `data`, `modalities`, and the `precision` of the training: features depend on it.
        features: the folder where they are kept.

    Returns what to say when that has worked.
    """
    options = {
        "preset": "meld",
        "data": knobs["data"],
        "features": features,
        "modalities": ",".join(knobs["modalities"]),
        "precision": knobs["precision"],
    }
    command = [f"--{name}={value}" for name, value in options.items()]
    subprocess.run([sys.executable, "-m", "mmsa_lib", "extract", *command], check=True)
    return f"Features of {', '.join(knobs['modalities'])} are kept in {features}."
