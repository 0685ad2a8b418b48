"""The world of mini-MELD: who says what to whom, feeling what, and what each modality shows of it."""

from __future__ import annotations

import numpy as np

from mmsa_lib.mini.characters import cast
from mmsa_lib.mini.dialogue import LENGTHS, draw_turns, draw_with_counts
from mmsa_lib.mini.plan import KINDS, Character, Cue, UtterancePlan
from mmsa_lib.mini.script import Prompter, read_lines, share_out
from mmsa_lib.mini.tables import (
    COUNTS,
    CUE_TABLE,
    FEELINGS,
    MISLEADS,
    SPLITS,
    STRENGTH_BETA,
    STRONG_WHEN_MISLEADING,
    emotion_of,
    sentiment_of,
    valence_of,
)

SEED = 7
"""The seed of the set in the repository."""
_LINES, _CHAIN, _CUES, _CAST, _PROMPTER = range(5)  # one random stream for each thing drawn


def _stream(seed: int, purpose: int, split: str = "train") -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose, SPLITS.index(split)]))


def draw_cue(rng: np.random.Generator, modality: str, feeling: str) -> Cue:
    """What `modality` shows of `feeling`, by the stated tables."""
    kind = KINDS[int(rng.choice(len(KINDS), p=CUE_TABLE[modality][feeling]))]
    shown, level = feeling, {"clear": "strong", "absent": "neutral"}.get(kind, "weak")
    if kind == "misleads":
        shown = FEELINGS[int(rng.choice(len(FEELINGS), p=MISLEADS[modality][FEELINGS.index(feeling)]))]
        odds = STRONG_WHEN_MISLEADING["neutral" if feeling == "neutral" else "emotional"]
        level = "strong" if rng.random() < odds else "weak"
    if kind == "absent" or shown == "neutral":
        return Cue("neutral", 0.0, 0, kind, "neutral")
    strength = round(float(rng.beta(*STRENGTH_BETA[level])), 3)
    return Cue(emotion_of(shown), strength, valence_of(shown), kind, level)


def _draw_scenes(rng: np.random.Generator, utterances: int, people: list[Character]) -> list[list[Character]]:
    """Dialogues as lists of who speaks, `utterances` in all, everybody on stage about equally often."""
    lengths: list[int] = []
    while sum(lengths) < utterances:
        lengths.append(int(rng.integers(LENGTHS.start, LENGTHS.stop)))
    lengths[-1] -= sum(lengths) - utterances
    if lengths[-1] < 2:  # a rest of one utterance is no dialogue: the one before takes it
        rest = lengths.pop()
        lengths[-1] += rest
    appearances = np.zeros(len(people))
    scenes = []
    for length in lengths:
        size = 2 if rng.random() < 0.6 else 3
        present = np.argsort(appearances + rng.random(len(people)))[:size]
        appearances[present] += length / 10
        scenes.append([people[present[turn]] for turn in draw_turns(rng, size, length)])
    return scenes


def draw_split(split: str, seed: int = SEED) -> list[UtterancePlan]:
    """Every utterance of one split, dialogue by dialogue."""
    scenes = _draw_scenes(_stream(seed, _CAST, split), sum(COUNTS[split]), cast(split, seed))
    turns = [[scene.index(person) for person in scene] for scene in scenes]
    feelings = draw_with_counts(_stream(seed, _CHAIN, split), turns, COUNTS[split])
    lines = share_out(read_lines(), _stream(seed, _LINES))[split]
    prompter, rng = Prompter(lines, _stream(seed, _PROMPTER, split)), _stream(seed, _CUES, split)
    plans = []
    for dialogue_id, scene in enumerate(scenes):
        for utterance_id, character in enumerate(scene):
            feeling = FEELINGS[feelings[dialogue_id][utterance_id]]
            cues = {modality: draw_cue(rng, modality, feeling) for modality in CUE_TABLE}
            plans.append(
                UtterancePlan(
                    split=split,
                    dialogue_id=dialogue_id,
                    utterance_id=utterance_id,
                    character=character,
                    text=prompter.line(feeling, cues["text"].feeling, cues["text"].level).text,
                    emotion=emotion_of(feeling),
                    sentiment=sentiment_of(feeling),
                    video=cues["video"],
                    audio=cues["audio"],
                    text_cue=cues["text"],
                    seed=int(rng.integers(2**31)),
                )
            )
    return plans


def draw_world(seed: int = SEED) -> list[UtterancePlan]:
    """All utterances: train, dev, test."""
    return [plan for split in SPLITS for plan in draw_split(split, seed)]
