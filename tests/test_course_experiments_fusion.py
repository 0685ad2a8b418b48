"""The stored scores of lesson 05: trainings that several processes share become one result."""

import json

import pytest

from mmsa_lib.course.experiments import fusion
from mmsa_lib.labels import MODALITIES
from mmsa_lib.presets import PRESETS


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The trainings that `main` asked for, none of them real; the result is written to `tmp_path`."""
    asked = []

    def measure(preset, datasets):
        name = fusion.name_of(preset.modalities)
        asked.append((preset.seed, name, preset.modality_dropout))
        row = {"modalities": name, "modality_dropout": preset.modality_dropout, "seed": preset.seed}
        return row | {"emotion": 0.5, "sentiment": 0.6}

    monkeypatch.setattr(fusion, "measure", measure)
    monkeypatch.setattr(fusion, "load", lambda *_: None)
    monkeypatch.setattr(fusion, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(fusion, "RESULT", tmp_path / "result.json")
    return asked


def result():
    return json.loads(fusion.RESULT.read_text())


def test_several_calls_share_the_seeds_and_nothing_is_made_twice(made):
    fusion.main(["1"])
    fusion.main(["0"])
    fusion.main(["0", "1"])
    assert len(made) == len(set(made)) == 2 * 8  # seven sets of modalities, and all three without hiding any
    rows = [(row["seed"], row["modalities"], row["modality_dropout"]) for row in result()["rows"]]
    assert sorted(rows) == sorted(made)
    assert [seed for seed, *_ in rows] == [0] * 8 + [1] * 8
    assert rows[6:8] == [(0, "text+video+audio", PRESETS["mini"].modality_dropout), (0, "text+video+audio", 0.0)]
    assert [p.name for p in fusion.RESULT.parent.iterdir() if p.suffix == ".tmp"] == []


def test_what_other_settings_gave_is_not_taken(made, monkeypatch):
    fusion.main(["0"])
    preset = fusion.replace(PRESETS["mini"], weight_decay=0.5)
    monkeypatch.setitem(fusion.PRESETS, "mini", preset)
    fusion.main(["0"])
    assert len(made) == 16
    assert result()["preset"]["weight_decay"] == 0.5 and len(result()["rows"]) == 8


def test_the_stored_result_is_that_of_the_preset_and_the_data():
    stored = json.loads(fusion.RESULT.read_text())
    preset = PRESETS["mini"]
    now = fusion.describe(preset, fusion.CHECKOUT / "data" / "mini")
    assert stored["data"] == now["data"]
    assert stored["preset"].items() <= now["preset"].items()  # a field that came later changed nothing
    asked = {(row["modalities"], row["modality_dropout"], row["seed"]) for row in stored["rows"]}
    wanted = [(subset, preset.modality_dropout) for subset in fusion.SUBSETS] + [(MODALITIES, 0.0)]
    assert asked == {(fusion.name_of(s), dropout, seed) for s, dropout in wanted for seed in fusion.SEEDS}
