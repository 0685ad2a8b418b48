"""All that is asked about a trained run on one split, as numbers: `read_run`, then `assess`. Derived in notebooks/08.

`mmsa_lib.report` writes the same as a page with pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mmsa_lib import attribution, calibration, consistency, experiment, metrics, subgroups
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.meld import find_layout, load_split
from mmsa_lib.metrics import TASKS
from mmsa_lib.presets import Preset
from mmsa_lib.runs import load_run
from mmsa_lib.trainer import LOGITS

DRAWS = 1000
NAMES = {"emotion": np.array(EMOTIONS), "sentiment": np.array(SENTIMENTS)}
Labels = dict[str, np.ndarray]


@dataclass
class Reading:
    """What a run said about every utterance of a split.

    `labels` {task: (N,)}; `logits` {set of modalities: {"emotions": (N, 7), "sentiments": (N, 3)}}; of dev, where
    there is one, `dev_labels` and `dev_logits` (N', …) of all modalities; `train_labels` where they can be read.
    """

    name: str
    split: str
    table: pd.DataFrame
    labels: Labels
    logits: dict[attribution.Subset, dict[str, np.ndarray]]
    dev_labels: Labels | None = None
    dev_logits: dict[str, np.ndarray] | None = None
    train_labels: Labels | None = None
    cues: pd.DataFrame | None = None
    ceiling: dict | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def modalities(self) -> attribution.Subset:
        return max(self.logits, key=len)

    def probabilities(self, task: str, temperature: float = 1.0) -> np.ndarray:
        """(N, K) of all modalities together."""
        return calibration.scale(self.logits[self.modalities][LOGITS[task]], temperature)

    def answers(self, task: str) -> np.ndarray:
        """(N,) the class that all modalities together make likeliest."""
        return self.logits[self.modalities][LOGITS[task]].argmax(axis=1)


def read_run(
    run_dir: str | Path, data: str | Path, split: str, features: str | Path, *, num_workers: int = 2
) -> Reading:
    """Ask a run about every utterance of a split, once with every set of its modalities.

    The dev split of the same data is read too, for the temperature, unless it is the one that is tested.
    """
    preset, model = load_run(run_dir)

    def dataset_of(name: str):
        table = experiment.read_table(preset, data, name)
        return experiment.build_dataset(preset, model, table, features, num_workers=num_workers)

    dataset = dataset_of(split)
    reading = Reading(
        name=Path(run_dir).resolve().name,
        split=split,
        table=dataset.table,
        labels=labels_of(dataset),
        logits=attribution.subset_logits(model, dataset),
        cues=attribution.known_cues(data, dataset.table),
        ceiling=experiment.known_ceiling(data, model.modalities) if split == "test" else None,
        left_out=dict(dataset.features.errors),
    )
    splits = find_layout(data).csvs
    dev = dataset_of("dev") if split != "dev" and _can_be_read(preset, data, "dev") else None
    if dev is not None:
        reading.dev_labels = labels_of(dev)
        reading.dev_logits = attribution.subset_logits(model, dev, [model.modalities])[model.modalities]
    if "train" in splits:
        reading.train_labels = labels_of(experiment.raw_dataset(preset, load_split(data, "train")))
    return reading


def _can_be_read(preset: Preset, data: str | Path, split: str) -> bool:
    """Whether a split is there, and not without the clips that the model needs."""
    if split not in find_layout(data).csvs:
        return False
    table = load_split(data, split)
    return len(table) > 0 and not experiment.lacks_clips(preset, table)


def labels_of(dataset) -> Labels:
    return {"emotion": dataset.emotion_labels, "sentiment": dataset.sentiment_labels}


# ------------------------------------------------------------------------------------------- numbers


def assess(reading: Reading, others: Sequence[Reading] = (), mistakes: int = 12) -> dict:
    """Everything about a reading that can be written as JSON; `others` are runs to compare it with."""
    return {
        "run": reading.name,
        "split": reading.split,
        "modalities": list(reading.modalities),
        "left_out": reading.left_out,
        "ceiling": reading.ceiling,
        **scores(reading),
        "calibration": {task: calibrated(reading, task) for task in TASKS},
        "contributions": {task: contributions(reading, task) for task in TASKS},
        "cues": beside_cues(reading),
        "consistency": heads(reading),
        "groups": {name: grouped(reading, groups) for name, groups in subgroups.groupings(reading.table).items()},
        "comparison": comparison(reading, others),
        "mistakes": [int(i) for i in confident_mistakes(reading, mistakes)],
    }


def scores(reading: Reading) -> dict:
    """`mmsa_lib.metrics.report`, with intervals for each class: {"n", "emotion": {…}, "sentiment": {…}}."""
    found = metrics.report(reading.labels, {task: reading.answers(task) for task in TASKS}, reading.train_labels)
    for task, names in TASKS.items():
        intervals = metrics.class_intervals(reading.labels[task], reading.answers(task), names)
        for name, row in found[task]["per_class"].items():
            row |= {f"{score}_interval": ends for score, ends in intervals[name].items()}
    return found


def calibrated(reading: Reading, task: str) -> dict:
    """Calibration on the split before and after temperature scaling; `after` is None where no dev split is known."""
    found = {"before": _calibration(reading, task, 1.0), "temperature": None, "after": None, "fitted_on": 0}
    if reading.dev_logits is not None:
        labels = reading.dev_labels[task]
        temperature = calibration.fit_temperature(reading.dev_logits[LOGITS[task]], labels)
        found |= {
            "temperature": temperature,
            "fitted_on": len(labels),
            "after": _calibration(reading, task, temperature),
        }
    return found


def _calibration(reading: Reading, task: str, temperature: float) -> dict:
    p, labels = reading.probabilities(task, temperature), reading.labels[task]
    weights = metrics.resampling_weights(len(labels), DRAWS)
    return {
        "ece": calibration.expected_calibration_error(p, labels),
        "ece_interval": calibration.calibration_interval(p, labels, weights),
        "floor": calibration.calibration_floor(p),
        "confidence": float(calibration.confidence(p)[1].mean()),
        "accuracy": float((reading.answers(task) == labels).mean()),
        "negative_log_likelihood": calibration.negative_log_likelihood(p, labels),
        "brier": calibration.brier_score(p, labels),
    }


def contributions(reading: Reading, task: str, metric: str = "weighted_f1") -> dict:
    """The score of every set of modalities, and what each adds to it: alone, by removal, by Shapley.

    The empty set is worth what always answering the commonest class is worth. Intervals are of one bootstrap for
    all, so they are paired.
    """
    labels, k = reading.labels[task], len(TASKS[task])
    weights = metrics.resampling_weights(len(labels), DRAWS)
    weights = np.vstack([np.ones_like(weights[:1]), weights])  # row 0: every utterance once
    seen = labels if reading.train_labels is None else reading.train_labels[task]
    answers = {s: logits[LOGITS[task]].argmax(axis=1) for s, logits in reading.logits.items()}
    answers[()] = np.full_like(labels, np.bincount(seen, minlength=k).argmax())
    values = {s: metrics.resampled_scores(labels, a, k, weights)[metric] for s, a in answers.items()}
    ways = {"alone": attribution.alone, "removal": attribution.removal, "shapley": attribution.shapley}
    found = {way: {m: with_interval(v) for m, v in method(values).items()} for way, method in ways.items()}
    return {"metric": metric, "sets": {"+".join(s): with_interval(v) for s, v in values.items()}, **found}


def with_interval(draws: np.ndarray) -> dict[str, float]:
    """Row 0 is the value, the others are its resamples: value and ends of its 95 % interval."""
    low, high = metrics.interval(draws[1:])
    return {"value": float(draws[0]), "low": low, "high": high}


def clip_values(reading: Reading, task: str, classes: np.ndarray) -> dict[attribution.Subset, np.ndarray]:
    """The probability (N,) that every set of modalities gives to one class an utterance (N,).

    For () it is the class's share of the training labels where they are known, else what the model says when told
    that nothing is there.
    """
    probabilities = {s: calibration.scale(logits[LOGITS[task]]) for s, logits in reading.logits.items()}
    values = attribution.of_answer(probabilities, classes)
    if reading.train_labels is not None:
        counts = np.bincount(reading.train_labels[task], minlength=len(TASKS[task]))
        values[()] = (counts / counts.sum())[classes]
    return values


def beside_cues(reading: Reading) -> dict | None:
    """Attributions of single clips beside the cues that are known of made data: by Shapley and by removal."""
    if reading.cues is None or len(reading.modalities) < 2:
        return None
    answers, truth = reading.answers("emotion"), reading.labels["emotion"]
    given, true = (clip_values(reading, "emotion", classes) for classes in (answers, truth))
    ways = {"shapley": attribution.shapley, "removal": attribution.removal}
    return {
        way: attribution.compare_with_cues(method(given), method(true), reading.cues, NAMES["emotion"][answers])
        for way, method in ways.items()
    }


# ------------------------------------------------------------------------------------------ two heads


def decoded(reading: Reading) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Both answers (N,), (N,) by each way to make the heads agree; the first is to leave them as they are."""
    emotion, sentiment = (reading.probabilities(task) for task in TASKS)
    ways = {
        "as they are": (emotion.argmax(axis=1), sentiment.argmax(axis=1)),
        "sentiment follows emotion": (
            emotion.argmax(axis=1),
            consistency.from_emotion(emotion.argmax(axis=1), sentiment),
        ),
        "best allowed pair": consistency.decode(consistency.joint_probabilities(emotion, sentiment)),
    }
    if reading.train_labels is not None:
        counts = consistency.pair_counts(reading.train_labels["emotion"], reading.train_labels["sentiment"])
        joint = consistency.joint_probabilities(emotion, sentiment, pair_shares=counts / counts.sum())
        ways["best allowed pair, prior once"] = consistency.decode(joint)
    return ways


def heads(reading: Reading) -> dict:
    """How often the heads contradict each other, and what each way to make them agree does to the scores."""
    ways = decoded(reading)
    labels = [reading.labels[task] for task in TASKS]
    plain = ways["as they are"]
    rows = []
    for name, pair in ways.items():
        row = {"way": name, "contradictions": float(consistency.contradictions(*pair).mean())}
        row["both_right"] = float(((pair[0] == labels[0]) & (pair[1] == labels[1])).mean())
        for task, truth, before, after in zip(TASKS, labels, plain, pair, strict=True):
            paired = metrics.paired_bootstrap(truth, before, after, len(TASKS[task]), resamples=DRAWS)
            row[task] = _without_draws(paired)
        rows.append(row)
    return {
        "labels_contradict": int(consistency.contradictions(*labels).sum()),
        "contradictions": int(consistency.contradictions(*plain).sum()),
        "pairs": consistency.pair_counts(*plain).tolist(),
        "ways": rows,
    }


def _without_draws(paired: Mapping) -> dict:
    return {key: value for key, value in paired.items() if key != "draws"}


# ------------------------------------------------------------------------------- groups, other runs, mistakes


def grouped(reading: Reading, groups) -> dict:
    """Accuracy of emotion by group, with a sentence on what of it is noise."""
    found = subgroups.by_group(reading.labels["emotion"], reading.answers("emotion"), groups)
    return found | {"words": subgroups.noise_words(found)}


def comparison(reading: Reading, others: Sequence[Reading]) -> dict | None:
    """This run against others on the same utterances, and the spread of all of them; None without others."""
    if not others:
        return None
    found: dict = {"runs": [], "spread": {}}
    for other in others:
        _check_same(reading, other)
        row: dict = {"run": other.name}
        for task, names in TASKS.items():
            answers = other.answers(task), reading.answers(task)
            row[task] = _without_draws(metrics.paired_bootstrap(reading.labels[task], *answers, len(names)))
        found["runs"].append(row)
    for task in TASKS:
        values = [found["runs"][0][task]["second"], *(row[task]["first"] for row in found["runs"])]
        found["spread"][task] = metrics.over_seeds(values)
    return found


def _check_same(reading: Reading, other: Reading) -> None:
    if any(not np.array_equal(reading.labels[task], other.labels[task]) for task in TASKS):
        raise DataError(f"{other.name}: was asked about other utterances than {reading.name}")


def confident_mistakes(reading: Reading, count: int = 12, task: str = "emotion") -> np.ndarray:
    """Indices of the wrong answers that the model is surest of, the surest first."""
    wrong = np.flatnonzero(reading.answers(task) != reading.labels[task])
    sureness = reading.probabilities(task).max(axis=1)[wrong]
    return wrong[np.argsort(-sureness, kind="stable")][:count]
