"""Pictures say what they were given, look the same each time, and survive whatever data brings."""

import io
import itertools
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from mmsa_lib import plots
from mmsa_lib.labels import EMOTIONS, MODALITIES, SENTIMENTS
from mmsa_lib.metrics import TASKS, report

EVEN = (np.full(7, 1 / 7), np.full(3, 1 / 3))


@pytest.fixture(autouse=True)
def quiet():
    """A warning (missing glyph, layout that does not fit, mean of nothing) would stand in a notebook: none may come."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels(figure) -> np.ndarray:
    """The figure as (H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(plots.to_png(figure, 72))).convert("RGB"))


def texts(figure) -> list[str]:
    """Every text in the figure, tick labels too, as written."""
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text() and t.get_visible()]


def history(epochs: int) -> pd.DataFrame:
    steps = np.arange(1, epochs + 1)
    columns = {"epoch": steps, "learning_rate": np.where(steps < 4, 1e-4, 1e-5)}
    columns |= {f"{phase}_loss_total": 3 / steps for phase in ("train", "val")}
    for phase, task in itertools.product(("train", "val"), TASKS):
        columns[f"{phase}_{task}_weighted_f1"] = 1 - 1 / (steps + len(task))
    return pd.DataFrame(columns)


def sample(**changes) -> dict:
    rng = np.random.default_rng(0)
    made = {
        "frames": rng.integers(0, 255, (9, 24, 32, 3), dtype=np.uint8),
        "waveform": rng.normal(0, 0.1, 4000).astype(np.float32),
        "sample_rate": 16_000,
        "text": "You did what?",
        "emotion_probs": np.array([0.1, 0.02, 0.08, 0.2, 0.1, 0.05, 0.45]),
        "sentiment_probs": np.array([0.7, 0.2, 0.1]),
        "emotion": "surprise",
        "sentiment": "positive",
    }
    return made | changes


def lengths() -> pd.DataFrame:
    return pd.DataFrame({"split": "dev", "row_seconds": [2.0, 3.0, 0.0, np.nan], "clip_seconds": [2.1, 5.0, 0.04, 1.0]})


def every_picture() -> dict:
    rng = np.random.default_rng(1)
    truth = {task: rng.integers(0, len(names), 60) for task, names in TASKS.items()}
    return {
        "confusion": plots.confusion(np.arange(9).reshape(3, 3), SENTIMENTS, "sentiment"),
        "learning_curves": plots.learning_curves(history(6), 4),
        "results": plots.results(report(truth, truth), {"emotion": {"weighted_f1": 0.9}, "sentiment": 0.8}),
        "modality_comparison": plots.modality_comparison([{"name": "text", "modalities": ["text"], "mean": 0.5}]),
        "class_counts": plots.class_counts({"train": ["joy", "fear", "joy"], "test": [0, 4]}),
        "data_health": plots.data_health({"dev": {"missing": 1, "twin": 0}}, {"dev": 9}, lengths()),
        "waveform": plots.waveform(np.sin(np.arange(999)), 16_000),
        "spectrogram": plots.spectrogram(rng.normal(size=(64, 30)), 0.01),
        "frame_strip": plots.frame_strip(sample()["frames"], np.arange(9) / 10),
        "probabilities": plots.probabilities(*EVEN, "joy", 2),
        "prediction_strip": plots.prediction_strip([sample(), sample(emotion=None)]),
    }


# ------------------------------------------------------------------------------ what all have in common


@pytest.fixture(scope="module")
def pictures() -> dict:
    return every_picture()


def test_every_picture_has_words_and_the_same_bytes_each_time(pictures, tmp_path):
    for (name, first), second in zip(pictures.items(), every_picture().values(), strict=True):
        one, two = plots.save(first, tmp_path / f"{name}.png", 60), plots.save(second, tmp_path / "again.png", 60)
        assert one.read_bytes() == two.read_bytes(), name
        assert first.alt_text.endswith("."), name
        with Image.open(one) as image:
            assert image.info["Description"] == first.alt_text, name
            assert "Software" not in image.info, name


@pytest.mark.parametrize("name", ["confusion", "spectrogram", "prediction_strip"])
def test_having_been_shown_changes_no_byte(pictures, name):
    usual = plots.to_png(pictures[name], 60)
    plots.to_png(pictures[name], 40)
    assert plots.to_png(pictures[name], 60) == usual


def test_all_public_pictures_are_tried_here(pictures):
    made = {n for n, f in vars(plots).items() if getattr(f, "__annotations__", {}).get("return") is plots.Picture}
    assert made - {"picture"} == set(pictures)


def test_the_callers_settings_neither_show_nor_change():
    usual = plots.to_png(plots.confusion(np.eye(3), SENTIMENTS))
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 9, "savefig.bbox": "tight", "figure.dpi": 30}):
        before = dict(matplotlib.rcParams)
        assert plots.to_png(plots.confusion(np.eye(3), SENTIMENTS)) == usual
        assert dict(matplotlib.rcParams) == before


def test_pyplot_is_neither_imported_nor_left_with_open_figures():
    code = (
        "import sys, numpy as np; from mmsa_lib import plots; plots.to_png(plots.confusion(np.eye(2), 'ab'));"
        "assert 'matplotlib.pyplot' not in sys.modules; import matplotlib.pyplot as plt; assert not plt.get_fignums()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_notebook_output_is_one_image_with_its_sentence():
    figure = plots.waveform(np.zeros(10), 10)
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"} and data["text/plain"] == figure.alt_text
    assert metadata["image/png"] == {"width": 960, "height": 211, "alt": figure.alt_text}


def test_ipython_shows_it_once_before_other_printers(monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", lambda data, **options: shown.append((data, options)))
    plots.waveform(np.zeros(10), 10)._ipython_display_()
    [(data, options)] = shown
    assert options["raw"] and "alt" in options["metadata"]["image/png"] and "image/png" in data


def test_save_makes_folders_and_leaves_no_other_file(tmp_path):
    path = plots.save(matplotlib.figure.Figure(), tmp_path / "new" / "picture.png")
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_leaves_the_old_file(tmp_path, monkeypatch):
    path = plots.save(plots.picture(1, 1), tmp_path / "picture.png")
    old = path.read_bytes()
    monkeypatch.setattr(plots, "to_png", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plots.save(plots.picture(2, 2), path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [old]


# ------------------------------------------------------------------------------------------- colours

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB
SEEN_BY = {
    "everybody": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def cielab(linear: np.ndarray) -> np.ndarray:
    """Linear sRGB (3,) as CIE L*a*b*, D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN_BY)
@pytest.mark.parametrize("name", ["MODALITY_COLORS", "EMOTION_COLORS", "SENTIMENT_COLORS", "TASK_COLORS"])
def test_colours_stay_apart_for_every_kind_of_eyes(name, eyes):
    rgb = [np.array(to_rgb(color)) for color in getattr(plots, name).values()]
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in rgb]
    seen = [cielab(np.array(SEEN_BY[eyes]) @ c) for c in linear]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 15  # 2.3 is just noticeable


def test_colours_cover_the_labels_in_their_order():
    assert tuple(plots.EMOTION_COLORS) == EMOTIONS
    assert tuple(plots.SENTIMENT_COLORS) == SENTIMENTS
    assert tuple(plots.MODALITY_COLORS) == (*MODALITIES, "all")


# ----------------------------------------------------------------------------------- confusion matrix


def test_confusion_shows_counts_shares_and_support():
    figure = plots.confusion(np.array([[6, 2, 0], [0, 0, 0], [1, 0, 3]]), SENTIMENTS, "dev")
    shown = texts(figure)
    assert {"6\n75%", "2\n25%", "1\n25%", "3\n75%", "0\n0%"} <= set(shown)
    assert shown.count("0\n–") == 3  # the class that does not occur
    assert {"negative  n=8", "neutral  n=0", "positive  n=4", "predicted", "true", "dev"} <= set(shown)
    assert "75% of 12 right" in figure.alt_text and "neutral –" in figure.alt_text


def test_confusion_colours_by_row_share_not_count():
    image = plots.confusion(np.array([[900, 100], [1, 9]]), ["a", "b"]).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), [[0.9, 0.1], [0.1, 0.9]])
    assert image.get_clim() == (0, 1)


@pytest.mark.parametrize("matrix", [np.zeros((1, 1), int), np.array([[5]]), np.full((1, 1), np.nan)])
def test_confusion_of_a_single_class(matrix):
    assert pixels(plots.confusion(matrix, ["only"])).size


def test_confusion_refuses_names_that_do_not_fit():
    with pytest.raises(ValueError, match=r"3 classes.*\(2, 2\)"):
        plots.confusion(np.eye(2), SENTIMENTS)


# ------------------------------------------------------------------------------------- learning curves


def test_learning_curves_draw_the_columns_they_are_given():
    table = history(6)
    figure = plots.learning_curves(table, 4)
    lines = {line.get_label(): line for ax in figure.axes for line in ax.lines}
    for label, column in {
        "train": "train_loss_total",
        "emotion, validation": "val_emotion_weighted_f1",
        "sentiment, train": "train_sentiment_weighted_f1",
    }.items():
        np.testing.assert_array_equal(lines[label].get_ydata(), table[column])
    assert list(lines["best epoch (4)"].get_xdata()) == [4, 4]
    assert f"validation loss {3 / 4:.3f}" in figure.alt_text


@pytest.mark.parametrize(("epochs", "best"), [(0, None), (1, 1), (100, None)])
def test_learning_curves_of_any_length(epochs, best):
    assert pixels(plots.learning_curves(history(epochs), best)).size


def test_learning_curves_with_missing_columns_nan_and_a_rate_of_zero():
    table = history(4).drop(columns=["train_loss_total", "val_sentiment_weighted_f1"])
    table.loc[2, "val_loss_total"] = np.nan
    table["learning_rate"] = 0.0
    assert pixels(plots.learning_curves(table, 3)).size
    assert pixels(plots.learning_curves(pd.DataFrame())).size


# ------------------------------------------------------------------------------------------- results


def test_results_stand_beside_majority_and_ceiling():
    rng = np.random.default_rng(0)
    truth = {task: rng.integers(0, len(names), 200) for task, names in TASKS.items()}
    guess = {task: np.where(rng.random(200) < 0.6, y, 0) for task, y in truth.items()}
    made = report(truth, guess)
    figure = plots.results(made, {"emotion": {"weighted_f1": 0.91}, "sentiment": 0.93})
    for ax, task in zip(figure.axes, TASKS, strict=True):
        expected = [
            made[task]["majority"]["weighted_f1"],
            made[task]["weighted_f1"],
            0.91 if task == "emotion" else 0.93,
        ]
        np.testing.assert_allclose([bar.get_width() for bar in ax.patches], expected)
        np.testing.assert_allclose(ax.lines[-1].get_xdata(), made[task]["interval_95"]["weighted_f1"])
    assert "best possible 0.910" in figure.alt_text
    assert "best possible" not in texts(plots.results(made))


def test_modality_bars_wear_their_colours():
    names = {"text": ["text"], "all": ["audio", "video", "text"]}
    rows = [{"name": n, "modalities": m, "mean": 0.5, "low": 0.4, "high": 0.6} for n, m in names.items()]
    rows.append({"name": "pair", "modalities": ["audio", "text"], "mean": 0.6})
    figure = plots.modality_comparison(rows, majority=0.3)
    found = [to_rgb(bar.get_facecolor()) for bar in figure.axes[0].patches]
    assert found == [to_rgb(plots.MODALITY_COLORS[n]) for n in ("text", "all", "text", "audio")]
    assert "0.500  [0.400, 0.600]" in texts(figure) and "0.600" in texts(figure)
    assert "majority class (0.300)" in texts(figure)


def test_a_result_that_is_missing_says_so():
    figure = plots.modality_comparison([{"name": "video", "modalities": ["video"], "mean": np.nan}])
    assert "not measured" in texts(figure) and pixels(figure).size


# ------------------------------------------------------------------------------------------------ data


def test_class_counts_take_names_and_indices():
    by_name = plots.class_counts({"train": pd.Series(["joy", "fear", "joy", "anger"])})
    by_index = plots.class_counts({"train": np.array([3, 2, 3, 0])})
    assert by_name.alt_text == by_index.alt_text
    assert "joy 2" in by_name.alt_text and "disgust 0" in by_name.alt_text
    assert {" 2 (50%)", " 0 (0%)", "train, n = 4"} <= set(texts(by_name))


def test_class_counts_of_an_empty_split():
    assert "train, n = 0" in texts(plots.class_counts({"train": []}, SENTIMENTS))


def test_envelope_keeps_every_peak():
    wave = np.zeros(10_007)
    wave[[17, 5000, 10_006]] = 1, -0.5, 0.25
    low, high, seconds = plots.envelope(wave, 1000, 100)
    assert len(low) == len(high) == len(seconds) == 100
    assert (high.max(), low.min(), high[-1]) == (1, -0.5, 0.25)
    assert seconds[high.argmax()] <= 0.017 and seconds[-1] < 10.007


@pytest.mark.parametrize("wave", [np.zeros(1), np.zeros(500), np.full(50, np.nan), np.full(50, np.inf)])
def test_waveforms_without_sound(wave):
    assert pixels(plots.waveform(wave, 16_000)).size


def test_waveform_refuses_channels():
    with pytest.raises(ValueError, match=r"\(100, 2\)"):
        plots.waveform(np.zeros((100, 2)), 16_000)


def test_spectrogram_has_seconds_and_bands_low_ones_below():
    mel = np.zeros((64, 50))
    mel[5] = 9
    ax = plots.spectrogram(mel, 0.01).axes[0]
    assert ax.get_xlim() == (0, 0.5) and ax.get_ylim() == (0, 64)
    assert ax.get_xlabel() == "time (s)" and ax.get_ylabel() == "mel band"
    assert "band 5" in plots.spectrogram(mel, 0.01).alt_text


@pytest.mark.parametrize("mel", [np.full((4, 3), -np.inf), np.zeros((4, 1)), np.zeros((4, 0)), None])
def test_spectrogram_of_nothing(mel):
    assert pixels(plots.spectrogram(mel, 0.01)).size


def test_frame_strip_spreads_over_the_whole_clip():
    frames = np.zeros((20, 8, 8, 3), np.uint8)
    frames[0], frames[-1] = (255, 0, 0), (0, 0, 255)
    figure = plots.frame_strip(frames, np.arange(20) * 0.5, most=4)
    sheet = figure.axes[0].images[0].get_array()
    assert (sheet[0, 0] == (255, 0, 0)).all() and (sheet[0, -1] == (0, 0, 255)).all()
    assert [t for t in texts(figure) if t.endswith(" s")] == ["0.00 s", "3.00 s", "6.50 s", "9.50 s"]


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 90, 10), (1, 10, 90), (3, 1, 1), (50, 7, 9)])
def test_frames_of_any_shape(shape):
    assert pixels(plots.frame_strip(np.zeros((*shape, 3), np.uint8))).size


def test_frames_that_are_none_or_not_pictures():
    assert "no video" in texts(plots.frame_strip(None))
    with pytest.raises(ValueError, match="uint8"):
        plots.frame_strip(np.zeros((3, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="uint8"):
        plots.frame_strip(np.zeros((3, 8, 8), np.uint8))


# ----------------------------------------------------------------------------------------- predictions


def test_probabilities_are_drawn_in_the_order_of_the_labels():
    values = np.array([0.4, 0.05, 0.1, 0.2, 0.15, 0.06, 0.04])
    left, right = plots.probabilities(values, np.array([0.1, 0.2, 0.7]), 3, "positive").axes
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], values)
    assert [t.get_text() for t in right.get_yticklabels()] == ["negative", "neutral", "true ▸ positive"]
    assert left.get_title(loc="left") == "emotion: anger ✗" and right.get_title(loc="left") == "sentiment: positive ✓"


def test_right_and_wrong_differ_without_colour_and_unknown_is_neither():
    known = texts(plots.prediction_strip([sample()]))
    assert {"emotion: surprise ✓", "sentiment: negative ✗", "true ▸ positive"} <= set(known)
    unknown = " ".join(texts(plots.prediction_strip([sample(emotion=None, sentiment=None)])))
    assert "✓" not in unknown and "✗" not in unknown and "true ▸" not in unknown


def test_strip_says_what_is_missing_and_takes_objects():
    class Sample:
        def __init__(self, **values):
            self.__dict__ |= values

    figure = plots.prediction_strip([Sample(**sample(frames=None, waveform=None, text=""))])
    assert {"no video", "no audio", "(no words)"} <= set(texts(figure))
    assert pixels(figure).size


def test_strip_without_a_prediction():
    figure = plots.prediction_strip([sample(emotion_probs=np.full(7, np.nan))])
    assert "emotion: no prediction" in texts(figure) and pixels(figure).size


def test_strip_refuses_nothing_and_wrong_shapes():
    with pytest.raises(ValueError, match="at least one"):
        plots.prediction_strip([])
    with pytest.raises(ValueError, match=r"emotion probabilities.*\(7,\)"):
        plots.prediction_strip([sample(emotion_probs=np.zeros(6))])


# -------------------------------------------------------------------------------------- text from data


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        r"\$x^{",
        "$\\frac{$",
        "W" * 500,
        "a\nb\tc\x00d",
        "你好 🤦🏽‍♀️ 😀",
        "\ud800",
        "%s {0} \\",
        " ",
        "e\u0301" * 9,
    ],
)
def test_any_text_is_drawn_as_it_stands(text):
    assert pixels(plots.confusion(np.eye(1), [text], text[:30])).size
    figure = plots.prediction_strip([sample(text=text, frames=None, waveform=None)])
    shown = figure.axes[0].texts[0]
    assert shown.get_window_extent().x1 <= figure.axes[0].get_window_extent().x1  # ends before the next column


def test_dollars_never_begin_a_formula():
    assert plots.plain("$5 and $10") == r"\$5 and \$10"
    assert plots.plain("a\n b\u200d") == "a b" and plots.plain("\U00020000") == "□"


def test_wrapped_text_fits_and_says_where_it_was_cut():
    text = plots.wrapped("one two three four five six seven eight nine ten " * 9, width=150, size=10, most=2)
    lines = text.split("\n")
    assert len(lines) == 2 and lines[0].startswith("one two") and lines[1].endswith(" …")
    assert all(0 < plots._text_width(line, 10) <= 150 for line in lines)
    assert plots.wrapped("short", width=150, size=10, most=2) == "short"
    long = plots.wrapped("W" * 30, width=100, size=10, most=9)
    assert long.replace("\n", "") == "W" * 30 and "\n" in long
    assert plots.wrapped("$1", width=100, size=10, most=1) == r"\$1"
