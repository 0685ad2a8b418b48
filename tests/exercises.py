"""Exercises of a notebook as data, and what tests of the checks share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from mmsa_lib.course.checks import registry

HEADING = re.compile(r"^### Exercise (\d+\.\d+) · \S.*$", re.MULTILINE)
FOLDED = re.compile(r"<details>\s*<summary>(.*?)</summary>\s*\n(.*?)</details>", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


@dataclass
class Exercise:
    """One exercise of a notebook: the four cells it is made of; None where one is not where it belongs."""

    id: str
    contract: str
    stub: NotebookNode | None
    check: NotebookNode | None
    folded: dict[str, str]

    @property
    def solution(self) -> str | None:
        """The code that replaces the stub, if there is exactly one block of it."""
        blocks = PYTHON.findall(self.folded.get("Solution", ""))
        return blocks[0].strip() if len(blocks) == 1 else None


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """All exercises, by the heading in their first cell; the three cells after it belong to it."""
    found = []
    for i, cell in enumerate(notebook.cells):
        heading = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if heading:
            after = [*notebook.cells[i + 1 : i + 4], None, None, None]
            stub, check = _tagged(after[0], "exercise"), _tagged(after[1], "check")
            folded = FOLDED.findall(after[2].source) if after[2] is not None else []
            found.append(Exercise(heading[1], cell.source, stub, check, {k.strip(): v.strip() for k, v in folded}))
    return found


def _tagged(cell: NotebookNode | None, tag: str) -> NotebookNode | None:
    return cell if cell is not None and tag in cell.metadata.get("tags", []) else None


def solutions(path: Path) -> dict[str, str]:
    """Exercise id -> the code of its solution."""
    return {e.id: e.solution for e in exercises(nbformat.read(path, as_version=4)) if e.solution}


def solve(notebook: NotebookNode) -> int:
    """Put every solution in the place of its stub; return how many there were."""
    solved = [e for e in exercises(notebook) if e.solution and e.stub is not None]
    for exercise in solved:
        exercise.stub.source = exercise.solution
    return len(solved)


def cases(wrong: Mapping[str, Sequence[tuple[object, str]]]) -> list:
    """Wrong answers {id: [(answer, diagnosis), …]} as parameters of a test."""
    return [
        pytest.param(id, answer, diagnosis, id=f"{id}-{diagnosis}")
        for id, answers in wrong.items()
        for answer, diagnosis in answers
    ]


def judge(id: str, answer: object) -> None:
    """Give `answer` (a tuple: several) to the check of exercise `id`; a wrong one raises `Misconception`."""
    registry()[id](*answer if isinstance(answer, tuple) else (answer,))
