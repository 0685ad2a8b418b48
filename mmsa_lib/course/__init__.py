"""What only the notebooks need: set-up, claims, traps, exercises, inline players, the course map.

The names below load on first use, so that importing the package stays quick.
"""

from importlib import import_module

_HOME = {
    "start": "session",
    "dataset": "session",
    "preset": "session",
    "DATA": "session",
    "FEATURES": "session",
    "MELD": "session",
    "claim": "claims",
    "assert_same": "claims",
    "trap": "traps",
    "show": "showing",
    "show_clip": "showing",
    "strip": "showing",
    "table": "showing",
    "course_map": "overview",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__]
