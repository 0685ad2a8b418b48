"""The builder of mini-MELD: tables, times, checksums, resuming, and a slice built twice."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsa_lib.errors import DataError
from mmsa_lib.media import read_clip
from mmsa_lib.mini import build as builder
from mmsa_lib.mini.build import (
    COLUMNS,
    FOLDERS,
    annotation_rows,
    build,
    checksums,
    cue_rows,
    key,
    parse_timestamp,
    read_rows,
    render_all,
    select,
    timestamp,
    to_csv,
)
from mmsa_lib.mini.tables import SPLITS
from mmsa_lib.mini.world import draw_split, draw_world

pytestmark = pytest.mark.end_to_end

DATA = Path(__file__).parents[1] / "data" / "mini"
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="eSpeak NG is not installed")


@pytest.fixture(scope="module")
def plans():
    return draw_world()


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "00:00:00,000"), (59.9996, "00:01:00,000"), (61.25, "00:01:01,250"), (3723.004, "01:02:03,004")],
)
def test_timestamp(seconds, text):
    assert timestamp(seconds) == text
    assert parse_timestamp(text) == pytest.approx(seconds, abs=1e-3)


def test_annotation_rows_have_melds_columns_and_consistent_times(plans):
    dev = [plan for plan in plans if plan.split == "dev"]
    durations = {key(plan): round(1 + 0.037 * number, 3) for number, plan in enumerate(dev)}
    rows = annotation_rows(dev, durations)
    official = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    assert to_csv(rows).decode().splitlines()[0] == official == ",".join(COLUMNS)
    end, episode = 0.0, 0
    for plan, row in zip(dev, rows, strict=True):
        assert (row["Utterance"], row["Emotion"]) == (plan.text, plan.emotion)
        start = parse_timestamp(row["StartTime"])
        assert start >= end or row["Episode"] > episode
        end, episode = parse_timestamp(row["EndTime"]), row["Episode"]
        assert end - start == pytest.approx(durations[key(plan)], abs=1e-6)


def test_select_keeps_the_first_of_each_split(plans):
    few = select(plans, 2)
    assert [(plan.split, plan.utterance_id) for plan in few] == [(s, u) for s in SPLITS for u in (0, 1)]
    assert select(plans, None) == plans


def test_cues_say_what_the_plans_say(plans):
    row = cue_rows([replace(plans[0], emotion="surprise", sentiment="negative")])[0]
    assert row["Feeling"] == "surprise-"
    assert row["video_shows"] == plans[0].video.feeling
    assert float(row["audio_strength"]) == plans[0].audio.strength


@pytest.mark.parametrize("length", [0, 1, 8969, 8970, 8971, 20_000])
def test_padding_appends_one_free_box_and_hides_the_size(length):
    clip = (bytes(range(256)) * 80)[:length]
    padded = builder.pad(clip, duration=1.0)
    box = padded[length:]
    assert padded[:length] == clip
    assert (int.from_bytes(box[:4], "big"), box[4:8]) == (len(box), b"free") and not any(box[8:])
    assert (len(padded) - len(builder.pad(b"", 1.0))) % builder.SIZE_STEP == 0
    assert len(box) < builder.SIZE_STEP + 8 or len(padded) == len(builder.pad(b"", 1.0))


def test_checksums_are_what_sha256sum_says(tmp_path):
    (tmp_path / "train_splits").mkdir()
    (tmp_path / "cues.csv").write_bytes(b"a")
    (tmp_path / ".build.csv").write_bytes(b"hidden")
    (tmp_path / "train_splits" / "dia0_utt0.mp4").write_bytes(b"b")
    expected = [
        f"{hashlib.sha256(b'a').hexdigest()}  cues.csv",
        f"{hashlib.sha256(b'b').hexdigest()}  train_splits/dia0_utt0.mp4",
    ]
    assert checksums(tmp_path).splitlines() == expected


def test_resume_keeps_only_clips_of_the_very_same_plan(tmp_path, monkeypatch):
    old, changed = draw_split("dev")[:2]
    folder = tmp_path / FOLDERS["dev"]
    folder.mkdir()
    lines = []
    for plan, seconds in ((old, 1.5), (changed, 2.5)):
        (folder / plan.clip).write_bytes(b"")
        lines.append(f"{builder._digest(plan)},{seconds}\n")
    journal = tmp_path / builder.JOURNAL
    journal.write_text("".join(lines))
    assert render_all([old, changed], tmp_path, jobs=1, resume=True) == {key(old): 1.5, key(changed): 2.5}
    assert builder._finished(journal, [old, replace(changed, text="Other.")], tmp_path) == {key(old): 1.5}
    (folder / old.clip).unlink()
    assert builder._finished(journal, [old], tmp_path) == {}


def test_foreign_clips_are_refused(tmp_path):
    (tmp_path / FOLDERS["test"]).mkdir()
    (tmp_path / FOLDERS["test"] / "dia999_utt0.mp4").write_bytes(b"")
    with pytest.raises(DataError, match="dia999_utt0"):
        build(tmp_path, limit=1)


def test_command_line_reports_errors_in_one_line(tmp_path):
    (tmp_path / FOLDERS["test"]).mkdir()
    (tmp_path / FOLDERS["test"] / "dia999_utt0.mp4").write_bytes(b"")
    command = [sys.executable, "-m", "mmsa_lib.mini", "build", "--out", str(tmp_path), "--limit", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DATA.parents[1], check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@needs_espeak
def test_a_slice_is_built_twice_the_same(tmp_path):
    plans = build(tmp_path / "a", limit=1, jobs=1)
    build(tmp_path / "b", limit=1, jobs=1)
    for name in ("cues.csv", *(f"{split}_sent_emo.csv" for split in SPLITS)):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "SHA256SUMS").read_text() == checksums(tmp_path / "a") == checksums(tmp_path / "b")
    assert not list(tmp_path.rglob(".*"))  # no journal, no partial files
    for plan in plans:
        clip = read_clip(tmp_path / "a" / FOLDERS[plan.split] / plan.clip, num_frames=None)
        row = read_rows(tmp_path / "a", plan.split)[0]
        stated = parse_timestamp(row["EndTime"]) - parse_timestamp(row["StartTime"])
        assert clip.frames.shape[1:] == (112, 112, 3) and clip.fps >= 12
        assert clip.duration == pytest.approx(stated, abs=0.15)
        assert np.abs(clip.waveform).max() > 0.05


def test_committed_tables_are_what_the_seed_gives(plans):
    assert to_csv(cue_rows(plans)) == (DATA / "cues.csv").read_bytes()
    for split in SPLITS:
        here, rows = [plan for plan in plans if plan.split == split], read_rows(DATA, split)
        seconds = [parse_timestamp(row["EndTime"]) - parse_timestamp(row["StartTime"]) for row in rows]
        durations = {key(plan): round(s, 3) for plan, s in zip(here, seconds, strict=True)}
        assert to_csv(annotation_rows(here, durations)) == (DATA / f"{split}_sent_emo.csv").read_bytes()


def test_committed_files_match_their_checksums():
    assert checksums(DATA) == (DATA / "SHA256SUMS").read_text()
    clips = {line.split("  ")[1] for line in checksums(DATA).splitlines() if line.endswith(".mp4")}
    assert clips == {f"{FOLDERS[plan.split]}/{plan.clip}" for plan in draw_world()}
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) <= 25e6
