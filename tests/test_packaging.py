"""What is installed, from where: pyproject.toml, requirements.lock, environment.yml and the wheel agree."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import mmsa_lib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mmsa_lib"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK_LINES = [
    line.split(" #")[0].strip()
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
PYTHONS = ("3.11.0", "3.12.0")
PUBLIC_NAMES = {
    "EMOTIONS",
    "SENTIMENTS",
    "MELDDataset",
    "collate",
    "TextEncoder",
    "VideoEncoder",
    "AudioEncoder",
    "MultimodalSentimentModel",
    "MultimodalTrainer",
    "compute_class_weights",
    "predict",
}


def direct_requirements(*extras: str) -> list[Requirement]:
    """The core dependencies and those of `extras`."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for group in groups for line in group]


def pins(python: str) -> dict[str, list[str]]:
    """Distribution name to the locked versions that apply on 64-bit Linux under `python` (x.y.z)."""
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "sys_platform": "linux",
    }
    found: dict[str, list[str]] = {}
    for requirement in map(Requirement, LOCK_LINES):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            found.setdefault(canonicalize_name(requirement.name), []).append(specifier.version)
    return found


def run_elsewhere(code: str, folder: Path, **environment: str) -> str:
    """Standard output of `code` in a fresh interpreter started in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


# --- dependencies ---------------------------------------------------------------------------------------


def test_the_lock_holds_exact_versions_only() -> None:
    exact = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*( ; .+)?")
    assert [line for line in LOCK_LINES if not exact.fullmatch(line)] == []


@pytest.mark.parametrize("mark", ["/", "@", "--", "sha256"])
def test_the_lock_names_no_address_path_option_or_hash(mark: str) -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if mark in line] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_pins_each_package_once(python: str) -> None:
    repeated = {name: versions for name, versions in pins(python).items() if len(versions) > 1}
    assert not repeated


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_direct_dependency(python: str) -> None:
    locked = pins(python)
    for requirement in direct_requirements(*PROJECT["optional-dependencies"]):
        versions = locked.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in requirements.lock; run `make lock`"
        assert requirement.specifier.contains(versions[0]), f"{requirement}: {versions[0]} is locked"


def test_pythons_are_the_supported_ones() -> None:
    supported = SpecifierSet(PROJECT["requires-python"])
    assert all(supported.contains(python) for python in PYTHONS)
    assert not supported.contains("3.10.14")


def test_conda_installs_the_lock_and_this_package_and_nothing_else() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert conda == ["python=3.12", "pip"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}


def imported_packages(path: Path) -> set[str]:
    """Top-level names of the absolute imports anywhere in a Python file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_a_declared_dependency() -> None:
    """Course, data-making and bench code may also use the extras, `speech` the one of its name; the rest only the core.

    IPython is exempt: what imports it is called by IPython, so it is there.
    """
    providers = packages_distributions()
    core, speech = ({canonicalize_name(r.name) for r in direct_requirements(*extra)} for extra in ((), ("speech",)))
    everything = {canonicalize_name(r.name) for r in direct_requirements(*PROJECT["optional-dependencies"])}
    undeclared = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).parts[0]
        allowed = everything if place in ("course", "mini", "bench") else speech if place == "speech.py" else core
        for name in imported_packages(path) - set(sys.stdlib_module_names) - {"mmsa_lib", "IPython"}:
            if allowed.isdisjoint(canonicalize_name(found) for found in providers.get(name, [])):
                undeclared.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not undeclared


# --- the package ----------------------------------------------------------------------------------------


def test_the_public_names_are_listed() -> None:
    assert set(mmsa_lib.__all__) >= PUBLIC_NAMES
    assert set(dir(mmsa_lib)) >= {*mmsa_lib.__all__, "__version__"}


@pytest.mark.parametrize("name", sorted(mmsa_lib.__all__))
def test_a_public_name_is_defined_in_the_module_it_loads_from(name: str) -> None:
    """Read from the source, because loading torch for it would take seconds."""
    spec = find_spec(f"mmsa_lib.{mmsa_lib._HOME[name]}")
    assert spec is not None and spec.origin is not None, f"no module mmsa_lib.{mmsa_lib._HOME[name]}"
    defined = set()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined.update(target.id for target in targets if isinstance(target, ast.Name))
    assert name in defined


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MELDdataset'"):
        _ = mmsa_lib.MELDdataset


def test_import_from_another_folder_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import mmsa_lib, sys, json; print(json.dumps([mmsa_lib.__version__, *sys.modules]))"
    version, *modules = json.loads(run_elsewhere(code, tmp_path))
    assert version == mmsa_lib.__version__
    heavy = {"torch", "transformers", "pandas", "matplotlib", "numpy", "sklearn", "av", "accelerate"}
    assert not heavy.intersection(modules)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of this tree with one data file planted in a nested folder."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(PACKAGE, source / "mmsa_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "README.md").write_text("stand-in", encoding="utf-8")
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").touch()
    (source / "mmsa_lib" / "planted").mkdir()
    (source / "mmsa_lib" / "planted" / "weights.safetensors").write_bytes(b"data")
    built = run_elsewhere("from setuptools.build_meta import build_wheel; build_wheel('dist')", source)
    (path,) = (source / "dist").glob("*.whl")
    assert path.name == f"mmsa_lib-{mmsa_lib.__version__}-py3-none-any.whl", built
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_whole_package_and_only_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    kinds = {".py", ".safetensors", ".json", ".csv", ".txt", ".html"}
    expected = {p.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("*") if p.suffix in kinds}
    assert expected | {"mmsa_lib/planted/weights.safetensors"} <= names
    assert {name.split("/")[0] for name in names} == {
        "mmsa_lib",
        f"mmsa_lib-{mmsa_lib.__version__}.dist-info",
    }


def test_the_wheel_installs_the_command_and_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    metadata = f"mmsa_lib-{mmsa_lib.__version__}.dist-info"
    assert "mmsa = mmsa_lib.cli:main" in wheel.read(f"{metadata}/entry_points.txt").decode()
    assert "MIT License" in wheel.read(f"{metadata}/licenses/LICENSE").decode()
    assert "License-Expression: MIT" in wheel.read(f"{metadata}/METADATA").decode()
