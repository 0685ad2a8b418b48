"""The stand-in for MELD has its shapes, its proportions and its traps, and says where they are."""

import csv
from pathlib import Path

import numpy as np
import pytest
from standin import COLUMNS, Plan, choose, clip_path, invent, pack, twin_path, write_standin, write_tables

from mmsa_lib.bench.films import FPS
from mmsa_lib.errors import MediaError
from mmsa_lib.media import check_clip, probe
from mmsa_lib.meld import load_meld
from mmsa_lib.unpacking import unpack

SMALL = {"size": (48, 80), "films": 3, "film_seconds": 2, "preset": "ultrafast", "long_seconds": (9, 8)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("standin")
    return root, write_standin(root, 40, **SMALL)


@pytest.fixture(scope="module")
def checked(made):
    """What decoding says of every clip that a row, or nothing, asks for."""
    root, plan = made
    return {key: check_clip(clip_path(root, key)) for key in plan.seconds.keys() - plan.missing - plan.corrupt}


def raw_rows(root: Path, split: str) -> list[dict]:
    text = (root / f"{split}_sent_emo.csv").read_bytes().decode("cp1252" if split == "dev" else "utf-8")
    return list(csv.DictReader(text.splitlines()))


class TestClips:
    def test_shapes_are_those_of_meld(self, checked):
        for found in checked.values():
            assert (found["video_codec"], found["audio_codec"], found["sample_rate"]) == ("h264", "aac", 48_000)
            assert (found["width"], found["height"]) == (80, 48)
        assert {found["channels"] for found in checked.values()} == {2, 6}
        assert sum(abs(found["fps"] - FPS) < 0.01 for found in checked.values()) > 0.9 * len(checked)

    def test_every_clip_decodes_without_a_flaw(self, checked):
        for found in checked.values():
            assert found["flaws"] == 0 and found["frames"] == found["num_frames"]
            assert found["peak"] > 0.003

    def test_every_clip_is_as_long_as_planned(self, made, checked):
        for key, found in checked.items():
            frames = max(1, round(made[1].seconds[made[1].copies.get(key, key)] * FPS))
            assert frames <= found["frames"] <= frames + 4  # to the end of a group of pictures
            assert found["audio_seconds"] == pytest.approx(found["video_seconds"], abs=0.06)

    def test_some_have_a_data_stream(self, made):
        import av

        root, plan = made
        kinds = []
        for key in plan.seconds.keys() - plan.missing - plan.corrupt:
            with av.open(str(clip_path(root, key))) as container:
                kinds.append(sorted(stream.type for stream in container.streams))
        assert {len(kind) for kind in kinds} == {2, 3} and sum(len(kind) == 3 for kind in kinds) < len(kinds) / 3

    def test_traps(self, made):
        root, plan = made
        (corrupt,) = plan.corrupt
        with pytest.raises(MediaError):
            probe(clip_path(root, corrupt))
        assert not any(clip_path(root, key).exists() for key in plan.missing)
        assert all(clip_path(root, key).exists() for key in plan.extras)
        for copy, original in plan.copies.items():
            assert clip_path(root, copy).read_bytes() == clip_path(root, original).read_bytes()
        assert all(twin_path(root, key).exists() for key in plan.twins)
        stubs = list(root.rglob("._*.mp4"))
        assert len(stubs) == len(plan.stubs) > 0 and {stub.stat().st_size for stub in stubs} == {212}

    def test_two_clips_are_never_the_same_by_chance(self, made):
        root, plan = made
        keys = plan.seconds.keys() - plan.missing - plan.copies.keys()
        assert len({clip_path(root, key).read_bytes() for key in keys}) == len(keys)

    def test_the_same_seed_makes_the_same_set(self, made, tmp_path):
        write_standin(tmp_path, 40, **SMALL)
        for path in made[0].rglob("*"):
            if path.is_file():
                assert (tmp_path / path.relative_to(made[0])).read_bytes() == path.read_bytes()

    def test_it_goes_on_where_it_stopped(self, made, tmp_path):
        write_standin(tmp_path, 40, **SMALL)
        gone = clip_path(tmp_path, next(iter(made[1].extras)))
        content = gone.read_bytes()
        gone.unlink()
        write_standin(tmp_path, 40, **SMALL)
        assert gone.read_bytes() == content

    def test_packed_as_meld_and_unpacked(self, made, tmp_path):
        root, plan = made
        result = unpack(pack(root, tmp_path / "MELD.Raw.tar.gz"), tmp_path, progress=False)
        assert result.refused == []
        assert result.written.total() == len(plan.seconds) - len(plan.missing) + len(plan.twins)


class TestTables:
    def test_they_are_read_and_their_clips_found(self, made):
        root, plan = made
        tables = load_meld(root)
        for split, rows in plan.rows.items():
            assert len(tables[split]) == len(rows)
            missing = [clip is None for clip in tables[split]["clip"]]
            assert sum(missing) == sum(key[0] == split for key in plan.missing)

    def test_texts_survive_both_encodings(self, made):
        root, plan = made
        dev = (root / "dev_sent_emo.csv").read_bytes()
        with pytest.raises(UnicodeDecodeError):
            dev.decode("utf-8")
        tables = load_meld(root)
        for split, rows in plan.rows.items():
            assert tables[split]["text"].tolist() == [row["Utterance"] for row in rows]

    def test_lines_and_columns_are_the_official_ones(self, made):
        for split in ("train", "dev", "test"):
            data = (made[0] / f"{split}_sent_emo.csv").read_bytes()
            assert data.startswith(",".join(COLUMNS).encode() + b"\r\n") and data.endswith(b"\r\n")

    def test_times_are_written_in_every_way(self, made):
        assert all("." in row["StartTime"] for row in raw_rows(made[0], "dev"))
        starts = [row["StartTime"] for row in raw_rows(made[0], "train")]
        assert {start.index(":") for start in starts} == {1, 2} and all("," in start for start in starts)

    def test_proportions(self):
        plan = invent(4_000, 1, (305, 235))
        rows = [row for split in plan.rows.values() for row in split]
        assert abs(len(rows) - 4_000) < 5
        neutral = np.mean([row["Emotion"] == "neutral" for row in rows])
        assert neutral == pytest.approx(0.47, abs=0.03)
        seconds = np.array([plan.seconds[key] for key in plan.seconds if key not in plan.extras])
        assert np.median(seconds) == pytest.approx(2.46, abs=0.2) and 3.0 < seconds.mean() < 3.9
        assert np.mean([len(row["Utterance"].split()) for row in rows]) == pytest.approx(8, abs=1.5)

    def test_traps_of_the_numbers(self):
        plan = invent(4_000, 1, (305, 235))
        train = plan.rows["train"]
        dialogues = [int(row["Dialogue_ID"]) for row in train]
        assert max(dialogues) > 60 and 60 not in dialogues and dialogues[0] == 0
        assert plan.rows["test"][0]["Dialogue_ID"] == "0"  # they start anew
        numbers = [int(row["Sr No."]) for row in train]
        assert numbers == sorted(set(numbers)) and numbers[-1] > len(numbers)
        by_dialogue = {}
        for row in train:
            by_dialogue.setdefault(row["Dialogue_ID"], []).append(int(row["Utterance_ID"]))
        gaps = [d for d, numbers in by_dialogue.items() if numbers != list(range(len(numbers)))]
        assert 5 < len(gaps) < len(by_dialogue) / 4
        texts = [tuple(row[c] for c in ("Utterance", "Speaker", "Emotion")) for row in train]
        assert len(set(texts)) < len(texts)

    def test_traps_of_the_lengths(self):
        plan = invent(4_000, 1, (305, 235))
        test = sorted(s for key, s in plan.seconds.items() if key[0] == "test")
        assert test[0] == 0 and test[-1] == pytest.approx(305) and test[-2] == pytest.approx(235)
        train = sorted(s for key, s in plan.seconds.items() if key[0] == "train")
        assert train[0] == pytest.approx(0.01) and train[-1] == pytest.approx(41)

    def test_rows_can_be_taken_from_other_tables(self, tmp_path):
        official = invent(600, 3, (305, 235))
        for split, rows in official.rows.items():  # all as the official tables are: UTF-8, commas in the times
            write_tables(tmp_path, Plan({"train": rows}))
            (tmp_path / "train_sent_emo.csv").rename(tmp_path / f"{split}_sent_emo.csv.new")
        for split in official.rows:
            (tmp_path / f"{split}_sent_emo.csv.new").rename(tmp_path / f"{split}_sent_emo.csv")
        plan = choose(tmp_path, 100, 0)
        assert 100 <= sum(map(len, plan.rows.values())) < 220
        for split, rows in plan.rows.items():
            kept = {row["Dialogue_ID"] for row in rows}
            assert rows == [row for row in official.rows[split] if row["Dialogue_ID"] in kept]
