"""What lessons 04 to 07 measure with: small hearing encoders, juries, heads under weights, watched trainings."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mmsa_lib.course import costs, hearing, juries, session, training
from mmsa_lib.course.experiments import class_weights
from mmsa_lib.labels import MODALITIES

EMOTIONS = 7


def pad(clips):
    lengths = torch.tensor([clip.shape[1] for clip in clips])
    longest = int(lengths.max())
    return torch.stack([nn.functional.pad(clip, (0, longest - clip.shape[1])) for clip in clips]), lengths


def unmasked(clips):
    return pad(clips)[0], None


def sounds(count: int, seed: int) -> SimpleNamespace:
    """Clips of 4 to 9 of the small encoder's frames whose emotion is the band that is loud."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(EMOTIONS, size=count)
    clips = [torch.from_numpy(rng.normal(0, 0.1, (64, hearing.SHORTER * rng.integers(4, 10)))).float() for _ in labels]
    for clip, label in zip(clips, labels, strict=True):
        clip[9 * label : 9 * label + 9] += 2
    return SimpleNamespace(features={"audio": clips}, emotion_labels=labels)


@pytest.fixture(scope="module")
def trials():
    """The right way and one without masks, two seeds each."""
    train, test = sounds(96, 0), sounds(40, 1)
    right, leaking = (hearing.Trial(way, train, [test, test], seeds=2) for way in (pad, unmasked))
    return right, leaking, train


# -------------------------------------------------------------------------------------------- hearing


def test_a_trial_learns_and_tests_all_unseen_clips(trials):
    right, _, _ = trials
    assert right.answers.shape == (2, 80)
    assert right.score > 0.9


def test_only_without_masks_answers_depend_on_the_company(trials):
    right, leaking, _ = trials
    assert right.changed_alone().tolist() == [0, 0]
    for trial, dependent in ((right, False), (leaking, True)):
        clips = sorted(trial.unseen, key=lambda mel: mel.shape[1])
        shortest, longest = clips[0], clips[-1]
        alone, together = (
            hearing.predict(trial.models[0], trial.collate(c)) for c in ([shortest], [shortest, longest])
        )
        assert bool((alone[0] - together[0]).abs().max() > 1e-3) == dependent


def test_the_same_networks_can_be_asked_in_another_way(trials):
    _, leaking, _ = trials

    def far(clips):
        return nn.functional.pad(leaking.collate(clips)[0], (0, 100)), None

    other = leaking.asked(far)
    assert other.models == leaking.models and other.score < leaking.score
    assert other.asked(leaking.collate).score == leaking.score


def test_what_was_added_is_what_training_changed(trials):
    right, _, _ = trials
    added = hearing.added_to_filters(right.models[1], seed=1, most=5)
    assert added.shape == (5, 64, 3)
    first = hearing.build(1)["encoder"].blocks[0].conv.weight
    assert np.abs(hearing.added_to_filters(hearing.build(1), seed=1, most=5)).max() == 0
    assert np.linalg.norm(added[0]) <= float((right.models[1]["encoder"].blocks[0].conv.weight - first).detach().norm())
    assert (np.diff(np.linalg.norm(added.reshape(5, -1), axis=1)) <= 1e-6).all()


def test_a_favourite_channel_finds_clips_of_its_emotion(trials):
    right, _, train = trials
    favourites = hearing.Favourites(right, train)
    names = np.array(hearing.EMOTIONS)[right.labels].tolist()
    assert np.mean(list(favourites.hits(names, most=3).values())) > 0.6
    clips = [clip for _ in range(2) for clip in sounds(40, 1).features["audio"]]
    for mel, when, shows in favourites.moments(clips, names)["joy"]:
        assert 0 <= when < mel.shape[1] + 40 and shows in hearing.EMOTIONS


def test_frames_computed_are_those_of_the_longest_clip_of_each_batch():
    found = hearing.frames_computed(np.full(64, 100), size=32)
    assert found == {
        "like with like": 6400,
        "random batches of 32": 6400,
        "always 9.6 s": 61_440,
        "always 30 s": 192_000,
    }


# --------------------------------------------------------------------------------------------- juries


class Sum(nn.Module):
    """Adds up what its encoders say; who is absent says nothing."""

    def __init__(self, encoders):
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.emotions, self.sentiments = nn.Linear(128, 7), nn.Linear(128, 3)

    def forward(self, inputs, present):
        x = sum(encoder(*inputs[m]) * present[m][:, None] for m, encoder in self.encoders.items())
        return {"emotions": self.emotions(x), "sentiments": self.sentiments(x)}


@pytest.fixture(scope="module")
def room():
    def split(count, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % EMOTIONS
        one_hot = torch.eye(EMOTIONS)[labels]
        noise = [torch.from_numpy(rng.normal(0, 0.3, (count, EMOTIONS))).float() for _ in range(2)]
        features = {"text": list(one_hot + 0.1 * noise[0]), "video": list(torch.randn(count, 5))}
        features["audio"] = [torch.from_numpy(rng.normal(size=(64, 12))).float() for _ in labels]
        return SimpleNamespace(features=features, emotion_labels=labels, sentiment_labels=labels % 3)

    return juries.Room({"train": split(210, 0), "test": split(70, 1)})


def test_a_room_is_standardised_by_its_train_split(room):
    assert {m: tuple(x.shape) for m, x in room.train.items()} == {
        "text": (210, 7),
        "video": (210, 5),
        "audio": (210, 256),
    }
    for x in room.train.values():
        assert x.mean(dim=0).abs().max() < 1e-4
        assert (x.std(dim=0) - 1).abs().max() < 1e-3
    assert room.prior.tolist() == pytest.approx([1 / 7] * 7)
    assert room.majority() == pytest.approx(2 / 7 / (1 + 1 / 7) / 7, abs=0.02)


def test_a_jury_learns_from_who_knows_and_is_lost_without(room):
    models = [room.fit(Sum, MODALITIES, seed) for seed in range(2)]
    whole, without = room.hear(models), room.hear(models, ("video", "audio"))
    assert whole.shape == (2, 70, 7)
    assert room.score(whole)[0] > room.score(without)[0] + 0.4
    nobody = room.hear(models, ())
    assert np.ptp(nobody, axis=1).max() < 1e-6  # every utterance gets the same answer
    swapped = room.hear(models, instead={"text": torch.zeros(70, 7)})
    assert not np.allclose(swapped, whole)


def test_the_same_seed_gives_the_same_model(room):
    one, two, other = (room.fit(Sum, ("text",), seed) for seed in (3, 3, 4))
    assert torch.equal(one.emotions.weight, two.emotions.weight)
    assert not torch.equal(one.emotions.weight, other.emotions.weight)


def test_leaning_counts_whose_absence_costs_most():
    full = np.array([[0.8, 0.2], [0.3, 0.7]])
    full = np.pad(full, ((0, 0), (0, 5)))
    left = {m: full.copy() for m in MODALITIES}
    left["text"][0, 0], left["audio"][1, 1] = 0.1, 0.1  # leans on the text, on the voice
    cues = pd.DataFrame({"text_shows": ["anger", "joy"], "video_shows": ["joy"] * 2, "audio_shows": ["joy", "joy-"]})
    assert juries.leaning(full, left, cues) == (0.5, pytest.approx(1 / 6))


def test_what_is_stored_and_what_is_possible_have_every_jury():
    runs = juries.stored_runs()
    assert set(juries.reached(runs)) == set(juries.best_possible(session.DATA)) == set(juries.JURIES)
    table = juries.by_who_is_there(runs)
    assert list(table.columns) == ["+".join(jury) for jury in juries.JURIES]
    assert table.index.names == ["seed", "modality_dropout"]
    cues = juries.load_cues(session.DATA)
    assert len(cues) == 260
    assert cues.loc[juries.sarcastic(cues), ["text_shows", "Sentiment"]].tolist() == ["joy", "negative"]


# ------------------------------------------------------------------------------------- class weights


@pytest.fixture(scope="module")
def splits():
    def split(count, seed):
        rng = np.random.default_rng(seed)
        y = torch.from_numpy(np.minimum(rng.integers(14, size=count), 6))  # the last class is commonest
        return torch.eye(EMOTIONS)[y] + 0.8 * torch.from_numpy(rng.normal(size=(count, EMOTIONS))).float(), y

    return class_weights.standardise({"train": split(400, 0), "dev": split(80, 1), "test": split(200, 2)})


def test_runs_keep_every_epoch_of_every_seed(splits):
    runs = class_weights.run(splits, seeds=range(2), epochs=3)
    assert runs.test.shape == (2, 3, 200, 7) and runs.dev.shape == (2, 3, 80, 7)
    assert not runs.test.requires_grad
    *_, head = class_weights.train_head(*splits["train"], seed=1, epochs=3)
    assert torch.equal(runs.test[1, -1], head(splits["test"][0]).detach())
    assert runs.confusion().sum() == 400
    assert runs.scores()[1].tolist() == pytest.approx(
        list(class_weights.scores(runs.test[1, -1], runs.test_labels).values())
    )


def test_a_shift_makes_a_class_said_more_often(splits):
    runs = class_weights.run(splits, seeds=[0], epochs=2)
    shift = torch.zeros(7)
    shift[2] = 100.0
    assert (runs.confusion(shift).sum(axis=0) == [0, 0, 200, 0, 0, 0, 0]).all()


def test_a_judge_keeps_the_epoch_it_likes(splits):
    runs = class_weights.run(splits, seeds=range(2), epochs=3)
    epochs, f1 = runs.kept(lambda logits, labels: -float(logits.abs().mean()))
    sizes = runs.dev.abs().mean(dim=(2, 3))
    assert epochs.tolist() == (sizes.argmin(dim=1) + 1).tolist()
    wanted = class_weights.scores(runs.test[0, epochs[0] - 1], runs.test_labels)["weighted_f1"]
    assert f1[0] == pytest.approx(wanted)


def test_a_table_row_has_means_and_deviations():
    (row,) = class_weights.table_rows({"none": np.array([[0.5, 0.4, 0.3], [0.7, 0.4, 0.1]])})
    assert row == {
        "weights": "none",
        "accuracy": "0.600 ± 0.141",
        "weighted F1": "0.400 ± 0.000",
        "macro F1": "0.200 ± 0.141",
    }


def test_clips_are_counted_when_items_are_read_and_not_for_labels():
    table = session.dataset("test", modalities=("text",)).table.head(2)
    assert class_weights.clips_opened(lambda dataset: [dataset[i] for i in range(2)], table) == 2
    assert class_weights.clips_opened(lambda dataset: dataset.emotion_labels.sum(), table) == 0


# ------------------------------------------------------------------------------------------ training


def test_the_floor_is_the_loss_of_the_smoothed_targets_themselves():
    target = torch.full((7,), 0.05 / 7)
    target[0] += 0.95
    loss = nn.functional.cross_entropy(target.log()[None], torch.tensor([0]), label_smoothing=0.05)
    assert training.smoothing_floor(7, 0.05) == pytest.approx(loss.item(), abs=1e-5)


def test_the_floor_of_a_batch_is_where_free_answers_end():
    """Three utterances, two with the same words and other labels: two free answers, trained to the end."""
    words, labels = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]), torch.tensor([0, 2, 1])
    answers = torch.zeros(2, 3, requires_grad=True)
    optimizer = torch.optim.Adam([answers], lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(answers[[0, 1, 0]], labels, label_smoothing=0.05)
        loss.backward()
        optimizer.step()
    assert training.batch_floor(words, labels, 3, 0.05) == pytest.approx(loss.item(), abs=1e-4)
    alone = training.batch_floor(words[:2], labels[:2], 3, 0.05)
    assert alone == pytest.approx(training.smoothing_floor(3, 0.05), abs=1e-6)


def test_gradient_descent_reaches_the_bottom_of_the_valley():
    path = training.walk(lambda w: torch.optim.SGD(w, lr=0.06), steps=200)
    assert path[0].tolist() == list(training.VALLEY_START)
    assert math.hypot(*path[-1].tolist()) < 0.01


def test_numbers_in_a_checkpoint_are_those_of_its_tensors():
    state = {"a": torch.zeros(2, 3), "b": [torch.zeros(4), 7, {"c": torch.zeros(1)}], "d": None}
    assert training.numbers_in(state) == 11


def test_what_is_frozen_costs_most():
    parts = costs.of_the_parts()
    assert parts["R3D-18"][0] > parts["BERT"][0] > parts["audio CNN"][0] > parts["projections, fusion, heads"][0]
    assert costs.flops(nn.Linear(3, 5), torch.zeros(2, 3)) == 2 * 2 * 3 * 5
