"""Benchmarks: `make bench`. Each row times two ways side by side in one run and prints their ratio.

Times differ from machine to machine; the ratios differ less. Nothing here is a test.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

REPEATS = 5
Work = Callable[[], object]


class Row(NamedTuple):
    """One comparison: seconds of our way and of the other."""

    what: str
    ours: float
    other: float

    def __str__(self) -> str:
        return f"{self.what:<66} {self.ours * 1e3:9.1f} ms {self.other * 1e3:9.1f} ms {self.other / self.ours:8.1f}x"


def side_by_side(ours: Work, other: Work, repeats: int = REPEATS) -> tuple[float, float]:
    """Median seconds of both, run in turn: a busy machine slows both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, measured in zip((ours, other), times, strict=True):
            start = time.perf_counter()
            function()
            measured.append(time.perf_counter() - start)
    return median(times[0]), median(times[1])


def importing() -> Row:
    """`import mmsa_lib` in a fresh interpreter, against the interpreter's own start."""

    def run(code: str) -> Work:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    with_import, bare = side_by_side(run("import mmsa_lib"), run("pass"), repeats=9)
    return Row("start of Python with `import mmsa_lib` | without", with_import, bare)


def class_weights(data: Path) -> Row:
    """Class weights from the label column, against loading every item (here 32) to see its label."""
    from mmsa_lib.class_weights import compute_class_weights
    from mmsa_lib.dataset import MELDDataset
    from mmsa_lib.meld import load_split

    dataset = MELDDataset(load_split(data, "train").head(32))

    def by_loading() -> list[int]:
        return [dataset[i]["emotion_label"] for i in range(len(dataset))]

    return Row("class weights of 32 clips: labels | every item", *side_by_side(
        lambda: compute_class_weights(dataset), by_loading, repeats=3
    ))  # fmt: skip


def clip_input(data: Path) -> Row:
    """One clip to frames and log-mel, against a bare decode of every frame and sample of the same file."""
    import av

    from mmsa_lib.dataset import MELDDataset

    dataset = MELDDataset(data, "train")
    clips = [i for i, clip in enumerate(dataset.table["clip"]) if clip is not None][:20]

    def bare_decode() -> None:
        for i in clips:
            with av.open(str(dataset.table["clip"].iat[i])) as container:
                for packet in container.demux():
                    packet.decode()

    return Row("20 clips: model input | bare decode of the file", *side_by_side(
        lambda: [dataset.media(i) for i in clips], bare_decode
    ))  # fmt: skip


def text_features(data: Path) -> Row:
    """MiniLM over 256 utterances in batches of similar length, against padding all of them to 128 tokens."""
    import torch

    from mmsa_lib.dataset import MELDDataset
    from mmsa_lib.features import text_vectors
    from mmsa_lib.model import MultimodalSentimentModel

    dataset = MELDDataset(data, "train", modalities=["text"])
    encoder = MultimodalSentimentModel(modalities=["text"]).eval().encoders["text"]
    tokens = [dataset.tokens(i) for i in range(min(256, len(dataset)))]

    @torch.inference_mode()
    def padded() -> None:
        ids = torch.zeros(len(tokens), 128, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, t in enumerate(tokens):
            ids[row, : len(t)], mask[row, : len(t)] = t, 1
        for start in range(0, len(tokens), 64):
            batch = slice(start, start + 64)
            encoder.features({"input_ids": ids[batch], "attention_mask": mask[batch]})

    return Row("text features of 256 utterances: by length | padded to 128", *side_by_side(
        lambda: text_vectors(encoder, tokens, dataset.pad_token_id, "cpu"), padded, repeats=3
    ))  # fmt: skip


def epoch(data: Path) -> Row:
    """An epoch over 64 utterances from kept features, against decoding and running the backbones again."""
    from mmsa_lib.dataset import MELDDataset, make_loader
    from mmsa_lib.features import extract
    from mmsa_lib.meld import load_split
    from mmsa_lib.model import MultimodalSentimentModel
    from mmsa_lib.trainer import MultimodalTrainer

    table = load_split(data, "train").head(64)
    model = MultimodalSentimentModel()
    raw, kept = MELDDataset(table), MELDDataset(table)
    with tempfile.TemporaryDirectory() as folder:
        kept.features = extract(kept, model, folder)

        def one(dataset: MELDDataset) -> Work:
            loader = make_loader(dataset, 32)
            trainer = MultimodalTrainer(model, loader, loader, class_weights=None, progress=False)
            return trainer.train_epoch

        return Row(
            "an epoch of 64 utterances: from features | from clips", *side_by_side(one(kept), one(raw), repeats=2)
        )


def main() -> None:
    """Print the table; the data are a folder in MELD's layout, the embedded set by default."""
    from mmsa_lib.cli import EMBEDDED

    data = Path(sys.argv[1]) if len(sys.argv) > 1 else EMBEDDED
    print(f"{'ours | the other way':<66} {'ours':>12} {'other':>12} {'ratio':>9}")
    print(importing())
    for benchmark in (class_weights, clip_input, text_features, epoch):
        print(benchmark(data), flush=True)


if __name__ == "__main__":
    main()
