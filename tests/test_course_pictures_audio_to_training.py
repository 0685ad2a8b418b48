"""Pictures of lessons 04 to 07: each tells what it shows to who cannot see it. (The notebooks render them.)"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from mmsa_lib.course import training
from mmsa_lib.course.juries import JURIES
from mmsa_lib.course.pictures import lesson04, lesson05, lesson06, lesson07
from mmsa_lib.labels import EMOTIONS, MODALITIES

RNG = np.random.default_rng(0)
WAVE = np.sin(np.arange(16_000) / 20).astype(np.float32)
MEL = RNG.normal(size=(64, 120))
SCORES = {jury: 0.5 + 0.05 * len(jury) + RNG.normal(0, 0.01, 101) for jury in JURIES}
COUNTS = [88, 32, 30, 136, 364, 52, 96]
SHARES = np.array(COUNTS) / sum(COUNTS)
CURVES = {n: np.arange(1, 15) / (20 + RNG.random((3, 14))) for n in ("loss", "dev", "test", "averaged_dev", "rate")}
VOICES = pd.DataFrame({"voice": list(EMOTIONS) * 4} | {name: RNG.normal(size=28) for name in lesson04.MEASURES})
F1 = {"weighted_f1": [0.5, 0.6], "macro_f1": [0.3, 0.4]}

# name -> how to draw it, and words that its alternative text must hold
PICTURES: dict[str, tuple[Callable, str]] = {
    "04 far and near": (lambda: lesson04.far_and_near(WAVE, WAVE[:640], 0.1), "1.0 seconds; below, 40 ms"),
    "04 period": (
        lambda: lesson04.period(WAVE[:640], np.arange(40, 228), np.cos(np.arange(188) / 20), 100.0),
        "100 Hz",
    ),
    "04 voices": (lambda: lesson04.voices(VOICES, dict.fromkeys(lesson04.MEASURES, 0.5)), "surprise"),
    "04 window": (lambda: lesson04.window(WAVE[:400], WAVE[:400] * np.hanning(400)), "Hann window"),
    "04 mel": (lambda: lesson04.mel_bands(np.linspace(0, 8000, 9), np.arange(9.0), np.eye(9)), "triangles"),
    "04 steps": (lambda: lesson04.steps(WAVE, np.exp(MEL), np.exp(MEL), MEL), "only the log-mel shows"),
    "04 responses": (lambda: lesson04.responses(MEL, {"More high?": MEL[0]}), "More high?"),
    "04 fields": (lambda: lesson04.receptive_fields(MEL, [np.array([0, 0.5, 1, 0.5, 0])]), "[3] frames"),
    "04 padding": (
        lambda: lesson04.padding(torch.randn(2, 64, 50), torch.tensor([50, 20]), {"always": 0.25}),
        "always 25%",
    ),
    "04 hidden": (lambda: lesson04.hidden([MEL, MEL]), "One log-mel 2 times"),
    "04 filters": (lambda: lesson04.filters(RNG.normal(size=(3, 64, 3))), "3 filters of 64 bands"),
    "04 moments": (
        lambda: lesson04.moments(
            {"joy": [(torch.randn(64, 120), 90, "fear")] * 2, "fear": [(torch.randn(64, 120), 90, "fear")] * 2}
        ),
        "joy: fear, fear; fear: fear, fear",
    ),
    "05 juries": (lambda: lesson05.juries(SCORES, 0.2, "Emotion"), "text + audio 0."),
    "05 reached": (
        lambda: lesson05.reached({jury: [0.5, 0.6] for jury in JURIES}, dict.fromkeys(JURIES, 0.9), "F1"),
        "text+video 0.550 of 0.900",
    ),
    "05 errors": (lambda: lesson05.err_together(np.corrcoef(RNG.normal(size=(6, 50))), 2), "Correlation of errors"),
    "05 ways": (lambda: lesson05.ways_to_fuse(), "late: decide"),
    "05 against": (
        lambda: lesson05.against({"early": np.full(101, 0.5), "late": np.linspace(0.5, 0.7, 101)}, "early"),
        "late +0.000 [+0.0",
    ),
    "05 nothing": (lambda: lesson05.distributions({"a": SHARES, "b": SHARES}), "b: anger 11%"),
    "05 present": (lambda: lesson05.who_is_there(*[{j: s[0] for j, s in SCORES.items()}] * 3), "of its own: text"),
    "05 gains": (
        lambda: lesson05.gains(
            {m: np.full(8, 0.1) for m in MODALITIES}, {m: np.repeat(lesson05.CUES, 2) for m in MODALITIES}
        ),
        "video clear +0.10",
    ),
    "05 sent away": (lambda: lesson05.sent_away({"all": SHARES, "without text": SHARES}, 4, "Hi $1"), "neutral: all"),
    "05 batches": (
        lambda: lesson05.batch_means({8: np.arange(9) / 9, 16: np.arange(9) / 9}, {8: 0.5, 16: 0.6}, 0.55),
        "at once 0.550",
    ),
    "06 shares": (lambda: lesson06.class_shares({"a": COUNTS, "b": COUNTS}), "b: neutral 46%"),
    "06 votes": (lambda: lesson06.votes(SHARES), "neutral 46%"),
    "06 blind": (lambda: lesson06.blind(*[{"none": SHARES, "sqrt": SHARES}] * 2), "none: neutral 0.46"),
    "06 curves": (
        lambda: lesson06.weight_curves({"inverse": 1 / np.arange(1, 401)}, {"a": COUNTS, "b": COUNTS}),
        "inverse 0.08",
    ),
    "06 trade": (
        lambda: lesson06.trade_off({"none": F1, "effective": F1}, "x"),
        "none: weighted F1 0.550, macro F1 0.350",
    ),
    "06 bought": (
        lambda: lesson06.bought(np.diag(COUNTS), np.diag(COUNTS) + np.eye(7, k=1), COUNTS),
        "recall: neutral 1.00 to 1.00",
    ),
    "06 sweep": (lambda: lesson06.sweep(np.linspace(0, 1, 5), RNG.random((5, 3, 3)), 0.5), "macro F1"),
    "06 sure": (lambda: lesson06.sureness({"a": SHARES, "b": SHARES}, COUNTS, 0.05), "b: neutral 0.46"),
    "07 circle": (lesson07.circle, "back to the next batch"),
    "07 heart": (lambda: lesson07.by_heart([3.0, 1.0], 0.4, 0.3), "in 2 steps; the floor is 0.40, 0.30"),
    "07 costs": (lambda: lesson07.costs({"R3D-18": (8e10, "video", True), "CNN": (2e8, "audio", False)}), "R3D-18 80"),
    "07 valley": (
        lambda: lesson07.valley(training.height, {"a": np.ones((4, 2)), "b": np.zeros((4, 2))}),
        "a at distance 1.4, b at distance 0.0",
    ),
    "07 gradients": (lambda: lesson07.gradient_lengths([1.5, 0.5]), "between 0.5 and 1.5"),
    "07 judges": (lambda: lesson07.judges(CURVES), "dev loss, both tasks best after epoch 1,"),
    "07 average": (lambda: lesson07.averaging(CURVES), "averaged"),
    "07 brakes": (lambda: lesson07.braking(CURVES, CURVES), "constant"),
    "07 bits": (lesson07.bits, "float16 5 bits of exponent and 10 of fraction"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_says_what_it_shows(name):
    draw, words = PICTURES[name]
    assert words in draw().alt_text


def test_every_picture_is_tried():
    """What the four modules define and export."""
    modules = {"04": lesson04, "05": lesson05, "06": lesson06, "07": lesson07}
    drawn = {n: sum(name.startswith(n) for name in PICTURES) for n in modules}
    defined = {
        n: sum(callable(v) and v.__module__ == m.__name__ and not k.startswith("_") for k, v in vars(m).items())
        - helpers
        for (n, m), helpers in zip(modules.items(), (0, 0, 1, 0), strict=True)
    }
    assert drawn == defined
