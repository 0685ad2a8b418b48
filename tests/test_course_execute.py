"""Running notebooks: what a kernel refuses, what is saved, what is taken out, what a failure says."""

import base64
import io
import os
import socket
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from mmsa_lib.course import execute, kernel
from mmsa_lib.course.execute import NotebookFailed, clean, compact, digest, read, rounded, run_cells, write
from mmsa_lib.course.lessons import setup_cell
from mmsa_lib.errors import DataError

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[1]


def warned_by(module: str) -> str:
    """Code of a cell that gets a warning as if `module` had caused it."""
    raised = "import warnings; warnings.warn('going', FutureWarning)"
    return f"exec(compile({raised!r}, 'x.py', 'exec'), {{'__name__': {module!r}}})"


CLAIM = "from mmsa_lib.course import claim\nclaim('pigs fly', False)"
IN_A_KERNEL = {
    "reach a host": "import socket; socket.create_connection(('93.184.215.14', 80), timeout=1)",
    "ask for a name": "import urllib.request; urllib.request.urlopen('http://example.org', timeout=1)",
    "send a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('9.9.9.9', 53))",
    "call itself": (
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(('localhost', server.getsockname()[1]), timeout=5).close(); print('reached')"
    ),
    "outdated": "import warnings; warnings.warn('going', DeprecationWarning)",
    "outdated in a library": warned_by("pandas.x"),
    "outdated in seaborn": warned_by("seaborn.x") + "\nprint('passed over')",
    "only a warning": "warnings.warn('careful', UserWarning)",
    "libraries": "import numpy, pandas, torch, matplotlib.pyplot, seaborn, ipywidgets; print('imported')",
    "environment": "import os; print(os.environ['OMP_NUM_THREADS'], os.environ.get('MPLBACKEND', 'inline')[-6:])",
    "false claim": f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{CLAIM}",
}


@pytest.fixture(scope="module")
def probed(tmp_path_factory) -> dict[str, list]:
    """What each of the cells above gave, all in one kernel."""
    folder = tmp_path_factory.mktemp("kernel")
    notebook = new_notebook(cells=[new_code_cell(source) for source in IN_A_KERNEL.values()])
    settings = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | kernel.environment(folder / "ipython")
    NotebookClient(notebook, allow_errors=True, timeout=120).execute(cwd=str(folder), env=settings)
    return dict(zip(IN_A_KERNEL, (cell.outputs for cell in notebook.cells), strict=True))


def error(outputs: list) -> str:
    return next(f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error")


@pytest.mark.parametrize("what", ["reach a host", "ask for a name", "send a datagram"])
def test_the_network_is_refused(probed, what: str) -> None:
    assert "no network in this kernel" in error(probed[what])


def test_the_machine_itself_can_be_reached(probed) -> None:
    assert probed["call itself"][0].text == "reached\n"


@pytest.mark.parametrize("what", ["outdated", "outdated in a library"])
def test_an_announced_removal_is_an_error(probed, what: str) -> None:
    assert "Warning: going" in error(probed[what])


def test_other_warnings_are_not(probed) -> None:
    assert probed["outdated in seaborn"][0].text == "passed over\n"
    assert probed["only a warning"][0].name == "stderr"
    assert probed["libraries"][0].text == "imported\n"


def test_the_environment_is_the_tests_own(probed) -> None:
    assert probed["environment"][0].text == "1 inline\n"


def test_a_false_claim_shows_one_line(probed) -> None:
    assert [o.traceback for o in probed["false claim"] if o.output_type == "error"] == [["✗ not true: pigs fly"]]


# ---------------------------------------------------------------------------------------- executing


def small(folder: Path, *sources: str) -> Path:
    """A notebook with an opening and these code cells."""
    path = folder / "notebooks" / "03_video_encoder.ipynb"
    path.parent.mkdir(exist_ok=True)
    opening = new_markdown_cell("old", metadata={"tags": ["opening"]})
    write(new_notebook(cells=[opening, *map(new_code_cell, sources)]), path)
    return path


def test_a_run_is_saved_and_the_next_one_changes_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(execute, "time", SimpleNamespace(perf_counter=count().__next__))  # every run takes a second
    path = small(tmp_path, "print('a'); print('b')", "object()")
    seconds = execute.execute(path)
    first = path.read_bytes()
    notebook = read(path)
    assert notebook.cells[0].source.startswith("# 03 · Video encoder")
    assert f"run time: about {notebook.metadata.mmsa.seconds} s" in notebook.cells[0].source
    assert notebook.metadata.mmsa.seconds >= seconds
    assert notebook.metadata.mmsa.source == digest(notebook)
    assert notebook.cells[2].outputs[0].data["text/plain"] == "<object>"
    assert [cell.get("execution_count") for cell in notebook.cells] == [None, 1, 2]
    execute.execute(path)
    assert path.read_bytes() == first
    assert not list(path.parent.glob(".*"))


def test_a_failing_notebook_is_named_and_left_alone(tmp_path: Path, capsys) -> None:
    path = small(tmp_path, "1", "# why\nraise ValueError('two\\nlines')", "2")
    before = path.read_bytes()
    assert execute.main([str(path)]) == 1
    assert capsys.readouterr().err == "03_video_encoder.ipynb, cell 3 ('# why'): ValueError: two lines\n"
    assert path.read_bytes() == before


def test_a_dead_kernel_is_a_failure(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("import os; os._exit(1)")])
    with pytest.raises(NotebookFailed, match=r"x, cell 1 .*the kernel died"):
        run_cells(notebook, tmp_path, "x")


def test_a_port_that_somebody_took_meanwhile_is_no_failure(tmp_path: Path, monkeypatch) -> None:
    """Two kernels that start at once may be given the same port; the second one dies before it answers."""
    made, create = [], kernel.PatientClient.create_kernel_manager
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def on_a_taken_port(client):
            manager = create(client)
            if not made:
                manager.cache_ports, manager.shell_port = False, taken.getsockname()[1]
            made.append(manager)
            return manager

        monkeypatch.setattr(kernel.PatientClient, "create_kernel_manager", on_a_taken_port)
        notebook = new_notebook(cells=[new_code_cell("print(6 * 7)")])
        run_cells(notebook, tmp_path, "x.ipynb")
    assert len(made) == 2 and notebook.cells[0].outputs[0].text == "42\n"


def test_refreshing_runs_nothing(tmp_path: Path) -> None:
    path = small(tmp_path, "raise ValueError")
    assert execute.main(["--refresh", str(path)]) == 0
    notebook = read(path)
    assert notebook.cells[0].source.startswith("# 03")
    assert "mmsa" not in notebook.metadata


def test_a_check_names_the_cells_that_give_something_else(tmp_path: Path, capsys) -> None:
    path = small(tmp_path, "print(1)", "import time\nprint(time.perf_counter())")
    execute.execute(path)
    before = path.read_bytes()
    capsys.readouterr()
    assert execute.main(["--check", str(path)]) == 1
    assert capsys.readouterr().out == "03_video_encoder.ipynb: other outputs in cell 3 ('import time')\n"
    assert path.read_bytes() == before
    execute.execute(small(tmp_path, "print(1)"))
    assert execute.main(["--check", str(path)]) == 0


def test_the_working_folder_is_the_notebooks_own(tmp_path: Path) -> None:
    path = small(tmp_path, "from pathlib import Path\nprint(Path.cwd().name)")
    notebook = read(path)
    run_cells(notebook, path.parent, path.name)
    assert notebook.cells[1].outputs[0].text == "notebooks\n"


@pytest.mark.parametrize("text", ["", "{", '{"cells": 3}', "[]"])
def test_what_is_no_notebook_is_a_data_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "02_text_encoder.ipynb"
    path.write_text(text)
    with pytest.raises(DataError, match=r"02_text_encoder\.ipynb: not a notebook"):
        execute.execute(path)


@pytest.mark.parametrize(
    ("seconds", "before", "stated"),
    [
        (3, None, 5),
        (5, None, 5),
        (5.1, None, 10),
        (12, 15, 15),
        (6, 15, 15),
        (4.9, 15, 5),
        (15.2, 15, 20),
        (0, None, 5),
    ],
)
def test_the_run_time_is_rounded_up_and_does_not_flicker(seconds: float, before: int | None, stated: int) -> None:
    assert rounded(seconds, before) == stated


def test_cleaning_takes_out_what_varies() -> None:
    outputs = [
        new_output("stream", name="stdout", text="a "),
        new_output("stream", name="stdout", text="<x at 0x7f0123456789>"),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}),
        new_output("display_data", {"text/plain": "1"}, metadata={"mmsa_trap": {"name": "x"}}),
    ]
    stamped = {"execution": {"iopub.status.busy": "2026"}, "tags": ["check"]}
    notebook = new_notebook(
        cells=[new_code_cell("x", outputs=outputs, metadata=stamped), new_code_cell("x"), new_markdown_cell("x")],
        metadata={"widgets": {}, "kernelspec": {"name": "mine", "display_name": "Mine"}, "mmsa": {"seconds": 5}},
    )
    clean(notebook)
    first = notebook.cells[0]
    assert first.metadata == {"tags": ["check"]}
    assert [o.get("text") or o.metadata for o in first.outputs] == ["a <x>", {"mmsa_trap": {"name": "x"}}]
    assert len({cell.id for cell in notebook.cells}) == 3
    assert set(notebook.metadata) == {"kernelspec", "language_info", "mmsa"}
    again = nbformat.from_dict(notebook)
    clean(again)
    assert again == notebook


def test_a_large_picture_is_saved_in_fewer_colours() -> None:
    def png(size: int) -> str:
        pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()

    large, small = png(200), png(20)
    assert compact(small) == small
    assert len(compact(large)) < 0.5 * len(large)
    assert compact(compact(large)) == compact(large)
    with Image.open(io.BytesIO(base64.b64decode(compact(large)))) as image:
        assert image.size == (200, 200)


def test_prose_does_not_make_outputs_old() -> None:
    notebook = new_notebook(cells=[new_markdown_cell("a"), new_code_cell("b")])
    before = digest(notebook)
    notebook.cells[0].source = "c"
    assert digest(notebook) == before
    notebook.cells[1].source = "c"
    assert digest(notebook) != before


# ------------------------------------------------------------------------------------ the set-up cell


def python(source: str, folder: Path, *flags: str, path: str = "") -> str:
    """What Python prints that runs `source` in `folder`, with `path` in place of PYTHONPATH."""
    settings = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, *flags, "-c", source]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


FOUND = setup_cell().replace("course.start()", "print(Path(course.__file__).parents[2], course.DATA.name)")


@pytest.mark.parametrize("folder", [ROOT, ROOT / "notebooks", ROOT / "data" / "mini"])
def test_the_setup_cell_finds_the_checkout_it_is_in(folder: Path) -> None:
    """Without site-packages: nothing of this project is installed there."""
    assert python(FOUND, folder, "-I", "-S") == f"{ROOT} mini\n"


def test_the_setup_cell_takes_the_installed_package_elsewhere(tmp_path: Path) -> None:
    assert python(FOUND, tmp_path, "-S", path=str(ROOT)) == f"{ROOT} mini\n"


def test_the_setup_cell_starts_the_same_way_each_time(tmp_path: Path) -> None:
    """The same numbers, whoever gives them, and the project's look; this is what a lesson begins with."""
    again = "print(random.random(), np.random.rand(), torch.rand(1).item())\n"
    source = f"{setup_cell()}\nimport random, numpy as np, torch, matplotlib\n{again}course.start()\n{again}"
    look = "print(matplotlib.rcParams['axes.grid'], torch.are_deterministic_algorithms_enabled())"
    ready, first, also_ready, second, style = python(source + look, tmp_path, path=str(ROOT)).splitlines()
    assert ready == also_ready and ready.startswith("mmsa_lib ready: data/mini, ")
    assert first == second
    assert style == "True True"
