"""A flat twin of a 3-D network: trained on single pictures, then inflated back to video.

After J. Carreira & A. Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017: a 2-D kernel, repeated along
time and divided by its length, gives on a still video what it gave on the picture.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn


def flat_twin(network: nn.Module) -> nn.Module:
    """A copy whose 3-D convolutions and batch norms are 2-D: freshly initialised, same names."""
    twin = copy.deepcopy(network)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv3d):
                setattr(module, name, _flat_convolution(child))
            elif isinstance(child, nn.BatchNorm3d):
                setattr(module, name, nn.BatchNorm2d(child.num_features))
    return twin


def _flat_convolution(layer: nn.Conv3d) -> nn.Conv2d:
    flat = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size[1:],
        layer.stride[1:],
        layer.padding[1:],
        bias=layer.bias is not None,
    )
    nn.init.kaiming_normal_(flat.weight, mode="fan_out", nonlinearity="relu")
    return flat


def inflate(twin: nn.Module, network: nn.Module) -> None:
    """Copy the flat twin's weights into the 3-D network, in place."""
    learned, state = twin.state_dict(), network.state_dict()
    network.load_state_dict({name: _grown(learned[name], target) for name, target in state.items()})


def _grown(flat: Tensor, target: Tensor) -> Tensor:
    """Repeat a kernel (O, I, h, w) along time to (O, I, t, h, w); anything else stays."""
    if flat.dim() == target.dim():
        return flat
    length = target.shape[2]
    return flat[:, :, None].repeat(1, 1, length, 1, 1) / length
