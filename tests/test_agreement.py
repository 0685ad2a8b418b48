"""Word error rate against a definition too slow to be wrong; how found utterances are counted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsa_lib.agreement import Segmentation, WordErrors, match, normalise, segmentation, word_errors

WORDS = st.lists(st.sampled_from("abc"), max_size=5)


def by_recursion(said: list[str], heard: list[str]) -> int:
    """Fewest edits, tried one by one."""
    if not said or not heard:
        return len(said) + len(heard)
    return min(
        by_recursion(said[1:], heard) + 1,
        by_recursion(said, heard[1:]) + 1,
        by_recursion(said[1:], heard[1:]) + (said[0] != heard[0]),
    )


@given(WORDS, WORDS)
def test_word_errors_are_the_fewest_edits(said, heard):
    errors = word_errors(said, heard)
    assert errors.substituted + errors.deleted + errors.inserted == by_recursion(said, heard)
    assert errors.words == len(said) and len(said) - errors.deleted + errors.inserted == len(heard)


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ("You did what?", "you DID what", WordErrors(0, 0, 0, 3)),
        ("I’m fine.", "I'm fine", WordErrors(0, 0, 0, 2)),
        ("the bus leaves soon", "the mask leads soon", WordErrors(2, 0, 0, 4)),
        ("out, now", "get out", WordErrors(0, 1, 1, 2)),
        ("", "boo", WordErrors(0, 0, 1, 0)),
    ],
)
def test_word_errors_by_kind(said, heard, expected):
    errors = word_errors(said, heard)
    assert (sum(errors[:3]), errors.words) == (sum(expected[:3]), expected.words)


def test_rates():
    assert word_errors("a b", "x y z").rate == 1.5
    assert math.isnan(word_errors("", "").rate)


def test_normalise_keeps_apostrophes_inside_words():
    assert normalise("“Don’t!” he said – 10 times…") == ["don't", "he", "said", "10", "times"]


def test_segmentation_counts_each_true_utterance_once():
    truth = [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    found = [(0.3, 1.8), (2.2, 2.8), (3.1, 3.8), (4.2, 7.5)]
    assert segmentation(truth, found) == Segmentation(one=1, cut=1, joined=2, missed=1)
    assert segmentation(truth, []) == Segmentation(0, 0, 0, 5)
    assert segmentation([(0, 2), (2, 4)], [(0.3, 2.2), (2.5, 3.9)]).one == 2  # 0.2 s too long is no join


def test_match_takes_the_largest_overlap():
    assert match([(0, 2), (2, 4), (9, 10)], [(0, 2.5), (2.5, 4)]) == [0, 1, None]
    assert match([(0, 1)], []) == [None]
