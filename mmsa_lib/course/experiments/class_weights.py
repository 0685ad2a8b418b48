"""What class weights cost, on the embedded data while lesson 06 runs, and once on the text of the real MELD.

`python -m mmsa_lib.course.experiments.class_weights data/meld` needs the annotation tables alone. It writes
`results/06_class_weights_meld.json`, which holds scores and class counts, and not a word of MELD.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn

from mmsa_lib import experiment
from mmsa_lib.class_weights import class_weights
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.labels import EMOTIONS
from mmsa_lib.metrics import classification_metrics, per_class
from mmsa_lib.presets import PRESETS

RESULT = Path(__file__).resolve().parents[1] / "results" / "06_class_weights_meld.json"
SCHEMES = ("none", "sqrt", "effective", "inverse", "sampler", "adjusted")
SCORES = ("accuracy", "weighted_f1", "macro_f1")
Split = tuple[Tensor, Tensor]  # features (N, D), emotion labels (N,)


def train_head(
    x: Tensor,
    y: Tensor,
    weight: Tensor | None = None,
    seed: int = 0,
    epochs: int = 10,
    draw: Tensor | None = None,
    smoothing: float = 0.0,
) -> Iterator[nn.Module]:
    """Train a small head on features x (N, D) and labels y (N,); yields it, in eval mode, after each epoch.

    `weight` (7,) weighs the classes in the loss; `draw` (N,) says how often each utterance is drawn, with
    replacement. Derived in notebooks/06.
    """
    torch.manual_seed(seed)
    dropout, hidden = nn.Dropout(0.5), 64
    head = nn.Sequential(dropout, nn.Linear(x.shape[1], hidden), nn.ReLU(), dropout, nn.Linear(hidden, len(EMOTIONS)))
    optimizer = torch.optim.Adam(head.parameters(), lr=2e-3, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
    for _ in range(epochs):
        order = torch.randperm(len(y)) if draw is None else torch.multinomial(draw, len(y), replacement=True)
        head.train()
        for batch in order.split(64):
            loss = criterion(head(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield head.eval()


@dataclass
class Runs:
    """Logits after every epoch of several seeds: `dev` and `test` (S, E, N, 7), with their labels (N,)."""

    dev: Tensor
    test: Tensor
    dev_labels: Tensor
    test_labels: Tensor

    def scores(self, shift: Tensor | float = 0.0, split: str = "test") -> np.ndarray:
        """Accuracy, weighted and macro F1 (S, 3) after the last epoch; `shift` (7,) is added to the logits."""
        logits, labels = getattr(self, split)[:, -1] + shift, getattr(self, f"{split}_labels")
        return np.array([[scores(run, labels)[name] for name in SCORES] for run in logits])

    def confusion(self, shift: Tensor | float = 0.0) -> np.ndarray:
        """Confusion matrix (7, 7) of test after the last epoch, true class first, summed over the seeds."""
        said = (self.test[:, -1] + shift).argmax(dim=-1)
        return sum(confusion_matrix(self.test_labels, run, labels=range(len(EMOTIONS))) for run in said)

    def kept(self, judge: Callable[[Tensor, Tensor], float]) -> tuple[np.ndarray, np.ndarray]:
        """Epochs (S,), from 1, that a judge of dev logits and labels likes best, and their weighted F1 on test (S,)."""
        epochs = [int(np.argmax([judge(logits, self.dev_labels) for logits in run])) for run in self.dev]
        kept = [scores(run[e], self.test_labels)["weighted_f1"] for run, e in zip(self.test, epochs, strict=True)]
        return np.array(epochs) + 1, np.array(kept)


def run(splits: Mapping[str, Split], seeds: Sequence[int] = range(5), **settings) -> Runs:
    """Train a head from each seed with the settings of `train_head`, and keep what it says after each epoch."""
    found: dict[str, list] = {"dev": [], "test": []}
    for seed in seeds:
        heads = train_head(*splits["train"], seed=seed, **settings)
        said = [[head(splits[split][0]).detach() for split in found] for head in heads]  # a pair an epoch
        for split, logits in zip(found, zip(*said, strict=True), strict=True):
            found[split].append(torch.stack(logits))
    labels = {f"{split}_labels": splits[split][1] for split in found}
    return Runs(**{split: torch.stack(logits) for split, logits in found.items()}, **labels)


def joined_features(data: Mapping[str, MELDDataset]) -> dict[str, Split]:
    """Pooled text and pooled video side by side, standardised by the training split, with the emotion labels."""
    found = {}
    for name, dataset in data.items():
        parts = [torch.stack(list(dataset.features[modality])) for modality in ("text", "video")]
        found[name] = (torch.cat(parts, dim=1), torch.from_numpy(dataset.emotion_labels))
    return standardise(found)


def table_rows(found: Mapping[str, np.ndarray]) -> list[dict[str, str]]:
    """Rows of a table from scheme -> (S, 3) scores: means, and standard deviations over the seeds."""
    rows = []
    for name, values in found.items():
        cells = [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" for v in np.asarray(values).T]
        rows.append({"weights": name} | dict(zip(("accuracy", "weighted F1", "macro F1"), cells, strict=True)))
    return rows


def clips_opened(do: Callable[[MELDDataset], object], table: pd.DataFrame) -> int:
    """How many clips are decoded while `do` works on a data set of these rows."""
    opened = []

    class Counting(MELDDataset):
        def media(self, index: int):
            found = super().media(index)
            opened.append(index)
            return found

    do(Counting(table, modalities=("video",)))
    return len(opened)


def standardise(splits: dict[str, Split]) -> dict[str, Split]:
    """Each feature with mean 0 and deviation 1 over the training split."""
    x = splits["train"][0]
    mean, deviation = x.mean(dim=0), x.std(dim=0).clamp(min=1e-6)
    return {name: ((features - mean) / deviation, labels) for name, (features, labels) in splits.items()}


def scores(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Accuracy, weighted and macro F1 of logits (N, 7)."""
    found = classification_metrics(y.numpy(), logits.argmax(dim=1).numpy(), len(EMOTIONS))
    return {name: found[name] for name in SCORES}


def measure(splits: dict[str, Split], scheme: str, seeds: Sequence[int], epochs: int = 10) -> dict:
    """Test scores of one scheme, a value a seed, and the mean recall and precision of each class.

    `sampler` draws the classes evenly; `adjusted` trains without weights and takes half of the logarithm of
    the class shares out of the logits.
    """
    x, y = splits["train"]
    weight = class_weights(y.numpy(), EMOTIONS, {"sampler": "inverse", "adjusted": "none"}.get(scheme, scheme))
    how = {"draw": weight[y]} if scheme == "sampler" else {"weight": weight}
    shares = torch.bincount(y, minlength=len(EMOTIONS)).clamp(min=1) / len(y)
    shift = 0.5 * shares.log() if scheme == "adjusted" else 0.0
    x_test, y_test = splits["test"]
    found: dict = {name: [] for name in SCORES}
    classes = []
    for seed in seeds:
        *_, head = train_head(x, y, seed=seed, epochs=epochs, **how)
        logits = head(x_test).detach() - shift
        for name, value in scores(logits, y_test).items():
            found[name].append(value)
        classes.append(per_class(y_test.numpy(), logits.argmax(dim=1).numpy(), EMOTIONS))
    for side in ("recall", "precision"):
        found[side] = {name: float(np.mean([c[name][side] for c in classes])) for name in EMOTIONS}
    return {"scheme": scheme, **found}


def text_splits(data: str | Path, features: str | Path, rows: int | None = None) -> dict[str, Split]:
    """Frozen MiniLM's pooled text and the emotion labels of `train` and `test`; `rows` takes the first ones only."""
    preset = replace(PRESETS["mini"], modalities=("text",))
    model = experiment.build_model(preset)
    splits = {}
    for split in ("train", "test"):
        table = experiment.read_table(preset, data, split).head(rows or sys.maxsize)
        dataset = experiment.build_dataset(preset, model, table, features)
        splits[split] = (torch.stack(dataset.features["text"]), torch.from_numpy(dataset.emotion_labels))
    return standardise(splits)


def load_result() -> dict:
    """What `main` has stored."""
    return json.loads(RESULT.read_text(encoding="utf-8"))


def main(arguments: Sequence[str]) -> None:
    data = Path(arguments[0] if arguments else "data/meld")
    features = Path(arguments[1] if len(arguments) > 1 else "runs/features")
    splits = text_splits(data, features)
    counts = {name: torch.bincount(y, minlength=len(EMOTIONS)).tolist() for name, (_, y) in splits.items()}
    result = {
        "what": "MELD text, frozen all-MiniLM-L6-v2, mean pooling, a small head; official test split",
        "command": "python -m mmsa_lib.course.experiments.class_weights data/meld",
        "torch": version("torch"),
        "counts": {name: dict(zip(EMOTIONS, values, strict=True)) for name, values in counts.items()},
        "rows": [measure(splits, scheme, range(5)) for scheme in SCHEMES],
    }
    temporary = RESULT.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, RESULT)
    for row in result["rows"]:
        print(row["scheme"], *(f"{name} {np.mean(row[name]):.3f}" for name in SCORES))


if __name__ == "__main__":
    main(sys.argv[1:])
