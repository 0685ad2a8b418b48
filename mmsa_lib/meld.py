"""MELD on disk: the only module that knows where its tables and clips lie and how they are written.

The key of an utterance is (split, dialogue_id, utterance_id): dialogue numbers start anew in each split.
"""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS, SENTIMENTS

SPLITS: tuple[str, ...] = ("train", "dev", "test")
CLIP_SUFFIXES: tuple[str, ...] = (".mp4", ".mkv", ".mov", ".avi", ".webm")  # the first found is taken

CLIP_FOLDERS: dict[str, tuple[str, ...]] = {
    "train": ("train_splits", "train_splits_complete", "train"),
    "dev": ("dev_splits_complete", "dev_splits", "dev"),
    "test": ("output_repeated_splits_test", "test_splits_complete", "test_splits", "test"),
}
_CLIP_NAME = re.compile(r"dia([0-9]{1,9})_utt([0-9]{1,9})(\.[a-z0-9]+)", re.IGNORECASE)
_MAX_DEPTH = 4
_MAX_FOLDERS = 5_000  # someone who names a whole home folder should not wait for all of it

_REQUIRED = {
    "utterance": "Utterance",
    "emotion": "Emotion",
    "sentiment": "Sentiment",
    "dialogueid": "Dialogue_ID",
    "utteranceid": "Utterance_ID",
}
_OPTIONAL = ("speaker", "srno", "season", "episode", "starttime", "endtime")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]{1,6}))?")
_INTEGER = re.compile(r"([0-9]{1,9})(?:\.0*)?")  # spreadsheets like to write 3 as 3.0
# A control character of this range is never meant: it is a cp1252 byte that was taken for Latin-1.
_C1 = re.compile("[\x80-\x9f]")


# ---------------------------------------------------------------- finding


@dataclass(frozen=True)
class Layout:
    """Where one copy of the data set lies: `csvs` of the splits found, `clip_dirs` of the same (or None)."""

    root: Path
    csvs: dict[str, Path]
    clip_dirs: dict[str, Path | None]


def find_layout(root: str | os.PathLike) -> Layout:
    """Find the annotation tables and clip folders at, below or just above `root`.

    Of several tables of one split the one closest to `root` is taken, and with it the clip folder
    closest to that table. Raises DataError when there is no table at all.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise DataError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}")
    below = _folders_below(root)
    tables = {split: _tables(below, split) for split in SPLITS}
    above = [parent for parent in (root.parent, root.parent.parent) if parent != root]
    for parent in above:
        if not any(tables.values()):
            tables = {split: _tables([parent], split) for split in SPLITS}
    csvs = {split: found[0] for split, found in tables.items() if found}
    if not csvs:
        names = ", ".join(f"{split}_sent_emo.csv" for split in SPLITS)
        raise DataError(f"{root}: none of {names} found there, up to {_MAX_DEPTH} folders below or 2 above")
    clip_dirs = {split: _clip_dir(split, csvs[split], below, above) for split in csvs}
    return Layout(root, csvs, clip_dirs)


def _folders_below(root: Path) -> list[Path]:
    """`root` and the folders in it, nearest first, each level by name."""
    found, level = [root], [root]
    for _ in range(_MAX_DEPTH):
        level = [child for folder in level for child in _subfolders(folder)]
        found += level
        if len(found) > _MAX_FOLDERS:
            break
    return found[:_MAX_FOLDERS]


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []  # a folder that may not be read holds nothing for us
    return [folder / name for name in sorted(names)]


def _tables(folders: Iterable[Path], split: str) -> list[Path]:
    name = f"{split}_sent_emo.csv"
    return [folder / name for folder in folders if os.path.isfile(folder / name)]  # False where one may not look


def _clip_dir(split: str, table: Path, below: list[Path], above: list[Path]) -> Path | None:
    """The folder with clips that is closest to the table, unless another table is closer to it."""
    names = CLIP_FOLDERS[split]
    # Further up, only names that nothing but MELD uses: a folder "train" beside ours may be anyone's.
    candidates = [folder for folder in below if folder.name.lower() in names]
    candidates += [parent / name for parent in above for name in names if name != split]
    tables = _tables([*below, *above], split)
    owned = []
    for folder in candidates:
        steps = {other: _steps(other.parent, folder) for other in tables}
        if steps[table] == min(steps.values()):
            owned.append((steps[table], names.index(folder.name.lower()), str(folder), folder))
    return next((folder for *_, folder in sorted(owned) if _holds_clips(folder)), None)


def _steps(start: Path, goal: Path) -> int:
    """Steps up and down the tree from one folder to another."""
    common = len(os.path.commonpath([start, goal]).rstrip(os.sep).split(os.sep))
    return len(start.parts) + len(goal.parts) - 2 * common


def _holds_clips(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_CLIP_NAME.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def clip_paths(folder: str | os.PathLike) -> dict[tuple[int, int], Path]:
    """(dialogue_id, utterance_id) -> path of every `dia{D}_utt{U}` clip in a folder, read once."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from error
    for name in names:
        match = _CLIP_NAME.fullmatch(name)
        if match and (suffix := match[3].lower()) in CLIP_SUFFIXES:
            key, rank = (int(match[1]), int(match[2])), CLIP_SUFFIXES.index(suffix)
            found[key] = min(found.get(key, (rank, name)), (rank, name))
    return {key: Path(folder, name) for key, (_, name) in found.items()}


# ---------------------------------------------------------------- reading


def load_meld(root: str | os.PathLike) -> dict[str, pd.DataFrame]:
    """Every split that exists under `root`, each as `load_split` returns it."""
    layout = find_layout(root)
    return {split: load_split(layout, split) for split in layout.csvs}


def load_split(root: str | os.PathLike | Layout, split: str) -> pd.DataFrame:
    """The annotations of one split and a column `clip`: the path of its clip, or None if there is none."""
    layout = root if isinstance(root, Layout) else find_layout(root)
    if split not in layout.csvs:
        raise DataError(f"{layout.root}: no {split}_sent_emo.csv (found: {', '.join(layout.csvs)})")
    table = read_annotations(layout.csvs[split], split)
    folder = layout.clip_dirs[split]
    clips = clip_paths(folder) if folder is not None else {}
    keys = zip(table["dialogue_id"], table["utterance_id"], strict=True)
    table["clip"] = pd.Series([clips.get(key) for key in keys], index=table.index, dtype=object)
    return table


def read_annotations(csv_path: str | os.PathLike, split: str) -> pd.DataFrame:
    """One annotation table, typed, in the order of the file.

    Columns: split, dialogue_id, utterance_id (int64), speaker, text (str; may be empty), emotion and
    sentiment (categories in the order of `labels`), start, end (float seconds, NaN if absent or
    unreadable), season, episode, sr_no (Int64). Raises DataError naming file, line and value.
    """
    path = Path(csv_path)
    columns, lines = _read_columns(path)
    ids = {name: _integers(path, columns, name, lines) for name in ("dialogueid", "utteranceid")}
    _check_unique(path, ids["dialogueid"], ids["utteranceid"], lines)
    table = pd.DataFrame(
        {
            "split": pd.Series([split] * len(lines), dtype="str"),
            "dialogue_id": np.array(ids["dialogueid"], np.int64),
            "utterance_id": np.array(ids["utteranceid"], np.int64),
            "speaker": pd.Series([value.strip() for value in columns["speaker"]], dtype="str"),
            "text": pd.Series([value.strip() for value in columns["utterance"]], dtype="str"),
            "emotion": _category(path, columns, "emotion", EMOTIONS, lines),
            "sentiment": _category(path, columns, "sentiment", SENTIMENTS, lines),
            "start": np.array([_seconds(value) for value in columns["starttime"]], np.float64),
            "end": np.array([_seconds(value) for value in columns["endtime"]], np.float64),
            "season": _optional_integers(columns["season"]),
            "episode": _optional_integers(columns["episode"]),
            "sr_no": _optional_integers(columns["srno"]),
        }
    )
    return table


def _read_columns(path: Path) -> tuple[dict[str, list[str]], list[int]]:
    """The known columns by plain name, and the line of the file at which each row ends."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        places = _places(path, header)
        rows, lines = [], []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) < len(header) or any(cell.strip() for cell in row[len(header) :]):
                raise DataError(f"{path}: line {reader.line_num}: {len(row)} fields, expected {len(header)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from error
    blank = [""] * len(rows)
    columns = {name: [row[at] for row in rows] for name, at in places.items()}
    return {name: columns.get(name, blank) for name in (*_REQUIRED, *_OPTIONAL)}, lines


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not data.strip():
        raise DataError(f"{path}: empty file")
    if b"\0" in data:
        raise DataError(f"{path}: holds NUL bytes, so it is not UTF-8 or cp1252 text")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:  # line by line: files put together from two sources exist
        text = "\n".join(_decode_line(line) for line in data.split(b"\n"))
    return _C1.sub(lambda match: _decode_line(match[0].encode("latin-1")), text)


def _decode_line(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")


def _places(path: Path, header: list[str]) -> dict[str, int]:
    """Position of each known column; letter case, spaces and punctuation in the names do not matter."""
    places: dict[str, int] = {}
    for at, name in enumerate(header):
        places.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), at)
    for name, official in _REQUIRED.items():
        if name not in places:
            hint = " (are the fields separated by commas?)" if len(header) == 1 else ""
            raise DataError(f"{path}: no column {official}{hint}")
    return places


def _integers(path: Path, columns: dict[str, list[str]], name: str, lines: list[int]) -> list[int]:
    numbers = []
    for value, line in zip(columns[name], lines, strict=True):
        match = _INTEGER.fullmatch(value.strip())
        if not match:
            raise DataError(f"{path}: line {line}: {_REQUIRED[name]} {_shown(value)} is not a whole number")
        numbers.append(int(match[1]))
    return numbers


def _optional_integers(values: list[str]) -> pd.Series:
    matches = (_INTEGER.fullmatch(value.strip()) for value in values)
    return pd.Series([int(match[1]) if match else pd.NA for match in matches], dtype="Int64")


def _category(path: Path, columns: dict, name: str, allowed: tuple[str, ...], lines: list[int]) -> pd.Categorical:
    labels = [value.strip().lower() for value in columns[name]]
    for label, value, line in zip(labels, columns[name], lines, strict=True):
        if label not in allowed:
            choices = ", ".join(allowed)
            raise DataError(f"{path}: line {line}: unknown {name} {_shown(value)} (one of {choices})")
    return pd.Categorical(labels, categories=list(allowed))


def _check_unique(path: Path, dialogues: list[int], utterances: list[int], lines: list[int]) -> None:
    first: dict[tuple[int, int], int] = {}
    for key, line in zip(zip(dialogues, utterances, strict=True), lines, strict=True):
        if key in first:
            raise DataError(f"{path}: lines {first[key]} and {line}: both are dialogue {key[0]} utterance {key[1]}")
        first[key] = line


def _seconds(value: str) -> float:
    """Seconds of a time like `0:16:16,059` or `00:16:16.059`; NaN if it is not one."""
    match = _TIME.fullmatch(value.strip())
    if not match:
        return float("nan")
    hours, minutes, seconds = (int(part) for part in match.groups()[:3])
    return hours * 3600 + minutes * 60 + seconds + float(f"0.{match[4] or 0}")


def _shown(value: str) -> str:
    """A value as it stands in a one-line message."""
    return repr(value if len(value) <= 40 else value[:37] + "...")
