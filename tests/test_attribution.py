"""Contributions: Shapley values against all orders and their axioms; a model asked about sets of modalities."""

import copy
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from worlds import feature_dataset

from mmsa_lib import attribution
from mmsa_lib.labels import MODALITIES
from mmsa_lib.model import MultimodalSentimentModel

CUES = pd.DataFrame(
    {
        "text_cue": ["clear", "misleads", "weak"],
        "text_shows": ["joy", "joy", "fear"],
        "video_cue": ["absent", "clear", "misleads"],
        "video_shows": ["neutral", "anger", "joy"],
        "audio_cue": ["misleads", "clear", "clear"],
        "audio_shows": ["surprise+", "anger", "fear"],
    }
)


def game(seed=0, shape=(4,), players=MODALITIES):
    rng = np.random.default_rng(seed)
    return {subset: rng.normal(size=shape) for subset in attribution.subsets(players)}


def by_orders(values, players):
    """What each adds when it arrives, averaged over every order of arrival."""
    orders, added = list(permutations(players)), {m: 0.0 for m in players}
    for order in orders:
        for i, m in enumerate(order):
            before, after = (tuple(p for p in players if p in order[:k]) for k in (i, i + 1))
            added[m] = added[m] + (values[after] - values[before]) / len(orders)
    return added


@pytest.mark.parametrize("players", [("text",), ("text", "audio"), MODALITIES, ("a", "b", "c", "d")])
def test_shapley_is_the_mean_over_all_orders_and_sums_to_the_whole(players):
    values = game(len(players), players=players)
    ours, reference = attribution.shapley(values), by_orders(values, players)
    for m in players:
        np.testing.assert_allclose(ours[m], reference[m])
    np.testing.assert_allclose(sum(ours.values()), values[tuple(players)] - values[()])


def test_twins_share_alike_a_bystander_gets_nothing_and_the_empty_set_moves_all_alike():
    values = {s: np.array(1.0 if {"text", "video"} & set(s) else 0.0) for s in attribution.subsets()}
    found = attribution.shapley(values)
    assert found["text"] == found["video"] == pytest.approx(0.5) and found["audio"] == 0
    assert attribution.removal(values) == {"text": 0, "video": 0, "audio": 0}  # each is replaced by its twin
    assert attribution.alone(values) == {"text": 1, "video": 1, "audio": 0}
    moved = attribution.shapley(values | {(): np.array(0.3)})
    assert {m: pytest.approx(found[m] - 0.1) for m in found} == moved


def test_a_missing_set_is_named():
    values = game()
    del values["text", "audio"]
    with pytest.raises(ValueError, match=r"text \+ audio"):
        attribution.shapley(values)
    with pytest.raises(ValueError, match="the empty set"):
        attribution.removal({s: v for s, v in game().items() if s})


@pytest.fixture(scope="module")
def asked():
    torch.manual_seed(0)
    dataset = feature_dataset(9)
    dataset.features["audio"][2] = None
    model = MultimodalSentimentModel(random_backbones=("text", "video"))
    for stand_in in model.missing.values():
        torch.nn.init.normal_(stand_in)
    return model, dataset, attribution.subset_logits(model, dataset, batch_size=4)


def test_a_model_is_asked_about_every_set(asked):
    model, _, said = asked
    assert list(said) == attribution.subsets() and not model.training
    assert said[()]["emotions"].shape == (9, 7) and said["text",]["sentiments"].shape == (9, 3)
    assert np.ptp(said[()]["emotions"], axis=0).max() < 1e-5  # told that nothing is there, the same for all
    np.testing.assert_allclose(said["text", "video"]["emotions"][2], said[MODALITIES]["emotions"][2], atol=1e-5)


def test_a_loader_that_keeps_dialogues_together_changes_no_order(asked):
    model, dataset, said = asked
    scattered = copy.copy(dataset)
    scattered.dialogue, scattered.speaker = np.array([0, 1, 0, 1, 2, 0, 2, 1, 0]), np.zeros(9, dtype=int)
    again = attribution.subset_logits(model, scattered, [MODALITIES])
    assert list(again) == [MODALITIES]
    np.testing.assert_allclose(again[MODALITIES]["emotions"], said[MODALITIES]["emotions"], atol=1e-5)


def test_hiding_is_what_the_model_does_with_an_input_it_was_not_given(asked):
    model, dataset, said = asked
    with torch.inference_mode():
        reference = model(torch.stack(dataset.features["text"]), None, None)["emotions"]
    np.testing.assert_allclose(said["text",]["emotions"], reference, atol=1e-5)


def test_pointing_counts_only_where_it_can_be_wrong():
    contributions = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [9.0, 1.0, 1.0], [1.0, 2.0, 0.0]])
    shows = np.array([[1, 0, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=bool)
    found = attribution.pointing_accuracy(contributions, shows)
    assert found["used"].tolist() == [True, True, False, False]
    assert found["accuracy"] == 0.5 and found["chance"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert np.isnan(attribution.pointing_accuracy(contributions, np.ones_like(shows))["accuracy"])


def test_known_cues_come_in_the_order_of_the_table(tmp_path):
    table = pd.DataFrame({"split": "test", "dialogue_id": [1, 0, 0], "utterance_id": [0, 1, 0]})
    assert attribution.known_cues(tmp_path, table) is None
    rows = CUES.assign(Split="test", Dialogue_ID=[0, 0, 1], Utterance_ID=[0, 1, 0])
    rows.to_csv(tmp_path / "cues.csv", index=False)
    found = attribution.known_cues(tmp_path, table)
    assert found["text_shows"].tolist() == ["fear", "joy", "joy"]
    assert found["audio_shows"].tolist() == ["fear", "anger", "surprise"]  # both surprises are one emotion
    assert attribution.known_cues(tmp_path, table.assign(utterance_id=9)) is None


def test_rank_correlation_equals_scipys_with_ties_too():
    rng = np.random.default_rng(0)
    given, known = rng.normal(size=(40, 3)), rng.integers(-1, 3, (40, 3))
    assert attribution.rank_correlation(given, known) == pytest.approx(
        spearmanr(given.ravel(), known.ravel()).statistic
    )
    assert np.isnan(attribution.rank_correlation(given, np.ones_like(known)))


def test_a_perfect_attribution_agrees_with_the_cues_and_a_random_one_does_not():
    rng = np.random.default_rng(0)
    cues = CUES.iloc[rng.integers(0, 3, 200)].reset_index(drop=True)
    cues["audio_shows"] = cues["audio_shows"].str.rstrip("+-")
    ranks = attribution.cue_ranks(cues)
    answers = np.where(rng.random(200) < 0.7, cues["text_shows"], cues["video_shows"])
    shown = attribution.shows_class(cues, answers)
    perfect = attribution.compare_with_cues(
        dict(zip(MODALITIES, shown.T + 0.0, strict=True)), dict(zip(MODALITIES, ranks.T, strict=True)), cues, answers
    )
    assert perfect["pointing"] == 1 and perfect["rank"] == pytest.approx(1)
    noise = dict(zip(MODALITIES, rng.normal(size=(3, 200)), strict=True))
    random = attribution.compare_with_cues(noise, noise, cues, answers)
    assert random["lead_interval"][0] < 0 < random["lead_interval"][1]
    assert random["rank_interval"][0] < 0 < random["rank_interval"][1]
    low, high = random["pointing_interval"]
    assert low < random["pointing"] < high and 0 < random["chance"] < 1
