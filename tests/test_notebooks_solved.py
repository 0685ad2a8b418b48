"""Every notebook runs with its own solutions in the place of the stubs, and every check then passes."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from exercises import exercises, solve

from mmsa_lib.course.execute import run_cells

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="session")
def features() -> None:
    """What lessons share is computed before the first of them."""
    subprocess.run([sys.executable, "-m", "mmsa_lib.course.session"], cwd=ROOT, check=True)


@pytest.mark.usefixtures("features")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_checks_pass_with_the_solutions(path: Path) -> None:
    """In memory: the file keeps its stubs."""
    notebook = nbformat.read(path, as_version=4)
    found = exercises(notebook)
    assert solve(notebook) == len(found)
    run_cells(notebook, path.parent, path.name)
    for exercise in found:
        said = "".join(output.get("text", "") for output in exercise.check.outputs)
        assert said == f"Exercise {exercise.id}: passed ✓\n"
