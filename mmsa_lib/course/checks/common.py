"""What all exercise checks share: the decorator that reports, and helpers that diagnose types, shapes and values."""

import copy
import dis
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Number

import numpy as np
import torch
from torch import Tensor

from mmsa_lib.course.claims import OneLineError


class Misconception(OneLineError):
    """An answer that is not right yet; the message says what the learner probably believed."""

    exercise = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"Exercise {self.exercise}: not yet. {message}" if self.exercise else message


class NotAttempted(Exception):
    """The stub as it was given."""


class Check:
    """A check that reports: call it with the learner's function, class or value.

    Prints "Exercise 2.1: passed ✓", or that it was not attempted; raises `Misconception` otherwise.
    Whatever goes wrong in the learner's code becomes a `Misconception` too.
    """

    def __init__(self, id: str, verify: Callable[..., None]) -> None:
        functools.update_wrapper(self, verify)
        self.id, self.verify = id, verify

    def __call__(self, *answers: object) -> None:
        try:
            self.verify(*[_guarded(answer) for answer in answers])
        except NotAttempted:
            print(f"Exercise {self.id}: not attempted yet.")
        except Misconception as wrong:
            wrong.exercise = self.id
            raise
        except Exception as error:
            if type(error) is NotImplementedError and not str(error):  # a stub's; torch's own have a message
                print(f"Exercise {self.id}: not attempted yet.")
                return
            wrong = Misconception(_explain(error, any(map(inspect.isclass, answers))))
            wrong.exercise = self.id
            raise wrong from error
        else:
            print(f"Exercise {self.id}: passed ✓")


def exercise(id: str) -> Callable[[Callable[..., None]], Check]:
    """Make a function that raises `Misconception` the check of exercise `id`, such as "2.1"."""
    return lambda verify: Check(id, verify)


def _guarded(answer: object) -> object:
    """The learner's answer; a function is wrapped so that what it returns is looked at first."""
    if answer is None or answer is Ellipsis:
        raise NotAttempted
    if inspect.isclass(answer) or not inspect.isfunction(answer):
        return answer
    if _is_empty(answer):
        raise NotAttempted

    @functools.wraps(answer)
    def guarded(*args, **kwargs):
        result = answer(*args, **kwargs)
        if result is Ellipsis:
            raise NotAttempted
        return result

    return guarded


def _is_empty(function: Callable) -> bool:
    """Whether the body is only `...`, `pass` or a docstring: all it does is to return None."""
    steps = [step for step in dis.get_instructions(function) if step.opname not in ("RESUME", "NOP")]
    return all(step.opname in ("LOAD_CONST", "RETURN_CONST", "RETURN_VALUE") and step.argval is None for step in steps)


def _explain(error: Exception, of_a_class: bool) -> str:
    """The error in one line, with the line of the learner's cell that it comes from where that is known.

    An error of the check itself means that it could not read what the learner's code returned.
    """
    message = " ".join(str(error).split())
    message = message if len(message) <= 300 else message[:299] + "…"
    frames = inspect.getinnerframes(error.__traceback__)
    place = next((frame for frame in reversed(frames) if _of_cell(frame)), None)
    raised = f"{type(error).__name__}{f' at line {place.lineno} of your cell' if place else ''}"
    theirs = of_a_class or place is not None or any(frame.function == "guarded" for frame in frames)
    if theirs or "is not callable" in message:
        return f"Your code raised {raised}{': ' + message if message else ''}."
    return f"What your code gives has a form that cannot be read here ({raised}{': ' + message if message else ''})."


def _of_cell(frame: inspect.FrameInfo) -> bool:
    return "ipykernel_" in frame.filename or frame.filename.startswith("<ipython-input")


# ------------------------------------------------------------------------------------------- types


def expect_tensor(
    value: object,
    shape: Sequence[int | None] | None = None,
    dtype: torch.dtype | None = None,
    name: str = "the result",
) -> Tensor:
    """`value` if it is a tensor of that shape (None: any size) and dtype, else a diagnosis."""
    _expect_returned(value, name)
    if not isinstance(value, Tensor):
        raise Misconception(f"{_start(name)} must be a torch.Tensor, not {_kind(value)}.")
    if shape is not None:
        _expect_shape(tuple(value.shape), tuple(shape), name)
    if dtype is not None and value.dtype != dtype:
        raise Misconception(f"{_start(name)} must be of {dtype}, not {value.dtype}.")
    return value


def expect_array(value: object, shape: Sequence[int | None] | None = None, name: str = "the result") -> np.ndarray:
    """`value` if it is a NumPy array of that shape (None: any size), else a diagnosis."""
    _expect_returned(value, name)
    if not isinstance(value, np.ndarray):
        raise Misconception(f"{_start(name)} must be a NumPy array, not {_kind(value)}.")
    if shape is not None:
        _expect_shape(value.shape, tuple(shape), name)
    return value


def expect_number(value: object, name: str = "the result") -> float:
    """`value` as a float if it is one number: plain, of NumPy, or a tensor with one element."""
    _expect_returned(value, name)
    if isinstance(value, Tensor | np.ndarray) and _numbers(value).size == 1:
        return float(_numbers(value).item())
    if isinstance(value, Number) and not isinstance(value, bool | np.bool_ | complex):
        return float(value)
    raise Misconception(f"{_start(name)} must be one number, not {_kind(value)}.")


def expect_type(value: object, kind: type | tuple[type, ...], name: str = "the result") -> object:
    """`value` if it is an instance of `kind`, else a diagnosis."""
    _expect_returned(value, name)
    if not isinstance(value, kind):
        kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise Misconception(f"{_start(name)} must be a {kinds}, not {_kind(value)}.")
    return value


def _expect_returned(value: object, name: str) -> None:
    if value is None:
        raise Misconception(f"{_start(name)} is None: is a `return` missing?")


def _expect_shape(shape: tuple[int, ...], wanted: tuple[int | None, ...], name: str) -> None:
    if len(shape) == len(wanted) and all(w is None or s == w for s, w in zip(shape, wanted, strict=True)):
        return
    shown = f"({', '.join('any' if w is None else str(w) for w in wanted)}{',' if len(wanted) == 1 else ''})"
    hint = ""
    if len(shape) > len(wanted):
        hint = f" It has {len(shape) - len(wanted)} dimension(s) too many: was a mean, sum or squeeze left out?"
    elif len(shape) < len(wanted):
        hint = f" It has {len(wanted) - len(shape)} dimension(s) too few: was one averaged or squeezed away?"
    elif None not in wanted and sorted(shape) == sorted(wanted):
        hint = " The sizes are right, in another order: transpose or permute."
    raise Misconception(f"{_start(name)} must have the shape {shown}, not {tuple(shape)}.{hint}")


def _start(name: str) -> str:
    return name[:1].upper() + name[1:]


def _kind(value: object) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


# ------------------------------------------------------------------------------------------ values


def close(
    value: object,
    expected: object,
    *,
    otherwise: str,
    known: Sequence[tuple[object, str]] = (),
    atol: float = 1e-5,
) -> None:
    """Pass if `value` equals `expected` to `atol`, else diagnose.

    Args:
        otherwise: what to say of a value nobody foresaw.
        known: pairs (what a typical mistake gives, what to say of it); the first that equals `value` is said.
    """
    got, want = _numbers(value), _numbers(expected)
    if got.shape != want.shape:
        _expect_shape(got.shape, want.shape, "the result")
    if _equal(got, want, atol):
        return
    for mistaken, diagnosis in known:
        if _equal(got, _numbers(mistaken), atol):
            raise Misconception(diagnosis)
    if np.isnan(got).any() and not np.isnan(want).any():
        raise Misconception(f"{otherwise} (There are NaNs in the result: was something divided by zero?)")
    raise Misconception(otherwise)


def same(value: object, expected: object, *, otherwise: str, known: Sequence[tuple[object, str]] = ()) -> None:
    """`close` for what is compared exactly: strings, lists, dictionaries, sets."""
    _expect_returned(value, "the result")
    if type(value) is type(expected) and value == expected:
        return
    for mistaken, diagnosis in known:
        if value == mistaken:
            raise Misconception(diagnosis)
    raise Misconception(otherwise)


@contextmanager
def unchanged(*arguments: Tensor | np.ndarray | list | dict) -> Iterator[None]:
    """Around a call of the learner's function: its arguments must come out as they went in."""
    before = [a.clone() if isinstance(a, Tensor) else copy.deepcopy(a) for a in arguments]
    yield
    for old, new in zip(before, arguments, strict=True):
        same_values = _equal(_numbers(old), _numbers(new), 0.0) if isinstance(old, Tensor | np.ndarray) else old == new
        if not same_values:
            raise Misconception("Your function changes its argument in place; whoever passed it still needs it.")


def _numbers(value: object) -> np.ndarray:
    _expect_returned(value, "the result")
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise Misconception(f"The result must be made of numbers, not {_kind(value)}.") from None


def _equal(got: np.ndarray, want: np.ndarray, atol: float) -> bool:
    return got.shape == want.shape and bool(np.allclose(got, want, rtol=1e-5, atol=atol, equal_nan=True))
