"""The audit of a set with every trap: all is found, nothing else is, and no clip can stop it."""

import json
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clips import counting_frames, cut, encode, flip_bits, tone
from decoders import check_by_name, find_well
from standin import FOLDERS, clip_path, twin_path, write_standin

from mmsa_lib import plots
from mmsa_lib.audit import LONGEST, PROBLEMS, Audit, as_json, as_text, audit
from mmsa_lib.checksums import SUMS_FILE, read_sums, write_sums
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.media import check_clip, read_clip
from mmsa_lib.workers import Failure

LIMIT = 2.0  # seconds: far more than a busy machine takes for nothing
SMALL = {"size": (48, 80), "films": 3, "film_seconds": 2, "preset": "ultrafast", "long_seconds": (9, 8)}


def names(result, problem):
    return sorted((f.split, f.clip) for f in result.findings if f.problem == problem)


def file_names(keys, ending=".mp4"):
    return sorted((split, f"dia{d}_utt{u}{ending}") for split, d, u in keys)


@pytest.fixture(scope="module")
def standin(tmp_path_factory):
    root = tmp_path_factory.mktemp("standin")
    return root, write_standin(root, 40, **SMALL)


@pytest.fixture(scope="module")
def spoilt(standin, tmp_path_factory):
    """A copy of the stand-in in which clips of the train split are made odd in further ways."""
    root = tmp_path_factory.mktemp("spoilt") / "set"
    shutil.copytree(standin[0], root)
    keys = [key for key in standin[1].seconds if key[0] == "train" and key not in standin[1].corrupt][10:16]
    frames, voice = counting_frames(24), np.stack([tone(1.0)])
    encode(clip_path(root, keys[0]), frames, np.zeros((1, 48_000), np.float32), fps=24)
    encode(clip_path(root, keys[1]), frames, None, fps=24)
    encode(clip_path(root, keys[2]), None, voice)
    encode(clip_path(root, keys[3]), frames, voice[:, :12_000], fps=24)
    clip_path(root, keys[4]).write_bytes(b"")
    flip_bits(clip_path(root, keys[5]), 40, seed=1)
    return root, keys


@pytest.fixture(scope="module")
def found(standin):
    return audit(standin[0], progress=False, longest=7.0)


@pytest.fixture(scope="module")
def found_spoilt(spoilt):
    return audit(spoilt[0], progress=False, longest=7.0)


class TestStandIn:
    def test_what_is_missing_damaged_or_left_over(self, standin, found):
        _, plan = standin
        assert names(found, "missing") == file_names(plan.missing, "")
        assert names(found, "damaged") == file_names(plan.corrupt)
        assert names(found, "extra") == file_names(plan.extras)
        assert names(found, "twin") == [
            ("test", f"final_videos_testdia{d}_utt{u}.mp4") for _, d, u in sorted(plan.twins)
        ]
        assert names(found, "same_file") == file_names(plan.copies)
        assert found.splits["test"]["leftovers"] == len(plan.stubs)

    def test_lengths(self, standin, found):
        _, plan = standin
        assert names(found, "over_long") == file_names(k for k, s in plan.seconds.items() if s > 7.1)
        assert names(found, "too_short") == file_names(k for k, s in plan.seconds.items() if s < 0.1)
        assert len(names(found, "mismatched")) >= 1
        for finding in found.findings:
            if finding.problem == "mismatched":
                assert finding.split == "test" and "its row" in finding.detail

    def test_sound_clips_are_not_found_fault_with(self, found):
        for problem in ("partly_damaged", "no_picture", "no_sound", "silent"):
            assert names(found, problem) == []

    def test_counts(self, standin, found):
        _, plan = standin
        for split, summary in found.splits.items():
            rows, lost = len(plan.rows[split]), {key for key in plan.missing | plan.corrupt if key[0] == split}
            assert summary["rows"] == rows and summary["usable"] == rows - len(lost)
            assert sum(summary["formats"].values()) == summary["usable"]
        assert "h264 80x48 23.976, aac 48000 Hz 5.1" in found.splits["train"]["formats"]

    def test_lengths_are_those_of_reading(self, standin, found):
        root, _ = standin
        for row in found.lengths.sample(5, random_state=0).itertuples():
            assert read_clip(root / FOLDERS[row.split] / row.clip, num_frames=1).duration == pytest.approx(
                row.clip_seconds, abs=0.05
            )

    def test_which_twin_fits_its_row_better(self, standin, tmp_path):
        root = tmp_path / "set"
        shutil.copytree(standin[0], root)
        key = next(iter(standin[1].twins))
        shutil.copy(clip_path(root, next(k for k, s in standin[1].seconds.items() if s > 8)), clip_path(root, key))
        result = audit(root, progress=False)
        finding = next(f for f in result.findings if f.problem == "twin" and f.clip == twin_path(root, key).name)
        assert "the plain clip 9." in finding.detail
        assert result.splits["test"]["twins_that_fit_better"] >= 1


class TestOddClips:
    @pytest.mark.parametrize(
        "problem, places",
        [
            ("silent", [0]),
            ("no_sound", [1]),
            ("no_picture", [2]),
            ("partly_damaged", [3, 5]),
            ("damaged", [4]),
        ],
    )
    def test_each_is_named(self, standin, spoilt, found_spoilt, problem, places):
        also = file_names(standin[1].corrupt) if problem == "damaged" else []
        assert names(found_spoilt, problem) == sorted(file_names(spoilt[1][i] for i in places) + also)

    def test_the_reason_is_told(self, spoilt, found_spoilt):
        details = {f.clip: f.detail for f in found_spoilt.findings if f.problem in ("damaged", "partly_damaged")}
        _, keys = spoilt
        assert details[clip_path(spoilt[0], keys[3]).name].startswith("picture lasts 1.00 s, sound 0.2")
        assert details[clip_path(spoilt[0], keys[4]).name] == "empty file"


class TestCheckClip:
    def test_a_sound_clip(self, tmp_path):
        path = encode(tmp_path / "a.mp4", counting_frames(48), np.stack([tone(2.0, level=0.5)]), fps=24)
        found = check_clip(path)
        assert found["frames"] == found["num_frames"] == 48 and found["flaws"] == 0
        assert found["video_seconds"] == pytest.approx(2.0) and found["audio_seconds"] == pytest.approx(2.0, abs=0.05)
        assert found["peak"] == pytest.approx(np.abs(read_clip(path).waveform).max())

    @pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.9])
    def test_it_refuses_what_reading_refuses(self, tmp_path, keep):
        path = cut(encode(tmp_path / "a.mkv", counting_frames(48), np.stack([tone(2.0)]), fps=24), keep)
        try:
            read_clip(path)
        except MediaError as error:
            with pytest.raises(MediaError, match=error.reason[:10]):
                check_clip(path)
        else:
            assert check_clip(path)["frames"] > 0

    def test_memory_does_not_grow_with_the_length(self, tmp_path):
        import tracemalloc

        path = encode(tmp_path / "a.mp4", None, np.zeros((1, 48_000 * 120), np.float32))
        tracemalloc.start()
        check_clip(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # 120 s of samples would be 3.8 MB
        tracemalloc.stop()


# ------------------------------------------------------------------------------------ hostile clips


def write_tables(root, rows=6, splits=("train",), first=0):
    folders = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for split in splits:
        table = pd.DataFrame({"Utterance": ["a"] * rows, "Emotion": "joy", "Sentiment": "positive", "Dialogue_ID": 0})
        table["Utterance_ID"] = range(first, first + rows)
        (root / folders[split]).mkdir(parents=True)
        table.to_csv(root / f"{split}_sent_emo.csv", index=False)
        for i in range(first, first + rows):
            (root / folders[split] / f"dia0_utt{i}.mp4").write_bytes(b"clip")
    return root


@pytest.mark.end_to_end
def test_clips_that_crash_or_hang_are_reported_and_the_audit_goes_on(tmp_path):
    result = audit(write_tables(tmp_path), check=check_by_name, seconds_per_clip=LIMIT, progress=False)
    damaged = {f.clip: f.detail for f in result.findings if f.problem == "damaged"}
    assert damaged == {
        "dia0_utt0.mp4": "the decoder crashed (SIGSEGV)",
        "dia0_utt1.mp4": "took longer than 2 seconds",
        "dia0_utt2.mp4": "RuntimeError: a bug of ours",
    }
    assert result.splits["train"]["usable"] == 3


class TestChecksums:
    """What differs from SHA256SUMS is told, also where nothing else would tell it."""

    @pytest.fixture
    def root(self, standin, tmp_path, monkeypatch):
        monkeypatch.setattr("mmsa_lib.audit.run_guarded", lambda check, paths, *_: enumerate(map(check, paths)))
        root = tmp_path / "set"
        shutil.copytree(standin[0], root)
        write_sums(root, audit(root, progress=False, check=find_well).sums)
        return root

    def changes(self, root):
        found = audit(root, progress=False, check=find_well)
        return [(f.split, f.clip, f.detail) for f in found.findings if f.problem == "changed"]

    def test_nothing_has_changed(self, root):
        assert self.changes(root) == []

    def test_other_content_too_few_and_too_many(self, root):
        table = root / "train_sent_emo.csv"
        table.write_bytes(table.read_bytes().replace(b"neutral", b"sadness", 1))
        first, second, *_ = sorted((root / FOLDERS["dev"]).glob("dia*.mp4"))
        flip_bits(first, 1, seed=0)
        second.unlink()
        shutil.copy(first, first.with_name("dia999_utt0.mp4"))
        assert sorted(self.changes(root)) == sorted([
            ("dev", first.name, "other content"),
            ("dev", second.name, "not there, or not to be opened"),
            ("dev", "dia999_utt0.mp4", "not in the list"),
            ("train", table.name, "other content"),
        ])  # fmt: skip

    def test_clips_are_compared_although_their_table_cannot_be_read(self, root):
        (root / "dev_sent_emo.csv").write_bytes(b"nothing")
        clip = min((root / FOLDERS["dev"]).glob("dia*.mp4"))
        clip.write_bytes(b"")
        assert sorted(self.changes(root)) == sorted(
            [("dev", "dev_sent_emo.csv", "other content"), ("dev", clip.name, "other content")]
        )

    def test_what_cannot_be_opened_is_left_out_of_the_list(self, root):
        (root / SUMS_FILE).unlink()
        clip = min((root / FOLDERS["dev"]).glob("dia*.mp4"))
        clip.unlink()
        clip.symlink_to(clip)  # a loop: nobody can open it
        found = audit(root, progress=False, check=lambda path: Failure("damaged"))
        write_sums(root, found.sums)
        assert f"{FOLDERS['dev']}/{clip.name}" not in read_sums(root)

    def test_the_folder_of_clips_may_be_asked_for_itself(self, standin, root):
        folder = root / FOLDERS["train"]
        write_sums(folder, audit(folder, progress=False, check=find_well).sums)
        assert self.changes(folder) == []
        clip = min(folder.glob("dia*.mp4"))
        flip_bits(clip, 1, seed=0)
        assert self.changes(folder) == [("train", clip.name, "other content")]

    def test_names_of_any_bytes_are_kept(self, root):
        clip = min((root / FOLDERS["dev"]).glob("dia*.mp4"))
        odd = os.fsdecode(os.fsencode(clip.parent) + b"/caf\xe9.mp4")
        try:
            shutil.copy(clip, odd)
        except OSError:
            pytest.skip("this file system takes no such name")
        (root / SUMS_FILE).unlink()
        found = audit(root, progress=False, check=find_well)
        write_sums(root, found.sums)
        assert self.changes(root) == [] and f"{FOLDERS['dev']}/caf\udce9.mp4" in read_sums(root)
        as_json(found)
        as_text(found).encode(errors="backslashreplace")

    def test_other_programs_can_write_and_read_the_list(self, root):
        names = read_sums(root)
        (root / SUMS_FILE).write_text("".join(f"{d.upper()} *./{n}\r\n" for n, d in names.items()))
        assert self.changes(root) == []
        write_sums(root, names)
        if shutil.which("sha256sum"):
            subprocess.run(["sha256sum", "--check", "--quiet", "--strict", SUMS_FILE], cwd=root, check=True)

    def test_a_list_that_is_none_is_an_error_that_names_the_line(self, root):
        with open(root / SUMS_FILE, "a") as file:
            file.write("0123  short\n")
        lines = len((root / SUMS_FILE).read_text().splitlines())
        with pytest.raises(DataError, match=rf"SHA256SUMS: line {lines} is not a SHA-256"):
            audit(root, progress=False, check=find_well)


def test_without_times_nothing_is_mismatched(tmp_path):
    result = audit(write_tables(tmp_path, 4, first=3), check=check_by_name, num_workers=1, progress=False)
    assert result.splits["train"]["usable"] == 4 and names(result, "mismatched") == []
    assert result.splits["train"]["rows_without_times"] == 4


def test_tables_without_clips(tmp_path):
    root = write_tables(tmp_path)
    shutil.rmtree(root / "train_splits")
    result = audit(root, progress=False)
    assert len(names(result, "missing")) == 6 and result.splits["train"]["usable"] == 0
    assert result.splits["train"]["folder"] is None
    assert "missing" in as_text(result) and json.loads(as_json(result))["splits"]["train"]["median_seconds"] is None
    plots.data_health({"train": result.counts("train")}, {"train": 6}, result.lengths)


def test_a_table_that_cannot_be_read_is_reported_in_its_split(tmp_path):
    root = write_tables(tmp_path, 4, ("train", "dev"), first=3)
    (root / "dev_sent_emo.csv").write_text("Utterance,Emotion\nhello,joy\n")
    result = audit(root, check=check_by_name, num_workers=1, progress=False)
    assert "dev_sent_emo.csv: no column Sentiment" in result.splits["dev"]["error"]
    assert result.splits["train"]["usable"] == 4 and "no column Sentiment" in as_text(result)


def test_a_folder_without_tables_is_an_error(tmp_path):
    with pytest.raises(DataError, match="none of train_sent_emo"):
        audit(tmp_path)


# ------------------------------------------------------------------------------------------ reports


def test_the_limit_on_length_is_that_of_preprocessing():
    source = Path(find_spec("mmsa_lib.preprocess").origin).read_text(encoding="utf-8")  # importing it would load torch
    assert float(re.search(r"^MAX_AUDIO_SECONDS = ([0-9.]+)", source, re.MULTILINE)[1]) == LONGEST


def test_the_report_for_programs(found):
    report = json.loads(as_json(found))
    assert set(report) == {"root", "seconds", "compared", "splits", "findings"}
    assert set(report["splits"]["test"]["problems"]) == set(PROBLEMS)
    total = sum(sum(split["problems"].values()) for split in report["splits"].values())
    assert total == len(report["findings"]) == len(found.findings)


def test_the_report_for_people_names_all_and_cuts_long_lists(found):
    text = as_text(found, most=3)
    for problem in PROBLEMS:
        assert f"\n{problem} " in text
    assert "and 6 more" in text  # 9 extras
    assert max(map(len, text.splitlines())) < 160


def test_the_order_is_that_of_people(found):
    extras = [f.clip for f in found.findings if f.problem == "extra" and f.split == "test"]
    numbers = [int(name.split("utt")[1][:-4]) for name in extras]
    assert numbers == sorted(numbers)


def test_the_picture_tells_the_numbers(found):
    rows = {split: summary["rows"] for split, summary in found.splits.items()}
    picture = plots.data_health({split: found.counts(split) for split in rows}, rows, found.lengths)
    assert f"of {sum(rows.values())} utterances" in picture.alt_text
    assert "missing 1; damaged 1" in picture.alt_text and "silent" not in picture.alt_text
    shown = [t.get_text() for t in picture.axes[0].get_yticklabels()]
    assert "over long" in shown and "silent" not in shown
    assert len(plots.to_png(picture)) > 10_000


def test_the_picture_of_a_healthy_set():
    healthy = {"train": dict.fromkeys(PROBLEMS, 0)}
    lengths = pd.DataFrame({"split": ["train"], "row_seconds": [1.0], "clip_seconds": [1.0]})
    assert "no problem" in plots.data_health(healthy, {"train": 1}, lengths).alt_text


def test_an_empty_audit_has_a_report():
    assert json.loads(as_json(Audit(root="nowhere"))) == {
        "root": "nowhere",
        "seconds": 0.0,
        "compared": False,
        "splits": {},
        "findings": [],
    }
