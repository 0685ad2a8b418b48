"""Pictures of lesson 08: seeds, a paired bootstrap, the lattice of sets, groups that mean nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmsa_lib.plots import BASELINE_COLOR, INK, MODALITY_COLORS, TASK_COLORS, Picture, picture, style

WRONG = TASK_COLORS["sentiment"]  # a second colour beside that of emotion
Subset = tuple[str, ...]


@style()
def seeds(kinds: Mapping[str, Sequence[float]], spans: Mapping[str, tuple[float, float]], metric: str) -> Picture:
    """One dot a seed for each kind of model, the mean as a line, and the interval of one test set as a band."""
    figure = picture(8, 1.2 + 0.6 * len(kinds))
    ax = figure.subplots()
    described = []
    for y, (kind, values) in enumerate(kinds.items()):
        low, high = spans[kind]
        ax.barh(y, high - low, 0.7, left=low, color="#E9E9F4", label="95 % by utterances (seed 0)" if not y else None)
        ax.plot([np.mean(values)] * 2, [y - 0.35, y + 0.35], color=INK, label="mean of the seeds" if not y else None)
        places = y + np.linspace(-0.2, 0.2, len(values))
        ax.plot(values, places, "o", color=TASK_COLORS["emotion"], label="one seed each" if not y else None)
        listed = ", ".join(f"{v:.3f}" for v in values)
        described.append(f"{kind}: seeds {listed}, interval of seed 0 {low:.3f} to {high:.3f}")
    ax.set_yticks(range(len(kinds)), list(kinds))
    ax.set_ylim(len(kinds) - 0.4, -0.6)
    ends = [end for kind in kinds for end in (*spans[kind], *kinds[kind])]
    ax.set_xlim(min(ends) - 0.01, max(ends) + 0.01)
    ax.set(xlabel=metric, title="What a seed does, and what a test set does")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.alt_text = f"{metric[:1].upper()}{metric[1:]} by seed. {'; '.join(described)}."
    return figure


@style()
def pairing(unpaired: np.ndarray, paired: np.ndarray) -> Picture:
    """Resampled differences (R,) of two models: each asked about its own utterances, and both about the same."""
    figure = picture(8, 2.9)
    ax = figure.subplots()
    reach = np.abs(np.concatenate([unpaired, paired])).max()
    edges = np.linspace(-reach, reach, 60)
    kinds = {
        "each its own utterances": (unpaired, BASELINE_COLOR, ""),
        "both the same": (paired, TASK_COLORS["emotion"], "//"),
    }
    words = []
    for name, (draws, color, hatch) in kinds.items():
        low, high = np.quantile(draws, [0.025, 0.975])
        label = f"{name}: {low:+.3f} to {high:+.3f}"
        ax.hist(draws, edges, color=color, alpha=0.75, hatch=hatch, edgecolor="white", label=label)
        words.append(f"{name} 95 % from {low:+.3f} to {high:+.3f}")
    ax.axvline(0, color=INK, linewidth=1.2)
    ax.set(xlabel="difference of weighted F1", ylabel="resamples", title="The luck of the draw cancels in pairs")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.alt_text = f"Resampled differences of two models. {'; '.join(words)}."
    return figure


@style()
def lattice(values: Mapping[Subset, float], metric: str) -> Picture:
    """Every set of modalities at its score, and on each line from set to set what the newcomer adds."""
    figure = picture(9.5, 4.6)
    ax = figure.subplots()
    sizes = [[s for s in values if len(s) == size] for size in range(1 + max(map(len, values)))]
    place = {s: (size, (len(row) - 1) / 2 - i) for size, row in enumerate(sizes) for i, s in enumerate(row)}
    for smaller in values:
        for larger in values:
            (new,) = set(larger) - set(smaller) if len(set(larger) - set(smaller)) == 1 else (None,)
            if new is None or not set(smaller) <= set(larger):
                continue
            (x0, y0), (x1, y1) = place[smaller], place[larger]
            ax.plot([x0, x1], [y0, y1], color=MODALITY_COLORS[new], linewidth=1.6, zorder=1)
            along = 0.63 if y0 != y1 and len(smaller) == 1 else 0.45  # beside where lines cross, clear of the boxes
            x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
            gain = f"{new} {values[larger] - values[smaller]:+.2f}"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            ax.text(x, y, gain, color=MODALITY_COLORS[new], size=8.5, ha="center", va="center", bbox=box)
    for subset, (x, y) in place.items():
        name = " + ".join(subset).replace("text + video + audio", "text + video\n+ audio") or "nothing"
        box = {"facecolor": "white", "edgecolor": INK, "boxstyle": "round,pad=0.35"}
        words = f"{name}\n{values[subset]:.3f}"
        ax.text(x, y, words, ha="center", va="center", size=10, weight="bold", bbox=box, zorder=3)
    ax.axis("off")
    ax.set(xlim=(-0.4, len(sizes) - 0.6), ylim=(-1.4, 1.4), title=f"{metric}: every way in")
    listed = ", ".join(f"{'+'.join(s) or 'nothing'} {v:.3f}" for s, v in values.items())
    figure.alt_text = f"{metric} of every set of modalities: {listed}."
    return figure


@style()
def chance_gaps(gaps: np.ndarray, real: float, what: str) -> Picture:
    """Gap (R,) between the best and the worst of groups that mean nothing, and the `real` one of `what` as a line."""
    figure = picture(8, 2.6)
    ax = figure.subplots()
    ax.hist(gaps, 20, color=BASELINE_COLOR, label="groups drawn at random")
    ax.axvline(real, color=WRONG, linewidth=2.4, linestyle="--", label=f"{what}: {real:.2f}")
    ax.set(xlabel="accuracy, best group minus worst group", ylabel="tries", title="How far chance alone drives groups")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    low, high = np.quantile(gaps, [0.025, 0.975])
    figure.alt_text = (
        f"Best minus worst group: {np.mean(gaps):.2f} on average and {low:.2f} to {high:.2f} in 95 % of random cuts; "
        f"{what} {real:.2f}."
    )
    return figure
