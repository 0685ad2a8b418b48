"""Pictures of lesson 03: moving bars, R3D-18 to scale, frames right and wrong, what mistakes cost, where it looks."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor
from torchvision.utils import make_grid

from mmsa_lib.plots import BASELINE_COLOR, INK, MODALITY_COLORS, Picture, picture, style

VIDEO, PALE_VIDEO = MODALITY_COLORS["video"], "#FBE3D3"
BETWEEN = "#F3B58F"  # a paler video: a second series beside the first
WHITE = "#FFFFFF"


def _bare(ax: Axes, **settings: object) -> None:
    """A picture without ticks, grid and frame."""
    ax.set(xticks=[], yticks=[], **settings)
    ax.grid(False)


@style()
def movies(films: Mapping[str, Tensor], shown: Sequence[int] = (0, 2, 4, 6)) -> Picture:
    """Some frames of each film (T, H, W), and its middle row over time."""
    figure = picture(10, 1.85 * len(films))
    axes = figure.subplots(len(films), len(shown) + 1, width_ratios=(*[1] * len(shown), 2))
    for (*panels, slant), (name, film) in zip(axes, films.items(), strict=True):
        for ax, t in zip(panels, shown, strict=True):
            ax.imshow(film[t].numpy(), cmap="Greys")
            _bare(ax, title=f"frame {t}")
        panels[0].set_ylabel(name)
        slant.imshow(film[:, film.shape[1] // 2].numpy(), cmap="Greys")
        slant.set(title=f"space-time: {name}", xlabel="x (pixels)", ylabel="time (frames)")
        slant.grid(False)
    names = " and one that ".join(films)
    figure.alt_text = f"Frames of a bar that {names}; in space-time two opposite slants."
    return figure


@style()
def motion(kernel: Tensor, answers: Mapping[str, Tensor]) -> Picture:
    """A kernel (3, 1, 3) in space-time, and what it answers to each film, frame by frame (T - 2,)."""
    figure = picture(10, 2.6)
    one, two = figure.subplots(1, 2, width_ratios=(1, 2.6))
    one.imshow(kernel[:, 0].numpy(), cmap="Greys")
    one.set(title="the kernel in space-time", xlabel="x (pixels)", ylabel="time (frames)")
    one.set(xticks=range(3), yticks=range(3))
    one.grid(False)
    looks = ((VIDEO, "o", "-", 7), (INK, "s", "--", 9), ("#888888", "^", ":", 5))
    for (name, answer), (color, marker, dashes, size) in zip(answers.items(), looks, strict=False):
        at = np.arange(len(answer)) + 1
        two.plot(at, answer.numpy(), color=color, marker=marker, ls=dashes, markersize=size, label=name)
    top = max(float(answer.max()) for answer in answers.values())
    two.set(title="its answer, summed over the picture", xlabel="frame", ylabel="response")
    two.set_ylim(-0.12 * top, 1.25 * top)
    two.legend(loc="center right")
    heard = ", ".join(f"{name} {float(answer.mean()):g}" for name, answer in answers.items())
    figure.alt_text = f"The kernel is a slanted line of three ones; its mean answer to each film: {heard}."
    return figure


@style()
def shrinking(trace: Sequence[Mapping]) -> Picture:
    """The shapes behind each part of a network, to scale; `part` and `output` (C, T, H, W) of each."""
    figure = picture(10, 3.1)
    ax = figure.subplots()
    x = 0.0
    for line in trace:
        channels, frames, size, _ = line["output"]
        for t in reversed(range(frames)):  # the first frame in front
            ax.add_patch(Rectangle((x + 3 * t, 1.5 * t), size, size, facecolor=PALE_VIDEO, edgecolor=VIDEO, lw=0.7))
        ax.text(x, -7, f"{line['part']}\n{channels} channels\n{frames} frames\n{size}x{size}", va="top", size=9)
        x += max(size + 3 * frames, 55) + 22
    tallest = max(line["output"][2] + 1.5 * line["output"][1] for line in trace)
    ax.set(xlim=(-5, x), ylim=(-58, tallest + 4), aspect="equal")
    ax.axis("off")
    told = "; ".join(
        f"{line['part']} {c} channels, {t} frames of {h}x{w}" for line in trace for c, t, h, w in [line["output"]]
    )
    figure.alt_text = f"A network to scale, frames shrink and channels grow: {told}."
    return figure


@style()
def colours(frame: Tensor, inputs: Mapping[str, Tensor]) -> Picture:
    """A frame (3, H, W) in RGB and read as BGR, and how the values of each input of the network are spread."""
    figure = picture(10, 2.7)
    first, second, ax = figure.subplots(1, 3, width_ratios=(1, 1, 2.4))
    for panel, shown, title in ((first, frame, "RGB"), (second, frame.flip(0), "BGR taken for RGB")):
        panel.imshow(shown.permute(1, 2, 0).numpy())
        _bare(panel, title=title)
    spans = []
    for (name, values), (color, dashes) in zip(inputs.items(), ((VIDEO, "-"), (INK, "--")), strict=True):
        values = values.flatten().numpy()
        ax.hist(values, np.arange(-2.2, 2.2, 0.07), histtype="step", lw=1.8, ls=dashes, color=color, label=name)
        spans.append(f"{name} {values.min():.1f} to {values.max():.1f}")
    ax.set(title="What the network is given", xlabel="value of a pixel", ylabel="number of values")
    ax.legend()
    figure.alt_text = f"A face in RGB and, its skin blue, in BGR; values of the network's input: {', '.join(spans)}."
    return figure


@style()
def choices(ways: Mapping[str, np.ndarray]) -> Picture:
    """Frames chosen in several ways, a row each: name -> (T, H, W, 3)."""
    count = len(next(iter(ways.values())))
    figure = picture(10, 1.4 * len(ways))
    for line, (name, frames) in zip(figure.subplots(len(ways), count), ways.items(), strict=True):
        for ax, frame in zip(line, frames, strict=True):
            ax.imshow(frame)
            _bare(ax)
        line[0].set_ylabel(name)
    black = {name: sum(not frame.any() for frame in frames) for name, frames in ways.items()}
    told = "; ".join(" ".join(name.split()) + (f", {n} of them black" if n else "") for name, n in black.items())
    figure.alt_text = f"{count} frames of a clip chosen in {len(ways)} ways: {told}."
    return figure


@style()
def feature_maps(face: Tensor, stages: Mapping[str, Tensor]) -> Picture:
    """A frame (3, H, W) uint8, and of each stage (C, H, W) the four channels that vary most, each on its own scale."""
    figure = picture(10, 2.1)
    first, *axes = figure.subplots(1, 1 + len(stages))
    first.imshow(face.permute(1, 2, 0).numpy())
    _bare(first, title="input")
    for ax, (name, maps) in zip(axes, stages.items(), strict=True):
        best = maps[maps.std(dim=(1, 2)).topk(4).indices, None]
        grid = make_grid(F.interpolate(best, (64, 64)), nrow=2, normalize=True, scale_each=True, pad_value=1)
        ax.imshow(grid[0].numpy(), cmap="magma")
        _bare(ax, title=f"{name}, {maps.shape[1]}x{maps.shape[2]}")
    for ax in figure.axes:
        ax.title.set_size(10)
    figure.alt_text = (
        "A face and four feature maps of each stage, from edges to coarse blobs on the face: "
        + ", ".join(f"{name} {tuple(maps.shape)}" for name, maps in stages.items())
    )
    return figure


@style()
def ladder(scores: Mapping[str, float], ceiling: float, metric: str) -> Picture:
    """What nothing, untrained and trained features reach, in this order, and the best possible score."""
    figure = picture(8, 2.1)
    ax = figure.subplots()
    rows = {**scores, "best possible": ceiling}
    ax.barh(list(rows), list(rows.values()), color=[BASELINE_COLOR, BETWEEN, VIDEO, WHITE], edgecolor=INK, height=0.65)
    for place, value in enumerate(rows.values()):
        ax.text(value + 0.01, place, f"{value:.2f}", va="center")
    ax.set(xlabel=metric, xlim=(0, 1))
    ax.grid(False, axis="y")
    ax.invert_yaxis()
    figure.alt_text = f"{metric}: " + ", ".join(f"{name} {value:.2f}" for name, value in rows.items()) + "."
    return figure


@style()
def costs(changes: Mapping[str, Mapping[str, tuple[float, float]]], metric: str) -> Picture:
    """A mistake -> (change, half interval) where a probe was `trained` with it, and where it was only `fed` it."""
    figure = picture(9, 0.7 + 0.5 * len(changes))
    ax = figure.subplots()
    looks = {"trained": ("o", -0.14, "white", "made in training too"), "fed": ("s", 0.14, VIDEO, "fed wrong only")}
    for when, (marker, shift, fill, label) in looks.items():
        middles, halves = zip(*[both[when] for both in changes.values()], strict=True)
        mark = {"fmt": marker, "color": VIDEO, "markerfacecolor": fill, "markersize": 7, "capsize": 3}
        ax.errorbar(middles, np.arange(len(changes)) + shift, xerr=halves, label=label, **mark)
    ax.axvline(0, color=INK, lw=1)
    ax.set_yticks(range(len(changes)), list(changes))
    ax.set(xlabel=f"change of {metric}", ylim=(len(changes) - 0.5, -0.5))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    told = "; ".join(f"{n}: {c['trained'][0]:+.2f} trained, {c['fed'][0]:+.2f} fed" for n, c in changes.items())
    figure.alt_text = f"What {len(changes)} mistakes change of {metric}. {told}."
    return figure


@style()
def saliency(faces: Mapping[str, Tensor], maps: Mapping[str, np.ndarray], patch: int) -> Picture:
    """Faces (3, H, W) beside the same faces under their occlusion maps (n, n): dark is where covering hurts most."""
    figure = picture(10, 2.3)
    told = []
    for (face, heat), (name, frame) in zip(
        figure.subplots(1, 2 * len(faces)).reshape(-1, 2), faces.items(), strict=True
    ):
        size, found = frame.shape[-1], maps[name]
        weight = (found / found.max()).clip(min=0)
        step = (size - patch) / (len(found) - 1)
        edges = ((patch - step) / 2, size - (patch - step) / 2)
        for ax in (face, heat):
            ax.imshow(frame.permute(1, 2, 0).numpy())
        heat.imshow(weight, extent=(*edges, *edges[::-1]), cmap="Reds", vmin=0, vmax=1, alpha=0.85 * weight)
        _bare(face, title=name)
        _bare(heat, title="what it uses", xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        row, column = np.unravel_index(found.argmax(), found.shape)
        told.append(f"{name} row {row + 1}, column {column + 1}")
    grid = len(next(iter(maps.values())))
    figure.alt_text = f"Faces with occlusion maps of {grid} x {grid} places, the darkest: {'; '.join(told)}."
    return figure
