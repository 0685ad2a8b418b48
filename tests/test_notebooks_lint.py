"""Rules for every notebook, one a test; each returns sentences about what breaks it."""

import ast
import importlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from urllib.parse import unquote

import nbformat
import pytest
from exercises import exercises
from nbformat import NotebookNode

import mmsa_lib
from mmsa_lib.course.execute import digest, tags
from mmsa_lib.course.lessons import GENERATED, LESSONS, generate, lesson_of

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_500_000
IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif")
# "/content" is Colab's own folder, the same for everybody.
MACHINE_PATH = re.compile(r"(/root\b/|/(?:home|Users|work|tmp)/\w|[A-Z]:\\\\?Users|site-packages)")
DERIVED = {
    "predict": 0,
    "MELDDataset": 1,
    "collate": 2,
    "TextEncoder": 2,
    "VideoEncoder": 3,
    "AudioEncoder": 4,
    "MultimodalSentimentModel": 5,
    "compute_class_weights": 6,
    "MultimodalTrainer": 7,
}
RULES: dict[str, Callable[[NotebookNode, Path], list[str]]] = {}


def rule(function: Callable[[NotebookNode, Path], list[str]]) -> Callable[[NotebookNode, Path], list[str]]:
    """Collect a rule under its name."""
    RULES[function.__name__] = function
    return function


@cache
def _read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def outputs(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """(cell, output) of all outputs."""
    return [(cell, output) for cell in code_cells(notebook) for output in cell.outputs]


def title(cell: NotebookNode) -> str:
    """How a message names a cell."""
    return repr(cell.source.strip().partition("\n")[0][:60])


def first_lines(cell: NotebookNode) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip()]


def section(notebook: NotebookNode, heading: str) -> str | None:
    """The text under `## heading` up to the next heading of that level, None if there is none."""
    found = re.search(rf"^## {heading}\s*$(.*?)(?=^## |\Z)", prose(notebook), re.MULTILINE | re.DOTALL)
    return found[1] if found else None


# ---------------------------------------------------------------------------------- opening and ending


@rule
def generated_cells_are_there_and_up_to_date(notebook: NotebookNode, path: Path) -> list[str]:
    lesson, seconds = lesson_of(path), notebook.metadata.get("mmsa", {}).get("seconds")
    problems = []
    for tag in GENERATED:
        cells = [cell for cell in notebook.cells if tag in tags(cell)]
        if len(cells) != (tag != "contents" or lesson.number == 0):
            problems.append(f"has {len(cells)} cells tagged {tag!r}")
        if any(cell.source != generate(tag, lesson, path.resolve().parent, seconds) for cell in cells):
            problems.append(f"the {tag} cell is out of date: python -m mmsa_lib.course.execute --refresh")
    return problems


@rule
def opens_as_every_lesson_does(notebook: NotebookNode, path: Path) -> list[str]:
    lesson = lesson_of(path)
    head = "\n".join(cell.source for cell in notebook.cells[:2])
    wanted = {
        "title": f"# {lesson.heading}\n",
        "promise": lesson.promise,
        "You will be able to": "**You will be able to**",
        "prerequisites": "**Before you start.**",
        "reading time": "Reading time:",
        "run time": "run time: about",
    }
    problems = [f"the first two cells lack the {name}" for name, text in wanted.items() if text not in head]
    if "opening" not in tags(notebook.cells[0]):
        problems.append("the first cell is not the opening")
    abilities = re.search(r"\*\*You will be able to\*\*(.*?)(?=\*\*Before|\Z)", head, re.DOTALL)
    count = len(re.findall(r"^- ", abilities[1], re.MULTILINE)) if abilities else 0
    return problems if 3 <= count <= 5 else [*problems, f"{count} abilities; 3 to 5 are wanted"]


@rule
def starts_with_setup_and_map(notebook: NotebookNode, path: Path) -> list[str]:
    """The first lesson may show something before its map."""
    first = [tags(cell) for cell in code_cells(notebook)[:2]]
    ready = ["setup"] in first[:1] and (["map"] in first[1:] or lesson_of(path).number == 0)
    return [] if ready else ["the first code cells are not set-up and map"]


@rule
def setup_cell_is_short(notebook: NotebookNode, path: Path) -> list[str]:
    long = [len(first_lines(c)) for c in notebook.cells if "setup" in tags(c) and len(first_lines(c)) > 10]
    return [f"the set-up cell has {long[0]} lines; at most 10"] if long else []


@rule
def ends_as_every_lesson_does(notebook: NotebookNode, path: Path) -> list[str]:
    problems = []
    takeaways = section(notebook, "Takeaways")
    count = len(re.findall(r"^(?:[-*]|\d+\.) ", takeaways or "", re.MULTILINE))
    if not 1 <= count <= 7:
        problems.append(f"{count} takeaways under `## Takeaways`; 1 to 7 are wanted")
    questions = section(notebook, "Check yourself")
    if not questions or questions.count("<details>") < 2:
        problems.append("fewer than 2 questions with folded answers under `## Check yourself`")
    if not re.search(r"^- ", section(notebook, "Further reading") or "", re.MULTILINE):
        problems.append("no list under `## Further reading`")
    if "next" not in tags(notebook.cells[-1]):
        problems.append("the last cell is not the link to the next lesson")
    return problems


# ---------------------------------------------------------------------------------- prose and code


@rule
def prose_comes_before_code(notebook: NotebookNode, path: Path) -> list[str]:
    """A code cell follows prose, or one code cell that does; checks and the set-up cell need none."""
    problems, run = [], 99
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            run = 0
        elif not {"check", "setup"} & set(tags(cell)):
            run += 1
            if run > 2:
                problems.append(f"{run if run < 99 else 'some'} code cells without prose up to {title(cell)}")
    return problems


@rule
def most_code_cells_follow_prose_directly(notebook: NotebookNode, path: Path) -> list[str]:
    pairs = [
        (before, cell)
        for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False)
        if cell.cell_type == "code" and not {"check", "setup"} & set(tags(cell))
    ]
    share = sum(before.cell_type == "markdown" for before, _ in pairs) / max(1, len(pairs))
    return [] if share >= 0.85 else [f"only {share:.0%} of the code cells have prose right before them; 85 % wanted"]


@rule
def code_cells_are_short(notebook: NotebookNode, path: Path) -> list[str]:
    lengths = [(len(first_lines(cell)), cell) for cell in code_cells(notebook) if not set(GENERATED) & set(tags(cell))]
    problems = [f"{length} lines in {title(cell)}; at most 40" for length, cell in lengths if length > 40]
    middle = median(length for length, _ in lengths) if lengths else 0
    return problems if middle <= 8 else [*problems, f"the median code cell has {middle:g} lines; at most 8"]


@rule
def hides_no_failure(notebook: NotebookNode, path: Path) -> list[str]:
    problems = [f"cell metadata {key!r}" for key in ("execution", "nbmake") if key in notebook.metadata]
    for cell in code_cells(notebook):
        if "raises-exception" in tags(cell) or "skip-execution" in tags(cell):
            problems.append(f"a tag hides the failure of {title(cell)}")
        if re.search(r"^\s*(!|%pip|%conda|%%capture|%%script|%%bash)", cell.source, re.MULTILINE):
            problems.append(f"a magic hides failures in {title(cell)}")
        if re.search(r"except\s*:|filterwarnings\(\s*[\"']ignore|simplefilter\(\s*[\"']ignore", cell.source):
            problems.append(f"errors or warnings are swallowed in {title(cell)}")
    return problems


@rule
def has_a_claim(notebook: NotebookNode, path: Path) -> list[str]:
    return [] if any("claim(" in cell.source for cell in code_cells(notebook)) else ["no claim cell"]


@rule
def code_parses(notebook: NotebookNode, path: Path) -> list[str]:
    problems = []
    for cell in code_cells(notebook):
        lines = [line for line in cell.source.splitlines() if not re.match(r"\s*%", line)]
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            problems.append(f"{error.msg} in {title(cell)}")
    return problems


# ---------------------------------------------------------------------------------------- exercises


@rule
def has_two_or_three_exercises(notebook: NotebookNode, path: Path) -> list[str]:
    lesson, found = lesson_of(path), exercises(notebook)
    problems = [] if 2 <= len(found) <= 3 or lesson.number == 0 else [f"{len(found)} exercises; 2 or 3 are wanted"]
    wanted = [f"{lesson.number}.{i}" for i in range(1, len(found) + 1)]
    ids = [exercise.id for exercise in found]
    return problems if ids == wanted else [*problems, f"the exercises are {', '.join(ids)}, not {', '.join(wanted)}"]


@rule
def exercises_are_complete(notebook: NotebookNode, path: Path) -> list[str]:
    problems = []
    for exercise in exercises(notebook):
        missing = [name for name in ("Hint 1", "Hint 2", "Solution") if not exercise.folded.get(name)]
        missing += [] if exercise.solution else ["a single ```python block as the solution"]
        missing += [] if re.search(r"Difficulty (●○○|●●○|●●●) · \d+ minutes", exercise.contract) else ["its difficulty"]
        missing += [] if "Example" in exercise.contract else ["an example"]
        if exercise.stub is None:
            missing.append("the stub, a cell tagged `exercise`, right after the contract")
        elif not re.search(r"(raise NotImplementedError|\.\.\.)", exercise.stub.source.rstrip().splitlines()[-1]):
            missing.append("a stub that ends in `raise NotImplementedError` or `...`")
        if exercise.check is None:
            missing.append("the check, a cell tagged `check`, right after the stub")
        elif len(first_lines(exercise.check)) != 1 or not exercise.check.source.startswith("checks."):
            missing.append("a check of one line, `checks.…(…)`")
        problems += [f"exercise {exercise.id} lacks {what}" for what in missing]
    tagged = sum("exercise" in tags(cell) for cell in notebook.cells)
    count = len(exercises(notebook))
    return problems if tagged == count else [*problems, f"{tagged} cells tagged `exercise` for {count} exercises"]


# ------------------------------------------------------------------------------------------ outputs


@rule
def outputs_are_of_the_present_source(notebook: NotebookNode, path: Path) -> list[str]:
    if notebook.metadata.get("mmsa", {}).get("source") == digest(notebook):
        return []
    return ["the outputs are older than the source: make notebooks"]


@rule
def was_run_once_from_top_to_bottom(notebook: NotebookNode, path: Path) -> list[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else ["the cells were not run once, in order"]


@rule
def shows_no_error_or_warning(notebook: NotebookNode, path: Path) -> list[str]:
    return [
        f"{'an error' if output.output_type == 'error' else 'stderr'} below {title(cell)}"
        for cell, output in outputs(notebook)
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


@rule
def images_have_words(notebook: NotebookNode, path: Path) -> list[str]:
    problems = []
    for cell, output in outputs(notebook):
        for mime in set(IMAGES) & set(output.get("data", {})):
            alt = output.metadata.get(mime, {}).get("alt", "")
            if len(alt.split()) < 4:
                problems.append(f"an image without alternative text below {title(cell)}")
        for image in re.findall(r"<img\b[^>]*>", str(output.get("data", {}).get("text/html", ""))):
            if not re.search(r'alt="[^"]{10,}', image):
                problems.append(f"an <img> without alternative text below {title(cell)}")
    images = re.findall(r"!\[(.*?)\]\(", prose(notebook))
    return problems + ["a markdown image without alternative text"] * sum(not alt.strip() for alt in images)


@rule
def has_four_figures(notebook: NotebookNode, path: Path) -> list[str]:
    count = sum(bool(set(IMAGES) & set(o.get("data", {}))) for cell, o in outputs(notebook) if "map" not in tags(cell))
    return [] if count >= 4 else [f"{count} figures besides the map; at least 4"]


@rule
def is_small(notebook: NotebookNode, path: Path) -> list[str]:
    size = path.stat().st_size
    return [] if size <= MOST_BYTES else [f"{size / 1e6:.2f} MB; at most {MOST_BYTES / 1e6:g}"]


@rule
def names_no_machine_path(notebook: NotebookNode, path: Path) -> list[str]:
    texts = [(cell, cell.source) for cell in notebook.cells]
    for cell, output in outputs(notebook):
        data = {k: v for k, v in output.get("data", {}).items() if k not in IMAGES}
        texts += [(cell, re.sub(r"data:[\w/+-]+;base64,[\w+/=]+", "", str(text))) for text in data.values()]
        texts += [(cell, output.get("text", ""))]
    return [f"the path {m[0]!r} at {title(cell)}" for cell, text in texts if (m := MACHINE_PATH.search(text))]


@rule
def is_a_python3_notebook_with_stable_ids(notebook: NotebookNode, path: Path) -> list[str]:
    problems = [] if notebook.metadata.get("kernelspec", {}).get("name") == "python3" else ["not of kernel python3"]
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids or len(set(ids)) != len(ids):
        problems.append("cells without an id of their own")
    if any("execution" in cell.metadata for cell in notebook.cells):
        problems.append("time stamps in the cells")
    return problems


# -------------------------------------------------------------------------------------------- links


@rule
def links_resolve(notebook: NotebookNode, path: Path) -> list[str]:
    problems = []
    text = re.sub(r"```.*?```|`[^`\n]*`", "", prose(notebook), flags=re.DOTALL)
    for target in re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        linked = path.parent / file if file else path
        if not linked.exists():
            problems.append(f"the link {target!r} leads nowhere")
        elif anchor and linked.suffix == ".ipynb" and anchor.lower() not in anchors(linked, notebook, path):
            problems.append(f"the anchor of {target!r} leads nowhere")
    return problems


def anchors(linked: Path, notebook: NotebookNode, path: Path) -> set[str]:
    """What can follow # in a link to a notebook: its headings, spaces as dashes."""
    text = prose(notebook if linked == path else _read(linked))
    headings = re.findall(r"^#{1,6} (.+?)\s*$", text, re.MULTILINE)
    explicit = re.findall(r'<a (?:id|name)="([^"]+)"', text)
    plain = [re.sub(r"[`*]", "", heading) for heading in headings]
    return {name.replace(" ", "-").lower() for name in (*plain, *explicit)}


# -------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", RULES)
def test_rule(name: str, path: Path) -> None:
    problems = RULES[name](_read(path), path)
    assert not problems, f"{path.name} {name.replace('_', ' ')}? " + "; ".join(problems)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_recorded_run_took_a_minute_at_most(path: Path) -> None:
    assert _read(path).metadata["mmsa"]["seconds"] <= 60


def test_every_notebook_is_a_lesson() -> None:
    assert not {path.name for path in NOTEBOOKS} - {lesson.file for lesson in LESSONS}


@pytest.mark.skipif(len(NOTEBOOKS) < 2, reason="one set-up cell alone is like itself")
def test_the_setup_cell_is_the_same_everywhere() -> None:
    assert len({cell.source for path in NOTEBOOKS for cell in _read(path).cells if "setup" in tags(cell)}) == 1


@pytest.mark.parametrize(("name", "number"), DERIVED.items())
def test_a_public_name_says_where_it_is_derived(name: str, number: int) -> None:
    """In the docstring of the object or of its module."""
    thing = getattr(mmsa_lib, name)
    words = f"{thing.__doc__}\n{importlib.import_module(thing.__module__).__doc__}"
    assert re.search(rf"Derived in notebooks[^.]*\b{number:02d}\b", words)
    assert number in {lesson.number for lesson in LESSONS}
