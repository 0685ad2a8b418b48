"""What the real MELD's annotation tables look like, as counts: for lesson 01, where they are not at hand.

`python -m mmsa_lib.course.experiments.data_exploration data/meld` needs the three tables alone. It writes
`results/01_meld.json`, which holds counts and shares, and not a word or a name of MELD.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS
from mmsa_lib.meld import SPLITS, find_layout, load_meld
from mmsa_lib.metrics import confusion_scores

RESULT = Path(__file__).resolve().parents[1] / "results" / "01_meld.json"
MAIN = 6  # speakers who say most


def emotion_flow(table: pd.DataFrame, own: bool = True) -> np.ndarray:
    """Counts (7, 7) of an emotion (row) and the one that follows it (column), dialogue by dialogue.

    With `own` the pairs are a speaker's successive utterances; without, an utterance and the one right after
    it where somebody else speaks. Derived in notebooks/01.
    """
    keys = ["dialogue_id", "speaker"] if own else ["dialogue_id"]
    before = table.groupby(keys, sort=False)[["speaker", "emotion"]].shift()
    kept = before["emotion"].notna() & ((before["speaker"] != table["speaker"]) | own)
    pairs = (before["emotion"][kept].map(EMOTIONS.index), table["emotion"][kept].map(EMOTIONS.index))
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=int)
    np.add.at(counts, tuple(side.to_numpy(dtype=int) for side in pairs), 1)
    return counts


def histogram(values: pd.Series, edges: np.ndarray) -> list[int]:
    """Counts between the edges; what lies beyond the last is counted in the last bin."""
    return np.histogram(values.clip(upper=edges[-1] - 1e-9), edges)[0].tolist()


def plain(text: pd.Series) -> pd.Series:
    """A line without what does not count when two lines are compared: case and white space around."""
    return text.str.lower().str.strip()


def paired_scores(
    labels: Sequence[str], right: Sequence[np.ndarray], wrong: Sequence[np.ndarray], groups: Sequence[str]
) -> tuple[float, float, float]:
    """Weighted F1 of two ways to answer, and half the 95 % interval of their difference.

    Args:
        labels: (N,) emotions; `right` and `wrong` hold answers (N,) for each of several seeds.
        groups: (N,) what belongs together; the bootstrap (1,000 draws) draws whole groups.
    """
    names, member = np.unique(groups, return_inverse=True)
    codes = {name: i for i, name in enumerate(EMOTIONS)}
    truth = np.array([codes[label] for label in labels])
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=1000)
    weights = np.concatenate([np.ones((1, len(names)), dtype=int), draws])
    scores = []
    for answers in (right, wrong):
        tally = np.zeros((len(names), len(EMOTIONS), len(EMOTIONS)), dtype=int)
        for answer in answers:
            np.add.at(tally, (member, truth, np.array([codes[a] for a in answer])), 1)
        summed = (weights @ tally.reshape(len(names), -1)).reshape(-1, *tally.shape[1:])
        scores.append(confusion_scores(summed)["weighted_f1"])
    low, high = np.quantile(scores[1][1:] - scores[0][1:], [0.025, 0.975])
    return float(scores[0][0]), float(scores[1][0]), float(high - low) / 2


def measure(root: str | Path) -> dict:
    """All counts of the three splits under `root`."""
    tables = load_meld(root)
    missing = [split for split in SPLITS if split not in tables]
    if missing:
        raise DataError(f"{root}: no table of the split {missing[0]}; the counts need all three")
    train = tables["train"]
    main = train["speaker"].value_counts().index[:MAIN]
    lines = set(plain(train["text"]))
    words = {split: table["text"].str.split().str.len() for split, table in tables.items()}
    return {
        "what": "MELD, official annotation tables: counts and shares",
        "command": "python -m mmsa_lib.course.experiments.data_exploration data/meld",
        "emotions": {s: t["emotion"].value_counts()[list(EMOTIONS)].tolist() for s, t in tables.items()},
        "dialogues": {s: int(t["dialogue_id"].nunique()) for s, t in tables.items()},
        "flow_own": emotion_flow(train, own=True).tolist(),
        "flow_other": emotion_flow(train, own=False).tolist(),
        "words": histogram(words["train"], np.arange(0, 31)),
        "words_by_emotion": words["train"].groupby(train["emotion"], observed=False).mean().round(3).tolist(),
        "seconds": histogram((train["end"] - train["start"]).dropna(), np.arange(0, 10.5, 0.5)),
        "share_of_main_speakers": {s: round(float(t["speaker"].isin(main).mean()), 4) for s, t in tables.items()},
        "lines_also_in_train": {s: round(float(plain(tables[s]["text"]).isin(lines).mean()), 4) for s in SPLITS[1:]},
        "one_digit_hours": one_digit_hours(root),
    }


def one_digit_hours(root: str | Path) -> int:
    """Rows of all splits in which a time is written with one digit for the hour."""
    raw = pd.concat([pd.read_csv(path, encoding_errors="replace") for path in find_layout(root).csvs.values()])
    return int((raw["StartTime"].str.match(r"\d:") | raw["EndTime"].str.match(r"\d:")).sum())


def main(arguments: list[str]) -> None:
    result = measure(arguments[0] if arguments else "data/meld")
    temporary = RESULT.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=None).replace("], ", "],\n ") + "\n", encoding="utf-8")
    os.replace(temporary, RESULT)
    print(f"{RESULT.name}: {sum(map(sum, result['emotions'].values())):,} utterances counted")


if __name__ == "__main__":
    main(sys.argv[1:])
