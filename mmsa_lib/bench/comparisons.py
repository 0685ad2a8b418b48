"""The comparisons of `make bench`: the library's way and another to the same end, timed in turn, values compared."""

import copy
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import pandas as pd
import torch
from transformers import BertConfig

from mmsa_lib import experiment, media
from mmsa_lib.backbones import MINILM, load_tokenizer
from mmsa_lib.bench import usual
from mmsa_lib.bench.films import read_lines
from mmsa_lib.bench.table import Row
from mmsa_lib.class_weights import compute_class_weights
from mmsa_lib.dataset import MELDDataset, make_loader
from mmsa_lib.features import extract, text_vectors
from mmsa_lib.meld import load_split
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.preprocess import tokenize
from mmsa_lib.presets import PRESETS, Preset
from mmsa_lib.processes import accelerator
from mmsa_lib.trainer import MultimodalTrainer

Work = Callable[[], object]


def side_by_side(*ways: Work, repeats: int) -> list[float]:
    """The least seconds of each, run in turn: whatever else the machine does only adds to them."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, measured in zip(ways, times, strict=True):
            start = time.perf_counter()
            way()
            measured.append(time.perf_counter() - start)
    return [min(measured) for measured in times]


def importing(repeats: int = 9) -> Row:
    """`import mmsa_lib` in a fresh interpreter, against the interpreter's own start."""

    def run(code: str) -> Work:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    ours, bare = side_by_side(run("import mmsa_lib"), run("pass"), repeats=repeats)
    return Row("start of Python with `import mmsa_lib`", "without it", ours, bare, "beyond", 0.3)


def class_weights(data: Path, video_backbone: str = "r3d_18") -> Row:
    """Class weights from the label column, against loading every item the usual way to see its label."""
    table = load_split(data, "train")
    dataset, loading = (kind(table, video_backbone=video_backbone) for kind in (MELDDataset, usual.UsualDataset))
    (ours,) = side_by_side(lambda: compute_class_weights(dataset), repeats=9)
    start = time.perf_counter()
    weights = usual.class_weights(loading)
    other = time.perf_counter() - start
    torch.testing.assert_close(compute_class_weights(dataset)["emotion"], weights)
    return Row(f"class weights of {len(table)} clips", "loading every item", ours, other, "times", 1_000)


def clip_inputs(data: Path, clips: int = 16, repeats: int = 5, video_backbone: str = "r3d_18") -> list[Row]:
    """Frames and log-mel of one clip, ready for a model: against the usual way, and against a bare decode."""
    import cv2

    table = load_split(data, "train").head(clips)
    options = {"modalities": ("video", "audio"), "video_backbone": video_backbone}
    ours = MELDDataset(table, threads=cv2.getNumThreads(), **options)  # as many as OpenCV takes
    single, loading, quickest = MELDDataset(table, **options), *(usual.UsualDataset(table, **options) for _ in range(2))
    quickest.read_frames = usual.read_wanted_frames
    for i in range(len(table)):
        assert_alike(ours[i], loading[i])

    def ways(i: int) -> list[Work]:
        loaded = [partial(dataset.__getitem__, i) for dataset in (ours, loading, quickest, single)]
        return [*loaded, partial(bare_decode, table["clip"].iat[i])]

    whole = np.mean([side_by_side(*ways(i), repeats=repeats) for i in range(len(table))], axis=0).tolist()
    note = (
        f"mean of {len(table)} clips, decoded with {cv2.getNumThreads()} threads each; "
        f"{whole[2] / whole[0]:.2f} times if OpenCV converts only the wanted pictures"
    )
    share = f"one thread each; the library decodes {decoded_share(single):.0%} of the pictures, none needs the others"
    return [
        Row("one clip to model input", "OpenCV and an ffmpeg process", whole[0], whole[1], "times", 2.5, note),
        Row("one clip to model input", "a bare decode of the file", whole[3], whole[4], "within", 1.3, share),
    ]


def assert_alike(ours: dict, other: dict) -> None:
    """The same moments and the same sound; OpenCV and libav shrink pictures by different filters."""
    apart = (ours["video_frames"] - other["video_frames"]).abs().mean()
    assert apart < 0.5, f"frames differ by {apart:.2f} standard deviations"
    torch.testing.assert_close(ours["audio_features"], other["audio_features"], atol=0.05, rtol=0.05)


def bare_decode(clip: Path) -> None:
    """Decode every picture and every piece of sound of a file in one thread, and do nothing with them."""
    with av.open(str(clip)) as container:
        for stream in container.streams.video:
            stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        for packet in container.demux():
            packet.decode()


def decoded_share(dataset: MELDDataset) -> float:
    """Of the pictures in the clips, how many the library decodes; nothing leans on the others, and none is wanted."""
    decoded, decode = 0, media._frames

    def counting(stream, packet):
        nonlocal decoded
        frames = decode(stream, packet)
        decoded += sum(isinstance(frame, av.VideoFrame) for frame in frames)
        return frames

    with patch.object(media, "_frames", counting):
        for i in range(len(dataset)):
            dataset.media(i)
    return decoded / sum(media.probe(clip)["num_frames"] for clip in dataset.table["clip"])


def text_features(count: int = 512) -> Row:
    """MiniLM over texts in batches of similar length, against padding all of them to 128 tokens."""
    model = MultimodalSentimentModel(modalities=["text"]).eval()
    tokenizer = load_tokenizer(MINILM)
    tokens = [tokenize(line, tokenizer) for line in read_lines()[:count]]
    kept: dict[str, list[torch.Tensor] | torch.Tensor] = {}

    def ours() -> None:
        kept["ours"] = text_vectors(model.encoders["text"], tokens, tokenizer.pad_token_id, "cpu")

    def padded() -> None:
        kept["padded"] = usual.text_vectors(model.encoders["text"], tokens, tokenizer.pad_token_id)

    times = side_by_side(ours, padded, repeats=3)
    torch.testing.assert_close(torch.stack(kept["ours"]), kept["padded"], atol=1e-5, rtol=1e-4)
    note = f"all-MiniLM-L6-v2, {np.mean([len(t) for t in tokens]):.1f} tokens a text; the values agree to 5 digits"
    return Row(f"features of {len(tokens)} texts", "padded to 128 tokens", *times, "times", 4, note)


def shaped_like_meld(folder: Path) -> Preset:
    """The preset `meld` with backbones of the same shape and random weights, which need no download."""
    BertConfig().save_pretrained(folder)  # those of bert-base-uncased
    load_tokenizer(MINILM).save_pretrained(folder)  # of the same vocabulary
    return replace(PRESETS["meld"], text_backbone=str(folder), random_backbones=("text", "video"))


def epoch(data: Path, folder: Path, preset: Preset, shape: str = "", times_over: int = 16) -> list[Row]:
    """What a clip takes of a training epoch: from kept features, against decoding the usual way and the backbones.

    From features, in full precision and in bf16. That epoch has every clip `times_over` times: with few rows most of it
    would be padding and starting.
    """
    table = load_split(data, "train")
    torch.manual_seed(0)
    model = experiment.build_model(preset)
    features = extract(experiment.raw_dataset(preset, table), model, folder, progress=False)
    kept = experiment.raw_dataset(preset, pd.concat([table] * times_over, ignore_index=True))
    kept.features = {modality: features[modality] * times_over for modality in features}
    options = {"modalities": preset.modalities, "text_backbone": preset.text_backbone}
    loading = usual.UsualDataset(table, video_backbone=preset.video_backbone, **options)

    def one(loader, precision: str = "no") -> Work:
        # a copy: Accelerate leaves its marks on the model that it trains in mixed precision
        settings = {"accelerator": accelerator(mixed_precision=precision), "class_weights": None, "progress": False}
        return MultimodalTrainer(copy.deepcopy(model), loader, loader, **settings).train_epoch

    from_kept = partial(make_loader, kept, preset.batch_size, shuffle=True)
    (ours,) = side_by_side(one(from_kept()), repeats=3)
    (mixed,) = side_by_side(one(from_kept(), "bf16"), repeats=3)
    (other,) = side_by_side(one(usual.make_loader(loading, preset.batch_size)), repeats=1)
    kept.modalities = ("text", "video")
    (silent,) = side_by_side(one(from_kept()), repeats=3)
    note = (
        f"{shape}; epochs over {len(kept):,} rows and over {len(table)}; {silent / ours:.0%} of the library's time is "
        "left when the audio network, which learns and cannot be kept, has nothing to hear"
    )
    what, against = "a clip's share of a training epoch", "decoding and backbones in every epoch"
    quicker = f"`--precision bf16`, {'with' if has_bf16_units() else 'without'} units for it in the processor"
    return [
        Row(what, against, ours / len(kept), other / len(table), "times", 500, note),
        Row(f"{what}, bf16", against, mixed / len(kept), other / len(table), "times", 500, quicker),
    ]


def has_bf16_units() -> bool:
    """Whether this processor multiplies matrices of bf16 in hardware (AMX)."""
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"))
