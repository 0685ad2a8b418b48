"""What wrong frames and wrong modes cost the video features of the embedded data: predictions for lesson 03.

`python -m mmsa_lib.course.experiments.video_traps` writes `results/03_video_traps.json`, in about five minutes on
one core. A linear probe reads the emotion off frozen r3d_mini's features, per variant of the input twice: trained
on such input too ("trained"), and trained on right input but given the wrong one ("fed"). Kept are its
predictions of every test utterance, so that the lesson can compare variants utterance by utterance.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mmsa_lib.backbones import fingerprint, load_video_backbone, video_spec
from mmsa_lib.checksums import SUMS_FILE
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTION_INDEX
from mmsa_lib.media import Clip, read_clip, spread_indices
from mmsa_lib.meld import load_split
from mmsa_lib.preprocess import prepare_frames, standardise

CHECKOUT = Path(__file__).resolve().parents[3]
RESULT = Path(__file__).resolve().parents[1] / "results" / "03_video_traps.json"
COMMAND = "python -m mmsa_lib.course.experiments.video_traps"
SPEC = video_spec("r3d_mini")
FIRST_SECONDS = 1.25  # 30 frames at 24 a second, a common number to keep
LONGEST_SECONDS = 6.5  # what a fixed grid of frames has to span, so that no clip of the data is cut
SEEDS = range(3)

# ------------------------------------------------------------------- variants of the input


def spread(clip: Clip) -> np.ndarray:
    """Right: 8 frames spread over the whole clip, (8, H, W, 3)."""
    return clip.frames[spread_indices(len(clip.frames), SPEC.num_frames)]


def only_first(clip: Clip) -> np.ndarray:
    """8 frames spread over the first 1.25 seconds."""
    seen = clip.frames[clip.frame_times < FIRST_SECONDS]
    return seen[spread_indices(len(seen), SPEC.num_frames)]


def padded_with_black(clip: Clip) -> np.ndarray:
    """8 frames at fixed times that suit the longest clip; after the end of a shorter one the picture is black."""
    out = np.zeros((SPEC.num_frames, *clip.frames.shape[1:]), np.uint8)
    for i, time in enumerate((np.arange(SPEC.num_frames) + 0.5) * LONGEST_SECONDS / SPEC.num_frames):
        if time <= clip.frame_times[-1]:
            out[i] = clip.frames[np.abs(clip.frame_times - time).argmin()]
    return out


def right(frames: Tensor) -> Tensor:
    """uint8 (B, 3, T, h, w) -> what r3d_mini was trained on."""
    return standardise(frames, SPEC)


def bgr(frames: Tensor) -> Tensor:
    """Red and blue exchanged, as OpenCV reads them."""
    return standardise(frames.flip(1), SPEC)


def unnormalised(frames: Tensor) -> Tensor:
    """Divided by 255, and that is all."""
    return frames.float() / 255


def backwards(frames: Tensor) -> Tensor:
    """The last frame first."""
    return standardise(frames.flip(2), SPEC)


def still(frames: Tensor) -> Tensor:
    """The middle frame, eight times."""
    return standardise(frames[:, :, 4:5].expand_as(frames), SPEC)


VARIANTS: dict[str, tuple[Callable[[Clip], np.ndarray], Callable[[Tensor], Tensor]]] = {
    "right": (spread, right),
    "bgr": (spread, bgr),
    "unnormalised": (spread, unnormalised),
    "only_first": (only_first, right),
    "black": (padded_with_black, right),
    "backwards": (spread, backwards),
    "still": (spread, still),
}

# -------------------------------------------------------------------------------- measuring


def read_frames(table: pd.DataFrame) -> dict[Callable, Tensor]:
    """Each way of choosing frames -> uint8 (N, 3, 8, 64, 64) of all clips; each clip is decoded once."""
    ways = {choose: [] for choose, _ in VARIANTS.values()}
    for path in table["clip"]:
        clip = read_clip(path, num_frames=None, size=SPEC.resize, audio=False)
        for choose, kept in ways.items():
            kept.append(prepare_frames(choose(clip), SPEC))
    return {choose: torch.stack(kept) for choose, kept in ways.items()}


@torch.inference_mode()
def features(
    backbone: nn.Module, frames: Tensor, prepare: Callable[[Tensor], Tensor] = right, size: int = 32
) -> Tensor:
    """uint8 (N, 3, 8, 64, 64) -> (N, 128), `size` clips at a time, in the order and the mode given."""
    batches = (prepare(batch).contiguous(memory_format=torch.channels_last_3d) for batch in frames.split(size))
    return torch.cat([backbone(batch) for batch in batches])


def backbone(pretrained: bool = True) -> nn.Module:
    return load_video_backbone("r3d_mini", pretrained)[0].to(memory_format=torch.channels_last_3d)


def fit_probe(x: Tensor, labels: np.ndarray) -> Pipeline:
    """A linear probe: standardised features, then logistic regression with a strong penalty."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=3000)).fit(x.numpy(), labels)


def shuffled(backbone: nn.Module, frames: Tensor, size: int, seed: int) -> Tensor:
    """Features of clips in random batches of `size`, returned in the order of `frames`."""
    order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(seed))
    return features(backbone, frames[order], size=size)[order.argsort()]


def measure_variants(frames: Mapping[str, Mapping], labels: np.ndarray) -> tuple[dict, Pipeline]:
    """Predictions of the test utterances for each variant, and the probe that was trained right."""
    network, found, probe = backbone(), {}, None
    for name, (choose, prepare) in VARIANTS.items():
        train, test = (features(network, frames[split][choose], prepare) for split in ("train", "test"))
        own = fit_probe(train, labels)
        probe = probe or own
        found[name] = {"trained": _list(own, test), "fed": _list(probe, test)}
        print(f"{name}: done", flush=True)
    return found, probe


def measure_random(frames: Mapping[str, Mapping], labels: np.ndarray) -> list[list[int]]:
    """Predictions of probes on random weights, one list a seed."""
    found = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        network = backbone(pretrained=False)
        train, test = (features(network, frames[split][spread]) for split in ("train", "test"))
        found.append(_list(fit_probe(train, labels), test))
    return found


def measure_train_mode(frames: Mapping[str, Mapping], labels: np.ndarray, probe: Pipeline) -> dict:
    """A frozen backbone left in train mode: while the probe learns, and when it predicts in batches of 1, 4, 16."""
    train, test = frames["train"][spread], frames["test"][spread]
    drifted = []
    for seed in SEEDS:
        network = backbone().train()
        learned = fit_probe(shuffled(network, train, 16, seed), labels)
        drifted.append(_list(learned, features(network.eval(), test)))
    fed = {str(size): _list(probe, shuffled(backbone().train(), test, size, seed=0)) for size in (1, 4, 16)}
    return {"trained": drifted, "fed": fed}


def _list(probe: Pipeline, x: Tensor) -> list[int]:
    return probe.predict(x.numpy()).tolist()


# --------------------------------------------------------------------------------- the file


def origin(data: Path) -> dict[str, str]:
    """Which build of the embedded data and which weights the predictions belong to."""
    sums = hashlib.sha256((data / SUMS_FILE).read_bytes()).hexdigest()[:12]
    return {"data": sums, "weights": fingerprint(load_video_backbone("r3d_mini")[0])[:12]}


def load(data: Path) -> dict:
    """The stored predictions; an error that names the command where they belong to other data or weights."""
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    if stored.get("origin") != origin(data):
        raise DataError(f"{RESULT.name} does not belong to this data and these weights; make it anew: {COMMAND}")
    return stored


def mistakes(stored: Mapping) -> dict[str, dict[str, list]]:
    """The stored predictions of the five mistakes, by a readable name; "fed" in train mode is one clip a batch."""
    names = {
        "BGR taken for RGB": "bgr",
        "no normalisation by mean and std": "unnormalised",
        "only the first 1.25 seconds": "only_first",
        "black frames as padding": "black",
    }
    mode = stored["train_mode"]
    drifted = {"backbone in train mode": {"trained": mode["trained"], "fed": mode["fed"]["1"]}}
    return {name: stored["variants"][key] for name, key in names.items()} | drifted


def main() -> None:
    data = CHECKOUT / "data" / "mini"
    source = origin(data)  # before the clips are read: what is made from older ones must not pass for newer
    tables = {split: load_split(data, split) for split in ("train", "test")}
    labels = {split: table["emotion"].map(EMOTION_INDEX).to_numpy() for split, table in tables.items()}
    frames = {split: read_frames(table) for split, table in tables.items()}
    variants, probe = measure_variants(frames, labels["train"])
    result = {"command": COMMAND, "origin": source, "labels": labels["test"].tolist(), "variants": variants}
    result["random"] = measure_random(frames, labels["train"])
    result["train_mode"] = measure_train_mode(frames, labels["train"], probe)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    temporary = RESULT.with_suffix(".tmp")
    temporary.write_text(json.dumps(result) + "\n", encoding="utf-8")
    os.replace(temporary, RESULT)
    print(f"wrote {RESULT.name}")


if __name__ == "__main__":
    main()
