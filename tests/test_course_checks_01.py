"""Exercise checks of lesson 01: typical wrong answers are told apart."""

import math
import re

import numpy as np
import pytest
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception


def parts(time):
    return re.split("[:,.]", time)


def by_groups(groups, count, seed, rng=None):
    names = np.unique(groups)
    rng = rng or np.random.default_rng(seed)
    return np.isin(groups, rng.choice(names, size=count, replace=False))


def pairs(dialogue, emotion):
    return [(d == c, f == e) for c, d, e, f in zip(dialogue, dialogue[1:], emotion, emotion[1:], strict=False)]


WRONG = {
    "1.2": [
        (lambda t: int(t[0:2]) * 3600 + int(t[3:5]) * 60 + float(t[6:].replace(",", ".")), "fixed positions"),
        (lambda t: sum(int(p) * s for p, s in zip(parts(t), (3600, 60, 1), strict=False)), "milliseconds are lost"),
        (lambda t: sum(int(p) * s for p, s in zip(parts(t), (3600, 60, 1, 0.01), strict=True)), "hundredths"),
        (lambda t: sum(int(p) * s for p, s in zip(parts(t), (3600, 60, 1, 1), strict=True)), "became 59 seconds"),
        (lambda t: sum(int(p) * s for p, s in zip(parts(t), (60, 3600, 60, 1e-3), strict=True)), "minutes as hours"),
        (
            lambda t: 1000 * sum(int(p) * s for p, s in zip(parts(t), (3600, 60, 1, 1e-3), strict=True)),
            "in milliseconds",
        ),
        (
            lambda t: (
                sum(float(p.replace(",", ".")) * s for p, s in zip(t.split(":"), (3600, 60, 1), strict=True)) // 1
            ),
            "milliseconds are lost",
        ),
        (
            lambda t: (
                lambda head, ms: (
                    sum(int(p) * s for p, s in zip(head.split(":"), (3600, 60, 1), strict=True)) + int(ms) / 1000
                )
            )(*t.split(",")),
            "dot instead of the comma",
        ),
        (
            lambda t: sum(
                float(p.replace(",", ".")) * s for p, s in zip(t[:-1].split(":"), (3600, 60, 1), strict=True)
            ),
            "three digits",
        ),
    ],
    "1.1": [
        (lambda d, e: np.mean([same for _, same in pairs(d, e)]), "the dialogue before"),
        (lambda d, e: sum(same for _, same in pairs(d, e)) / len(e), "also compare across dialogues"),
        (lambda d, e: np.mean([inside and same for inside, same in pairs(d, e)]), "leave them out of the count"),
        (lambda d, e: sum(inside and same for inside, same in pairs(d, e)) / len(e), "divide by the number of pairs"),
        (lambda d, e: sum(inside and same for inside, same in pairs(d, e)), "That is how many"),
        (lambda d, e: np.mean([not same for inside, same in pairs(d, e) if inside]), "share of changes"),
    ],
    "1.3": [
        (lambda g, share, seed: np.random.default_rng(seed).random(len(g)) < share, "choose groups, not rows"),
        (lambda g, share, seed: ~by_groups(g, 3, seed), "what stays"),
        (lambda g, share, seed: np.isin(g, np.unique(g)[:3]), "whatever the seed"),
        (lambda g, share, seed: by_groups(g, 3, None), "another split each time"),
        (lambda g, share, seed: by_groups(g, 1, seed), "A third of the 9 groups is 3; 1"),
        (lambda g, share, seed: by_groups(g, int(share * 9), seed), "is 2.7: 3 groups, not 2. .* cut off"),
        (lambda g, share, seed: by_groups(g, math.ceil(share * 9), seed), "is 2.25: 2 groups, not 3. .* not up"),
        (lambda g, share, seed: np.flatnonzero(by_groups(g, 3, seed)), "A mask of True and False"),
        (lambda g, share, seed: set(g[by_groups(g, 3, seed)]), "NumPy array"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
