"""Exercise checks of lesson 03: typical wrong answers are told apart."""

import pytest
import torch
from exercises import cases, judge
from torch import nn

from mmsa_lib.course.checks import Misconception


def kernel(*ones):
    """A (3, 3, 1) kernel with ones at the given (frame, row)."""
    made = torch.zeros(3, 3, 1)
    for t, row in ones:
        made[t, row, 0] = 1
    return lambda: made


def sizes(rule):
    return lambda shape, kernel, stride, padding: tuple(map(rule, shape, kernel, stride, padding))


class NotFrozen(nn.Module):
    def __init__(self, backbone, projection):
        super().__init__()
        self.backbone, self.projection = backbone, projection

    def forward(self, frames):
        return self.projection(self.backbone(frames))


class WithoutGradientsOnly(NotFrozen):
    def __init__(self, backbone, projection):
        super().__init__(backbone, projection)
        backbone.requires_grad_(False)


class EvalOnce(WithoutGradientsOnly):
    def __init__(self, backbone, projection):
        super().__init__(backbone, projection)
        backbone.eval()


class SleepsWhenAsked(EvalOnce):
    def forward(self, frames):
        self.backbone.eval()
        return super().forward(frames)


class NeverTrains(WithoutGradientsOnly):
    def train(self, mode=True):
        return super().train(False)


class ForgetsSelf(WithoutGradientsOnly):
    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()


class AlwaysTrains(WithoutGradientsOnly):
    def train(self, mode=True):
        super().train()
        self.backbone.eval()
        return self


class BornInTrainMode(WithoutGradientsOnly):
    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self


class StillAsks(NotFrozen):
    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self


class AllWithoutGradients(StillAsks):
    def forward(self, frames):
        with torch.no_grad():
            return super().forward(frames)


WRONG = {
    "3.1": [
        (kernel((0, 2), (1, 1), (2, 0)), "moves up"),
        (kernel((0, 1), (1, 1), (2, 1)), "stands still"),
        (lambda: torch.ones(3, 3, 1), "one 1 in each frame"),
        (kernel((0, 0), (1, 1)), "does not answer"),
        (kernel((0, 0), (0, 2), (1, 1), (2, 0), (2, 2)), "also answers to a bar that moves up"),
        (kernel((0, 0), (0, 1), (1, 1), (2, 2)), "down slowly"),
        (lambda: torch.eye(3), "too few"),
        (lambda: torch.eye(3).reshape(3, 3, 1) * 2 - 1, "only zeros and ones"),
        (lambda: torch.eye(3).reshape(3, 1, 3), "another order"),
    ],
    "3.2": [
        (sizes(lambda n, k, s, p: (n - k) // s + 1), "padding is left out"),
        (sizes(lambda n, k, s, p: (n + p - k) // s + 1), "both sides"),
        (sizes(lambda n, k, s, p: (n + 2 * p - k) // s), "One is missing"),
        (sizes(lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1), "round up"),
        (sizes(lambda n, k, s, p: (n + 2 * p - k) / s + 1), "whole numbers"),
        (sizes(lambda n, k, s, p: n + 2 * p - k + 1), "stride is left out"),
        (
            lambda shape, k, s, padding: tuple(
                (n + 2 * p - k[0]) // s[0] + 1 for n, p in zip(shape, padding, strict=True)
            ),
            "a kernel size and a stride of its own",
        ),
    ],
    "3.3": [
        (NotFrozen, "running statistics"),
        (WithoutGradientsOnly, "running statistics"),
        (EvalOnce, "undone by the next"),
        (SleepsWhenAsked, "backbone is in train mode"),
        (NeverTrains, "dropout never works"),
        (ForgetsSelf, "return the module itself"),
        (AlwaysTrains, "handed on to the parent"),
        (StillAsks, "still ask for gradients"),
        (AllWithoutGradients, "Nothing can learn"),
        (BornInTrainMode, "so a module is born"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
