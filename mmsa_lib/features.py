"""What frozen backbones compute, computed once: every clip is decoded once, every text read once.

Clips are decoded in processes that may crash or hang; frames travel as uint8 and become numbers on the device, where
a backbone reads them in batches while the next clips are being decoded. What comes out is kept in shards, see
`mmsa_lib.shards`; several processes of one launch take turns at them.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

from mmsa_lib.backbones import fingerprint
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.encoders import TextEncoder, VideoEncoder
from mmsa_lib.errors import MediaError
from mmsa_lib.layers import length_mask
from mmsa_lib.media import read_requested
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.preprocess import MAX_AUDIO_SECONDS, MAX_TOKENS
from mmsa_lib.processes import this_process
from mmsa_lib.shards import Shards
from mmsa_lib.workers import Failure, Prefetch, failure, run_guarded

PRECISIONS = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
VERSION = 1  # raise it when this module or `preprocess` changes what it computes
_AHEAD = 64  # clips that may be decoded before an earlier one is
Rows = list[Tensor | None]


class Features(dict[str, Rows]):
    """Per modality one tensor a row: text (hidden,), video (width,) or uint8 frames, audio (64, T).

    `errors` says of each clip file that is left out why.
    """

    def __init__(self, rows: Mapping[str, Rows]) -> None:
        super().__init__(rows)
        self.errors: dict[str, str] = {}


@dataclass(frozen=True)
class Settings:
    """How features are computed.

    `num_workers` processes decode clips; 0 decodes in this one, where a clip that crashes the decoder ends
    everything. `precision` is of the backbones: no (float32), bf16 or fp16. `batch_size` is in clips or texts, 16 and
    64 by default; a batch never reaches beyond a shard of 64 clips or 512 texts. A clip that takes longer than
    `seconds_per_clip` to decode is left out.

    What is left out because the system failed, not the clip, is tried again by the next call in another process, and
    so is what took too long if it may now take longer.
    """

    device: str | torch.device = "cpu"
    num_workers: int = 0
    precision: str = "no"
    batch_size: int | None = None
    seconds_per_clip: float = 120.0
    progress: bool = True

    def autocast(self):
        """The context in which backbones run."""
        dtype = PRECISIONS[self.precision]
        return nullcontext() if dtype is None else torch.autocast(torch.device(self.device).type, dtype)


@dataclass
class Effort:
    """What this process had to do to complete the features: clips and texts read, seconds, and how they were spent."""

    clips: int = 0
    texts: int = 0
    seconds: float = 0.0
    media_seconds: float = 0.0  # of these, with clips
    waited: float = 0.0  # of these, waiting for a decoder

    def __str__(self) -> str:
        if not self.clips:
            return f"{self.texts} texts read in {self.seconds:.1f} s"
        rate, share = self.clips / self.media_seconds, self.waited / self.media_seconds
        return (
            f"{self.texts} texts and {self.clips} clips read in {self.seconds:.1f} s, {rate:.1f} clips/s, "
            f"{share:.0%} of the time with clips spent waiting for a decoder"
        )


def extract(dataset: MELDDataset, model: MultimodalSentimentModel, folder: str | Path, **settings: Any) -> Features:
    """Make what is not kept in `folder` yet, and return the features of all rows of `dataset`.

    A frozen text or video backbone gives its features; a backbone that is to be fine-tuned gets its
    frames kept as uint8 (and its tokens made on the fly); audio is kept as log-mel. `settings` are those
    of `Settings`.
    """
    chosen = Settings(**settings)
    shards = _shards(dataset, model, folder, chosen.precision)
    _complete(shards, dataset, model, chosen)
    features = Features({m: [None] * len(dataset) for m in shards.recipes})
    for modality in shards.recipes:
        features.errors |= shards.read(modality, features[modality])
    return features


def fill(
    dataset: MELDDataset, model: MultimodalSentimentModel, folder: str | Path, **settings: Any
) -> tuple[Effort, dict[str, str]]:
    """As `extract`, but return what it took and which clips are left out why; memory does not grow with the data."""
    chosen = Settings(**settings)
    shards = _shards(dataset, model, folder, chosen.precision)
    return _complete(shards, dataset, model, chosen), shards.errors()


def _shards(dataset: MELDDataset, model: MultimodalSentimentModel, folder: str | Path, precision: str) -> Shards:
    recipes = _recipes(dataset, model, precision)
    split = str(dataset.table["split"].iat[0]) if len(dataset) else "empty"
    return Shards(folder, split, recipes, {m: _sources(dataset, m) for m in recipes})


def _complete(shards: Shards, dataset: MELDDataset, model: MultimodalSentimentModel, settings: Settings) -> Effort:
    """Make all missing shards; of several processes each takes its own, and all wait for the last."""
    effort, started, training = Effort(), time.perf_counter(), model.training
    homes = {modality: next(encoder.parameters()).device for modality, encoder in model.encoders.items()}
    model.eval()
    with torch.inference_mode():
        if "text" in shards.recipes:
            _complete_text(shards, dataset, model.encoders["text"], settings, effort)
        _complete_media(shards, dataset, model, settings, effort)
    model.train(training)
    for modality, home in homes.items():  # a model is in one place
        model.encoders[modality].to(home)
    effort.seconds = time.perf_counter() - started
    process = this_process()
    process.wait_for_everyone()
    if process.is_main_process:
        shards.write_manifests()
    process.wait_for_everyone()
    return effort


def _share(chunks: list[range], missing: list[range]) -> list[range]:
    """The missing chunks that are this process's business. The share is of all chunks: others may finish some now."""
    process = this_process()
    mine = set(chunks[process.process_index :: process.num_processes])
    return [rows for rows in missing if rows in mine]


def _bar(total: int, text: str, unit: str, settings: Settings) -> tqdm:
    hidden = not (total and settings.progress and this_process().is_main_process)
    return tqdm(total=total, desc=text, unit=unit, disable=hidden)


# --------------------------------------------------------------------------- what features depend on


def _recipes(dataset: MELDDataset, model: MultimodalSentimentModel, precision: str) -> dict[str, dict]:
    """Per modality, everything besides the data that its features depend on."""
    recipes: dict[str, dict] = {}
    rounded = {} if precision == "no" else {"precision": precision}
    for modality, encoder in model.encoders.items():
        if isinstance(encoder, TextEncoder) and encoder.frozen:
            recipes["text"] = {
                "backbone": fingerprint(encoder.backbone),
                "pooling": encoder.pooling,
                "max_tokens": MAX_TOKENS,
                **rounded,
            }
        elif isinstance(encoder, VideoEncoder):
            backbone = (
                {"backbone": fingerprint(encoder.backbone), **rounded} if encoder.frozen else {"backbone": "frames"}
            )
            recipes["video"] = backbone | {"max_seconds": MAX_AUDIO_SECONDS, **asdict(encoder.spec)}
        elif modality == "audio":
            recipes["audio"] = {"max_seconds": MAX_AUDIO_SECONDS, **asdict(dataset.mel)}
    return {m: {"version": VERSION, **recipe} for m, recipe in recipes.items()}


def _sources(dataset: MELDDataset, modality: str) -> list:
    """Per row what its features are made from: the text, or the clip's name, size and time of change."""
    if modality == "text":
        return [dataset.text(row) for row in range(len(dataset))]
    stats = [(clip, clip.stat()) if clip is not None else None for clip in dataset.table["clip"]]
    return [None if s is None else [s[0].name, s[1].st_size, s[1].st_mtime_ns] for s in stats]


# --------------------------------------------------------------------------------------------- text


def _complete_text(
    shards: Shards, dataset: MELDDataset, encoder: TextEncoder, settings: Settings, effort: Effort
) -> None:
    chunks = _share(shards.chunks("text"), shards.missing("text"))
    encoder = encoder.to(settings.device) if chunks else encoder
    with _bar(sum(map(len, chunks)), f"texts ({shards.split})", "text", settings) as bar:
        for rows in chunks:
            tokens = [dataset.tokens(row) for row in rows]
            with settings.autocast():
                size = settings.batch_size or 64
                vectors = text_vectors(encoder, tokens, dataset.pad_token_id, settings.device, size)
            shards.write("text", rows, vectors, {})
            effort.texts += len(rows)
            bar.update(len(rows))


@torch.inference_mode()
def text_vectors(
    encoder: TextEncoder,
    tokens: list[Tensor | None],
    pad_token_id: int,
    device: str | torch.device,
    batch_size: int = 64,
) -> list[Tensor | None]:
    """Pooled features (hidden,) of each text, in the order given; None where there is none.

    Texts of similar length share a batch, so that hardly any computation goes into padding.
    """
    order = sorted((i for i, ids in enumerate(tokens) if ids is not None), key=lambda i: len(tokens[i]))
    vectors: dict[int, Tensor] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        ids = pad_sequence([tokens[i] for i in batch], batch_first=True, padding_value=pad_token_id)
        mask = length_mask(torch.tensor([len(tokens[i]) for i in batch]), ids.shape[1])
        pooled = encoder.features({"input_ids": ids.to(device), "attention_mask": mask.long().to(device)})
        vectors |= {i: vector.clone() for i, vector in zip(batch, pooled.float().cpu(), strict=True)}
    return [vectors.get(i) for i in range(len(tokens))]


# -------------------------------------------------------------------------------------------- clips


def _complete_media(
    shards: Shards, dataset: MELDDataset, model: MultimodalSentimentModel, settings: Settings, effort: Effort
) -> None:
    """One pass over the clips of each missing chunk gives both modalities."""
    media = [m for m in ("video", "audio") if m in shards.recipes]
    missing = {rows for m in media for rows in shards.missing(m, settings.seconds_per_clip)}
    chunks = _share(shards.chunks(media[0]), sorted(missing, key=lambda rows: rows.start)) if missing else []
    rows = [row for chunk in chunks for row in chunk]
    if not rows:
        return
    started = time.perf_counter()
    bar = _bar(len(rows), f"clips ({shards.split})", "clip", settings)
    with bar, Prefetch(_decoded(dataset, rows, settings), size=16) as clips:
        arriving = iter(clips)
        for chunk in chunks:
            made: dict[str, Any] = {m: [] if m == "audio" else _Pictures(model.encoders[m], settings) for m in media}
            failures = {}
            for row in chunk:
                frames, mel, failed = next(arriving)
                for modality, value in (("video", frames), ("audio", mel)):
                    if modality in made:
                        made[modality].append(value)
                failures |= {dataset.table["clip"].iat[row].name: failed} if failed else {}
                bar.update()
            errors = {clip: failed.reason for clip, failed in failures.items()}
            patience = min((failed.patience for failed in failures.values()), default=math.inf)
            for modality, values in made.items():
                shards.write(modality, chunk, list(values), errors, patience)
    effort.clips, effort.waited = effort.clips + len(rows), effort.waited + clips.waited
    effort.media_seconds += time.perf_counter() - started


def _decoded(
    dataset: MELDDataset, rows: Sequence[int], settings: Settings
) -> Iterator[tuple[Tensor | None, Tensor | None, Failure | None]]:
    """uint8 frames, log-mel and why there is neither, of each row in turn."""
    if not settings.num_workers:
        for row in rows:
            try:
                yield *dataset.media(row), None
            except MediaError as error:
                yield None, None, failure(error)
        return
    answers = run_guarded(
        read_requested,
        _Requests(dataset, rows),
        settings.num_workers,
        settings.seconds_per_clip,
        ahead=_AHEAD,
        retries=1,
    )
    for _, answer in answers:
        if isinstance(answer, Failure):
            yield None, None, answer
        else:
            yield *dataset.prepare(answer), None


class _Requests(Sequence):
    """What the decoder is asked for each row, made when it is."""

    def __init__(self, dataset: MELDDataset, rows: Sequence[int]) -> None:
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any] | None:
        return self.dataset.request(self.rows[index])


class _Pictures:
    """Frames of successive clips, appended, and what becomes of them, iterated over: one tensor or None a clip.

    A frozen backbone reads them batch by batch as they arrive; one that is to learn finds them as they came. On a GPU
    nothing is waited for until the results are asked for.
    """

    def __init__(self, encoder: VideoEncoder, settings: Settings) -> None:
        self.encoder, self.settings = encoder.to(settings.device), settings
        self.size = settings.batch_size or 16
        self.rows: Rows = []
        self.pending: list[int] = []
        self.read: list[tuple[list[int], Tensor]] = []

    def append(self, frames: Tensor | None) -> None:
        """uint8 (3, T, h, w), or None if there is no picture."""
        self.rows.append(frames)
        if frames is not None and self.encoder.frozen:
            self.pending.append(len(self.rows) - 1)
        if len(self.pending) == self.size:
            self._read()

    def __iter__(self) -> Iterator[Tensor | None]:
        if self.pending:
            self._read()
        for batch, vectors in self.read:
            for i, vector in zip(batch, vectors.float().cpu(), strict=True):
                self.rows[i] = vector.clone()
        self.read = []
        return iter(self.rows)

    @torch.inference_mode()
    def _read(self) -> None:
        frames = torch.stack([self.rows[i] for i in self.pending]).to(self.settings.device)
        with self.settings.autocast():
            self.read.append((self.pending, self.encoder.features(frames)))
        for i in self.pending:
            self.rows[i] = None  # frames are large
        self.pending = []
