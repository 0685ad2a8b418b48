"""Utterances as tensors: `MELDDataset` gives one, `collate` makes a batch, `make_loader` batches of like length.

Derived in notebooks/01 (what a clip is) and notebooks/02 (padding, batches of like length).
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from mmsa_lib.backbones import MINILM, load_tokenizer, video_spec
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.labels import EMOTION_INDEX, MODALITIES, SENTIMENT_INDEX
from mmsa_lib.media import Clip, read_clip
from mmsa_lib.meld import load_split
from mmsa_lib.preprocess import MAX_AUDIO_SECONDS, MelSpec, log_mel, prepare_frames, standardise, tokenize

Item = dict[str, Any]
MODEL_INPUTS = (
    "text_inputs",
    "video_frames",
    "audio_features",
    "audio_lengths",
    "modality_mask",
    "dialogue",
    "speaker",
    "judged",
)


class Turn(NamedTuple):
    """A row of the table as part of an excerpt: of which one, and whether it is judged or only there to be seen."""

    row: int
    excerpt: int
    judged: bool


_KEYS = {"text": "text_inputs", "video": "video_frames", "audio": "audio_features"}


class MELDDataset(Dataset):
    """One split of a data set in MELD's layout; item i is utterance i of the annotation table.

    Args:
        data: a folder in any of MELD's layouts, or a table from `mmsa_lib.meld.load_split`.
        split: train, dev or test; not needed with a table.
        modalities: what to load; with text alone no clip is opened.
        text_backbone, video_backbone: whose tokens and whose frames to prepare.
        mel: settings of the log-mel spectrogram.
        features: what `mmsa_lib.features.extract` kept; items then come from memory, not from clips.
        dialogues: items also say which `dialogue` and `speaker` they belong to, as numbers, and
            `make_loader` keeps dialogues together: for models with context.
        speaker_names: whether the text of a turn begins with its speaker's name.
        threads: that decode a clip, see `mmsa_lib.media.read_clip`.

    An item has `text_inputs` (token ids (L,) or pooled features), `video_frames` (standardised
    (3, T, h, w) or backbone features), `audio_features` (log-mel (64, T)), each None where the
    utterance lacks it, and the integers `emotion_label`, `sentiment_label` and `row`, its index. A damaged
    clip counts as lacking, with a warning that names it.
    """

    def __init__(
        self,
        data: str | Path | pd.DataFrame,
        split: str = "train",
        *,
        modalities: Sequence[str] = MODALITIES,
        text_backbone: str = MINILM,
        video_backbone: str = "r3d_mini",
        mel: MelSpec = MelSpec(),
        features: Mapping[str, Sequence[Tensor | None]] | None = None,
        dialogues: bool = False,
        speaker_names: bool = False,
        threads: int = 1,
    ) -> None:
        self.table = data if isinstance(data, pd.DataFrame) else load_split(data, split)
        self.modalities = tuple(modalities)
        self.text_backbone = text_backbone
        self.video = video_spec(video_backbone) if "video" in self.modalities else None
        self.mel = mel
        self.features = features
        self.speaker_names, self.threads = speaker_names, threads
        self.dialogue = _dialogue_numbers(self.table) if dialogues else None
        self.speaker = _speaker_numbers(self.table) if dialogues else None
        self.emotion_labels = self.table["emotion"].map(EMOTION_INDEX).to_numpy(np.int64)
        self.sentiment_labels = self.table["sentiment"].map(SENTIMENT_INDEX).to_numpy(np.int64)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int | Turn) -> Item:
        if isinstance(index, Turn):
            return self[index.row] | {"dialogue": index.excerpt, "judged": index.judged}
        item: Item = dict.fromkeys(_KEYS.values())
        item |= self._from_memory(index) if self.features is not None else self._from_clip(index)
        item["emotion_label"] = int(self.emotion_labels[index])
        item["sentiment_label"] = int(self.sentiment_labels[index])
        item["row"] = int(index)
        if self.dialogue is not None:
            item |= {"dialogue": int(self.dialogue[index]), "speaker": int(self.speaker[index])}
        return item

    def _from_memory(self, index: int) -> Item:
        item = {_KEYS[m]: self.features[m][index] for m in self.modalities if m in self.features}
        if "text" in self.modalities and "text" not in self.features:
            item["text_inputs"] = self.tokens(index)
        return item

    def _from_clip(self, index: int) -> Item:
        item: Item = {"text_inputs": self.tokens(index)} if "text" in self.modalities else {}
        try:
            frames, mel = self.media(index)
        except MediaError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            return item
        item["video_frames"] = standardise(frames, self.video) if frames is not None else None
        item["audio_features"] = mel
        return item

    def tokens(self, index: int) -> Tensor | None:
        """Token ids (L,) of utterance `index`, None where it has no words."""
        if not self.table["text"].iat[index].strip():
            return None
        return tokenize(self.text(index), load_tokenizer(self.text_backbone))

    def text(self, index: int) -> str:
        """What is said in utterance `index`, behind the speaker's name if the data set is to give it."""
        text = self.table["text"].iat[index]
        speaker = self.table["speaker"].iat[index] if self.speaker_names else ""
        return f"{speaker}: {text}" if speaker else text

    def media(self, index: int) -> tuple[Tensor | None, Tensor | None]:
        """uint8 frames (3, T, h, w) and log-mel (64, T) from one pass over the clip; None where absent."""
        request = self.request(index)
        return self.prepare(None if request is None else read_clip(**request))

    def request(self, index: int) -> dict[str, Any] | None:
        """The arguments of `read_clip` for utterance `index`; None if nothing is to be decoded."""
        clip = self.table["clip"].iat[index]
        want_video, want_audio = self.video is not None, "audio" in self.modalities
        if clip is None or not (want_video or want_audio):
            return None
        return {
            "path": clip,
            "num_frames": self.video.num_frames if want_video else 1,
            "size": self.video.resize if want_video else None,
            "video": want_video,
            "audio": want_audio,
            "max_seconds": MAX_AUDIO_SECONDS,
            "threads": self.threads,
        }

    def prepare(self, clip: Clip | None) -> tuple[Tensor | None, Tensor | None]:
        """What `media` gives, from a clip that was decoded as `request` asks."""
        if clip is None:
            return None, None
        frames = prepare_frames(clip.frames, self.video) if clip.frames is not None else None
        has_sound = clip.waveform is not None and clip.waveform.size > 0
        return frames, log_mel(clip.waveform, self.mel) if has_sound else None

    @property
    def pad_token_id(self) -> int:
        return load_tokenizer(self.text_backbone).pad_token_id or 0 if "text" in self.modalities else 0

    @property
    def lengths(self) -> np.ndarray:
        """(N,) how long each item is, in spectrogram frames where known, else in characters of text."""
        if self.features is not None and "audio" in self.features:
            return np.array([0 if mel is None else mel.shape[1] for mel in self.features["audio"]])
        return self.table["text"].str.len().to_numpy(np.int64)


def _dialogue_numbers(table: pd.DataFrame) -> np.ndarray:
    """(N,) the same number for turns of one dialogue, which the table must have in their order."""
    if "utterance_id" in table:
        earlier = table["utterance_id"].groupby(table["dialogue_id"], sort=False).diff() < 0
        if earlier.any():
            row = table.loc[earlier.to_numpy()].iloc[0]
            raise DataError(
                f"dialogue {row['dialogue_id']}: utterance {row['utterance_id']} comes after a later one; "
                "a model with context needs a table sorted by Utterance_ID"
            )
    return pd.factorize(table["dialogue_id"])[0]


def _speaker_numbers(table: pd.DataFrame) -> np.ndarray:
    """(N,) the same number for the same name, -1 where there is none."""
    names = table["speaker"].str.strip().str.lower()
    return pd.factorize(names.mask(names == ""))[0]


# ------------------------------------------------------------------------------------------ batches


def collate(items: Sequence[Item], pad_token_id: int = 0) -> dict[str, Any]:
    """Items -> one batch, padded to its own longest item.

    `text_inputs` {input_ids, attention_mask} (B, L) or features (B, H); `video_frames`
    (B, 3, T, h, w) or (B, W); `audio_features` (B, 64, T) with `audio_lengths` (B,);
    `modality_mask` (B, 3) bool; `emotion_label`, `sentiment_label` (B,). An input that every item
    lacks is None. `row`, `dialogue`, `speaker` and `judged` (B,) where the items have them.
    """
    text, text_present = _split_present(items, "text_inputs")
    video, video_present = _split_present(items, "video_frames")
    audio, audio_present = _split_present(items, "audio_features")
    lengths = torch.zeros(len(items), dtype=torch.long)
    lengths[audio_present] = torch.tensor([mel.shape[1] for mel in audio], dtype=torch.long)
    mels = pad_sequence([mel.T for mel in audio], batch_first=True).transpose(1, 2) if audio else None
    batch = {
        "text_inputs": _collate_text(text, text_present, pad_token_id),
        "video_frames": _scatter(torch.stack(video), video_present) if video else None,
        "audio_features": _scatter(mels, audio_present) if audio else None,
        "audio_lengths": lengths,
        "modality_mask": torch.stack([text_present, video_present, audio_present], dim=1),
        "emotion_label": torch.tensor([item["emotion_label"] for item in items]),
        "sentiment_label": torch.tensor([item["sentiment_label"] for item in items]),
    }
    known = [name for name in ("row", "dialogue", "speaker", "judged") if name in items[0]]
    return batch | {name: torch.tensor([item[name] for item in items]) for name in known}


def _split_present(items: Sequence[Item], key: str) -> tuple[list[Tensor], Tensor]:
    """The tensors that are there, and a (B,) bool that says where."""
    values = [item[key] for item in items]
    return [v for v in values if v is not None], torch.tensor([v is not None for v in values])


def _collate_text(text: list[Tensor], present: Tensor, pad_token_id: int):
    if not text:
        return None
    if text[0].is_floating_point():
        return _scatter(torch.stack(text), present)
    ids = pad_sequence(text, batch_first=True, padding_value=pad_token_id)
    mask = pad_sequence([torch.ones_like(t) for t in text], batch_first=True)
    return {
        "input_ids": _scatter(ids, present, pad_token_id),
        "attention_mask": _scatter(mask, present),
    }


def _scatter(rows: Tensor, present: Tensor, fill: int = 0) -> Tensor:
    """Spread the rows over the batch; what lies in the other places is never read, see `modality_mask`."""
    if present.all():
        return rows
    out = rows.new_full((len(present), *rows.shape[1:]), fill)
    out[present] = rows
    return out


class LengthBatchSampler(Sampler[list[int]]):
    """Batches of similar length in random order: little padding, yet no fixed company.

    Items are shuffled, cut into pools of `pool` batches, sorted by length inside each pool, and the
    batches shuffled again; a short one comes last. The order depends on `seed` and the epoch alone.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int = 0, pool: int = 16) -> None:
        self.lengths, self.batch_size, self.seed, self.pool = lengths, batch_size, seed, pool
        self.drop_last = False
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        pool_size = self.pool * self.batch_size
        pools = [order[i : i + pool_size] for i in range(0, len(order), pool_size)]
        ordered = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools] or [order])
        batches = [ordered[i : i + self.batch_size] for i in range(0, len(ordered), self.batch_size)]
        shuffled = [batches[i].tolist() for i in rng.permutation(len(batches))]
        # the last place is where Accelerate expects a short batch when it gathers for metrics
        return iter(sorted(shuffled, key=lambda batch: len(batch) < self.batch_size))


class DialogueBatchSampler(Sampler[list[int] | list[Turn]]):
    """Batches of whole dialogues, or of excerpts of them; their turns are in order.

    A batch of whole dialogues has about `batch_size` utterances, at least one dialogue. Such a batch is a poor
    sample: its turns share their topic, their speakers and their mood. With `excerpt` it is made of short runs of
    that many judged turns instead, out of dialogues drawn at random, each with the `past` turns before and the
    `future` turns after it, which are only there to be seen; `batch_size` then counts what is judged.

    Shuffled, pieces of similar `lengths` (their number of turns by default) share a batch, in an order that depends
    on `seed` and the epoch alone. The first batches are repeated until every one of `processes` gets as many as the
    others.
    """

    def __init__(
        self,
        dialogue: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        pool: int = 16,
        excerpt: int = 0,
        past: int = 0,
        future: int = 0,
        lengths: np.ndarray | None = None,
        processes: int | None = None,
    ) -> None:
        order = np.argsort(dialogue, kind="stable")
        starts = np.flatnonzero(np.diff(dialogue[order], prepend=-1))
        self.turns = np.split(order, starts[1:]) if len(order) else []
        # not called `batch_size`: Accelerate would pass over batches that are not of that size
        self.size, self.shuffle, self.seed, self.pool = batch_size, shuffle, seed, pool
        self.excerpt, self.past, self.future = excerpt, past, future
        self.lengths = np.ones(len(dialogue), np.int64) if lengths is None else lengths
        self.processes = processes or int(os.environ.get("WORLD_SIZE", 1))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int] | list[Turn]]:
        return iter(self._batches())

    def _batches(self) -> list[list]:
        batches: list[list] = []
        room = 0
        for piece in self._ordered(self._pieces()):
            judged = sum(turn.judged for turn in piece)
            if judged > room or not batches:
                batches.append([])
                room = self.size
            room -= judged
            batches[-1] += piece if self.excerpt else [turn.row for turn in piece]
        if self.shuffle:
            rng = np.random.default_rng((self.seed, self.epoch, 1))
            batches = [batches[i] for i in rng.permutation(len(batches))]
        lacking = -len(batches) % self.processes
        return batches + [batches[i % len(batches)] for i in range(lacking)]

    def _pieces(self) -> list[list[Turn]]:
        """Dialogues, or the excerpts they are cut into; where the cuts lie differs from epoch to epoch."""
        if not self.excerpt:
            return [[Turn(int(row), i, True) for row in rows] for i, rows in enumerate(self.turns)]
        rng = np.random.default_rng((self.seed, self.epoch, 2))
        pieces: list[list[Turn]] = []
        for rows in self.turns:
            offset = int(rng.integers(self.excerpt)) if self.shuffle else 0
            for start in range(-offset, len(rows), self.excerpt):
                first, last = max(0, start), min(start + self.excerpt, len(rows))
                seen = range(max(0, first - self.past), min(len(rows), last + self.future))
                pieces.append([Turn(int(rows[i]), len(pieces), first <= i < last) for i in seen])
        return pieces

    def _ordered(self, pieces: list[list[Turn]]) -> list[list[Turn]]:
        """Long pieces beside long ones if they are shuffled."""
        if not self.shuffle:
            return pieces
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(pieces))
        size = self.pool * max(1, self.size // (self.excerpt or 8))
        pools = [order[i : i + size] for i in range(0, len(order), size)]
        long = [sum(int(self.lengths[turn.row]) for turn in piece) for piece in pieces]
        return [pieces[i] for pool in pools for i in sorted(pool, key=long.__getitem__)]


def make_loader(
    dataset: MELDDataset,
    batch_size: int = 32,
    *,
    shuffle: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    **excerpts: int,
) -> DataLoader:
    """A loader of padded batches; `shuffle` gives batches of like length in an order set by `seed`.

    A data set that knows its `dialogues` gives whole ones, in order within a batch, or with `excerpt`, `past` and
    `future` pieces of them, see `DialogueBatchSampler`.
    """
    options: dict[str, Any] = {
        "collate_fn": partial(collate, pad_token_id=dataset.pad_token_id),
        "num_workers": num_workers,
    }
    if dataset.dialogue is not None:
        sampler = DialogueBatchSampler(
            dataset.dialogue, batch_size, shuffle=shuffle, seed=seed, lengths=dataset.lengths, **excerpts
        )
        return DataLoader(dataset, batch_sampler=sampler, **options)
    if shuffle:
        return DataLoader(dataset, batch_sampler=LengthBatchSampler(dataset.lengths, batch_size, seed), **options)
    return DataLoader(dataset, batch_size=batch_size, **options)
