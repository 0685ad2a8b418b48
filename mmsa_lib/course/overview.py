"""The course map: the whole system in one picture, with the part that a lesson is about lit."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mmsa_lib import plots
from mmsa_lib.course.lessons import STAGES
from mmsa_lib.errors import DataError

WIDTH, HEIGHT = 10.0, 4.35  # inches, and the units of all places below
ROWS = {"text": 3.45, "video": 2.45, "audio": 1.45}
INPUTS = {"text": "words", "video": "frames", "audio": "sound"}
PREPARED = {"text": "token ids", "video": "8 frames, RGB", "audio": "log-mel, 64 bands"}
ENCODERS = {"text": "BERT, frozen", "video": "R3D-18, frozen", "audio": "1-D convolutions"}
DIM_EDGE, DIM_TEXT, ARROW = "#C4C4C4", "#7A7A7A", "#9A9A9A"


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
        "each ends in 128 numbers; fusion makes 256 of them, two heads give seven emotions and three sentiments; "
        f"below, loss, training and evaluation. Lit: {', '.join(lit)}."
    )
    return figure


def _boxes() -> dict[str, Box]:
    grey, colors, tasks = plots.MODALITY_COLORS["all"], plots.MODALITY_COLORS, plots.TASK_COLORS
    boxes = {"data": Box("data", 0.75, 2.45, 1.2, 2.7, "a clip", "one\nutterance\nof a\ndialogue", grey)}
    for name, y in ROWS.items():
        boxes[f"{name} input"] = Box("data", 2.2, y, 1.15, 0.56, INPUTS[name], "", colors[name])
        boxes[name] = Box(name, 4.05, y, 1.75, 0.78, f"{name} encoder", ENCODERS[name], colors[name])
        boxes[f"{name} vector"] = Box(name, 5.55, y, 0.5, 0.5, "128", "", colors[name])
    boxes["fusion"] = Box("fusion", 6.85, 2.45, 1.1, 1.2, "fusion", "384 → 256", grey)
    boxes["context"] = Box("context", 6.85, 3.75, 1.5, 0.72, "context", "what was said before", grey)
    boxes["emotion"] = Box("heads", 8.85, 3.0, 1.7, 0.78, "emotion", "7 probabilities", tasks["emotion"])
    boxes["sentiment"] = Box("heads", 8.85, 1.9, 1.7, 0.78, "sentiment", "3 probabilities", tasks["sentiment"])
    boxes["loss"] = Box("loss", 8.85, 0.5, 1.7, 0.7, "loss", "weights for classes", grey)
    boxes["training"] = Box("training", 5.6, 0.5, 2.1, 0.7, "training", "learning what is not frozen", grey)
    boxes["evaluation"] = Box("evaluation", 2.2, 0.5, 2.1, 0.7, "evaluation", "how good, how sure", grey)
    return boxes


def _draw(ax: Axes, box: Box, lit: bool) -> None:
    """Lit boxes are filled and bold; the others are outlines."""
    ax.add_patch(
        FancyBboxPatch(
            (box.x - box.width / 2, box.y - box.height / 2),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=box.color if lit else "white",
            edgecolor=box.color if lit else DIM_EDGE,
            linewidth=1.6 if lit else 1.1,
            zorder=2,
        )
    )
    color = "white" if lit else DIM_TEXT
    weight = "bold" if lit else "normal"
    lines = box.detail.count("\n") + 1 if box.detail else 0
    shift = 0.085 * lines
    ax.text(box.x, box.y + shift, box.title, ha="center", va="center", color=color, weight=weight, size=10.5, zorder=3)
    if box.detail:
        below = {"ha": "center", "va": "center", "size": 8.5, "zorder": 3, "linespacing": 1.25}
        ax.text(box.x, box.y + shift - 0.13 - 0.085 * lines, box.detail, color=color, **below)


def _connect(ax: Axes, boxes: dict[str, Box]) -> None:
    for name in ROWS:
        source, encoder, vector = boxes[f"{name} input"], boxes[name], boxes[f"{name} vector"]
        _arrow(ax, (boxes["data"].right[0], source.y), source.left)
        _arrow(ax, source.right, encoder.left)
        _arrow(ax, encoder.right, vector.left)
        offset = {"text": 0.3, "video": 0.0, "audio": -0.3}[name]
        _arrow(ax, vector.right, (boxes["fusion"].left[0], boxes["fusion"].y + offset))
    for name, offset in (("emotion", 0.25), ("sentiment", -0.25)):
        fused = boxes["fusion"].right
        _arrow(ax, (fused[0], fused[1] + offset), boxes[name].left)
    _arrow(ax, boxes["context"].bottom, boxes["fusion"].top, style="dashed")
    _arrow(ax, boxes["sentiment"].bottom, boxes["loss"].top)
    _arrow(ax, boxes["loss"].left, boxes["training"].right)
    _arrow(ax, boxes["training"].left, boxes["evaluation"].right)


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
