"""The multimodal model: three encoders, a fusion layer, two heads. Derived in notebooks/05."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmsa_lib.backbones import MINILM, fingerprint
from mmsa_lib.context import READERS, DialogueContext
from mmsa_lib.encoders import AUDIO_CHANNELS, OUTPUT_SIZE, AudioEncoder, TextEncoder, VideoEncoder
from mmsa_lib.errors import BackboneError, DataError
from mmsa_lib.files import written_whole
from mmsa_lib.labels import EMOTIONS, MODALITIES, SENTIMENTS
from mmsa_lib.layers import BatchNorm

FUSION_SIZE = 256
WEIGHTS_NAME = "model.safetensors"
Inputs = Mapping[str, Tensor] | Tensor | None


MODEL_CARD = """---
{{ card_data }}
---

# Emotion and sentiment from text, video and audio

A `MultimodalSentimentModel` of the library `mmsa_lib`. It holds what was trained; frozen backbones are named in
`config.json` and loaded from where they come from:

```python
from mmsa_lib import MultimodalSentimentModel

model = MultimodalSentimentModel.from_pretrained("this folder")
```
"""


class MultimodalSentimentModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="mmsa-lib",
    tags=["emotion-recognition", "sentiment-analysis", "multimodal"],
    model_card_template=MODEL_CARD,
):
    """Text, video and audio of an utterance in; logits of 7 emotions and 3 sentiments out.

    Args:
        text_backbone, video_backbone: names that `mmsa_lib.backbones` knows.
        modalities: which of text, video, audio the model reads at all; the fusion layer shrinks with it.
        pooling: how BERT's tokens become one vector, see `TextEncoder`.
        finetune: modalities whose backbone learns too; the others stay frozen.
        random_backbones: modalities whose backbone starts from random weights instead of pretrained ones.
        modality_dropout: in training, the probability that an utterance's modality is hidden
            (never all of them), so that the model can do without it later.
        audio_channels: how wide the blocks of the audio network are.
        spec_augment: hide random stretches of the spectrogram in training.
        feature_dropout: in training, the share of a text or video backbone's features that is hidden
            from its projection.
        context, future: how many turns before and after an utterance the model sees; 0 and 0 for none.
        context_reader: what reads them: `transformer` or `gru` over the turns' joint representations, or
            `text`, the text encoder, over their words.

    A saved model holds what was trained. A frozen pretrained backbone is only named, with a fingerprint that is
    compared when the model is loaded.
    """

    def __init__(
        self,
        text_backbone: str = MINILM,
        video_backbone: str = "r3d_mini",
        modalities: Sequence[str] = MODALITIES,
        pooling: str = "mean",
        finetune: Sequence[str] = (),
        random_backbones: Sequence[str] = (),
        modality_dropout: float = 0.0,
        audio_channels: Sequence[int] = AUDIO_CHANNELS,
        spec_augment: bool = False,
        feature_dropout: float = 0.0,
        dropout: float = 0.3,
        context: int = 0,
        future: int = 0,
        context_reader: str = "transformer",
    ) -> None:
        super().__init__()
        if context_reader not in READERS:
            raise ValueError(f"context_reader must be one of {', '.join(READERS)}, not {context_reader!r}")
        in_text = {"past": context, "future": future} if context_reader == "text" else {}
        self.modalities = tuple(m for m in MODALITIES if m in set(modalities))
        if not self.modalities or set(modalities) - set(MODALITIES):
            raise ValueError(f"modalities must be some of {', '.join(MODALITIES)}, not {tuple(modalities)}")
        self.finetune, self.random_backbones = tuple(finetune), tuple(random_backbones)
        self.modality_dropout = modality_dropout
        self.encoders = nn.ModuleDict()
        if "text" in self.modalities:
            self.encoders["text"] = TextEncoder(
                text_backbone,
                pooling,
                frozen="text" not in finetune,
                pretrained="text" not in random_backbones,
                feature_dropout=feature_dropout,
                **in_text,
            )
        if "video" in self.modalities:
            self.encoders["video"] = VideoEncoder(
                video_backbone,
                frozen="video" not in finetune,
                pretrained="video" not in random_backbones,
                feature_dropout=feature_dropout,
            )
        if "audio" in self.modalities:
            self.encoders["audio"] = AudioEncoder(channels=audio_channels, spec_augment=spec_augment)
        # What stands in for a modality that an utterance lacks: learned, not zeros that mean something.
        self.missing = nn.ParameterDict({m: nn.Parameter(torch.zeros(OUTPUT_SIZE)) for m in self.modalities})
        self.fusion = nn.Sequential(
            nn.Linear(OUTPUT_SIZE * len(self.modalities), FUSION_SIZE),
            BatchNorm(FUSION_SIZE),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.context = None
        if (context or future) and context_reader != "text":
            self.context = DialogueContext(FUSION_SIZE, context, future, context_reader, dropout=dropout)
        self.emotion_head = _head(len(EMOTIONS))
        self.sentiment_head = _head(len(SENTIMENTS))

    def forward(
        self,
        text_inputs: Inputs = None,
        video_frames: Tensor | None = None,
        audio_features: Tensor | None = None,
        audio_lengths: Tensor | None = None,
        modality_mask: Tensor | None = None,
        dialogue: Tensor | None = None,
        speaker: Tensor | None = None,
        judged: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Logits `{"emotions": (B, 7), "sentiments": (B, 3)}`.

        Args:
            text_inputs: `input_ids` and `attention_mask` (B, L), or pooled features (B, hidden).
            video_frames: (B, 3, T, H, W), or backbone features (B, width).
            audio_features: log-mel (B, 64, T).
            audio_lengths: (B,) real frames of each spectrogram; all of them by default.
            modality_mask: (B, 3) bool in the order text, video, audio; False where an utterance lacks
                a modality. An input that is None is lacking everywhere.
            dialogue, speaker: (B,) which dialogue a row belongs to (its turns in successive rows, in order) and
                who speaks (-1 for unknown); only a model with context looks at them, and without `dialogue` it
                takes every row for a dialogue of its own.
            judged: (B,) bool, False where nobody will look at the answer: such a row is only there to be seen by
                others, and a model with context does not read its turns; all are judged by default.
        """
        inputs = text_inputs, video_frames, audio_features, audio_lengths, modality_mask
        fused = self.fuse(*inputs, dialogue, speaker, judged)
        return {"emotions": self.emotion_head(fused), "sentiments": self.sentiment_head(fused)}

    def fuse(
        self,
        text_inputs,
        video_frames,
        audio_features,
        audio_lengths=None,
        modality_mask=None,
        dialogue=None,
        speaker=None,
        judged=None,
    ) -> Tensor:
        """The joint representation (B, 256) that both heads read; arguments as in `forward`."""
        inputs = {"text": text_inputs, "video": video_frames, "audio": audio_features}
        beside = {"audio": audio_lengths, "text": dialogue}  # what an encoder also needs to know of its rows
        present = self._present(inputs, modality_mask)
        ends = judged if self.context is None else None  # nothing behind the encoders looks at the other rows
        if ends is not None:
            present = {modality: rows & ends for modality, rows in present.items()}
        encoded = []
        for modality in self.modalities:
            rows = present[modality]
            out = self.missing[modality].expand(len(rows), -1)  # (B, 128)
            if rows.any():
                vectors = self._encode(modality, inputs[modality], beside.get(modality), rows)
                out = out.index_put((rows,), vectors.to(out.dtype))
            encoded.append(out)
        vectors = torch.cat(encoded, dim=1)  # (B, 128 * modalities)
        if ends is not None:
            fused = self.fusion(vectors[ends])
            return fused.new_zeros(len(vectors), FUSION_SIZE).index_put((ends,), fused)
        fused = self.fusion(vectors)  # (B, 256)
        return fused if self.context is None else self.context(fused, dialogue, speaker, judged)

    def _encode(self, modality: str, inputs: Inputs, beside: Tensor | None, rows: Tensor) -> Tensor:
        """The chosen rows of one modality as vectors (rows, 128).

        What is hidden of a turn's words here is hidden from its own reading; the turns around it still see them.
        """
        encoder = self.encoders[modality]
        if modality == "text" and beside is not None and (encoder.past or encoder.future):
            return encoder(inputs, beside, rows)[rows]
        return encoder(_take(inputs, rows), *([beside[rows]] if modality == "audio" and beside is not None else []))

    def _present(self, inputs: dict[str, Inputs], modality_mask: Tensor | None) -> dict[str, Tensor]:
        """Which rows have which modality: a (B,) bool for each."""
        given = [x for x in (*inputs.values(), modality_mask) if x is not None]
        if not given:  # with a mask alone the rows are known: all of them lack everything
            raise ValueError("at least one of text_inputs, video_frames and audio_features must be given")
        first = given[0] if isinstance(given[0], Tensor) else given[0]["input_ids"]
        size, device = len(first), first.device
        if modality_mask is None:
            modality_mask = torch.ones(size, len(MODALITIES), dtype=torch.bool, device=device)
        used = torch.tensor([m in self.modalities and inputs[m] is not None for m in MODALITIES], device=device)
        mask = modality_mask & used
        if self.training and self.modality_dropout > 0:
            noise = torch.rand(mask.shape, device=device) * mask
            luckiest = noise == noise.max(dim=1, keepdim=True).values  # never hide everything
            mask = mask & ((noise >= self.modality_dropout) | luckiest)
        return dict(zip(MODALITIES, mask.unbind(dim=1), strict=True))

    @property
    def excerpts(self) -> dict[str, int]:
        """How `make_loader` cuts dialogues for this model to answer; whole ones if empty.

        A text encoder that reads other turns is to see what it has learned from: a turn and those around it. In a
        whole dialogue the turns around would have read turns further away. Other models would answer the same.
        """
        text = dict(self.encoders.items()).get("text")
        reads = text is not None and (text.past or text.future)
        return {"excerpt": 1, "past": text.past, "future": text.future} if reads else {}

    # ------------------------------------------------------------------------------------ saving

    def frozen_backbones(self) -> dict[str, nn.Module]:
        """The backbones that training leaves alone, by modality."""
        return {m: e.backbone for m, e in self.encoders.items() if getattr(e, "frozen", False)}

    def named_backbones(self) -> dict[str, nn.Module]:
        """The frozen backbones that their name stands for; one with random weights cannot be had again by name."""
        return {m: b for m, b in self.frozen_backbones().items() if m not in self.random_backbones}

    def trained_state(self) -> dict[str, Tensor]:
        """The state dict without frozen backbones: all that training can change."""
        return self._state_without(self.frozen_backbones())

    def _state_without(self, backbones: Iterable[str]) -> dict[str, Tensor]:
        left_out = tuple(f"encoders.{m}.backbone." for m in backbones)
        return {k: v for k, v in self.state_dict().items() if not k.startswith(left_out)}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `trained_state`: every tensor must be there, and no other."""
        self._load(state, set(self.trained_state()))

    def _load(self, state: Mapping[str, Tensor], expected: set[str]) -> None:
        given = set(state)
        if expected != given:
            odd = ", ".join(sorted(expected ^ given)[:3])
            raise DataError(f"saved weights do not fit this model (first differences: {odd})")
        own = self.state_dict()
        odd = next((name for name, tensor in state.items() if tensor.shape != own[name].shape), None)
        if odd is not None:
            shapes = f"{tuple(state[odd].shape)} for {tuple(own[odd].shape)}"
            raise DataError(f"saved weights do not fit this model (of another size: {odd}, {shapes})")
        self.load_state_dict(state, strict=False)

    def _save_pretrained(self, save_directory: Path) -> None:
        self._hub_mixin_config["backbone_fingerprints"] = {
            m: fingerprint(backbone) for m, backbone in self.named_backbones().items()
        }
        kept = self._state_without(self.named_backbones())
        with written_whole(save_directory / WEIGHTS_NAME) as temporary:
            save_file({k: v.contiguous() for k, v in kept.items()}, temporary)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        map_location: str = "cpu",
        strict: bool = True,
        config: dict | None = None,  # the whole config.json; the mixin passes it under this name
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **model_kwargs,
    ):
        path = Path(model_id) / WEIGHTS_NAME
        if not path.is_file():
            if Path(model_id).is_dir():
                raise DataError(f"{model_id}: no {WEIGHTS_NAME} in this folder")
            path = hf_hub_download(
                model_id,
                WEIGHTS_NAME,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        # A backbone that has learned or began with random weights is in the file; pretrained ones are not asked for.
        random = tuple(model_kwargs.get("random_backbones", ()))
        model = cls(**{**model_kwargs, "random_backbones": (*random, *model_kwargs.get("finetune", ()))})
        model.random_backbones = model._hub_mixin_config["random_backbones"] = random
        model.check_fingerprints((config or {}).get("backbone_fingerprints", {}))
        try:
            model._load(load_file(path, device=map_location), set(model._state_without(model.named_backbones())))
        except SafetensorError as error:
            raise DataError(f"{path}: damaged ({error}); train again") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return model.eval()

    def check_fingerprints(self, expected: Mapping[str, str]) -> None:
        """Raise `BackboneError` where a frozen backbone is not the one this model was trained on."""
        for modality, backbone in self.named_backbones().items():
            if modality in expected and fingerprint(backbone) != expected[modality]:
                raise BackboneError(
                    f"the {modality} backbone on this machine has other weights than the one this model was trained on"
                )


def _head(classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(FUSION_SIZE, 128), nn.ReLU(), nn.Linear(128, classes))


def _take(inputs: Mapping[str, Tensor] | Tensor, rows: Tensor):
    """The chosen rows of a tensor or of every tensor in a dictionary."""
    if isinstance(inputs, Tensor):
        return inputs[rows]
    return {name: tensor[rows] for name, tensor in inputs.items()}
