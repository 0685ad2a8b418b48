"""Exercise checks, one module a lesson: functions that take the learner's answer and name the likely misconception."""

import re
from importlib import import_module
from pkgutil import iter_modules

from mmsa_lib.course.checks.common import Check, Misconception, exercise

__all__ = ["Check", "Misconception", "exercise", "registry"]


def registry() -> dict[str, Check]:
    """Exercise id ("2.1") -> its check, of all modules `lessonNN`; an id given twice is an error."""
    found: dict[str, Check] = {}
    for module in iter_modules(__path__):
        if not re.fullmatch(r"lesson\d\d", module.name):
            continue
        for value in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Check) and found.setdefault(value.id, value) is not value:
                raise ValueError(f"exercise {value.id} has two checks")
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
