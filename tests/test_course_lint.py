"""Each rule for notebooks lets a good one pass and refuses one that breaks it."""

import json
from collections.abc import Callable

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from specimen import PIXEL, picture, specimen, words
from test_notebooks_lint import RULES

from mmsa_lib.course.execute import tags


def find(notebook: NotebookNode, text: str) -> NotebookNode:
    """The first cell that is tagged `text`, else the first that holds it."""
    tagged = [cell for cell in notebook.cells if text in tags(cell)]
    return (tagged or [cell for cell in notebook.cells if text in cell.source])[0]


def replace(old: str, new: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        cell = find(notebook, old)
        cell.source = cell.source.replace(old, new)

    return change


def drop(text: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells.remove(find(notebook, text))


def insert(place: int, *cells: NotebookNode) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        notebook.cells[place:place] = cells

    return change


def output(new: NotebookNode) -> Callable[[NotebookNode], None]:
    return lambda notebook: find(notebook, "draw(0)").outputs.append(new)


def untagged(tag: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: find(notebook, tag).metadata.tags.remove(tag)


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=[])
BREAKS = [
    ("generated_cells_are_there_and_up_to_date", drop("map")),
    ("generated_cells_are_there_and_up_to_date", replace("# 02 · Text encoder", "# 02 · Texts")),
    ("generated_cells_are_there_and_up_to_date", replace("import sys", "import os, sys")),
    ("opens_as_every_lesson_does", replace("# 02 · Text encoder", "# Text encoder")),
    ("opens_as_every_lesson_does", replace("You will be able to", "You can")),
    ("opens_as_every_lesson_does", replace("Before you start", "Wait")),
    ("opens_as_every_lesson_does", replace("Reading time", "Time")),
    ("opens_as_every_lesson_does", replace("run time: about 15 s", "soon")),
    ("opens_as_every_lesson_does", replace("- see\n- hear\n- speak", "- see")),
    ("opens_as_every_lesson_does", insert(0, new_markdown_cell("Hello"))),
    ("starts_with_setup_and_map", insert(2, new_code_cell("1"))),
    ("setup_cell_is_short", replace("import sys", "import sys\n" * 9)),
    ("ends_as_every_lesson_does", replace("- Padding is not data.", "- One.\n" * 8)),
    ("ends_as_every_lesson_does", replace("## Takeaways", "## What was learned")),
    ("ends_as_every_lesson_does", replace("<details><summary>Why?</summary>", "Why?")),
    ("ends_as_every_lesson_does", replace("- A paper: it started all this.", "A paper.")),
    ("ends_as_every_lesson_does", insert(99, new_markdown_cell("By the way"))),
    ("prose_comes_before_code", insert(5, new_code_cell("1"), new_code_cell("2"))),
    ("prose_comes_before_code", insert(0, new_code_cell("1"))),
    ("most_code_cells_follow_prose_directly", insert(6, new_code_cell("1"), new_code_cell("2"), new_code_cell("3"))),
    ("code_cells_are_short", replace("draw(0)", "draw(0)\n" * 41)),
    ("code_cells_are_short", lambda n: [cell.update(source="draw()\n" * 9) for cell in n.cells]),
    ("hides_no_failure", replace("draw(0)", "!ls")),
    ("hides_no_failure", replace("draw(0)", "%pip install x")),
    ("hides_no_failure", replace("draw(0)", "%%capture\ndraw(0)")),
    ("hides_no_failure", lambda n: find(n, "draw(0)").metadata.update(tags=["raises-exception"])),
    ("hides_no_failure", lambda n: n.metadata.update(execution={"allow_errors": True})),
    ("hides_no_failure", replace("draw(0)", "try:\n    draw(0)\nexcept:\n    pass")),
    ("has_a_claim", drop("course.claim")),
    ("code_parses", replace("draw(0)", "draw(0")),
    ("has_two_or_three_exercises", replace("### Exercise 2.2", "### Task")),
    ("has_two_or_three_exercises", replace("### Exercise 2.2", "### Exercise 2.3")),
    ("exercises_are_complete", replace("<summary>Hint 2</summary>", "<summary>A hint</summary>")),
    ("exercises_are_complete", replace("```python", "```")),
    ("exercises_are_complete", replace("Difficulty ●○○", "Easy")),
    ("exercises_are_complete", replace("Example: 1 gives 2.", "")),
    ("exercises_are_complete", replace("raise NotImplementedError", "return 0")),
    ("exercises_are_complete", untagged("exercise")),
    ("exercises_are_complete", untagged("check")),
    ("exercises_are_complete", replace("checks.increment(increment)", "increment(1)")),
    ("outputs_are_of_the_present_source", replace("draw(0)", "draw(7)")),
    ("outputs_are_of_the_present_source", lambda n: n.metadata.pop("mmsa")),
    ("was_run_once_from_top_to_bottom", lambda n: find(n, "draw(0)").update(execution_count=99)),
    ("was_run_once_from_top_to_bottom", lambda n: find(n, "draw(0)").update(execution_count=None)),
    ("shows_no_error_or_warning", output(ERROR)),
    ("shows_no_error_or_warning", output(words("UserWarning: careful", name="stderr"))),
    ("images_have_words", output(picture(alt=""))),
    ("images_have_words", output(new_output("display_data", {"image/png": PIXEL}))),
    ("images_have_words", output(new_output("display_data", {"text/html": '<img src="data:,">'}))),
    ("images_have_words", replace("The map.", "![](00_welcome.ipynb)")),
    ("has_four_figures", lambda n: find(n, "draw(0)").outputs.clear()),
    ("is_small", lambda n: find(n, "draw(0)").outputs.append(words("x" * 1_500_000))),
    ("names_no_machine_path", output(words("/home/me/data"))),
    ("names_no_machine_path", replace("draw(0)", 'draw("/tmp/x.png")')),
    ("is_a_python3_notebook_with_stable_ids", lambda n: n.metadata.kernelspec.update(name="conda-env")),
    ("is_a_python3_notebook_with_stable_ids", lambda n: n.cells[3].update(id=n.cells[4].id)),
    ("is_a_python3_notebook_with_stable_ids", lambda n: n.cells[4].metadata.update(execution={"iopub": "now"})),
    ("links_resolve", replace("(00_welcome.ipynb).", "(12_nowhere.ipynb).")),
    ("links_resolve", replace("#Where-two-meet", "#Nowhere")),
]


@pytest.mark.parametrize("name", RULES)
def test_a_good_notebook_passes(name: str, tmp_path) -> None:
    path = specimen(tmp_path)
    assert RULES[name](nbformat.read(path, as_version=4), path) == []


@pytest.mark.parametrize(("name", "break_it"), BREAKS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(BREAKS)])
def test_a_broken_notebook_is_refused(name: str, break_it: Callable, tmp_path) -> None:
    path = specimen(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    break_it(notebook)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert RULES[name](notebook, path)


def test_every_rule_is_broken_once() -> None:
    assert {name for name, _ in BREAKS} == set(RULES)
