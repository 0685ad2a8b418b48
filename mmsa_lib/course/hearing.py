"""A small audio encoder trained in seconds, from several seeds, in several ways: what the traps of notebooks/04 cost.

Its frames are 80 ms long, each the average of eight of the library's; it has three blocks with few channels.
"""

from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, cross_entropy

from mmsa_lib.course.comparing import resampled_f1, spread
from mmsa_lib.course.traps import trap
from mmsa_lib.dataset import LengthBatchSampler, MELDDataset
from mmsa_lib.encoders import AudioEncoder
from mmsa_lib.labels import EMOTIONS

CHANNELS = (32, 48, 64)
SHORTER = 8  # frames of 10 ms that are averaged into one
EPOCHS = 6
BATCH, TEST_BATCH = 32, 64
RATE = 5e-3
Clips = Sequence[Tensor]  # log-mel (64, T) of several lengths
Prepare = Callable[[Clips], list[Tensor]]
Collate = Callable[[Clips], tuple[Tensor, Tensor | None]]  # (B, 64, T) and lengths (B,), or None


def shorten(mels: Clips) -> list[Tensor]:
    """Frames of 80 ms."""
    return [avg_pool1d(mel, SHORTER) for mel in mels]


def build(seed: int) -> nn.ModuleDict:
    """An encoder and a head for the emotions; the same seed gives the same first weights."""
    torch.manual_seed(seed)
    return nn.ModuleDict({"encoder": AudioEncoder(channels=CHANNELS), "head": nn.Linear(128, len(EMOTIONS))})


def predict(model: nn.ModuleDict, batch: tuple[Tensor, Tensor | None]) -> Tensor:
    """Logits (B, 7)."""
    return model["head"](model["encoder"](*batch).relu())


def train(clips: Clips, labels: np.ndarray, collate: Collate, seed: int) -> nn.ModuleDict:
    """A trained model, in eval mode."""
    model, labels = build(seed), torch.from_numpy(labels)
    batches = LengthBatchSampler(np.array([clip.shape[1] for clip in clips]), BATCH, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * len(batches))
    for epoch in range(EPOCHS):
        batches.set_epoch(epoch)
        for rows in batches:
            loss = cross_entropy(predict(model, collate([clips[row] for row in rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return model.eval()


@torch.no_grad()
def answer(model: nn.ModuleDict, clips: Clips, collate: Collate, size: int = TEST_BATCH) -> np.ndarray:
    """The emotion said of each clip (N,), tested in batches of `size` in the given order."""
    parts = [predict(model, collate(clips[i : i + size])) for i in range(0, len(clips), size)]
    return torch.cat(parts).argmax(dim=1).numpy()


def frames_computed(lengths: np.ndarray, size: int = BATCH) -> dict[str, int]:
    """Frames that a network computes for clips of these lengths (N,), by how batches are made of them."""
    mixed = np.array_split(np.random.default_rng(0).permutation(len(lengths)), len(lengths) // size)
    ways = {"like with like": LengthBatchSampler(lengths, size), f"random batches of {size}": mixed}
    found = {name: int(sum(len(batch) * lengths[batch].max() for batch in batches)) for name, batches in ways.items()}
    return found | {"always 9.6 s": len(lengths) * 960, "always 30 s": len(lengths) * 3000}


class Trial:
    """One way to prepare clips and to make batches of them, trained from several seeds.

    Args:
        collate: makes a batch: clips -> (B, 64, T) and the lengths (B,), or None for no mask.
        train_set: clips to learn from; `tests`: data sets whose clips are never trained on, nor chosen by.
        prepare: what is done to the log-mels first.
    """

    def __init__(
        self,
        collate: Collate,
        train_set: MELDDataset,
        tests: Sequence[MELDDataset],
        prepare: Prepare = shorten,
        seeds: int = 3,
    ) -> None:
        self.collate = collate
        seen = prepare(train_set.features["audio"])
        self.models = [train(seen, train_set.emotion_labels, collate, seed) for seed in range(seeds)]
        self.unseen = prepare([clip for data in tests for clip in data.features["audio"]])
        self.labels = np.concatenate([data.emotion_labels for data in tests])
        self._ask()

    def _ask(self) -> None:
        self.answers = np.stack([answer(model, self.unseen, self.collate) for model in self.models])  # (seeds, N)
        self.resampled = resampled_f1(self.labels, self.answers, draw_seeds=True)

    def asked(self, collate: Collate) -> "Trial":
        """The same networks, tested in batches that are made in another way than those they learned from."""
        other = copy(self)
        other.collate = collate
        other._ask()
        return other

    @property
    def score(self) -> float:
        """Weighted F1, mean of the seeds."""
        return float(self.resampled[0])

    def trap(self, name: str, right: "Trial") -> None:
        """Show what this way costs, compared with the right one on the same draws of clips and seeds."""
        note = f"synthetic embedded data, small encoder, {len(self.models)} seeds, dev and test clips"
        change = spread(self.resampled - right.resampled)
        trap(name, right=right.score, wrong=self.score, spread=change, note=note)

    def changed_alone(self) -> np.ndarray:
        """Share of answers that change when each clip is tested alone instead of in a batch, one a seed."""
        alone = np.stack([answer(model, self.unseen, self.collate, size=1) for model in self.models])
        return (alone != self.answers).mean(axis=1)


# ------------------------------------------------------------------------------------ what was learned


def added_to_filters(model: nn.ModuleDict, seed: int, most: int) -> np.ndarray:
    """What training added to the filters (64 bands, 3 frames) of the first layer; the `most` that moved furthest."""
    with torch.random.fork_rng(devices=[]):
        first = build(seed)["encoder"].blocks[0].conv.weight
    added = (model["encoder"].blocks[0].conv.weight - first).detach()
    return added[added.norm(dim=(1, 2)).argsort(descending=True)[:most]].numpy()


@torch.no_grad()
def excitement(model: nn.ModuleDict, clips: Clips, collate: Collate) -> tuple[Tensor, Tensor]:
    """Peak of each channel of the last block in each clip, and the frame of 10 ms it is at: (N, C) and (N, C)."""
    x, lengths = collate(clips)
    for block in model["encoder"].blocks:
        x, lengths = block(x, lengths)
    peaks = x.max(dim=2)
    step = 2 ** len(model["encoder"].blocks)
    return peaks.values, (peaks.indices * step + step // 2) * SHORTER


class Favourites:
    """For each emotion the channel of the last block that its training clips raise most, and what else excites it.

    `channels` has the channel of each emotion in the network of one seed; `strongest` the unseen clips, the one that
    excites it most first.
    """

    def __init__(self, trial: Trial, train_set: MELDDataset, seed: int = 0) -> None:
        model = trial.models[seed]
        known, _ = excitement(model, shorten(train_set.features["audio"]), trial.collate)
        scaled = (known - known.mean(dim=0)) / (known.std(dim=0) + 1e-6)
        raised = [scaled[train_set.emotion_labels == i].mean(dim=0) for i in range(len(EMOTIONS))]
        self.channels = {emotion: int(by.argmax()) for emotion, by in zip(EMOTIONS, raised, strict=True)}
        height, self._when = excitement(model, trial.unseen, trial.collate)
        self.strongest = {e: height[:, c].argsort(descending=True).tolist() for e, c in self.channels.items()}

    def moments(self, clips: Clips, shown: Sequence[str], most: int = 3) -> dict[str, list[tuple[Tensor, int, str]]]:
        """Of the strongest unseen clips of each emotion: the log-mel, the frame that excites, what the voice shows."""
        return {
            emotion: [(clips[i], int(self._when[i, self.channels[emotion]]), shown[i]) for i in best[:most]]
            for emotion, best in self.strongest.items()
        }

    def hits(self, shown: Sequence[str], most: int = 20) -> dict[str, float]:
        """Share of the strongest unseen clips whose voice shows the channel's emotion."""
        return {e: float(np.mean([shown[i] == e for i in best[:most]])) for e, best in self.strongest.items()}
