"""The feature cache: same numbers as raw input, made once, made anew when something changes."""

import os
from pathlib import Path

import pytest
import torch
from worlds import write_world

from mmsa_lib import MELDDataset, MultimodalSentimentModel, shards
from mmsa_lib.dataset import MODEL_INPUTS, make_loader
from mmsa_lib.features import extract
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


def test_a_backbone_to_be_fine_tuned_gets_its_frames_kept(world, tmp_path):
    model = build(finetune=["video", "text"])
    dataset = MELDDataset(world, "dev")
    dataset.features = extract(dataset, model, tmp_path)
    assert "text" not in dataset.features
    assert dataset.features["video"][0].dtype == torch.uint8
    assert dataset[0]["text_inputs"].dtype == torch.long  # tokens, made on the fly
    batch = next(iter(make_loader(dataset, 2)))
    assert model(**{k: batch[k] for k in MODEL_INPUTS if k in batch})["emotions"].shape == (2, 7)
