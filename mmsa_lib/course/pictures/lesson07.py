"""Pictures of lesson 07: the circle of training, what it costs, valleys, gradients, epochs, numbers of 16 bits."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mmsa_lib.plots import INK, MODALITY_COLORS, TASK_COLORS, Picture, picture, style

FIRST, SECOND, GREY = "#0072B2", "#D55E00", "#777777"
STEPS = (
    "batch\n80 utterances",
    "forward\n10 logits each",
    "loss\none number",
    "backward\ngradients",
    "step\nweights move",
)
TITLES = {
    "loss": "dev loss, both tasks",
    "dev": "dev weighted F1, emotion",
    "test": "test weighted F1, emotion",
}
BITS = {"float32": (8, 23), "bfloat16": (8, 7), "float16": (5, 10)}  # of the exponent, of the fraction
Curves = Mapping[str, np.ndarray]  # name -> (seeds, epochs)


@style()
def circle() -> Picture:
    """The five stations of a training step, and the way back."""
    figure = picture(9, 1.5)
    ax = figure.subplots()
    arrow = {"arrowstyle": "-|>", "color": "#444444", "lw": 2}
    box = {"boxstyle": "round,pad=0.6", "fc": "white", "ec": TASK_COLORS["emotion"], "lw": 2}
    for i, text in enumerate(STEPS):
        ax.text(i, 0, text, ha="center", va="center", size=9, bbox=box)
        if i:
            ax.annotate("", (i - 0.36, 0), (i - 0.64, 0), arrowprops=arrow)
    ax.annotate("", (0, -0.35), (4, -0.35), arrowprops=arrow | {"connectionstyle": "arc3,rad=-0.12"})
    ax.set(xlim=(-0.6, 4.6), ylim=(-1.1, 0.6))
    ax.axis("off")
    figure.alt_text = "The training circle: batch, forward pass, loss, backward pass, step, and back to the next batch."
    return figure


@style()
def by_heart(losses: Sequence[float], floor: float, smoothing: float) -> Picture:
    """The loss of one batch, step by step, and what it cannot go below; of that, what label smoothing makes up."""
    figure = picture(7, 2.6)
    ax = figure.subplots()
    ax.plot(range(1, len(losses) + 1), losses, color=INK, label="loss of the one batch")
    ax.axhline(floor, color=GREY, linestyle="--", label="floor of this batch")
    ax.axhline(smoothing, color=GREY, linestyle=":", label="of label smoothing alone")
    ax.set(xlabel="step", ylabel="loss, both tasks", ylim=(0, None), title="One batch, learned by heart")
    ax.legend()
    fall = f"from {losses[0]:.2f} to {losses[-1]:.2f} in {len(losses)} steps"
    floors = f"the floor is {floor:.2f}, {smoothing:.2f} of it by smoothing"
    figure.alt_text = f"The loss of one batch falls {fall}; {floors}."
    return figure


@style()
def costs(parts: Mapping[str, tuple[float, str, bool]]) -> Picture:
    """Operations for one utterance in one training step: name -> (count, modality, frozen), on a logarithmic axis."""
    figure = picture(8.5, 2.2)
    ax = figure.subplots()
    for y, (count, modality, frozen) in enumerate(parts.values()):
        ax.barh(y, count, color=MODALITY_COLORS[modality], hatch="//" if frozen else "", edgecolor="white")
        ax.text(count * 1.2, y, f"{count / 1e9:.3g} GFLOP", va="center", size=9)
    ax.set_yticks(range(len(parts)), [f"{n} ({'frozen' if f else 'trained'})" for n, (_, _, f) in parts.items()])
    ax.set(xscale="log", xlim=(1e6, 2e12), xlabel="floating-point operations for one utterance in one training step")
    ax.invert_yaxis()
    listed = ", ".join(f"{name} {count / 1e9:.3g}" for name, (count, *_) in parts.items())
    figure.alt_text = f"Billions of operations for one utterance: {listed}."
    return figure


@style()
def valley(height: Callable, paths: Mapping[str, np.ndarray]) -> Picture:
    """Ways (steps, 2) down a landscape `height(x, y)`, name -> path, seen from above."""
    figure = picture(8.5, 2.8)
    ax = figure.subplots()
    a, b = np.meshgrid(np.linspace(-4.6, 1.5, 100), np.linspace(-1.9, 1.9, 100))
    ax.contour(a, b, height(a, b), levels=np.geomspace(0.3, 60, 9), colors="#CCCCCC", linewidths=0.8)
    for (name, path), color, mark in zip(paths.items(), (SECOND, FIRST), "os", strict=True):
        ax.plot(*np.asarray(path).T, mark + "-", color=color, markersize=3.5, linewidth=1, label=name)
    ax.plot(0, 0, "*", color="black", markersize=12)
    ax.set(xlabel="a flat direction", ylabel="a steep one", title="Two ways down a narrow valley (★ lowest point)")
    ax.legend(loc="upper right")
    ends = ", ".join(f"{name} at distance {np.hypot(*np.asarray(path)[-1]):.1f}" for name, path in paths.items())
    figure.alt_text = f"Two walks down a narrow valley; after {len(path)} steps from the lowest point: {ends}."
    return figure


@style()
def gradient_lengths(norms: Sequence[float], limit: float = 1.0) -> Picture:
    """The length of the whole gradient at each step, and the limit of clipping."""
    figure = picture(8, 2.5)
    ax = figure.subplots()
    ax.plot(range(1, len(norms) + 1), norms, "o-", color=INK, markersize=3, linewidth=1)
    ax.axhline(limit, color=SECOND, linestyle="--", label=f"limit: longer ones are shrunk to {limit:g}")
    ax.set(xlabel="step", ylabel="length of the gradient", ylim=(0, None), title="Gradients of the first steps")
    ax.legend()
    figure.alt_text = f"Gradient length over {len(norms)} steps, between {min(norms):.1f} and {max(norms):.1f}."
    return figure


@style()
def judges(runs: Curves) -> Picture:
    """Dev loss, dev F1 and test F1 over the epochs: a thin line a seed, a thick one their mean."""
    figure = picture(9.5, 3)
    described = []
    for ax, (column, name) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
        values, epochs = runs[column], np.arange(1, runs[column].shape[1] + 1)
        mean = values.mean(axis=0)
        best = int(mean.argmin() if column == "loss" else mean.argmax())
        ax.plot(epochs, values.T, color="#BBBBBB", linewidth=1)
        ax.plot(epochs, mean, color=TASK_COLORS["emotion"], linewidth=2.5)
        ax.plot(epochs[best], mean[best], "o", color=TASK_COLORS["emotion"], markersize=8)
        ax.set(xlabel="epoch", title=name, xticks=epochs[::2], ylabel="nats" if column == "loss" else "weighted F1")
        described.append(f"{name} best after epoch {epochs[best]}, at the end {mean[-1]:.2f}")
    figure.alt_text = f"Mean of {len(values)} seeds: {'; '.join(described)}."
    return figure


@style()
def averaging(runs: Curves) -> Picture:
    """Dev F1 of the weights themselves and of their running average, a line a seed."""
    figure = picture(9, 3)
    columns = {"the weights themselves": "dev", "their average": "averaged_dev"}
    jumps = []
    for ax, (name, column) in zip(figure.subplots(1, 2, sharey=True), columns.items(), strict=True):
        values, epochs = runs[column], np.arange(1, runs[column].shape[1] + 1)
        for line, dashes in zip(values, ("-", "--", "-.", ":") * len(values), strict=False):
            ax.plot(epochs, line, dashes, linewidth=1.3, color=TASK_COLORS["emotion"])
        ax.set(xlabel="epoch", ylabel="weighted F1", title=f"dev, {name}", xticks=epochs[::2])
        jumps.append(np.abs(np.diff(values[:, 5:], axis=1)).mean())
    figure.alt_text = f"Dev F1 jumps by {jumps[0]:.3f} an epoch with the weights, by {jumps[1]:.3f} averaged."
    return figure


@style()
def braking(constant: Curves, braked: Curves) -> Picture:
    """The learning rate of seeds with a plateau scheduler, and test F1 with it and without."""
    figure = picture(9, 2.9)
    first, second = figure.subplots(1, 2)
    epochs = np.arange(1, braked["rate"].shape[1] + 1)
    first.step(epochs, braked["rate"].T, where="mid", color=FIRST)
    first.set(
        yscale="log", xlabel="epoch", ylabel="learning rate", title="The brakes, a line per seed", xticks=epochs[::2]
    )
    ends = []
    for runs, name, color, dashes in ((constant, "constant", SECOND, "--"), (braked, "plateau", FIRST, "-")):
        mean, deviation = runs["test"].mean(axis=0), runs["test"].std(axis=0, ddof=1)
        second.plot(epochs, mean, dashes, color=color, label=name)
        second.fill_between(epochs, mean - deviation, mean + deviation, color=color, alpha=0.12)
        ends.append(f"{name} {mean[-1]:.3f}")
    second.set(xlabel="epoch", ylabel="weighted F1", xticks=epochs[::2])
    second.set_title("Test (band: ± 1 standard deviation)")
    second.legend(loc="lower right")
    left = (braked["rate"][:, -1] / braked["rate"][:, 0]).mean()
    figure.alt_text = f"Braked to {left:.0e} of the learning rate on average; test F1 at the end: {', '.join(ends)}."
    return figure


@style()
def bits() -> Picture:
    """What the bits of three kinds of floating-point numbers are spent on."""
    figure = picture(9, 1.9)
    ax = figure.subplots()
    parts = (("sign", GREY), ("exponent: range", SECOND), ("fraction: digits", FIRST))
    for y, (exponent, fraction) in enumerate(BITS.values()):
        left = 0
        for size, (name, color) in zip((1, exponent, fraction), parts, strict=True):
            for bit in range(size):
                ax.barh(y, 1, left=left + bit, color=color, edgecolor="white", label=name if y + bit == 0 else None)
            left += size
    ax.set_yticks(range(len(BITS)), list(BITS))
    ax.set(xlabel="bits", xlim=(0, 33), title="Range or digits: what 16 bits are spent on")
    ax.invert_yaxis()
    ax.grid(False)
    ax.legend(loc="lower right")
    listed = ", ".join(f"{name} {e} bits of exponent and {f} of fraction" for name, (e, f) in BITS.items())
    figure.alt_text = f"Bits of floating-point numbers: {listed}."
    return figure
