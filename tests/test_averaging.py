"""The running average of the weights: its formula, and that the model gets its own weights back."""

import pytest
import torch
from torch import nn

from mmsa_lib.averaging import WeightAverage


def test_the_average_is_the_written_recursion():
    layer = nn.Linear(3, 2)
    average = WeightAverage(layer.state_dict(), decay=0.9)
    expected = layer.weight.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            layer.weight.add_(step)
        average.update()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach()
    with average.applied():
        torch.testing.assert_close(layer.weight, expected)


def test_afterwards_the_model_has_its_own_weights_even_after_an_error():
    layer = nn.BatchNorm1d(2)
    average = WeightAverage(layer.state_dict(), decay=0.5)
    layer(torch.randn(8, 2))
    average.update()
    own = {k: v.clone() for k, v in layer.state_dict().items()}
    with pytest.raises(RuntimeError), average.applied():
        assert not torch.equal(layer.running_mean, own["running_mean"])
        assert layer.num_batches_tracked == 1  # a counter is copied
        raise RuntimeError
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, own[name])


def test_state_goes_on_where_it_was():
    layer = nn.Linear(2, 2)
    first = WeightAverage(layer.state_dict(), 0.9)
    first.update()
    second = WeightAverage(nn.Linear(2, 2).state_dict(), 0.9)
    second.load_state_dict(first.state_dict())
    assert second.steps == 1
    assert all(torch.equal(second.average[k], v) for k, v in first.average.items())


@pytest.mark.parametrize("decay", [1.0, -0.1, 1.5])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="ema_decay"):
        WeightAverage({}, decay)
