"""One encoder a modality: each turns its raw input, or a frozen backbone's features, into 128 numbers.

A frozen backbone stays in eval mode whatever `train()` says, runs without gradients and has no
parameter that asks for one. Derived in notebooks 02 (text), 03 (video) and 04 (audio).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from mmsa_lib.backbones import MINILM, load_text_backbone, load_video_backbone, most_tokens, video_spec
from mmsa_lib.context import first_of_rows, mean_of_rows, pack_turns
from mmsa_lib.errors import BackboneError
from mmsa_lib.layers import Conv1d, MaskedBatchNorm, length_mask, masked_mean
from mmsa_lib.preprocess import standardise

OUTPUT_SIZE = 128
AUDIO_CHANNELS = (64, 128, 256, 512)  # of the audio network's blocks
MAX_PACKED_TOKENS = 512  # of turns that are read together
POOLINGS = ("mean", "cls", "pooler")


class _BackboneEncoder(nn.Module):
    """What the text and the video encoder share: a backbone that may be frozen, and dropout on what it says."""

    def __init__(self, backbone: nn.Module, frozen: bool, feature_dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen = frozen
        self.feature_dropout = nn.Dropout(feature_dropout)
        backbone.requires_grad_(not frozen)
        self.train()

    def train(self, mode: bool = True):
        super().train(mode)
        if self.frozen:
            self.backbone.eval()  # no dropout noise, no drifting BatchNorm statistics
        return self


class TextEncoder(_BackboneEncoder):
    """Frozen BERT, pooled over the tokens of an utterance, then `Linear(hidden, 128)`.

    Args:
        backbone: a Hugging Face encoder by name or folder, e.g. `bert-base-uncased`.
        pooling: `mean` over the real tokens, the `cls` token, or BERT's own `pooler` on it.
        frozen: whether the backbone is left as it came. One that learns keeps its table of word vectors as it came.
        pretrained: False keeps the backbone's shape with random weights (to measure what they bring).
        past, future: how many turns around its own a token may look at, see `features`.
        feature_dropout: share of the pooled features that training hides from the projection.

    Raises BackboneError for a backbone that cannot be read in this way, such as one without a pooler.
    """

    def __init__(
        self,
        backbone: str = "bert-base-uncased",
        pooling: str = "mean",
        frozen: bool = True,
        pretrained: bool = True,
        output_size: int = OUTPUT_SIZE,
        past: int = 0,
        future: int = 0,
        feature_dropout: float = 0.0,
    ) -> None:
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        if (past or future) and pooling == "pooler":
            raise ValueError("a text encoder that reads other turns pools by mean or cls: a pooler knows only one turn")
        super().__init__(load_text_backbone(backbone, pretrained), frozen, feature_dropout)
        if pretrained:
            # Few of its 30,000 words occur in a set of dialogues; those would drift away from all the others.
            # It is also the larger part of what an optimiser would have to carry.
            with suppress(NotImplementedError):  # CANINE has no such table
                self.backbone.get_input_embeddings().requires_grad_(False)
        if not frozen:
            _choose_attention(self.backbone)
        self.pooling = pooling
        self.past, self.future = past, future
        self.width: int = self.backbone.config.hidden_size
        self.projection = nn.Linear(self.width, output_size)
        if backbone != MINILM:  # which can do all of it
            self._try_out(backbone)

    def _try_out(self, name: str) -> None:
        """Read two tiny turns as all others will be read: what BERT can do, many another network cannot."""
        padding = getattr(self.backbone.config, "pad_token_id", None) or 0
        word, other = sorted({0, 1, 2} - {padding})[:2]
        ids = torch.tensor([[word, word, word], [word, word, padding]])
        mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
        self.backbone.eval()  # else it would draw random numbers
        with torch.no_grad(), _refusal(name, f"be read with pooling {self.pooling}"):
            found = tuple(self.features({"input_ids": ids, "attention_mask": mask}).shape)
            if found != (2, self.width):
                raise ValueError(f"it gives {found}, not {(2, self.width)}")
        if self.past or self.future:
            with torch.no_grad(), _refusal(name, "read the turns of a dialogue together, as context_reader text does"):
                self._try_in_dialogue(ids, mask, other)
        self.train(self.training)

    def _try_in_dialogue(self, ids: Tensor, mask: Tensor, other: int) -> None:
        """Some networks refuse to be told which token may look at which; some take it and do not keep to it."""
        changed = torch.stack([ids[0], torch.full_like(ids[1], other)])  # the first turn is the same
        together = torch.zeros(2, dtype=torch.long)
        first, again = (self._features_in_dialogue(turns, mask, together, None, 0, 0)[0] for turns in (ids, changed))
        if not torch.allclose(first, again, rtol=1e-4, atol=1e-5):
            raise ValueError("a turn reaches others that must not see it")

    def features(
        self, text_inputs: Mapping[str, Tensor], dialogue: Tensor | None = None, judged: Tensor | None = None
    ) -> Tensor:
        """`input_ids`, `attention_mask` (B, L) -> pooled (B, hidden).

        With `dialogue` (B,), the turns of a dialogue (successive rows of one number) are read together: each
        token looks at its own turn, `past` turns before and `future` turns after it. Later layers see what
        earlier ones gathered, so that turns further away can matter too, but never one on a side not looked at.
        Turns that are not `judged` (B,) are there only to be seen, see `Packs.visible`, and come back as zeros.
        """
        ids, mask = text_inputs["input_ids"], text_inputs["attention_mask"]
        if dialogue is not None and (self.past or self.future):
            return self._features_in_dialogue(ids, mask, dialogue, judged, self.past, self.future)
        output = self._read(ids, mask)
        if self.pooling == "mean":
            return masked_mean(output.last_hidden_state, mask.bool())
        if self.pooling == "cls":
            return output.last_hidden_state[:, 0]
        if getattr(output, "pooler_output", None) is None:
            raise BackboneError("it has no pooler; mean and cls need none")
        return output.pooler_output

    def _read(self, input_ids: Tensor, attention_mask: Tensor):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.backbone(input_ids=input_ids, attention_mask=attention_mask)

    def _features_in_dialogue(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        dialogue: Tensor,
        judged: Tensor | None,
        past: int,
        future: int,
    ) -> Tensor:
        config = self.backbone.config
        packs = pack_turns(
            input_ids,
            attention_mask,
            dialogue,
            past,
            future,
            max_tokens=min(MAX_PACKED_TOKENS, most_tokens(config)),
            pad_token_id=config.pad_token_id or 0,
            judged=judged,
        )
        visible = self._attention(packs.visible(past, future))
        states = self._read(packs.input_ids, visible).last_hidden_state  # (P, L, hidden)
        pool = mean_of_rows if self.pooling == "mean" else first_of_rows
        return pool(states, packs, len(input_ids))

    def _attention(self, visible: Tensor) -> Tensor:
        """Which token may look at which, (P, L, L) -> (P, 1, L, L), in the form that the backbone's attention takes."""
        visible = visible[:, None]
        if self.backbone.config._attn_implementation == "sdpa":
            return visible
        lowest = torch.finfo(self.backbone.dtype).min
        return torch.zeros_like(visible, dtype=self.backbone.dtype).masked_fill(~visible, lowest)

    def forward(
        self,
        text_inputs: Mapping[str, Tensor] | Tensor,
        dialogue: Tensor | None = None,
        judged: Tensor | None = None,
    ) -> Tensor:
        """Token ids as a dictionary of (B, L), or pooled features (B, hidden) -> (B, 128)."""
        features = text_inputs if isinstance(text_inputs, Tensor) else self.features(text_inputs, dialogue, judged)
        return self.projection(self.feature_dropout(features))


@contextmanager
def _refusal(name: str, task: str) -> Iterator[None]:
    """Whatever a stranger's network raises is one line that names it."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise BackboneError(f"text backbone {name!r} cannot {task} ({reason})") from error


def _choose_attention(backbone: nn.Module) -> None:
    """The attention that learns quickest: no dropout on its weights, and on a GPU torch's fused kernel.

    On a processor plain matrix products learn faster than that kernel in bf16, and as fast in full precision.
    """
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Dropout) and ".attention.self." in name:
            module.p = 0.0
    if not torch.cuda.is_available():
        backbone.set_attn_implementation("eager")


class VideoEncoder(_BackboneEncoder):
    """Frozen R3D-18, its `fc` replaced by `Linear(512, 128)`, ReLU and dropout.

    Args:
        backbone: `r3d_18`, another torchvision video model, or `r3d_mini`.
        frozen, pretrained, feature_dropout: as in `TextEncoder`.
    """

    def __init__(
        self,
        backbone: str = "r3d_18",
        frozen: bool = True,
        pretrained: bool = True,
        output_size: int = OUTPUT_SIZE,
        dropout: float = 0.2,
        feature_dropout: float = 0.0,
    ) -> None:
        network, width = load_video_backbone(backbone, pretrained)
        # the faster layout
        super().__init__(network.to(memory_format=torch.channels_last_3d), frozen, feature_dropout)
        self.width = width
        self.projection = nn.Sequential(nn.Linear(width, output_size), nn.ReLU(), nn.Dropout(dropout))
        self.spec = video_spec(backbone)

    def features(self, video_frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, width). uint8 frames are standardised here, on this device."""
        if video_frames.dtype == torch.uint8:
            video_frames = standardise(video_frames, self.spec)
        if self.training and not self.frozen:
            video_frames = random_flip(video_frames)
        video_frames = video_frames.contiguous(memory_format=torch.channels_last_3d)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.backbone(video_frames)

    def forward(self, video_frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W), or backbone features (B, width) -> (B, 128)."""
        features = video_frames if video_frames.ndim == 2 else self.features(video_frames)
        return self.projection(self.feature_dropout(features))


def random_flip(video_frames: Tensor) -> Tensor:
    """Mirror each clip left to right with probability 1/2: a face keeps its expression."""
    flip = torch.rand(len(video_frames), device=video_frames.device) < 0.5
    return torch.where(flip.view(-1, 1, 1, 1, 1), video_frames.flip(-1), video_frames)


class AudioBlock(nn.Module):
    """`Conv1d(k=3)`, BatchNorm, ReLU, `MaxPool(2)`, blind to padding: (B, C, T) -> (B, C', ceil(T/2))."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv1d(in_channels, out_channels, kernel_size=3, padding=1)
        self.norm = MaskedBatchNorm(out_channels)
        # ceil_mode keeps a clip of one frame alive; behind ReLU the zero padding never wins the maximum
        self.pool = nn.MaxPool1d(2, ceil_mode=True)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mask = length_mask(lengths, x.shape[2])
        x = self.pool(self.norm(self.conv(x), mask))
        return torch.relu(x), (lengths + 1) // 2  # the same numbers as ReLU before the pool, on half as many


class SpecAugment(nn.Module):
    """In training, hide a random band of mel bins and a random stretch of frames (Park et al., 2019)."""

    def __init__(self, max_bands: int = 8, max_share: float = 0.1) -> None:
        super().__init__()
        self.max_bands = max_bands
        self.max_share = max_share

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:  # (B, F, T) -> (B, F, T)
        if not self.training:
            return mel
        bands = self._stretch(torch.full_like(lengths, mel.shape[1]), self.max_bands / mel.shape[1], mel.shape[1])
        frames = self._stretch(lengths, self.max_share, mel.shape[2])
        return mel.masked_fill(bands[:, :, None] | frames[:, None, :], 0.0)

    @staticmethod
    def _stretch(sizes: Tensor, share: float, size: int) -> Tensor:
        """A random stretch of at most `share` of each row: (B,) sizes -> (B, size) bool."""
        width = torch.rand(len(sizes), device=sizes.device) * share * sizes
        start = torch.rand(len(sizes), device=sizes.device) * (sizes - width)
        position = torch.arange(size, device=sizes.device)
        return (position >= start[:, None]) & (position < (start + width)[:, None])


class AudioEncoder(nn.Module):
    """A 1-D CNN on log-mel, trained from scratch: four blocks, average over the real frames, linear.

    Args:
        n_mels: mel bands of the input.
        channels: output channels of the blocks.
        spec_augment: whether training hides random bands and stretches.
    """

    def __init__(
        self,
        n_mels: int = 64,
        channels: Sequence[int] = AUDIO_CHANNELS,
        spec_augment: bool = False,
        output_size: int = OUTPUT_SIZE,
    ) -> None:
        super().__init__()
        self.augment = SpecAugment() if spec_augment else None
        self.blocks = nn.ModuleList(map(AudioBlock, (n_mels, *channels), channels))
        self.projection = nn.Linear(channels[-1], output_size)

    def forward(self, audio_features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Log-mel (B, 64, T) and its real lengths (B,), all of T by default -> (B, 128)."""
        batch, _, frames = audio_features.shape
        if lengths is None:
            lengths = torch.full((batch,), frames, device=audio_features.device)
        if self.augment is not None:
            audio_features = self.augment(audio_features, lengths)
        x = audio_features * length_mask(lengths, frames)[:, None]
        for block in self.blocks:
            x, lengths = block(x, lengths)  # (B, C, T/2)
        x = masked_mean(x.transpose(1, 2), length_mask(lengths, x.shape[2]))  # (B, C)
        return self.projection(x)
