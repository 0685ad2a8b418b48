"""Checks of lesson 03: a kernel that sees motion, sizes behind a convolution, an encoder that stays frozen."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsa_lib.course.checks.common import Misconception, exercise, expect_tensor, expect_type, same

BIAS = -2.0


@exercise("3.1")
def downward_kernel(answer):
    """() -> (3, 3, 1): with a bias of -2 and ReLU it answers to a bar that moves down, and to nothing else."""
    kernel = expect_tensor(answer(), (3, 3, 1), name="the kernel").float()
    if torch.isin(kernel, torch.tensor([0.0, 1.0])).logical_not().any():
        raise Misconception("The kernel must hold only zeros and ones: the bias of -2 counts how many ones were met.")
    heard = {name: _answer(video, kernel) for name, video in _bars().items()}
    if heard["down"] and sum(heard.values()) == 1:
        return
    if heard["down"] and heard["still"]:
        raise Misconception("It also answers to a bar that stands still: one 1 in each frame is enough, not more.")
    if heard["up"] and not heard["down"]:
        raise Misconception(
            "It answers to a bar that moves up. PyTorch does not flip a kernel: kernel[0] lies on the earliest "
            "frame, where a bar that moves down is still high, in the first row."
        )
    if heard["still"]:
        raise Misconception("It answers to a bar that stands still: let the row change from frame to frame.")
    if heard["down"]:
        others = " and ".join(f"moves {name}" for name in ("up", "right", "left", "down slowly") if heard[name])
        raise Misconception(f"It also answers to a bar that {others}: three ones are enough, one in each frame.")
    raise Misconception("It does not answer to a bar that moves down by one row per frame.")


def _bars() -> dict[str, Tensor]:
    """Horizontal bars that move up, down (also slowly) or not at all, upright ones that move sideways: (T, H, W)."""
    down, slowly = torch.zeros(6, 9, 9), torch.zeros(6, 9, 9)
    for t in range(6):
        down[t, 1 + t] = slowly[t, 1 + t // 2] = 1
    still = torch.zeros(6, 9, 9)
    still[:, 4] = 1
    right = down.transpose(1, 2)
    return {
        "down": down,
        "up": down.flip(0),
        "still": still,
        "right": right,
        "left": right.flip(0),
        "down slowly": slowly,
    }


def _answer(video: Tensor, kernel: Tensor) -> bool:
    response = F.conv3d(video[None, None], kernel[None, None], torch.tensor([BIAS])).relu()
    return bool(response.sum() > 0)


@exercise("3.2")
def output_shape(answer):
    """(T, H, W) and a layer's kernel, stride and padding -> what comes out, three integers."""
    for shape, kernel, stride, padding in (
        ((7, 20, 33), (3, 1, 5), (2, 1, 3), (1, 0, 2)),
        ((16, 112, 112), (3, 7, 7), (1, 2, 2), (1, 3, 3)),
        ((5, 6, 11), (2, 3, 4), (2, 2, 3), (0, 0, 0)),
    ):
        got = expect_type(answer(shape, kernel, stride, padding), (tuple, list, torch.Size), "the answer")
        if any(isinstance(size, float) for size in got):
            raise Misconception("Sizes are whole numbers: divide with //, which also rounds the way PyTorch does.")
        same(
            tuple(got),
            _sizes(shape, kernel, stride, padding),
            known=_mistaken_sizes(shape, kernel, stride, padding),
            otherwise=f"For the shape {shape}, kernel {kernel}, stride {stride} and padding {padding}, nn.Conv3d gives "
            f"something else than {tuple(got)}.",
        )


def _sizes(shape, kernel, stride, padding) -> tuple[int, ...]:
    """As `nn.Conv3d` does it, asked on the meta device, where nothing is computed."""
    with torch.device("meta"):
        layer = nn.Conv3d(1, 1, kernel, stride, padding)
        return tuple(layer(torch.zeros(1, 1, *shape)).shape[2:])


def _mistaken_sizes(shape, kernel, stride, padding) -> list[tuple[tuple[int, ...], str]]:
    axes = list(zip(shape, kernel, stride, padding, strict=True))
    return [
        (tuple((n - k) // s + 1 for n, k, s, _ in axes), "The padding is left out."),
        (
            tuple((n + p - k) // s + 1 for n, k, s, p in axes),
            "The padding is added once; it is there on both sides of each axis.",
        ),
        (
            tuple((n + 2 * p - k) // s for n, k, s, p in axes),
            "One is missing: the kernel's first place counts too. Try a kernel as large as the input.",
        ),
        (
            tuple(-(-(n + 2 * p - k) // s) + 1 for n, k, s, p in axes),
            "You round up: a last step that does not fit whole into the input is not taken.",
        ),
        (
            tuple(n + 2 * p - k + 1 for n, k, _, p in axes),
            "The stride is left out.",
        ),
        (
            tuple((n + 2 * p - kernel[0]) // stride[0] + 1 for n, _, _, p in axes),
            "Each axis has a kernel size and a stride of its own; you use the first for all.",
        ),
    ]


@exercise("3.3")
def frozen_encoder(answer):
    """A class `FrozenEncoder(backbone, projection)`: trains its projection, never its backbone."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    backbone[1].running_mean.fill_(0.3)
    projection = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5))
    encoder = expect_type(answer(backbone, projection), nn.Module, "FrozenEncoder(backbone, projection)")
    newborn = any(module.training for module in backbone.modules())
    _expect_train_returns(encoder)
    wakes = backbone.training or backbone[1].training  # even if its forward puts it to sleep again
    frames = torch.randn(6, 3, 4, 8, 8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    output = expect_tensor(encoder(frames), (6, 5), name="encoder(frames)")
    _expect_statistics_stay(backbone, before)
    if wakes or backbone.training or backbone[1].training:
        raise Misconception("After encoder.train() the backbone is in train mode: it must stay in eval mode.")
    if not projection[2].training:
        raise Misconception(
            "After encoder.train() the projection must be in train mode, else its dropout never works: "
            "let the parent class's train(mode) do its part first."
        )
    _expect_gradients(output, backbone, projection)
    encoder.eval()
    if projection[2].training or encoder.training:
        raise Misconception("encoder.eval() calls train(False): the mode must be handed on to the parent class.")
    if newborn:
        raise Misconception(
            "A new encoder has its backbone in train mode until somebody calls train() or eval(), for so a module is "
            "born. Call self.train() at the end of __init__."
        )


def _expect_train_returns(encoder: nn.Module) -> None:
    if encoder.train() is not encoder:
        raise Misconception("train() must return the module itself, so that `model = model.train()` works.")


def _expect_statistics_stay(backbone: nn.Module, before: dict[str, Tensor]) -> None:
    after = backbone.state_dict()
    if any(not torch.equal(value, after[name]) for name, value in before.items()):
        raise Misconception(
            "One forward pass in training has changed the running statistics of the backbone's BatchNorm. Without "
            "gradients they still drift; and eval() in __init__ is undone by the next encoder.train()."
        )


def _expect_gradients(output: Tensor, backbone: nn.Module, projection: nn.Module) -> None:
    if not output.requires_grad:
        raise Misconception(
            "Nothing can learn: only the backbone gives up its gradients, the projection keeps its own."
        )
    output.sum().backward()
    if any(parameter.grad is None for parameter in projection.parameters()):
        raise Misconception("The projection gets no gradient; only the backbone is to be frozen.")
    if any(parameter.requires_grad for parameter in backbone.parameters()):
        raise Misconception("The backbone's parameters still ask for gradients: an optimiser would change them.")
