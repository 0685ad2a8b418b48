"""Exercise checks of lesson 07: typical wrong answers are told apart."""

import copy

import pytest
import torch
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception


def length(gradients):
    return sum((g**2).sum() for g in gradients).sqrt()


def in_place(gradients, limit):
    factor = min(1.0, limit / float(length(gradients)))
    return [g.mul_(factor) for g in gradients]


def stopping(better=lambda new, best: new > best, start=float("-inf"), first=1, wait=0, reset=True):
    """Early stopping with one thing wrong."""

    def answer(scores, patience):
        best, kept, bad = start, 0, 0
        for epoch, score in enumerate(scores, start=first):
            if better(score, best):
                best, kept, bad = score, epoch, 0 if reset else bad
            else:
                bad += 1
            if bad >= patience + wait:
                return kept, epoch
        return kept, epoch

    return answer


def saving(model=True, optimizer=True, rng=True, epoch=True, deep=("model", "optimizer")):
    """A checkpoint with one thing wrong."""

    def save(net, adam, number):
        state = {"model": net.state_dict(), "optimizer": adam.state_dict()}
        state = {name: copy.deepcopy(part) if name in deep else part for name, part in state.items()}
        return state | {"epoch": number, "rng": torch.get_rng_state()}

    def restore(net, adam, state):
        if model:
            net.load_state_dict(state["model"])
        if optimizer:
            adam.load_state_dict(copy.deepcopy(state["optimizer"]))
        if rng:
            torch.set_rng_state(state["rng"])
        return state["epoch"] if epoch else None

    return save, restore


def only_parameters():
    def save(net, adam, number):
        return copy.deepcopy({"model": dict(net.named_parameters()), "optimizer": adam.state_dict(), "epoch": number})

    def restore(net, adam, state):
        net.load_state_dict(state["model"], strict=False)
        adam.load_state_dict(state["optimizer"])
        return state["epoch"]

    return save, restore


def shared_on_restore():
    save, _ = saving()

    def restore(net, adam, state):
        net.load_state_dict(state["model"])
        adam.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        return state["epoch"]

    return save, restore


WRONG = {
    "7.1": [
        (lambda gs, limit: [g.clamp(-limit, limit) for g in gs], "clamped for itself"),
        (lambda gs, limit: [g * min(1.0, limit / float(g.norm())) for g in gs], "by its own length"),
        (lambda gs, limit: [g * limit / sum((h**2).sum() for h in gs) for g in gs], "root is missing"),
        (lambda gs, limit: [g * limit / sum(h.norm() for h in gs) for g in gs], "lengths of the tensors are added"),
        (lambda gs, limit: [g * limit / length(gs) for g in gs], "stretched"),
        (lambda gs, limit: [g / length(gs) for g in gs], "length 1"),
        (lambda gs, limit: [g * max(1.0, limit / float(length(gs))) for g in gs], "comes back as it was"),
        (in_place, "in place"),
    ],
    "7.2": [
        (stopping(first=0), "counted from 1"),
        (lambda scores, patience: (scores.index(max(scores)) + 1, len(scores)), "never trained"),
        (stopping(wait=1), "Too late"),
        (stopping(better=lambda new, best: new >= best), "equal score"),
        (stopping(better=lambda new, best: new < best, start=float("inf")), "Higher is better"),
        (stopping(start=0.0), "minus infinity"),
        (stopping(reset=False), "start anew"),
    ],
    "7.3": [
        (saving(deep=()), "has changed while training went on"),
        (saving(deep=("model",)), "copy the optimiser"),
        (saving(optimizer=False), "as good as new"),
        (saving(rng=False), "random generator is missing"),
        (saving(epoch=False), "must return the epoch"),
        (only_parameters(), "BatchNorm's statistics"),
        (saving(model=False), "not back"),
        (shared_on_restore(), "second restore"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
