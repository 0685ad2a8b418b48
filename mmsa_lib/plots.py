"""Pictures: one function a picture, one look, each a matplotlib figure that can say in words what it shows.

Every function returns a `Picture`. As the last expression of a notebook cell it shows once, with its
alternative text; `save` writes it as a PNG whose bytes depend only on what is drawn. Nothing here touches
pyplot, so no backend is chosen and no figure stays open. Made by `picture()`, a notebook's own drawing gets
the same look. Text that comes from data is never read as a formula, and a character the font lacks becomes □.
"""

import base64
import io
import os
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

# Most colours are of Okabe and Ito, "Color Universal Design" (2008); a test measures that no two of a set come
# near each other for a protanope, deuteranope or tritanope. Even so, names or marks always stand beside them.
MODALITY_COLORS: dict[str, str] = {
    "text": "#0072B2",
    "video": "#D55E00",
    "audio": "#009E73",
    "all": "#4D4D4D",
}
EMOTION_COLORS: dict[str, str] = {
    "anger": "#C44E00",
    "disgust": "#009E73",
    "fear": "#5B2A86",
    "joy": "#F0B400",
    "neutral": "#A6A6A6",
    "sadness": "#0072B2",
    "surprise": "#56B4E9",
}
SENTIMENT_COLORS: dict[str, str] = {"negative": "#D55E00", "neutral": "#A6A6A6", "positive": "#0072B2"}
TASK_COLORS: dict[str, str] = {"emotion": "#332288", "sentiment": "#CC6677"}
BASELINE_COLOR = "#A6A6A6"
INK, PALE = "#222222", "#EFEFEF"

STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "savefig.transparent": False,
    "path.sketch": None,
    "text.usetex": False,
}
CSS_DPI = 96  # a browser's pixels per inch
SHOWN_DPI = 144  # half as fine again, for sharp letters on dense screens
SAVED_DPI = 150
WAVEFORM_COLUMNS = 1500


def style() -> AbstractContextManager:
    """The look of this project, as a context manager or a decorator: `with plots.style(): ...`."""
    return matplotlib.rc_context(STYLE)


class Picture(Figure):
    """A figure that shows once as a cell's last value and carries `alt_text`, a sentence for who cannot see it.

    In a notebook the sentence is stored as `metadata["image/png"]["alt"]` of the output (and as its plain
    text); in a saved file it is PNG's `Description`.
    """

    alt_text: str = ""

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        width, height = (round(inches * CSS_DPI) for inches in self.get_size_inches())
        image = base64.b64encode(to_png(self, SHOWN_DPI)).decode("ascii")
        data = {"image/png": image, "text/plain": self.alt_text or repr(self)}
        return data, {"image/png": {"width": width, "height": height, "alt": self.alt_text}}


@style()
def picture(width: float, height: float) -> Picture:
    """An empty picture of `width` x `height` inches; at most 10 inches wide it is shown unshrunk in a notebook."""
    return Picture(figsize=(width, height), layout="constrained")


def to_png(figure: Figure, dpi: int = SAVED_DPI) -> bytes:
    """The figure as PNG; the bytes are the same each time, for no date or version is written in."""
    described = getattr(figure, "alt_text", "")
    metadata = {"Software": None} | ({"Description": described} if described else {})
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def save(figure: Figure, path: str | Path, dpi: int = SAVED_DPI) -> Path:
    """Write the figure as PNG under another name, then rename: a reader never sees half a picture."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(to_png(figure, dpi))
    os.replace(temporary, path)
    return path


# ------------------------------------------------------------------------------------------ results


@style()
def confusion(matrix: np.ndarray, names: Sequence[str], title: str = "") -> Picture:
    """A confusion matrix (K, K) of counts, true class by row: count and share of the row in every cell.

    The colour is the share of the row, so rare classes are as legible as common ones; `n` beside a name is
    how often the class occurs. A class that does not occur has dashes for shares.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"a confusion matrix of {len(names)} classes cannot have the shape {counts.shape}")
    support = counts.sum(axis=1)
    rates = counts / np.where(support > 0, support, np.nan)[:, None]
    shown = [plain(name) for name in names]
    figure = picture(max(4.6, 2.2 + 0.6 * len(names)), max(3.4, 1.3 + 0.55 * len(names)))
    ax = figure.subplots()
    ax.grid(False)
    image = ax.imshow(np.nan_to_num(rates), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(counts.shape):
        _confusion_cell(ax, row, column, counts[row, column], rates[row, column])
    ax.set_xticks(range(len(names)), shown, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), [f"{name}  n={n:g}" for name, n in zip(shown, support, strict=True)])
    ax.set(xlabel="predicted", ylabel="true", title=plain(title))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    bar = figure.colorbar(image, ax=ax, format=PercentFormatter(1.0), fraction=0.04, pad=0.02)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    recalls = ", ".join(f"{n} {_percent(rates[i, i])}" for i, n in enumerate(names))
    right = np.trace(counts) / counts.sum() if counts.sum() else np.nan
    figure.alt_text = (
        f"Confusion matrix{f' of {title}' if title else ''}: {_percent(right)} of {counts.sum():g} right; "
        f"found of each true class: {recalls}."
    )
    return figure


def _confusion_cell(ax: Axes, row: int, column: int, count: float, rate: float) -> None:
    color = "white" if rate > 0.55 else INK if count else "#8A8A8A"
    share = _percent(rate)
    weight = "bold" if row == column else "normal"
    ax.text(column, row, f"{count:g}\n{share}", ha="center", va="center", color=color, weight=weight, size=9)
    if row == column:
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.2))


@style()
def learning_curves(history: pd.DataFrame, best_epoch: int | None = None) -> Picture:
    """Loss, weighted F1 of both tasks and learning rate over the epochs, the best epoch marked.

    Args:
        history: one row an epoch, the trainer's columns: `epoch`, `learning_rate`, `{train,val}_loss_total`,
            `{train,val}_{emotion,sentiment}_weighted_f1`. A column that is missing is not drawn.
        best_epoch: the epoch whose weights are kept.
    """
    figure = picture(10, 3.4)
    loss, score, rate = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    epochs = history["epoch"].to_numpy()
    _curve_pair(loss, history, "loss_total", "total", INK, "o")
    _curve_pair(score, history, "emotion_weighted_f1", "emotion", TASK_COLORS["emotion"], "o")
    _curve_pair(score, history, "sentiment_weighted_f1", "sentiment", TASK_COLORS["sentiment"], "s")
    if "learning_rate" in history:
        rates = history["learning_rate"].to_numpy()
        rate.step(epochs, rates, where="mid", color=INK, marker="." if len(epochs) < 3 else None)
        if (rates > 0).all() and len(set(rates)) > 1:
            rate.set_yscale("log")
    loss.set(title="Loss", ylabel="cross-entropy, both tasks")
    score.set(title="Weighted F1")
    rate.set(title="Learning rate")
    for ax in (loss, score, rate):
        _epoch_axis(ax, epochs, best_epoch)
    loss.legend(loc="best")
    score.legend(loc="best")
    figure.alt_text = _describe_history(history, best_epoch)
    return figure


def _curve_pair(ax: Axes, history: pd.DataFrame, column: str, name: str, color: str, marker: str) -> None:
    """Training dashed, validation solid with marks: told apart without colour."""
    few = 5 if len(history) < 40 else 0
    for phase, label, dashes in (("train", "train", "--"), ("val", "validation", "-")):
        if f"{phase}_{column}" not in history:
            continue
        marked = {"marker": marker, "markersize": few} if phase == "val" or len(history) == 1 else {}
        text = label if name == "total" else f"{name}, {label}"
        ax.plot(history["epoch"], history[f"{phase}_{column}"], dashes, color=color, label=text, **marked)


def _epoch_axis(ax: Axes, epochs: np.ndarray, best_epoch: int | None) -> None:
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if len(epochs):
        pad = max(0.5, 0.03 * np.ptp(epochs))
        ax.set_xlim(epochs.min() - pad, epochs.max() + pad)
    if best_epoch is not None:
        ax.axvline(best_epoch, color="#777777", linestyle=":", linewidth=1.5, label=f"best epoch ({best_epoch})")


def _describe_history(history: pd.DataFrame, best_epoch: int | None) -> str:
    text = f"Learning curves over {len(history)} epoch{'' if len(history) == 1 else 's'}"
    rows = history[history["epoch"] == best_epoch]
    if rows.empty:
        return text + "."
    columns = {
        "val_loss_total": "validation loss",
        "val_emotion_weighted_f1": "weighted F1 of emotion",
        "val_sentiment_weighted_f1": "of sentiment",
    }
    values = [f"{name} {rows[key].iloc[0]:.3f}" for key, name in columns.items() if key in rows]
    return f"{text}; at the best, epoch {best_epoch}: {', '.join(values)}."


# ------------------------------------------------------------------------------------- predictions


@style()
def probabilities(
    emotion_probs: np.ndarray,
    sentiment_probs: np.ndarray,
    emotion_true: str | int | None = None,
    sentiment_true: str | int | None = None,
) -> Picture:
    """Both distributions of one utterance, (7,) and (3,), as bars; the true classes are marked where known."""
    figure = picture(7.5, 2.6)
    left, right = figure.subplots(1, 2)
    first = _distribution(left, "emotion", emotion_probs, emotion_true)
    second = _distribution(right, "sentiment", sentiment_probs, sentiment_true)
    figure.alt_text = f"Predicted distributions: {first}; {second}."
    return figure


@style()
def prediction_strip(samples: Sequence[Mapping | object]) -> Picture:
    """One row a clip: its words, some of its frames, its waveform, and what the model made of them.

    Each sample is a mapping or an object with `text`, `frames` (T, H, W, 3) uint8 or None, `waveform` (S,) or
    None, `sample_rate`, `emotion_probs` (7,), `sentiment_probs` (3,), and the true `emotion` and `sentiment`
    (a name, an index or None). What is None appears as a grey box that says so.
    """
    if not len(samples):
        raise ValueError("a prediction strip needs at least one sample")
    figure = picture(10, 2.7 * len(samples))
    parts = np.atleast_1d(figure.subfigures(len(samples), 1))
    rows = [_strip_row(part, sample) for part, sample in zip(parts, samples, strict=True)]
    figure.alt_text = f"{len(samples)} clips with their predictions. " + " ".join(rows)
    return figure


def _strip_row(part: SubFigure, sample: Mapping | object) -> str:
    """Draw one sample; return its description."""
    grid = part.add_gridspec(3, 3, width_ratios=(5.1, 2.3, 2.1), height_ratios=(0.9, 2.2, 1.1))
    words = part.add_subplot(grid[0, 0])
    words.axis("off")
    said = _get(sample, "text") or ""
    shown = wrapped(f"“{said}”", width=4.7 * 72, size=10, most=2) if said else "(no words)"
    words.text(0, 1, shown, va="top", size=10, style="italic", transform=words.transAxes, in_layout=False)
    _frames(part.add_subplot(grid[1, 0]), _get(sample, "frames"), _get(sample, "frame_times"), most=5)
    _wave(part.add_subplot(grid[2, 0]), _get(sample, "waveform"), _get(sample, "sample_rate"), small=True)
    emotion, sentiment = part.add_subplot(grid[:, 1]), part.add_subplot(grid[:, 2])
    first = _distribution(emotion, "emotion", _get(sample, "emotion_probs"), _get(sample, "emotion"))
    second = _distribution(sentiment, "sentiment", _get(sample, "sentiment_probs"), _get(sample, "sentiment"))
    return f"“{said}”: {first}; {second}."


def _distribution(ax: Axes, task: str, probs: np.ndarray, true: str | int | None) -> str:
    """Bars of one distribution with verdict; return its description."""
    colors = EMOTION_COLORS if task == "emotion" else SENTIMENT_COLORS
    names = list(colors)
    values = np.asarray(probs, dtype=float)
    if values.shape != (len(names),):
        raise ValueError(f"{task} probabilities must have the shape ({len(names)},), not {values.shape}")
    answer = names[int(np.nanargmax(values))] if np.isfinite(values).any() else None
    known = names[true] if isinstance(true, int | np.integer) else true
    bars = ax.barh(range(len(names)), np.nan_to_num(values), color=list(colors.values()), height=0.72)
    for i, (bar, value) in enumerate(zip(bars, values, strict=True)):
        marked = "  ◀ true" if names[i] == known else ""
        bold = "bold" if names[i] in (known, answer) else "normal"
        ax.text(bar.get_width() + 0.03, i, f"{_percent(value)}{marked}", va="center", size=9, weight=bold)
        if names[i] == answer:
            bar.set(edgecolor=INK, linewidth=1.4)
    ax.set_yticks(range(len(names)), names)
    ax.set_xlim(0, 1.5)  # room for the words behind a full bar
    ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    return _verdict(ax, task, answer, known, values)


def _verdict(ax: Axes, task: str, answer: str | None, known: str | None, values: np.ndarray) -> str:
    if answer is None:
        ax.set_title(f"{task}: no prediction")
        return f"no {task} predicted"
    said = f"{task} {answer} {_percent(np.nanmax(values))}"
    if known is None:
        ax.set_title(f"{task}: {answer}")
        return said
    right = answer == known
    color = SENTIMENT_COLORS["positive" if right else "negative"]
    ax.set_title(f"{task}: {answer} {'✓' if right else '✗'}", color=color)
    return f"{said}, right" if right else f"{said}, wrong, truly {known}"


# -------------------------------------------------------------------------------- shared by several


def _frames(ax: Axes, frames: np.ndarray | None, times: np.ndarray | None, most: int) -> list[int]:
    """Up to `most` of the frames (T, H, W, 3) side by side in one image; return which."""
    ax.set_yticks([])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if frames is None or len(frames) == 0:
        _nothing(ax, "no video")
        return []
    height, width = frames.shape[1:3]
    most = most if width < 1.4 * height else max(3, most - 1)
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)).tolist()
    gap = max(1, width // 24)
    sheet = np.full((height, len(chosen) * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, i in enumerate(chosen):
        sheet[:, place * (width + gap) : place * (width + gap) + width] = frames[i]
    ax.imshow(sheet, interpolation="antialiased")
    centres = [place * (width + gap) + width / 2 for place in range(len(chosen))]
    ax.set_xticks([] if times is None else centres, [] if times is None else [f"{times[i]:.2f} s" for i in chosen])
    ax.tick_params(length=0)
    ax.set_anchor("W")
    return chosen


def _wave(ax: Axes, waveform: np.ndarray | None, sample_rate: int | None, small: bool = False) -> float:
    """The envelope of a waveform (S,); return the seconds it lasts."""
    if waveform is None or len(waveform) == 0:
        _nothing(ax, "no audio")
        return 0.0
    low, high, seconds = envelope(np.asarray(waveform, dtype=float), int(sample_rate), WAVEFORM_COLUMNS)
    ax.fill_between(seconds, low, high, color=MODALITY_COLORS["audio"], linewidth=0.6)
    reach = max(1e-3, 1.1 * float(np.nanmax(np.abs([low, high]))))
    ax.set_ylim(-reach, reach)
    ax.set_xlim(0, len(waveform) / sample_rate)
    ax.set_xlabel("time (s)", size=9 if small else None)
    if small:
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    return len(waveform) / sample_rate


def envelope(waveform: np.ndarray, sample_rate: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest sample of at most `columns` equal stretches of a waveform (S,), and their times (s)."""
    starts = np.unique(np.linspace(0, len(waveform), min(columns, len(waveform)), endpoint=False).astype(int))
    low, high = np.fmin.reduceat(waveform, starts), np.fmax.reduceat(waveform, starts)
    return np.nan_to_num(low), np.nan_to_num(high), starts / sample_rate


def _nothing(ax: Axes, words: str) -> None:
    ax.set_facecolor(PALE)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, words, ha="center", va="center", color="#555555", transform=ax.transAxes)


def _get(sample: Mapping | object, name: str):
    return sample.get(name) if isinstance(sample, Mapping) else getattr(sample, name, None)


def _percent(share: float) -> str:
    return f"{share:.0%}" if np.isfinite(share) else "–"


# ----------------------------------------------------------------------------------- text from data


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(STYLE["font.family"])).get_charmap())


def plain(text: str) -> str:
    """`text` as one line that matplotlib shows as it stands: no formulas, no character the font lacks."""
    kept = []
    for character in " ".join(str(text).split()):
        hidden = unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"
        if not hidden:
            kept.append(character if ord(character) in _glyphs() else "□")
    return "".join(kept).replace("$", r"\$")


def wrapped(text: str, width: float, size: float, most: int) -> str:
    """`text` as `plain` has it, broken into at most `most` lines of `width` points at `size` points.

    A word longer than a line is cut; what does not fit ends in an ellipsis.
    """
    lines, line = [], ""
    for word in _cut_words(plain(text).replace(r"\$", "$").split(), width, size):
        longer = f"{line} {word}" if line else word
        if _text_width(longer, size) <= width:
            line = longer
            continue
        lines.append(line)
        line = word
    lines.append(line)
    if len(lines) > most:
        last = lines[most - 1]
        while _text_width(last + " …", size) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip() + " …"]
    return "\n".join(lines).replace("$", r"\$")


def _cut_words(words: list[str], width: float, size: float) -> list[str]:
    pieces = []
    for word in words:
        while _text_width(word, size) > width and len(word) > 1:
            fits = max(1, next(n for n in range(len(word), 0, -1) if n == 1 or _text_width(word[:n], size) <= width))
            pieces.append(word[:fits])
            word = word[fits:]
        pieces.append(word)
    return pieces


def _text_width(text: str, size: float) -> float:
    """Width in points of `text` set at `size` points."""
    font = get_font(findfont(STYLE["font.family"]))
    font.set_size(size, 72)
    font.set_text(text, 0.0)
    return font.get_width_height()[0] / 64
