"""Pictures of an evaluation: classes, calibration, contributions, two heads, groups, mistakes; the look of `plots`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from mmsa_lib import plots
from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.plots import BASELINE_COLOR, INK, MODALITY_COLORS, PALE, TASK_COLORS, Picture, style

CLASS_MARKS = {"precision": "s", "recall": "o", "f1": "D"}
WRONG = "#CC6677"  # beside blue and grey told apart by everybody, and always hatched or named


def _rows(ax: Axes, names: Sequence[str]) -> None:
    """Names down the left side, the first one on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")


def _spoken(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


@style()
def class_scores(per_class: Mapping[str, Mapping], title: str = "") -> Picture:
    """Precision, recall and F1 of every class with their intervals, the commonest class on top.

    `per_class` as `mmsa_lib.evaluation.scores` gives it: `support`, and each score with `…_interval`.
    """
    names = sorted(per_class, key=lambda name: -per_class[name]["support"])
    figure = plots.picture(8.5, 1.2 + 0.5 * len(names))
    ax = figure.subplots()
    described = []
    for place, (score, mark) in enumerate(CLASS_MARKS.items()):
        values = np.array([per_class[name][score] for name in names])
        ends = np.array([per_class[name][f"{score}_interval"] for name in names])
        errors = np.clip(np.stack([values - ends[:, 0], ends[:, 1] - values]), 0, None)
        y = np.arange(len(names)) + 0.22 * (place - 1)
        color = (TASK_COLORS["emotion"], MODALITY_COLORS["text"], INK)[place]
        label = "F1" if score == "f1" else score
        ax.errorbar(values, y, xerr=errors, fmt=mark, color=color, markersize=5, capsize=2, linewidth=1.2, label=label)
    for name in names:
        row = per_class[name]
        described.append(f"{name} (n = {row['support']}) F1 {_spoken(row['f1'], *row['f1_interval'])}")
    _rows(ax, [f"{plots.plain(name, 24)}  n={per_class[name]['support']}" for name in names])
    ax.set(xlim=(-0.02, 1.02), xlabel="score, with 95 % interval", title=plots.plain(title))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.alt_text = f"Scores by class{f', {title}' if title else ''}: {'; '.join(described)}."
    return figure


# ---------------------------------------------------------------------------------------- calibration


@style()
def reliability(named: Mapping[str, Mapping[str, np.ndarray]], title: str = "") -> Picture:
    """Reliability diagrams side by side: accuracy over confidence, with the number of answers in each bin below.

    Args:
        named: a title (line breaks are kept) -> what `mmsa_lib.calibration.reliability` returns.
    """
    figure = plots.picture(min(10, 1 + 4.2 * len(named)), 4.8)
    panels = figure.subplots(2, len(named), sharex=True, sharey="row", height_ratios=(4, 1), squeeze=False)
    described = []
    for (above, below), (name, bins) in zip(panels.T, named.items(), strict=True):
        _reliability_panel(above, bins)
        above.set_title("\n".join(plots.plain(line) for line in name.split("\n")))
        width = bins["high"] - bins["low"]
        below.bar(bins["low"] + width / 2, bins["count"], width=0.9 * width, color=BASELINE_COLOR)
        below.set(xlabel="confidence", xlim=(0, 1))
        described.append(f"{' '.join(name.split())}: {_reliability_words(bins)}")
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("answers")
    panels[0, -1].legend(loc="upper left")
    figure.suptitle(plots.plain(title), x=0.01, ha="left", size=11, weight="bold") if title else None
    figure.alt_text = f"Reliability diagram{f' of {title}' if title else ''}. {' '.join(described)}"
    return figure


def _reliability_panel(ax: Axes, bins: Mapping[str, np.ndarray]) -> None:
    """Dots of accuracy with intervals, the diagonal of the truthful, the gap to it as a bar."""
    x, y = bins["confidence"], bins["accuracy"]
    ax.plot([0, 1], [0, 1], "--", color="#777777", linewidth=1.2, label="as sure as right")
    full = bins["count"] > 0
    gaps = ax.bar(
        x[full],
        (y - x)[full],
        bottom=x[full],
        width=0.05,
        color="#F3C9CF",
        edgecolor=WRONG,
        hatch="///",
        linewidth=0.5,
        label="gap",
    )
    gaps.set_zorder(1) if hasattr(gaps, "set_zorder") else None
    errors = np.clip(np.stack([y - bins["accuracy_low"], bins["accuracy_high"] - y])[:, full], 0, None)
    ax.errorbar(
        x[full],
        y[full],
        yerr=errors,
        fmt="o",
        color=TASK_COLORS["emotion"],
        capsize=2,
        linewidth=1.2,
        zorder=3,
        label="accuracy, 95 %",
    )
    ax.set(ylim=(-0.02, 1.05))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _reliability_words(bins: Mapping[str, np.ndarray]) -> str:
    rows = zip(bins["confidence"], bins["accuracy"], bins["count"], strict=True)
    return ", ".join(f"{c:.0%} sure {a:.0%} right (n = {n})" for c, a, n in rows if n) + "."


# -------------------------------------------------------------------------------------- contributions


@style()
def contributions(found: Mapping, title: str = "") -> Picture:
    """What each modality adds to a score: alone, its Shapley value, and what its removal costs, with intervals.

    `found` as `mmsa_lib.evaluation.contributions` gives it.
    """
    ways = {"alone": "alone", "shapley": "Shapley value", "removal": "lost by removal"}
    modalities = list(found["shapley"])
    figure = plots.picture(8, 0.9 + 0.75 * len(modalities))
    ax = figure.subplots()
    described = []
    for place, (way, label) in enumerate(ways.items()):
        rows = [found[way][m] for m in modalities]
        values = np.array([row["value"] for row in rows])
        errors = [values - [row["low"] for row in rows], [row["high"] for row in rows] - values]
        y = np.arange(len(modalities)) + 0.26 * (place - 1)
        colors = [MODALITY_COLORS[m] for m in modalities]
        hatch, alpha = (("..", 0.55), ("", 1.0), ("//", 0.55))[place]
        ax.barh(y, values, 0.24, color=colors, alpha=alpha, hatch=hatch, edgecolor="white")
        ax.errorbar(values, y, xerr=np.clip(errors, 0, None), fmt="none", ecolor=INK, capsize=2, linewidth=1.1)
        ends = np.array([row["high"] for row in rows])
        for at, end, value in zip(y, np.maximum(ends, values), values, strict=True):
            ax.text(max(end, 0) + 0.008, at, f"{label} {value:+.3f}", va="center", size=8.5)
        listed = zip(modalities, rows, strict=True)
        described.append(f"{label}: " + ", ".join(f"{m} {_spoken(*r.values())}" for m, r in listed))
    ax.axvline(0, color=INK, linewidth=1)
    _rows(ax, modalities)
    low, high = ax.get_xlim()
    ax.set_xlim(low, high + 0.3 * (high - low))
    ax.set(xlabel=f"{found['metric'].replace('_', ' ').replace('f1', 'F1')} added", title=plots.plain(title))
    figure.alt_text = f"What each modality adds{f', {title}' if title else ''}. {'; '.join(described)}."
    return figure


@style()
def clip_contributions(steps: Mapping[str, float], start: float, answer: str, title: str = "") -> Picture:
    """How one clip's probability of one class comes about: from the class's share, step by step, to the answer.

    What raises it most is drawn first. (The order means nothing: a Shapley value is a mean over all orders.)

    Args:
        steps: modality (words may follow it) -> its Shapley value.
        start: the probability before anything was seen; `start` plus the steps is the model's probability.
    """
    steps = dict(sorted(steps.items(), key=lambda step: -step[1]))
    figure = plots.picture(8, 1.2 + 0.42 * (len(steps) + 2))
    ax = figure.subplots()
    at = start
    ax.barh(0, start, 0.6, color=BASELINE_COLOR)
    ax.text(start + 0.012, 0, f"{start:.0%}", va="center", size=9)
    for place, (name, step) in enumerate(steps.items(), 1):
        color = MODALITY_COLORS.get(name.split()[0], MODALITY_COLORS["all"])
        ax.barh(place, step, 0.6, left=at, color=color, hatch="" if step >= 0 else "//", edgecolor="white")
        ax.plot([at, at], [place - 0.7, place + 0.3], color="#777777", linewidth=0.8)
        ax.text(max(at, at + step) + 0.012, place, f"{step:+.0%}", va="center", size=9)
        at += step
    ax.barh(len(steps) + 1, at, 0.6, color=MODALITY_COLORS["all"])
    ax.text(at + 0.012, len(steps) + 1, f"{at:.0%}", va="center", size=9, weight="bold")
    _rows(ax, ["nothing seen yet", *(plots.plain(name, 40) for name in steps), "everything seen"])
    ax.set(
        xlim=(min(0, ax.get_xlim()[0]), max(1.12, ax.get_xlim()[1] + 0.08)),
        xlabel=f"probability of {plots.plain(answer, 20)}",
    )
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_title(plots.wrapped(title, 7 * 72, 12, most=2) if title else "")
    listed = ", ".join(f"{name} {step:+.0%}" for name, step in steps.items())
    figure.alt_text = f"Probability of {answer}: {start:.0%} before anything is seen, {listed}, together {at:.0%}."
    return figure


# ----------------------------------------------------------------------------------- two heads, groups


@style()
def pairs(counts: np.ndarray, allowed: np.ndarray, title: str = "") -> Picture:
    """How often each pair of emotion and sentiment is answered, (7, 3); pairs that cannot be are hatched."""
    counts, allowed = np.asarray(counts), np.asarray(allowed, dtype=bool)
    figure = plots.picture(6, 3.6)
    ax = figure.subplots()
    ax.grid(False)
    shares = counts / max(1, counts.sum())
    ax.imshow(np.where(allowed, np.sqrt(shares), np.nan), cmap="Blues", vmin=0, vmax=0.9, aspect="auto")
    ax.set_facecolor(PALE)
    for (row, column), count in np.ndenumerate(counts):
        fine = allowed[row, column]
        if not fine:
            ax.bar(column, 1, 1, bottom=row - 0.5, facecolor="none", edgecolor=WRONG, hatch="///", linewidth=0)
        color = "white" if fine and np.sqrt(shares[row, column]) > 0.5 else INK
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if not fine and count else None
        shown = f"{count:,}" if count or fine else ""
        weight = "bold" if count and not fine else "normal"
        ax.text(column, row, shown, ha="center", va="center", color=color, bbox=box, weight=weight)
    ax.set_xticks(range(len(SENTIMENTS)), SENTIMENTS)
    ax.set_yticks(range(len(EMOTIONS)), EMOTIONS)
    ax.set(xlim=(-0.5, 2.5), ylim=(6.5, -0.5), xlabel="sentiment head", ylabel="emotion head")
    ax.set_title(plots.plain(title, 60))
    ax.tick_params(length=0)
    odd = [f"{EMOTIONS[e]} with {SENTIMENTS[s]} {counts[e, s]}" for e, s in np.argwhere(~allowed & (counts > 0))]
    total, words = counts[~allowed].sum(), ", ".join(odd)
    figure.alt_text = (
        f"Pairs of answers of the two heads on {counts.sum()} utterances: {total} cannot be"
        f"{f' ({words})' if odd else ''}."
    )
    return figure


@style()
def groups(found: Mapping, title: str = "") -> Picture:
    """Accuracy by group with its interval; hollow diamonds are what the group's mix of classes would give anyway.

    `found` as `mmsa_lib.subgroups.by_group` gives it. A group that differs by more than chance is named `!`.
    """
    rows = found["groups"]
    figure = plots.picture(8, 1.3 + 0.36 * len(rows))
    ax = figure.subplots()
    for y, row in enumerate(rows):
        color = INK if row["noise"] else WRONG
        ax.plot([row["low"], row["high"]], [y, y], color=color, linewidth=2.4 if not row["noise"] else 1.6)
        ax.plot(row["accuracy"], y, "o", color=color, markersize=7)
        ax.plot(row["expected"], y, "D", markerfacecolor="white", color="#777777", markersize=6, zorder=3)
        verdict = "" if row["noise"] else "  ! more than chance"
        ax.text(1.02, y, f"{row['accuracy']:.0%}{verdict}", va="center", size=9)
    _rows(ax, [f"{plots.plain(row['name'], 24)}  n={row['n']}" for row in rows])
    ax.set(xlim=(0, 1.3), title=plots.plain(title), xlabel="accuracy (●, 95 %), expected from its classes (◇)")
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    listed = ", ".join(f"{r['name']} {r['accuracy']:.0%} of {r['n']}" for r in rows)
    figure.alt_text = f"Accuracy{f' by {title}' if title else ''}: {listed}; all groups together p = {found['p']:.2f}."
    return figure


@style()
def differences(rows: Sequence[Mapping], title: str = "", xlabel: str = "difference of weighted F1") -> Picture:
    """Paired differences with their intervals, one row each: `name`, `difference`, `interval`; zero is marked."""
    figure = plots.picture(8, 1.2 + 0.38 * len(rows))
    ax = figure.subplots()
    ax.axvline(0, color=INK, linewidth=1)
    for y, row in enumerate(rows):
        low, high = row["interval"]
        noise = low <= 0 <= high
        color = "#777777" if noise else TASK_COLORS["emotion"]
        ax.plot([low, high], [y, y], color=color, linewidth=2.4, marker="|", markersize=9)
        ax.plot(row["difference"], y, "o", color=color, markerfacecolor="white" if noise else color, markersize=8)
        said = f"{row['difference']:+.3f}{' (noise)' if noise else ''}"
        ax.annotate(said, (1.02, y), xycoords=("axes fraction", "data"), va="center", size=9)
    _rows(ax, [plots.plain(row["name"], 40) for row in rows])
    ax.set(title=plots.plain(title), xlabel=f"{xlabel}, 95 % interval")
    listed = "; ".join(
        f"{r['name']} {r['difference']:+.3f} [{r['interval'][0]:+.3f}, {r['interval'][1]:+.3f}]" for r in rows
    )
    figure.alt_text = f"{xlabel.capitalize()}{f', {title}' if title else ''}, with 95 % intervals: {listed}."
    return figure


# ------------------------------------------------------------------------------------------- mistakes


@style()
def clip_card(sample: Mapping) -> Picture:
    """One clip and what was made of it: frames, waveform, log-mel spectrogram, and both distributions.

    `sample` has `frames` (T, H, W, 3) uint8 or None, `waveform` (S,) or None, `sample_rate`, `mel` (bands, T) or
    None, `emotion_probs` (7,), `sentiment_probs` (3,), and the true `emotion` and `sentiment` (a name or None).
    """
    figure = plots.picture(10, 4.3)
    grid = figure.add_gridspec(3, 2, width_ratios=(3, 2), height_ratios=(1.5, 0.8, 1.2))
    plots._frames(figure.add_subplot(grid[0, 0]), sample["frames"], None, 6)
    wave = figure.add_subplot(grid[1, 0])
    seconds, _ = plots._wave(wave, sample["waveform"], sample["sample_rate"])
    wave.set_yticks([])
    if seconds:
        wave.set_xlabel("")
        wave.tick_params(labelbottom=False)
    _mel(figure.add_subplot(grid[2, 0]), sample["mel"], seconds)
    first = plots._distribution(
        figure.add_subplot(grid[:2, 1]), "emotion", sample["emotion_probs"], sample["emotion"], 0.35
    )
    second = plots._distribution(
        figure.add_subplot(grid[2, 1]), "sentiment", sample["sentiment_probs"], sample["sentiment"], 0.35
    )
    figure.alt_text = f"A clip of {seconds:.1f} seconds; {first}; {second}."
    return figure


def _mel(ax: Axes, mel: np.ndarray | None, seconds: float) -> None:
    if mel is None or not seconds:
        plots._nothing(ax, "no audio")
        return
    ax.grid(False)
    extent = (0, seconds, 0, len(mel))
    ax.imshow(mel, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=extent)
    ax.set(xlabel="time (s)", ylabel="mel band")
