"""What frozen backbones compute, computed once: every clip is decoded once, every text read once.

A data set is cut into chunks of consecutive rows; each chunk and modality is one safetensors file,
written whole or not at all, so an extraction killed at any moment goes on where it stopped. A file's
name holds a digest of all it depends on (backbone weights, preprocessing, and the clips or texts
themselves): when one of them changes, another name is asked for and the features are made anew.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from mmsa_lib.backbones import fingerprint
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.encoders import TextEncoder, VideoEncoder
from mmsa_lib.errors import MediaError
from mmsa_lib.layers import length_mask
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.preprocess import MAX_AUDIO_SECONDS, MAX_TOKENS

CHUNK_SIZES = {"text": 512, "video": 64, "audio": 64}
VERSION = 1  # raise it when this module or `preprocess` changes what it computes
Rows = list[Tensor | None]


@dataclass
class Features(Mapping[str, Rows]):
    """Per modality one tensor a row: text (hidden,), video (width,) or uint8 frames, audio (64, T)."""

    rows: dict[str, Rows]
    errors: dict[str, str] = field(default_factory=dict)  # clip file -> why it is left out

    def __getitem__(self, modality: str) -> Rows:
        return self.rows[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def extract(
    dataset: MELDDataset,
    model: MultimodalSentimentModel,
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    num_workers: int = 0,
) -> Features:
    """Make what is not kept in `folder` yet, and return the features of all rows of `dataset`.

    A frozen text or video backbone gives its features; a backbone that is to be fine-tuned gets its
    frames kept as uint8 (and its tokens made on the fly); audio is kept as log-mel.
    """
    store = _Store(Path(folder), dataset, model)
    training = model.training
    model.eval()
    if "text" in store.recipes:
        _extract_text(store, model.encoders["text"], device)
    if store.media:
        _extract_media(store, model, device, num_workers)
    model.train(training)
    return store.load()


# -------------------------------------------------------------------------------------------- files


class _Store:
    """The files of one data set and one set of backbones."""

    def __init__(self, folder: Path, dataset: MELDDataset, model: MultimodalSentimentModel) -> None:
        self.folder, self.dataset = folder, dataset
        self.recipes = _recipes(dataset, model)
        self.media = [m for m in ("video", "audio") if m in self.recipes]
        self.sources = {m: _sources(dataset.table, m) for m in self.recipes}
        self.split = str(dataset.table["split"].iat[0]) if len(dataset) else "empty"

    def chunks(self, modality: str) -> list[range]:
        size = CHUNK_SIZES[modality]
        return [range(i, min(i + size, len(self.dataset))) for i in range(0, len(self.dataset), size)]

    def path(self, modality: str, rows: range) -> Path:
        recipe = digest(self.recipes[modality])
        source = digest(self.sources[modality][rows.start : rows.stop])
        name = f"{self.split}-{rows.start:06d}-{source}.safetensors"
        return self.folder / f"{modality}-{recipe}" / name

    def missing(self, modality: str) -> list[range]:
        return [rows for rows in self.chunks(modality) if not _readable(self.path(modality, rows))]

    def write(self, modality: str, rows: range, tensors: Sequence[Tensor | None], errors: dict[str, str]) -> None:
        path = self.path(modality, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {str(row): t.contiguous().cpu() for row, t in zip(rows, tensors, strict=True) if t is not None}
        temporary = path.with_suffix(".tmp")
        save_file(kept, temporary, metadata={"errors": json.dumps(errors)})
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())  # a power failure must not leave the name without the content
        temporary.replace(path)

    def load(self) -> Features:
        features = Features({m: [None] * len(self.dataset) for m in self.recipes})
        for modality in self.recipes:
            for rows in self.chunks(modality):
                with safe_open(self.path(modality, rows), framework="pt") as file:
                    features.errors |= json.loads(file.metadata()["errors"])
                    for name in file.keys():  # noqa: SIM118 - not a dictionary
                        features[modality][int(name)] = file.get_tensor(name)
        return features


def digest(value: object) -> str:
    """12 hex digits that stand for a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _readable(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() is not None
    except (OSError, SafetensorError):
        return False


def _recipes(dataset: MELDDataset, model: MultimodalSentimentModel) -> dict[str, dict]:
    """Per modality, everything besides the data that its features depend on."""
    recipes: dict[str, dict] = {}
    for modality, encoder in model.encoders.items():
        if isinstance(encoder, TextEncoder) and encoder.frozen:
            recipes["text"] = {
                "backbone": fingerprint(encoder.backbone),
                "pooling": encoder.pooling,
                "max_tokens": MAX_TOKENS,
            }
        elif isinstance(encoder, VideoEncoder):
            weights = fingerprint(encoder.backbone) if encoder.frozen else "frames"
            recipes["video"] = {"backbone": weights, "max_seconds": MAX_AUDIO_SECONDS, **asdict(encoder.spec)}
        elif modality == "audio":
            recipes["audio"] = {"max_seconds": MAX_AUDIO_SECONDS, **asdict(dataset.mel)}
    return {m: {"version": VERSION, **recipe} for m, recipe in recipes.items()}


def _sources(table: pd.DataFrame, modality: str) -> list:
    """Per row what its features are made from: the text, or the clip's name, size and time of change."""
    if modality == "text":
        return table["text"].tolist()
    stats = [(clip, clip.stat()) if clip is not None else None for clip in table["clip"]]
    return [None if s is None else [s[0].name, s[1].st_size, s[1].st_mtime_ns] for s in stats]


# --------------------------------------------------------------------------------------- extraction


def _extract_text(store: _Store, encoder: TextEncoder, device: str | torch.device) -> None:
    dataset, encoder = store.dataset, encoder.to(device)
    missing = store.missing("text")
    for rows in tqdm(missing, desc=f"text features ({store.split})", unit="chunk", disable=not missing):
        tokens = [dataset.tokens(row) for row in rows]
        store.write("text", rows, text_vectors(encoder, tokens, dataset.pad_token_id, device), {})


@torch.inference_mode()
def text_vectors(
    encoder: TextEncoder, tokens: list[Tensor], pad_token_id: int, device: str | torch.device, batch_size: int = 64
) -> list[Tensor]:
    """Pooled features (hidden,) of each text, in the order given.

    Texts of similar length share a batch, so that hardly any computation goes into padding.
    """
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    vectors: dict[int, Tensor] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        ids = pad_sequence([tokens[i] for i in batch], batch_first=True, padding_value=pad_token_id)
        mask = length_mask(torch.tensor([len(tokens[i]) for i in batch]), ids.shape[1])
        pooled = encoder.features({"input_ids": ids.to(device), "attention_mask": mask.long().to(device)})
        vectors |= {i: vector.clone() for i, vector in zip(batch, pooled.cpu(), strict=True)}
    return [vectors[i] for i in range(len(tokens))]


@torch.inference_mode()
def _extract_media(
    store: _Store, model: MultimodalSentimentModel, device: str | torch.device, num_workers: int
) -> None:
    """One pass over the clips of each missing chunk, decoded in worker processes, gives both modalities."""
    chunks = sorted({rows.start: rows for m in store.media for rows in store.missing(m)}.items())
    if not chunks:
        return
    decoder = _Decoder(store.dataset, [row for _, rows in chunks for row in rows])
    # its own generator: a training started afterwards draws the same numbers whether or not this had to run
    loader = DataLoader(decoder, batch_size=None, num_workers=num_workers, generator=torch.Generator())
    decoded = iter(loader)
    with tqdm(total=len(decoder), desc=f"clips ({store.split})", unit="clip") as bar:
        for _, rows in chunks:
            frames, mels, errors = [], [], {}
            for row in rows:
                picture, mel, error = next(decoded)
                frames.append(picture)
                mels.append(mel)
                errors |= {store.dataset.table["clip"].iat[row].name: error} if error else {}
                bar.update()
            if "video" in store.media:
                encoder = model.encoders["video"]
                vectors = _video_features(encoder, frames, device) if encoder.frozen else frames
                store.write("video", rows, vectors, errors)
            if "audio" in store.media:
                store.write("audio", rows, mels, errors)


def _video_features(encoder: VideoEncoder, frames: Rows, device: str | torch.device, batch_size: int = 16) -> Rows:
    """Backbone features (width,) of each clip that has frames; uint8 travels, floats are made on the device."""
    encoder = encoder.to(device)
    present = [i for i, clip in enumerate(frames) if clip is not None]
    out: Rows = [None] * len(frames)
    for start in range(0, len(present), batch_size):
        batch = present[start : start + batch_size]
        vectors = encoder.features(torch.stack([frames[i] for i in batch]).to(device)).float().cpu()
        for i, vector in zip(batch, vectors, strict=True):
            out[i] = vector.clone()
    return out


class _Decoder(Dataset):
    """Rows of a data set as (uint8 frames, log-mel, reason it failed); runs in worker processes."""

    def __init__(self, dataset: MELDDataset, rows: list[int]) -> None:
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor | None, Tensor | None, str | None]:
        try:
            return *self.dataset.media(self.rows[index]), None
        except MediaError as error:
            return None, None, error.reason
