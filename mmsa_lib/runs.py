"""Run directories: what a training leaves behind, and how it is found again."""

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from torch import Tensor

from mmsa_lib import __version__
from mmsa_lib.errors import DataError
from mmsa_lib.files import write_text, written_whole
from mmsa_lib.metrics import TASKS
from mmsa_lib.model import WEIGHTS_NAME, MultimodalSentimentModel
from mmsa_lib.presets import Preset
from mmsa_lib.trainer import CHECKPOINT, HISTORY, LOGITS

RUN_FILE, METRICS_FILE, PREDICTIONS_FILE = "run.json", "metrics.json", "predictions.csv"
LOCK_FILE = ".lock"


def features_folder(run_dir: str | Path) -> Path:
    """Where features are kept by default: beside the run directory, for all runs there."""
    return Path(run_dir).absolute().parent / "features"


def load_run(run_dir: str | Path) -> tuple[Preset, MultimodalSentimentModel]:
    """The settings and the trained model of a run directory, the model in eval mode."""
    run_dir = Path(run_dir)
    settings = read_run(run_dir)
    if settings is None or not (run_dir / WEIGHTS_NAME).is_file():
        raise DataError(f"{run_dir}: no trained model there; make one with `mmsa train --run {run_dir}`")
    if not (run_dir / "config.json").is_file():
        raise DataError(f"{run_dir}: config.json is missing; train again")
    try:
        return preset_from_json(settings["preset"]), MultimodalSentimentModel.from_pretrained(str(run_dir))
    except (ValueError, TypeError, AttributeError) as error:  # of run.json or config.json
        raise DataError(f"{run_dir}: damaged, or of another version ({error}); train again") from error


def preset_from_json(fields: dict[str, Any]) -> Preset:
    return Preset(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def read_run(run_dir: Path) -> dict | None:
    """What `run.json` says, None if there is none."""
    path = run_dir / RUN_FILE
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("preset"), dict):
        raise DataError(f"{path}: not written by `mmsa train`")
    return settings


@contextmanager
def opened(run_dir: Path, preset: Preset, data: str | Path, restart: bool = False) -> Iterator[None]:
    """`open_run`, and nobody else's until the block or the process ends."""
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(f"{run_dir}: another training is at work there; choose another --run") from None
    try:
        open_run(run_dir, preset, data, restart)
        yield
    finally:
        lock.release()


def open_run(run_dir: Path, preset: Preset, data: str | Path, restart: bool) -> None:
    """Write `run.json`; an earlier run with the same settings goes on if it was interrupted."""
    settings = {
        "preset": json.loads(json.dumps(asdict(preset))),
        "data": str(data),
        "versions": {p: version(p) for p in ("torch", "torchvision", "torchaudio", "transformers", "av")}
        | {"python": platform.python_version(), "mmsa_lib": __version__},
        "finished": False,
    }
    earlier = read_run(run_dir)
    trained = any((run_dir / name).is_file() for name in (CHECKPOINT, WEIGHTS_NAME))
    if earlier is None and trained:
        raise DataError(f"{run_dir}: holds a model that `mmsa train` did not make; choose another --run")
    if earlier is not None and trained and not restart:
        changed = [k for k, v in settings["preset"].items() if earlier["preset"].get(k) != v]
        changed += ["data"] if earlier.get("data") != settings["data"] else []
        if changed:
            raise DataError(
                f"{run_dir}: holds a run with other settings ({', '.join(changed)}); "
                "choose another --run, or replace it with --restart"
            )
    if restart:  # an old model beside new settings would be taken for theirs
        for name in (WEIGHTS_NAME, "config.json", METRICS_FILE, PREDICTIONS_FILE, HISTORY):
            (run_dir / name).unlink(missing_ok=True)
    if restart or earlier is None or earlier.get("finished"):
        (run_dir / CHECKPOINT).unlink(missing_ok=True)
        for events in (run_dir / "tensorboard").glob("events.*"):
            events.unlink()
    write_json(run_dir / RUN_FILE, settings)


def mark_finished(run_dir: Path) -> None:
    write_json(run_dir / RUN_FILE, read_run(run_dir) | {"finished": True})


def write_json(path: Path, value: dict) -> None:
    """Write under another name, then rename: a reader never sees half a file."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_predictions(path: Path, table: pd.DataFrame, outputs: dict[str, Tensor]) -> None:
    """One line an utterance: its key, its labels and the probability of every class."""
    if len(table) != len(outputs[LOGITS["emotion"]]):
        raise DataError(f"{path}: {len(outputs[LOGITS['emotion']])} predictions for {len(table)} utterances")
    columns = table[["split", "dialogue_id", "utterance_id", "emotion", "sentiment"]].reset_index(drop=True)
    for task, names in TASKS.items():
        probabilities = outputs[LOGITS[task]].softmax(dim=1).numpy()
        columns = columns.join(pd.DataFrame(probabilities, columns=[f"{task}_{name}" for name in names]))
    with written_whole(path) as temporary:
        columns.to_csv(temporary, index=False, float_format="%.6f")
