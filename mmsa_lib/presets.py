"""Named settings of a whole training: `mini` for the embedded data on a CPU, `meld` for the real thing on a GPU."""

from dataclasses import dataclass

from mmsa_lib.labels import MODALITIES


@dataclass(frozen=True)
class Preset:
    """Everything a training depends on besides its data; the command line overrides single fields."""

    text_backbone: str
    video_backbone: str
    modalities: tuple[str, ...] = MODALITIES
    pooling: str = "mean"
    finetune: tuple[str, ...] = ()
    random_backbones: tuple[str, ...] = ()
    modality_dropout: float = 0.5
    context: int = 0  # turns before an utterance that the model sees
    future: int = 0  # turns after it
    context_reader: str = "transformer"  # or gru, over the turns' vectors; or text, over their words
    excerpt: int = 2  # of a dialogue, this many successive turns are judged in one batch; 0 for whole dialogues
    speaker_names: bool = False  # whether the text encoder reads who says a turn
    audio_channels: tuple[int, ...] = (64, 128, 256, 512)  # of the audio network's blocks
    spec_augment: bool = True
    feature_dropout: float = 0.0  # share of a text or video backbone's features that training hides
    log_mel: bool = True
    epochs: int = 24
    batch_size: int = 32  # of each process
    accumulate: int = 1  # batches whose gradients are added up before a step
    learning_rate: float = 1e-3
    backbone_learning_rate: float = 2e-5
    weight_decay: float = 1e-5
    label_smoothing: float = 0.05
    consistency: float = 0.0  # weight of R-Drop: each utterance is read twice, the answers are to agree
    class_weights: str = "none"
    prior_correction: float = 0.0  # how far answers are for the classes as they occur, in spite of weights
    schedule: str = "plateau"  # of the learning rates; or linear
    patience: int = 4
    ema_decay: float | None = 0.98
    selection: str = "emotion_weighted_f1"
    early_stopping: int | None = 10
    precision: str = "no"  # mixed precision of Accelerate: no, bf16 or fp16; on a CPU keep to no
    seed: int = 0


PRESETS: dict[str, Preset] = {
    "mini": Preset(
        "all-MiniLM-L6-v2",
        "r3d_mini",
        modality_dropout=0.3,
        feature_dropout=0.5,
        audio_channels=(64, 96, 128, 192),
    ),
    "meld": Preset("bert-base-uncased", "r3d_18"),
}
