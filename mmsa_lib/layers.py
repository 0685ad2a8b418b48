"""Layers that know which entries are real and which are padding."""

import torch
from torch import Tensor, nn


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B,) lengths -> (B, size) bool, True where an entry is real."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average over the real entries only: x (B, L, D), mask (B, L) -> (B, D); all padding gives zeros."""
    weights = mask.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` that also trains on a batch of one, by its running statistics.

    One row has no variance to estimate; torch raises an error there, and the last batch of an epoch
    is often that one row.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, C) -> (N, C)
        if self.training and x.shape[0] < 2:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


class MaskedBatchNorm(BatchNorm):
    """Batch normalisation of sequences whose statistics come from the real frames alone.

    x (B, C, T), mask (B, T) -> (B, C, T), zero at the padding: the same as normalising the
    sequences one after the other without any padding.
    """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, channels, size = x.shape
        frames = x.transpose(1, 2).reshape(batch * size, channels)
        real = mask.flatten().nonzero().squeeze(1)  # whole rows by number: quicker than a mask, the same numbers
        normed = super().forward(frames.index_select(0, real))
        out = torch.zeros_like(frames).index_copy(0, real, normed.to(frames.dtype))
        return out.view(batch, size, channels).transpose(1, 2)
