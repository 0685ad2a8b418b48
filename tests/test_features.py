"""The feature cache: same numbers as raw input, made once, made anew when something changes."""

import json
import os
import platform
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from decoders import decode_by_name
from safetensors import SafetensorError
from worlds import write_world

from mmsa_lib import MELDDataset, MultimodalSentimentModel, features, shards
from mmsa_lib.backbones import fingerprint
from mmsa_lib.dataset import MODEL_INPUTS, make_loader
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.features import extract, fill
from mmsa_lib.preprocess import MelSpec


def build(**options):
    torch.manual_seed(0)
    return MultimodalSentimentModel(random_backbones=["video"], **options).eval()


@pytest.fixture(scope="module")
def model():
    return build()


def files(folder):
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_cached_features_give_the_logits_of_raw_input(model, world, tmp_path):
    raw, cached = MELDDataset(world, "dev"), MELDDataset(world, "dev")
    cached.features = extract(cached, model, tmp_path)
    for a, b in zip(make_loader(raw, 3), make_loader(cached, 3), strict=True):
        with torch.inference_mode():
            expected = model(**{k: a[k] for k in MODEL_INPUTS if k in a})
            ours = model(**{k: b[k] for k in MODEL_INPUTS if k in b})
        torch.testing.assert_close(ours["emotions"], expected["emotions"], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ours["sentiments"], expected["sentiments"], atol=1e-5, rtol=1e-4)


def test_the_second_time_nothing_is_computed(model, world, tmp_path, monkeypatch):
    dataset = MELDDataset(world, "dev")
    first = extract(dataset, model, tmp_path, num_workers=1)
    before = files(tmp_path)
    monkeypatch.setattr(MELDDataset, "media", lambda *_: pytest.fail("a clip was decoded again"))
    monkeypatch.setattr(MELDDataset, "tokens", lambda *_: pytest.fail("a text was read again"))
    second = extract(dataset, model, tmp_path)
    assert files(tmp_path) == before
    for modality in ("text", "video", "audio"):
        assert all(torch.equal(a, b) for a, b in zip(first[modality], second[modality], strict=True))


def test_extraction_leaves_the_random_numbers_alone(model, world, tmp_path):
    before = torch.get_rng_state()
    extract(MELDDataset(world, "train"), model, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.end_to_end
def test_a_killed_extraction_goes_on_where_it_stopped(model, world, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CHUNK_SIZES", {"text": 2, "video": 2, "audio": 2})
    dataset = MELDDataset(world, "dev")
    whole = extract(dataset, model, tmp_path / "whole")
    real, calls = MELDDataset.media, []

    def dies_at_the_fifth(self, index):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(index)
        return real(self, index)

    monkeypatch.setattr(MELDDataset, "media", dies_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        extract(dataset, model, tmp_path / "killed")
    decoded = []
    monkeypatch.setattr(MELDDataset, "media", lambda self, i: (decoded.append(i), real(self, i))[1])
    resumed = extract(dataset, model, tmp_path / "killed")
    assert decoded == [4, 5, 6]  # the two whole chunks are not decoded again
    for modality in ("text", "video", "audio"):
        assert all(torch.equal(a, b) for a, b in zip(whole[modality], resumed[modality], strict=True))


def test_content_is_on_the_disk_before_its_name(model, world, tmp_path, monkeypatch):
    order, sync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("content"), sync(number)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("name"), replace(self, to)))
    extract(MELDDataset(world, "dev"), model, tmp_path)
    assert order == ["content", "name"] * 6  # a shard and a manifest a modality


@pytest.mark.parametrize("change", ["backbone", "mel", "pooling", "clip", "text"])
def test_a_change_is_noticed(model, tmp_path, change):
    root = write_world(tmp_path / "data", {"dev": 2})
    extract(MELDDataset(root, "dev"), model, tmp_path / "kept")
    before = files(tmp_path / "kept")
    options, other = {}, model
    if change == "backbone":
        torch.manual_seed(1)
        other = MultimodalSentimentModel(random_backbones=["video"])
    elif change == "pooling":
        other = build(pooling="cls")
    elif change == "mel":
        options["mel"] = MelSpec(log=False)
    elif change == "clip":
        clip = root / "dev_splits_complete" / "dia0_utt0.mp4"
        clip.write_bytes((root / "dev_splits_complete" / "dia0_utt1.mp4").read_bytes())
    else:
        table = root / "dev_sent_emo.csv"
        table.write_text(table.read_text().replace("furious", "delighted"))
    extract(MELDDataset(root, "dev", **options), other, tmp_path / "kept")
    assert set(files(tmp_path / "kept")) > set(before)


def test_damaged_files_of_the_cache_are_made_again(model, world, tmp_path):
    dataset = MELDDataset(world, "dev")
    whole = extract(dataset, model, tmp_path)
    for path in tmp_path.rglob("*.safetensors"):
        start = path.read_bytes()[:50]
        path.unlink()  # what is loaded is still mapped from the old file
        path.write_bytes(start)
    again = extract(dataset, model, tmp_path)
    assert all(torch.equal(a, b) for m in whole for a, b in zip(whole[m], again[m], strict=True))


def test_damaged_clips_are_recorded_and_passed_over(model, tmp_path):
    root = write_world(tmp_path / "data", {"dev": 3})
    (root / "dev_splits_complete" / "dia0_utt1.mp4").write_bytes(b"")
    for _ in range(2):  # made, then read back
        kept = extract(MELDDataset(root, "dev"), model, tmp_path / "kept")
        assert list(kept.errors) == ["dia0_utt1.mp4"]
        assert [x is None for x in kept["video"]] == [False, True, False]


@pytest.mark.end_to_end
def test_a_decoder_that_is_killed_or_hangs_costs_its_clip_alone(model, tmp_path, monkeypatch):
    root = write_world(tmp_path / "data", {"dev": 5})
    whole = extract(MELDDataset(root, "dev"), model, tmp_path / "whole")
    monkeypatch.setattr(features, "read_requested", decode_by_name)
    kept = extract(MELDDataset(root, "dev"), model, tmp_path / "kept", num_workers=2, seconds_per_clip=3.0)
    assert kept.errors == {
        "dia0_utt1.mp4": "the decoder crashed (SIGKILL)",
        "dia0_utt2.mp4": "took longer than 3 seconds",
    }
    for modality in ("video", "audio"):
        assert [x is None for x in kept[modality]] == [False, True, True, False, False]
        for row in (0, 3, 4):
            assert torch.equal(kept[modality][row], whole[modality][row])


def test_rows_without_a_clip_have_their_text(model, tmp_path):
    root = write_world(tmp_path / "data", {"dev": 3})
    (root / "dev_splits_complete" / "dia0_utt1.mp4").unlink()
    for workers in (0, 1):
        kept = extract(MELDDataset(root, "dev"), model, tmp_path / f"kept{workers}", num_workers=workers)
        assert [x is None for x in kept["video"]] == [x is None for x in kept["audio"]] == [False, True, False]
        assert kept.errors == {} and all(x is not None for x in kept["text"])


def test_the_manifest_says_what_was_made_of_what(model, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CHUNK_SIZES", {"text": 2, "video": 2, "audio": 2})
    root = write_world(tmp_path / "data", {"dev": 3})
    (root / "dev_splits_complete" / "dia0_utt1.mp4").write_bytes(b"")
    effort, left_out = fill(MELDDataset(root, "dev"), model, tmp_path / "kept")
    (path,) = (tmp_path / "kept").glob("video-*/*.json")
    manifest = json.loads(path.read_text())
    assert manifest["split"] == "dev" and manifest["rows"] == 3 and manifest["modality"] == "video"
    assert manifest["recipe"]["backbone"] == fingerprint(model.encoders["video"].backbone)
    assert [(f["rows"], f["kept"]) for f in manifest["files"]] == [([0, 2], 1), ([2, 3], 1)]
    assert all((path.parent / f["file"]).is_file() for f in manifest["files"])
    assert manifest["left_out"] == left_out == {"dia0_utt1.mp4": "empty file"}
    assert (effort.clips, effort.texts) == (3, 3) and 0 <= effort.waited <= effort.media_seconds <= effort.seconds
    assert "3 texts and 3 clips read in" in str(effort) and "waiting for a decoder" in str(effort)
    assert fill(MELDDataset(root, "dev"), model, tmp_path / "kept")[0].clips == 0


def test_the_batch_size_does_not_change_features(model, world, tmp_path):
    one = extract(MELDDataset(world, "dev"), model, tmp_path / "one")
    other = extract(MELDDataset(world, "dev"), model, tmp_path / "other", batch_size=2)
    for modality in one:
        for a, b in zip(one[modality], other[modality], strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
    assert {p.parent.name for p in files(tmp_path / "one")} == {p.parent.name for p in files(tmp_path / "other")}


def test_half_precision_is_near_and_kept_apart(model, world, tmp_path):
    full = extract(MELDDataset(world, "dev"), model, tmp_path)
    half = extract(MELDDataset(world, "dev"), model, tmp_path, precision="bf16")
    for modality in ("text", "video"):
        a, b = torch.stack(full[modality]), torch.stack(half[modality])
        assert b.dtype == torch.float32 and 0 < (a - b).norm() / a.norm() < 0.03
    kinds = [p.name.split("-")[0] for p in tmp_path.iterdir()]
    assert sorted(kinds) == ["audio", "text", "text", "video", "video"]


def test_what_a_dead_process_left_half_written_is_swept_away(model, world, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "video-0").mkdir()
    names = {pid: f"dev-0.safetensors.{platform.node()}-{pid}.tmp" for pid in (dead.pid, os.getpid())}
    for name in names.values():
        (tmp_path / "video-0" / name).touch()
    fill(MELDDataset(world, "dev", modalities=["text"]), build(modalities=["text"]), tmp_path)
    assert [p.name for p in (tmp_path / "video-0").iterdir()] == [names[os.getpid()]]


def test_a_backbone_to_be_fine_tuned_gets_its_frames_kept(world, tmp_path):
    model = build(finetune=["video", "text"])
    dataset = MELDDataset(world, "dev")
    dataset.features = extract(dataset, model, tmp_path)
    assert "text" not in dataset.features
    assert dataset.features["video"][0].dtype == torch.uint8
    assert dataset[0]["text_inputs"].dtype == torch.long  # tokens, made on the fly
    batch = next(iter(make_loader(dataset, 2)))
    assert model(**{k: batch[k] for k in MODEL_INPUTS if k in batch})["emotions"].shape == (2, 7)


def test_what_may_have_passed_is_tried_again_and_what_would_fail_again_is_not(model, tmp_path, monkeypatch):
    root = write_world(tmp_path / "data", {"dev": 3})
    (root / "dev_splits_complete" / "dia0_utt1.mp4").write_bytes(b"")  # nothing will change that
    kept, real, tried = tmp_path / "kept", MELDDataset.media, []

    def disk_fails(self, row):
        tried.append(row)
        if row == 2:
            raise MediaError("dia0_utt2.mp4", "cannot be read (Input/output error)", passing=True)
        return real(self, row)

    monkeypatch.setattr(MELDDataset, "media", disk_fails)
    first = extract(MELDDataset(root, "dev"), model, kept)
    assert set(first.errors) == {"dia0_utt1.mp4", "dia0_utt2.mp4"} and tried == [0, 1, 2]
    monkeypatch.setattr(MELDDataset, "media", lambda self, row: (tried.append(row), real(self, row))[1])
    second = extract(MELDDataset(root, "dev"), model, kept)
    assert set(second.errors) == {"dia0_utt1.mp4"} and second["audio"][2] is not None and tried == [0, 1, 2] * 2
    extract(MELDDataset(root, "dev"), model, kept)
    assert tried == [0, 1, 2] * 2
    (manifest,) = kept.glob("audio-*/*.json")
    assert list(json.loads(manifest.read_text())["left_out"]) == ["dia0_utt1.mp4"]


@pytest.mark.parametrize(("seconds", "again"), [(3.0, False), (3.5, True)])
def test_what_took_too_long_is_tried_again_when_it_may_take_longer(tmp_path, seconds, again):
    kept = shards.Shards(tmp_path, "dev", {"audio": {}}, {"audio": ["clip"]})
    kept.write("audio", range(1), [None], {"clip": "took longer than 3 seconds"}, patience=3.0)
    assert kept.missing("audio", seconds) == []  # not by the same process
    later = shards.Shards(tmp_path, "dev", {"audio": {}}, {"audio": ["clip"]})
    assert later.missing("audio", seconds) == [range(1)] * again


def test_a_full_disk_names_the_file_and_leaves_nothing(model, world, tmp_path, monkeypatch):
    def fills_up(tensors, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: File too large")

    monkeypatch.setattr(shards, "save_file", fills_up)
    with pytest.raises(DataError, match=r"text.*cannot be written \(I/O error"):
        extract(MELDDataset(world, "dev", modalities=("text",)), model, tmp_path)
    assert files(tmp_path) == {}


def test_an_utterance_without_words_has_no_text(model, tmp_path):
    root = write_world(tmp_path / "data", {"dev": 7}, clips=False)
    table = pd.read_csv(root / "dev_sent_emo.csv")
    table.loc[2, "Utterance"] = " "
    table.to_csv(root / "dev_sent_emo.csv", index=False)
    dataset = MELDDataset(root, "dev", modalities=("text",), speaker_names=True)
    assert [dataset.tokens(i) is None for i in range(7)] == [i == 2 for i in range(7)]
    kept = extract(dataset, model, tmp_path / "features")["text"]
    assert [vector is None for vector in kept] == [i == 2 for i in range(7)]
