"""Exercise checks of lesson 02: typical wrong answers are told apart."""

import pytest
import torch
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception


def attention(scores, value):
    return scores.softmax(dim=-1) @ value


def scores(query, key):
    return query @ key.T / query.shape[1] ** 0.5


def hidden(scores, where):
    return scores.masked_fill(where, float("-inf"))


def chunks(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def by_length(lengths):
    return sorted(range(len(lengths)), key=lambda i: lengths[i])


def masks_in_place(values, mask):
    values *= mask[..., None]
    return values.sum(dim=1) / mask.sum(dim=1, keepdim=True)


WRONG = {
    "2.1": [
        (lambda q, k, v, m: attention(scores(q, k), v), "mask is not used"),
        (lambda q, k, v, m: attention(scores(q, k) * m, v), "exp.0. is 1"),
        (lambda q, k, v, m: (scores(q, k).softmax(dim=-1) * m) @ v, "after the softmax"),
        (lambda q, k, v, m: attention(hidden(q @ k.T, ~m), v), "not divided by the square root"),
        (lambda q, k, v, m: attention(hidden(q @ k.T / q.shape[1], ~m), v), "You divide by D"),
        (lambda q, k, v, m: attention(hidden(scores(q, k), m), v), "wrong way round"),
        (lambda q, k, v, m: hidden(scores(q, k), ~m).softmax(dim=0).nan_to_num() @ v, "runs over the queries"),
        (lambda q, k, v, m: attention(hidden(scores(q, k), ~m[:, None]), v), "hide rows"),
        (lambda q, k, v, m: hidden(scores(q, k), ~m).softmax(dim=-1), "shape"),
    ],
    "2.2": [
        (lambda values, mask: values.mean(dim=1), "padding is averaged too"),
        (lambda values, mask: (values * mask[..., None]).mean(dim=1), "divide by the padded length"),
        (lambda values, mask: (values * mask[..., None]).sum(dim=1), "division is missing"),
        (lambda values, mask: (values * mask[..., None]).sum(dim=1) / mask.sum(), "whole batch"),
        (lambda values, mask: values.sum(dim=1) / mask.sum(dim=1, keepdim=True), "still in the sum"),
        (
            lambda values, mask: (values * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True),
            "without a single real token",
        ),
        (masks_in_place, "changes its argument"),
        (lambda values, mask: values[mask].mean(dim=0), "too few"),
    ],
    "2.3": [
        (lambda lengths, size: chunks(sorted(lengths), size), "hold lengths"),
        (lambda lengths, size: chunks(list(range(len(lengths))), size), "in the order given"),
        (lambda lengths, size: chunks(by_length(lengths), size)[:-1], "in no batch"),
        (lambda lengths, size: [by_length(lengths)], "batches of 3, 3 and 1"),
        (lambda lengths, size: chunks(by_length(lengths)[:size] * 3, size), "in no batch"),
        (lambda lengths, size: chunks([6, 1, 3, 0, 4, 2, 5], size), "would take fewer"),
        (lambda lengths, size: chunks(by_length(lengths)[::-1], size), "begin with the longest"),
        (lambda lengths, size: chunks(by_length(lengths), size)[::-1], "begin with the longest"),
        (lambda lengths, size: [by_length(lengths)[:1], *chunks(by_length(lengths)[1:], size)], "hold 1, 3 and 3"),
        (lambda lengths, size: chunks([0, 4, 5, 1, 6, 3, 2], size), "lengths are, .* 9, 9, 11, 3,"),
        (lambda lengths, size: torch.tensor(by_length(lengths)), "must be a list"),
        (lambda lengths, size: lengths.sort() or chunks(lengths, size), "changes its argument"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
