"""What the real MELD's annotation tables look like, as counts: for lesson 01, where they are not at hand.

`python -m mmsa_lib.course.experiments.data_exploration data/meld` needs the three tables alone. It writes
`results/01_meld.json`, which holds counts and shares, and not a word or a name of MELD.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

from mmsa_lib.course.probes import paired_scores
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTION_INDEX, EMOTIONS
from mmsa_lib.meld import SPLITS, find_layout, load_meld

RESULT = Path(__file__).resolve().parents[1] / "results" / "01_meld.json"
MAIN = 6  # speakers who say most


def predecessors(table: pd.DataFrame, own: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of utterances in a dialogue, as row numbers (P,) of the earlier and (P,) of the later one.

    With `own` the pairs are a speaker's successive utterances; without, an utterance and the one right after
    it where somebody else speaks.
    """
    rows = pd.DataFrame({"row": np.arange(len(table)), "speaker": table["speaker"].to_numpy()})
    keys = [table[key].to_numpy() for key in (["dialogue_id", "speaker"] if own else ["dialogue_id"])]
    before = rows.groupby(keys, sort=False).shift()
    kept = (before["row"].notna() & ((before["speaker"] != rows["speaker"]) | own)).to_numpy()
    return before["row"][kept].to_numpy(dtype=int), np.flatnonzero(kept)


def emotion_flow(table: pd.DataFrame, own: bool = True) -> np.ndarray:
    """Counts (7, 7) of an emotion (row) and the one that follows it (column) in pairs of `predecessors`.

    Derived in notebooks/01.
    """
    labels = table["emotion"].map(EMOTION_INDEX).to_numpy(dtype=int)
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=int)
    np.add.at(counts, tuple(labels[side] for side in predecessors(table, own)), 1)
    return counts


def histogram(values: pd.Series, edges: np.ndarray) -> list[int]:
    """Counts between the edges; what lies beyond the last is counted in the last bin."""
    return np.histogram(values.clip(upper=edges[-1] - 1e-9), edges)[0].tolist()


def plain(text: pd.Series) -> pd.Series:
    """A line without what does not count when two lines are compared: case and white space around."""
    return text.str.lower().str.strip()


def split_both_ways(
    model: BaseEstimator, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, seeds: int = 3
) -> tuple[float, float, float]:
    """Weighted F1 of five-fold answers with groups kept apart and with single rows dealt out; see `paired_scores`.

    The interval of their difference draws whole groups, whose rows stand and fall together.
    """
    answers = []
    for folds, together in ((GroupKFold, groups), (KFold, None)):
        cuts = [folds(5, shuffle=True, random_state=seed).split(x, groups=together) for seed in range(seeds)]
        answers.append([cross_val_predict(model, x, labels, cv=[*cut]) for cut in cuts])
    return paired_scores(labels, *answers, groups)


def counts(root: str | Path | None) -> dict:
    """All counts of MELD: measured on the tables under `root`, or, where there are none, those stored."""
    return json.loads(RESULT.read_text(encoding="utf-8")) if root is None else measure(root)


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
