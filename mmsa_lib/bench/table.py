"""What was measured: one row a comparison, kept as JSON, shown as text and in the README."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmsa_lib.errors import DataError

MEASURED = Path(__file__).with_name("measured.json")
BEGIN, END = "<!-- speed: begin (make bench WRITE=1) -->", "<!-- speed: end -->"


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of the library's way and of the other.

    `target` is met by `other / ours` of at least `times`, by `ours / other` of at most `within`, or by `ours - other`
    of less than `beyond` seconds: `kind` says which.
    """

    what: str
    against: str
    ours: float
    other: float
    kind: str
    target: float
    note: str = ""

    @property
    def figure(self) -> float:
        return {
            "times": self.other / self.ours,
            "within": self.ours / self.other,
            "beyond": self.ours - self.other,
        }[self.kind]

    @property
    def met(self) -> bool:
        return self.figure >= self.target if self.kind == "times" else self.figure <= self.target

    def cells(self) -> list[str]:
        """What, against what, both times, the figure and its target, as text."""
        shown = {
            "times": times(self.figure),
            "within": f"{self.figure:.2f} of it",
            "beyond": f"{self.figure:.3f} s more",
        }
        bound = {"times": f"at least {self.target:,g}", "within": f"at most {self.target:g}"}
        target = bound.get(self.kind, f"under {self.target:g} s") + ("" if self.met else ", missed")
        return [self.what, self.against, seconds(self.ours), seconds(self.other), shown[self.kind], target]


def times(figure: float) -> str:
    """A ratio with two digits or more."""
    return f"{figure:,.0f} times" if figure >= 10 else f"{figure:.2f} times"


def seconds(value: float) -> str:
    """Three digits with the unit that suits them."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1 or unit == "µs":
            return f"{value * factor:,.0f} {unit}" if value * factor >= 100 else f"{value * factor:.3g} {unit}"
    raise AssertionError("not reached")


HEADINGS = ["what", "against", "library", "other", "measured", "target"]


def to_text(row: Row) -> str:
    """One row in fixed columns, its note below it."""
    what, against, ours, other, figure, target = row.cells()
    line = f"{what} | {against}\n    {ours:>10} {other:>10}   {figure}  ({target})"
    return f"{line}\n    {row.note}" if row.note else line


def to_markdown(measured: dict[str, Any]) -> str:
    """The table, then the notes and the machine."""
    rows = [Row(**row) for row in measured["rows"]]
    lines = ["| " + " | ".join(HEADINGS) + " |", "|:--|:--|--:|--:|--:|--:|"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    notes = [f"- {row.what}: {row.note}" for row in rows if row.note]
    versions = dict(measured["machine"])
    place = f"{versions.pop('cores')} cores, {versions.pop('GPU', 'no GPU')}"
    listed = ", ".join(f"{name} {value}" for name, value in versions.items())
    return "\n".join([*lines, "", *notes, f"- Measured on {place}: {listed}."])


def machine() -> dict[str, Any]:
    """Where this is measured and with what."""
    import cv2
    import torch

    gpu = {"GPU": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = {name: version(name) for name in ("torch", "av", "transformers")}
    return {"cores": cores, **gpu, "Python": platform.python_version(), **packages, "OpenCV": cv2.__version__}


def write(rows: list[Row], rates: dict[str, Any], path: Path = MEASURED) -> dict[str, Any]:
    """Keep what was measured; returns what is kept."""
    measured = {"machine": machine(), "rows": [asdict(row) for row in rows], "rates": rates}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return measured


def read(path: Path = MEASURED) -> dict[str, Any]:
    """What `write` kept."""
    if not path.is_file():
        raise DataError(f"{path}: nothing has been measured yet; run `make bench WRITE=1`")
    return json.loads(path.read_text(encoding="utf-8"))
