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


class Conv1d(nn.Conv1d):
    """`nn.Conv1d` whose output has the channels of a frame side by side in memory, as `MaskedBatchNorm` takes them.

    The same numbers but for rounding, and quicker: torch knows that layout for pictures only, so a sequence is
    taken for a picture of height one.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int = 0) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T) -> (B, C', T')
        picture, weight = (t.unsqueeze(2).contiguous(memory_format=torch.channels_last) for t in (x, self.weight))
        return nn.functional.conv2d(picture, weight, self.bias, padding=(0, *self.padding)).squeeze(2)


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
        out = torch.zeros_like(frames).index_copy_(0, real, normed.to(frames.dtype))
        return out.view(batch, size, channels).transpose(1, 2)
