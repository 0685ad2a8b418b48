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
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from textwrap import shorten

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.style import context as style_context
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from mmsa_lib.labels import EMOTIONS, MODALITIES

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
    "hatch.linewidth": 0.8,
}
CSS_DPI = 96  # a browser's pixels per inch
SHOWN_DPI = 120  # sharper letters than 96 on dense screens, yet notebooks stay small
SAVED_DPI = 150
WAVEFORM_COLUMNS = 1500
LABEL_WIDTH = 125  # points; a longer name of a class or bar is cut
STRIP_ROW = 2.55  # inches of height of one clip in a prediction strip


def style() -> AbstractContextManager:
    """The look of this project, as a context manager or a decorator: `with plots.style(): ...`.

    What `STYLE` leaves open is matplotlib's default, not what the caller or another library has set.
    """
    return style_context(["default", STYLE])


class Picture(Figure):
    """A figure that shows once as a cell's last value and carries `alt_text`, a sentence for who cannot see it.

    In a notebook the sentence is stored as `metadata["image/png"]["alt"]` of the output (and as its plain
    text); in a saved file it is PNG's `Description`.
    """

    _alt_text: str = ""

    @property
    def alt_text(self) -> str:
        """One sentence with the numbers; whatever data put in, it is one line that can be written as UTF-8."""
        return self._alt_text

    @alt_text.setter
    def alt_text(self, words: str) -> None:
        self._alt_text = _one_line(words)

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        width, height = (round(inches * CSS_DPI) for inches in self.get_size_inches())
        image = base64.b64encode(to_png(self, SHOWN_DPI)).decode("ascii")
        data = {"image/png": image, "text/plain": self.alt_text or repr(self)}
        return data, {"image/png": {"width": width, "height": height, "alt": self.alt_text}}

    def _ipython_display_(self) -> None:
        # goes before the printer that matplotlib's inline backend has for every figure, which drops the sentence
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)


@style()
def picture(width: float, height: float) -> Picture:
    """An empty picture of `width` x `height` inches; at most 10 inches wide it is shown unshrunk in a notebook."""
    return Picture(figsize=(width, height), layout="constrained")


def to_png(figure: Figure, dpi: int = SAVED_DPI) -> bytes:
    """The figure as PNG; the bytes are the same each time, for no date or version is written in.

    The first call settles the layout: a second round of matplotlib's layout would move things a little.
    """
    described = getattr(figure, "alt_text", "")
    metadata = {"Software": None} | ({"Description": described} if described else {})
    buffer = io.BytesIO()
    with style():
        layout = figure.get_layout_engine()
        if layout is not None and figure.axes:
            layout.execute(figure)
            figure.set_layout_engine("none")
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
    shown = [_label(name) for name in names]
    figure = picture(max(4.6, 2.2 + 0.6 * len(names)), max(3.4, 1.3 + 0.55 * len(names)))
    ax = figure.subplots()
    ax.grid(False)
    image = ax.imshow(np.nan_to_num(rates), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(counts.shape):
        _confusion_cell(ax, row, column, counts[row, column], rates[row, column])
    ax.set_xticks(range(len(names)), shown, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), [f"{name}  n={n:g}" for name, n in zip(shown, support, strict=True)])
    ax.set(xlabel="predicted", ylabel="true", title=_title(figure, title))
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
    figure = picture(10, 3.8)
    if history.empty:
        _nothing(figure.subplots(), "no epoch yet")
        figure.alt_text = "Learning curves before the first epoch: nothing yet."
        return figure
    loss, score, rate = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    epochs = history["epoch"].to_numpy()
    _curve_pair(loss, history, "loss_total", "total", INK, "o")
    _curve_pair(score, history, "emotion_weighted_f1", "emotion", TASK_COLORS["emotion"], "o")
    _curve_pair(score, history, "sentiment_weighted_f1", "sentiment", TASK_COLORS["sentiment"], "s")
    if "learning_rate" in history:
        rates = history["learning_rate"].to_numpy()
        rate.step(epochs, rates, where="mid", color=INK, marker="o" if len(epochs) == 1 else None)
        if (rates > 0).all():
            rate.set_yscale("log")
            rate.set_ylim(rates.min() / 3.5, rates.max() * 3.5)  # more than a decade: at least one power of ten in it
            rate.yaxis.set_minor_formatter(NullFormatter())
    loss.set(title="Loss", ylabel="cross-entropy, both tasks")
    score.set(title="Weighted F1")
    rate.set(title="Learning rate")
    for ax in (loss, score, rate):
        best = None if best_epoch is None else ax.axvline(best_epoch, color="#777777", linestyle=":", zorder=1)
        if ax is loss and best:
            best.set_label(f"best epoch ({best_epoch})")
        _epoch_axis(ax, epochs)
    figure.alt_text = _describe_history(history, best_epoch)
    return figure


def _curve_pair(ax: Axes, history: pd.DataFrame, column: str, name: str, color: str, marker: str) -> None:
    """Training dashed, validation solid with marks: told apart without colour."""
    few = 5 if len(history) < 40 else 0
    for phase, label, dashes in (("train", "train", "--"), ("val", "validation", "-")):
        if f"{phase}_{column}" not in history:
            continue
        marked = {"marker": marker, "markersize": few} if phase == "val" else {}
        if phase == "train" and len(history) == 1:
            marked = {"marker": marker, "markersize": 9, "markerfacecolor": "none"}
        text = label if name == "total" else f"{name}, {label}"
        ax.plot(history["epoch"], history[f"{phase}_{column}"], dashes, color=color, label=text, **marked)


def _epoch_axis(ax: Axes, epochs: np.ndarray) -> None:
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    pad = max(0.9, 0.03 * np.ptp(epochs))
    ax.set_xlim(epochs.min() - pad, epochs.max() + pad)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)


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


@style()
def results(report: Mapping, ceiling: Mapping | None = None, metric: str = "weighted_f1", title: str = "") -> Picture:
    """What a run reached, for each task: always the commonest class, the model, and the best possible.

    Args:
        report: as `mmsa_lib.metrics.report` makes it.
        ceiling: `{"emotion": {metric: value}, "sentiment": ...}` or a plain number a task, where known.
        metric: `accuracy`, `weighted_f1` or `macro_f1`.
    """
    figure = picture(8.5, 0.95 + 0.43 * (3 if ceiling else 2))
    described = []
    for ax, task in zip(figure.subplots(1, 2), ("emotion", "sentiment"), strict=True):
        bars = _result_bars(report[task], (ceiling or {}).get(task), metric)
        _horizontal_bars(ax, bars, limit=1.45)
        ax.set(title=plain(f"{task}{f', {title}' if title else ''}", 34), xlabel=_metric_name(metric))
        described.append(f"{task}: " + ", ".join(_bar_words(bar) for bar in bars))
    figure.alt_text = f"{_metric_name(metric)} on {report['n']} utterances. {'; '.join(described)}."
    return figure


def _result_bars(result: Mapping, ceiling: Mapping | float | None, metric: str) -> list[dict]:
    low, high = result.get("interval_95", {}).get(metric, (np.nan, np.nan))
    bars = [
        {"name": "majority class", "mean": result["majority"][metric], "colors": [BASELINE_COLOR]},
        {"name": "model", "mean": result[metric], "low": low, "high": high, "colors": [MODALITY_COLORS["all"]]},
    ]
    best = ceiling.get(metric) if isinstance(ceiling, Mapping) else ceiling
    if best is not None:
        bars.append({"name": "best possible", "mean": best, "colors": []})
    return bars


@style()
def modality_comparison(
    rows: Sequence[Mapping], majority: float | None = None, metric: str = "weighted_f1", title: str = ""
) -> Picture:
    """One bar a set of modalities, in their colours, with its interval; a dashed line for the commonest class.

    Each row has `name`, `modalities` (some of text, video, audio), `mean`, and where known `low` and `high`,
    the ends of its interval. A bar of two modalities has both colours.
    """
    bars = [{**row, "colors": _modality_colors(row["modalities"])} for row in rows]
    figure = picture(7.5, 1.3 + 0.42 * len(bars))
    ax = figure.subplots()
    _horizontal_bars(ax, bars, limit=1.25)
    ax.set(title=_title(figure, title), xlabel=_metric_name(metric))
    baseline = ""
    if majority is not None:
        ax.axvline(majority, color=INK, linestyle="--", linewidth=1.3, label=f"majority class ({majority:.3f})")
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
        baseline = f"; always the commonest class {majority:.3f}"
    named = ", ".join(_bar_words(bar) for bar in bars)
    figure.alt_text = f"{_metric_name(metric)} by modality: {named}{baseline}."
    return figure


def _modality_colors(modalities: Sequence[str]) -> list[str]:
    known = [name for name in MODALITY_COLORS if name in modalities]
    if "all" in known or len(known) == len(MODALITIES):
        return [MODALITY_COLORS["all"]]
    return [MODALITY_COLORS[name] for name in known] or [BASELINE_COLOR]


def _horizontal_bars(ax: Axes, bars: Sequence[Mapping], limit: float) -> None:
    """Bars from 0 to 1 with interval and number behind, for which the axis goes on to `limit`.

    A bar with two colours is split along, one with none is hollow.
    """
    for i, bar in enumerate(bars):
        colors, mean = bar["colors"], np.nan_to_num(bar["mean"])
        thick = 0.7 / max(1, len(colors))
        for part, color in enumerate(colors):
            ax.barh(i - 0.35 + thick * (part + 0.5), mean, height=thick, color=color)
        if not colors:
            ax.barh(i, mean, height=0.7, facecolor="white", edgecolor=INK, hatch="//", linewidth=1.2)
        low, high = bar.get("low", np.nan), bar.get("high", np.nan)
        end = mean
        if np.isfinite([low, high]).all():
            # white under black: seen on a dark bar and on white paper alike
            ax.plot([low, high], [i, i], color="white", linewidth=4, solid_capstyle="butt", zorder=3)
            ax.plot([low, high], [i, i], color="black", linewidth=1.6, marker="|", markersize=9, zorder=4)
            end = max(mean, high)
        ax.annotate(
            _bar_number(bar), (end, i), xytext=(7, 0), textcoords="offset points", va="center", size=9, color=INK
        )
    ax.set_yticks(range(len(bars)), [_label(bar["name"]) for bar in bars])
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(0, limit)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def _bar_number(bar: Mapping) -> str:
    if not np.isfinite(bar["mean"]):
        return "not measured"
    ends = [bar.get("low", np.nan), bar.get("high", np.nan)]
    return f"{bar['mean']:.3f}" + (f"  [{ends[0]:.3f}, {ends[1]:.3f}]" if np.isfinite(ends).all() else "")


def _bar_words(bar: Mapping) -> str:
    return f"{bar['name']} {_bar_number(bar)}".replace("  ", " ")


def _metric_name(metric: str) -> str:
    return metric.capitalize().replace("_", " ").replace("f1", "F1")


# -------------------------------------------------------------------------------------------- data


@style()
def class_counts(
    labels_by_split: Mapping[str, Sequence[str | int]], names: Sequence[str] = EMOTIONS, title: str = ""
) -> Picture:
    """How often each class occurs: a panel a split, `{"train": (N,) names or indices, ...}`, bars of its share.

    The bar is the share, so splits of different size compare; the number of utterances stands behind it.
    """
    known = {**EMOTION_COLORS, **SENTIMENT_COLORS}
    colors = [known.get(name, BASELINE_COLOR) for name in names]
    figure = picture(min(10, 1.4 + 2.9 * len(labels_by_split)), 1.3 + 0.3 * len(names))
    panels = figure.subplots(1, len(labels_by_split), sharex=True, sharey=True, squeeze=False)[0]
    described = []
    for ax, (split, labels) in zip(panels, labels_by_split.items(), strict=True):
        counts = _count(labels, names)
        shares = counts / max(1, counts.sum())
        ax.barh(range(len(names)), shares, color=colors, height=0.72)
        for i, (count, share) in enumerate(zip(counts, shares, strict=True)):
            ax.text(share, i, f" {count:,} ({share:.0%})", va="center", size=9)
        ax.set_title(f"{plain(split)}, n = {counts.sum():,}")
        ax.grid(False, axis="y")
        listed = ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True))
        described.append(f"{split} ({counts.sum()}): {listed}")
    _share_axis(panels, [_label(name) for name in names])
    figure.supxlabel("share of the split", size=10)
    if title:
        figure.suptitle(plain(title), x=0.01, ha="left", size=11, weight="bold")
    figure.alt_text = f"Utterances of each class. {'; '.join(described)}."
    return figure


def _count(labels: Sequence[str | int], names: Sequence[str]) -> np.ndarray:
    index = {name: i for i, name in enumerate(names)}
    found = np.array([index[x] if isinstance(x, str) else int(x) for x in labels], dtype=int)
    return np.bincount(found, minlength=len(names))


def _share_axis(panels: Sequence[Axes], names: Sequence[str]) -> None:
    first = panels[0]
    first.set_yticks(range(len(names)), names)
    first.invert_yaxis()
    widest = max((bar.get_width() for ax in panels for bar in ax.patches), default=0)
    first.set_xlim(0, max(0.05, 1.6 * widest))  # room for the numbers behind the longest bar
    first.xaxis.set_major_locator(MaxNLocator(nbins=4))
    first.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for ax in panels:
        ax.tick_params(axis="y", length=0)


@style()
def data_health(
    counts: Mapping[str, Mapping[str, int]], rows: Mapping[str, int], lengths: pd.DataFrame, longest: float = 60.0
) -> Picture:
    """What an audit found: how often each problem occurs in each split, and clip lengths against their rows'.

    Args:
        counts: `{"train": {"missing": 0, ...}, ...}`; a problem that occurs nowhere is not drawn.
        rows: utterances of each split.
        lengths: columns `split`, `row_seconds`, `clip_seconds`; one row a clip that can be read.
        longest: seconds of a clip that are used.
    """
    splits = list(counts)
    names = [name for name in next(iter(counts.values()), {}) if any(counts[split][name] for split in splits)]
    figure = picture(10, max(3.4, 1.4 + 0.32 * len(names)))
    table, ax = figure.subplots(1, 2, width_ratios=(3, 4))
    values = np.array([[counts[split][name] for split in splits] for name in names])
    _problem_table(table, values, names, splits, [rows[split] for split in splits])
    far = _length_scatter(ax, lengths, longest)
    listed = "; ".join(f"{n.replace('_', ' ')} {sum(counts[s][n] for s in splits)}" for n in names) or "no problem"
    figure.alt_text = (
        f"Health of a data set of {sum(rows.values())} utterances: {listed}. Of {len(lengths)} clips that can be read, "
        f"{far} differ by more than a second from the times of their row."
    )
    return figure


def _problem_table(ax: Axes, values: np.ndarray, names: list[str], splits: list[str], rows: list[int]) -> None:
    """Counts (problems, splits) as a table; the colour is the share of the split's utterances."""
    if not names:
        _nothing(ax, "nothing wrong")
        ax.set_title("Problems")
        return
    shares = values / np.maximum(1, rows)
    ax.imshow(np.sqrt(shares), cmap="Oranges", vmin=0, vmax=0.5, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        color = "white" if shares[row, column] > 0.1 else INK
        ax.text(column, row, f"{value:,}" if value else "–", ha="center", va="center", size=9, color=color)
    ax.set_xticks(range(len(splits)), [f"{split}\nn={n:,}" for split, n in zip(splits, rows, strict=True)])
    ax.set_yticks(range(len(names)), [_label(name.replace("_", " ")) for name in names])
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("Problems")


def _length_scatter(ax: Axes, lengths: pd.DataFrame, longest: float) -> int:
    """Clip length against row length; returns how many clips are more than a second off."""
    ax.set(title="Length of the clip against its row", xlabel="row (s)", ylabel="clip (s)")
    known = lengths[np.isfinite(lengths["row_seconds"].to_numpy(dtype=float))] if len(lengths) else lengths
    if not len(known):
        _nothing(ax, "no clip to compare")
        return 0
    row, clip = known["row_seconds"].to_numpy().clip(0.02), known["clip_seconds"].to_numpy().clip(0.02)
    far = (known["clip_seconds"] - known["row_seconds"]).abs().to_numpy() > 1
    ax.plot([0.02, 400], [0.02, 400], color=BASELINE_COLOR, linewidth=1, zorder=1)
    ax.axhline(longest, color="#777777", linestyle=":", linewidth=1)
    ax.text(0.022, longest * 1.1, f"only {longest:g} s are used", size=8, color="#555555")
    ax.scatter(row[~far], clip[~far], s=7, color=MODALITY_COLORS["text"], alpha=0.4, linewidths=0, label="agree")
    ax.scatter(row[far], clip[far], s=26, color=MODALITY_COLORS["video"], marker="x", label="more than 1 s apart")
    ax.set(xscale="log", yscale="log", xlim=(0.02, 400), ylim=(0.02, 400))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.legend(loc="lower right")
    return int(far.sum())


@style()
def frame_strip(frames: np.ndarray | None, times: np.ndarray | None = None, most: int = 8) -> Picture:
    """Frames (T, H, W, 3) uint8 side by side, at most `most` spread over all; `times` (T,) in seconds below."""
    figure = picture(10, 1.7)
    ax = figure.subplots()
    chosen = _frames(ax, frames, times, most)
    if chosen:  # as high as the frames are when they fill the width, within reason
        low, high = ax.get_ylim()[::-1]
        figure.set_figheight(min(2.6, 9.9 * (high - low) / np.ptp(ax.get_xlim()) + (0.1 if times is None else 0.35)))
    when = f", from {times[chosen[0]]:.2f} to {times[chosen[-1]]:.2f} s" if chosen and times is not None else ""
    figure.alt_text = f"{len(chosen)} frames of a clip side by side{when}." if chosen else "No video."
    return figure


@style()
def waveform(waveform: np.ndarray | None, sample_rate: int, title: str = "") -> Picture:
    """Pressure over time of a waveform (S,): the lowest and highest sample of each of many short stretches."""
    figure = picture(10, 2.2)
    ax = figure.subplots()
    seconds, peak = _wave(ax, waveform, sample_rate)
    ax.set_title(_title(figure, title))
    figure.alt_text = "No audio."
    if seconds:
        ax.set_ylabel("amplitude")
        figure.alt_text = f"Waveform of {seconds:.2f} seconds, peak amplitude {peak:.2f}."
    return figure


@style()
def spectrogram(mel: np.ndarray | None, hop_seconds: float, title: str = "", unit: str = "log energy") -> Picture:
    """A mel spectrogram (bands, frames), low bands below; frame t begins at t * `hop_seconds`."""
    figure = picture(10, 2.8)
    ax = figure.subplots()
    ax.set_title(_title(figure, title))
    if mel is None or np.size(mel) == 0:
        _nothing(ax, "no audio")
        figure.alt_text = "No audio."
        return figure
    bands, frames = np.shape(mel)
    values = np.ma.masked_invalid(np.asarray(mel, dtype=float))
    ax.grid(False)
    extent = (0, frames * hop_seconds, 0, bands)
    image = ax.imshow(values, origin="lower", aspect="auto", cmap="magma", extent=extent, interpolation="nearest")
    ax.set(xlabel="time (s)", ylabel="mel band")
    bar = figure.colorbar(image, ax=ax, fraction=0.03, pad=0.01)
    bar.set_label(unit)
    bar.outline.set_visible(False)
    loudest = int(np.ma.argmax(values.mean(axis=1)))
    figure.alt_text = (
        f"Mel spectrogram of {frames * hop_seconds:.2f} seconds, {bands} bands; most energy in band {loudest}."
    )
    return figure


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
    figure = Picture(figsize=(10, STRIP_ROW * len(samples)))
    rows = [_strip_row(figure, place, sample) for place, sample in enumerate(samples)]
    figure.alt_text = f"{len(samples)} clips with their predictions. " + " ".join(rows)
    return figure


def _strip_row(figure: Picture, place: int, sample: Mapping | object) -> str:
    """Draw one sample; return its description. The places are fixed, in inches, so that rows line up."""
    width, height = figure.get_size_inches()

    def axes(left: float, top: float, right: float, bottom: float) -> Axes:
        low = height - place * STRIP_ROW - bottom
        return figure.add_axes((left / width, low / height, (right - left) / width, (bottom - top) / height))

    if place:
        line = 1 - place * STRIP_ROW / height
        figure.add_artist(Line2D([0.01, 0.99], [line, line], color="#D0D0D0", linewidth=0.8))
    words = axes(0.2, 0.1, 4.8, 0.52)
    words.axis("off")
    said = _get(sample, "text")
    shown = wrapped(f"“{said}”", width=4.6 * 72, size=10, most=2) if said else "(no words)"
    words.text(0, 0.08, shown, va="bottom", size=10, style="italic", transform=words.transAxes)
    _frames(axes(0.2, 0.55, 4.8, 1.5), _get(sample, "frames"), None, most=5)
    _wave(axes(0.2, 1.6, 4.8, 2.05), _get(sample, "waveform"), _get(sample, "sample_rate"), small=True)
    first = _distribution(
        axes(6.0, 0.42, 7.8, 2.15), "emotion", _get(sample, "emotion_probs"), _get(sample, "emotion"), 1.0 / 1.8
    )
    second = _distribution(
        axes(8.9, 0.42, 9.9, 2.15), "sentiment", _get(sample, "sentiment_probs"), _get(sample, "sentiment"), 1.0
    )
    quoted = f"“{shorten(str(said), 80, placeholder=' …')}”: " if said else ""
    return f"{quoted}{first}; {second}."


def _distribution(ax: Axes, task: str, probs: np.ndarray, true: str | int | None, title_indent: float = 0.0) -> str:
    """Bars of one distribution with verdict, the title `title_indent` axes widths left; return the description."""
    colors = EMOTION_COLORS if task == "emotion" else SENTIMENT_COLORS
    names = list(colors)
    values = np.asarray(probs, dtype=float)
    if values.shape != (len(names),):
        raise ValueError(f"{task} probabilities must have the shape ({len(names)},), not {values.shape}")
    answer = names[int(np.nanargmax(values))] if np.isfinite(values).any() else None
    known = names[true] if isinstance(true, int | np.integer) else true
    bars = ax.barh(range(len(names)), np.nan_to_num(values), color=list(colors.values()), height=0.72)
    for i, (bar, value) in enumerate(zip(bars, values, strict=True)):
        weight = "bold" if names[i] == answer else "normal"
        ax.text(bar.get_width() + 0.04, i, _percent(value), va="center", size=9, weight=weight)
        if names[i] == answer:
            bar.set(edgecolor=INK, linewidth=1.4)
    ax.set_yticks(range(len(names)), [f"true ▸ {n}" if n == known else n for n in names])
    for label, name in zip(ax.get_yticklabels(), names, strict=True):
        label.set(weight="bold" if name == known else "normal", color=INK)
    ax.set_xlim(0, 1.35 if task == "emotion" else 1.6)  # room for the number behind a full bar; sentiment is narrow
    ax.set_xticks([0, 0.5, 1], ["0", "", "100%"])
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    title, color, description = _verdict(task, answer, known, values)
    ax.set_title(title, color=color, x=-title_indent)
    return description


def _verdict(task: str, answer: str | None, known: str | None, values: np.ndarray) -> tuple[str, str, str]:
    """Title, its colour, and the description of a prediction; right and wrong differ by mark and colour."""
    if answer is None:
        return f"{task}: no prediction", INK, f"no {task} predicted"
    said = f"{task} {answer} {_percent(np.nanmax(values))}"
    if known is None:
        return f"{task}: {answer}", INK, said
    if answer == known:
        return f"{task}: {answer} ✓", SENTIMENT_COLORS["positive"], f"{said}, right"
    return f"{task}: {answer} ✗", SENTIMENT_COLORS["negative"], f"{said}, wrong, truly {known}"


# -------------------------------------------------------------------------------- shared by several


def _frames(ax: Axes, frames: np.ndarray | None, times: np.ndarray | None, most: int) -> list[int]:
    """Up to `most` of the frames (T, H, W, 3) side by side in one image; return which."""
    ax.set_yticks([])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if frames is None or len(frames) == 0:
        _nothing(ax, "no video")
        return []
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be (T, H, W, 3) uint8, not {frames.shape} {frames.dtype}")
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


def _wave(ax: Axes, waveform: np.ndarray | None, sample_rate: int | None, small: bool = False) -> tuple[float, float]:
    """The envelope of a waveform (S,); return the seconds it lasts and its peak."""
    if waveform is None or len(waveform) == 0:
        _nothing(ax, "no audio")
        return 0.0, 0.0
    if np.ndim(waveform) != 1:
        raise ValueError(f"a waveform must be (S,), not {np.shape(waveform)}")
    low, high, seconds = envelope(np.asarray(waveform, dtype=float), int(sample_rate), WAVEFORM_COLUMNS)
    ax.fill_between(seconds, low, high, color=MODALITY_COLORS["audio"], linewidth=0.6)
    peak = float(np.abs([low, high]).max())
    reach = max(1e-3, 1.1 * peak)
    ax.set_ylim(-reach, reach)
    ax.set_xlim(0, len(waveform) / sample_rate)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6 if small else 10, steps=[1, 2, 5, 10]))
    ax.set_xlabel("time (s)", size=9 if small else None)
    if small:
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    return len(waveform) / sample_rate, peak


def envelope(waveform: np.ndarray, sample_rate: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest sample of at most `columns` equal stretches of a waveform (S,), and their times (s)."""
    starts = np.unique(np.linspace(0, len(waveform), min(columns, len(waveform)), endpoint=False).astype(int))
    low, high = np.fmin.reduceat(waveform, starts), np.fmax.reduceat(waveform, starts)
    low, high = (np.nan_to_num(side, posinf=0, neginf=0) for side in (low, high))
    return low, high, starts / sample_rate


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


def _one_line(text: str) -> str:
    """`text` without line breaks, control characters and halves of characters."""
    return " ".join("".join(c for c in " ".join(str(text).split()) if unicodedata.category(c)[0] != "C").split())


def plain(text: str, most: int = 90) -> str:
    """`text` as one line that matplotlib shows as it stands: no formulas, no character the font lacks.

    What is longer than `most` characters is cut and ends in an ellipsis.
    """
    kept = [c for c in _one_line(text) if not "\ufe00" <= c <= "\ufe0f"]  # these only choose a style of emoji
    kept = kept if len(kept) <= most else [*kept[: most - 1], "…"]
    return "".join(c if ord(c) in _glyphs() else "□" for c in kept).replace("$", r"\$")


def wrapped(text: str, width: float, size: float, most: int) -> str:
    """`text` as `plain` has it, broken into at most `most` lines of `width` points at `size` points.

    A word longer than a line is cut; what does not fit ends in an ellipsis.
    """
    lines, line = [], ""
    for word in _cut_words(plain(text, 2000).replace(r"\$", "$").split(), width, size):
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
            last = last.rpartition(" ")[0] or last[:-1]
        lines = [*lines[: most - 1], last.rstrip() + " …"]
    return "\n".join(lines).replace("$", r"\$")


def _label(name: str) -> str:
    return wrapped(name, LABEL_WIDTH, size=9, most=1)


def _title(figure: Figure, text: str) -> str:
    """The title in up to two lines that fit beside what stands left and right of the axes."""
    return wrapped(text, (figure.get_figwidth() - 1.8) * 72, size=12.5, most=2) if text else ""


def _cut_words(words: list[str], width: float, size: float) -> list[str]:
    pieces = []
    for word in words:
        while _text_width(word, size) > width and len(word) > 1:
            fits = bisect_right(range(1, len(word)), width, key=lambda n, word=word: _text_width(word[:n], size))
            fits = max(1, fits)
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
