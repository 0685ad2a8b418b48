"""What the turns around an utterance are worth: scores for lesson 10, in three parts.

`python -m mmsa_lib.course.experiments.context embedded [SEEDS]`: the embedded data, all modalities.
`python -m mmsa_lib.course.experiments.context frozen DIR [SEEDS]`: MELD's text in DIR, the text encoder frozen.
`python -m mmsa_lib.course.experiments.context words DIR [SEEDS] [SETTING…]`: the text encoder learns, and reads the
words of the turns before.

Each writes `results/10_context_PART.json`: scores, and not a word of MELD. What a finished training said is kept
under `runs/context`, and the same command goes on from there; an unfinished one of `words` goes on from its last
whole epoch.
"""

import copy
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from mmsa_lib import experiment
from mmsa_lib.checksums import SUMS_FILE
from mmsa_lib.class_weights import class_weights
from mmsa_lib.course import known_chain
from mmsa_lib.course.comparing import weighted_f1
from mmsa_lib.course.experiments.fusion import load, train_one
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS, MODALITIES
from mmsa_lib.meld import find_layout, load_split
from mmsa_lib.metrics import TASKS, paired_bootstrap
from mmsa_lib.presets import PRESETS, Preset
from mmsa_lib.runs import METRICS_FILE, PREDICTIONS_FILE, read_run, write_json
from mmsa_lib.trainer import CHECKPOINT, softmax

CHECKOUT = Path(__file__).resolve().parents[3]
RESULTS = Path(__file__).resolve().parents[1] / "results"
RUNS, FEATURES = CHECKOUT / "runs" / "context", CHECKOUT / "runs" / "features"
COMMAND = "python -m mmsa_lib.course.experiments.context"
NONE = "none"  # the setting all others are compared with
ALONE = "alone"  # the network of a model with context, but every utterance is a dialogue of its own
WORDS = "2 before, words"
UNWEIGHTED = f"{WORDS}, no weights"  # what class weights are worth to an encoder that learns
WHOLE = "whole dialogues"  # batches of them instead of excerpts
MOST_SEEDS = 20
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the class weights, taken out of the answers
RECIPE: dict[str, Any] = {  # how the text encoder is fine-tuned
    "finetune": ("text",),
    "context_reader": "text",
    "context": 2,
    "excerpt": 1,
    "speaker_names": True,
    "backbone_learning_rate": 1e-4,
    "schedule": "linear",
    "class_weights": "sqrt",
    "prior_correction": 0.5,
    "consistency": 1.0,
    "precision": "bf16",
    "feature_dropout": 0.0,
    "ema_decay": None,
    "epochs": 3,
}
Found = dict[str, Any]  # what one training gives: best_epoch, epochs, seconds, answers


@dataclass(frozen=True)
class Part:
    """Trainings to compare: fields of the preset by the name of the setting."""

    name: str
    what: str
    preset: Preset
    settings: dict[str, dict[str, Any]]
    arguments: str
    keeps_answers: bool = True

    def at(self, setting: str, seed: int) -> Preset:
        return replace(self.preset, seed=seed, **self.settings[setting])


PARTS = {
    "embedded": Part(
        "embedded",
        "embedded data (synthetic), text, video and audio, 260 test utterances",
        replace(PRESETS["mini"], excerpt=1),
        {
            NONE: {},
            ALONE: {"context": 3},
            "3 before": {"context": 3},
            "3 before, GRU": {"context": 3, "context_reader": "gru"},
            "3 before, 3 after": {"context": 3, "future": 3},
            f"3 before, {WHOLE}": {"context": 3, "excerpt": 0},
        },
        "",
    ),
    "frozen": Part(
        "frozen",
        "MELD text, frozen all-MiniLM-L6-v2, official test split",
        replace(PRESETS["mini"], modalities=("text",), batch_size=64, epochs=16, early_stopping=6, excerpt=1),
        {
            NONE: {},
            ALONE: {"context": 3},
            "1 before": {"context": 1},
            "3 before": {"context": 3},
            "6 before": {"context": 6},
            "12 before": {"context": 12},
            "6 before, GRU": {"context": 6, "context_reader": "gru"},
            "6 before, 6 after": {"context": 6, "future": 6},
            f"6 before, {WHOLE}": {"context": 6, "excerpt": 0},
        },
        " data/meld",
        keeps_answers=False,
    ),
    "words": Part(
        "words",
        "MELD text, all-MiniLM-L6-v2 fine-tuned, official test split",
        replace(PRESETS["mini"], modalities=("text",)),
        {
            WORDS: RECIPE,
            UNWEIGHTED: RECIPE | {"class_weights": "none", "prior_correction": 0.0},
            NONE: RECIPE | {"context": 0},
        },
        " data/meld",
    ),
}


# ---------------------------------------------------------------------------------------- one training


def in_memory(datasets: Mapping[str, MELDDataset], preset: Preset) -> Found:
    """A training on features in memory, and what it says of the test split."""
    started = time.perf_counter()
    trainer = train_one(preset, datasets)
    said = experiment.predict_dataset(trainer.unwrapped, datasets["test"])
    found = {"best_epoch": trainer.best["epoch"], "epochs": trainer.epoch, "seconds": time.perf_counter() - started}
    return found | {"answers": as_digits(said), "probabilities": softmax(said)}


def in_run_directory(preset: Preset, data: str, run_dir: Path) -> Found:
    """A training that can be killed and resumed; its seconds are unknown if it was."""
    run = read_run(run_dir)
    if run is not None and run["finished"] and (run["preset"], run["data"]) == (plain(preset), data):
        result, whole = json.loads((run_dir / METRICS_FILE).read_text(encoding="utf-8")), True
    else:
        whole = not (run_dir / CHECKPOINT).is_file()
        result = experiment.train(preset, data, run_dir, FEATURES, num_workers=0)
    table = pd.read_csv(run_dir / PREDICTIONS_FILE)
    answers = {t: table[[f"{t}_{n}" for n in names]].to_numpy().argmax(axis=1) for t, names in TASKS.items()}
    seconds = result["seconds"]["training"] if whole else None
    found = {"best_epoch": result["best_epoch"], "epochs": result["epochs"], "seconds": seconds}
    return found | {"answers": {task: digits(said) for task, said in answers.items()}}


def as_set(datasets: Mapping[str, MELDDataset], setting: str) -> Mapping[str, MELDDataset]:
    """The splits as a setting wants them: without dialogues, or each utterance a dialogue of its own."""
    if setting not in (NONE, ALONE):
        return datasets
    changed = {split: copy.copy(dataset) for split, dataset in datasets.items()}
    for dataset in changed.values():
        dataset.dialogue = np.arange(len(dataset)) if setting == ALONE else None
        dataset.speaker = dataset.speaker if setting == ALONE else None
    return changed


def digits(answers: np.ndarray) -> str:
    """Class numbers (N,) as a string of N digits."""
    return "".join(map(str, answers.tolist()))


def undigits(text: str) -> np.ndarray:
    """The inverse of `digits`."""
    return np.array([int(letter) for letter in text])


def as_digits(outputs: Mapping[str, Tensor]) -> dict[str, str]:
    return {task: digits(p.argmax(axis=1)) for task, p in softmax(outputs).items()}


# --------------------------------------------------------------------------------------- all trainings


def complete(
    part: Part, data: str | Path, seeds: int, settings: Sequence[str], train: Callable[[Preset, str], Found]
) -> None:
    """Make the trainings that are not kept yet; each is kept, and the result written, as soon as it has finished."""
    digest = data_digest(data)
    for seed in range(seeds):
        for setting in settings:
            preset = part.at(setting, seed)
            if kept(part, setting, seed, digest) is not None:
                continue
            found = train(preset, setting)
            found.pop("probabilities", None)
            write_json(place(part, setting, seed), {"data": digest, "preset": plain(preset), **found})
            result = summarize(part, data)
            write_json(RESULTS / f"10_context_{part.name}.json", result)
            row = next(r for r in result["rows"] if (r["setting"], r["seed"]) == (setting, seed))
            print(f"seed {seed}, {setting}: emotion {row['emotion']:.4f}, sentiment {row['sentiment']:.4f}", flush=True)


def place(part: Part, setting: str, seed: int) -> Path:
    """Where a finished training is kept."""
    return RUNS / part.name / f"{setting.replace(',', '').replace(' ', '_')}-{seed}.json"


def plain(preset: Preset) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    return json.loads(json.dumps(asdict(preset)))


def kept(part: Part, setting: str, seed: int, digest: str) -> Found | None:
    """What a training of these data and settings said, None if it has not been made."""
    path = place(part, setting, seed)
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    usual = plain(PRESETS["mini"]) | {"excerpt": 0}  # for what a preset did not have yet when the training was kept
    same = found.get("data") == digest and usual | found["preset"] == plain(part.at(setting, seed))
    return found if same else None


def data_digest(data: str | Path) -> str:
    """Which data: the first 12 digits of the SHA-256 of their list of SHA-256, or of the annotation tables."""
    sums = Path(data) / SUMS_FILE
    files = [sums] if sums.is_file() else list(find_layout(data).csvs.values())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


# -------------------------------------------------------------------------------------------- summary


def summarize(part: Part, data: str | Path) -> dict[str, Any]:
    """Scores of all trainings that are kept, and what each setting gains over those without context, or weights."""
    digest, table = data_digest(data), load_split(data, "test")
    labels = {task: table[task].map({n: i for i, n in enumerate(names)}).to_numpy() for task, names in TASKS.items()}
    found = {s: {i: r for i in range(MOST_SEEDS) if (r := kept(part, s, i, digest))} for s in part.settings}
    common = {k: v for k, v in asdict(part.preset).items() if k != "seed"}
    return {
        "what": part.what,
        "command": f"{COMMAND} {part.name}{part.arguments}",
        "data": digest,
        "n": len(table),
        "preset": common,
        "settings": part.settings,
        "rows": [row(part, s, i, r, labels) for s, runs in found.items() for i, r in runs.items()],
        "gains": {
            base: {
                s: gain(found[base], runs, labels, table["dialogue_id"].to_numpy())
                for s, runs in found.items()
                if s not in (NONE, base) and set(runs) & set(found[base]) and comparable(part, s, base)
            }
            for base in (NONE, ALONE, UNWEIGHTED)
            if base in found
        },
    }


def comparable(part: Part, setting: str, base: str) -> bool:
    """Whether a difference is that of one thing: the class weights where `base` has none, else the turns."""
    one, other = part.at(setting, 0), part.at(base, 0)
    return one.context == other.context if base == UNWEIGHTED else one.class_weights == other.class_weights


def same_words(table: pd.DataFrame) -> dict[str, int]:
    """How many utterances of a split say what another one of it says too, and how many of those differ in emotion."""
    plain_words = table["text"].str.lower().str.replace(r"[^\w\s]", "", regex=True).str.split().str.join(" ")
    lines = table.assign(words=plain_words).query("words != ''").groupby("words")["emotion"].agg(["size", "nunique"])
    repeated = lines[lines["size"] > 1]
    several = repeated[repeated["nunique"] > 1]
    return {"utterances": len(table), "repeated": int(repeated["size"].sum()), "several": int(several["size"].sum())}


def row(part: Part, setting: str, seed: int, found: Found, labels: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """One training: what was set, how long it took, weighted F1 of both tasks."""
    seconds = found["seconds"] if found["seconds"] is None else round(found["seconds"])
    about = {"setting": setting, "seed": seed, "best_epoch": found["best_epoch"], "epochs": found["epochs"]}
    scores = {t: round(weighted_f1(labels[t], undigits(found["answers"][t]), len(TASKS[t])), 4) for t in TASKS}
    kept_too = ("known_chain", "answers") if part.keeps_answers else ("known_chain",)
    rest = {k: found[k] for k in kept_too if k in found}
    return about | {"seconds": seconds} | scores | rest


def gain(
    without: Mapping[int, Found],
    runs: Mapping[int, Found],
    labels: Mapping[str, np.ndarray],
    dialogue: np.ndarray,
) -> dict[str, Any]:
    """Weighted F1 with context minus without, over the seeds that both have: a paired bootstrap of dialogues."""
    seeds = sorted(set(runs) & set(without))
    gains: dict[str, Any] = {"seeds": len(seeds)}
    for task, names in TASKS.items():
        one, two = (np.stack([undigits(r[i]["answers"][task]) for i in seeds]) for r in (without, runs))
        found = paired_bootstrap(labels[task], one, two, len(names), groups=dialogue)
        low, high = found["interval"]
        gains[task] = {"difference": round(found["difference"], 4), "low": round(low, 4), "high": round(high, 4)}
    return gains


def by_share(data: str, runs: Sequence[Path]) -> list[dict[str, Any]]:
    """Weighted F1 of emotion of each run, had another share of its class weights been taken out of the answers."""
    found = [{"share": share, "dev": [], "test": []} for share in SHARES]
    for run in runs:
        preset, model = experiment.load_run(run)
        train = experiment.raw_dataset(preset, experiment.read_table(preset, data, "train"))
        log_weights = class_weights(train.emotion_labels, EMOTIONS, preset.class_weights).log()
        for split in ("dev", "test"):
            table = experiment.read_table(preset, data, split)
            said = experiment.predict_dataset(model, experiment.build_dataset(preset, model, table, FEATURES))
            for row in found:
                logits = with_share(said["emotions"], log_weights, preset.prior_correction, row["share"])
                labels, answers = said["emotion_label"].numpy(), logits.argmax(dim=1).numpy()
                row[split].append(round(weighted_f1(labels, answers, len(EMOTIONS)), 4))
    return found


def with_share(logits: Tensor, log_weights: Tensor, had: float, share: float) -> Tensor:
    """Logits (N, K) of a training that took out the share `had`, as if it had taken out `share`.

    The loss added `had * log_weights` to them; what was learned there is kept, and another share taken out.
    """
    return logits + (had - share) * log_weights


def with_chain(datasets: Mapping[str, MELDDataset], found: Found) -> Found:
    """A training without context, and beside it what it would reach if it knew the chain of feelings."""
    test, p = datasets["test"], found["probabilities"]
    labels = {"emotion": test.emotion_labels, "sentiment": test.sentiment_labels}
    scores = {}
    for name, window in {"all before": (None, 0), "all": (None, None)}.items():
        said = known_chain.sharpened(p["emotion"], p["sentiment"], test.dialogue, test.speaker, window)
        scores[name] = {t: round(weighted_f1(labels[t], said[t], len(TASKS[t])), 4) for t in TASKS}
    return found | {"known_chain": scores}


# -------------------------------------------------------------------------------------------- commands


def embedded(data: Path, seeds: int) -> None:
    part = PARTS["embedded"]
    datasets = load(replace(part.preset, context=1), data, FEATURES)

    def train(preset: Preset, setting: str) -> Found:
        found = in_memory(as_set(datasets, setting), preset)
        return with_chain(datasets, found) if setting == NONE else found

    complete(part, data, seeds, list(part.settings), train)
    result = summarize(part, data)
    result["allowed"] = {"+".join(chosen): what_is_allowed(chosen) for chosen in (MODALITIES, ("video", "audio"))}
    write_json(RESULTS / "10_context_embedded.json", result)


def what_is_allowed(modalities: Sequence[str]) -> dict[str, dict[str, float]]:
    """Weighted F1 of who reads every cue without error and knows the chain, from 1000 simulated dialogues."""
    windows: dict[str, known_chain.Window] = {f"{n} before": (n, 0) for n in (0, 1, 2, 3, 4, 6, 8)}
    windows |= {"all before": (None, 0), "3 before, 3 after": (3, 3), "all": (None, None)}
    scores = known_chain.allowed(modalities, list(windows.values()), dialogues=1000)
    return {n: {t: round(s, 4) for t, s in scores[w].items()} for n, w in windows.items()}


def frozen(data: str, seeds: int) -> None:
    part = PARTS["frozen"]
    datasets = load(replace(part.preset, context=1), Path(data), FEATURES)

    def train(preset: Preset, setting: str) -> Found:
        return in_memory(as_set(datasets, setting), preset)

    complete(part, data, seeds, list(part.settings), train)
    result = summarize(part, data) | {"same_words": same_words(load_split(data, "train"))}
    write_json(RESULTS / "10_context_frozen.json", result)


def words(data: str, seeds: int, settings: Sequence[str]) -> None:
    part = PARTS["words"]

    def train(preset: Preset, setting: str) -> Found:
        return in_run_directory(preset, data, place(part, setting, preset.seed).with_suffix(""))

    complete(part, data, seeds, settings or [WORDS], train)
    made = [place(part, WORDS, i).with_suffix("") for i in range(MOST_SEEDS) if kept(part, WORDS, i, data_digest(data))]
    there = [run for run in made if (about := read_run(run)) and about["finished"]]
    result = summarize(part, data) | {"by_share": by_share(data, there)}
    write_json(RESULTS / "10_context_words.json", result)


def main(arguments: Sequence[str]) -> None:
    name, *rest = arguments or [""]
    if name == "embedded":
        embedded(CHECKOUT / "data" / "mini", int(rest[0]) if rest else 5)
    elif name in ("frozen", "words") and rest:
        data, seeds = rest[0], int(rest[1]) if len(rest) > 1 else 3
        frozen(data, seeds) if name == "frozen" else words(data, seeds, rest[2:])
    else:
        raise DataError(f"{COMMAND} embedded | frozen DIR | words DIR")


if __name__ == "__main__":
    main(sys.argv[1:])
