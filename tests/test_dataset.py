"""The data set and its batches."""

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import feature_dataset, write_world

from mmsa_lib import MELDDataset, collate
from mmsa_lib.dataset import LengthBatchSampler, make_loader
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS


def test_an_item_has_all_three_modalities_and_both_labels(world):
    item = MELDDataset(world, "train")[3]
    assert item["text_inputs"].ndim == 1 and item["text_inputs"].dtype == torch.long
    assert item["video_frames"].shape == (3, 8, 64, 64) and item["video_frames"].is_floating_point()
    assert item["audio_features"].shape[0] == 64
    assert EMOTIONS[item["emotion_label"]] == "joy" and item["sentiment_label"] == 2


def test_a_batch_of_raw_clips(world):
    dataset = MELDDataset(world, "train")
    batch = next(iter(make_loader(dataset, 4)))
    longest = max(dataset[i]["audio_features"].shape[1] for i in range(4))
    assert batch["text_inputs"]["input_ids"].shape == batch["text_inputs"]["attention_mask"].shape
    assert batch["video_frames"].shape == (4, 3, 8, 64, 64)
    assert batch["audio_features"].shape == (4, 64, longest)
    assert batch["audio_lengths"].max() == longest
    assert batch["modality_mask"].all() and batch["modality_mask"].shape == (4, 3)
    assert batch["emotion_label"].tolist() == [0, 1, 2, 3]


def test_text_alone_opens_no_clip(world, monkeypatch):
    monkeypatch.setattr("mmsa_lib.dataset.read_clip", lambda *_, **__: pytest.fail("a clip was opened"))
    batch = next(iter(make_loader(MELDDataset(world, modalities=["text"]), 3)))
    assert batch["video_frames"] is None and batch["audio_features"] is None
    assert batch["modality_mask"].tolist() == [[True, False, False]] * 3


def test_damaged_and_absent_clips_are_marked_not_fatal(tmp_path):
    root = write_world(tmp_path, {"train": 3})
    (root / "train_splits" / "dia0_utt0.mp4").write_bytes(b"not a film")
    (root / "train_splits" / "dia0_utt1.mp4").unlink()
    dataset = MELDDataset(root, "train")
    with pytest.warns(UserWarning, match=r"dia0_utt0\.mp4"):
        batch = collate([dataset[i] for i in range(3)])
    assert batch["modality_mask"].tolist() == [[True, False, False], [True, False, False], [True, True, True]]
    assert batch["audio_lengths"][:2].tolist() == [0, 0]


def test_attention_mask_follows_the_padding():
    items = [
        {"text_inputs": torch.tensor(ids), "video_frames": None, "audio_features": None}
        | {"emotion_label": 0, "sentiment_label": 0}
        for ids in ([5, 6, 7], [8])
    ]
    text = collate(items, pad_token_id=1)["text_inputs"]
    assert text["input_ids"].tolist() == [[5, 6, 7], [8, 1, 1]]
    assert text["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_features_are_stacked():
    batch = collate([feature_dataset(5)[i] for i in range(5)])
    assert batch["text_inputs"].shape == (5, 384) and batch["video_frames"].shape == (5, 128)


class TestLengthBatchSampler:
    lengths = np.random.default_rng(0).integers(1, 300, 203)

    def test_every_item_once(self):
        batches = list(LengthBatchSampler(self.lengths, 16))
        assert sorted(i for batch in batches for i in batch) == list(range(203))
        assert len(batches) == len(LengthBatchSampler(self.lengths, 16))

    def test_order_depends_on_seed_and_epoch_alone(self):
        sampler = LengthBatchSampler(self.lengths, 16, seed=1)
        first = list(sampler)
        assert list(sampler) == first
        sampler.set_epoch(1)
        assert list(sampler) != first
        assert list(LengthBatchSampler(self.lengths, 16, seed=2)) != first

    def test_less_padding_than_random_batches(self):
        def padding(batches):
            return sum(len(b) * self.lengths[b].max() - self.lengths[b].sum() for b in batches)

        order = np.random.default_rng(0).permutation(203)
        random = [order[i : i + 16].tolist() for i in range(0, 203, 16)]
        assert padding(list(LengthBatchSampler(self.lengths, 16))) < 0.5 * padding(random)

    def test_nothing_and_one(self):
        assert list(LengthBatchSampler(np.array([], dtype=int), 4)) == []
        assert list(LengthBatchSampler(np.array([7]), 4)) == [[0]]


def test_turns_out_of_order_are_refused_where_the_order_matters():
    table = pd.DataFrame({
        "split": "test",
        "dialogue_id": [0, 0, 3, 3],
        "utterance_id": [0, 1, 5, 2],
        "speaker": "Ann",
        "text": "Oh.",
        "clip": None,
        "emotion": "neutral",
        "sentiment": "neutral",
    })  # fmt: skip
    assert len(MELDDataset(table, modalities=["text"])) == 4
    with pytest.raises(DataError, match="dialogue 3: utterance 2 comes after a later one"):
        MELDDataset(table, modalities=["text"], dialogues=True)
    ordered = table.sort_values("utterance_id")
    assert MELDDataset(ordered, modalities=["text"], dialogues=True).dialogue.tolist() == [0, 0, 1, 1]
