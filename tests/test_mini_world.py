"""The world of mini-MELD: its tables, dialogues, lines, cues and ceilings."""

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mmsa_lib.mini import tables
from mmsa_lib.mini.ceiling import (
    NUM_DISPLAYS,
    SUBSETS,
    best_weighted_f1,
    display_table,
    joint_table,
    merge,
    posteriors,
    weighted_f1,
    with_context,
    without_context,
)
from mmsa_lib.mini.characters import CAST, cast
from mmsa_lib.mini.dialogue import draw_dialogue, draw_turns, draw_with_counts, pasts
from mmsa_lib.mini.plan import KINDS
from mmsa_lib.mini.script import BUCKETS, read_lines, share_out
from mmsa_lib.mini.tables import CUE_TABLE, FEELINGS, MISLEADS, MODALITIES, NEUTRAL, SPLITS
from mmsa_lib.mini.world import draw_cue, draw_split, draw_world

MELD_TRAIN = {  # shares of MELD's official training split
    "anger": 1109, "disgust": 271, "fear": 268, "joy": 1743, "neutral": 4710, "sadness": 683, "surprise": 1205,
}  # fmt: skip


def stream(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.fixture(scope="module")
def plans():
    return draw_world()


def test_tables_are_distributions():
    for modality in MODALITIES:
        for feeling in FEELINGS:
            assert sum(CUE_TABLE[modality][feeling]) == pytest.approx(1)
        np.testing.assert_allclose(MISLEADS[modality].sum(axis=1), 1)
        assert not MISLEADS[modality].diagonal().any()
        assert not MISLEADS[modality][:, NEUTRAL].any()
        np.testing.assert_allclose(display_table(modality).sum(axis=1), 1)
    np.testing.assert_array_equal(tables.AFFINITY, tables.AFFINITY.T)


def test_the_chain_keeps_the_shares():
    np.testing.assert_allclose(tables.prior() @ tables.contagion_table(), tables.prior(), atol=1e-12)
    np.testing.assert_allclose(tables.transition_array().sum(axis=2), 1)
    np.testing.assert_allclose(tables.transition(None, None), tables.prior())


@pytest.mark.parametrize("split", SPLITS)
def test_shares_are_melds(plans, split):
    counts = Counter(plan.emotion for plan in plans if plan.split == split)
    for emotion, number in MELD_TRAIN.items():
        assert abs(counts[emotion] / counts.total() - number / 9989) <= 0.02, emotion
    assert split != "test" or min(counts.values()) >= 12


def test_sentiment_follows_from_the_feeling(plans):
    expected = {"anger": "negative", "disgust": "negative", "fear": "negative", "sadness": "negative"}
    expected |= {"joy": "positive", "neutral": "neutral"}
    for plan in plans:
        assert plan.sentiment == expected.get(plan.emotion, plan.sentiment)
    surprises = Counter(plan.sentiment for plan in plans if plan.emotion == "surprise")
    assert surprises["neutral"] == 0
    assert 0.4 < surprises["positive"] / surprises.total() < 0.6


def test_lines_and_characters_stay_in_their_split(plans):
    for what in (lambda plan: plan.text, lambda plan: plan.character.name):
        homes = {split: {what(plan) for plan in plans if plan.split == split} for split in SPLITS}
        assert not homes["test"] & (homes["train"] | homes["dev"])
        assert not homes["dev"] & homes["train"]
    assert len({plan.text for plan in plans}) >= 600


def test_dialogues_have_two_or_three_speakers_and_unbroken_numbers(plans):
    scenes = {}
    for plan in plans:
        scenes.setdefault((plan.split, plan.dialogue_id), []).append(plan)
    for scene in scenes.values():
        assert [plan.utterance_id for plan in scene] == list(range(len(scene)))
        assert len({plan.character.name for plan in scene}) <= 3
        assert len(scene) >= 2


def test_the_same_seed_gives_the_same_world(plans):
    dev = [plan for plan in plans if plan.split == "dev"]
    assert draw_split("dev") == dev
    assert draw_split("dev", seed=1) != dev


def test_cues_follow_the_tables():
    rng, draws = stream(0), 4000
    for modality, feeling in (("text", "anger"), ("video", "neutral"), ("audio", "surprise-")):
        cues = [draw_cue(rng, modality, feeling) for _ in range(draws)]
        kinds = Counter(cue.kind for cue in cues)
        for kind, probability in zip(KINDS, CUE_TABLE[modality][feeling], strict=True):
            assert kinds[kind] / draws == pytest.approx(probability, abs=0.04)
        for cue in cues:
            assert (cue.feeling == feeling) == (cue.kind in ("clear", "weak"))
            assert 0 <= cue.strength <= 1 and (cue.strength == 0) == (cue.level == "neutral")


def test_cues_of_different_modalities_are_independent_given_the_feeling(plans):
    neutral = [plan for plan in plans if plan.emotion == "neutral"]
    misled = np.array([[cue.kind == "misleads" for cue in (plan.text_cue, plan.video, plan.audio)] for plan in neutral])
    correlation = np.corrcoef(misled.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(len(neutral))


def test_written_lines_are_distinct_and_short():
    lines = read_lines()
    assert len({"".join(filter(str.isalnum, line.text.lower())) for line in lines}) == len(lines) >= 600
    assert all(1 <= line.words <= 18 for line in lines)
    assert 7 <= np.mean([line.words for line in lines]) <= 9.5


def test_every_split_gets_lines_for_every_need():
    dealt = share_out(read_lines(), stream(3))
    for strata in dealt.values():
        for feeling in (*FEELINGS, "ambiguous"):
            degrees = ("plain",) if feeling in ("neutral", "ambiguous") else ("plain", "mild")
            assert all(strata[feeling, degree, b] for degree in degrees for b in range(len(BUCKETS)))


def test_number_of_words_does_not_tell_the_emotion(plans):
    train = [plan for plan in plans if plan.split == "train"]
    words = {f: [len(p.text.split()) for p in train if p.feeling == f] for f in FEELINGS}
    overall = np.concatenate(list(words.values()))
    for feeling, lengths in words.items():
        assert abs(np.mean(lengths) - overall.mean()) < 4 * overall.std() / np.sqrt(len(lengths)), feeling


def test_cast_is_varied():
    people = [person for split in SPLITS for person in cast(split, 7)]
    assert len({person.name for person in people}) == len(people) == sum(map(len, CAST.values())) >= 12
    assert len({person.skin for person in people if person.name in dict.fromkeys(n for n, *_ in CAST["test"])}) >= 4


def test_pasts_by_hand():
    none = len(FEELINGS)
    assert pasts([0, 0, 1, 0, 2], [5, 3, 4, 1, 0]) == [(none, none), (5, none), (none, 3), (3, 4), (none, 1)]


def test_draw_with_counts_keeps_counts_and_the_chain():
    rng = stream(5)
    turns = [draw_turns(rng, 2, 10) for _ in range(60)]
    counts = np.bincount(np.concatenate([draw_dialogue(rng, t) for t in turns]), minlength=8)
    drawn = draw_with_counts(rng, turns, counts, sweeps=20)
    np.testing.assert_array_equal(np.bincount(np.concatenate(drawn), minlength=8), counts)

    def inertia(dialogues):
        pairs = [
            (own, f)
            for t, fs in zip(turns, dialogues, strict=True)
            for (own, _), f in zip(pasts(t, fs), fs, strict=True)
        ]
        return np.mean([own == f for own, f in pairs if own < 8])

    free = [draw_dialogue(rng, t) for t in turns]
    assert inertia(drawn) == pytest.approx(inertia(free), abs=0.1)
    with pytest.raises(ValueError, match="counts sum to"):
        draw_with_counts(rng, [[0, 1]], [1] * 8)


def test_single_modality_ceiling_by_brute_force():
    """The sum over displays against 200,000 simulated draws judged by the same rule."""
    rng, table, prior = stream(1), display_table("audio"), tables.prior()
    feelings = rng.choice(8, size=200_000, p=prior)
    displays = (rng.random((len(feelings), 1)) > table.cumsum(axis=1)[feelings]).sum(axis=1).clip(max=NUM_DISPLAYS - 1)
    decided = merge(prior[:, None] * table, tables.emotion_of).argmax(axis=0)[displays]
    names = sorted({tables.emotion_of(f) for f in FEELINGS})
    true = np.array([names.index(tables.emotion_of(f)) for f in FEELINGS])[feelings]
    assert without_context(("audio",))["emotion"]["accuracy"] == pytest.approx(np.mean(true == decided), abs=0.005)


def test_ceilings_grow_with_modalities_and_sentiment_is_easier():
    scores = {subset: without_context(subset) for subset in SUBSETS}
    for subset in SUBSETS:
        assert scores[subset]["sentiment"]["accuracy"] >= scores[subset]["emotion"]["accuracy"]
        for larger in SUBSETS:
            if set(subset) < set(larger):
                assert scores[subset]["emotion"]["accuracy"] < scores[larger]["emotion"]["accuracy"]


def test_joint_table_sums_to_one_and_factorises():
    joint = joint_table(("text", "video")).reshape(8, NUM_DISPLAYS, NUM_DISPLAYS)
    assert joint.sum() == pytest.approx(1)
    expected = tables.prior()[:, None] * display_table("video")
    np.testing.assert_allclose(joint.sum(axis=1), expected)


def test_weighted_f1_against_sklearn():
    rng = stream(2)
    true, predicted = rng.integers(4, size=300), rng.integers(3, size=300)  # class 3 is never predicted
    confusion = np.zeros((4, 4))
    np.add.at(confusion, (true, predicted), 1)
    assert weighted_f1(confusion) == pytest.approx(f1_score(true, predicted, average="weighted"))


def test_best_weighted_f1_beats_the_most_accurate_rule_and_every_other_one():
    joint = stream(4).dirichlet(np.ones(18)).reshape(3, 6)
    rules = np.stack(np.meshgrid(*[range(3)] * 6), axis=-1).reshape(-1, 6)
    scores = [weighted_f1(np.stack([joint[:, r == k].sum(axis=1) for k in range(3)], axis=1)) for r in rules]
    assert best_weighted_f1(joint) == pytest.approx(max(scores), abs=0.01)


def test_posteriors_against_enumeration():
    """Forward-backward against the sum over all 8 ** 4 feelings of a dialogue of three speakers."""
    rng, turns = stream(6), [0, 1, 0, 2]
    likelihoods = rng.random((4, 8))
    grid = np.stack(np.meshgrid(*[range(8)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    table = tables.transition_array()
    weight = np.array(
        [
            np.prod([table[own, other, f] for (own, other), f in zip(pasts(turns, row), row, strict=True)])
            * np.prod(likelihoods[range(4), row])
            for row in grid.tolist()
        ]
    )
    expected = [[weight[grid[:, t] == f].sum() for f in range(8)] for t in range(4)]
    expected = np.array(expected) / weight.sum()
    np.testing.assert_allclose(posteriors(turns, likelihoods), expected, atol=1e-10)


def test_context_helps():
    subset = ("text", "video")
    alone, whole = without_context(subset)["emotion"], with_context(subset, 150, seed=0)["emotion"]
    assert whole["accuracy"] > alone["accuracy"] - 2 * whole["standard_error"]
    assert 0 < whole["standard_error"] < 0.02
