"""The machinery of exercise checks, and that every exercise, check and set of wrong answers belong together."""

import importlib
import re
import sys
import types
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from exercises import exercises, judge, solutions, solve
from specimen import specimen

from mmsa_lib.course import checks
from mmsa_lib.course.checks import Misconception, exercise, registry
from mmsa_lib.course.checks.common import (
    close,
    expect_array,
    expect_number,
    expect_tensor,
    expect_type,
    same,
    unchanged,
)

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@exercise("9.9")
def total(answer) -> None:
    """A list of numbers -> their sum."""
    values = [1.0, 2.0, 4.0]
    with unchanged(values):
        got = expect_number(answer(values), "the sum")
    close(got, 7.0, known=[(7 / 3, "That is the mean.")], otherwise="That is not the sum.")


def test_a_right_answer_passes(capsys) -> None:
    total(sum)
    total(lambda values: torch.tensor(values).sum())
    assert capsys.readouterr().out == "Exercise 9.9: passed ✓\n" * 2


def stub_raises(values):
    """The sum."""
    raise NotImplementedError


def stub_is_empty(values): ...


def stub_passes(values):
    pass


def stub_has_words(values):
    """The sum."""


def stub_returns(values):
    return ...


@pytest.mark.parametrize(
    "stub",
    [stub_raises, stub_is_empty, stub_passes, stub_has_words, stub_returns, None, ...],
    ids=lambda stub: getattr(stub, "__name__", str(stub)),
)
def test_an_untouched_stub_is_not_a_failure(stub, capsys) -> None:
    total(stub)
    assert capsys.readouterr().out == "Exercise 9.9: not attempted yet.\n"


def forgot_return(values):
    sum(values)


def changes_its_argument(values):
    values[0] = 0.0
    return 7.0


def fails(values):
    return values[17]


@pytest.mark.parametrize(
    ("answer", "diagnosis"),
    [
        (lambda values: sum(values) / 3, r"^Exercise 9\.9: not yet\. That is the mean\.$"),
        (lambda values: 6.0, "That is not the sum"),
        (lambda values: float("nan"), "divided by zero"),
        (forgot_return, "is None: is a `return` missing"),
        (changes_its_argument, "changes its argument"),
        (fails, "Your code raised IndexError: list index out of range"),
        (lambda: 1, "Your code raised TypeError"),
        (lambda values: torch.rand_like(torch.tensor([True])), "Your code raised NotImplementedError: "),
        (lambda values: "7", "The sum must be one number, not a str"),
        (lambda values: torch.ones(2), r"not a Tensor of shape \(2,\)"),
        (lambda values: True, "not a bool"),
        (7.0, "Your code raised TypeError: 'float' object is not callable"),
    ],
)
def test_a_wrong_answer_is_diagnosed_in_one_line(answer, diagnosis: str) -> None:
    with pytest.raises(Misconception, match=diagnosis) as error:
        total(answer)
    assert error.value._render_traceback_() == [str(error.value)]
    assert "\n" not in str(error.value)


def test_an_error_names_the_line_of_the_cell() -> None:
    source = "def answer(values):\n    x = 1\n    return values[17]\n"
    names: dict = {}
    exec(compile(source, "/tmp/ipykernel_123/456.py", "exec"), names)
    with pytest.raises(Misconception, match="IndexError at line 3 of your cell"):
        total(names["answer"])


def test_a_class_can_be_the_answer(capsys) -> None:
    @exercise("9.8")
    def doubles(answer) -> None:
        close(answer()(torch.ones(2)), [2.0, 2.0], otherwise="Not doubled.")

    class Stub(torch.nn.Module):
        def forward(self, x):
            raise NotImplementedError

    class Right(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    doubles(Stub)
    doubles(Right)
    assert capsys.readouterr().out == "Exercise 9.8: not attempted yet.\nExercise 9.8: passed ✓\n"


def test_several_answers_can_be_asked_for(capsys) -> None:
    @exercise("9.7")
    def inverse(there, back) -> None:
        close(back(there(3.0)), 3.0, otherwise="One does not undo the other.")

    inverse(lambda x: 2 * x, lambda x: x / 2)
    inverse(lambda x: 2 * x, stub_raises)
    assert capsys.readouterr().out == "Exercise 9.7: passed ✓\nExercise 9.7: not attempted yet.\n"


@pytest.mark.parametrize(
    ("look", "diagnosis"),
    [
        (lambda: expect_tensor(np.ones(2)), r"must be a torch.Tensor, not a ndarray of shape \(2,\)"),
        (lambda: expect_tensor(torch.ones(2, 3, 4), (2, 4)), "1 dimension.* too many"),
        (lambda: expect_tensor(torch.ones(4), (2, 4)), "1 dimension.* too few"),
        (lambda: expect_tensor(torch.ones(4, 2), (2, 4)), "in another order"),
        (lambda: expect_tensor(torch.ones(4, 2), (None, 3)), r"the shape \(any, 3\), not \(4, 2\)"),
        (lambda: expect_tensor(torch.ones(2), (2,), torch.bool), "must be of torch.bool, not torch.float32"),
        (lambda: expect_array(torch.ones(2)), "must be a NumPy array, not a Tensor"),
        (lambda: expect_array(np.ones((2, 1)), (2,), "the mask"), "The mask must have the shape"),
        (lambda: expect_type([], dict), "must be a dict, not a list"),
        (lambda: expect_type(None, dict), "is None"),
        (lambda: close(torch.ones(2), torch.ones(3), otherwise="x"), r"the shape \(3,\), not \(2,\)"),
        (lambda: close("abc", 1.0, otherwise="x"), "made of numbers, not a str"),
        (lambda: same([1], (1,), otherwise="another type"), "another type"),
        (lambda: same("b", "a", known=[("b", "known")], otherwise="x"), "known"),
    ],
)
def test_types_shapes_and_values_are_diagnosed(look, diagnosis: str) -> None:
    with pytest.raises(Misconception, match=diagnosis):
        look()


def test_what_is_right_is_given_back() -> None:
    tensor, array = torch.ones(2, 3), np.ones((2, 3))
    assert expect_tensor(tensor, (2, None), torch.float32) is tensor
    assert expect_array(array, (None, 3)) is array
    assert expect_number(np.float32(2)) == expect_number(torch.tensor([2.0])) == 2.0
    assert expect_type({}, dict) == {}
    close(torch.ones(2, dtype=torch.bfloat16, requires_grad=True), np.ones(2), otherwise="x")
    same({"a": 1}, {"a": 1}, otherwise="x")
    with unchanged(tensor, array, [1]):
        tensor + 1


@pytest.mark.parametrize("argument", [torch.zeros(2), np.zeros(2), [0, 0]])
def test_a_change_in_place_is_seen(argument) -> None:
    with pytest.raises(Misconception, match="in place"), unchanged(argument):
        argument[0] = 1


# ---------------------------------------------------------------------------- exercises of a notebook


def test_exercises_are_read_from_a_notebook(tmp_path: Path) -> None:
    path = specimen(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    first, second = exercises(notebook)
    assert (first.id, second.id) == ("2.1", "2.2")
    assert first.check.source == "checks.increment(increment)"
    assert solutions(path) == {
        "2.1": "def increment(x):\n    return x + 1",
        "2.2": "def successor(x):\n    return x + 1",
    }
    assert solve(notebook) == 2
    assert [e.stub.source for e in exercises(notebook)] == list(solutions(path).values())


def test_an_incomplete_exercise_has_no_solution(tmp_path: Path) -> None:
    notebook = nbformat.read(specimen(tmp_path), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("```python", "```")
        cell.metadata.pop("tags", None)
    found = exercises(notebook)
    assert [(e.stub, e.check, e.solution) for e in found] == [(None, None, None)] * 2
    assert solve(notebook) == 0


def test_a_wrong_answer_is_judged_and_a_right_one_passes(monkeypatch) -> None:
    monkeypatch.setattr("exercises.registry", lambda: {"9.9": total})
    with pytest.raises(Misconception, match="the mean"):
        judge("9.9", lambda values: sum(values) / 3)
    with pytest.raises(Misconception, match="not the sum"):
        judge("9.9", (lambda values: 1,))
    judge("9.9", sum)


def test_an_id_given_twice_is_an_error(monkeypatch) -> None:
    name = "mmsa_lib.course.checks.lesson98"
    module = types.ModuleType(name)
    module.one, module.two = exercise("98.1")(lambda answer: None), exercise("98.1")(lambda answer: None)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(checks, "iter_modules", lambda path: [types.SimpleNamespace(name="lesson98")])
    with pytest.raises(ValueError, match=r"exercise 98\.1 has two checks"):
        registry()


# -------------------------------------------------------------------------------- the course as a whole


def test_every_exercise_has_a_check_and_every_check_an_exercise() -> None:
    """Of the lessons that are there."""
    found = {e.id for path in NOTEBOOKS for e in exercises(nbformat.read(path, as_version=4))}
    lessons = {int(path.stem[:2]) for path in NOTEBOOKS}
    checked = {id for id in registry() if int(id.split(".")[0]) in lessons}
    assert found == checked


def test_every_check_is_given_typical_wrong_answers() -> None:
    """At least 3 for each exercise, in the module `test_course_checks_NN` of its lesson."""
    for id in registry():
        module = importlib.import_module(f"test_course_checks_{int(id.split('.')[0]):02d}")
        wrong = module.WRONG[id]
        assert len(wrong) >= 3, f"{id}: {len(wrong)} wrong answers"
        assert len({diagnosis for _, diagnosis in wrong}) >= 2, f"{id}: one diagnosis for all wrong answers"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_check_is_called_by_the_name_of_its_exercise(path: Path) -> None:
    for e in exercises(nbformat.read(path, as_version=4)):
        called = re.match(r"checks\.(\w+)\(", e.check.source)[1]
        assert registry()[e.id].__name__ == called


def test_a_form_that_the_check_cannot_read_is_not_called_the_learners_error() -> None:
    @exercise("9.6")
    def pairs(answer):
        """() -> [(start, end), …]"""
        return [(float(start), float(end)) for start, end in answer()]

    with pytest.raises(Misconception, match=r"form that cannot be read here .*non-iterable"):
        pairs(lambda: [1.0, 2.0])
