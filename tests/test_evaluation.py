"""What is asked about a run: numbers that add up, answers where something is missing."""

import json

import numpy as np
import pytest
from readings import cues, reading

from mmsa_lib import evaluation, report
from mmsa_lib.errors import DataError
from mmsa_lib.labels import MODALITIES


@pytest.fixture(scope="module")
def found():
    own = reading()
    own.cues = cues(own.labels)
    return evaluation.assess(own, [reading(seed=1), reading(seed=2)], mistakes=4)


def test_the_numbers_can_be_written_as_json(found):
    again = json.loads(json.dumps(report.jsonable(found), allow_nan=False))
    assert again["n"] == 60 and set(again["groups"]) == {"speaker", "clip length", "place in the dialogue"}
    assert "emotion" in again["calibration"] and again["calibration"]["emotion"]["fitted_on"] == 40


def test_contributions_sum_to_the_score_of_all_minus_the_commonest_class(found):
    for task in ("emotion", "sentiment"):
        own = found["contributions"][task]
        sets = {name: row["value"] for name, row in own["sets"].items()}
        gain = sets["+".join(MODALITIES)] - sets[""]
        assert sum(row["value"] for row in own["shapley"].values()) == pytest.approx(gain)
        assert sets["+".join(MODALITIES)] == pytest.approx(found[task]["weighted_f1"], abs=1e-6)
        assert all(row["low"] <= row["value"] <= row["high"] for row in own["shapley"].values())


def test_a_temperature_makes_the_dev_split_likelier(found):
    own = found["calibration"]["emotion"]
    assert own["temperature"] > 1 and own["after"]["confidence"] < own["before"]["confidence"]
    assert own["after"]["accuracy"] == own["before"]["accuracy"] == found["emotion"]["accuracy"]


def test_joint_decoding_leaves_no_contradiction(found):
    first, *others = found["consistency"]["ways"]
    assert first["contradictions"] == pytest.approx(found["consistency"]["contradictions"] / 60)
    assert first["contradictions"] > 0 and len(others) == 3
    assert all(row["contradictions"] == 0 for row in others)
    assert others[0]["emotion"]["difference"] == 0  # the emotion decides
    assert found["consistency"]["labels_contradict"] == 0


def test_other_runs_are_compared_on_the_same_utterances(found):
    assert [row["run"] for row in found["comparison"]["runs"]] == ["run1", "run2"]
    assert found["comparison"]["spread"]["emotion"]["seeds"] == 3
    with pytest.raises(DataError, match="other utterances"):
        evaluation.assess(reading(), [reading(n=50)])


def test_the_surest_mistakes_come_first(found):
    own = reading()
    sure = own.probabilities("emotion").max(axis=1)
    wrong = own.answers("emotion") != own.labels["emotion"]
    assert len(found["mistakes"]) == 4 and wrong[found["mistakes"]].all()
    assert sure[found["mistakes"]].tolist() == sorted(sure[wrong], reverse=True)[:4]


def test_clip_values_start_from_the_class_share():
    own = reading()
    values = evaluation.clip_values(own, "emotion", np.full(60, 4))
    assert values[()] == pytest.approx([(own.train_labels["emotion"] == 4).mean()] * 60)
    bare = evaluation.clip_values(reading(train=False), "emotion", np.full(60, 4))
    assert np.ptp(bare[()]) > 0  # the model's own word


def test_one_modality_and_nothing_besides_the_split():
    own = evaluation.assess(reading(modalities=("text",), dev=False, train=False))
    assert own["cues"] is None and own["comparison"] is None and own["calibration"]["emotion"]["after"] is None
    assert list(own["contributions"]["emotion"]["shapley"]) == ["text"]
    assert len(own["consistency"]["ways"]) == 3  # no training labels, no prior of pairs


@pytest.mark.parametrize("n", [1, 2])
def test_a_split_of_hardly_anything(n):
    found = evaluation.assess(reading(n=n))
    assert found["n"] == n
    json.dumps(report.jsonable(found), allow_nan=False)
