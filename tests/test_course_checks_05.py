"""Exercise checks of lesson 05: typical wrong answers are told apart."""

import pytest
import torch
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception

ORDER = ("text", "video", "audio")


def joined(choose):
    """An answer to 5.1 that makes each modality's rows by `choose(vectors, present (B, 1), stand-in)`."""

    def answer(vectors, present, missing):
        return torch.cat([choose(vectors[m], present[m][:, None], missing[m]) for m in ORDER], dim=1)

    return answer


def by_dictionary(vectors, present, missing):
    return torch.cat([torch.where(present[m][:, None], v, missing[m]) for m, v in vectors.items()], dim=1)


def in_place(vectors, present, missing):
    for m in ORDER:
        vectors[m][~present[m]] = missing[m]
    return torch.cat([vectors[m] for m in ORDER], dim=1)


def shares(values):
    return values / values.sum(dim=1, keepdim=True)


def rescue(present, keep):
    """Where nothing is left, keep what was there."""
    return torch.where(keep.any(dim=1, keepdim=True), keep, present)


def one_a_row(present, p):
    victim = torch.nn.functional.one_hot(torch.randint(3, (len(present),)), 3).bool()
    return rescue(present, present & ~(victim & (torch.rand(len(present), 1) < p)))


def one_draw_a_batch(present, p):
    return rescue(present, present & (torch.tensor([0.1, 0.9, 0.9]) >= p))


def first_survives(present, p):
    keep = present & (torch.rand(present.shape) >= p)
    first = torch.nn.functional.one_hot(present.int().argmax(dim=1), 3).bool()
    return torch.where(keep.any(dim=1, keepdim=True), keep, first)


def text_survives(present, p):
    keep = present & (torch.rand(present.shape) >= p)
    keep[:, 0] |= ~keep.any(dim=1)
    return keep


def whole_row_survives(present, p):
    keep = present & (torch.rand(present.shape) >= p)
    lost = ~keep.any(dim=1)
    keep[lost] = present[lost]
    return keep


def lucky(present):
    """One modality of each row that is present, drawn by chance."""
    return torch.nn.functional.one_hot((present * torch.rand(present.shape)).argmax(dim=1), 3).bool()


def one_draw_an_utterance(present, p):
    return present & (~(torch.rand(len(present), 1) < p) | lucky(present))


def only_whole_rows(present, p):
    keep = present & (torch.rand(present.shape) >= p)
    keep = torch.where(keep.any(dim=1, keepdim=True), keep, lucky(present))
    return torch.where(present.all(dim=1, keepdim=True), keep, present)


def spoils(present, p):
    present &= rescue(present, present & (torch.rand(present.shape) >= p))
    return present


WRONG = {
    "5.1": [
        (joined(lambda v, here, mark: v * here), "Zeros are a value"),
        (joined(lambda v, here, mark: v), "used all the same"),
        (by_dictionary, "order of the dictionary"),
        (joined(lambda v, here, mark: torch.where(here, mark, v)), "wrong way round"),
        (joined(lambda v, here, mark: v * here + mark), "added to rows that are present"),
        (lambda v, here, mark: torch.stack([v[m] for m in ORDER], dim=1), "too many"),
        (in_place, "in place"),
    ],
    "5.2": [
        (lambda said, prior: said.mean(dim=0), "That is the average"),
        (lambda said, prior: shares(said.prod(dim=0)), "in the product M times"),
        (lambda said, prior: said.prod(dim=0), "do not sum to 1"),
        (lambda said, prior: said.prod(dim=0) / prior ** (len(said) - 1), "divide each by its sum"),
        (lambda said, prior: shares(said.prod(dim=0) / prior ** len(said)), "gone altogether"),
        (lambda said, prior: shares(said.prod(dim=0) / prior), "two witnesses only"),
        (lambda said, prior: shares(said.prod(dim=0) * prior), "multiply by the prior"),
        (lambda said, prior: (r := said.prod(dim=0) / prior ** (len(said) - 1)) / r.sum(dim=0), "sum over utterances"),
        (lambda said, prior: said.log().sum(dim=0).softmax(dim=1), "in the product M times"),
    ],
    "5.3": [
        (lambda present, p: present & (torch.rand(present.shape) >= p), "lost every modality"),
        (lambda present, p: rescue(present, torch.rand(present.shape) >= p), "came back"),
        (lambda present, p: present.clone(), "Nothing is hidden"),
        (
            lambda present, p: rescue(present, present & (torch.rand(present.shape) < p)),
            "Do you keep with probability p",
        ),
        (one_a_row, "only one drawn per row"),
        (one_draw_a_batch, "whole batch"),
        (first_survives, "same modality survives"),
        (text_survives, "came back"),
        (whole_row_survives, "does not get all of it back"),
        (lambda present, p: present * (torch.rand(present.shape) >= p).float(), "torch.bool"),
        (spoils, "in place"),
        (one_draw_an_utterance, "share one draw"),
        (only_whole_rows, "lack a modality already"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
