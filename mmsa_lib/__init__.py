"""Multimodal sentiment analysis on MELD: text, video and audio in, emotion and sentiment out.

The public names below load on first use, so that `import mmsa_lib` stays quick.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "EMOTIONS": "labels",
    "SENTIMENTS": "labels",
    "MODALITIES": "labels",
    "MELDDataset": "dataset",
    "collate": "dataset",
    "TextEncoder": "encoders",
    "VideoEncoder": "encoders",
    "AudioEncoder": "encoders",
    "MultimodalSentimentModel": "model",
    "MultimodalTrainer": "trainer",
    "compute_class_weights": "class_weights",
    "predict": "inference",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
