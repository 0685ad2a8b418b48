"""Pictures of lesson 02: tokens, attention, one word in several sentences, pooling, padding."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mmsa_lib.plots import BASELINE_COLOR, INK, MODALITY_COLORS, Picture, picture, plain, style

TEXT, PALE_TEXT = MODALITY_COLORS["text"], "#9CC7E3"
SPECIAL, BEGINS, GOES_ON = "#DDDDDD", "#CFE3F2", PALE_TEXT
PADDING = "#D5D5D5"
Curves = Mapping[str, Sequence[float]]


@style()
def tokens(pieces: Sequence[str], ids: Sequence[int]) -> Picture:
    """The pieces of a sentence in a row, each with its number in the vocabulary."""
    figure = picture(10, 0.9)
    ax = figure.subplots()
    x = 0.0
    for piece, number in zip(pieces, ids, strict=True):
        color = SPECIAL if piece.startswith("[") else GOES_ON if piece.startswith("##") else BEGINS
        middle = x + 0.5 * (len(piece) + 3)
        box = {"boxstyle": "round", "fc": color, "ec": "#888888"}
        ax.text(middle, 1, piece, ha="center", size=12, family="DejaVu Sans Mono", bbox=box)
        ax.text(middle, 0.3, number, ha="center", size=9, color="#555555")
        x += len(piece) + 3.6
    ax.set(xlim=(0, x), ylim=(0, 1.5))
    ax.axis("off")
    pairs = ", ".join(f"{piece} {number}" for piece, number in zip(pieces, ids, strict=True))
    figure.alt_text = f"A sentence as {len(pieces)} tokens with their numbers: {pairs}."
    return figure


@style()
def attention(weights: Mapping[str, Tensor], pieces: Sequence[str]) -> Picture:
    """Attention of some heads, title -> (L, L), query by row; the rows of each sum to 1."""
    figure = picture(10, 4.1)
    axes = figure.subplots(1, len(weights), sharey=True, squeeze=False)[0]
    told = []
    for ax, (title, values) in zip(axes, weights.items(), strict=True):
        image = ax.imshow(values.numpy(), cmap="Blues", vmin=0, vmax=1)
        ax.set_xticks(range(len(pieces)), pieces, rotation=90)
        ax.set(title=title, xlabel="key: who is listened to")
        ax.grid(False)
        most = values.argmax(dim=1).tolist()
        told.append(f"{title}: " + ", ".join(f"{pieces[i]} to {pieces[j]}" for i, j in enumerate(most)))
    axes[0].set_yticks(range(len(pieces)), pieces)
    axes[0].set_ylabel("query: who listens")
    bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    bar.set_label("attention")
    bar.outline.set_visible(False)
    figure.alt_text = f"Attention of {len(weights)} heads, the strongest of each row. " + "; ".join(told) + "."
    return figure


@style()
def layers(similar: Curves, word: str, reference: str) -> Picture:
    """Cosine similarity of one word in several sentences with itself in `reference`, after each layer."""
    figure = _curves(similar, range(len(next(iter(similar.values())))), room=0.5)
    ax = figure.axes[0]
    ax.set(xlabel="after layer (0: embedding)", title=f"“{word}” in other sentences, compared with “{reference}”")
    figure.alt_text = f"Similarity of “{word}” after the last layer: {_ends(similar)}; at the embedding all are near 1."
    return figure


@style()
def leak(similar: Curves, pads: Sequence[int]) -> Picture:
    """Cosine similarity of a plain mean over tokens and padding with the mean over the tokens, by padding."""
    figure = _curves(similar, pads, room=0.45)
    ax = figure.axes[0]
    ax.axhline(1, color="#777777", linestyle=":")
    ax.text(pads[-1] / 2, 1.03, "mean over the real tokens", size=9, color="#555555")
    ax.set(xlabel="padding (tokens)", title="What a plain mean leaves of a sentence")
    figure.alt_text = f"The similarity of a plain mean falls with padding; after {pads[-1]} pads: {_ends(similar)}."
    return figure


def _curves(similar: Curves, places: Sequence[int], room: float) -> Picture:
    """One marked line per sentence, named at its end; `room` for the names, as a share of the axis."""
    figure = picture(8, 3)
    ax = figure.subplots()
    for (line, values), marker in zip(similar.items(), "os^Dv", strict=False):
        ax.plot(places, values, marker=marker, color=TEXT, alpha=0.85)
        ax.text(places[-1] * 1.025, values[-1], plain(line, 30), va="center", size=9)
    ax.set(xlim=(-0.02 * places[-1], places[-1] * (1 + room)), ylim=(0, 1.15), ylabel="cosine similarity")
    ax.set_xticks(list(places))
    return figure


def _ends(similar: Curves) -> str:
    return ", ".join(f"{values[-1]:.2f} in “{plain(line, 40)}”" for line, values in similar.items())


@style()
def ladder(rows: Mapping[str, tuple[float, float, float]], ceiling: float, title: str) -> Picture:
    """Bars from the baseline (first row) up: name -> (score, low, high), with the best possible score as a line."""
    figure = picture(8, 2.5)
    ax = figure.subplots()
    colors = [BASELINE_COLOR, *[PALE_TEXT] * (len(rows) - 2), TEXT]
    ax.barh(list(rows), [score for score, _, _ in rows.values()], color=colors, height=0.62)
    for place, (score, low, high) in enumerate(rows.values()):
        ax.plot([low, high], [place, place], color=INK, linewidth=1.5)
        ax.text(high + 0.01, place, f"{score:.2f}", va="center", size=9)
    ax.axvline(ceiling, color=INK, linestyle="--")
    ax.text(ceiling + 0.01, 0, f"ceiling of the words: {ceiling:.2f}", va="center", size=9)
    ax.set(xlim=(0, 1.1), xlabel="weighted F1, emotion (line: 95 % interval)", title=title)
    ax.set_xticks(np.linspace(0, 1, 6))
    told = ", ".join(f"{name} {score:.2f} ({low:.2f} to {high:.2f})" for name, (score, low, high) in rows.items())
    figure.alt_text = f"{title}: weighted F1 of {told}; the ceiling is {ceiling:.2f}."
    return figure


@style()
def dice(lines: Sequence[str], noisy: np.ndarray, calm: np.ndarray) -> Picture:
    """Probabilities of one answer per line: `noisy` (R, N) of R readings with dropout, `calm` (N,) without."""
    figure = picture(9, 3)
    ax = figure.subplots()
    jitter = np.linspace(-0.22, 0.22, len(noisy))
    for row in range(len(lines)):
        ax.plot(noisy[:, row], row + jitter, ".", color=TEXT, alpha=0.6)
        ax.plot(calm[row], row, "D", color=INK, markersize=8)
    ax.lines[0].set_label(f"train mode, {len(noisy)} readings")
    ax.lines[1].set_label("eval mode, always the same")
    ax.set_yticks(range(len(lines)), [plain(line, 34) for line in lines])
    ax.set(xlim=(0, 1), xlabel="probability of the answer given in eval mode")
    ax.invert_yaxis()
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    reach = ", ".join(
        f"{low:.2f} to {high:.2f}" for low, high in zip(noisy.min(axis=0), noisy.max(axis=0), strict=True)
    )
    figure.alt_text = (
        f"{len(lines)} lines read {len(noisy)} times in train mode: the probabilities wander from {reach}."
    )
    return figure


@style()
def padding(ways: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Picture:
    """Tokens of one epoch by line: name -> (real, computed), what is above the real ones is padding."""
    figure = picture(10, 3.2)
    axes = figure.subplots(1, len(ways), sharey=True, squeeze=False)[0]
    told = []
    for ax, (name, (real, computed)) in zip(axes, ways.items(), strict=True):
        place = np.arange(len(real))
        ax.fill_between(place, computed, step="mid", color=PADDING, label="padding", linewidth=0)
        ax.fill_between(place, real, step="mid", color=TEXT, label="tokens", linewidth=0)
        share = 1 - real.sum() / computed.sum()
        ax.set(title=f"{name}\n{share:.0%} padding", xlabel="lines of one epoch", xlim=(0, len(real)))
        told.append(f"{name}: {computed.sum():,} tokens, {share:.0%} padding")
    axes[0].set_ylabel("tokens")
    axes[-1].legend(loc="upper right")
    figure.alt_text = "What an epoch computes. " + "; ".join(told) + "."
    return figure
