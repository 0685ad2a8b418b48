"""What models of five seeds say about every dev and test utterance of the embedded data: answers for lesson 08.

`python -m mmsa_lib.course.experiments.evaluation` trains them as `make train` does, with and without label smoothing,
and writes `results/08_evaluation.safetensors`: logits, half precision. About ten minutes on one core; what a run that
was stopped has trained is kept.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from mmsa_lib import attribution, experiment
from mmsa_lib.course.experiments.fusion import CHECKOUT, data_digest, load, train_one
from mmsa_lib.evaluation import Reading, labels_of
from mmsa_lib.labels import EMOTIONS, MODALITIES
from mmsa_lib.mini.ceiling import display_table
from mmsa_lib.mini.tables import FEELINGS, emotion_of, prior
from mmsa_lib.presets import PRESETS, Preset

RESULT = Path(__file__).resolve().parents[1] / "results" / "08_evaluation.safetensors"
COMMAND = "python -m mmsa_lib.course.experiments.evaluation"
KINDS = {"smoothed": {}, "unsmoothed": {"label_smoothing": 0.0}}  # the preset as it is, and one thing changed
SETS = attribution.subsets(MODALITIES)


def ask(preset: Preset, datasets, every_set: bool) -> dict[str, np.ndarray]:
    """Train one model; its logits as `test.emotions` (sets, N, 7) and so on, of dev for all modalities only."""
    model = train_one(preset, datasets).unwrapped
    found = {}
    for split, sets in (("test", SETS if every_set else [MODALITIES]), ("dev", [MODALITIES])):
        said = attribution.subset_logits(model, datasets[split], sets)
        for head in ("emotions", "sentiments"):
            logits = np.stack([said[s][head] for s in sets])
            # from the highest down: half precision tells small numbers best, so the two likeliest classes stay apart
            found[f"{split}.{head}"] = (logits - logits.max(axis=-1, keepdims=True)).astype(np.float16)
    return found


def settings(data: Path) -> dict[str, str]:
    """What the stored answers depend on, as a safetensors file keeps it."""
    preset = {k: v for k, v in asdict(PRESETS["mini"]).items() if k != "seed"}
    return {"command": COMMAND, "data": data_digest(data), "preset": json.dumps(preset)}


def read() -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Settings and tensors of the stored file; empty if there is none."""
    if not RESULT.is_file():
        return {}, {}
    with safe_open(RESULT, framework="np") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def main(arguments: Sequence[str]) -> None:
    seeds, data = int(arguments[0]) if arguments else 5, CHECKOUT / "data" / "mini"
    known, tensors = read()
    if known != settings(data):
        tensors = {}
    datasets = load(PRESETS["mini"], data, CHECKOUT / "runs" / "features")
    for seed in range(seeds):
        for kind, changes in KINDS.items():
            if f"{kind}.{seed}.dev.emotions" in tensors:
                continue
            said = ask(replace(PRESETS["mini"], seed=seed, **changes), datasets, every_set=kind == "smoothed")
            tensors |= {f"{kind}.{seed}.{name}": tensor for name, tensor in said.items()}
            temporary = RESULT.with_suffix(".tmp")
            save_file(tensors, temporary, metadata=settings(data))
            os.replace(temporary, RESULT)
            right = said["test.emotions"][-1].argmax(axis=1) == datasets["test"].emotion_labels
            print(f"{kind}, seed {seed}: accuracy of emotion {right.mean():.3f}", flush=True)


# ------------------------------------------------------------------------------------- for the lesson


@cache
def _tables(data: Path) -> dict:
    preset = PRESETS["mini"]
    return {s: experiment.raw_dataset(preset, experiment.read_table(preset, data, s)) for s in ("train", "dev", "test")}


def readings(kind: str, data: Path) -> list[Reading]:
    """The stored answers of one kind of model, one reading a seed, beside the labels of the embedded `data`."""
    _, tensors = read()
    splits = _tables(data)
    table = splits["test"].table
    found = []
    for seed in range(sum(name.startswith(f"{kind}.") and name.endswith(".dev.emotions") for name in tensors)):
        heads = {
            name: {head: tensors[f"{kind}.{seed}.{name}.{head}"].astype(float) for head in ("emotions", "sentiments")}
            for name in ("test", "dev")
        }
        sets = SETS if len(heads["test"]["emotions"]) == len(SETS) else [MODALITIES]
        found.append(
            Reading(
                name=f"{kind}, seed {seed}",
                split="test",
                table=table,
                labels=labels_of(splits["test"]),
                logits={s: {head: logits[i] for head, logits in heads["test"].items()} for i, s in enumerate(sets)},
                dev_labels=labels_of(splits["dev"]),
                dev_logits={head: logits[0] for head, logits in heads["dev"].items()},
                train_labels=labels_of(splits["train"]),
                cues=attribution.known_cues(data, table),
                ceiling=experiment.known_ceiling(data, MODALITIES),
            )
        )
    return found


def perfect_reader(cues) -> dict[attribution.Subset, np.ndarray]:
    """What an observer who reads every display without error, and knows how often which of them lie, believes.

    Probabilities (N, 7) for every set of modalities. `cues` as `data/mini/cues.csv` has them, both surprises apart.
    """
    seen = {}
    for m in MODALITIES:
        place = cues[f"{m}_shows"].map({feeling: i for i, feeling in enumerate(FEELINGS)}).to_numpy()
        weak = (cues[f"{m}_level"] == "weak").to_numpy()
        seen[m] = display_table(m).T[place + len(FEELINGS) * weak]  # (N, 8): P(display | feeling)
    member = np.array([[emotion_of(feeling) == emotion for emotion in EMOTIONS] for feeling in FEELINGS], dtype=float)
    beliefs = {}
    for subset in SETS:
        joint = prior() * np.prod([seen[m] for m in subset] or [np.ones((len(cues), len(FEELINGS)))], axis=0)
        beliefs[subset] = (joint / joint.sum(axis=1, keepdims=True)) @ member
    return beliefs


def beside_chance(compared: Mapping[str, Mapping]) -> list[dict]:
    """Rows of a table from what `mmsa_lib.attribution.compare_with_cues` found, an attribution a row."""
    return [
        {
            "attribution": name,
            "pointing": _ends(own["pointing"], own["pointing_interval"]),
            "chance": own["chance"],
            "rank correlation": _ends(own["rank"], own["rank_interval"]),
        }
        for name, own in compared.items()
    ]


def _ends(value: float, ends: Sequence[float]) -> str:
    return f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


if __name__ == "__main__":
    main(sys.argv[1:])
