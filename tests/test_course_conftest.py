"""`pytest --nbmake notebooks`: every notebook is collected, features are made once, the time limit holds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from mmsa_lib.course.execute import write

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[1]
COUNT = "from pathlib import Path\nwith Path('count').open('a') as file:\n    file.write('x')\n"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A checkout with two notebooks, whose features are a file that counts how often they were made."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    package = tmp_path / "mmsa_lib" / "course"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    shutil.copy(ROOT / "mmsa_lib" / "course" / "kernel.py", package)
    (package / "session.py").write_text(COUNT)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "conftest.py", tmp_path / "notebooks")
    for name in ("a", "b"):
        source = "import os\nassert 'MPLBACKEND' not in os.environ or 'inline' in os.environ['MPLBACKEND']"
        write(new_notebook(cells=[new_code_cell(source)]), tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def pytest_says(course: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and words of pytest in the checkout `course`."""
    settings = os.environ | {"PYTHONPATH": str(course), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=course, env=settings, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_all_notebooks_run_although_the_option_was_forgotten(course: Path) -> None:
    status, said = pytest_says(course, "-n", "2", "notebooks")
    assert (status, re.findall(r"\d passed", said)) == (0, ["2 passed"]), said
    assert (course / "count").read_text() == "x"


def test_a_notebook_that_is_not_collected_is_an_error(course: Path) -> None:
    status, said = pytest_says(course, "--nbmake", "notebooks", "--ignore", "notebooks/b.ipynb")
    assert status == 4 and "notebooks that were not collected: b.ipynb" in said


def test_one_notebook_can_be_asked_for(course: Path) -> None:
    status, said = pytest_says(course, "--collect-only", "-q", "notebooks/a.ipynb")
    assert status == 0 and "1 test collected" in said
    assert not (course / "count").exists()


def test_a_slow_or_failing_notebook_fails(course: Path) -> None:
    conftest = course / "notebooks" / "conftest.py"
    conftest.write_text(conftest.read_text().replace("SECONDS = 60", "SECONDS = 0.1"))
    write(new_notebook(cells=[new_code_cell("1 / 0")]), course / "notebooks" / "b.ipynb")
    status, said = pytest_says(course, "--nbmake", "--nbmake-timeout", "60", "notebooks")
    assert status == 1
    assert re.search(r"a\.ipynb took \d+ s; a notebook may take 0\.1 s", said)
    assert "ZeroDivisionError" in said
