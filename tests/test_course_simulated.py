"""Lesson 10's own parts: simulated dialogues and what learns from them, who reaches whom, stored gains, pictures."""

import numpy as np
import pytest
import torch

from mmsa_lib import course
from mmsa_lib.course import known_chain, reaching
from mmsa_lib.course.experiments import turns
from mmsa_lib.course.pictures import lesson10 as pictures
from mmsa_lib.course.simulated import Reader, mixed, perfect_answers, silenced, teach, world
from mmsa_lib.meld import load_split

SHOWN = ("video", "audio")
GAIN = {"difference": 0.01, "low": -0.01, "high": 0.03}


@pytest.fixture(scope="module")
def small():
    return world(SHOWN, 12, seed=4)


class TestWorld:
    def test_it_is_the_world_of_the_known_chain(self, small):
        spoken, felt, displays = known_chain.simulate(SHOWN, 12, 4)
        assert small.shown.argmax(dim=1).tolist() == displays[:, 0].tolist() and small.shown.shape == (len(felt), 32)
        assert torch.bincount(small.dialogue).tolist() == [len(of_one) for of_one in spoken]
        belief = known_chain.read(spoken, displays, SHOWN, (2, 0))
        alike = perfect_answers(small, (2, 0)) == np.array([0, 1, 2, 3, 4, 5, 6, 6])[belief.argmax(axis=1)]
        assert alike.mean() > 0.95  # a sum of the two surprises may win where neither does

    def test_a_silent_turn_shows_nothing_and_says_nothing(self, small):
        rows = torch.arange(len(small)) % 5 == 4
        quiet = silenced(small, rows)
        assert not quiet.shown[rows].any() and torch.equal(quiet.shown[~rows], small.shown[~rows])
        assert (quiet.likelihoods[rows.numpy()] == 1).all() and small.shown[rows].any()
        assert set(perfect_answers(quiet, (0, 0))[rows.numpy()]) == {4}  # neutral, the commonest

    def test_among_strangers_every_turn_is_there_once(self, small):
        shuffled, order = mixed(small)
        assert sorted(order) == list(range(len(small))) and torch.equal(shuffled.dialogue, small.dialogue)
        assert torch.equal(shuffled.emotion, small.emotion[order]) and (order != np.arange(len(small))).any()


def test_a_reader_learns_and_keeps_its_best_weights(small):
    torch.manual_seed(0)
    reader = Reader(32, past=2)
    before = reader.answers(small)
    taught = teach(reader, small, small, steps=40, batch=6)
    after = taught.answers(small)
    truth = small.emotion.numpy()
    assert (after == truth).mean() > max(0.5, (before == truth).mean())
    assert not taught.training and taught(small.shown, small.dialogue, small.speaker).shape == (len(small), 7)


def test_answers_among_strangers_come_back_in_order(small):
    class Sees(Reader):
        def answers(self, of):
            return of.emotion.numpy()

    assert turns.answers(Sees(32), small, True).tolist() == small.emotion.tolist()


def test_the_command_stores_all_scores(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(turns, "RESULT", tmp_path / "10_context_simulated.json")
    monkeypatch.setattr(turns, "DIALOGUES", (6,))
    monkeypatch.setattr(turns, "DEV", 4)
    monkeypatch.setattr(turns, "TEST", 8)
    monkeypatch.setattr(turns, "teach", lambda reader, *_, **__: reader.eval())
    turns.main(["2"])
    result = turns.stored("simulated")
    assert result["seeds"] == 2 and set(result["all shown"]["learned"]["6"]) == set(turns.SETTINGS)
    assert result["utterances"]["silent turns"] < result["utterances"]["all shown"]
    assert turns.stored("words") is None
    assert pictures.needed(result, ["3 before", "3 strangers"]).alt_text.count("6 dialogues") == 2


def test_the_stored_result_is_whole():
    result = turns.stored("simulated")
    assert result["seeds"] >= 3 and [*result["all shown"]["learned"]] == [str(n) for n in turns.DIALOGUES]


def test_reach_asks_each_answer_about_each_turn():
    x, weights = torch.eye(4), torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]])
    found = reaching.reach(lambda j: weights @ (x if j is None else x * (torch.arange(4) != j)[:, None]), 4)
    assert torch.equal(found, weights.bool())


class TestStoredGains:
    def test_what_is_not_stored_is_left_out(self):
        part = {"what": "MELD text, frozen", "gains": {"none": {"1 before": {"emotion": GAIN, "sentiment": GAIN}}}}
        found = turns.gains_of((part, "none"), (part, "alone"), (None, "none"))
        assert found == {"MELD text, against none": {"1 before": GAIN}}

    def test_a_frozen_and_a_learned_encoder_have_titles_of_their_own(self):
        frozen, learned = ({"what": f"MELD text, {how}", "gains": {"none": {"6 before": {"emotion": GAIN}}}}
                           for how in ("frozen MiniLM, test", "MiniLM fine-tuned, test"))  # fmt: skip
        found = turns.gains_of((frozen, "none"), (learned, "none"))
        assert [*found] == ["MELD text, against none", "MELD text, fine-tuned, against none"]

    def test_a_setting_may_gain_what_its_window_allows(self):
        allowed = {"0 before": 0.5, "3 before": 0.6, "3 before, 3 after": 0.7}
        settings = ["none", "3 before", "3 before, GRU", "3 before, 3 after", "3 before, whole dialogues"]
        part = {
            "settings": dict.fromkeys(settings),
            "allowed": {"text+video+audio": {w: {"emotion": s} for w, s in allowed.items()}},
        }
        found = {s: round(gain, 2) for s, gain in turns.possible_gains(part).items()}
        assert found == dict.fromkeys(settings[1:3], 0.1) | {settings[3]: 0.2, settings[4]: 0.1}

    @pytest.mark.parametrize(
        ("low", "words"), [(0.001, "a gain beyond"), (-0.001, "no difference beyond"), (-0.9, "a loss beyond")]
    )
    def test_a_verdict_is_about_the_interval(self, low, words):
        assert turns.verdict({"difference": 0.0, "low": low, "high": low + 0.01}).startswith(words)

    def test_two_gains_are_joined_as_if_independent(self):
        first, second = {"low": 0.0, "high": 0.06}, {"low": -0.04, "high": 0.04}
        assert turns.joint_spread(first, second) == pytest.approx(0.05)

    def test_a_table_has_a_row_a_setting(self):
        rows = [{"setting": "none", "seed": i, "emotion": 0.5 + i / 10, "sentiment": 0.6} for i in range(3)]
        table = turns.score_table({"frozen": {"rows": rows}, "learns": None})
        assert table.loc[("frozen", "none"), "emotion mean"] == pytest.approx(0.6) and table["seeds"].tolist() == [3]


class TestPictures:
    def test_every_picture_says_what_it_shows(self):
        scene = load_split(course.DATA, "dev").head(3)
        figures = {
            "one: ": pictures.same_line({"one": scene}),
            "row 1 sees 0, 1": pictures.windows(
                np.array([[0, 0], [0, 1]]), np.array([[0, 1], [1, 1]], bool), np.zeros((2, 2), int), ["Ann", "Bo"]
            ),
            "2 of them forbidden": pictures.reaches({"all": np.ones((2, 2), bool)}, np.array([0, 1])),
            "3 of 4 pairs": pictures.token_mask(np.tril(np.ones((2, 2), bool)), np.array([0, 1]), ["a", "b"]),
            "3 before +0.100": pictures.worth(
                {"audio": {w: {"emotion": s, "sentiment": s} for w, s in
                           {"0 before": 0.5, "3 before": 0.6, "all": 0.7}.items()}}
            ),
            "MELD, 1 before: +0.010 [-0.010, +0.030]": pictures.gains({"MELD": {"1 before": GAIN}}, {"1 before": 0.02}),
        }  # fmt: skip
        for words, figure in figures.items():
            assert words in figure.alt_text


def numbers(found):
    """All numbers in a stored result, however deep."""
    if isinstance(found, dict | list):
        for one in found.values() if isinstance(found, dict) else found:
            yield from numbers(one)
    elif isinstance(found, int | float):
        yield found


@pytest.mark.parametrize("part", ["embedded", "frozen", "words", "simulated"])
def test_results_are_json_of_finite_numbers(part):
    found = list(numbers(turns.stored(part)))
    assert len(found) > 30
    assert np.isfinite(found).all()
