"""What each set of modalities reaches on the embedded data, trained as `make train` does: scores for lesson 05.

`python -m mmsa_lib.course.experiments.fusion` writes `results/05_fusion.json`. Half an hour on two cores; what a
run that was stopped has measured is kept, and the same command goes on from there.
"""

import copy
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import torch

from mmsa_lib import experiment
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.labels import MODALITIES
from mmsa_lib.metrics import TASKS
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.presets import PRESETS, Preset
from mmsa_lib.trainer import MultimodalTrainer

CHECKOUT = Path(__file__).resolve().parents[3]
RESULT = Path(__file__).resolve().parents[1] / "results" / "05_fusion.json"
SUBSETS = tuple(subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size))
COMMAND = "python -m mmsa_lib.course.experiments.fusion"
Datasets = Mapping[str, MELDDataset]


def name_of(subset: Sequence[str]) -> str:
    """The key of a set of modalities in `ceiling.json` and in the result: `text+audio`."""
    return "+".join(subset)


def data_digest(data: Path) -> str:
    """Which build of the embedded data: the first 12 digits of the SHA-256 of its list of SHA-256."""
    return hashlib.sha256((data / "SHA256SUMS").read_bytes()).hexdigest()[:12]


def load(preset: Preset, data: Path, features: Path) -> dict[str, MELDDataset]:
    """All splits with the features of frozen parts in memory."""
    model = experiment.build_model(preset)
    tables = {split: experiment.read_table(preset, data, split) for split in ("train", "dev", "test")}
    return {s: experiment.build_dataset(preset, model, table, features) for s, table in tables.items()}


def showing(datasets: Datasets, subset: Sequence[str]) -> dict[str, MELDDataset]:
    """The same splits with some modalities only; features are shared, not copied."""
    shown = {split: copy.copy(dataset) for split, dataset in datasets.items()}
    for dataset in shown.values():
        dataset.modalities = tuple(subset)
    return shown


def train_one(preset: Preset, datasets: Datasets) -> MultimodalTrainer:
    """A trainer that has finished, with the best epoch's weights in its model."""
    torch.manual_seed(preset.seed)
    model = experiment.build_model(preset)
    trainer = experiment.build_trainer(preset, model, dict(showing(datasets, preset.modalities)), progress=False)
    trainer.fit(preset.epochs)
    return trainer


def scores(model: MultimodalSentimentModel, test: MELDDataset) -> dict[str, float]:
    """Weighted F1 of both tasks, rounded to what 260 utterances can tell."""
    found = experiment.summarize(experiment.predict_dataset(model, test))
    return {task: round(found[task]["weighted_f1"], 4) for task in TASKS}


def measure(preset: Preset, datasets: Datasets) -> dict:
    """One training; the model of all three modalities is also tested with each smaller set of them."""
    trainer = train_one(preset, datasets)
    model = trainer.unwrapped
    row = {"modalities": name_of(preset.modalities), "modality_dropout": preset.modality_dropout, "seed": preset.seed}
    row["best_epoch"] = trainer.best["epoch"]
    row |= scores(model, showing(datasets, preset.modalities)["test"])
    if preset.modalities == MODALITIES:
        row["shown"] = {name_of(s): scores(model, showing(datasets, s)["test"]) for s in SUBSETS}
    return row


def begin(preset: Preset, data: Path) -> dict:
    """What an earlier run of the same data and settings left, or an empty result."""
    settings = {k: v for k, v in asdict(preset).items() if k not in ("modalities", "modality_dropout", "seed")}
    empty = {"command": COMMAND, "data": data_digest(data), "preset": settings, "rows": []}
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    same = all(known.get(key) == json.loads(json.dumps(empty[key])) for key in ("data", "preset"))
    return known if same else empty


def write(result: dict) -> None:
    """The result under another name, then renamed."""
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    temporary = RESULT.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, RESULT)


def main(arguments: Sequence[str]) -> None:
    seeds = int(arguments[0]) if arguments else 5
    preset, data = PRESETS["mini"], CHECKOUT / "data" / "mini"
    result = begin(preset, data)
    done = {tuple(row[key] for key in ("modalities", "modality_dropout", "seed")) for row in result["rows"]}
    datasets = load(preset, data, CHECKOUT / "runs" / "features")
    trainings = [(subset, preset.modality_dropout) for subset in SUBSETS] + [(MODALITIES, 0.0)]
    for seed in range(seeds):
        for subset, dropout in trainings:
            if (name_of(subset), dropout, seed) not in done:
                row = measure(replace(preset, modalities=subset, modality_dropout=dropout, seed=seed), datasets)
                result["rows"].append(row)
                write(result)
                print(f"seed {seed} {name_of(subset)}: emotion {row['emotion']:.3f}, sentiment {row['sentiment']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
