"""Pictures of lesson 01: a scene, the flow of emotions, lengths, what a clip is made of."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MultipleLocator, PercentFormatter

from mmsa_lib.labels import EMOTIONS
from mmsa_lib.media import SAMPLE_RATE
from mmsa_lib.plots import EMOTION_COLORS, INK, MODALITY_COLORS, Picture, envelope, picture, plain, style, wrapped

OWN, OTHER = "#332288", "#CC6677"  # a speaker's own last utterance, somebody else's
FLOWS = ("own last", "somebody else's")
MINI, REAL = "mini, synthetic", "MELD"
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22)}


@style()
def scene(table: pd.DataFrame) -> Picture:
    """A dialogue as a score: a line per speaker, a bar per utterance, in time, with its emotion and its words."""
    lanes = {name: i for i, name in enumerate(table["speaker"].unique())}
    figure = picture(10, 0.8 + 0.95 * len(lanes))
    ax = figure.subplots()
    starts = table["start"] - table["start"].min()
    total = (table["end"] - table["start"].min()).max()
    for begins, row in zip(starts, table.itertuples(), strict=True):
        seconds, lane = row.end - row.start, lanes[row.speaker]
        ax.broken_barh([(begins, seconds)], (lane - 0.46, 0.92), color=EMOTION_COLORS[row.emotion])
        ink = "white" if row.emotion in ("anger", "fear", "sadness", "disgust") else INK
        place = {"va": "top", "color": ink, "clip_on": True}
        ax.text(begins + 0.004 * total, lane - 0.4, row.emotion, size=8, weight="bold", **place)
        words = wrapped(row.text, max(30, 560 * seconds / total - 8), 6.5, most=5)
        ax.text(begins + 0.004 * total, lane - 0.18, words, size=6.5, linespacing=1.1, **place)
    ax.set_yticks(range(len(lanes)), [plain(name) for name in lanes])
    ax.set(xlabel="time in the scene (s)", ylim=(len(lanes) - 0.5, -0.5), xlim=(-0.005 * total, 1.005 * total))
    ax.grid(False)
    said = ", ".join(f"{row.speaker} {row.emotion}" for row in table.itertuples())
    figure.alt_text = f"A dialogue in time, one line per speaker: {said}."
    return figure


@style()
def lifts(panels: Mapping[str, np.ndarray]) -> Picture:
    """Lift of one emotion after another, title -> (7, 7), what came before by row; NaN: too few pairs to say."""
    figure = picture(10, 3.9)
    axes = figure.subplots(1, len(panels), sharey=True)
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        shown = np.log2(np.clip(np.nan_to_num(values, nan=1.0), 0.25, 4))
        image = ax.imshow(shown, cmap="PuOr_r", vmin=-2, vmax=2)
        for (i, j), value in np.ndenumerate(values):
            color = "white" if abs(shown[i, j]) > 1.3 else INK
            words = {"weight": "bold" if i == j else "normal", "color": color, "size": 8}
            ax.text(j, i, "·" if np.isnan(value) else f"{value:.1f}", ha="center", va="center", **words)
        ax.set_xticks(range(7), EMOTIONS, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(7), EMOTIONS)
        ax.set(title=title, xlabel="what follows")
        ax.grid(False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    axes[0].set_ylabel("what was felt before")
    bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_yticklabels(["¼", "½", "1", "2", "4"])
    bar.set_label("times chance")
    means = ", ".join(f"{title} {np.nanmean(np.diag(values)):.1f}" for title, values in panels.items())
    figure.alt_text = f"How much oftener than by chance one emotion follows another; mean over the repeats: {means}."
    return figure


@style()
def repeats(
    observed: Mapping[str, float], shuffled: Mapping[str, Sequence[float]], beside: Mapping[str, Sequence[float]]
) -> Picture:
    """Share of repeated emotions: the hills that shuffled labels give, what was observed, and that beside MELD's.

    `observed` and `shuffled` are keyed by `FLOWS`; `beside` maps a data set to (chance, other's, own).
    """
    figure = picture(10, 3.1)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    looks = {FLOWS[0]: (OWN, "-", ""), FLOWS[1]: (OTHER, "--", "//")}
    for name, (color, dashes, hatch) in looks.items():
        left.hist(shuffled[name], bins=30, alpha=0.5, color=color, hatch=hatch, edgecolor="white", linewidth=0.4)
        left.axvline(observed[name], color=color, linestyle=dashes, linewidth=2.4, label=f"observed, {name}")
    left.set(xlabel="share of utterances that repeat it", ylabel="shuffles", title="Hills: what chance gives")
    left.legend(ncols=2, **BELOW)
    marks = (("chance", "|", INK), (FLOWS[1], "o", OTHER), (FLOWS[0], "s", OWN))
    for y, values in enumerate(beside.values()):
        right.plot([min(values), max(values)], [y, y], color="#CCCCCC", linewidth=1, zorder=1)
        for value, (label, mark, color) in zip(values, marks, strict=True):
            right.plot(value, y, mark, color=color, markersize=10, markeredgewidth=2, label=None if y else label)
    right.set_yticks(range(len(beside)), list(beside))
    right.set(ylim=(len(beside) - 0.4, -0.6), xlabel="share of utterances that repeat it", title="Beside MELD")
    right.legend(ncols=3, **BELOW)
    hills = "; ".join(
        f"{name} {value:.2f}, shuffles at most {max(shuffled[name]):.2f}" for name, value in observed.items()
    )
    rows = "; ".join(f"{name} {v[2]:.2f}, {v[1]:.2f}, chance {v[0]:.2f}" for name, v in beside.items())
    figure.alt_text = f"Share of utterances that repeat an emotion. {hills}. Own, somebody else's: {rows}."
    return figure


@style()
def lengths(table: pd.DataFrame, real: Mapping) -> Picture:
    """Words and seconds per utterance, and mean words by emotion, beside the stored counts `real` of MELD."""
    words, seconds = table["text"].str.split().str.len(), table["end"] - table["start"]
    figure = picture(10, 2.9)
    axes = figure.subplots(1, 3, width_ratios=(3, 3, 2.6))
    for ax, values, counts, step, unit in (
        (axes[0], words, real["words"], 1.0, "words"),
        (axes[1], seconds, real["seconds"], 0.5, "seconds"),
    ):
        edges = np.arange(len(counts) + 1) * step
        ax.stairs(np.histogram(values, edges)[0] / len(values), edges, fill=True, color="#BDB6E3", label=MINI)
        ax.stairs(np.array(counts) / sum(counts), edges, linewidth=1.8, color=INK, label=REAL)
        ax.set(xlabel=f"{unit} per utterance", ylabel="share of the utterances")
        ax.yaxis.set_major_locator(MultipleLocator(0.05))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0].legend()
    means = words.groupby(table["emotion"], observed=False).mean().to_numpy()
    axes[2].plot(means, range(7), "o", color=OWN, label=MINI)
    axes[2].plot(real["words_by_emotion"], range(7), "D", color=INK, markerfacecolor="none", label=REAL)
    axes[2].set_yticks(range(7), EMOTIONS)
    axes[2].set(xlabel="words, mean", xlim=(5, 11), ylim=(6.5, -0.5))
    axes[2].legend(ncols=2, **BELOW)
    figure.alt_text = (
        f"Words and seconds per utterance: in the embedded set {words.mean():.1f} words and {seconds.mean():.1f} s on "
        f"average, by emotion from {means.min():.1f} to {means.max():.1f} words; in MELD from "
        f"{min(real['words_by_emotion']):.1f} (surprise) to {max(real['words_by_emotion']):.1f}."
    )
    return figure


@style()
def raw_numbers(frame: np.ndarray, sound: np.ndarray, rate: int) -> Picture:
    """One frame (H, W, 3), its three channels, and 20 ms around the loudest of the samples (S,)."""
    figure = picture(10, 2.3)
    axes = figure.subplots(1, 5, width_ratios=(1, 1, 1, 1, 2.4))
    axes[0].imshow(frame)
    axes[0].set_title("a frame")
    for i, name in enumerate(("red", "green", "blue")):
        axes[i + 1].imshow(frame * np.eye(3, dtype=np.uint8)[i])  # the other two switched off
        axes[i + 1].set_title(name)
    for ax in axes[:4]:
        ax.axis("off")
    half = rate // 100
    middle = min(max(int(np.abs(sound).argmax()), half), len(sound) - half)
    piece = sound[middle - half : middle + half]
    axes[4].plot(
        (np.arange(len(piece)) - half) / rate * 1000, piece, ".-", color=MODALITY_COLORS["audio"], linewidth=0.8
    )
    axes[4].set(title=f"sound: {len(piece)} samples", xlabel="time (ms)", ylabel="amplitude")
    figure.alt_text = (
        f"One frame of {frame.shape[0]} x {frame.shape[1]} pixels and its red, green and blue channels; {len(piece)} "
        f"samples of sound, 20 ms around the loudest, peak {np.abs(piece).max():.2f}."
    )
    return figure


@style()
def mono(ways: Mapping[str, np.ndarray], rate: int = SAMPLE_RATE) -> Picture:
    """The same sound made one channel in several ways, title -> (S,), on one scale."""
    figure = picture(10, 1.9)
    axes = figure.subplots(1, len(ways), sharey=True)
    for ax, (name, wave) in zip(axes, ways.items(), strict=True):
        low, high, times = envelope(np.asarray(wave, dtype=float), rate, 400)
        ax.fill_between(times, low, high, color=MODALITY_COLORS["audio"], linewidth=0.6)
        ax.set(title=plain(name), xlabel="time (s)")
    axes[0].set_ylabel("amplitude")
    peaks = ", ".join(f"{name} {np.abs(wave).max():.2f}" for name, wave in ways.items())
    figure.alt_text = f"One channel made of six in several ways; peak amplitude: {peaks}."
    return figure


@style()
def small_faces(pixels: np.ndarray, speakers: Sequence[str], count: int = 10) -> Picture:
    """Frames (N, h, w, 3) of `count` clips, each with the name of who is to be seen."""
    chosen = np.linspace(0, len(pixels) - 1, count).astype(int)
    figure = picture(10, 1.3)
    for ax, i in zip(figure.subplots(1, count), chosen, strict=True):
        ax.imshow(pixels[i])
        ax.axis("off")
        ax.set_title(plain(speakers[i]), size=9, weight="normal", loc="center")
    names = ", ".join(str(speakers[i]) for i in chosen)
    figure.alt_text = f"Frames of {count} clips in {pixels.shape[1]} x {pixels.shape[2]} pixels: {names}."
    return figure


@style()
def leaks(found: Mapping[str, tuple[float, float, float]]) -> Picture:
    """What a split promises: name -> (score with groups kept apart, with rows dealt out, half interval of the rise)."""
    figure = picture(9, 0.9 + 0.45 * len(found))
    ax = figure.subplots()
    for y, (honest, claimed, half) in enumerate(found.values()):
        first = y == 0
        ax.errorbar(claimed, y, xerr=half, color=OTHER, capsize=4, linewidth=1.4, zorder=1)
        ax.plot(honest, y, "s", color=OWN, markersize=9, label="groups kept apart" if first else None)
        ax.plot(claimed, y, "o", color=OTHER, markersize=8, label="single rows dealt out" if first else None)
        ax.text(max(honest, claimed + half) + 0.01, y, f"{claimed - honest:+.3f} ± {half:.3f}", va="center", size=9)
    ax.set_yticks(range(len(found)), list(found))
    reach = max(max(honest, claimed + half) for honest, claimed, half in found.values())
    ax.set(xlabel="weighted F1, five-fold", ylim=(len(found) - 0.5, -0.5), xlim=(None, reach + 0.12))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    rows = "; ".join(f"{n} {h:.2f} kept apart, {c:.2f} dealt out" for n, (h, c, _) in found.items())
    figure.alt_text = f"Weighted F1 by how the data were split. {rows}."
    return figure
