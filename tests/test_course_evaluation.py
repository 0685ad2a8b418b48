"""What lesson 08 draws and what it has stored: answers of several seeds, and a reader who reads without error."""

import inspect
import json

import numpy as np
import pandas as pd
import pytest

from mmsa_lib import attribution, plots
from mmsa_lib.course.experiments import evaluation as stored
from mmsa_lib.course.experiments.fusion import CHECKOUT, data_digest
from mmsa_lib.course.pictures import lesson08
from mmsa_lib.labels import EMOTIONS, MODALITIES
from mmsa_lib.mini.tables import prior

DATA = CHECKOUT / "data" / "mini"


@pytest.fixture(scope="module")
def cues():
    return pd.read_csv(DATA / "cues.csv").query("Split == 'test'").reset_index(drop=True)


@pytest.mark.parametrize("kind", stored.KINDS)
def test_the_stored_answers_are_of_the_embedded_data(kind):
    runs = stored.readings(kind, DATA)
    assert len(runs) == 5
    for run in runs:
        assert run.probabilities("emotion").shape == (260, 7) and run.dev_logits["sentiments"].shape == (150, 3)
        assert (run.answers("emotion") == run.labels["emotion"]).mean() > 0.6  # rows in the order of the table
        assert list(run.logits) == (attribution.subsets() if kind == "smoothed" else [MODALITIES])
    assert len({run.probabilities("emotion")[0, 0] for run in runs}) == 5
    assert runs[0].cues is not None


def test_the_stored_answers_say_how_they_were_made():
    known, tensors = stored.read()
    assert known["command"] == stored.COMMAND and known["data"] == data_digest(DATA)
    assert "label_smoothing" in json.loads(known["preset"]) and all(t.dtype == np.float16 for t in tensors.values())
    assert stored.RESULT.stat().st_size < 500_000


def test_a_perfect_reader_reaches_the_stated_ceiling(cues):
    beliefs = stored.perfect_reader(cues)
    truth = cues["Emotion"].map({name: i for i, name in enumerate(EMOTIONS)}).to_numpy()
    best = json.loads((DATA / "ceiling.json").read_text())
    for subset, p in beliefs.items():
        np.testing.assert_allclose(p.sum(axis=1), 1)
        if subset:
            ceiling = best["+".join(subset)]["without_context"]["emotion"]["accuracy"]
            assert (p.argmax(axis=1) == truth).mean() == pytest.approx(ceiling, abs=0.07)  # 260 utterances
    assert beliefs[()][0, EMOTIONS.index("neutral")] == pytest.approx(prior().max())


def test_rows_of_the_table_beside_chance():
    own = {"pointing": 0.5, "pointing_interval": (0.4, 0.6), "chance": 0.3, "rank": 0.1, "rank_interval": (0.0, 0.2)}
    (row,) = stored.beside_chance({"model": own})
    assert row == {"attribution": "model", "pointing": "0.500 [0.400, 0.600]", "chance": 0.3,
                   "rank correlation": "0.100 [0.000, 0.200]"}  # fmt: skip


def test_every_picture_has_words_and_the_same_bytes_each_time():
    def all_of_them():
        rng = np.random.default_rng(0)
        values = {s: 0.2 * len(s) for s in attribution.subsets()}
        return {
            "seeds": lesson08.seeds({"a": [0.7, 0.72], "b": [0.71]}, {"a": (0.6, 0.8), "b": (0.6, 0.8)}, "weighted F1"),
            "pairing": lesson08.pairing(rng.normal(0, 2, 200), rng.normal(0, 1, 200)),
            "lattice": lesson08.lattice(values, "Weighted F1"),
            "chance_gaps": lesson08.chance_gaps(rng.random(200), 0.9, "speakers"),
        }

    made = {
        n
        for n, f in vars(lesson08).items()
        if inspect.isfunction(f)
        and f.__module__ == lesson08.__name__
        and f.__annotations__.get("return") is plots.Picture
    }
    first, second = all_of_them(), all_of_them()
    assert made == set(first)
    for name, figure in first.items():
        assert plots.to_png(figure, 40) == plots.to_png(second[name], 40), name
        assert figure.alt_text.endswith(".") and len(figure.alt_text.split()) > 8
    assert "text+video 0.400" in first["lattice"].alt_text and "speakers 0.90" in first["chance_gaps"].alt_text
