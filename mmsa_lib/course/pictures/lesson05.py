"""Pictures of lesson 05: juries and what is possible, who errs together, ways to fuse, whom a model believes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

from mmsa_lib.course.comparing import interval
from mmsa_lib.labels import EMOTIONS, MODALITIES
from mmsa_lib.plots import EMOTION_COLORS, INK, MODALITY_COLORS, TASK_COLORS, Picture, picture, plain, style
from mmsa_lib.plots import modality_comparison as _modality_comparison

CUES = ("clear", "weak", "absent", "misleads")
WRONG = TASK_COLORS["sentiment"]  # a second colour beside that of emotion
Jury = tuple[str, ...]


def _rows(ax: Axes, names: Sequence[str]) -> None:
    """Names down the left side, the first one on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def juries(scores: Mapping[Jury, np.ndarray], majority: float, title: str) -> Picture:
    """Weighted F1 of each set of modalities, from (1 + R,) the score and its resampled values, with 95 % intervals."""
    bars = []
    for jury, values in scores.items():
        low, high = interval(values)
        bars.append({"name": " + ".join(jury), "modalities": jury, "mean": values[0], "low": low, "high": high})
    return _modality_comparison(bars, majority, title=title)


@style()
def reached(seeds: Mapping[Jury, Sequence[float]], possible: Mapping[Jury, float], metric: str) -> Picture:
    """For each set of modalities the mean and span of its seeds, and as a diamond the best possible."""
    figure = picture(9, 3.5)
    ax = figure.subplots()
    described = []
    for y, (jury, values) in enumerate(seeds.items()):
        mean, best = float(np.mean(values)), possible[jury]
        ax.plot([min(values), max(values)], [y, y], color="#777777", linewidth=3)
        ax.plot(mean, y, "o", markersize=12, markeredgecolor=INK, **_fill(jury))
        ax.plot(best, y, "D", markersize=8, markerfacecolor="white", color=INK)
        ax.text(best + 0.02, y, f"{mean:.3f} of {best:.3f} ({mean / best:.0%})", va="center", size=9)
        described.append(f"{'+'.join(jury)} {mean:.3f} of {best:.3f}")
    _rows(ax, [" + ".join(jury) for jury in seeds])
    ax.set(xlim=(0.4, 1.2), xlabel=metric, title="Mean of the seeds (●), and the best possible (◇)")
    ax.set_xticks(np.arange(0.4, 1.01, 0.1))
    figure.alt_text = f"{metric}, mean of the seeds and best possible: {', '.join(described)}."
    return figure


def _fill(jury: Jury) -> dict[str, str]:
    """A mark in the colour of a modality, half and half for two, grey for all."""
    colors = [MODALITY_COLORS[m] for m in jury]
    if len(colors) == 2:
        return {"color": colors[0], "fillstyle": "left", "markerfacecoloralt": colors[1]}
    return {"color": colors[0] if len(colors) == 1 else MODALITY_COLORS["all"]}


@style()
def err_together(correlations: np.ndarray, seeds: int) -> Picture:
    """Correlations of errors (3 S, 3 S) of S models of text, then S of video, then S of audio."""
    figure = picture(6.4, 4.6)
    ax = figure.subplots()
    image = ax.imshow(correlations, cmap="magma_r", vmin=0, vmax=1)
    for (i, j), r in np.ndenumerate(np.round(correlations, 1) + 0.0):  # + 0.0: no negative zero
        ax.text(j, i, f"{r:.1f}", ha="center", va="center", size=8, color="white" if r > 0.5 else INK)
    ax.set_xticks([seeds * (k + 0.5) - 0.5 for k in range(3)], MODALITIES)
    ax.set_yticks(range(3 * seeds), [f"{m}, seed {s}" for m in MODALITIES for s in range(seeds)])
    ax.set_title("Do two models err together?")
    ax.grid(False)
    ax.tick_params(length=0)
    figure.colorbar(image, ax=ax, label="correlation of errors, given the emotion")
    block = np.kron(np.eye(3), np.ones((seeds, seeds))).astype(bool)
    same = correlations[block & ~np.eye(3 * seeds, dtype=bool)].mean()
    figure.alt_text = (
        f"Correlation of errors: {same:.2f} on average between two models of one modality, "
        f"{correlations[~block].mean():.2f} between models of two modalities."
    )
    return figure


FUSIONS = {
    "early": "join the vectors, then decide",
    "gated": "early, but with a volume for each",
    "late": "decide, then combine opinions",
}
BOX = {"boxstyle": "round,pad=0.35", "facecolor": "white"}


@style()
def ways_to_fuse() -> Picture:
    """Early, gated and late fusion as drawings."""
    figure = picture(10, 2.4)
    for ax, (kind, words) in zip(figure.subplots(1, 3), FUSIONS.items(), strict=True):
        ax.set(xlim=(-0.2, 3), ylim=(-0.4, 2.4))
        ax.set_title(f"{kind}: {words}", size=9)
        ax.axis("off")
        late = kind == "late"
        joined = _box(ax, 2.5 if late else 1.65, 1, "average or\nproduct" if late else "fusion", INK)
        if not late:
            _arrow(ax, joined, _box(ax, 2.6, 1, "decision", TASK_COLORS["emotion"]))
        for row, modality in enumerate(MODALITIES):
            color = MODALITY_COLORS[modality]
            vector = _box(ax, 0.1, 2 - row, modality, color)
            if kind != "early":
                own = _box(ax, 1.3 if late else 0.85, 2 - row, "decision" if late else "×", color)
                _arrow(ax, vector, own)
                vector = own
            _arrow(ax, vector, joined)
    listed = "; ".join(f"{kind}: {words}" for kind, words in FUSIONS.items())
    figure.alt_text = f"Three drawings of text, video and audio flowing into one answer. {listed}."
    return figure


def _box(ax: Axes, x: float, y: float, words: str, color: str) -> Text:
    """Words in a box."""
    return ax.text(x, y, words, ha="center", va="center", size=9, bbox=BOX | {"edgecolor": color, "linewidth": 2})


def _arrow(ax: Axes, start: Text, end: Text) -> None:
    """From the edge of one box to that of another."""
    ends = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch(), "shrinkA": 1, "shrinkB": 1}
    look = {"arrowstyle": "-|>", "color": "#666666", "lw": 1.3}
    ax.annotate("", end.get_position(), start.get_position(), arrowprops=look | ends)


@style()
def against(scores: Mapping[str, np.ndarray], reference: str) -> Picture:
    """Differences to `reference`, from (1 + R,) scores and their resampled values, with paired 95 % intervals."""
    figure = picture(9, 0.7 + 0.4 * len(scores))
    ax = figure.subplots()
    others = {name: values - scores[reference] for name, values in scores.items() if name != reference}
    described = []
    for y, (name, change) in enumerate(others.items()):
        low, high = interval(change)
        sure = not low <= 0 <= high
        ax.plot([low, high], [y, y], color=INK, linewidth=2)
        ax.plot(change[0], y, "o", markersize=9, color=WRONG if sure else "white", markeredgecolor=INK)
        described.append(f"{name} {change[0]:+.3f} [{low:+.3f}, {high:+.3f}]")
    ax.axvline(0, color=INK, linestyle="--", linewidth=1)
    _rows(ax, [f"{name} ({scores[name][0]:.3f})" for name in others])
    ax.set(xlabel=f"weighted F1 minus that of {reference} ({scores[reference][0]:.3f}), with its 95 % interval")
    ax.set_title("Filled: the interval does not hold zero")
    figure.alt_text = f"Weighted F1 against {reference} ({scores[reference][0]:.3f}): {'; '.join(described)}."
    return figure


@style()
def distributions(named: Mapping[str, np.ndarray]) -> Picture:
    """Several distributions (7,) over the emotions side by side, a title each."""
    figure = picture(9, 2.7)
    described = []
    for ax, (title, p) in zip(figure.subplots(1, len(named), sharey=True), named.items(), strict=True):
        ax.barh(range(len(EMOTIONS)), p, color=[EMOTION_COLORS[e] for e in EMOTIONS])
        for i, share in enumerate(p):
            ax.text(share + 0.02, i, f"{share:.0%}", va="center", size=9)
        ax.set(title=title, xlabel="probability", xlim=(0, 1.18))
        ax.set_xticks([0, 0.5, 1])
        _rows(ax, EMOTIONS)
        described.append(f"{title}: {', '.join(f'{e} {share:.0%}' for e, share in zip(EMOTIONS, p, strict=True))}")
    figure.alt_text = f"Distributions over the emotions. {'; '.join(described)}."
    return figure


@style()
def who_is_there(own: Mapping[Jury, float], careless: Mapping[Jury, float], careful: Mapping[Jury, float]) -> Picture:
    """Scores by who is there at test time: a model for each set, one trained with everybody, one with dropout."""
    kinds = {
        "a model of its own": (own, "s", "white"),
        "one model, trained with everybody": (careless, "X", WRONG),
        "one model, modality dropout": (careful, "o", TASK_COLORS["emotion"]),
    }
    figure = picture(9, 3.5)
    ax = figure.subplots()
    described = []
    for name, (scores, mark, color) in kinds.items():
        ax.plot(
            list(scores.values()), range(len(scores)), mark, ms=9, mfc=color, mec=INK, label=name, alpha=0.9, zorder=3
        )
        listed = ", ".join(f"{'+'.join(jury)} {score:.3f}" for jury, score in scores.items())
        described.append(f"{name}: {listed}")
    _rows(ax, ["only " * (len(jury) == 1) + " + ".join(jury) for jury in own])
    ax.set(xlabel="weighted F1, emotion", title="Who is there at test time")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.alt_text = f"Weighted F1 by who is there at test time. {'; '.join(described)}."
    return figure


@style()
def gains(helped: Mapping[str, np.ndarray], cues: Mapping[str, np.ndarray]) -> Picture:
    """What hearing a modality adds to the probability of the true emotion (N,), by its known cue (N,)."""
    figure = picture(9, 2.6)
    panels = figure.subplots(1, len(helped), sharex=True, sharey=True)
    described = []
    for ax, (modality, gain) in zip(panels, helped.items(), strict=True):
        groups = [gain[np.asarray(cues[modality]) == cue] for cue in CUES]
        means = [group.mean() for group in groups]
        errors = [1.96 * group.std() / len(group) ** 0.5 for group in groups]
        ax.barh(range(len(CUES)), means, xerr=errors, color=MODALITY_COLORS[modality], ecolor=INK, capsize=3)
        ax.axvline(0, color=INK, linewidth=1)
        _rows(ax, CUES)
        ax.set(title=modality, xlabel="added to the true emotion")
        described.append(f"{modality} {', '.join(f'{c} {x:+.2f}' for c, x in zip(CUES, means, strict=True))}")
    figure.alt_text = f"Probability of the true emotion added by a modality, by its cue: {'; '.join(described)}."
    return figure


@style()
def sent_away(views: Mapping[str, np.ndarray], truth: int, words: str) -> Picture:
    """One utterance's probabilities (7,) with everybody and without each modality; the true emotion is marked."""
    values = np.stack(list(views.values()))
    figure = picture(9, 2.6)
    ax = figure.subplots()
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), p in np.ndenumerate(values):
        ax.text(j, i, f"{p:.2f}", ha="center", va="center", color="white" if p > 0.5 else INK)
    ax.set_xticks(range(len(EMOTIONS)), [f"▸ {e} ◂" if j == truth else e for j, e in enumerate(EMOTIONS)])
    ax.set_yticks(range(len(views)), list(views))
    ax.set_title(plain(f"“{words}”", 70))
    ax.grid(False)
    ax.tick_params(length=0)
    listed = ", ".join(f"{name} {p[truth]:.2f}" for name, p in views.items())
    figure.alt_text = f"“{words}”: probability of the true emotion, {EMOTIONS[truth]}: {listed}."
    return figure


@style()
def batch_means(reported: Mapping[int, np.ndarray], by_class: Mapping[int, float], whole: float) -> Picture:
    """Means of batch scores by batch size, over random orders and sorted by class, beside the score of the whole."""
    figure = picture(9, 3)
    ax = figure.subplots()
    places = range(1, len(reported) + 1)
    ax.boxplot(list(reported.values()), whis=(2.5, 97.5), showfliers=False, medianprops={"color": INK})
    ax.plot(places, list(by_class.values()), "^", color=WRONG, ms=9, label="sorted by class")
    ax.axhline(whole, color=TASK_COLORS["emotion"], linestyle="--", label="all utterances at once")
    ax.plot(
        [], [], "s", color=INK, mfc="none", ms=9, label="200 random orders: half in the\nbox, 95 % between the whiskers"
    )
    ax.set_xticks(places, reported)
    ax.set(xlabel="batch size", ylabel="“weighted F1”", title="One model, one test set, many scores")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    spans = ", ".join(
        f"{s} from {r.min():.2f} to {r.max():.2f}, sorted by class {by_class[s]:.2f}" for s, r in reported.items()
    )
    figure.alt_text = f"Weighted F1 of all utterances at once {whole:.3f}; mean of batches by batch size: {spans}."
    return figure
