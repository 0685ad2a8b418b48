"""The experiment of lesson 10 and the chain of feelings it is compared with: what is kept, what is scored."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import feature_dataset, write_world

from mmsa_lib.course import known_chain
from mmsa_lib.course.experiments import context
from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS
from mmsa_lib.mini.ceiling import without_context
from mmsa_lib.mini.tables import FEELINGS, prior, transition_array


def by_hand(turns, likelihoods):
    """P(feeling | everything) by adding up all ways a dialogue could have gone."""
    none, total = len(FEELINGS), np.zeros((len(turns), len(FEELINGS)))
    for feelings in product(range(none), repeat=len(turns)):
        p = 1.0
        for t, feeling in enumerate(feelings):
            own = next((feelings[s] for s in range(t - 1, -1, -1) if turns[s] == turns[t]), none)
            other = next((feelings[s] for s in range(t - 1, -1, -1) if turns[s] != turns[t]), none)
            p *= transition_array()[own, other, feeling] * likelihoods[t, feeling]
        for t, feeling in enumerate(feelings):
            total[t, feeling] += p
    return total / total.sum(axis=1, keepdims=True)


class TestKnownChain:
    turns = (7, 2, 7, 4)
    likelihoods = np.random.default_rng(0).random((4, 8))

    def test_all_turns_are_weighed_as_by_adding_up_every_way(self):
        found = known_chain.beliefs(self.turns, self.likelihoods, (None, None))
        np.testing.assert_allclose(found, by_hand(self.turns, self.likelihoods))

    def test_a_window_sees_its_turns_alone(self):
        found = known_chain.beliefs(self.turns, self.likelihoods, (1, 1))
        np.testing.assert_allclose(found[1], by_hand(self.turns[:3], self.likelihoods[:3])[1])
        np.testing.assert_allclose(found[3], by_hand(self.turns[2:], self.likelihoods[2:])[1])

    def test_who_sees_no_other_turn_has_the_prior(self):
        found = known_chain.beliefs(self.turns, self.likelihoods, (0, 0))
        wanted = self.likelihoods * prior()
        np.testing.assert_allclose(found, wanted / wanted.sum(axis=1, keepdims=True))

    def test_more_turns_allow_more_and_none_allow_the_exact_ceiling(self):
        windows = [(0, 0), (None, 0), (None, None)]
        scores = known_chain.allowed(("video", "audio"), windows, dialogues=250)
        none, before, everything = (scores[w]["emotion"] for w in windows)
        assert none < before < everything
        assert none == pytest.approx(without_context(("video", "audio"))["emotion"]["weighted_f1"], abs=0.025)

    def test_a_model_that_is_sure_is_not_contradicted(self):
        rng = np.random.default_rng(1)
        emotion, sentiment = rng.integers(7, size=9), np.repeat([0, 1, 2], 3)
        emotion[emotion == 4] = 3  # a sure neutral would need a sure neutral sentiment
        said = known_chain.sharpened(
            np.eye(7)[emotion] + 1e-9, np.eye(3)[sentiment] + 1e-9, np.repeat([0, 1], [5, 4]), np.arange(9) % 2, (3, 0)
        )
        assert said["emotion"].tolist() == emotion.tolist()


@pytest.fixture
def part(tmp_path, monkeypatch):
    """The part `frozen` on a tiny world of text, everything written below `tmp_path`."""
    monkeypatch.setattr(context, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(context, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(context, "FEATURES", tmp_path / "features")
    tiny = replace(
        context.PARTS["frozen"], keeps_answers=True, preset=replace(context.PARTS["frozen"].preset, epochs=1)
    )
    monkeypatch.setitem(context.PARTS, "frozen", tiny)
    return tiny


def stored(tmp_path):
    return json.loads((tmp_path / "results" / "10_context_frozen.json").read_text())


class TestExperiment:
    def test_finished_trainings_are_kept_and_made_once(self, part, tmp_path):
        data, made = write_world(tmp_path / "data", clips=False), []

        def train(preset, setting):
            if len(made) == 3:
                raise KeyboardInterrupt
            made.append((setting, preset.seed, preset.context))
            right = "0123456"
            answers = {"emotion": right if preset.context else "0" * 7, "sentiment": "0" * 7}
            return {"best_epoch": 1, "epochs": 2, "seconds": 3.3, "answers": answers}

        with pytest.raises(KeyboardInterrupt):
            context.complete(part, data, 2, ["none", "3 before"], train)
        assert made == [("none", 0, 0), ("3 before", 0, 3), ("none", 1, 0)]
        result = stored(tmp_path)
        assert [r["emotion"] for r in result["rows"]] == [0.0357, 0.0357, 1.0]
        assert result["gains"]["none"]["3 before"]["seeds"] == 1
        assert result["gains"]["none"]["3 before"]["emotion"]["difference"] == pytest.approx(1 - 1 / 28, abs=1e-3)
        made.clear()
        context.complete(part, data, 2, ["none", "3 before"], train)
        assert made == [("3 before", 1, 3)]

    def test_other_data_or_settings_are_trained_anew(self, part, tmp_path):
        data = write_world(tmp_path / "data", clips=False)
        answers = {"emotion": "0" * 7, "sentiment": "0" * 7}
        found = {"best_epoch": 1, "epochs": 1, "seconds": None, "answers": answers}
        context.complete(part, data, 1, ["none"], lambda *_: dict(found))
        digest = context.data_digest(data)
        assert context.kept(part, "none", 0, digest) is not None
        assert context.kept(part, "none", 0, "other") is None
        assert context.kept(replace(part, preset=replace(part.preset, epochs=9)), "none", 0, digest) is None

    def test_the_command_trains_every_setting_and_stores_no_words(self, part, tmp_path, monkeypatch):
        data = write_world(tmp_path / "data", clips=False)
        monkeypatch.setitem(context.PARTS, "frozen", replace(part, settings={"none": {}, "2": {"context": 2}}))
        context.main(["frozen", str(data), "1"])
        result = stored(tmp_path)
        assert [(r["setting"], len(r["answers"]["emotion"])) for r in result["rows"]] == [("none", 7), ("2", 7)]
        assert set(result["gains"]["none"]) == {"2"} and result["gains"]["none"]["2"]["seeds"] == 1
        assert result["same_words"] == {"utterances": 14, "repeated": 0, "several": 0}
        assert "furious" not in json.dumps(result) and str(data) not in json.dumps(result)

    def test_without_context_and_alone_no_row_knows_a_dialogue(self):
        datasets = {"test": feature_dataset(6, modalities=("text",))}
        datasets["test"].dialogue, datasets["test"].speaker = np.repeat([0, 1], 3), np.arange(6) % 2
        assert context.as_set(datasets, "3 before") is datasets
        assert context.as_set(datasets, "none")["test"].dialogue is None
        assert context.as_set(datasets, "alone")["test"].dialogue.tolist() == list(range(6))
        assert datasets["test"].dialogue.tolist() == [0, 0, 0, 1, 1, 1]

    def test_the_same_words_are_found_whatever_their_dress(self):
        said = pd.DataFrame(
            {"text": ["Oh, no!", "oh no", "Oh no.", "Well", "well", "Hm", "!"], "emotion": list("abaccdd")}
        )
        assert context.same_words(said) == {"utterances": 7, "repeated": 5, "several": 3}

    def test_a_difference_is_that_of_one_thing(self):
        part, both = context.PARTS["words"], (context.WORDS, context.UNWEIGHTED)
        assert [context.comparable(part, s, context.NONE) for s in both] == [True, False]
        assert [context.comparable(part, s, context.UNWEIGHTED) for s in (context.WORDS, context.NONE)] == [True, False]

    def test_anything_else_is_refused(self):
        with pytest.raises(DataError, match="frozen DIR"):
            context.main(["frozen"])


def test_a_training_in_a_run_directory_goes_on_and_is_not_made_twice(part, tmp_path, monkeypatch):
    preset = replace(part.preset, epochs=1, context=1, batch_size=8)  # frozen text: the same path, quicker
    data, run = str(write_world(tmp_path / "data", clips=False)), tmp_path / "run"
    monkeypatch.setattr(context.experiment, "draw", lambda *_: None)
    found = context.in_run_directory(preset, data, run)
    assert found["seconds"] > 0 and len(found["answers"]["sentiment"]) == 7
    with monkeypatch.context() as patch:
        patch.setattr(context.experiment, "train", lambda *_, **__: pytest.fail("it was finished"))
        assert context.in_run_directory(preset, data, run) == found
    (run / "run.json").write_text((run / "run.json").read_text().replace('"finished": true', '"finished": false'))
    resumed = context.in_run_directory(preset, data, run)  # its only epoch is in the checkpoint
    assert resumed == found | {"seconds": None}


def test_another_share_of_the_weights_is_what_the_loss_would_have_seen(part, tmp_path, monkeypatch):
    weighted = {"epochs": 1, "class_weights": "sqrt", "prior_correction": 0.5}
    data, run = str(write_world(tmp_path / "data", clips=False)), tmp_path / "run"
    monkeypatch.setattr(context.experiment, "draw", lambda *_: None)
    found = context.in_run_directory(replace(part.preset, **weighted), data, run)
    rows = {row["share"]: row for row in context.by_share(data, [run])}
    labels = context.load_split(data, "test")["emotion"].map(EMOTIONS.index).to_numpy()
    answers = context.undigits(found["answers"]["emotion"])
    assert rows[0.5]["test"] == [pytest.approx(context.weighted_f1(labels, answers, 7), abs=1e-4)]
    assert len(rows) == 5 and all(len(row["dev"]) == 1 for row in rows.values())

    logits, log_weights = torch.randn(5, 7), torch.rand(7).log()
    moved = context.with_share(logits, log_weights, 0.25, 1.0)
    torch.testing.assert_close(moved + 1.0 * log_weights, logits + 0.25 * log_weights)  # what the losses would compare
