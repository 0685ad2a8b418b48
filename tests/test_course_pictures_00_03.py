"""Pictures of lessons 00 to 03: each has words with its numbers, and gives the same bytes when drawn again."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from mmsa_lib import EMOTIONS, plots
from mmsa_lib.course.pictures import lesson00, lesson01, lesson02, lesson03

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
SCENE = pd.DataFrame(
    {
        "speaker": ["Ann", "B$b", "Ann"],
        "text": ["Oh, it costs $5!", "A long line, " * 30, ""],
        "emotion": ["joy", "anger", "neutral"],
        "start": [10.0, 12.5, 13.0],
        "end": [12.0, 12.6, 15.0],
    }
)
REAL = {"words": [5, 9, 2], "seconds": [4, 4], "words_by_emotion": [8.0, 7.0, 9.0, 8.0, 8.0, 8.0, 6.0]}
FACE = torch.from_numpy(PIXELS[0]).permute(2, 0, 1)
FILM = torch.zeros(8, 6, 6)
FLOW = np.full((7, 7), 2.0)
TRACE = [{"part": "input", "output": (3, 4, 12, 12)}, {"part": "stem", "output": (8, 2, 6, 6)}]
MAPS = {"joy": np.arange(9.0).reshape(3, 3), "fear": np.eye(3)}

DRAWN: dict[str, tuple[Callable[[], plots.Picture], str]] = {
    "worth": (
        lambda: lesson00.worth_of_words({"true": (0.5, 0.75), "false": (0.5, 0.25)}, {"true": 8, "false": 4}),
        "true: 50% without them, 75% with them; false: 50% without them, 25% with them",
    ),
    "scene": (lambda: lesson01.scene(SCENE), "Ann joy, B$b anger, Ann neutral"),
    "lifts": (lambda: lesson01.lifts({"a": FLOW, "b": np.where(np.eye(7, k=1) > 0, np.nan, 1.0)}), "a 2.0"),
    "repeats": (
        lambda: lesson01.repeats(
            dict.fromkeys(lesson01.FLOWS, 0.5), {f: [0.1, 0.2, 0.3] for f in lesson01.FLOWS}, {"mini": (0.2, 0.3, 0.4)}
        ),
        "own last 0.50, shuffles at most 0.30",
    ),
    "lengths": (
        lambda: lesson01.lengths(SCENE.assign(emotion=pd.Categorical(SCENE["emotion"], EMOTIONS)), REAL),
        "in MELD from 6.0 (surprise) to 9.0",
    ),
    "raw": (lambda: lesson01.raw_numbers(PIXELS[0, :4, :5], np.sin(np.arange(600)), 8000), "4 x 5 pixels"),
    "mono": (lambda: lesson01.mono({"a": np.zeros(900), "b": np.full(900, 0.5)}), "a 0.00, b 0.50"),
    "faces": (
        lambda: lesson01.small_faces(PIXELS, list("abcdef"), count=3),
        "3 clips in 16 x 16 pixels: a, c, f",
    ),
    "leaks": (lambda: lesson01.leaks({"pixels": (0.3, 0.4, 0.02)}), "pixels 0.30 kept apart, 0.40 dealt out"),
    "tokens": (lambda: lesson02.tokens(["[CLS]", "u", "##gh"], [101, 7, 8]), "[CLS] 101, u 7, ##gh 8"),
    "attention": (lambda: lesson02.attention({"head": torch.eye(2)}, ["a", "b"]), "head: a to a, b to b"),
    "layers": (lambda: lesson02.layers({"x fine": [1.0, 0.5]}, "fine", "ok"), "0.50 in “x fine”"),
    "leak": (lambda: lesson02.leak({"Ugh!": [1.0, 0.25]}, [0, 9]), "after 9 pads: 0.25 in “Ugh!”"),
    "ladder": (
        lambda: lesson02.ladder({"none": (0.1, 0.1, 0.1), "mean": (0.5, 0.4, 0.6)}, 0.8, "Probe"),
        "mean 0.50 (0.40 to 0.60); the ceiling is 0.80",
    ),
    "dice": (
        lambda: lesson02.dice(["x"], np.array([[0.25], [0.75]]), np.array([0.5])),
        "read 2 times in train mode: the probabilities wander from 0.25 to 0.75",
    ),
    "padding": (lambda: lesson02.padding({"all": (np.array([1, 2]), np.array([4, 4]))}), "all: 8 tokens, 62% padding"),
    "movies": (lambda: lesson03.movies({"rests": FILM, "sleeps": FILM}), "a bar that rests and one that sleeps"),
    "motion": (
        lambda: lesson03.motion(torch.eye(3).reshape(3, 1, 3), {"a": torch.ones(6), "b": torch.zeros(6)}),
        "each film: a 1, b 0",
    ),
    "shrinking": (lambda: lesson03.shrinking(TRACE), "stem 8 channels, 2 frames of 6x6"),
    "colours": (
        lambda: lesson03.colours(FACE, {"a": FACE / 255, "b": FACE - 1.0}),
        "values of the network's input: a 0.0",
    ),
    "choices": (
        lambda: lesson03.choices({"a": np.ones((2, 4, 4, 3), int), "b": np.zeros((2, 4, 4, 3), int)}),
        "2 frames of a clip chosen in 2 ways: a; b, 2 of them black",
    ),
    "features": (
        lambda: lesson03.feature_maps(FACE, {"stem": torch.arange(80.0).reshape(5, 4, 4).sin()}),
        "stem (5, 4, 4)",
    ),
    "video ladder": (lambda: lesson03.ladder({"a": 0.1, "b": 0.2, "c": 0.5}, 0.75, "F1"), "c 0.50, best possible 0.75"),
    "costs": (
        lambda: lesson03.costs({"BGR": {"trained": (-0.125, 0.01), "fed": (-0.25, 0.02)}}, "F1"),
        "BGR: -0.12 trained, -0.25 fed",
    ),
    "saliency": (
        lambda: lesson03.saliency({"joy": FACE, "fear": FACE}, MAPS, patch=8),
        "3 x 3 places, the darkest: joy row 3, column 3; fear row 1, column 1",
    ),
}


@pytest.mark.parametrize(("draw", "words"), DRAWN.values(), ids=list(DRAWN))
def test_a_picture_says_its_numbers_and_is_the_same_each_time(draw, words):
    first, second = draw(), draw()
    assert words in first.alt_text
    assert plots.to_png(first, 40) == plots.to_png(second, 40)


def test_every_picture_of_these_lessons_is_tried():
    public = {
        (module.__name__, name)
        for module in (lesson00, lesson01, lesson02, lesson03)
        for name, thing in vars(module).items()
        if callable(thing) and getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert len(public) == len(DRAWN)
