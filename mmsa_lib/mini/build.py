"""The builder: draws the world, renders its clips in worker processes, and writes them in MELD's layout."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from mmsa_lib.checksums import SUMS_FILE, relative, to_lines
from mmsa_lib.errors import DataError
from mmsa_lib.files import digest
from mmsa_lib.media import write_clip
from mmsa_lib.mini import face, voice
from mmsa_lib.mini.plan import UtterancePlan
from mmsa_lib.mini.tables import MODALITIES, SPLITS
from mmsa_lib.mini.world import SEED, draw_world

FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
COLUMNS = (
    "Sr No.",
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)
DIALOGUES_PER_EPISODE = 8
GAP, SCENE_CHANGE = 0.25, 20.0  # seconds between utterances and between dialogues
CRF, AUDIO_BITRATE, PRESET = 31, 22_000, "slow"
SIZE_BASE, SIZE_RATE, SIZE_STEP = 4900, 4070, 2048
"""A file is padded to SIZE_BASE bytes plus SIZE_RATE a second, or SIZE_STEP more as often as it takes: livelier
faces and voices cost more bits, and the size of a file must not tell the emotion."""
JOURNAL = ".build.csv"  # lives only while a build is under way, so that --resume can go on

Key = tuple[str, int, int]


def key(plan: UtterancePlan) -> Key:
    """(split, dialogue, utterance)."""
    return plan.split, plan.dialogue_id, plan.utterance_id


def render(plan: UtterancePlan, folder: Path) -> float:
    """Speak, draw and write one clip; returns its length in seconds."""
    speech = voice.speak(plan)
    frames, fps = face.draw(plan, speech.duration, speech.mouth_envelope, speech.envelope_fps)
    path = folder / FOLDERS[plan.split] / plan.clip
    write_clip(
        path,
        frames,
        fps,
        speech.waveform,
        speech.sample_rate,
        crf=CRF,
        audio_bitrate=AUDIO_BITRATE,
        preset=PRESET,
    )
    write_atomically(path, pad(path.read_bytes(), speech.duration))
    return round(speech.duration, 3)


def pad(clip: bytes, duration: float) -> bytes:
    """An mp4 file made as long as its duration in seconds says, by a `free` box, which players skip."""
    size = SIZE_BASE + round(SIZE_RATE * duration)
    while size < len(clip) + 8:  # a box has a header of eight bytes
        size += SIZE_STEP
    spare = size - len(clip)
    return clip + spare.to_bytes(4, "big") + b"free" + bytes(spare - 8)


def timestamp(seconds: float) -> str:
    """`HH:MM:SS,mmm`, as in MELD."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def parse_timestamp(text: str) -> float:
    """Seconds of a `HH:MM:SS,mmm`."""
    hours, minutes, seconds = text.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def annotation_rows(plans: Iterable[UtterancePlan], durations: Mapping[Key, float]) -> list[dict[str, object]]:
    """MELD's columns for one split; start and end times follow from the clips' durations."""
    rows: list[dict[str, object]] = []
    clock, dialogue, episode = 0.0, None, 0
    for number, plan in enumerate(plans, start=1):
        if plan.dialogue_id // DIALOGUES_PER_EPISODE + 1 != episode:
            episode, clock = plan.dialogue_id // DIALOGUES_PER_EPISODE + 1, 0.0
        clock += GAP if plan.dialogue_id == dialogue else SCENE_CHANGE
        dialogue = plan.dialogue_id
        start, clock = clock, clock + durations[key(plan)]
        values = (
            number,
            plan.text,
            plan.character.name,
            plan.emotion,
            plan.sentiment,
            plan.dialogue_id,
            plan.utterance_id,
            SPLITS.index(plan.split) + 1,
            episode,
            timestamp(start),
            timestamp(clock),
        )
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def read_rows(folder: Path, split: str) -> list[dict[str, str]]:
    """The annotation table of one split, as it was written."""
    with (folder / f"{split}_sent_emo.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cue_rows(plans: Iterable[UtterancePlan]) -> list[dict[str, object]]:
    """What each modality shows of each utterance: the rows of `cues.csv`."""
    rows = []
    for plan in plans:
        row: dict[str, object] = {
            "Split": plan.split,
            "Dialogue_ID": plan.dialogue_id,
            "Utterance_ID": plan.utterance_id,
            "Emotion": plan.emotion,
            "Sentiment": plan.sentiment,
            "Feeling": plan.feeling,
        }
        for modality, cue in zip(MODALITIES, (plan.text_cue, plan.video, plan.audio), strict=True):
            row |= {
                f"{modality}_cue": cue.kind,
                f"{modality}_shows": cue.feeling,
                f"{modality}_level": cue.level,
                f"{modality}_strength": f"{cue.strength:.3f}",
            }
        rows.append(row)
    return rows


def to_csv(rows: list[dict[str, object]]) -> bytes:
    """UTF-8 CSV with a header and Unix line ends."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    os.replace(partial, path)


def checksums(folder: Path) -> str:
    """`sha256sum -c` lines for the tables and clips in `folder`."""
    files = sorted([*folder.glob("*.csv"), *folder.glob("*/*.mp4")])
    return to_lines({relative(file, folder): digest(file) for file in files if not file.name.startswith(".")})


def _digest(plan: UtterancePlan) -> str:
    return hashlib.sha256(repr(plan).encode()).hexdigest()


def _finished(journal: Path, plans: list[UtterancePlan], folder: Path) -> dict[Key, float]:
    """Durations of the clips that an interrupted build already made from these very plans."""
    if not journal.exists():
        return {}
    with journal.open(encoding="utf-8", newline="") as file:
        seen = {row[0]: float(row[1]) for row in csv.reader(file) if len(row) == 2}
    return {
        key(plan): seen[_digest(plan)]
        for plan in plans
        if _digest(plan) in seen and (folder / FOLDERS[plan.split] / plan.clip).exists()
    }


def render_all(plans: list[UtterancePlan], folder: Path, jobs: int, resume: bool) -> dict[Key, float]:
    """Render every clip with `jobs` worker processes; returns the durations."""
    journal = folder / JOURNAL
    durations = _finished(journal, plans, folder) if resume else {}
    if not resume:
        journal.unlink(missing_ok=True)
    waiting = [plan for plan in plans if key(plan) not in durations]
    with (
        journal.open("a", encoding="utf-8") as log,
        ProcessPoolExecutor(max_workers=jobs) as pool,
        tqdm(total=len(plans), initial=len(durations), desc="mini-MELD", unit="clip") as bar,
    ):
        running = {pool.submit(render, plan, folder): plan for plan in waiting}
        try:
            for future in as_completed(running):
                plan = running[future]
                durations[key(plan)] = future.result()
                log.write(f"{_digest(plan)},{durations[key(plan)]}\n")
                log.flush()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return durations


def select(plans: list[UtterancePlan], limit: int | None) -> list[UtterancePlan]:
    """The first `limit` utterances of each split; all of them for None."""
    return [plan for split in SPLITS for plan in [candidate for candidate in plans if candidate.split == split][:limit]]


def build(
    out: Path, *, seed: int = SEED, limit: int | None = None, jobs: int = 2, resume: bool = False
) -> list[UtterancePlan]:
    """Make the data set in `out`: clips, annotation tables, `cues.csv` and `SHA256SUMS`.

    `limit` keeps only that many utterances of each split. Raises DataError if a folder of clips already
    holds others than these, since MELD's layout would take them for part of the set.
    """
    plans = select(draw_world(seed), limit)
    for split, name in FOLDERS.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        wanted = {plan.clip for plan in plans if plan.split == split}
        strangers = sorted(clip.name for clip in (out / name).glob("*.mp4") if clip.name not in wanted)
        if strangers:
            raise DataError(f"{out / name}: holds {strangers[0]}, which is not of this build; clear the folder")
    durations = render_all(plans, out, jobs, resume)
    for split in SPLITS:
        rows = annotation_rows([plan for plan in plans if plan.split == split], durations)
        write_atomically(out / f"{split}_sent_emo.csv", to_csv(rows))
    write_atomically(out / "cues.csv", to_csv(cue_rows(plans)))
    write_atomically(out / SUMS_FILE, checksums(out).encode())
    (out / JOURNAL).unlink(missing_ok=True)
    return plans
