"""How many dialogues it takes to learn what the turns before are worth: scores for lesson 10.

`python -m mmsa_lib.course.experiments.turns [SEEDS]` writes `results/10_context_simulated.json`, in about ten minutes
on one core. Everything is simulated (`mmsa_lib.course.simulated`): face and voice are read without error, the words
are not known. It is written after each seed.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmsa_lib.course.known_chain import Window
from mmsa_lib.course.simulated import Reader, World, mixed, perfect_answers, silenced, teach, world
from mmsa_lib.metrics import paired_bootstrap
from mmsa_lib.runs import write_json

RESULT = Path(__file__).resolve().parents[1] / "results" / "10_context_simulated.json"
COMMAND = "python -m mmsa_lib.course.experiments.turns"
SHOWN = ("video", "audio")
DIALOGUES = (76, 300, 1038, 4000)  # the first is that of the embedded training split, the third that of MELD's
DEV, TEST = 200, 1000
STRANGERS = "3 strangers"  # rows are shuffled before windows are cut
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "3 before": {"past": 3},
    "3 before, GRU": {"past": 3, "reader": "gru"},
    "3 before, 3 after": {"past": 3, "future": 3},
    STRANGERS: {"past": 3},
}
WINDOWS: dict[str, Window] = {"none": (0, 0), "3 before": (3, 0), "3 before, 3 after": (3, 3)}
EVERY = 5  # every fifth turn of a second test shows nothing


def stored(part: str) -> dict[str, Any] | None:
    """What a command of lesson 10 has written: of `embedded`, `frozen`, `words` or `simulated`, None if it has not."""
    path = RESULT.with_name(f"10_context_{part}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def score_table(parts: Mapping[str, Mapping[str, Any] | None]) -> pd.DataFrame:
    """Weighted F1 of stored trainings by encoder and setting: mean, least and most; parts not stored are left out."""
    rows = [row | {"encoder": name} for name, part in parts.items() if part for row in part["rows"]]
    by_setting = pd.DataFrame(rows).groupby(["encoder", "setting"], sort=False)
    table = by_setting[["emotion", "sentiment"]].agg(["mean", "min", "max"])
    table.columns = [" ".join(names) for names in table.columns]
    return table.assign(seeds=by_setting.size())


def gains_of(*compared: tuple[Mapping[str, Any] | None, str]) -> dict[str, dict[str, dict[str, float]]]:
    """Stored gains in emotion of (part, compared with): title -> {setting: gain}; what is not stored is left out."""
    return {
        f"{_title(part['what'])}, against {base}": {s: g["emotion"] for s, g in part["gains"][base].items()}
        for part, base in compared
        if part and part["gains"].get(base)
    }


def _title(what: str) -> str:
    """Which data, and whether the encoder learned with the rest."""
    return what.partition(",")[0] + (", fine-tuned" if "fine-tuned" in what else "")


def possible_gains(embedded: Mapping[str, Any]) -> dict[str, float]:
    """What a reader without error would gain in emotion with the turns of each stored setting of the embedded data."""
    scores = {window: f1["emotion"] for window, f1 in embedded["allowed"]["text+video+audio"].items()}
    named = {s: s if s in scores else s.rpartition(", ")[0] for s in embedded["settings"]}  # "3 before, GRU": 3 before
    return {s: scores[window] - scores["0 before"] for s, window in named.items() if window in scores}


def verdict(gain: Mapping[str, float]) -> str:
    """What a difference with its 95 % interval lets one say."""
    low, high = gain["low"], gain["high"]
    words = "a gain beyond noise" if low > 0 else "a loss beyond noise" if high < 0 else "no difference beyond noise"
    return f"{words}, {gain['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def joint_spread(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Half of the 95 % interval of the difference of two gains, as if they were independent."""
    return float(np.hypot(first["high"] - first["low"], second["high"] - second["low"]) / 2)


def silent_rows(of: World) -> torch.Tensor:
    return torch.arange(len(of)) % EVERY == EVERY - 1


def taught(setting: str, dialogues: int, seed: int, tests: Mapping[str, World]) -> dict[str, np.ndarray]:
    """One training, and its answers (N,) on every test."""
    lessons, dev = world(SHOWN, dialogues, seed=100 + seed), world(SHOWN, DEV, seed=200 + seed)
    if setting == STRANGERS:
        (lessons, _), (dev, _) = mixed(lessons), mixed(dev)
    torch.manual_seed(seed)
    reader = teach(Reader(lessons.shown.shape[1], **SETTINGS[setting]), lessons, dev, seed=seed)
    return {name: answers(reader, test, setting == STRANGERS) for name, test in tests.items()}


def answers(reader: Reader, test: World, among_strangers: bool) -> np.ndarray:
    """What a reader says of each turn of a test, in the order of the test."""
    if not among_strangers:
        return reader.answers(test)
    shuffled, order = mixed(test)
    said = np.empty(len(test), dtype=int)
    said[order] = reader.answers(shuffled)
    return said


def scored(said: Mapping[str, np.ndarray], labels: np.ndarray, dialogue: np.ndarray) -> dict[str, dict[str, float]]:
    """Setting -> weighted F1 of its answers (S, N), and the gain over "none": a paired bootstrap of dialogues."""
    scores = {}
    for setting, own in said.items():
        found = paired_bootstrap(labels, said["none"], own, 7, groups=dialogue, resamples=1000)
        low, high = found["interval"]
        values = {"emotion": found["second"], "gain": found["difference"], "low": low, "high": high}
        scores[setting] = {name: round(value, 4) for name, value in values.items()}
    return scores


def result_of(found: Mapping[tuple[str, int], Sequence[Mapping[str, np.ndarray]]], tests: Mapping[str, World]) -> dict:
    """All scores: of what was taught, by number of dialogues, and of who knows the tables, on both tests."""
    whole = tests["all shown"]
    rows = {"all shown": np.ones(len(whole), dtype=bool), "silent turns": silent_rows(whole).numpy()}
    result: dict[str, Any] = {
        "what": f"simulated dialogues, {' and '.join(SHOWN)} read without error, {TEST} test dialogues",
        "command": COMMAND,
        "seeds": min(map(len, found.values())),
        "utterances": {name: int(asked.sum()) for name, asked in rows.items()},
    }
    for name, asked in rows.items():
        about = whole.emotion.numpy()[asked], whole.dialogue.numpy()[asked]
        known = {w: perfect_answers(tests[name], window)[None, asked] for w, window in WINDOWS.items()}
        learned = {n: {s: np.stack([run[name][asked] for run in found[s, n]]) for s in SETTINGS} for n in DIALOGUES}
        result[name] = {"allowed": scored(known, *about)}
        result[name]["learned"] = {str(n): scored(said, *about) for n, said in learned.items()}
    return result


def main(arguments: Sequence[str]) -> None:
    test = world(SHOWN, TEST, seed=0)
    tests = {"all shown": test, "silent turns": silenced(test, silent_rows(test))}
    found: dict[tuple[str, int], list] = {}
    for seed in range(int(arguments[0]) if arguments else 3):
        for number in DIALOGUES:
            for setting in SETTINGS:
                found.setdefault((setting, number), []).append(taught(setting, number, seed, tests))
        write_json(RESULT, result_of(found, tests))
        print(f"seed {seed} is done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
