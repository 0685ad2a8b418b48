"""Exercise checks of lesson 04: typical wrong answers are told apart."""

import numpy as np
import pytest
import torch
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception


def _level(frames, factor=10.0, log=np.log10):
    return factor * log((frames**2).mean(axis=1) + 1e-10)


def _field(layers, field=1, reach=lambda k: k - 1, before=False, step=lambda old, stride: old * stride):
    size = 1
    for kernel, stride in layers:
        if before:
            size = step(size, stride)
        field += reach(kernel) * size
        if not before:
            size = step(size, stride)
    return field


def _mask(x, lengths):
    return (torch.arange(x.shape[2]) < lengths[:, None])[:, None].float()


def _mean(x, lengths):
    mask = _mask(x, lengths)
    return (x * mask).sum(2, keepdim=True) / mask.sum(2, keepdim=True)


def _std(x, lengths, divisor=lambda count: count, root=torch.sqrt):
    mask = _mask(x, lengths)
    return root((((x - _mean(x, lengths)) ** 2) * mask).sum(2) / divisor(mask.sum(2)))


def _in_place(x, lengths):
    x *= _mask(x, lengths)
    return _std(x, lengths)


WRONG = {
    "4.1": [
        (_level, "not relative to the loudest"),
        (lambda f: _level(f, 20) - _level(f, 20).max(), "already a power"),
        (lambda f: _level(f, 10, np.log) - _level(f, 10, np.log).max(), "natural logarithm"),
        (lambda f: _level(f, 1) - _level(f, 1).max(), "in bels"),
        (lambda f: _level(f) / _level(f).max(), "difference here"),
        (lambda f: 10 * np.log10((f**2).mean(axis=1).clip(1e-300)) - 1e999, "minus infinity"),
        (lambda f: _level(f) - _level(f).mean(), "not to the average"),
        (lambda f: 10 * np.log10((p := (f**2).mean(axis=1)) / p.max() + 1e-10), "belongs to the mean square"),
        (lambda f: _level(f.T) - _level(f.T).max(), r"must have the shape \(4,\)"),
    ],
    "4.2": [
        (lambda layers: _field(layers, 0, lambda k: k), "adds k - 1 neighbours"),
        (lambda layers: sum(kernel for kernel, _ in layers), "not added up"),
        (lambda layers: _field(layers, step=lambda old, stride: 1), "Strides are ignored"),
        (lambda layers: _field(layers, before=True), "grow the field first"),
        (lambda layers: _field(layers, step=lambda old, stride: stride), "product of all strides"),
        (lambda layers: _field(layers, step=lambda old, stride: old + stride - 1), "Steps multiply"),
        (lambda layers: _field(layers, 0) if layers else 1, "One too few"),
        (lambda layers: _field(layers) if layers else 0, "empty list is 1"),
    ],
    "4.3": [
        (lambda x, lengths: x.std(dim=2), "padding counts as sound"),
        (lambda x, lengths: (x * _mask(x, lengths)).std(dim=2, unbiased=False), "still frames"),
        (lambda x, lengths: _std(x, lengths, root=lambda v: v), "square root is missing"),
        (lambda x, lengths: _std(x, lengths, lambda count: count - 1), "one less than"),
        (lambda x, lengths: _std(x, lengths, lambda count: x.shape[2]), "padded length"),
        (
            lambda x, lengths: (((x - _mean(x, lengths)) ** 2).sum(2) / _mask(x, lengths).sum(2)).sqrt(),
            "mask again after subtracting",
        ),
        (_in_place, "changes its argument in place"),
    ],
}


@pytest.mark.parametrize(("exercise", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_gets_its_diagnosis(exercise, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(exercise, answer)
