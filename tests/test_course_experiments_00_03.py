"""What lessons 01 to 03 take from the library: paired scores, lines read in batches, flow, damage, stored mistakes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from mmsa_lib import EMOTIONS
from mmsa_lib.audit import audit
from mmsa_lib.course import DATA, damage, probes
from mmsa_lib.course.experiments import data_exploration, video_traps
from mmsa_lib.meld import load_split

PUBLISHED = {  # utterances by emotion in the order of EMOTIONS, as MELD's authors give them
    "train": [1109, 271, 268, 1743, 4710, 683, 1205],
    "dev": [153, 22, 40, 163, 470, 111, 150],
    "test": [345, 68, 50, 402, 1256, 208, 281],
}


def test_paired_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    labels, right, wrong = rng.integers(0, 7, (3, 200))
    first, second, half = probes.paired_scores(labels, right, wrong)
    assert first == pytest.approx(f1_score(labels, right, average="weighted"))
    assert second == pytest.approx(f1_score(labels, wrong, average="weighted"))
    assert 0.03 < half < 0.15


def test_paired_scores_average_seeds_and_an_answer_equals_itself():
    labels, right, wrong = np.random.default_rng(2).integers(0, 7, (3, 60))
    assert probes.paired_scores(labels, right, right)[2] == 0
    _, both, _ = probes.paired_scores(labels, right, [right, wrong])
    assert both == pytest.approx(np.mean(probes.paired_scores(labels, right, wrong)[:2]))


def test_whole_groups_are_drawn():
    """Ten equal rows in each group know as little as one: the interval is wider than that of a hundred single rows."""
    labels = np.repeat(np.arange(10) % 7, 10)
    wrong = np.where(np.repeat(np.arange(10) < 5, 10), labels, 0)
    alone, together = (probes.paired_scores(labels, labels, wrong, g)[2] for g in (None, np.repeat(np.arange(10), 10)))
    assert together > 2 * alone


def test_lines_come_back_in_their_order():
    class Tokenizer:
        def __call__(self, lines, padding=False, return_tensors=None):
            ids = [[int(c) for c in line] for line in lines]
            if return_tensors is None:
                return {"input_ids": ids}
            width = max(map(len, ids))
            assert width - min(map(len, ids)) <= 2  # like beside like
            return {"input_ids": torch.tensor([row + [0] * (width - len(row)) for row in ids])}

    lines = ["123456", "7", "12345", "42", "9", "65432"]
    found = probes.read_lines(lines, Tokenizer(), lambda batch: {"first": batch["input_ids"][:, :1]}, size=3)
    assert found["first"].tolist() == [[1], [7], [1], [4], [9], [6]]


@pytest.fixture
def talk() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dialogue_id": [0, 0, 0, 0, 1, 1],
            "speaker": ["Ann", "Bob", "Bob", "Ann", "Ann", "Ann"],
            "emotion": pd.Categorical(["joy", "fear", "joy", "joy", "joy", "anger"], EMOTIONS),
        }
    )


@pytest.mark.parametrize(("own", "pairs"), [(True, {(0, 3), (1, 2), (4, 5)}), (False, {(0, 1), (2, 3)})])
def test_predecessors_stay_inside_dialogues(talk, own, pairs):
    assert set(zip(*data_exploration.predecessors(talk, own), strict=True)) == pairs


def test_the_flow_counts_pairs(talk):
    found = data_exploration.emotion_flow(talk, own=True)
    where = {(EMOTIONS[i], EMOTIONS[j]): n for (i, j), n in np.ndenumerate(found) if n}
    assert where == {("joy", "joy"): 1, ("fear", "joy"): 1, ("joy", "anger"): 1}


def test_rows_dealt_out_are_found_again():
    """A nearest neighbour knows a group whose other rows it has seen, and cannot know a new one."""
    groups = np.repeat(np.arange(40), 5)
    labels = groups * 3 % 7
    x = np.random.default_rng(0).normal(size=(40, 8))[groups]
    honest, claimed, half = data_exploration.split_both_ways(KNeighborsClassifier(1), x, labels, groups, seeds=1)
    assert claimed == 1.0
    assert honest < 0.4
    assert half < claimed - honest
    both = data_exploration.split_both_ways(
        DummyClassifier(strategy="constant", constant=0), x, labels, groups, seeds=1
    )
    assert both[0] == pytest.approx(both[1])


def test_stored_counts_are_those_published():
    stored = data_exploration.counts(None)
    assert stored["emotions"] == PUBLISHED
    assert set(stored) == set(data_exploration.counts(DATA))


def test_counts_of_a_folder_are_measured():
    assert data_exploration.counts(DATA)["emotions"]["train"] == [
        (load_split(DATA, "train")["emotion"] == name).sum() for name in EMOTIONS
    ]


def test_damage_is_what_it_says(tmp_path):
    clips = load_split(DATA, "train")["clip"][:4].tolist()
    path = damage.build(tmp_path / "x", clips)
    with pytest.raises(UnicodeDecodeError):
        path.read_text(encoding="utf-8")
    table = load_split(path.parent, "train")
    assert tuple(table["text"]) == damage.LINES
    assert table["start"].is_monotonic_increasing
    assert table["start"][0] == pytest.approx(damage.START)
    assert table["end"][4] - table["start"][4] == pytest.approx(305)
    found = [
        (f.clip.removesuffix(".mp4"), f.problem) for f in audit(path.parent, num_workers=1, progress=False).findings
    ]
    assert sorted(found) == [
        ("dia0_utt2", "missing"),
        ("dia0_utt3", "damaged"),
        ("dia0_utt4", "mismatched"),
    ]


def test_stored_mistakes_have_an_answer_for_every_test_utterance():
    stored = json.loads(video_traps.RESULT.read_text(encoding="utf-8"))
    count, found = len(load_split(DATA, "test")), video_traps.mistakes(stored)
    assert len(found) == 5
    for runs in found.values():
        assert {np.shape(runs[when])[-1] for when in ("trained", "fed")} == {count}
    assert found["backbone in train mode"]["fed"] == stored["train_mode"]["fed"]["1"]
