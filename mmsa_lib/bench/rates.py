"""What one core does in a second and what a clip takes on a disk: the numbers that a plan for more data needs."""

import csv
import os
import tempfile
import time
import tracemalloc
from pathlib import Path

import torch

from mmsa_lib import experiment, features
from mmsa_lib.backbones import load_tokenizer
from mmsa_lib.bench.films import COLUMNS, read_lines
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.media import probe
from mmsa_lib.meld import load_split
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.preprocess import standardise, tokenize
from mmsa_lib.presets import Preset


def measure(data: Path, kept: Path, preset: Preset, clips: int = 16, rows: int = 2_000) -> dict[str, float]:
    """Seconds of one core and bytes, for each clip.

    Args:
        data: a training split, and `kept` the folder of its features by `preset`.
        clips: how many are decoded and read by the backbones.
        rows: of a longer table, to see what each row costs a process that starts.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return sizes(data, kept) | decoding_and_backbones(data, preset, clips) | starting(data, rows)
    finally:
        torch.set_num_threads(threads)


def sizes(data: Path, kept: Path) -> dict[str, float]:
    """How long a clip lasts, what its file takes, and what its features take in each modality."""
    clips = list(load_split(data, "train")["clip"])
    found = {
        "lasts": sum(probe(clip)["duration"] for clip in clips),
        "file": sum(clip.stat().st_size for clip in clips),
    }
    for home in kept.iterdir():
        found[f"kept_{home.name.split('-')[0]}"] = sum(shard.stat().st_size for shard in home.glob("*.safetensors"))
    return {name: total / len(clips) for name, total in found.items()}


@torch.inference_mode()
def decoding_and_backbones(data: Path, preset: Preset, clips: int) -> dict[str, float]:
    """Seconds to decode a clip to frames and log-mel, and of the backbones that read it."""
    model = experiment.build_model(preset).eval()
    dataset = experiment.raw_dataset(preset, load_split(data, "train").head(clips))
    started = time.perf_counter()
    frames = [dataset.media(i)[0] for i in range(len(dataset))]
    decode = (time.perf_counter() - started) / len(dataset)
    batch = standardise(torch.stack(frames[:8]), dataset.video)
    started = time.perf_counter()
    model.encoders["video"].features(batch)
    video = (time.perf_counter() - started) / len(batch)
    tokenizer = load_tokenizer(preset.text_backbone)
    tokens = [tokenize(line, tokenizer) for line in read_lines()[: 8 * clips]]
    started = time.perf_counter()
    features.text_vectors(model.encoders["text"], tokens, tokenizer.pad_token_id, "cpu")
    return {"decode": decode, "video": video, "text": (time.perf_counter() - started) / len(tokens)}


def starting(data: Path, rows: int) -> dict[str, float]:
    """What a row costs each process of an extraction before it begins, the features of one modality being there."""
    model = MultimodalSentimentModel(modalities=["audio"])
    with tempfile.TemporaryDirectory() as folder:
        crowd = write_crowd(Path(folder) / "data", list(load_split(data, "train")["clip"]), rows)
        dataset = MELDDataset(crowd, modalities=["audio"])
        shards = features._shards(dataset, model, Path(folder) / "kept", "no")
        for chunk in shards.chunks("audio"):
            shards.write("audio", chunk, [torch.ones(1) for _ in chunk], {})
        started = time.perf_counter()
        effort, _ = features.fill(MELDDataset(crowd, modalities=["audio"]), model, Path(folder) / "kept")
        seconds = time.perf_counter() - started
        if effort.clips:
            raise AssertionError(f"{effort.clips} clips were decoded again")
        tracemalloc.start()
        table = load_split(crowd, "train")
        memory, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return {"start": seconds / rows, "row_memory": memory / len(table)}


def write_crowd(root: Path, clips: list[Path], rows: int) -> Path:
    """A training split of many rows: hard links to a few clips."""
    folder, lines = root / "train_splits", read_lines()
    folder.mkdir(parents=True)
    with (root / "train_sent_emo.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for i in range(rows):
            table.writerow([lines[i % len(lines)], "Ada", "joy", "positive", i // 10, i % 10])
            os.link(clips[i % len(clips)], folder / f"dia{i // 10}_utt{i % 10}.mp4")
    return root
