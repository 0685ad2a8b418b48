"""What each set of modalities reaches on the embedded data, trained as `make train` does: scores for lesson 05.

`python -m mmsa_lib.course.experiments.fusion` writes `results/05_fusion.json`: five seeds, half an hour on two cores.
What each training gave is kept under `runs/fusion`, so the same command goes on from where it was stopped, and
several processes can share the work (`… fusion 0 1 2` and `… fusion 3 4`).
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
from mmsa_lib.checksums import SUMS_FILE
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.labels import MODALITIES
from mmsa_lib.metrics import TASKS
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.presets import PRESETS, Preset
from mmsa_lib.runs import write_json
from mmsa_lib.trainer import MultimodalTrainer

CHECKOUT = Path(__file__).resolve().parents[3]
KEPT = CHECKOUT / "runs" / "fusion"
RESULT = Path(__file__).resolve().parents[1] / "results" / "05_fusion.json"
SEEDS = range(5)
SUBSETS = tuple(subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size))
COMMAND = "python -m mmsa_lib.course.experiments.fusion"
Datasets = Mapping[str, MELDDataset]


def name_of(subset: Sequence[str]) -> str:
    """The key of a set of modalities in `ceiling.json` and in the result: `text+audio`."""
    return "+".join(subset)


def data_digest(data: Path) -> str:
    """Which build of the embedded data: the first 12 digits of the SHA-256 of its list of SHA-256."""
    return hashlib.sha256((data / SUMS_FILE).read_bytes()).hexdigest()[:12]


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


def keep(row: dict, common: dict) -> None:
    """A finished training and what it was made with, in a file of its own."""
    name = f"{row['modalities']}-{row['modality_dropout']}-{row['seed']}.json"
    write_json(KEPT / name, common | {"row": row})


def kept(common: dict) -> list[dict]:
    """The rows of all trainings on the same data with the same settings, by seed, then in the order of lesson 05."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in KEPT.glob("*.json")]
    rows = [known["row"] for known in found if all(known[key] == common[key] for key in common)]
    order = [name_of(subset) for subset in SUBSETS]
    return sorted(rows, key=lambda row: (row["seed"], -row["modality_dropout"], order.index(row["modalities"])))


def describe(preset: Preset, data: Path) -> dict:
    """What all rows have in common: the build of the data, and the settings as JSON gives them back."""
    settings = {k: v for k, v in asdict(preset).items() if k not in ("modalities", "modality_dropout", "seed")}
    return {"data": data_digest(data), "preset": json.loads(json.dumps(settings))}


def write(common: dict) -> None:
    """All rows that are kept; the name in between is this process's own, since several may write."""
    temporary = RESULT.with_suffix(f".{os.getpid()}.tmp")
    result = {"command": COMMAND, **common, "rows": kept(common)}
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, RESULT)


def main(arguments: Sequence[str]) -> None:
    preset, data = PRESETS["mini"], CHECKOUT / "data" / "mini"
    common = describe(preset, data)
    trainings = [(subset, preset.modality_dropout) for subset in SUBSETS] + [(MODALITIES, 0.0)]
    done = {tuple(row[key] for key in ("modalities", "modality_dropout", "seed")) for row in kept(common)}
    datasets = load(preset, data, CHECKOUT / "runs" / "features")
    for seed in map(int, arguments or SEEDS):
        for subset, dropout in trainings:
            if (name_of(subset), dropout, seed) not in done:
                row = measure(replace(preset, modalities=subset, modality_dropout=dropout, seed=seed), datasets)
                keep(row, common)
                scores_found = f"emotion {row['emotion']:.3f}, sentiment {row['sentiment']:.3f}"
                print(f"seed {seed} {name_of(subset)} (dropout {dropout}): {scores_found}", flush=True)
    write(common)


if __name__ == "__main__":
    main(sys.argv[1:])
