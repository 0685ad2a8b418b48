"""Questions to features and answers: texts read in batches, and how sure one is that one answer beats another."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmsa_lib.metrics import paired_bootstrap

DRAWS = 1000


def paired_scores(
    labels: np.ndarray, right: Sequence, wrong: Sequence, groups: Sequence | None = None, classes: int = 7
) -> tuple[float, float, float]:
    """Weighted F1 of two ways to answer, and half the 95 % interval of their difference.

    A paired bootstrap: utterances are drawn again with replacement, and both ways are scored on the same draw.

    Args:
        labels: (N,) the true classes.
        right, wrong: answers (N,), or (seeds, N) whose scores are averaged.
        groups: (N,) what belongs together and is drawn together; by default each utterance is by itself.
    """
    found = paired_bootstrap(labels, np.asarray(right), np.asarray(wrong), classes, groups=groups, resamples=DRAWS)
    low, high = found["interval"]
    return found["first"], found["second"], (high - low) / 2


@torch.no_grad()
def read_lines(
    lines: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    encode: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    size: int = 64,
    **padding,
) -> dict[str, Tensor]:
    """What `encode` makes of batches of token ids, in the order of the lines: name -> (N, H).

    Lines of like length are read together, so that there is little padding; `padding` goes to the tokenizer.
    """
    order = np.argsort([len(ids) for ids in tokenizer(list(lines))["input_ids"]], kind="stable")
    parts = [
        encode(tokenizer([lines[i] for i in some], return_tensors="pt", **({"padding": True} | padding)))
        for some in np.array_split(order, -(-len(lines) // size))
    ]
    back = torch.from_numpy(np.argsort(order))
    return {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}
