"""How `pytest --nbmake notebooks` runs the course: clean kernels, no network, announced removals are errors."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmsa_lib.course import kernel

HERE = Path(__file__).parent
SECONDS = 60  # the longest that one notebook may take on two busy cores


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config.option, "nbmake"):
        raise pytest.UsageError("the notebooks are run by nbmake: pip install nbmake")
    config.option.nbmake = True  # forgotten on the command line, it would find no notebook and be content
    if config.option.nbmake_timeout == 300:  # nbmake's default, for one cell
        config.option.nbmake_timeout = SECONDS


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Before xdist starts its workers: the features that lessons share are computed once, and not on their time."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        subprocess.run([sys.executable, "-m", "mmsa_lib.course.session"], cwd=HERE.parent, check=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every notebook that was asked for must have been collected."""
    asked = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    wanted = {path for path in HERE.glob("*.ipynb") if any(path == a or a in path.parents for a in asked)}
    missed = sorted(path.name for path in wanted - {item.path for item in items})
    if missed:
        raise pytest.UsageError(f"notebooks that were not collected: {', '.join(missed)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """The kernel's environment around each notebook, and its time limit."""
    if item.path.suffix != ".ipynb":
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kernel.environment(_profile(item.config)).items():
            patch.setenv(name, value)
        patch.delenv("MPLBACKEND", raising=False)  # with Agg, pictures vanish without a word
        patch.setattr("nbmake.nb_run.NotebookClient", kernel.PatientClient)
        started = time.perf_counter()
        result = yield
    seconds = time.perf_counter() - started
    if seconds > SECONDS:
        pytest.fail(f"{item.path.name} took {seconds:.0f} s; a notebook may take {SECONDS} s", pytrace=False)
    return result


def _profile(config: pytest.Config) -> Path:
    return config._tmp_path_factory.mktemp("ipython", numbered=True)
