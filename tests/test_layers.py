"""Masked layers: equal to the unmasked ones run over each item without its padding."""

import pytest
import torch
from torch import nn

from mmsa_lib.layers import BatchNorm, Conv1d, MaskedBatchNorm, length_mask, masked_mean

LENGTHS = torch.tensor([5, 1, 3])


def test_length_mask():
    assert length_mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False, False, False]]


def test_masked_mean_equals_a_loop_over_unpadded_items():
    x = torch.randn(3, 5, 4)
    expected = torch.stack([row[:n].mean(dim=0) for row, n in zip(x, LENGTHS, strict=True)])
    torch.testing.assert_close(masked_mean(x, length_mask(LENGTHS, 5)), expected)


def test_masked_mean_of_nothing_is_zero_and_has_a_gradient():
    x = torch.randn(1, 3, 2, requires_grad=True)
    out = masked_mean(x, torch.zeros(1, 3, dtype=torch.bool))
    out.sum().backward()
    assert out.tolist() == [[0, 0]] and torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("kernel_size", "padding", "frames"), [(3, 1, 7), (3, 1, 1), (5, 0, 9), (1, 0, 2)])
def test_conv1d_equals_torchs_in_another_layout(kernel_size, padding, frames):
    reference, ours = nn.Conv1d(4, 6, kernel_size, padding=padding), Conv1d(4, 6, kernel_size, padding)
    ours.load_state_dict(reference.state_dict())
    x, y = (torch.randn(3, 4, frames, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2))
    out, expected = ours(x), reference(y)
    torch.testing.assert_close(out, expected)
    assert out.transpose(1, 2).is_contiguous()
    out.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    for one, other in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_masked_batch_norm_equals_batch_norm_of_the_real_frames():
    x = torch.randn(3, 4, 5) * 3 + 1
    mask = length_mask(LENGTHS, 5)
    ours, reference = MaskedBatchNorm(4), nn.BatchNorm1d(4)
    out = ours(x, mask)
    expected = reference(x.transpose(1, 2)[mask])
    torch.testing.assert_close(out.transpose(1, 2)[mask], expected)
    torch.testing.assert_close(ours.running_mean, reference.running_mean)
    torch.testing.assert_close(ours.running_var, reference.running_var)
    assert (out.transpose(1, 2)[~mask] == 0).all()


def test_batch_norm_trains_on_a_batch_of_one():
    layer = BatchNorm(4)
    x = torch.randn(1, 4)
    torch.testing.assert_close(layer(x), x / (1 + layer.eps) ** 0.5)
    assert layer.running_mean.eq(0).all()  # one row says nothing about a distribution
    with pytest.raises(ValueError):
        nn.BatchNorm1d(4)(x)
