"""The course map: the whole system in one picture, with the part that a lesson is about lit."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mmsa_lib import plots
from mmsa_lib.course.lessons import STAGES
from mmsa_lib.errors import DataError

WIDTH, HEIGHT = 10.0, 4.4  # inches, and the units of all places below
ROWS = {"text": 3.6, "video": 2.6, "audio": 1.6}
INPUTS = {"text": "words", "video": "frames", "audio": "sound"}
ENCODERS = {"text": "BERT, frozen", "video": "R3D-18, frozen", "audio": "1-D convolutions"}
DIM_TEXT, ARROW = "#6A6A6A", "#9A9A9A"


@dataclass(frozen=True)
class Box:
    """A box of the map: its centre and size, its words, its colour when lit."""

    stage: str
    x: float
    y: float
    width: float
    height: float
    title: str
    detail: str
    color: str

    @property
    def left(self) -> tuple[float, float]:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> tuple[float, float]:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        return self.x, self.y - self.height / 2


@plots.style()
def course_map(*stages: str) -> plots.Picture:
    """The map with `stages` lit (some of `lessons.STAGES`); without any, all is lit."""
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise DataError(f"the course map has no stage {unknown[0]!r}; it has {', '.join(STAGES)}")
    lit = stages or STAGES
    figure = plots.Picture(figsize=(WIDTH, HEIGHT))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    ax.axis("off")
    boxes = _boxes()
    for box in boxes.values():
        _draw(ax, box, box.stage in lit)
    _connect(ax, boxes)
    figure.alt_text = (
        "Map of the course: a clip's words, frames and sound go through a text, a video and an audio encoder, "
        "each ends in 128 numbers; fusion makes 256 of them, context may add what was said before, two heads give "
        "seven emotions and three sentiments; "
        f"below, evaluation, and the loss and the training that change what is not frozen. Lit: {', '.join(lit)}."
    )
    return figure


def _boxes() -> dict[str, Box]:
    grey, colors, tasks = plots.MODALITY_COLORS["all"], plots.MODALITY_COLORS, plots.TASK_COLORS
    boxes = {"data": Box("data", 0.72, 2.6, 1.2, 2.78, "a clip", "one\nutterance\nof a\ndialogue", grey)}
    for name, y in ROWS.items():
        boxes[f"{name} input"] = Box("data", 2.2, y, 1.2, 0.56, INPUTS[name], "", colors[name])
        boxes[name] = Box(name, 4.05, y, 1.75, 0.78, f"{name} encoder", ENCODERS[name], colors[name])
        boxes[f"{name} vector"] = Box(name, 5.52, y, 0.54, 0.5, "128", "", colors[name])
    boxes["fusion"] = Box("fusion", 6.53, 2.6, 0.92, 1.2, "fusion", "384 → 256", grey)
    boxes["context"] = Box("context", 7.67, 2.6, 0.86, 1.2, "context", "what was\nsaid before", grey)
    boxes["emotion"] = Box("heads", 9.0, 3.1, 1.5, 0.78, "emotion", "7 probabilities", tasks["emotion"])
    boxes["sentiment"] = Box("heads", 9.0, 2.1, 1.5, 0.78, "sentiment", "3 probabilities", tasks["sentiment"])
    boxes["evaluation"] = Box("evaluation", 9.0, 0.5, 1.74, 0.72, "evaluation", "how good, how sure", grey)
    boxes["loss"] = Box("loss", 6.9, 0.5, 1.62, 0.72, "loss", "how wrong", grey)
    boxes["training"] = Box("training", 4.05, 0.5, 1.75, 0.72, "training", "step by step", grey)
    return boxes


def _draw(ax: Axes, box: Box, lit: bool) -> None:
    """Lit boxes are filled and bold; the others are outlines that keep a hint of their colour."""
    ax.add_patch(
        FancyBboxPatch(
            (box.x - box.width / 2, box.y - box.height / 2),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=box.color if lit else _towards_white(box.color, 0.92),
            edgecolor=box.color if lit else _towards_white(box.color, 0.55),
            linewidth=1.8 if lit else 1.1,
            zorder=2,
        )
    )
    color = _readable_on(box.color) if lit else DIM_TEXT
    weight = "bold" if lit else "normal"
    lines = box.detail.count("\n") + 1 if box.detail else 0
    shift = 0.085 * lines
    ax.text(box.x, box.y + shift, box.title, ha="center", va="center", color=color, weight=weight, size=10.5, zorder=3)
    if box.detail:
        below = {"ha": "center", "va": "center", "size": 8.5, "zorder": 3, "linespacing": 1.25}
        ax.text(box.x, box.y + shift - 0.13 - 0.085 * lines, box.detail, color=color, **below)


def _towards_white(color: str, share: float) -> tuple[float, ...]:
    return tuple(share + (1 - share) * part for part in to_rgb(color))


def _readable_on(color: str) -> str:
    """White or ink, whichever stands out more (contrast as WCAG 2 defines it)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > 3 else plots.INK


def _connect(ax: Axes, boxes: dict[str, Box]) -> None:
    fusion = boxes["fusion"]
    for name, offset in zip(ROWS, (0.32, 0.0, -0.32), strict=True):
        source, encoder, vector = boxes[f"{name} input"], boxes[name], boxes[f"{name} vector"]
        _arrow(ax, (boxes["data"].right[0], source.y), source.left)
        _arrow(ax, source.right, encoder.left)
        _arrow(ax, encoder.right, vector.left)
        _arrow(ax, vector.right, (fusion.left[0], fusion.y + offset))
    context, heads = boxes["context"], (boxes["emotion"], boxes["sentiment"])
    _arrow(ax, fusion.right, context.left)
    # What both heads say is judged together: a bracket gathers it.
    edge, below = heads[0].right[0] + 0.13, 1.36
    for head, offset in zip(heads, (0.25, -0.25), strict=True):
        _arrow(ax, (context.right[0], context.y + offset), head.left)
        _line(ax, head.right, (edge, head.y))
    _line(ax, (edge, heads[0].y), (edge, below), (boxes["loss"].x + 0.4, below))
    _arrow(ax, (boxes["evaluation"].x, below), boxes["evaluation"].top)
    _arrow(ax, (boxes["loss"].x + 0.4, below), (boxes["loss"].x + 0.4, boxes["loss"].top[1]))
    _arrow(ax, boxes["loss"].left, boxes["training"].right)
    # Training changes the audio encoder and all that comes after the encoders.
    training, between = boxes["training"].top, boxes["audio"].bottom[1] / 2 + boxes["training"].top[1] / 2
    _line(ax, (training[0], between), (fusion.x, between), style="dashed")
    _arrow(ax, training, boxes["audio"].bottom, style="dashed")
    _arrow(ax, (fusion.x, between), fusion.bottom, style="dashed")


def _line(ax: Axes, *points: tuple[float, float], style: str = "solid") -> None:
    x, y = zip(*points, strict=True)
    ax.plot(x, y, color=ARROW, linewidth=1.3, linestyle=style, zorder=1)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], style: str = "solid") -> None:
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=ARROW,
            linewidth=1.3,
            linestyle=style,
            shrinkA=1,
            shrinkB=1,
            zorder=1,
        )
    )
