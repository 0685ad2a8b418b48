"""Pictures of an evaluation say what they were given and survive what data bring; see also test_plots.py."""

import inspect
import warnings

import numpy as np
import pytest
from readings import reading
from test_plots import pixels, sample, texts

from mmsa_lib import calibration, consistency, evaluation, plots
from mmsa_lib import evaluation_plots as draw


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def every_picture(own=None) -> dict:
    own = own or reading()
    found = evaluation.assess(own)
    bins = calibration.reliability(own.probabilities("emotion"), own.labels["emotion"])
    card = sample() | {"mel": np.zeros((64, 20))}
    return {
        "class_scores": draw.class_scores(found["emotion"]["per_class"], "emotion"),
        "reliability": draw.reliability({"before\nECE .1": bins, "after": bins}, "emotion"),
        "contributions": draw.contributions(found["contributions"]["emotion"], "emotion"),
        "clip_contributions": draw.clip_contributions({"text (shows joy)": 0.5, "audio": -0.1}, 0.2, "joy", "a $ b"),
        "pairs": draw.pairs(np.array(found["consistency"]["pairs"]), consistency.meld_pairs(), "pairs"),
        "groups": draw.groups(found["groups"]["speaker"], "speaker"),
        "differences": draw.differences([{"name": "a", "difference": 0.1, "interval": (-0.1, 0.3)}], "emotion"),
        "clip_card": draw.clip_card(card),
    }


def test_all_are_tried_here_have_words_and_the_same_bytes_each_time():
    first, second = every_picture(), every_picture()  # two readings: nothing may hang on what was drawn before
    made = {
        n for n, f in vars(draw).items() if inspect.isfunction(f) and f.__annotations__.get("return") is plots.Picture
    }
    assert made == set(first)
    for name, figure in first.items():
        assert plots.to_png(figure, 50) == plots.to_png(second[name], 50), name
        assert figure.alt_text.endswith(".") and len(figure.alt_text.split()) > 5, name


def test_a_split_of_one_utterance_is_drawn():
    every_picture(reading(n=1))


def test_a_reliability_diagram_says_what_is_in_each_bin():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45]])
    figure = draw.reliability({"all": calibration.reliability(p, np.array([0, 1, 0]))})
    assert "90% sure 50% right (n = 2)" in figure.alt_text and "55% sure 100% right (n = 1)" in figure.alt_text


def test_steps_of_one_clip_add_up_in_the_words():
    figure = draw.clip_contributions({"text": 0.3, "video": -0.1}, 0.25, "fear")
    assert "Probability of fear: 25% before" in figure.alt_text and "together 45%" in figure.alt_text
    assert {"+30%", "-10%", "45%"} <= set(texts(figure))


def test_a_pair_that_cannot_be_is_named():
    counts = np.zeros((7, 3), int)
    counts[3, 0], counts[3, 2] = 4, 9
    assert "4 cannot be (joy with negative 4)" in draw.pairs(counts, consistency.meld_pairs()).alt_text


def test_a_difference_that_may_be_noise_says_so():
    rows = [{"name": "a", "difference": 0.1, "interval": (-0.1, 0.3)}]
    assert any("(noise)" in t for t in texts(draw.differences(rows)))
    assert not any("(noise)" in t for t in texts(draw.differences([rows[0] | {"interval": (0.01, 0.3)}])))


def test_a_group_beyond_chance_is_marked_without_colour_alone():
    row = {"name": "Ann", "n": 9, "accuracy": 0.5, "low": 0.3, "high": 0.7, "expected": 0.6, "noise": True}
    assert not any("!" in t for t in texts(draw.groups({"p": 0.5, "groups": [row]})))
    assert any("!" in t for t in texts(draw.groups({"p": 0.5, "groups": [row | {"noise": False}]})))


def test_a_clip_without_picture_or_sound_says_so():
    bare = sample(frames=None, waveform=None) | {"mel": None}
    shown = texts(draw.clip_card(bare))
    assert "no video" in shown and shown.count("no audio") == 2
    assert pixels(draw.clip_card(bare)).std() > 0
