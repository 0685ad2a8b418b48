"""Pictures of lesson 10: the same line in two scenes, windows of turns, who reaches whom, what context is worth."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, NullLocator

from mmsa_lib.plots import (
    BASELINE_COLOR,
    EMOTION_COLORS,
    INK,
    PALE,
    TASK_COLORS,
    Picture,
    picture,
    plain,
    style,
    wrapped,
)

OWN, OTHER = TASK_COLORS["emotion"], TASK_COLORS["sentiment"]
WHITE_INK = ("anger", "fear", "sadness", "disgust")  # emotions whose colours need white letters
LOOKS = {  # setting: colour, dashes, mark
    "3 before": (OWN, "-", "o"),
    "3 before, GRU": ("#0072B2", "--", "s"),
    "3 before, 3 after": (OTHER, "-", "^"),
    "3 strangers": ("#777777", ":", "x"),
}


@style()
def same_line(scenes: Mapping[str, pd.DataFrame]) -> Picture:
    """Scenes side by side, a turn a row, each ending in the same line: speaker, words, and how it is felt."""
    figure = picture(10, 2.9)
    axes, said = figure.subplots(1, len(scenes), squeeze=False)[0], []
    for ax, (title, turns) in zip(axes, scenes.items(), strict=True):
        ax.axis("off")
        ax.set(xlim=(0, 10), ylim=(len(turns) - 0.45, -0.55), title=title)
        for y, row in enumerate(turns.itertuples()):
            last = y == len(turns) - 1
            color, ink = EMOTION_COLORS[row.emotion], "white" if row.emotion in WHITE_INK else INK
            ax.barh(y, 7.9, 0.86, left=2, color=color, edgecolor=INK if last else "none", linewidth=2.5)
            ax.text(1.85, y, plain(row.speaker), ha="right", va="center", weight="bold" if last else "normal")
            ax.text(2.15, y - 0.32, row.emotion, size=7.5, weight="bold", va="top", color=ink)
            ax.text(2.15, y - 0.02, wrapped(row.text, 265, 7.5, most=2), size=7.5, va="top", color=ink, linespacing=1)
        said.append(f"{title}: {', '.join(turns['emotion'])}")
    figure.alt_text = f"The same last line in two scenes, emotions turn by turn. {'; '.join(said)}."
    return figure


@style()
def windows(rows: np.ndarray, real: np.ndarray, who: np.ndarray, names: Sequence[str]) -> Picture:
    """What each of B rows may see: (B, W) row numbers, whether they are there, who speaks (0 other, 1 same)."""
    size, width = rows.shape
    figure = picture(7.2, 0.9 + 0.36 * size)
    ax = figure.subplots()
    for (y, x), row in np.ndenumerate(rows):
        color = (OWN if who[y, x] else OTHER) if real[y, x] else PALE
        hatch = None if real[y, x] else "////"
        ax.bar(x, 0.86, 0.9, bottom=y - 0.43, color=color, hatch=hatch, edgecolor="#BBBBBB" if hatch else "none")
        if real[y, x]:
            last = x == width - 1
            ax.text(x, y, str(row), ha="center", va="center", color="white", weight="bold" if last else "normal")
    ax.set_yticks(range(size), [f"{plain(name)}: row {i}" for i, name in enumerate(names)])
    ax.set_xticks(range(width), [f"{width - 1 - x} before" for x in range(width - 1)] + ["itself"])
    ax.set(ylim=(size - 0.5, -0.5), xlim=(-0.5, width - 0.5), title="What each row may see")
    ax.grid(False)
    ax.tick_params(length=0)
    kinds = ((OWN, None, "same speaker"), (OTHER, None, "somebody else"), (PALE, "////", "no turn"))
    keys = [Patch(facecolor=c, hatch=h, edgecolor="#BBBBBB" if h else c, label=name) for c, h, name in kinds]
    ax.legend(handles=keys, loc="upper left", bbox_to_anchor=(1, 1))
    seen = "; ".join(
        f"row {i} sees {', '.join(map(str, r[ok]))}" for i, (r, ok) in enumerate(zip(rows, real, strict=True))
    )
    figure.alt_text = f"Windows of turns: {seen}."
    return figure


@style()
def reaches(panels: Mapping[str, np.ndarray], dialogue: np.ndarray) -> Picture:
    """Whether a turn (column) reaches the answer for another (row): title -> (B, B) bool; what must not is crossed."""
    figure = picture(10, 3.5)
    forbidden = np.triu(np.ones((len(dialogue),) * 2, dtype=bool), 1) | (dialogue[:, None] != dialogue)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    colors, said = ListedColormap(["white", "#9B92D0", OTHER]), []
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        ax.imshow(found * 1 + (found & forbidden), cmap=colors, vmin=0, vmax=2)
        for i, j in np.argwhere(found & forbidden):
            ax.text(j, i, "×", ha="center", va="center", color="white", weight="bold")
        for cut in np.flatnonzero(np.diff(dialogue)) + 0.5:
            ax.axhline(cut, color=INK, linewidth=1)
            ax.axvline(cut, color=INK, linewidth=1)
        ax.set(title=title, xlabel="turn that is changed")
        ax.set_xticks(range(0, len(dialogue), 2))
        ax.set_yticks(range(0, len(dialogue), 2))
        ax.grid(False)
        ax.title.set_size(9.5)
        said.append(f"{title}: {int(found.sum())} pairs, {int((found & forbidden).sum())} of them forbidden")
    figure.axes[0].set_ylabel("turn that is judged")
    figure.alt_text = f"Which turn reaches which answer; lines part two dialogues. {'; '.join(said)}."
    return figure


@style()
def token_mask(visible: np.ndarray, row: np.ndarray, tokens: Sequence[str]) -> Picture:
    """Which token (row) may look at which (column): own turn dark, an earlier turn pale; lines part turns."""
    figure = picture(6.6, 6.2)
    ax = figure.subplots()
    shade = visible * np.where(row[:, None] == row, 2, 1)
    ax.imshow(shade, cmap=ListedColormap(["white", "#C9C3E6", OWN]), vmin=0, vmax=2)
    for cut in np.flatnonzero(np.diff(row)) + 0.5:
        ax.axhline(cut, color=INK, linewidth=1)
        ax.axvline(cut, color=INK, linewidth=1)
    names = [plain(token) for token in tokens]
    ax.set_xticks(range(len(names)), names, rotation=90, size=7)
    ax.set_yticks(range(len(names)), names, size=7)
    ax.set(xlabel="is looked at", ylabel="looks", title="Own turn (dark), the turn before (pale), nothing else")
    ax.grid(False)
    ax.tick_params(length=0)
    figure.alt_text = (
        f"Attention mask of {len(names)} tokens in {len(set(row.tolist()))} turns: blocks on the diagonal, and one "
        f"block to the left of each; {int(visible.sum())} of {visible.size} pairs are open."
    )
    return figure


@style()
def worth(allowed: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Picture:
    """Gain of who knows all tables over seeing no other turn: modalities -> {"N before", "all before", "all"}."""
    figure = picture(9, 3)
    said = []
    looks = zip(allowed.items(), ("o", "s"), ("-", "--"), strict=False)
    axes = figure.subplots(1, 2, sharey=True)
    for (modalities, scores), mark, dashes in looks:
        for ax, task in zip(axes, TASK_COLORS, strict=True):
            turns = [int(name.split()[0]) for name in scores if name.endswith(" before") and name[0].isdigit()]
            base = scores["0 before"][task]
            gains = [scores[f"{n} before"][task] - base for n in turns] + [scores["all"][task] - base]
            places = [*turns, turns[-1] + 2]
            line = {"color": TASK_COLORS[task], "linestyle": dashes}
            ax.plot(places[:-1], gains[:-1], marker=mark, label=modalities.replace("+", " + "), **line)
            ax.plot(places[-2:], gains[-2:], linewidth=1, color=TASK_COLORS[task], linestyle=":")
            ax.plot(places[-1], gains[-1], marker="D", markersize=8, markerfacecolor="white", **line)
            ax.set_xticks(places, [*map(str, turns), "all, on\nboth sides"])
            said.append(f"{modalities}, {task}: 3 before +{gains[turns.index(3)]:.3f}, all +{gains[-1]:.3f}")
    for ax, task in zip(axes, TASK_COLORS, strict=True):
        ax.set(title=task, xlabel="turns before that are seen")
        ax.legend(loc="upper left")
    axes[0].set_ylabel("gain in weighted F1")
    figure.alt_text = (
        f"What a reader without error gains from other turns, 1000 simulated dialogues. {'; '.join(said)}."
    )
    return figure


@style()
def needed(result: Mapping, settings: Sequence[str], part: str = "all shown") -> Picture:
    """Gain of context by the number of dialogues it was learned from, with intervals, and what is possible."""
    figure = picture(9, 3.5)
    ax = figure.subplots()
    learned, allowed, said = result[part]["learned"], result[part]["allowed"], []
    numbers = np.array([int(n) for n in learned])
    for k, setting in enumerate(settings):
        color, dashes, mark = LOOKS[setting]
        own = [learned[str(n)][setting] for n in numbers]
        gain, low, high = (np.array([row[name] for row in own]) for name in ("gain", "low", "high"))
        places = numbers * 1.045 ** (k - (len(settings) - 1) / 2)  # beside each other
        bars = {"yerr": [gain - low, high - gain], "capsize": 3, "color": color, "linestyle": dashes, "marker": mark}
        ax.errorbar(places, gain, label=setting, **bars)
        if setting in allowed:
            ax.axhline(allowed[setting]["gain"], color=color, linestyle=(0, (1, 2)), linewidth=2.2)
            ax.annotate(
                f"possible: {allowed[setting]['gain']:+.3f}", (0, allowed[setting]["gain"]), (4, 3),
                xycoords=("axes fraction", "data"), textcoords="offset points", color=color, size=9,
            )  # fmt: skip
        said.append(f"{setting}: {', '.join(f'{n} dialogues {g:+.3f}' for n, g in zip(numbers, gain, strict=True))}")
    ax.axhline(0, color=INK, linewidth=1)
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(numbers, [f"{n:,}" for n in numbers])
    ax.set(xlabel="dialogues to learn from", ylabel="gain in weighted F1", title=f"Simulated dialogues, {part}")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.alt_text = f"Gain of context over none, {part}. {'; '.join(said)}."
    return figure


@style()
def gains(parts: Mapping[str, Mapping[str, Mapping[str, float]]], possible: Mapping[str, float]) -> Picture:
    """Gains with their intervals, a row a setting under the name of its part; diamonds: what would be possible.

    `parts` maps a title to {setting: {difference, low, high}}; `possible` is about the settings of the first part.
    """
    rows = sum(len(part) + 1 for part in parts.values())
    figure = picture(9, 0.9 + 0.3 * rows)
    ax, y, names, said = figure.subplots(), 0, {}, []
    for part, (title, settings) in enumerate(parts.items()):
        ax.text(0.005, y, title, transform=ax.get_yaxis_transform(), weight="bold", va="center", size=9.5)
        for setting, found in settings.items():
            y += 1
            names[y] = setting
            _interval(ax, y, found)
            if not part and setting in possible:
                ax.plot(possible[setting], y, "D", color=INK, markersize=8, markerfacecolor="white")
            said.append(f"{title}, {setting}: {found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]")
        y += 1
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(list(names), list(names.values()))
    ax.set(ylim=(y - 0.4, -0.8), xlabel="gain in weighted F1 of emotion, with 95 % interval")
    ax.set_title("Filled: beyond noise.  ◇: what a reader without error would gain")
    figure.alt_text = f"What the turns around an utterance were worth. {'; '.join(said)}."
    return figure


def _interval(ax: Axes, y: float, found: Mapping[str, float]) -> None:
    """A bar with a dot; the dot is hollow if the interval holds zero."""
    noise = found["low"] <= 0 <= found["high"]
    color = BASELINE_COLOR if noise else OWN
    ax.plot([found["low"], found["high"]], [y, y], color=color, linewidth=3, solid_capstyle="butt")
    ax.plot(found["difference"], y, "o", markersize=8, color=color, markerfacecolor="white" if noise else color)
