"""As many dialogues of the embedded world as one likes, without clips, and a small network that learns from them.

What a clip would show stands in its place: the display of each modality, one of 16, read without error. So a network
with context can be taught by any number of dialogues in seconds, and compared with `known_chain`, which need not
learn. Used in notebooks/10.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from mmsa_lib.context import DialogueContext
from mmsa_lib.course import known_chain
from mmsa_lib.course.comparing import weighted_f1
from mmsa_lib.labels import EMOTIONS
from mmsa_lib.mini.ceiling import NUM_DISPLAYS, display_table, merge
from mmsa_lib.mini.tables import FEELINGS, emotion_of

SIZE = 32  # numbers a turn
HIDDEN = 0.15  # share of the turns whose displays training hides
LOOKS = 10  # times that a training is asked about the dev dialogues


@dataclass(frozen=True)
class World:
    """N turns of some dialogues, in order: what they show, and what only the simulation knows."""

    shown: Tensor  # (N, 16 M): one-hot displays of M modalities side by side; zeros for a silent turn
    emotion: Tensor  # (N,)
    dialogue: Tensor  # (N,)
    speaker: Tensor  # (N,)
    likelihoods: np.ndarray  # (N, 8): P(displays | feeling); ones for a silent turn

    def __len__(self) -> int:
        return len(self.emotion)


def world(modalities: Sequence[str], dialogues: int, seed: int) -> World:
    """New dialogues, of which each modality's display is seen."""
    turns, felt, displays = known_chain.simulate(modalities, dialogues, seed)
    one_hot = [nn.functional.one_hot(torch.from_numpy(column), NUM_DISPLAYS) for column in displays.T]
    likelihoods = np.prod([display_table(m)[:, d].T for m, d in zip(modalities, displays.T, strict=True)], axis=0)
    emotion = np.array([EMOTIONS.index(emotion_of(feeling)) for feeling in FEELINGS])[felt]
    return World(
        torch.cat(one_hot, dim=1).float(),
        torch.from_numpy(emotion),
        torch.arange(dialogues).repeat_interleave(torch.tensor([len(t) for t in turns])),
        torch.tensor([speaker for of_one in turns for speaker in of_one]),
        likelihoods,
    )


def silenced(of: World, rows: Tensor) -> World:
    """The same turns, but those of `rows` (N,) bool show nothing."""
    shown = of.shown.masked_fill(rows[:, None], 0.0)
    return replace(of, shown=shown, likelihoods=np.where(rows.numpy()[:, None], 1.0, of.likelihoods))


def mixed(of: World, seed: int = 0) -> tuple[World, np.ndarray]:
    """The turns shuffled, then cut into dialogues of the old lengths: all are among strangers; and (N,) the order."""
    order = np.random.default_rng(seed).permutation(len(of))
    shuffled = World(of.shown[order], of.emotion[order], of.dialogue, of.speaker, of.likelihoods[order])
    return shuffled, order


def perfect_answers(of: World, window: known_chain.Window) -> np.ndarray:
    """Emotions (N,) that are most probable for who knows all tables and sees the turns of a window."""
    found = []
    for number in range(int(of.dialogue.max()) + 1):
        own = (of.dialogue == number).numpy()
        found.append(known_chain.beliefs(of.speaker[own].tolist(), of.likelihoods[own], window))
    return merge(np.concatenate(found).T, emotion_of).argmax(axis=0)  # labels in sorted order, as in EMOTIONS


class Reader(nn.Module):
    """Displays to logits, with or without the library's context in between."""

    def __init__(self, inputs: int, past: int = 0, future: int = 0, reader: str = "transformer") -> None:
        super().__init__()
        self.encode = nn.Linear(inputs, SIZE)
        self.context = DialogueContext(SIZE, past, future, reader, dropout=0.1) if past or future else None
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(SIZE, len(EMOTIONS)))

    def forward(self, shown: Tensor, dialogue: Tensor, speaker: Tensor) -> Tensor:
        x = self.encode(shown)  # (N, 16 M) -> (N, 32)
        return self.head(x if self.context is None else self.context(x, dialogue, speaker))

    @torch.no_grad()
    def answers(self, of: World) -> np.ndarray:
        """Emotions (N,)."""
        self.eval()
        return self(of.shown, of.dialogue, of.speaker).argmax(dim=1).numpy()


def teach(reader: Reader, lessons: World, dev: World, *, steps: int = 500, batch: int = 32, seed: int = 0) -> Reader:
    """Train on batches of whole dialogues, and keep the weights that did best on `dev`."""
    optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    ends = torch.bincount(lessons.dialogue).cumsum(dim=0).tolist()
    rng, best = np.random.default_rng(seed), (-1.0, {})
    for step in range(1, steps + 1):
        chosen = rng.choice(len(ends), min(batch, len(ends)), replace=False)
        rows = torch.cat([torch.arange(ends[d - 1] if d else 0, ends[d]) for d in chosen])
        kept = torch.from_numpy(rng.random((len(rows), 1)) >= HIDDEN)
        logits = reader.train()(lessons.shown[rows] * kept, lessons.dialogue[rows], lessons.speaker[rows])
        loss = nn.functional.cross_entropy(logits, lessons.emotion[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, steps // LOOKS) == 0:
            score = weighted_f1(dev.emotion.numpy(), reader.answers(dev))
            best = max(best, (score, copy.deepcopy(reader.state_dict())), key=lambda found: found[0])
    reader.load_state_dict(best[1])
    return reader.eval()
