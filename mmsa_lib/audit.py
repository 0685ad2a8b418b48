"""The health of a data set: every clip is opened and decoded, everything odd is counted and named."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mmsa_lib.checksums import read_sums, relative
from mmsa_lib.errors import DataError
from mmsa_lib.files import digest
from mmsa_lib.media import check_clip
from mmsa_lib.meld import CLIP_SUFFIXES, Layout, find_layout, load_split
from mmsa_lib.workers import Failure, run_guarded

# What can be wrong, in the order of the report.
PROBLEMS: dict[str, str] = {
    "missing": "rows without a clip",
    "damaged": "clips that cannot be read, or that crash or hang the decoder",
    "partly_damaged": "clips of which a part is lost",
    "no_picture": "clips without a picture",
    "no_sound": "clips without a sound",
    "silent": "clips whose sound is all silence (below -60 dB)",
    "too_short": "clips of less than a tenth of a second",
    "over_long": "clips so long that only their start is used",
    "mismatched": "clips that differ from the times of their row by more than a second",
    "same_file": "clips that are another utterance's, byte for byte",
    "changed": "tables and clips that are not, or no longer, what SHA256SUMS says",
    "extra": "clips without a row",
    "twin": "second versions of test clips (final_videos_test...), which are not used",
}
_WORDS = {
    "rows": "utterances in the table",
    "usable": "clips that training can use; it has only the text of the others",
    "hours": "of usable clips",
}
LONGEST = 60.0  # seconds of a clip that preprocessing looks at
SHORTEST = 0.1
SILENCE = 1e-3
MISMATCH = 1.0  # seconds
_LOST = 0.25  # seconds by which a clip may end before its headers say
_UNEVEN = 0.5  # seconds by which picture and sound may differ

_TWIN = re.compile(r"final_videos_test(dia[0-9]{1,9}_utt[0-9]{1,9})\.mp4", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about one utterance or file; `detail` says how much."""

    split: str
    problem: str
    clip: str
    detail: str = ""


@dataclass
class Audit:
    """What was found.

    `lengths` has a row a usable clip: split, clip, row_seconds (NaN if unknown), clip_seconds. `sums` has the SHA-256
    of every table and clip, by name as seen from `root`; `compared` tells whether there was a list to compare it with.
    """

    root: Path
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    lengths: pd.DataFrame = field(default_factory=pd.DataFrame)
    sums: dict[str, str] = field(default_factory=dict)
    compared: bool = False
    seconds: float = 0.0

    def to_json(self) -> dict:
        """Counts by split, and every finding."""
        problems = {split: self.counts(split) for split in self.splits}
        return {
            "root": str(self.root),
            "seconds": round(self.seconds, 1),
            "compared": self.compared,
            "splits": {split: found | {"problems": problems[split]} for split, found in self.splits.items()},
            "findings": [asdict(finding) for finding in self.findings],
        }

    def counts(self, split: str) -> dict[str, int]:
        """How often each problem occurs in a split."""
        found = Counter(finding.problem for finding in self.findings if finding.split == split)
        return {problem: found[problem] for problem in PROBLEMS}


@dataclass
class _File:
    """A file to be opened: the clip of a row, or one that no row asks for."""

    split: str
    path: Path
    kind: str = "clip"  # or extra, twin
    row_seconds: float = float("nan")


def audit(
    root: str | os.PathLike,
    *,
    num_workers: int = 2,
    seconds_per_clip: float = 120.0,
    longest: float = LONGEST,
    progress: bool = True,
    check: Callable[[Path], dict] | None = None,
) -> Audit:
    """Open every clip of a data set in worker processes.

    A clip that crashes its process, or takes longer than `seconds_per_clip`, is reported as damaged and the rest
    goes on. `check` replaces `check_file`. Where the folder has a `SHA256SUMS` (see `mmsa_lib.checksums`), files
    that differ from it are reported, also those whose damage nothing else would tell. Raises DataError if there is
    no annotation table at all; a table that cannot be read is reported in its split.
    """
    started = time.perf_counter()
    layout = find_layout(root)
    expected = read_sums(layout.root)
    result = Audit(layout.root, compared=expected is not None)
    files = [file for split in layout.csvs for file in _survey(layout, split, result)]
    paths = [file.path for file in files]
    answers: dict[int, Any] = {}
    with tqdm(total=len(files), desc="clips", unit="clip", disable=not progress) as bar:
        for index, answer in run_guarded(check or check_file, paths, num_workers, seconds_per_clip):
            answers[index] = answer
            bar.update()
    judged = [(file, answers[i]) for i, file in enumerate(files)]
    for file, answer in judged:
        result.findings += _judge(file, answer, longest)
    result.findings += _copies(judged)
    result.sums = _sums(layout, judged)
    if expected is not None:
        result.findings += _changed(layout, result.sums, expected)
    _describe_twins(judged, result)
    result.lengths = _lengths(judged)
    _summarise(result, judged)
    order = list(PROBLEMS)
    result.findings.sort(key=lambda f: (order.index(f.problem), list(layout.csvs).index(f.split), _natural(f.clip)))
    result.seconds = time.perf_counter() - started
    return result


def check_file(path: Path) -> dict:
    """`mmsa_lib.media.check_clip` and the SHA-256 of the file; runs in a worker process."""
    return check_clip(path) | {"sha256": digest(path)}


# ------------------------------------------------------------------------------------- what there is


def _survey(layout: Layout, split: str, result: Audit) -> list[_File]:
    """The files of a split; missing clips are noted at once."""
    folder = layout.clip_dirs[split]
    summary = {"table": str(layout.csvs[split]), "folder": str(folder) if folder else None}
    result.splits[split] = summary
    try:
        table = load_split(layout, split)
    except DataError as error:
        result.splits[split] = summary | {"error": str(error), "rows": 0}
        return []
    files = []
    for row in table.itertuples():
        if row.clip is None:
            result.findings.append(Finding(split, "missing", f"dia{row.dialogue_id}_utt{row.utterance_id}"))
        else:
            files.append(_File(split, row.clip, "clip", row.end - row.start))
    others, leftovers = _others(folder, {file.path.name for file in files})
    untimed = int((table["end"] - table["start"]).isna().sum())
    summary |= {"rows": len(table), "rows_without_times": untimed, "leftovers": leftovers}
    return files + [_File(split, path, "twin" if _TWIN.fullmatch(path.name) else "extra") for path in others]


def _others(folder: Path | None, used: set[str]) -> tuple[list[Path], int]:
    """Clips in a folder that no row uses, and the number of other files (such as `._…`, which macOS leaves)."""
    if folder is None:
        return [], 0
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file() and entry.name not in used)
    clips = [n for n in names if not n.startswith(".") and Path(n).suffix.lower() in CLIP_SUFFIXES]
    return [folder / name for name in clips], len(names) - len(clips)


# --------------------------------------------------------------------------------- what is wrong


def _judge(file: _File, answer: Any, longest: float) -> list[Finding]:
    """Everything that is odd about one file."""
    found = [] if file.kind == "clip" else [(file.kind, "")]
    if isinstance(answer, Failure):
        found.append(("damaged", answer.reason))
    else:
        found += flaws(answer)
        seconds = _clip_seconds(answer)
        if seconds < SHORTEST:
            found.append(("too_short", f"{seconds:.2f} s"))
        if seconds > longest:
            found.append(("over_long", f"{seconds:.1f} s"))
        if abs(seconds - file.row_seconds) > MISMATCH:  # never true of NaN
            found.append(("mismatched", f"lasts {seconds:.2f} s, its row {file.row_seconds:.2f} s"))
    return [Finding(file.split, problem, file.path.name, detail) for problem, detail in found]


def flaws(answer: dict) -> list[tuple[str, str]]:
    """What decoding says about the state of a clip, as (problem, detail); `answer` is from `check_file`."""
    found = []
    lost = _lost_part(answer)
    if lost:
        found.append(("partly_damaged", lost))
    if not answer["frames"]:
        found.append(("no_picture", ""))
    if answer["peak"] is None:
        found.append(("no_sound", ""))
    elif answer["peak"] < SILENCE:
        found.append(("silent", f"loudest sample {answer['peak']:.5f}"))
    return found


def _lost_part(answer: dict) -> str:
    """In words, what a clip has too little of; empty if nothing."""
    announced, seconds = answer["duration"] or 0.0, _clip_seconds(answer)
    picture, sound = answer["video_seconds"], answer["audio_seconds"]
    if answer["flaws"]:
        return f"{answer['flaws']} packets or pictures"
    if answer["frames"] < (answer["num_frames"] or 0):
        return f"{answer['frames']} of {answer['num_frames']} pictures"
    if announced - seconds > _LOST:
        return f"ends after {seconds:.2f} of {announced:.2f} s"
    if answer["frames"] and answer["peak"] is not None and abs(picture - sound) > _UNEVEN:
        return f"picture lasts {picture:.2f} s, sound {sound:.2f} s"
    return ""


def _clip_seconds(answer: dict) -> float:
    return max(answer["video_seconds"], answer["audio_seconds"])


def _copies(judged: Iterable[tuple[_File, Any]]) -> list[Finding]:
    """Clips of rows whose file is the same as that of an earlier row."""
    first: dict[str, _File] = {}
    found = []
    for file, answer in judged:
        if file.kind != "clip" or isinstance(answer, Failure):
            continue
        original = first.setdefault(answer["sha256"], file)
        if original is not file:
            detail = f"the same file as {original.split} {original.path.name}"
            found.append(Finding(file.split, "same_file", file.path.name, detail))
    return found


def _sums(layout: Layout, judged: Iterable[tuple[_File, Any]]) -> dict[str, str]:
    """The SHA-256 of all tables and clips by name, without files that cannot even be opened."""
    known = dict.fromkeys(layout.csvs.values())
    known |= {file.path: None if isinstance(answer, Failure) else answer["sha256"] for file, answer in judged}
    sums = {relative(path, layout.root): found or _digest(path) for path, found in known.items()}
    return {name: found for name, found in sorted(sums.items()) if found}


def _digest(path: Path) -> str | None:
    try:
        return digest(path)
    except OSError:
        return None


def _changed(layout: Layout, sums: Mapping[str, str], expected: Mapping[str, str]) -> list[Finding]:
    """What differs from a list of what is to be there: other content, a file too few, a file too many."""
    places = {relative(table, layout.root): split for split, table in layout.csvs.items()}
    folders = {relative(folder, layout.root): split for split, folder in layout.clip_dirs.items() if folder}
    found = []
    for name in sorted(sums.keys() | expected.keys()):
        folder, _, file = name.rpartition("/")
        split = places.get(name) or folders.get(folder or ".")
        now = sums.get(name) or _digest(layout.root / name)  # a split without a table was not opened
        if split is None or now == expected.get(name):  # what has no split is nothing that training reads
            continue
        words = (
            "not in the list" if name not in expected else "other content" if now else "not there, or not to be opened"
        )
        found.append(Finding(split, "changed", file, words))
    return found


def _describe_twins(judged: Iterable[tuple[_File, Any]], result: Audit) -> None:
    """Say of each twin whether it fits its row better than the plain clip does."""
    rows = {(file.split, file.path.stem.lower()): (file, answer) for file, answer in judged if file.kind == "clip"}
    better = Counter()
    details = {}
    for file, answer in judged:
        if file.kind != "twin":
            continue
        plain = rows.get((file.split, _TWIN.fullmatch(file.path.name)[1].lower()))
        details[file.split, file.path.name], improves = _compare_twin(answer, plain)
        better[file.split] += improves
    result.findings = [
        Finding(f.split, f.problem, f.clip, details[f.split, f.clip]) if f.problem == "twin" else f
        for f in result.findings
    ]
    for split, summary in result.splits.items():
        summary["twins_that_fit_better"] = better[split]


def _compare_twin(answer: Any, plain: tuple[_File, Any] | None) -> tuple[str, bool]:
    if isinstance(answer, Failure):
        return "cannot be read", False
    twin = _clip_seconds(answer)
    if plain is None:
        return f"lasts {twin:.2f} s; there is no plain clip", False
    file, other = plain
    if isinstance(other, Failure):
        return f"lasts {twin:.2f} s, its row {file.row_seconds:.2f} s; the plain clip cannot be read", True
    clip = _clip_seconds(other)
    words = f"lasts {twin:.2f} s, the plain clip {clip:.2f} s, their row {file.row_seconds:.2f} s"
    # Not by a hair: the same clip encoded twice differs by a picture or two.
    return words, abs(clip - file.row_seconds) - abs(twin - file.row_seconds) > MISMATCH


# -------------------------------------------------------------------------------------- summing up


def _lengths(judged: Iterable[tuple[_File, Any]]) -> pd.DataFrame:
    rows = [
        (file.split, file.path.name, file.row_seconds, _clip_seconds(answer))
        for file, answer in judged
        if file.kind == "clip" and not isinstance(answer, Failure)
    ]
    return pd.DataFrame(rows, columns=["split", "clip", "row_seconds", "clip_seconds"])


def _summarise(result: Audit, judged: list[tuple[_File, Any]]) -> None:
    for split, summary in result.splits.items():
        lengths = result.lengths.loc[result.lengths["split"] == split, "clip_seconds"].to_numpy()
        kinds = Counter(file.kind for file, _ in judged if file.split == split)
        summary |= {
            "clips": kinds["clip"],
            "usable": len(lengths),
            "hours": round(float(lengths.sum()) / 3600, 4),
            "median_seconds": round(float(np.median(lengths)), 3) if len(lengths) else None,
            "formats": _formats(a for file, a in judged if file.split == split and file.kind == "clip"),
        }


def _formats(answers: Iterable[Any]) -> dict[str, int]:
    """How often each shape occurs, e.g. `h264 1280x720 23.976, aac 48000 Hz 5.1`."""
    shapes = Counter()
    for answer in answers:
        if isinstance(answer, Failure):
            continue
        picture = "no picture"
        if answer["video_codec"]:
            picture = f"{answer['video_codec']} {answer['width']}x{answer['height']} {answer['fps'] or 0:.3f}"
        sound = "no sound"
        if answer["audio_codec"]:
            sound = f"{answer['audio_codec']} {answer['sample_rate']} Hz {answer['channel_layout']}"
        shapes[f"{picture}, {sound}"] += 1
    return dict(shapes.most_common())


def _natural(name: str) -> list:
    """dia2 before dia10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def as_text(result: Audit, most: int = 20) -> str:
    """The report for people: a table of counts, then up to `most` clips of each problem by name."""
    splits = list(result.splits)
    lines = [str(result.root), _line("", splits)]
    for name, style in (("rows", ","), ("usable", ","), ("hours", ".2f")):
        lines.append(_line(name, [format(result.splits[split][name], style) for split in splits], _WORDS[name]))
    counts = [result.counts(split) for split in splits]
    words = PROBLEMS if result.compared else PROBLEMS | {"changed": "there is no SHA256SUMS to compare with"}
    lines += [_line(name, [c[name] or "-" for c in counts], words[name]) for name in PROBLEMS]
    lines += [f"{split}: {s['error']}" for split, s in result.splits.items() if "error" in s]
    for problem in PROBLEMS:
        found = [f for f in result.findings if f.problem == problem]
        if found:
            lines.append(f"\n{problem} ({len(found)})")
            lines += [f"  {f.split} {f.clip}{': ' if f.detail else ''}{f.detail}" for f in found[:most]]
            lines += [f"  and {len(found) - most} more (--json has all)"] if len(found) > most else []
    return "\n".join(lines)


def _line(name: str, values: Iterable, words: str = "") -> str:
    return f"{name:<15}" + "".join(f"{value:>9}" for value in values) + f"   {words}".rstrip()


def as_json(result: Audit) -> str:
    """The report for programs."""
    return json.dumps(result.to_json(), indent=1)
