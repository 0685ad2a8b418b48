"""Run by the set-up cell in Colab: install this checkout and only those of its dependencies that are missing.

A script of the standard library alone, for it runs before anything is installed. What Colab brings
stays as it is, whatever its version.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def missing(requirements: list[str]) -> list[str]:
    """Those requirements whose distribution is not installed at all."""
    lacking = []
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement).group()
        try:
            version(name)
        except PackageNotFoundError:
            lacking.append(requirement)
    return lacking


def commands(checkout: Path) -> list[list[str]]:
    """The pip calls that make `checkout` importable."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listening = project.get("optional-dependencies", {}).get("speech", [])  # for lesson 09
    lacking = missing([*project["dependencies"], *listening])
    calls = [[*pip, *lacking]] if lacking else []
    return [*calls, [*pip, "--no-deps", "-e", str(checkout)]]


if __name__ == "__main__":
    for command in commands(Path(__file__).resolve().parents[2]):
        subprocess.run(command, check=True)
