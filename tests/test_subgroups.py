"""Scores by group: what is chance is called chance, and what is not is not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from mmsa_lib import subgroups


def table():
    return pd.DataFrame(
        {
            "speaker": ["Ada", "Bob", "Ada", "Cy", "Ada", "Bob"],
            "dialogue_id": [0, 0, 0, 1, 1, 1],
            "utterance_id": [0, 3, 5, 2, 0, 1],
            "text": ["Hi.", "a b c d e", "", "a b", "a", "a b c d e f g h i j k"],
            "start": [0.0, 0.0, 0.0, 1.0, 1.0, np.nan],
            "end": [2.0, 2.1, 9.0, 2.0, 5.0, np.nan],
        }
    )


def test_groups_of_a_table():
    found = subgroups.groupings(table(), most_speakers=2)
    assert list(found["speaker"]) == ["Ada", "Bob", "Ada", "all others", "Ada", "Bob"]
    assert list(found["clip length"]) == ["0 to 2 s", "2 to 4 s", "over 6 s", "0 to 2 s", "2 to 4 s", "unknown"]
    assert list(found["place in the dialogue"]) == ["first", "2 to 3", "2 to 3", "2 to 3", "first", "2 to 3"]


def test_without_times_the_words_are_counted():
    found = subgroups.groupings(table().assign(start=np.nan))
    assert list(found["words"])[:2] == ["1 to 4 words", "5 to 10 words"]
    assert list(found["words"])[-1] == "over 10 words" and "clip length" not in found


def test_chance_is_called_chance():
    """p is uniform where there is no difference, so that about one in twenty is below .05."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        labels = rng.integers(0, 3, 90)
        predictions = np.where(rng.random(90) < 0.7, labels, (labels + 1) % 3)
        found.append(subgroups.by_group(labels, predictions, rng.integers(0, 4, 90), permutations=200)["p"])
    assert np.mean(np.array(found) < 0.05) < 0.17 and np.mean(np.array(found) < 0.5) > 0.3


def test_a_group_that_is_really_worse_stands_out():
    labels = np.tile(np.arange(4), 60)
    groups = np.where(np.arange(240) < 60, "mumbler", "others")
    rng = np.random.default_rng(1)
    predictions = np.where(rng.random(240) < np.where(groups == "mumbler", 0.3, 0.9), labels, (labels + 1) % 4)
    found = subgroups.by_group(labels, predictions, groups)
    assert found["p"] < 0.01 and not found["groups"][0]["noise"]
    assert "mumbler" in subgroups.noise_words(found) and "more than chance" in subgroups.noise_words(found)
    row = found["groups"][0]
    assert row["low"] < row["accuracy"] < row["high"] < row["expected"]


def test_an_easier_mix_of_classes_is_no_difference():
    labels = np.r_[np.zeros(90, int), np.ones(30, int)]
    rng = np.random.default_rng(2)
    predictions = np.where(rng.random(120) < np.where(labels == 0, 0.95, 0.3), labels, 1 - labels)
    groups = np.r_[np.full(80, "easy"), np.full(10, "hard"), np.full(5, "easy"), np.full(25, "hard")]
    found = subgroups.by_group(labels, predictions, groups)
    easy, hard = found["groups"]
    assert easy["accuracy"] - hard["accuracy"] > 0.3 and easy["expected"] - hard["expected"] > 0.3
    assert found["p"] > 0.05 and easy["noise"] and hard["noise"]


def test_one_utterance_never_stands_out_and_one_group_has_no_rival():
    labels = np.zeros(20, int)
    predictions = np.r_[1, np.zeros(19, int)]
    alone = subgroups.by_group(labels, predictions, np.array(["a"] * 20))
    assert alone["p"] == 1.0 and "one group only" in subgroups.noise_words(alone)
    odd = subgroups.by_group(labels, np.r_[np.ones(8, int), np.zeros(12, int)], np.r_[["b"], ["a"] * 19])
    assert odd["groups"][0]["noise"] and odd["groups"][0]["n"] == 1


def test_a_permutation_test_of_two_groups_agrees_with_fisher():
    right = np.r_[np.ones(18), np.zeros(4), np.ones(9), np.zeros(13)]
    member = np.repeat([0, 1], 22)
    p, each = subgroups.permutation_test(right, member, np.zeros(44, int), permutations=20_000)
    reference = fisher_exact([[18, 4], [9, 13]]).pvalue
    assert p == pytest.approx(reference, abs=0.004) and each == pytest.approx([reference] * 2, abs=0.004)


def test_groups_drawn_at_random_have_a_best_and_a_worst_too():
    right = np.random.default_rng(0).random(120) < 0.7
    groups = np.repeat(list("abcdef"), 20)
    real, gaps = subgroups.chance_gaps(right, groups, tries=500)
    shares = [right[groups == g].mean() for g in "abcdef"]
    assert real == pytest.approx(max(shares) - min(shares)) and gaps.shape == (500,)
    assert gaps.mean() > 0.1 and gaps.min() >= 0
    assert subgroups.chance_gaps(right, np.zeros(120))[0] == 0


def test_groups_keep_the_order_of_their_categories_and_empty_ones_are_left_out():
    groups = pd.Categorical(["late", "early", "late"], ["early", "middle", "late"])
    found = subgroups.by_group(np.zeros(3, int), np.zeros(3, int), groups)
    assert [row["name"] for row in found["groups"]] == ["early", "late"]
