"""What somebody who knows how the embedded dialogues were drawn can make of the turns around an utterance.

The feelings of an embedded dialogue follow a stated chain (`mmsa_lib.mini.tables`): a speaker keeps the last own
feeling, or answers that of somebody else. Who knows the chain can weigh what each turn shows against what the
turns around it show, by the forward-backward algorithm. Used in notebooks/10.
"""

from collections.abc import Sequence

import numpy as np

from mmsa_lib.mini.ceiling import NUM_DISPLAYS, display_table, merge, posteriors, weighted_f1
from mmsa_lib.mini.dialogue import LENGTHS, draw_dialogue, draw_turns
from mmsa_lib.mini.tables import FEELINGS, emotion_of, prior, sentiment_of

Window = tuple[int | None, int | None]  # turns seen before and after an utterance; None for all of them
LABEL_OF = {"emotion": emotion_of, "sentiment": sentiment_of}


def beliefs(turns: Sequence[int], likelihoods: np.ndarray, window: Window) -> np.ndarray:
    """P(feeling | what the turns of the window show), (T, 8).

    Args:
        turns: who speaks each of the T turns of one dialogue, as any numbers.
        likelihoods: (T, 8) P(what the turn shows | feeling), up to a factor a turn.
        window: how many turns before and after an utterance are seen.
    """
    past, future = (len(turns) if side is None else side for side in window)
    if min(past, future) >= len(turns):
        return posteriors(_renumbered(turns), likelihoods)
    found = []
    for t in range(len(turns)):
        seen = slice(max(0, t - past), t + future + 1)
        found.append(posteriors(_renumbered(turns[seen]), likelihoods[seen])[t - seen.start])
    return np.stack(found)


def _renumbered(turns: Sequence[int]) -> list[int]:
    """Speakers as 0, 1, … in the order of their first turn."""
    names = list(dict.fromkeys(turns))
    return [names.index(turn) for turn in turns]


def simulate(
    modalities: Sequence[str], dialogues: int, seed: int = 0
) -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    """New dialogues of the embedded world, without clips: turns, feelings (N,), and displays (N, M).

    `turns` holds who speaks, a list a dialogue; `feelings` are indices into `FEELINGS`; a display, one of 16 (see
    `mmsa_lib.mini.ceiling`), is what one of the M modalities shows of an utterance.
    """
    rng = np.random.default_rng(seed)
    spoken, feelings = [], []
    for _ in range(dialogues):
        turns = _renumbered(draw_turns(rng, int(rng.integers(2, 4)), int(rng.choice(LENGTHS))))
        spoken.append(turns)
        feelings += draw_dialogue(rng, turns)
    felt = np.array(feelings)
    cumulated = [display_table(modality).cumsum(axis=1)[felt] for modality in modalities]
    shown = [(rng.random((len(felt), 1)) > rising).sum(axis=1) for rising in cumulated]
    return spoken, felt, np.minimum(np.stack(shown, axis=1), NUM_DISPLAYS - 1)


def allowed(
    modalities: Sequence[str], windows: Sequence[Window], dialogues: int = 300, seed: int = 0
) -> dict[Window, dict[str, float]]:
    """Weighted F1 of who reads every cue without error and knows all tables, for each window of turns.

    All windows are asked about the same simulated dialogues, and all answer with the most probable label, so that
    their differences are due to the turns alone.
    """
    turns, feelings, displays = simulate(modalities, dialogues, seed)
    return {window: _scores(feelings, read(turns, displays, modalities, window)) for window in windows}


def read(turns: Sequence[Sequence[int]], displays: np.ndarray, modalities: Sequence[str], window: Window) -> np.ndarray:
    """P(feeling), (N, 8), of who knows all tables and sees these displays (N, M) of simulated dialogues."""
    likelihoods = np.ones((len(displays), len(FEELINGS)))
    for modality, shown in zip(modalities, displays.T, strict=True):
        likelihoods *= display_table(modality)[:, shown].T
    ends = np.cumsum([len(of_one) for of_one in turns])
    pairs = zip(turns, np.split(likelihoods, ends[:-1]), strict=True)
    return np.concatenate([beliefs(of_one, shown, window) for of_one, shown in pairs])


def _scores(truth: np.ndarray, belief: np.ndarray) -> dict[str, float]:
    """Weighted F1 of the most probable labels: truth (N,) and belief (N, 8) are about feelings."""
    scores = {}
    for task, label_of in LABEL_OF.items():
        labels = sorted({label_of(feeling) for feeling in FEELINGS})
        true = np.array([labels.index(label_of(feeling)) for feeling in FEELINGS])[truth]
        confusion = np.zeros((len(labels), len(labels)))
        np.add.at(confusion, (true, merge(belief.T, label_of).argmax(axis=0)), 1)
        scores[task] = weighted_f1(confusion)
    return scores


def sharpened(
    emotion: np.ndarray, sentiment: np.ndarray, dialogue: np.ndarray, speaker: np.ndarray, window: Window
) -> dict[str, np.ndarray]:
    """What a model without context would say if it knew the chain: answers (N,) for each task.

    Args:
        emotion, sentiment: its probabilities (N, 7) and (N, 3), an utterance a row, dialogues in order.
        dialogue, speaker: (N,) numbers.

    The probabilities of the model, divided by the shares of the feelings, take the place of what a turn shows.
    """
    likelihoods = _feelings(emotion, sentiment) / prior()
    belief = np.empty_like(likelihoods)
    for number in dict.fromkeys(dialogue.tolist()):
        rows = np.flatnonzero(dialogue == number)
        belief[rows] = beliefs(speaker[rows].tolist(), likelihoods[rows], window)
    return {task: merge(belief.T, label_of).argmax(axis=0) for task, label_of in LABEL_OF.items()}


def _feelings(emotion: np.ndarray, sentiment: np.ndarray) -> np.ndarray:
    """Probabilities of the eight feelings: surprise is split as the sentiment has it."""
    negative, _, positive = sentiment.T
    pleasant = positive / (positive + negative)
    surprise = {"surprise+": pleasant, "surprise-": 1 - pleasant}
    labels = sorted({emotion_of(feeling) for feeling in FEELINGS})
    return np.stack([emotion[:, labels.index(emotion_of(f))] * surprise.get(f, 1.0) for f in FEELINGS], axis=1)
