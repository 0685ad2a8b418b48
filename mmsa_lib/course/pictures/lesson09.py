"""Pictures of lesson 09: speech found in two ways, words aligned, pauses, what heard words cost."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmsa_lib.media import SAMPLE_RATE
from mmsa_lib.plots import INK, MODALITY_COLORS, TASK_COLORS, Picture, envelope, picture, plain, style

Span = tuple[float, float]
COLORS = (MODALITY_COLORS["audio"], TASK_COLORS["emotion"], MODALITY_COLORS["video"])


@style()
def found(sounds: Mapping[str, np.ndarray], spans: Mapping[str, Mapping[str, Sequence[Span]]]) -> Picture:
    """Waveforms (S,), and below each the stretches (s) that each detector takes for speech."""
    figure = picture(10, 1.75 * len(sounds) + 0.4)
    described = []
    for ax, (name, sound) in zip(np.atleast_1d(figure.subplots(len(sounds), 1)), sounds.items(), strict=True):
        low, high, time = envelope(sound, SAMPLE_RATE, 1200)
        scale = max(np.abs(sound).max(), 1e-6)
        ax.fill_between(time, low / scale, high / scale, color="#888888", linewidth=0)
        length = len(sound) / SAMPLE_RATE
        for row, (detector, stretches) in enumerate(spans[name].items()):
            y = -1.5 - 0.6 * row
            ax.broken_barh([(s, e - s) for s, e in stretches], (y, 0.45), color=COLORS[row])
            ax.text(-0.01 * length, y + 0.22, detector, ha="right", va="center", size=9)
            share = sum(e - s for s, e in stretches) / length
            described.append(f"{detector} on {name}: {len(stretches)} stretches, {share:.0%} of the time")
        ax.set(
            title=plain(name), xlim=(0, length), ylim=(-1.6 - 0.6 * len(spans[name]), 1.1), yticks=[], xlabel="time (s)"
        )
        ax.grid(False)
    figure.alt_text = f"Speech found. {'; '.join(described)}."
    return figure


@style()
def edit_table(
    said: Sequence[str], heard: Sequence[str], table: np.ndarray, path: Sequence[tuple[int, int]]
) -> Picture:
    """The table of edit distances (said + 1, heard + 1) with the cheapest way through it."""
    figure = picture(min(10, 2.2 + 0.62 * len(heard)), 1.4 + 0.36 * len(said))
    ax = figure.subplots()
    ax.grid(False)
    ax.imshow(table, cmap="Greys", vmin=0, vmax=1.6 * table.max(), aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        on = (i, j) in path
        ax.text(j, i, f"{value:g}", ha="center", va="center", size=9, color=INK, weight="bold" if on else "normal")
    ax.plot(*np.array(path)[:, ::-1].T, color=COLORS[1], linewidth=9, alpha=0.3, solid_capstyle="round")
    ax.set_xticks(range(len(heard) + 1), ["", *map(plain, heard)], rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(said) + 1), ["", *map(plain, said)])
    ax.set(xlabel="heard", ylabel="said", title="Fewest edits between all beginnings")
    figure.alt_text = f"Edit distances of {len(said)} words said and {len(heard)} heard; the last is {table[-1, -1]:g}."
    return figure


@style()
def pauses(shares: Mapping[float, Mapping[str, float]], fixed: float, chosen: float) -> Picture:
    """How true utterances fare for each shortest pause (s); a dashed line for windows of fixed length."""
    figure = picture(8.5, 3.0)
    ax = figure.subplots()
    marks = {"one": "o", "cut": "^", "joined": "s", "missed": "x"}
    for (fate, mark), color in zip(marks.items(), (*COLORS, "#777777"), strict=True):
        ax.plot(list(shares), [s[fate] for s in shares.values()], f"{mark}-", color=color, label=fate)
    ax.axhline(fixed, color=COLORS[0], linestyle="--", label="one, windows of 3 s")
    ax.axvline(chosen, color="#999999", linestyle=":")
    ax.set(xlabel="shortest pause that ends an utterance (s)", ylabel="share of true utterances", ylim=(-0.03, 1.03))
    ax.set_title("What becomes of true utterances (dotted: the library's pause)")
    ax.legend(ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    best = max(shares, key=lambda pause: shares[pause]["one"])
    figure.alt_text = (
        f"Most utterances are found as one at a pause of {best:g} seconds, {shares[best]['one']:.0%}; "
        f"windows of fixed length find {fixed:.0%}."
    )
    return figure


@style()
def cost_of_hearing(rows: Sequence[Mapping], ways: Sequence[str]) -> Picture:
    """Weighted F1 of both tasks for each way to know the words: one dot a seed, a bar for their mean."""
    figure = picture(9, 2.9)
    described = []
    for ax, task in zip(figure.subplots(1, 2, sharey=True), ("emotion", "sentiment"), strict=True):
        for y, way in enumerate(ways):
            values = [row[way][task] for row in rows]
            ax.barh(y, np.mean(values), color=TASK_COLORS[task], alpha=0.35 if y else 0.7, height=0.6)
            ax.plot(values, np.full(len(values), y), "o", color=INK, markersize=4)
            ax.text(max(values) + 0.02, y, f"{np.mean(values):.3f}", va="center", size=9)
            described.append(f"{task}, {way} {np.mean(values):.3f}")
        ax.set(title=task, xlabel="weighted F1", xlim=(0, 1.05))
        ax.set_yticks(range(len(ways)), ways)
        ax.set_ylim(len(ways) - 0.4, -0.6)
    figure.alt_text = f"Weighted F1 on the synthetic test set by what is known of the words: {'; '.join(described)}."
    return figure
