"""The bench on tiny input: it runs, and the usual way gives what the library gives. No test here looks at times."""

import json
import shutil

import numpy as np
import pytest
import torch

from mmsa_lib import MELDDataset, MultimodalSentimentModel
from mmsa_lib.backbones import load_tokenizer
from mmsa_lib.bench import comparisons, plan, rates, table, usual
from mmsa_lib.bench.__main__ import main
from mmsa_lib.bench.films import read_lines, write_set
from mmsa_lib.class_weights import compute_class_weights
from mmsa_lib.errors import DataError
from mmsa_lib.features import text_vectors
from mmsa_lib.media import probe
from mmsa_lib.meld import load_split
from mmsa_lib.preprocess import tokenize
from mmsa_lib.presets import PRESETS
from mmsa_lib.readme import put_between

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
RATES = {"lasts": 3.6, "file": 1e6, "decode": 0.1, "video": 0.9, "text": 0.01, "start": 2e-4, "row_memory": 1_000.0}
RATES |= {"kept_text": 1_536.0, "kept_video": 2_048.0, "kept_audio": 9e4, "epoch": 3e-3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Seven small clips in the shape of MELD's, one of each emotion."""
    root = tmp_path_factory.mktemp("bench") / "data"
    return write_set(root, 7, size=(90, 160), seconds=2, preset="ultrafast")


@pytest.fixture(scope="module")
def both(data):
    """The same rows in the library's way and in the usual one."""
    options = {"video_backbone": "r3d_mini"}
    return MELDDataset(data, "train", **options), usual.UsualDataset(data, "train", **options)


# ------------------------------------------------------------------------------------ the same values


def test_the_set_has_the_shape_of_meld(data):
    table = load_split(data, "train")
    assert len(table) == 7 and table["clip"].notna().all() and table["text"].str.len().min() > 0
    found = [probe(clip) for clip in table["clip"]]
    assert {clip["sample_rate"] for clip in found} == {48_000} and {clip["channels"] for clip in found} == {2, 6}


@needs_ffmpeg
def test_the_usual_way_hears_and_sees_the_same(both):
    ours, other = both
    for i in range(len(ours)):
        comparisons.assert_alike(ours[i], other[i])
        assert ours[i]["emotion_label"] == other[i]["emotion_label"]


@needs_ffmpeg
def test_a_frame_too_late_or_bgr_would_be_noticed(both):
    ours, other = both[0][0], dict(both[1][0])
    comparisons.assert_alike(ours, other)
    wrong = dict(ours) | {"video_frames": ours["video_frames"].roll(4, dims=1).flip(-1)}
    with pytest.raises(AssertionError, match="frames differ"):
        comparisons.assert_alike(wrong, other)
    with pytest.raises(AssertionError):
        comparisons.assert_alike(dict(ours) | {"audio_features": ours["audio_features"] + 0.2}, other)


def test_the_quicker_opencv_gives_the_same_frames(data):
    for clip in load_split(data, "train")["clip"]:
        every, wanted = (read(clip, 8, (48, 64)) for read in (usual.read_frames, usual.read_wanted_frames))
        assert every.shape == (8, 48, 64, 3) and np.array_equal(every, wanted)


def test_padded_texts_have_the_same_features():
    encoder = MultimodalSentimentModel(modalities=["text"]).eval().encoders["text"]
    tokenizer = load_tokenizer("all-MiniLM-L6-v2")
    tokens = [tokenize(line, tokenizer) for line in read_lines()[:6]]
    ours = torch.stack(text_vectors(encoder, tokens, tokenizer.pad_token_id, "cpu", batch_size=4))
    other = usual.text_vectors(encoder, tokens, tokenizer.pad_token_id, batch_size=4)
    torch.testing.assert_close(ours, other, atol=1e-5, rtol=1e-4)


@needs_ffmpeg
def test_usual_batches_and_weights(both):
    _, other = both
    batch = next(iter(usual.make_loader(other, 7)))
    mask = batch["text_inputs"]["attention_mask"]
    assert mask.shape == (7, 128) and mask.sum() == sum((other.tokens(i) != other.pad_token_id).sum() for i in range(7))
    assert batch["modality_mask"].all()
    torch.testing.assert_close(usual.class_weights(other), compute_class_weights(other)["emotion"])


def test_missing_tools_are_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="ffmpeg, which is not installed"):
        usual.require_tools()


# ------------------------------------------------------------------------------------- it runs


@needs_ffmpeg
@pytest.mark.end_to_end
def test_every_comparison_runs(data, tmp_path):
    preset = PRESETS["mini"]
    rows = [comparisons.importing(repeats=1), comparisons.class_weights(data, "r3d_mini")]
    rows += comparisons.clip_inputs(data, clips=2, repeats=1, video_backbone="r3d_mini")
    rows += [comparisons.text_features(8), *comparisons.epoch(data, tmp_path / "kept", preset, times_over=2)]
    assert all(row.ours > 0 and row.other > 0 for row in rows)
    found = rates.measure(data, tmp_path / "kept", preset, clips=2, rows=70) | {"epoch": 1e-3}
    assert found.keys() == RATES.keys() and all(value > 0 for value in found.values())
    kept = table.write(rows, found, tmp_path / "measured.json")
    assert kept == table.read(tmp_path / "measured.json")
    assert table.to_markdown(kept).count("\n| ") == len(rows)
    assert "clips" in plan.to_markdown(found, 1, 1)


# ------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize(
    "kind, ours, other, target, met, figure",
    [
        ("times", 0.1, 0.3, 2.5, True, "3.00 times"),
        ("times", 0.1, 0.2, 2.5, False, "2.00 times"),
        ("within", 0.13, 0.1, 1.3, True, "1.30 of it"),
        ("within", 0.14, 0.1, 1.3, False, "1.40 of it"),
        ("beyond", 0.26, 0.02, 0.3, True, "0.240 s more"),
        ("beyond", 0.36, 0.02, 0.3, False, "0.340 s more"),
    ],
)
def test_a_row_says_whether_its_target_is_met(kind, ours, other, target, met, figure):
    row = table.Row("a", "b", ours, other, kind, target)
    assert row.met is met and row.cells()[4] == figure
    assert ("missed" in row.cells()[5]) is not met


def test_times_have_suitable_units():
    shown = [table.seconds(value) for value in (123.4, 2.345, 0.0456, 0.3, 7.8e-5, 1e-8)]
    assert shown == ["123 s", "2.35 s", "45.6 ms", "300 ms", "78 µs", "0.01 µs"]


def test_the_plan_is_arithmetic():
    text = plan.to_markdown(RATES, hours=10_000, cores=1_000)
    assert "e+" not in text
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    assert "10,000,000 |" in rows["clips"]
    assert "10 TB" in rows["files to read"]
    assert "278 core-hours" in rows["decoding to frames and log-mel"]
    assert "2.81 hours" in rows["all three, on 1,000 cores"]
    assert "900 GB in 156,250 shards" in rows["audio features"]
    assert "33.3 minutes in every process" in rows["start of a process, one modality"]
    assert "10 GB in every process" in rows["the table in memory"]
    assert "300,000, so 34 parts" in rows["clips in a part that starts within 60 s"]


def test_the_stored_plan_is_printed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "--plan", "100", "--cores", "4"])
    monkeypatch.setattr(table.read, "__defaults__", (tmp_path / "measured.json",))
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "nothing has been measured yet" in capsys.readouterr().err
    (tmp_path / "measured.json").write_text(json.dumps({"rates": RATES}))
    main()
    assert "on 4 cores" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--plan", "0"], ["--plan", "1", "--cores", "0"]])
def test_an_impossible_plan_is_refused(monkeypatch, capsys, words):
    monkeypatch.setattr("sys.argv", ["bench", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.startswith("error: --plan takes")


def test_a_table_replaces_the_one_before(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- x -->\nold\n<!-- y -->\nz\n")
    assert put_between(readme, "<!-- x -->", "<!-- y -->", "| new |")
    assert readme.read_text() == "a\n<!-- x -->\n| new |\n<!-- y -->\nz\n"
    assert not put_between(readme, "<!-- x -->", "<!-- y -->", "| new |")
    with pytest.raises(DataError, match="once each"):
        put_between(readme, "<!-- q -->", "<!-- y -->", "")
