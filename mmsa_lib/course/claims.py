"""Sentences that check themselves: a claim about a number, a comparison with the library's twin."""

from collections.abc import Mapping, Sequence
from numbers import Number

import numpy as np
import torch
from torch import Tensor


class OneLineError(AssertionError):
    """An error that a notebook shows as its message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class ClaimError(OneLineError):
    """A sentence of a lesson that is not true."""


def claim(sentence: str, condition: bool | np.bool_ | Tensor | np.ndarray) -> None:
    """Print the sentence with a tick if the condition holds, else raise `ClaimError`.

    The condition is a comparison: a bool, or one of numpy or torch. A number is refused, for every
    number but zero would do.
    """
    if not _is_truth(condition):
        raise ClaimError(f"A claim needs a comparison, not {_describe(condition)}: {sentence}")
    if not bool(condition):
        raise ClaimError(f"✗ not true: {sentence}")
    print(f"✓ {sentence}")


def _is_truth(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.dtype == torch.bool and value.ndim == 0
    if isinstance(value, np.ndarray):
        return value.dtype == np.bool_ and value.ndim == 0
    return isinstance(value, bool | np.bool_)


def assert_same(ours: object, library: object, atol: float = 1e-6) -> None:
    """Print how closely two results agree; raise `ClaimError` where they differ by more than `atol`.

    Takes tensors, arrays, numbers, and mappings and sequences of them. NaN equals NaN. Integers,
    booleans and strings must be identical.
    """
    difference = _difference(ours, library, "")
    if difference > atol:
        raise ClaimError(f"✗ not the same: they differ by up to {difference:.2g}, more than {atol:g}")
    print(f"✓ {agreement(difference)}")


def agreement(difference: float) -> str:
    """The difference in words, as a power of ten: so that it reads the same on another processor."""
    if difference == 0:
        return "identical"
    return f"same to 1e{int(np.ceil(np.log10(difference))):d}"


def _difference(ours: object, library: object, where: str) -> float:
    """Largest absolute difference; `where` names the place inside mappings and sequences."""
    if isinstance(library, Mapping):
        if not isinstance(ours, Mapping) or set(ours) != set(library):
            raise ClaimError(f"✗ not the same{where}: the keys are {_keys(ours)} and {_keys(library)}")
        return max((_difference(ours[key], library[key], f"{where} at {key!r}") for key in library), default=0.0)
    if isinstance(library, Sequence) and not isinstance(library, str):
        if isinstance(ours, str) or not isinstance(ours, Sequence) or len(ours) != len(library):
            raise ClaimError(f"✗ not the same{where}: {_describe(ours)} and {_describe(library)}")
        pairs = enumerate(zip(ours, library, strict=True))
        return max((_difference(a, b, f"{where} at {i}") for i, (a, b) in pairs), default=0.0)
    if isinstance(library, Tensor | np.ndarray | Number | np.generic):
        return _array_difference(ours, library, where)
    if ours != library:
        raise ClaimError(f"✗ not the same{where}: {ours!r} and {library!r}")
    return 0.0


def _array_difference(ours: object, library: object, where: str) -> float:
    if not isinstance(ours, Tensor | np.ndarray | Number | np.generic):
        raise ClaimError(f"✗ not the same{where}: {_describe(ours)} and {_describe(library)}")
    a, b = _array(ours), _array(library)
    if a.shape != b.shape:
        raise ClaimError(f"✗ not the same{where}: the shapes are {a.shape} and {b.shape}")
    if a.size == 0:
        return 0.0
    exact = all(x.dtype.kind in "biu" for x in (a, b))
    a, b = (x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in (a, b))
    unequal = ~((a == b) | (np.isnan(a) & np.isnan(b)))  # equal infinities have no difference
    if not unequal.any():
        return 0.0
    gap = np.abs(a[unequal] - b[unequal]).max()
    if exact or not np.isfinite(gap):
        raise ClaimError(f"✗ not the same{where}: {int(unequal.sum())} of {a.size} values differ")
    return float(gap)


def _array(value: object) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.double() if value.is_floating_point() else value).numpy()
    return np.asarray(value)


def _keys(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Mapping) else _describe(value)


def _describe(value: object) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"a {type(value).__name__} {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value!r}"
