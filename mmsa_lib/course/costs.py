"""What a training step costs: operations counted, seconds measured. For notebooks/07."""

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmsa_lib.dataset import MODEL_INPUTS, MELDDataset, collate
from mmsa_lib.encoders import AudioEncoder

TOKENS, FRAMES, SIDE, MEL_FRAMES = 12, 16, 112, 300  # one utterance of about three seconds
BACKWARD = 2  # passes: the backward pass costs about twice the forward one


def flops(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Floating-point operations of one forward pass; on the `meta` device it needs neither time nor memory."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(*inputs)
    return counter.get_total_flops()


def of_the_parts() -> dict[str, tuple[float, str, bool]]:
    """Operations for one utterance in one step of the full-size model: name -> (count, modality, frozen)."""
    from torchvision.models.video import r3d_18
    from transformers import AutoModel, BertConfig

    with torch.device("meta"):
        bert = AutoModel.from_config(BertConfig(), attn_implementation="eager")
        text = flops(bert, torch.ones(1, TOKENS, dtype=torch.long))
        video = flops(r3d_18(), torch.zeros(1, 3, FRAMES, SIDE, SIDE))
    audio = flops(AudioEncoder(), torch.zeros(1, 64, MEL_FRAMES))  # its masks need real numbers
    fusion = 2 * (768 * 128 + 512 * 128 + 384 * 256 + 2 * 256 * 128 + 128 * 10)
    return {
        "R3D-18": (video, "video", True),
        "BERT": (text, "text", True),
        "audio CNN": ((1 + BACKWARD) * audio, "audio", False),
        "projections, fusion, heads": ((1 + BACKWARD) * fusion, "all", False),
    }


@torch.inference_mode()
def seconds(model: nn.Module, dataset: MELDDataset, utterances: int = 8) -> float:
    """Time to read the first utterances and send them through the model."""
    model.eval()
    start = time.perf_counter()
    batch = collate([dataset[i] for i in range(utterances)], dataset.pad_token_id)
    model(**{name: batch[name] for name in MODEL_INPUTS if name in batch})
    return time.perf_counter() - start
