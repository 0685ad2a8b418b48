"""Traps with their measured cost: shown in a lesson, stored in its output, collected into one table.

`python -m mmsa_lib.course.traps` prints the table from the saved notebooks, with `--write` into README.md.
"""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from mmsa_lib.course.session import CHECKOUT
from mmsa_lib.errors import DataError
from mmsa_lib.readme import put_between

METADATA_KEY = "mmsa_trap"
BEGIN, END = "<!-- traps: begin (python -m mmsa_lib.course.traps --write) -->", "<!-- traps: end -->"


@dataclass(frozen=True)
class Trap:
    """What was measured: `right` done well, `wrong` with the trap, `spread` the uncertainty of their difference."""

    name: str
    right: float
    wrong: float
    metric: str = "weighted F1"
    spread: float | None = None
    note: str = ""

    @property
    def change(self) -> float:
        return self.wrong - self.right


def trap(
    name: str,
    right: float,
    wrong: float,
    metric: str = "weighted F1",
    spread: float | None = None,
    note: str = "",
) -> None:
    """Show what a trap costs, and keep the numbers in the output for the table of all traps.

    Args:
        name: the mistake in a few words, such as "BGR taken for RGB".
        right, wrong: the metric without and with the mistake.
        metric: what was measured; the unit belongs to it ("seconds an epoch").
        spread: uncertainty of the difference, half its 95 % interval.
        note: on what it was measured, in a few words.
    """
    from IPython.display import display

    found = Trap(name, float(right), float(wrong), metric, None if spread is None else float(spread), note)
    if not all(map(math.isfinite, (found.right, found.wrong, found.spread or 0.0))):
        raise DataError(f"trap {name!r}: right, wrong and spread must be finite numbers")
    data = {"text/html": to_html(found), "text/plain": to_text(found)}
    display(data, metadata={METADATA_KEY: asdict(found)}, raw=True)


def number(value: float) -> str:
    """Three decimals for scores, three digits for what is larger, none for a count."""
    if isinstance(value, int) or (abs(value) >= 100 and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def change(found: Trap) -> str:
    """The difference with its sign and uncertainty."""
    sign = "−" if found.change < 0 else "+"
    spread = "" if found.spread is None else f" ± {number(found.spread)}"
    return f"{sign}{number(abs(found.change))}{spread}"


def hidden_by_noise(found: Trap) -> bool:
    """Whether the difference is not larger than its uncertainty."""
    return found.spread is not None and abs(found.change) <= found.spread


def to_text(found: Trap) -> str:
    """One line: `Trap: BGR taken for RGB changes weighted F1 by −0.043 ± 0.012 (0.455 → 0.412)`."""
    verdict = "; not beyond its uncertainty" if hidden_by_noise(found) else ""
    note = f"; {found.note}" if found.note else ""
    values = f"{number(found.right)} → {number(found.wrong)}"
    return f"Trap: {found.name} changes {found.metric} by {change(found)} ({values}{verdict}{note})"


def to_html(found: Trap) -> str:
    """The same as a box: the mistake, both values, the difference."""
    verdict = " (not beyond its uncertainty)" if hidden_by_noise(found) else ""
    note = f'<div style="opacity:.75;font-size:.9em">{escape(found.note)}</div>' if found.note else ""
    return (
        '<div style="border-left:5px solid #CC6677;padding:.4em .9em;margin:.3em 0;max-width:46em">'
        f"<b>Trap: {escape(found.name)}</b><br>{escape(found.metric)}: "
        f"{number(found.right)} done right, {number(found.wrong)} with the trap: "
        f"<b>{change(found)}</b>{verdict}{note}</div>"
    )


# ------------------------------------------------------------------------------------ the table of all


def collect(notebooks: Iterable[Path]) -> list[tuple[Path, Trap]]:
    """Every trap stored in the outputs of saved notebooks, in reading order."""
    found = []
    for path in sorted(notebooks):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            stored = [output.get("metadata", {}).get(METADATA_KEY) for output in cell.get("outputs", ())]
            found += [(path, Trap(**fields)) for fields in stored if fields]
    return found


def to_markdown(traps: Iterable[tuple[Path, Trap]]) -> str:
    """One row a trap; the lesson is linked from the repository root."""
    traps = list(traps)
    if not traps:
        return "None measured yet."
    lines = ["| trap | lesson | measured | right | trapped | change |", "|:--|:--|:--|--:|--:|--:|"]
    for path, found in traps:
        name, metric, note = (text.replace("|", r"\|") for text in (found.name, found.metric, found.note))
        measured = f"{metric}, {note}" if note else metric
        values = f"{number(found.right)} | {number(found.wrong)} | {change(found)}"
        lines.append(f"| {name} | [{path.stem[:2]}](notebooks/{path.name}) | {measured} | {values} |")
    return "\n".join(lines)


def update_readme(readme: Path, notebooks: Path) -> bool:
    """Put the table between README's two comments; say whether that changed anything."""
    return put_between(readme, BEGIN, END, to_markdown(collect(notebooks.glob("*.ipynb"))))


def main(arguments: list[str]) -> None:
    notebooks = CHECKOUT / "notebooks"
    if "--write" in arguments:
        update_readme(CHECKOUT / "README.md", notebooks)
    print(to_markdown(collect(notebooks.glob("*.ipynb"))))


if __name__ == "__main__":
    main(sys.argv[1:])
