"""What README says about the library and its results, held against the code and what is stored."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mmsa_lib import evaluation as evaluated
from mmsa_lib.bench import plan, table
from mmsa_lib.course.comparing import weighted_f1
from mmsa_lib.course.experiments import context, evaluation, fusion
from mmsa_lib.course.experiments.own_video import stored as heard
from mmsa_lib.labels import MODALITIES
from mmsa_lib.meld import load_split
from mmsa_lib.metrics import TASKS
from mmsa_lib.presets import PRESETS
from mmsa_lib.trainer import LOGITS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = ROOT / "data" / "mini"


def between(begin: str, end: str) -> str:
    return TEXT.split(begin)[1].split(end)[0].strip()


def test_speed_and_plan_are_those_that_are_stored():
    measured = table.read()
    from mmsa_lib.bench.__main__ import PLANNED

    assert between(table.BEGIN, table.END) == table.to_markdown(measured)
    assert between(plan.BEGIN, plan.END) == plan.to_markdown(measured["rates"], *PLANNED)


ROWS = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in TEXT.splitlines() if re.match(r"\| `\w+`", line)]
PLACE = {name: i for i, names in enumerate(ROWS) for name in names}


class TestModules:
    """The table of modules: each has its row, and imports point downwards."""

    def imports(self, path: Path) -> set[str]:
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "mmsa_lib":
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmsa_lib."):
                found.add(node.module.split(".")[1])
        return {name for name in found if not name.startswith("_")}

    def test_each_has_its_row(self):
        modules = {path.stem for path in (ROOT / "mmsa_lib").glob("*.py") if not path.stem.startswith("_")}
        assert set(PLACE) == modules

    def test_imports_point_downwards(self):
        for name, place in PLACE.items():
            above = {i for i in self.imports(ROOT / "mmsa_lib" / f"{name}.py") if PLACE.get(i, -1) < place}
            assert not above, f"{name} imports {above}"


FUSION = json.loads(fusion.RESULT.read_text(encoding="utf-8"))


class TestStored:
    """Stored results agree with each other, and with the answers they were computed from."""

    def whole(self, seed: int) -> dict:
        wanted = ("+".join(MODALITIES), PRESETS["mini"].modality_dropout, seed)
        (row,) = (r for r in FUSION["rows"] if (r["modalities"], r["modality_dropout"], r["seed"]) == wanted)
        return row

    def test_scores_follow_from_the_stored_answers(self):
        for seed, reading in enumerate(evaluation.readings("smoothed", DATA)):
            for subset, logits in reading.logits.items():
                for task, names in TASKS.items():
                    if subset:
                        found = weighted_f1(reading.labels[task], logits[LOGITS[task]].argmax(axis=1), len(names))
                        assert self.whole(seed)["shown"]["+".join(subset)][task] == pytest.approx(found, abs=1e-4)

    def test_given_words_are_read_as_in_fusion(self):
        for seed, row in enumerate(heard()["emotions"]):
            for task in TASKS:
                assert row["given words"][task] == pytest.approx(self.whole(seed)[task], abs=1e-4)

    def test_readme_has_the_means_and_deviations(self):
        rows = [r for r in FUSION["rows"] if r["modality_dropout"] > 0]
        for subset in fusion.SUBSETS:
            own = [r for r in rows if r["modalities"] == "+".join(subset)]
            cells = []
            for task in TASKS:
                scores = np.array([r[task] for r in own])
                cells.append(f"{scores.mean():.3f} ± {scores.std(ddof=1):.3f}".replace("0.", "."))
            (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {' + '.join(subset)} | ."))
            assert [cell.strip() for cell in line.split("|")][2:5:2] == cells

    @pytest.mark.parametrize("name", context.PARTS)
    def test_context_was_measured_with_todays_settings(self, name):
        part, path = context.PARTS[name], context.RESULTS / f"10_context_{name}.json"
        kept = json.loads(path.read_text(encoding="utf-8"))
        now = context.plain(part.preset) | {"excerpt": part.preset.excerpt}
        assert {k: v for k, v in kept["preset"].items() if now[k] != v} == {}
        assert set(part.settings) == set(kept["settings"])

    def test_context_scores_follow_from_the_stored_answers(self):
        kept = json.loads((context.RESULTS / "10_context_embedded.json").read_text(encoding="utf-8"))
        labels = {t: load_split(DATA, "test")[t].map({n: i for i, n in enumerate(TASKS[t])}).to_numpy() for t in TASKS}
        for row in kept["rows"]:
            for task, names in TASKS.items():
                found = weighted_f1(labels[task], context.undigits(row["answers"][task]), len(names))
                assert row[task] == pytest.approx(found, abs=1e-4)


def cell(what: str) -> str:
    """What README says is `measured` in the row that begins so."""
    (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {what}"))
    return line.split("|")[2].strip()


def short(number: float, decimals: int = 3) -> str:
    return f"{number:.{decimals}f}".removeprefix("0").replace("-0", "−")


def interval(low: float, high: float) -> str:
    return f"[{short(low)}, {short(high)}]"


class TestReadme:
    """Figures in prose and tables are those of the stored results."""

    def test_calibration(self):
        for kind in evaluation.KINDS:
            found = [evaluated.calibrated(r, "emotion") for r in evaluation.readings(kind, DATA)]
            before, after = (np.mean([f[when]["ece"] for f in found]) for when in ("before", "after"))
            assert f"{short(before)} → {short(after)}" in cell("calibration error")

    def test_attribution(self):
        found = evaluated.beside_cues(evaluation.readings("smoothed", DATA)[0])["shapley"]
        said = f"{short(found['pointing'])} {interval(*found['pointing_interval'])}; picked blindly"
        assert cell("the modality of the largest") == f"{said} {short(found['chance'])}"
        said = f"{short(found['rank'])} {interval(*found['rank_interval'])}; a perfect reader's"
        assert cell("rank correlation of").startswith(said)

    def test_own_video(self):
        found = heard()
        words, cuts, speed = found["words"], found["cuts"], found["speed"]
        assert cell("word error rate") == f"{short(words['rate'])} {interval(*words['interval_95'])}"
        assert cell("utterances found") == f"{short(cuts['one_share'])} {interval(*cuts['interval_95'])}"
        ways = ("given words", "heard words", "no words", "video alone")
        given, recognised, none, alone = (short(np.mean([r[w]["emotion"] for r in found["emotions"]])) for w in ways)
        assert cell("emotion, weighted F1, mean of 3 seeds") == f"{given}, {recognised}, {none}; {alone}"
        hour, quarter = speed["hour"], speed["quarter"]
        most = f"{hour['peak_megabytes']:,} MB at most, a quarter of an hour {quarter['peak_megabytes']:,} MB"
        assert cell("an hour of video") == f"{hour['per_minute']:.1f} minutes of it a minute; {most}"

    def test_words_of_other_turns(self):
        kept = json.loads((context.RESULTS / "10_context_words.json").read_text(encoding="utf-8"))
        rows = {
            "the same, MiniLM fine-tuned": context.NONE,
            "the same, it also reads": context.WORDS,
            "that without class weights": context.UNWEIGHTED,
        }
        for begin, setting in rows.items():
            own = [r for r in kept["rows"] if r["setting"] == setting]
            each = f" ({', '.join(short(r['emotion']) for r in own)})" if len(own) > 1 else ""
            assert cell(begin).startswith(short(np.mean([r["emotion"] for r in own])) + each)
            assert cell(begin).endswith(f"sentiment {short(np.mean([r['sentiment'] for r in own]))}")
        for begin, split in {"weighted F1, emotion, dev": "dev", "official test": "test"}.items():
            (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {begin}"))
            assert [c.strip() for c in line.split("|")[2:-1]] == [short(np.mean(r[split])) for r in kept["by_share"]]
        gain = kept["gains"]["none"][context.WORDS]["emotion"]
        assert f"gains {short(gain['difference'])} {interval(gain['low'], gain['high'])} over one that learns" in TEXT
        emotion, sentiment = (kept["gains"][context.UNWEIGHTED][context.WORDS][task] for task in TASKS)
        told = [f"{short(g['difference'])} {interval(g['low'], g['high'])}" for g in (emotion, sentiment)]
        assert f"class weights bring {told[0]}, to sentiment {told[1]}" in " ".join(TEXT.split())
