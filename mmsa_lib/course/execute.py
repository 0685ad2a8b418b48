"""Run notebooks from top to bottom in a clean kernel and save their outputs: what `make notebooks` calls.

`python -m mmsa_lib.course.execute [--refresh | --check] [NOTEBOOK…]` (all of them by default). Generated cells
are brought up to date first; with `--refresh` nothing is run. What varies from run to run is taken out, and
`metadata.mmsa` records a digest of what was run and the seconds it took. A notebook that fails is not touched.
With `--check` nothing is saved: the cells are named whose outputs differ from the saved ones.
"""

import base64
import hashlib
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from mmsa_lib.checksums import SUMS_FILE
from mmsa_lib.course import kernel
from mmsa_lib.course.lessons import GENERATED, generate, lesson_of
from mmsa_lib.course.session import CHECKOUT, MINI
from mmsa_lib.errors import DataError, MMSAError

CELL_SECONDS = 120  # a cell that takes longer is taken for hanging
LARGE_PNG = 100_000  # base64 characters
STEP = 5  # seconds; the stated run time is rounded up to a multiple
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


class NotebookFailed(MMSAError):
    """A cell failed; the message names the notebook, the cell and the error in one line."""


def execute(path: str | Path, run: bool = True) -> float | None:
    """Refresh, run and save one notebook in place; return the seconds it took."""
    path = Path(path)
    notebook = read(path)
    seconds = None
    if run:
        refresh(notebook, path)
        started = time.perf_counter()
        run_cells(notebook, path.resolve().parent, path.name)
        seconds = time.perf_counter() - started
        notebook.metadata["mmsa"] = {
            "source": digest(notebook),
            "seconds": rounded(seconds, recorded(notebook)),
        }
    refresh(notebook, path)
    clean(notebook)
    write(notebook, path)
    return seconds


def differing(path: str | Path) -> list[str]:
    """Cells (by number and first line) that give other outputs than the saved ones when run again on this machine."""
    path = Path(path)
    saved, again = read(path), read(path)
    run_cells(again, path.resolve().parent, path.name)
    clean(saved)
    clean(again)
    pairs = enumerate(zip(saved.cells, again.cells, strict=True), 1)
    return [_cell_name(i, old) for i, (old, new) in pairs if old.get("outputs") != new.get("outputs")]


def read(path: Path) -> NotebookNode:
    """A notebook of format 4; anything else is a `DataError`."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, TypeError, KeyError, nbformat.ValidationError) as error:
        raise DataError(f"{path}: not a notebook that can be read ({type(error).__name__})") from error


def write(notebook: NotebookNode, path: Path) -> None:
    """Write under another name, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
    os.replace(temporary, path)


# ------------------------------------------------------------------------------- generated cells


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def refresh(notebook: NotebookNode, path: Path) -> None:
    """Rewrite the generated cells from the table of lessons."""
    lesson = lesson_of(path)
    for cell in notebook.cells:
        for tag in set(tags(cell)) & set(GENERATED):
            cell.source = generate(tag, lesson, path.resolve().parent, recorded(notebook))


def recorded(notebook: NotebookNode) -> int | None:
    """The run time the notebook states, if it was ever run."""
    return notebook.metadata.get("mmsa", {}).get("seconds")


def rounded(seconds: float, before: int | None) -> int:
    """Up to a multiple of 5 s; a value stated before stays while it is near, so that files do not flicker."""
    if before is not None and before - 2 * STEP < seconds <= before:
        return before
    return max(STEP, STEP * math.ceil(seconds / STEP))


def digest(notebook: NotebookNode) -> str:
    """SHA-256 over the code cells and the embedded data's own sums: prose changes no output."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    sums = CHECKOUT / MINI / SUMS_FILE
    data = sums.read_text(encoding="utf-8") if sums.is_file() else ""
    return hashlib.sha256(json.dumps([*sources, data]).encode()).hexdigest()


# ------------------------------------------------------------------------------------------ running


def run_cells(notebook: NotebookNode, folder: Path, name: str) -> None:
    """Run all cells in a clean kernel that works in `folder`; outputs land in the notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = kernel.PatientClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", record_timing=False)
    with tempfile.TemporaryDirectory() as ipython_dir:
        settings = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | kernel.environment(ipython_dir)
        try:
            client.execute(cwd=str(folder), env=settings)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise NotebookFailed(f"{name}, {_failed_cell(notebook)}: {_reason(error)}") from None


def _failed_cell(notebook: NotebookNode) -> str:
    """The cell that ran last: its number, counted from 1 over all cells, and its first line."""
    started = [
        (i, c) for i, c in enumerate(notebook.cells, 1) if c.cell_type == "code" and (c.execution_count or c.outputs)
    ]
    broken = [(i, c) for i, c in started if any(o.output_type == "error" for o in c.outputs)]
    return _cell_name(*(broken or started or [(1, notebook.cells[0])])[-1])


def _cell_name(place: int, cell: NotebookNode) -> str:
    return f"cell {place} ({cell.source.strip().partition(chr(10))[0]!r})"


def _reason(error: Exception) -> str:
    if isinstance(error, CellExecutionError):
        return " ".join(f"{error.ename}: {error.evalue}".split())
    if isinstance(error, CellTimeoutError):
        return f"no answer for {CELL_SECONDS} s"
    return "the kernel died"


# ----------------------------------------------------------------------------------------- cleaning


def clean(notebook: NotebookNode) -> None:
    """Take out what varies from run to run or from machine to machine; give cells their ids."""
    stated = {key: notebook.metadata[key] for key in ("mmsa",) if key in notebook.metadata}
    notebook.metadata = NotebookNode(
        {"kernelspec": NotebookNode(KERNELSPEC), "language_info": NotebookNode({"name": "python"}), **stated}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        kept = tags(cell)
        cell.metadata = NotebookNode({"tags": kept} if kept else {})
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs = _clean_outputs(cell.outputs)
    name_cells(notebook)


def name_cells(notebook: NotebookNode) -> None:
    """Ids from the cells' sources: the same notebook always has the same ones."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        base = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[base] = seen.get(base, 0) + 1
        cell["id"] = base if seen[base] == 1 else f"{base}-{seen[base]}"


def _clean_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream joined, live widgets dropped, memory addresses taken out."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                kept[-1].text += output.text
            else:
                kept.append(output)
            continue
        for mime in [m for m in output.get("data", {}) if "widget" in m]:
            del output.data[mime]
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = compact(output.data["image/png"])
        if output.output_type == "error" or output.get("data"):
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = _no_addresses(output.text)
        elif "text/plain" in output.get("data", {}):
            output.data["text/plain"] = _no_addresses(output.data["text/plain"])
    return kept


def compact(png: str) -> str:
    """A large picture (base64) in 256 colours, about a third of its size; a small one as it is."""
    if len(png) < LARGE_PNG:
        return png
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        if image.mode == "P":
            return png
        small = io.BytesIO()
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    new = base64.b64encode(small.getvalue()).decode("ascii")
    return new if len(new) < len(png) else png


def _no_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]{6,}", "", text)


def main(arguments: list[str]) -> int:
    options = {"--refresh", "--check"} & set(arguments)
    names = [argument for argument in arguments if argument not in options]
    status = 0
    home = CHECKOUT / "notebooks"
    paths = [Path(name) for name in names] or sorted(home.glob("*.ipynb"))
    if "--refresh" not in options and any(path.resolve().parent == home for path in paths):
        # What lessons share is computed before, and not on a lesson's time.
        subprocess.run([sys.executable, "-m", "mmsa_lib.course.session"], check=True)
    for path in paths:
        try:
            if "--check" in options:
                other = differing(path)
                status = max(status, bool(other))
                said = f"other outputs in {', '.join(other)}" if other else "the same outputs"
            else:
                seconds = execute(path, run="--refresh" not in options)
                said = "refreshed" if seconds is None else f"{seconds:.0f} s"
        except MMSAError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{path.name}: {said}", flush=True)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
