"""Pictures of lesson 06: who is common, whose vote counts, what weights ask for, and what they buy."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from mmsa_lib.labels import EMOTIONS
from mmsa_lib.plots import EMOTION_COLORS, INK, TASK_COLORS, Picture, picture, style

# scheme -> mark, line, colour
SCHEMES = {
    "none": ("o", "-", "#777777"),
    "sqrt": ("s", "--", "#0072B2"),
    "effective": ("^", "-.", "#009E73"),
    "inverse": ("D", ":", "#D55E00"),
    "sampler": ("X", "-", "#CC79A7"),
    "adjusted": ("P", "-", "#E69F00"),
}
DARK = ("anger", "fear", "sadness")  # need white letters
SCORES = {"accuracy": (":", "#777777"), "weighted F1": ("-", TASK_COLORS["emotion"]), "macro F1": ("--", "#CC6677")}


def commonest_first(counts: Sequence[float]) -> list[int]:
    """The emotions' numbers by how often they occur."""
    return np.argsort(-np.asarray(counts, dtype=float), kind="stable").tolist()


@style()
def class_shares(counts: Mapping[str, Sequence[int]]) -> Picture:
    """Shares of the emotions of several data sets, name -> counts (7,), commonest first."""
    figure = picture(9, 2.9)
    order = commonest_first(next(iter(counts.values())))
    names = [EMOTIONS[k] for k in order]
    described = []
    for ax, (name, values) in zip(figure.subplots(1, len(counts)), counts.items(), strict=True):
        n = np.asarray(values)
        bars = ax.barh(names, 100 * n[order] / n.sum(), color=[EMOTION_COLORS[e] for e in names])
        ax.bar_label(bars, [f"{c:,}" for c in n[order]], padding=3)
        ax.set(title=f"{name}, train ({n.sum():,} utterances)", xlabel="share (%)", xlim=(0, 56))
        ax.invert_yaxis()
        described.append(f"{name}: {', '.join(f'{EMOTIONS[k]} {n[k] / n.sum():.0%}' for k in order)}")
    figure.alt_text = f"Shares of the emotions. {'; '.join(described)}."
    return figure


@style()
def votes(shares: Sequence[float]) -> Picture:
    """How much each emotion counts in weighted F1, where its share (7,) does, and in macro F1."""
    figure = picture(9, 2.1)
    ax, order = figure.subplots(), commonest_first(shares)
    for row, weights in enumerate((np.asarray(shares), np.full(7, 1 / 7))):
        left = 0.0
        for k in order:
            name, s = EMOTIONS[k], float(weights[k])
            ax.barh(row, s, left=left, color=EMOTION_COLORS[name], edgecolor="white", height=0.7)
            ink, turn = "white" if name in DARK else INK, 90 * (s < 0.08)
            ax.text(left + s / 2, row, name, ha="center", va="center", size=7, color=ink, rotation=turn)
            left += s
    ax.set_yticks(range(2), ["accuracy,\nweighted F1", "macro F1"])
    ax.set(xlabel="share of the vote", xlim=(0, 1), title="How much each class counts")
    ax.invert_yaxis()
    listed = ", ".join(f"{EMOTIONS[k]} {shares[k]:.0%}" for k in order)
    figure.alt_text = f"Share of the vote in accuracy and weighted F1: {listed}; in macro F1 each has a seventh."
    return figure


@style()
def blind(learned: Mapping[str, Sequence[float]], expected: Mapping[str, Sequence[float]]) -> Picture:
    """What a model that sees nothing learns with several weights: scheme -> (7,), beside what the formula says."""
    figure = picture(9, 2.6)
    order = commonest_first(next(iter(expected.values())))
    names = [EMOTIONS[k] for k in order]
    for ax, (scheme, values) in zip(figure.subplots(1, len(learned), sharey=True), learned.items(), strict=True):
        ax.bar(range(7), np.asarray(values)[order], color=[EMOTION_COLORS[e] for e in names])
        ax.plot(range(7), np.asarray(expected[scheme])[order], "_", color="black", markersize=17, markeredgewidth=2)
        ax.set_xticks(range(7), names, rotation=60, ha="right", rotation_mode="anchor")
        ax.set(title=f"weights: {scheme}", ylabel="" if ax.get_subplotspec().colspan.start else "learned probability")
    told = "; ".join(f"{s}: {', '.join(f'{EMOTIONS[k]} {v[k]:.2f}' for k in order)}" for s, v in learned.items())
    figure.alt_text = f"Probabilities that a blind model learns, as the formula says, by weights. {told}."
    return figure


@style()
def weight_curves(curves: Mapping[str, np.ndarray], counts: Mapping[str, Sequence[int]]) -> Picture:
    """Weight of a class of n utterances, scheme -> (n = 1, 2, ...), over the counts (7,) of several data sets."""
    figure = picture(9, 3)
    ends = []
    for ax, (name, values) in zip(figure.subplots(1, len(counts)), counts.items(), strict=True):
        few, many = int(min(values)), int(max(values))
        n = np.arange(few, many + 1)
        for scheme, curve in curves.items():
            _, dashes, color = SCHEMES[scheme]
            ax.plot(n, curve[n - 1] / curve[few - 1], dashes, color=color, label=scheme)
        ax.vlines(np.asarray(values), 0.035, 0.045, color="black")
        ax.set(xscale="log", yscale="log", xlim=(few * 0.9, many * 1.1), ylim=(0.035, 1.4), title=name)
        ax.set(xlabel="utterances of the class (ticks: the seven emotions)", ylabel="weight, rarest class = 1")
        _plain_ticks(ax, few, many)
        listed = ", ".join(f"{scheme} {curve[many - 1] / curve[few - 1]:.2f}" for scheme, curve in curves.items())
        ends.append(f"{name}: {listed}")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 0.05))
    figure.alt_text = f"Weight of the commonest class where the rarest has 1. {'; '.join(ends)}."
    return figure


def _plain_ticks(ax: Axes, few: int, many: int) -> None:
    ticks = [tick for tick in (30, 100, 300, 1000, 3000) if few * 0.9 < tick < many * 1.1]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    ax.set_yticks([], minor=True)


@style()
def trade_off(scores: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> Picture:
    """Weighted against macro F1: scheme -> {`weighted_f1`, `macro_f1`: a value a seed}; means are large."""
    figure = picture(6.8, 3.6)
    ax = figure.subplots()
    described = []
    for scheme, values in scores.items():
        mark, _, color = SCHEMES[scheme]
        weighted, macro = np.array(values["weighted_f1"]), np.array(values["macro_f1"])
        ax.plot(weighted, macro, mark, color=color, markersize=5, alpha=0.35, markeredgewidth=0)
        top = scheme == "effective"  # nearly hides another one: smaller, and above
        look = {"markersize": 9 if top else 13, "zorder": 4 if top else 3, "markeredgecolor": INK, "color": color}
        ax.plot(weighted.mean(), macro.mean(), mark, label=scheme, **look)
        described.append(f"{scheme}: weighted F1 {weighted.mean():.3f}, macro F1 {macro.mean():.3f}")
    ax.set(xlabel="weighted F1", ylabel="macro F1", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.alt_text = f"{'; '.join(described)}."
    return figure


@style()
def bought(before: np.ndarray, after: np.ndarray, counts: Sequence[int]) -> Picture:
    """Recall and precision of each emotion, from one confusion matrix (7, 7) to another, commonest first."""
    figure = picture(9, 3)
    order = commonest_first(counts)
    sides = {"recall": 1, "precision": 0}
    described = []
    for ax, (name, axis) in zip(figure.subplots(1, 2, sharey=True), sides.items(), strict=True):
        start, end = (np.diagonal(m) / np.maximum(np.asarray(m).sum(axis=axis), 1) for m in (before, after))
        for place, k in enumerate(order):
            color = EMOTION_COLORS[EMOTIONS[k]]
            ax.plot([start[k], end[k]], [place, place], color=color, linewidth=3)
            ax.plot(end[k], place, "o", color=color, markerfacecolor="white", markeredgewidth=2, markersize=7)
            ax.plot(start[k], place, "o", color=color, markeredgecolor=INK, markersize=5)
        ax.set_yticks(range(7), [f"{EMOTIONS[k]} ({counts[k]})" for k in order])
        ax.set(
            xlabel=f"{name} on test, mean of the seeds", title=f"{name.capitalize()}: none ● – ○ inverse", xlim=(0, 1)
        )
        described.append(f"{name}: {', '.join(f'{EMOTIONS[k]} {start[k]:.2f} to {end[k]:.2f}' for k in order)}")
    ax.invert_yaxis()
    figure.alt_text = f"From no weights to inverse weights. {'; '.join(described)}."
    return figure


@style()
def sweep(taus: np.ndarray, scores: np.ndarray, chosen: float | None = None) -> Picture:
    """Accuracy, weighted and macro F1 (T, seeds, 3) over the strength of the adjustment (T,)."""
    figure = picture(8, 3.1)
    ax = figure.subplots()
    described = []
    for i, (name, (dashes, color)) in enumerate(SCORES.items()):
        mean, deviation = scores[:, :, i].mean(axis=1), scores[:, :, i].std(axis=1, ddof=1)
        ax.plot(taus, mean, dashes, color=color, label=name)
        ax.fill_between(taus, mean - deviation, mean + deviation, color=color, alpha=0.12)
        at = {tau: mean[np.abs(taus - tau).argmin()] for tau in (0, 1)}
        described.append(f"{name} {at[0]:.2f} at 0, {at[1]:.2f} at 1")
    marks = {0.0: "as trained", 1.0: "all classes\nequally common"} | (
        {} if chosen is None else {chosen: "chosen on dev"}
    )
    for tau, words in marks.items():
        ax.axvline(tau, color=INK if tau == chosen else "#999999", linewidth=1)
        height = 0.2 if tau == chosen else 0.03
        ax.text(tau + 0.02, height, words, transform=ax.get_xaxis_transform(), size=9)
    ax.set(xlabel="τ, strength of the adjustment", ylabel="score on test")
    ax.set_title("One model, adjusted after training (band: ± 1 standard deviation over seeds)", size=10)
    ax.legend(loc="upper right")
    figure.alt_text = f"Scores against tau: {'; '.join(described)}."
    return figure


@style()
def sureness(asked: Mapping[str, Sequence[float]], counts: Sequence[int], smoothing: float) -> Picture:
    """How sure a loss wants the model of the true class: without and with inverse weights, name -> (7,)."""
    figure = picture(8, 3)
    ax, order = figure.subplots(), commonest_first(counts)
    schemes = ("none", "inverse")
    for place, (name, values) in enumerate(asked.items()):
        sure = np.asarray(values)[order]
        look = {"color": SCHEMES[schemes[place]][2], "hatch": ("", "//")[place], "edgecolor": "white", "label": name}
        bars = ax.bar(np.arange(7) + 0.4 * place - 0.2, sure, 0.38, **look)
        ax.bar_label(bars, [f"{s:.2f}" for s in sure], size=8, padding=2)
    ax.set_xticks(range(7), [EMOTIONS[k] for k in order])
    ax.set(ylabel="asked-for probability", ylim=(0, 1.1))
    ax.set_title(f"ε = {smoothing:g}: how sure the loss wants the model of the true class", size=10)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    told = "; ".join(f"{n}: {', '.join(f'{EMOTIONS[k]} {v[k]:.2f}' for k in order)}" for n, v in asked.items())
    figure.alt_text = f"Probability of the true class that the loss asks for. {told}."
    return figure
