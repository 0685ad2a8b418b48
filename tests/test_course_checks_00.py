"""Exercise checks of lesson 00: typical wrong answers are told apart."""

from collections import Counter

import pytest
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception


def commonest(labels):
    return Counter(labels).most_common(1)[0][0]


WRONG = {
    "0.1": [
        (lambda p: max(p), "only a name"),
        (lambda p: max(p.values()), "only a probability"),
        (lambda p: max(p.items()), "last name of the alphabet"),
        (lambda p: min(p.items(), key=lambda pair: pair[1]), "least probable"),
        (lambda p: next(iter(p.items())), "first class of the dictionary"),
        (lambda p: (max(p.values()), max(p, key=p.get)), "wrong way round"),
        (lambda p: (list(p.values()).index(max(p.values())), max(p.values())), "a position"),
        (lambda p: sorted(p.items(), key=lambda pair: -pair[1]), "4 classes"),
        (lambda p: (max(p, key=p.get), 1.0), "its probability is not"),
        (lambda p: (lambda best: (best, p.pop(best)))(max(p, key=p.get)), "in place"),
    ],
    "0.2": [
        (lambda train, test: test.count(commonest(train)), "how many are right"),
        (lambda train, test: 100 * test.count(commonest(train)) / len(test), "per cent"),
        (lambda train, test: train.count(commonest(train)) / len(train), "one split alone"),
        (lambda train, test: test.count(commonest(test)) / len(test), "one split alone"),
        (lambda train, test: 1 / len(set(train)), "at random"),
        (lambda train, test: 1 / len({*train, *test}), "at random"),
        (lambda train, test: test.count(commonest(train)) / len(train), "number of training labels"),
        (lambda train, test: 1.0, "commonest training label"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
