"""A stand-in for MELD: the same tables, folders, shapes and damage at any size, with invented words and pictures.

    python tests/standin.py DIR --utterances 2000 --seed 0 [--annotations FOLDER_WITH_THE_THREE_TABLES]

A few films are encoded once; every clip is cut out of one of them without encoding, so that thousands take minutes.
With `--annotations` the rows are real ones, whole dialogues of them; without, words and labels are made up.
"""

import argparse
import csv
import io
import math
import shutil
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmsa_lib.bench.films import Film, write_film

FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
SHARES = {"train": 9_989 / 13_708, "dev": 1_109 / 13_708, "test": 2_610 / 13_708}
COLUMNS = ("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
COLUMNS += ("Season", "Episode", "StartTime", "EndTime")
# Shares of the classes in the official training table.
EMOTIONS = {
    "neutral": 0.472,
    "joy": 0.174,
    "surprise": 0.121,
    "anger": 0.111,
    "sadness": 0.068,
    "disgust": 0.027,
    "fear": 0.027,
}
SPEAKERS = ("Ada", "Bela", "Cyril", "Dina", "Emil", "Flora", "The Ferryman", "Nurse Quill")
WORDS = """
well so listen honestly the a my your our their kettle ferry garden letter violin bicycle uncle parrot winter
harbour lamp is was will never always brings takes forgets paints opened broke lost found again today tomorrow
behind under without because though and or but you I we they please really quietly almost nobody everybody
"""
EXTRAS = {"train": 0, "dev": 4, "test": 5}  # clips without a row
TWINS = 132 / 2_610  # final_videos_test… beside plain test clips
STUBS = 2_060 / 2_747  # the 212-byte leavings of another file system beside test clips
MISFITS = 96 / 2_610  # test clips that differ from their row by more than a second

Key = tuple[str, int, int]  # split, dialogue, utterance


@dataclass
class Plan:
    """What to write: rows by split, how long each clip is, and what is wrong where."""

    rows: dict[str, list[dict[str, str]]]
    seconds: dict[Key, float] = field(default_factory=dict)
    corrupt: set[Key] = field(default_factory=set)
    missing: set[Key] = field(default_factory=set)
    extras: set[Key] = field(default_factory=set)
    copies: dict[Key, Key] = field(default_factory=dict)  # clips that are another one, byte for byte
    twins: dict[Key, float] = field(default_factory=dict)  # and how long each lasts
    stubs: set[Key] = field(default_factory=set)


# ------------------------------------------------------------------------------------------- tables


def invent(utterances: int, seed: int, long_seconds: tuple[float, float]) -> Plan:
    """Rows with made-up words and labels, and every kind of trap at places of its own."""
    rng = np.random.default_rng(seed)
    plan = Plan({split: _invent_rows(max(12, round(utterances * share)), rng) for split, share in SHARES.items()})
    keys = {split: [_key(split, row) for row in rows] for split, rows in plan.rows.items()}
    rows = {_key(split, row): row for split, found in plan.rows.items() for row in found}
    corrupt, longest, instant, twin_of_text = (keys["train"][i] for i in (3, 5, 7, 9))
    five, four, zero = (keys["test"][i] for i in (2, 4, 6))
    for key, seconds in {longest: 41.0, instant: 0.01, five: long_seconds[0], four: long_seconds[1], zero: 0.0}.items():
        rows[key]["EndTime"] = _clock(_seconds(rows[key]["StartTime"]) + seconds)
    for column in ("Utterance", "Speaker", "Emotion", "Sentiment"):
        rows[twin_of_text][column] = rows[corrupt][column]
    plan.corrupt, plan.missing = {corrupt}, {keys["dev"][4]}
    plan.copies = {keys["test"][9]: keys["test"][8]}
    _add_leftovers(plan, rng)
    return plan


def _invent_rows(total: int, rng: np.random.Generator) -> list[dict[str, str]]:
    rows, dialogue = [], 0
    while len(rows) < total:
        length = min(33, 1 + rng.geometric(1 / 8.6), total - len(rows))
        gap = rng.integers(length) if rng.random() < 0.07 and length > 2 else length  # numbers with a hole
        clock = float(rng.uniform(60, 1_200))
        season, episode, hour = rng.integers(1, 10), rng.integers(1, 25), rng.random() < 0.25
        for i in range(length):
            clock += float(rng.exponential(0.4))
            seconds = float(np.clip(rng.lognormal(math.log(2.46), 0.79), 0.3, 20))
            emotion = str(rng.choice(list(EMOTIONS), p=np.array(list(EMOTIONS.values()))))
            values = [len(rows) + 1 + dialogue // 9, _sentence(rng), rng.choice(SPEAKERS), emotion]
            values += [_sentiment(emotion, rng), dialogue, i + (i >= gap), season, episode]
            values += [_clock(clock, hour), _clock(clock + seconds, hour)]
            rows.append(dict(zip(COLUMNS, map(str, values), strict=True)))
            clock += seconds
        dialogue += 2 if dialogue == 59 else 1  # dialogue 60 does not exist
    return rows


def _sentence(rng: np.random.Generator) -> str:
    words = rng.choice(WORDS.split(), min(69, 1 + rng.poisson(rng.exponential(7))))
    return " ".join(words).capitalize() + str(rng.choice([".", ".", "!", "?", "…", " – don’t you “see”?", ", né?"]))


def _sentiment(emotion: str, rng: np.random.Generator) -> str:
    if emotion == "surprise":
        return str(rng.choice(["negative", "positive"]))
    return {"joy": "positive", "neutral": "neutral"}.get(emotion, "negative")


def choose(folder: Path, utterances: int, seed: int) -> Plan:
    """Whole dialogues of real tables, those with known traps first, until there are enough rows."""
    rng = np.random.default_rng(seed)
    trapped = {"train": [125, 309], "dev": [110, 49, 66], "test": [38, 220, 155]}
    plan = Plan({})
    for split, share in SHARES.items():
        with (folder / f"{split}_sent_emo.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        dialogues = rng.permutation(sorted({int(row["Dialogue_ID"]) for row in table})).tolist()
        wanted, kept = max(1, round(utterances * share)), set()
        for dialogue in dict.fromkeys(trapped[split] + dialogues):
            if dialogue in trapped[split] or sum(int(r["Dialogue_ID"]) in kept for r in table) < wanted:
                kept.add(dialogue)
        plan.rows[split] = [row for row in table if int(row["Dialogue_ID"]) in kept]
    plan.corrupt, plan.missing = {("train", 125, 3)}, {("dev", 110, 7)}
    plan.extras = {("dev", 49, 4), ("dev", 49, 5), ("dev", 66, 9), ("dev", 66, 10)}
    known = {_key(split, row) for split, rows in plan.rows.items() for row in rows}
    plan.corrupt, plan.missing, plan.extras = plan.corrupt & known, plan.missing & known, plan.extras - known
    _add_leftovers(plan, rng)
    return plan


def _add_leftovers(plan: Plan, rng: np.random.Generator) -> None:
    """Lengths of all clips, and what lies in the folders beside the clips of the rows."""
    for split, rows in plan.rows.items():
        last = max(int(row["Dialogue_ID"]) for row in rows)
        if not any(key[0] == split for key in plan.extras):
            plan.extras |= {(split, last, 40 + i) for i in range(EXTRAS[split])}
        for row in rows:
            lasting = _seconds(row["EndTime"]) - _seconds(row["StartTime"])
            plan.seconds[_key(split, row)] = max(0.0, lasting)
    plan.seconds |= dict.fromkeys(sorted(plan.extras), 1.5)  # a set has another order in every process
    plain = [key for key in plan.seconds if key[0] == "test" and 1 < plan.seconds[key] < 20 and key not in plan.extras]
    total = len(plan.rows["test"])
    twins = rng.choice(len(plain), max(2, round(TWINS * total)), replace=False)
    plan.twins = {plain[i]: plan.seconds[plain[i]] for i in twins}
    misfits = max(1, round(MISFITS * total))
    others = [key for key in plain if key not in plan.twins and key not in plan.copies]
    # Half of the misfits have a twin that fits: advice on which to take conflicts, and so does the evidence.
    for key in [*list(plan.twins)[: misfits // 2], *others[: misfits - misfits // 2]]:
        plan.seconds[key] += float(rng.uniform(1.2, 4))
    plan.stubs = {key for key in plan.seconds if key[0] == "test" and rng.random() < STUBS}


def _key(split: str, row: dict[str, str]) -> Key:
    return split, int(row["Dialogue_ID"]), int(row["Utterance_ID"])


def _clock(seconds: float, one_digit: bool = False) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hour = f"{minutes // 60}" if one_digit else f"{minutes // 60:02d}"
    return f"{hour}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def write_tables(root: Path, plan: Plan) -> None:
    """UTF-8 with CRLF, as the official tables; that of dev as old copies have it: cp1252, a dot in the times."""
    for split, rows in plan.rows.items():
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n", extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            times = {name: row[name].replace(",", ".") for name in ("StartTime", "EndTime")} if split == "dev" else {}
            writer.writerow(row | times)
        encoding = "cp1252" if split == "dev" else "utf-8"
        (root / f"{split}_sent_emo.csv").write_bytes(text.getvalue().encode(encoding, "replace"))


# -------------------------------------------------------------------------------------------- clips


def write_standin(
    root: Path,
    utterances: int = 40,
    seed: int = 0,
    *,
    annotations: Path | None = None,
    size: tuple[int, int] = (720, 1280),
    films: int = 6,
    film_seconds: float = 12,
    preset: str = "veryfast",
    long_seconds: tuple[float, float] = (305, 235),
    progress: bool = False,
) -> Plan:
    """Make the whole set under `root` and return what was planned; a clip that is there already is kept."""
    plan = choose(annotations, utterances, seed) if annotations else invent(utterances, seed, long_seconds)
    root.mkdir(parents=True, exist_ok=True)
    write_tables(root, plan)
    studio = root / ".films"
    studio.mkdir(exist_ok=True)
    reels = []
    for i in tqdm(range(films), desc="films", disable=not progress):
        path = studio / f"{size[0]}-{preset}-{film_seconds:g}-{i}.mp4"
        if not path.exists():
            write_film(studio / "new.part", i, size=size, seconds=film_seconds, preset=preset).replace(path)
        reels.append(Film(path))
    rng = np.random.default_rng(seed + 1)
    for folder in FOLDERS.values():
        (root / folder).mkdir(exist_ok=True)
    for key, seconds in tqdm(plan.seconds.items(), desc="clips", unit="clip", disable=not progress):
        reel, start, extra = reels[rng.integers(films)], int(rng.integers(1_000)), rng.random() < 0.1
        if key not in plan.missing | set(plan.copies) and not clip_path(root, key).exists():
            reel.cut(clip_path(root, key), start, seconds, extra)
    _write_leftovers(root, plan, reels[0])
    return plan


def _write_leftovers(root: Path, plan: Plan, film: Film) -> None:
    for key, original in plan.copies.items():
        shutil.copy(clip_path(root, original), clip_path(root, key))
    for key, seconds in plan.twins.items():
        film.cut(twin_path(root, key), key[1], seconds)
    for key in plan.stubs:
        clip = clip_path(root, key)
        clip.with_name(f"._{clip.name}").write_bytes(b"\0\5\x16\7" + bytes(208))
    for key in plan.corrupt:  # the index stands at the end: without it nothing can be read
        data = clip_path(root, key).read_bytes()
        if b"moov" in data:
            clip_path(root, key).write_bytes(data[: data.rindex(b"moov") - 4])


def clip_path(root: Path, key: Key) -> Path:
    """Where the clip of an utterance lies."""
    return root / FOLDERS[key[0]] / f"dia{key[1]}_utt{key[2]}.mp4"


def twin_path(root: Path, key: Key) -> Path:
    """Where the second version of a test clip lies."""
    return root / FOLDERS["test"] / f"final_videos_testdia{key[1]}_utt{key[2]}.mp4"


def pack(root: Path, archive: Path) -> Path:
    """The archive in the shape of MELD's: tables, and an archive for each split within the archive."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as outer:
        for split, folder in FOLDERS.items():
            inner_path = archive.with_name(f"{split}.tar.gz")
            with tarfile.open(inner_path, "w:gz", compresslevel=1) as inner:
                inner.add(root / folder, folder)
            outer.add(inner_path, f"MELD.Raw/{split}.tar.gz")
            inner_path.unlink()
            outer.add(root / f"{split}_sent_emo.csv", f"MELD.Raw/{split}_sent_emo.csv")
    return archive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("--utterances", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--annotations", type=Path, metavar="FOLDER", help="take rows from the tables in this folder")
    parser.add_argument("--height", type=int, default=720, help="16:9 pictures of this height")
    parser.add_argument("--preset", default="veryfast", help="of x264, for the films")
    parser.add_argument("--archive", type=Path, help="also pack the set as MELD is packed")
    options = parser.parse_args()
    started = time.perf_counter()
    plan = write_standin(
        options.root,
        options.utterances,
        options.seed,
        annotations=options.annotations,
        size=(options.height, options.height * 16 // 9 // 2 * 2),
        preset=options.preset,
        progress=True,
    )
    if options.archive:
        pack(options.root, options.archive)
    clips = [p for folder in FOLDERS.values() for p in (options.root / folder).glob("[!.]*.mp4")]
    megabytes = sum(p.stat().st_size for p in clips) / 1e6
    rows = sum(map(len, plan.rows.values()))
    print(f"{rows} rows, {len(clips)} clips, {megabytes:.0f} MB, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
