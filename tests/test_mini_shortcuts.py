"""The search for shortcuts: what it sees of a clip, and that it would find one."""

import numpy as np
import pandas as pd
import pytest

from mmsa_lib.media import write_clip
from mmsa_lib.mini.shortcuts import FEATURES, classifiers, shallow_features


def test_shallow_features_of_a_clip_with_known_colour(tmp_path):
    frames = np.zeros((10, 32, 32, 3), np.uint8)
    frames[..., 0] = 200  # all red
    write_clip(tmp_path / "red.mp4", frames, fps=10)
    table = pd.DataFrame({"clip": [tmp_path / "red.mp4"], "text": ["Three little words"]})
    seen = dict(zip(FEATURES, shallow_features(table)[0], strict=True))
    assert seen["seconds"] == pytest.approx(1.0, abs=0.11)
    assert seen["bytes"] == (tmp_path / "red.mp4").stat().st_size
    assert seen["words"] == 3
    assert seen["red"] > 150 > 60 > seen["green"]


def test_a_shortcut_would_be_found():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=200)
    features = np.column_stack([labels + rng.normal(0, 0.2, 200), rng.normal(size=(200, 6))])
    accuracy = {n: c.fit(features[:150], labels[:150]).score(features[150:], labels[150:])
                for n, c in classifiers().items()}  # fmt: skip
    assert accuracy.pop("commonest class") < 0.6
    assert min(accuracy.values()) > 0.9
