"""Reading a clip with a trained model: a video file in, emotion and sentiment probabilities out.

Derived in notebooks/00.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch

from mmsa_lib.dataset import MODEL_INPUTS, collate
from mmsa_lib.errors import DataError
from mmsa_lib.experiment import raw_dataset
from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.media import probe
from mmsa_lib.runs import load_run


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech and how it was read; probabilities by class name, times in seconds."""

    start: float
    end: float
    text: str | None
    emotion: dict[str, float]
    sentiment: dict[str, float]
    modalities: tuple[str, ...]  # what the model could really use

    def to_json(self) -> dict:
        return asdict(self)


@torch.inference_mode()
def predict(run: str | Path, video: str | Path, text: str | None = None) -> list[Utterance]:
    """Read one clip that holds one utterance.

    Args:
        run: a run directory of `mmsa train`.
        video: any file with a picture, a sound track, or both.
        text: what is said; without it the model goes by face and voice.

    Raises DataError or MediaError when there is nothing the model can use.
    """
    preset, model = load_run(run)
    duration = float(probe(video)["duration"] or 0.0)
    table = pd.DataFrame(
        {
            "split": "none",
            "text": [text or ""],
            "clip": pd.Series([Path(video)], dtype=object),
            "emotion": ["neutral"],  # never looked at: a data set must have labels
            "sentiment": ["neutral"],
        }
    )
    dataset = raw_dataset(preset, table)
    frames, mel = dataset.media(0)
    item = {
        "text_inputs": dataset.tokens(0) if text and "text" in model.modalities else None,
        "video_frames": frames,
        "audio_features": mel,
        "emotion_label": 0,
        "sentiment_label": 0,
    }
    used = tuple(m for m, x in zip(("text", "video", "audio"), list(item.values())[:3], strict=True) if x is not None)
    if not used:
        raise DataError(f"{video}: nothing this model can use (it reads {', '.join(model.modalities)})")
    batch = collate([item], dataset.pad_token_id)
    logits = model(**{name: batch[name] for name in MODEL_INPUTS if name in batch})
    return [
        Utterance(
            start=0.0,
            end=duration,
            text=text,
            emotion=_by_name(EMOTIONS, logits["emotions"][0]),
            sentiment=_by_name(SENTIMENTS, logits["sentiments"][0]),
            modalities=used,
        )
    ]


def _by_name(names: tuple[str, ...], logits: torch.Tensor) -> dict[str, float]:
    return dict(zip(names, logits.softmax(dim=0).tolist(), strict=True))
