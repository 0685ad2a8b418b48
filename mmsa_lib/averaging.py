"""A running average of the weights, steadier than the weights themselves (Polyak and Juditsky, 1992)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightAverage:
    """Exponential moving average of a state dict while it is being trained.

    Each `update` moves the average by a share 1 - decay towards the weights; in the first steps the
    share is larger, so that the average forgets the random start. Counters are copied, not averaged.

    Args:
        weights: the tensors that training changes in place, by name; they are held, not copied.
        decay: of the average; 1 / (1 - decay) steps is how far it looks back.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, not {decay}")
        self.weights = dict(weights)
        self.decay = decay
        self.steps = 0
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        numbers = [name for name, weight in self.weights.items() if weight.is_floating_point()]
        self._pairs = [self.average[n] for n in numbers], [self.weights[n] for n in numbers]

    @torch.no_grad()
    def update(self) -> None:
        """Call after each step of the optimiser."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(*self._pairs, share)
        for name, weight in self.weights.items():
            if not weight.is_floating_point():
                self.average[name].copy_(weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; afterwards its own again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self.weights.items():
            own = weight.clone()
            weight.copy_(self.average[name])
            self.average[name].copy_(own)

    def state_dict(self) -> dict:
        """What a resumed training needs."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: Mapping) -> None:
        """Inverse of `state_dict`."""
        self.steps = state["steps"]
        for name, average in self.average.items():
            average.copy_(state["average"][name])
