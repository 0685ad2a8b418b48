"""Class weights: against scikit-learn and written formulas, and without touching a clip."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from mmsa_lib import compute_class_weights
from mmsa_lib.class_weights import SCHEMES, class_weights
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.labels import EMOTIONS, SENTIMENTS

LABELS = np.repeat(np.arange(7), [111, 27, 27, 174, 471, 68, 121])


def test_inverse_is_proportional_to_scikit_learns_balanced():
    ours = class_weights(LABELS, EMOTIONS)
    balanced = compute_class_weight("balanced", classes=np.arange(7), y=LABELS)
    expected = torch.tensor(balanced * 7 / balanced.sum(), dtype=torch.float32)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_sum_to_the_number_of_classes_and_favour_the_rare(scheme):
    weights = class_weights(LABELS, EMOTIONS, scheme)
    assert weights.dtype == torch.float32
    assert weights.sum().item() == pytest.approx(7)
    if scheme == "none":
        assert torch.equal(weights, torch.ones(7))
    else:
        assert weights[EMOTIONS.index("fear")] > weights[EMOTIONS.index("neutral")]


def test_sqrt_is_between_none_and_inverse():
    spread = [class_weights(LABELS, EMOTIONS, s).max().item() for s in ("none", "sqrt", "inverse")]
    assert spread == sorted(spread)


def test_effective_number_follows_its_formula():
    counts = np.bincount(LABELS)
    expected = 0.001 / (1 - 0.999**counts)
    expected = torch.tensor(7 * expected / expected.sum(), dtype=torch.float32)
    torch.testing.assert_close(class_weights(LABELS, EMOTIONS, "effective"), expected)


def test_absent_class_gets_a_finite_weight_and_a_warning():
    with pytest.warns(UserWarning, match="fear"):
        weights = class_weights(LABELS[LABELS != 2], EMOTIONS)
    assert torch.isfinite(weights).all()
    assert weights.argmax() == 2


def test_empty_labels_weigh_all_the_same():
    with pytest.warns(UserWarning):
        weights = class_weights(np.array([], dtype=int), SENTIMENTS)
    assert torch.equal(weights, torch.ones(3))


def test_unknown_scheme_is_named():
    with pytest.raises(ValueError, match="'cubic'"):
        class_weights(LABELS, EMOTIONS, "cubic")


def test_labels_are_read_without_loading_an_item(world, monkeypatch):
    dataset = MELDDataset(world, "train")
    monkeypatch.setattr(MELDDataset, "__getitem__", lambda *_: pytest.fail("an item was loaded"))
    weights = compute_class_weights(dataset)
    assert weights["emotion"].shape == (7,) and weights["sentiment"].shape == (3,)
    torch.testing.assert_close(weights["emotion"], torch.ones(7))  # the tiny world is balanced


def test_anything_with_label_arrays_will_do():
    weights = compute_class_weights(SimpleNamespace(emotion_labels=LABELS, sentiment_labels=LABELS % 3))
    assert set(weights) == {"emotion", "sentiment"}
