"""Checks of lesson 04: levels in decibels, receptive fields, the spread of real frames."""

import numpy as np
import torch

from mmsa_lib.course.checks.common import (
    Misconception,
    close,
    exercise,
    expect_array,
    expect_number,
    expect_tensor,
    unchanged,
)


@exercise("4.1")
def decibels(answer):
    """(F, n) -> (F,): level of each frame relative to the loudest."""
    frames = np.array([[0.3, -0.1, 0.2, 0.1, -0.3], [0.02, 0.01, -0.02, 0.0, 0.01], [0.6, -0.4, 0.5, 0.2, -0.6]])
    frames = np.vstack([frames, np.zeros((1, 5))])
    with unchanged(frames):
        got = expect_array(answer(frames), (4,))
    if not np.isfinite(got).all():
        raise Misconception("A silent frame gives minus infinity: add 1e-10 to the mean square before the logarithm.")
    square = (frames**2).mean(axis=1) + 1e-10
    level = 10 * np.log10(square)
    summed = 10 * np.log10((frames**2).sum(axis=1) + 1e-10)
    size = 20 * np.log10(np.abs(frames).mean(axis=1) + 1e-10)
    close(
        got,
        level - level.max(),
        known=[
            (level, "These are levels, but not relative to the loudest frame: that one must get 0."),
            (summed, "These are levels of the sum, not of the mean, and not relative to the loudest frame."),
            (summed - summed.max(), "The floor is added to the sum of the squares; the mean square is asked for."),
            (2 * (level - level.max()), "20 is the factor for amplitudes; a mean square is already a power: take 10."),
            (np.log10(square / square.max()), "That is in bels: a decibel is a tenth of one."),
            (np.log(square / square.max()), "That is the natural logarithm; decibels use base 10, ten times."),
            (10 * np.log(square / square.max()), "That is the natural logarithm; decibels use base 10."),
            (level / level.max(), "Relative means a difference here: the logarithm made ratios into distances."),
            (size - size.max(), "The mean of the absolute values is not the mean square: square first, then average."),
            (10 * np.log10((frames**2).mean(axis=1) / (frames**2).mean(axis=1).max() + 1e-10), "The floor of 1e-10 "
             "belongs to the mean square, before it is compared with the loudest."),
            (level - level.min(), "Relative to the loudest, not to the softest: no frame is above 0."),
            (level - level.mean(), "Relative to the loudest frame, not to the average one."),
        ],
        otherwise="This is not 10 log10 of the mean square plus 1e-10, minus that of the loudest frame.",
        atol=1e-3,
    )  # fmt: skip


FIELDS = (
    [(3, 1)],
    [(3, 1), (2, 2)],
    [(3, 1), (2, 2)] * 4,
    [(5, 2), (3, 3), (4, 1), (2, 2)],
)


@exercise("4.2")
def receptive_field(answer):
    """[(kernel, stride), ...] -> how many input frames one output depends on."""
    wanted = [_field(layers) for layers in FIELDS]
    got = []
    for layers in FIELDS:
        given = list(layers)
        with unchanged(given):
            got.append(expect_number(answer(given)))
    close(
        got,
        wanted,
        known=[
            ([_sum_of_kernels(x) for x in FIELDS], "A kernel of k adds k - 1 neighbours, not k of them."),
            ([_no_stride(x) for x in FIELDS], "Strides are ignored: after one, neighbours lie further apart."),
            ([_stride_first(x) for x in FIELDS], "A layer's own stride spaces its outputs, not what its kernel reads: "
             "grow the field first, then multiply the step."),
            ([_added_step(x) for x in FIELDS], "Steps multiply: two strides of 2 make 4 input frames, three make 8."),
            ([_last_step(x) for x in FIELDS], "The step is the product of all strides so far, not the last one."),
            ([sum(kernel for kernel, _ in x) for x in FIELDS], "Kernels are not added up: a layer adds (k - 1) steps, "
             "and a stride makes the steps after it longer."),
            ([f - 1 for f in wanted], "One too few: the frame in the middle counts as well, so start at 1."),
            ([_times(x) for x in FIELDS], "Fields do not multiply: each layer adds (k - 1) steps."),
        ],
        otherwise="This is not the receptive field: each layer adds (k - 1) steps of the strides before it.",
    )  # fmt: skip
    if answer([]) != 1:
        raise Misconception("Without any layer an output is an input: the field of an empty list is 1.")


def _field(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field, step = field + (kernel - 1) * step, step * stride
    return field


def _sum_of_kernels(layers):
    field, step = 0, 1
    for kernel, stride in layers:
        field, step = field + kernel * step, step * stride
    return field


def _no_stride(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers)


def _stride_first(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        step *= stride
        field += (kernel - 1) * step
    return field


def _added_step(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field, step = field + (kernel - 1) * step, step + stride - 1
    return field


def _last_step(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field, step = field + (kernel - 1) * step, stride
    return field


def _times(layers):
    field = 1
    for kernel, stride in layers:
        field *= kernel * stride
    return field


@exercise("4.3")
def masked_std(answer):
    """(B, C, T), (B,) -> (B, C): standard deviation over real frames."""
    x = torch.tensor([[[1.0, 4.0, 2.0, 7.0, -3.0], [0.5, 0.1, 0.9, 5.0, 5.0]]]).repeat(2, 1, 1)
    x[1] = x[1] * 2 + torch.arange(5.0)
    lengths = torch.tensor([3, 4])
    with unchanged(x, lengths):
        got = expect_tensor(answer(x, lengths), (2, 2))
    mask = (torch.arange(5) < lengths[:, None])[:, None].float()
    count = mask.sum(dim=2)
    mean = (x * mask).sum(dim=2, keepdim=True) / count[:, :, None]
    squares = ((x - mean) ** 2 * mask).sum(dim=2)
    real = x * mask
    far = real - real.mean(dim=2, keepdim=True)
    close(
        got,
        (squares / count).sqrt(),
        known=[
            (x.std(dim=2, unbiased=False), "The padding counts as sound: use the mask."),
            (x.std(dim=2), "The padding counts as sound: use the mask."),
            (real.std(dim=2, unbiased=False), "Zeros in place of the padding are still frames: they count."),
            (real.std(dim=2), "Zeros in place of the padding are still frames: they count."),
            ((squares / count), "That is the variance; the square root is missing."),
            ((squares / (count - 1)).sqrt(), "You divide by one less than the number of frames; divide by it."),
            ((squares / x.shape[2]).sqrt(), "You divide by the padded length; divide by the number of real frames."),
            ((((real - mean) ** 2).sum(dim=2) / count).sqrt(), "At the padding the distance from the mean is not zero: "
             "mask again after subtracting."),
            ((((x - mean) ** 2).sum(dim=2) / count).sqrt(), "At the padding the distance from the mean is not zero: "
             "mask again after subtracting."),
            (((far**2 * mask).sum(dim=2) / count).sqrt(), "The mean itself is over the padded length; divide it by the "
             "number of real frames."),
            (((x - mean).abs() * mask).sum(dim=2) / count, "That is the mean absolute distance; square first."),
        ],
        otherwise="This is not the standard deviation over the first `lengths` frames of each clip.",
    )  # fmt: skip
    hole = x.masked_fill(mask == 0, 1e4)
    close(
        answer(hole, lengths),
        (squares / count).sqrt(),
        otherwise="With other numbers in the padding the result changes: it must not matter what the padding holds.",
        atol=1e-3,
    )
