"""Exercise checks of lesson 06: typical wrong answers are told apart."""

import pytest
import torch
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception


def counts(labels, classes):
    return torch.bincount(labels, minlength=classes)


def present(labels):
    return torch.unique(labels, return_counts=True)[1]


WRONG = {
    "6.1": [
        (lambda labels, k: len(labels) / (k * counts(labels, k)), "infinite weight"),
        (lambda labels, k: len(labels) / counts(labels, k).clamp(min=1), "number of classes is missing"),
        (lambda labels, k: 1 / counts(labels, k).clamp(min=1), "inverse counts"),
        (lambda labels, k: len(labels) / (k * present(labels)), "classes that do not occur have a weight too"),
        (lambda labels, k: counts(labels, k) / len(labels), "Turn it round"),
        (lambda labels, k: (c := counts(labels, k).clamp(min=1)).sum() / (k * c), "N is the number of labels"),
        (
            lambda labels, k: len(labels) / (len(present(labels)) * counts(labels, k).clamp(min=1)),
            "K is the number of all",
        ),
        (lambda labels, k: k * (w := 1 / counts(labels, k).clamp(min=1)) / w.sum(), "sum to K"),
    ],
    "6.2": [
        (lambda labels, wanted: wanted / counts(labels, 3), "one weight an utterance"),
        (lambda labels, wanted: wanted[labels], "let them share"),
        (lambda labels, wanted: (1 / counts(labels, 3))[labels], "wanted shares are not used"),
        (lambda labels, wanted: (wanted * counts(labels, 3))[labels], "commoner still"),
        (lambda labels, wanted: (wanted / (counts(labels, 3) / len(labels)))[labels], "do not sum to 1"),
        (lambda labels, wanted: (w := (wanted / counts(labels, 3))[labels]) / w.max(), "do not sum to 1"),
        (lambda labels, wanted: (counts(labels, 3) / wanted)[labels], "upside down"),
    ],
    "6.3": [
        (lambda logits, old, new: (logits + old.log() - new.log()).double(), "sign is wrong"),
        (lambda logits, old, new: logits + old.log() - new.log(), "sign is wrong"),
        (lambda logits, old, new: logits + new.log(), "still in the logits"),
        (lambda logits, old, new: logits - old.log(), "expected ones are missing"),
        (lambda logits, old, new: logits + new / old, "add logarithms"),
        (lambda logits, old, new: logits * new / old, "logits are not"),
        (lambda logits, old, new: logits.softmax(dim=1) * new / old, "These are probabilities"),
        (lambda logits, old, new: logits + (new.log() - old.log()).sum(), "change nothing"),
        (lambda logits, old, new: logits.add_(new.log() - old.log()), "in place"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
