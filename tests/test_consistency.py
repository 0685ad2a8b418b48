"""Two heads: contradictions are found, joint decoding leaves none and changes nothing where there were none."""

from itertools import product

import numpy as np
import pytest

from mmsa_lib import consistency
from mmsa_lib.labels import EMOTIONS, SENTIMENTS


def heads(n=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(7, 0.4), n), rng.dirichlet(np.full(3, 0.4), n)


def test_melds_pairs():
    allowed = consistency.meld_pairs()
    assert allowed.sum() == 8
    assert consistency.pair_names()[-2:] == ["surprise, negative", "surprise, positive"]
    joy = EMOTIONS.index("joy")
    assert consistency.contradictions(np.array([joy, joy]), np.array([0, 2])).tolist() == [True, False]


def test_pairs_are_counted():
    counts = consistency.pair_counts(np.array([3, 3, 0]), np.array([2, 2, 0]))
    assert counts[3, 2] == 2 and counts[0, 0] == 1 and counts.sum() == 3


def test_joint_decoding_is_the_best_allowed_pair_by_a_loop():
    emotion, sentiment = heads()
    joint = consistency.joint_probabilities(emotion, sentiment)
    np.testing.assert_allclose(joint.sum(axis=(1, 2)), 1)
    decoded = consistency.decode(joint)
    assert not consistency.contradictions(*decoded).any()
    allowed = consistency.meld_pairs()
    for i, (e, s) in enumerate(zip(*decoded, strict=True)):
        pairs = [(j, k) for j, k in product(range(7), range(3)) if allowed[j, k]]
        assert (e, s) == max(pairs, key=lambda pair: emotion[i, pair[0]] * sentiment[i, pair[1]])


def test_answers_that_agree_stay_when_all_pairs_are_allowed():
    emotion, sentiment = heads()
    everything = np.ones((7, 3), dtype=bool)
    e, s = consistency.decode(consistency.joint_probabilities(emotion, sentiment, everything))
    assert (e == emotion.argmax(axis=1)).all() and (s == sentiment.argmax(axis=1)).all()


def test_a_pair_counts_its_prior_once():
    """Heads that have seen nothing say the shares of their classes; together they must say the shares of the pairs."""
    shares = consistency.meld_pairs() * np.random.default_rng(0).random((7, 3))
    shares /= shares.sum()
    joint = consistency.joint_probabilities(shares.sum(axis=1)[None], shares.sum(axis=0)[None], pair_shares=shares)
    np.testing.assert_allclose(joint[0], shares)


def test_heads_that_rule_each_other_out_give_an_even_answer_not_a_nan():
    emotion, sentiment = np.eye(7)[[EMOTIONS.index("joy")]], np.eye(3)[[SENTIMENTS.index("negative")]]
    joint = consistency.joint_probabilities(emotion, sentiment)
    assert joint.sum() == pytest.approx(1) and np.isfinite(joint).all()


def test_a_sentiment_that_obeys_the_emotion():
    emotion, sentiment = heads()
    answers = emotion.argmax(axis=1)
    obeyed = consistency.from_emotion(answers, sentiment)
    assert not consistency.contradictions(answers, obeyed).any()
    surprised = answers == EMOTIONS.index("surprise")
    best = np.where(sentiment[:, 0] >= sentiment[:, 2], 0, 2)
    assert (obeyed[surprised] == best[surprised]).all()
