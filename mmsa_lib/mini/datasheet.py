"""The datasheet of mini-MELD: `README.md`, `ceiling.json` and the contact sheet, from the facts of a build."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from string import Template

from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.mini import tables
from mmsa_lib.mini.build import AUDIO_BITRATE, CRF, FOLDERS, parse_timestamp, read_rows, write_atomically
from mmsa_lib.mini.ceiling import ceilings
from mmsa_lib.mini.dialogue import KEEP_TURN
from mmsa_lib.mini.plan import KINDS, Character, UtterancePlan
from mmsa_lib.mini.script import AMBIGUOUS_SHARE, BUCKETS, read_lines
from mmsa_lib.mini.sheet import write_sheet
from mmsa_lib.mini.tables import CUE_TABLE, FEELINGS, MODALITIES, SPLITS

TEMPLATE = Path(__file__).with_name("datasheet.txt")
SIMULATED_DIALOGUES = 4000


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, first column left and the others right aligned."""
    lines = [" | ".join(header), "|".join([":--"] + ["--:"] * (len(header) - 1))]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" if "--" not in line else f"|{line}|" for line in lines)


def _percent(value: float) -> str:
    return f"{100 * value:.0f}" if value else "·"


def _counts(plans: list[UtterancePlan]) -> str:
    rows = []
    for label, names in (("emotion", EMOTIONS), ("sentiment", SENTIMENTS)):
        tallies = {split: Counter(getattr(p, label) for p in plans if p.split == split) for split in SPLITS}
        for name in names:
            cells = [f"{tallies[s][name]} ({100 * tallies[s][name] / tallies[s].total():.1f} %)" for s in SPLITS]
            rows.append([f"{label}: {name}", *cells])
    return markdown(["", *SPLITS], rows)


def _overview(plans: list[UtterancePlan], folder: Path) -> str:
    rows = []
    for split in SPLITS:
        here = [plan for plan in plans if plan.split == split]
        lengths = [
            parse_timestamp(row["EndTime"]) - parse_timestamp(row["StartTime"]) for row in read_rows(folder, split)
        ]
        clips = [(folder / FOLDERS[split] / plan.clip).stat().st_size for plan in here]
        words = [len(plan.text.split()) for plan in here]
        rows.append(
            [
                split,
                len(here),
                len({plan.dialogue_id for plan in here}),
                len({plan.character.name for plan in here}),
                len({plan.text for plan in here}),
                f"{sum(words) / len(words):.1f}",
                f"{sum(lengths) / len(lengths):.2f}",
                f"{sum(lengths) / 60:.1f}",
                f"{sum(clips) / 1e6:.1f}",
            ]
        )
    header = "split, utterances, dialogues, speakers, distinct lines, words a line, seconds a clip, minutes, MB"
    return markdown(header.split(", "), rows)


def _cue_table(modality: str) -> str:
    rows = [[feeling, *map(_percent, CUE_TABLE[modality][feeling])] for feeling in FEELINGS]
    return markdown([f"{modality}, %", *KINDS], rows)


def _matrix(name: str, matrix: Iterable[Sequence[float]]) -> str:
    rows = [[feeling, *map(_percent, row)] for feeling, row in zip(FEELINGS, matrix, strict=True)]
    return markdown([name, *FEELINGS], rows)


def _ceiling_table(scores: dict[str, dict]) -> str:
    rows = []
    for subset, kinds in scores.items():
        row = [subset.replace("+", " + ")]
        for kind in ("without_context", "with_context"):
            for task in ("emotion", "sentiment"):
                row += [f"{kinds[kind][task][score]:.3f}" for score in ("accuracy", "weighted_f1")]
        rows.append(row)
    header = ["", *(f"{t} {s}" for t in ("emotion", "sentiment") for s in ("accuracy", "weighted F1"))]
    header += [f"{name}, whole dialogue" for name in header[1:]]
    return markdown(header, rows)


def _errors(scores: dict[str, dict]) -> list[float]:
    return [task["standard_error"] for kinds in scores.values() for task in kinds["with_context"].values()]


def _speakers(plans: list[UtterancePlan]) -> str:
    rows, seen = [], Counter((plan.split, plan.character) for plan in plans)
    for (split, person), number in seen.items():
        rows.append([person.name, split, person.sex, person.age, person.espeak_voice, _looks(person), number])
    rows.sort(key=lambda row: (SPLITS.index(row[1]), row[0]))
    return markdown(["speaker", "split", "sex", "age", "voice", "looks", "utterances"], rows)


def _looks(person: Character) -> str:
    beard = "" if person.beard == "none" else f", {person.beard}" + (" beard" if person.beard == "full" else "")
    return f"{person.face_shape} face, {person.hair_style} hair" + (", glasses" if person.glasses else "") + beard


def datasheet(folder: Path, plans: list[UtterancePlan], seed: int, scores: dict[str, dict]) -> str:
    """The text of `README.md`."""
    lines = read_lines()
    facts = {
        "seed": seed,
        "utterances": len(plans),
        "overview": _overview(plans, folder),
        "counts": _counts(plans),
        "lines": len(lines),
        "used_lines": len({plan.text for plan in plans}),
        "ambiguous": sum(line.shows == "ambiguous" for line in lines),
        "sarcastic": sum(line.sarcasm for line in lines),
        "ambiguous_share": _percent(AMBIGUOUS_SHARE),
        "buckets": ", ".join(f"{low}-{high} words {_percent(share)} %" for low, high, share in BUCKETS),
        "cue_tables": "\n\n".join(_cue_table(modality) for modality in MODALITIES),
        "strong_emotional": _percent(tables.STRONG_WHEN_MISLEADING["emotional"]),
        "strong_neutral": _percent(tables.STRONG_WHEN_MISLEADING["neutral"]),
        "text_misleads": _matrix("text, %", tables.MISLEADS["text"]),
        "face_misleads": _matrix("video and audio, %", tables.MISLEADS["video"]),
        "strengths": ", ".join(f"{name} Beta{beta}" for name, beta in tables.STRENGTH_BETA.items()),
        "inertia": _percent(tables.INERTIA),
        "contagion": _percent(tables.CONTAGION),
        "keep_turn": _percent(KEEP_TURN),
        "contagion_table": _matrix("answers to, %", tables.contagion_table()),
        "ceilings": _ceiling_table(scores),
        "simulated": SIMULATED_DIALOGUES,
        "error": f"{ceil(1000 * max(_errors(scores))) / 1000:.3f}",
        "speakers": _speakers(plans),
        "people": len({plan.character for plan in plans}),
        "crf": CRF,
        "bitrate": AUDIO_BITRATE // 1000,
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(facts)


def write_datasheet(folder: Path, plans: list[UtterancePlan], seed: int) -> None:
    """Write `ceiling.json`, `sheet.png` and `README.md` of a complete build in `folder`."""
    scores = ceilings(SIMULATED_DIALOGUES, seed)
    write_atomically(folder / "ceiling.json", (json.dumps(scores, indent=1) + "\n").encode())
    write_sheet(folder / "sheet.png", folder, plans)
    write_atomically(folder / "README.md", datasheet(folder, plans, seed, scores).encode())
