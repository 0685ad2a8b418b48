"""Where features are kept: a data set in chunks of consecutive rows, each chunk and modality one safetensors file.

A file is written whole or not at all, so work killed at any moment goes on where it stopped. Its name holds a digest
of all it depends on (backbone weights, preprocessing, and the clips or texts themselves): when one of them changes,
another name is asked for and the features are made anew. A manifest beside the files says what the digests stand for
and which files make up a split.
"""

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmsa_lib.files import written_whole

CHUNK_SIZES = {"text": 512, "video": 64, "audio": 64}


class Shards:
    """The files of one split and one set of recipes.

    Args:
        folder: where all features are kept.
        split: its name.
        recipes: per modality, everything besides the data that its features depend on, JSON-able.
        sources: per modality and row, what the features are made from, JSON-able.
    """

    def __init__(
        self, folder: str | Path, split: str, recipes: Mapping[str, dict], sources: Mapping[str, list]
    ) -> None:
        self.folder, self.split, self.recipes, self.sources = Path(folder), split, recipes, sources
        self.rows = max(map(len, sources.values()), default=0)
        self.written: set[Path] = set()
        self._sweep()

    def chunks(self, modality: str) -> list[range]:
        size = CHUNK_SIZES[modality]
        return [range(i, min(i + size, self.rows)) for i in range(0, self.rows, size)]

    def home(self, modality: str) -> Path:
        """The folder of all features made by this recipe."""
        return self.folder / f"{modality}-{digest(self.recipes[modality])}"

    def path(self, modality: str, rows: range) -> Path:
        source = digest(self.sources[modality][rows.start : rows.stop])
        return self.home(modality) / f"{self.split}-{rows.start:06d}-{source}.safetensors"

    def missing(self, modality: str, seconds: float = 0.0) -> list[range]:
        """What is not kept, or lacks a clip for which another try of so many seconds is worth it, see `write`."""
        return [rows for rows in self.chunks(modality) if not self._has(self.path(modality, rows), seconds)]

    def _has(self, path: Path, seconds: float) -> bool:
        known = _metadata(path)
        return known is not None and (path in self.written or float(known.get("patience", "inf")) >= seconds)

    def write(
        self,
        modality: str,
        rows: range,
        tensors: Sequence[Tensor | None],
        errors: dict[str, str],
        patience: float = math.inf,
    ) -> None:
        """Keep one tensor a row (None: it has none), and why clips were left out, by name.

        With more than `patience` seconds a clip another try of all rows is worth it, but not by this object.
        """
        path = self.path(modality, rows)
        self.written.add(path)
        self._manifest(modality).unlink(missing_ok=True)
        kept = {str(row): t.contiguous().cpu() for row, t in zip(rows, tensors, strict=True) if t is not None}
        known = {"errors": json.dumps(errors)} | ({} if patience == math.inf else {"patience": str(patience)})
        with written_whole(path) as temporary:
            save_file(kept, temporary, metadata=known)

    def write_manifests(self) -> None:
        """Per modality, `SPLIT-DIGEST.json`: the recipe, and the files of the split in the order of its rows."""
        for modality, recipe in self.recipes.items():
            path = self._manifest(modality)
            if path.exists() or not self.rows:
                continue
            files, left_out = [], {}
            for rows in self.chunks(modality):
                with safe_open(self.path(modality, rows), framework="pt") as file:
                    files.append({"file": self.path(modality, rows).name, "rows": [rows.start, rows.stop]})
                    files[-1]["kept"] = len(file.keys())
                    left_out |= json.loads(file.metadata()["errors"])
            manifest = {"modality": modality, "recipe": recipe, "split": self.split, "rows": self.rows}
            with written_whole(path) as temporary:
                temporary.write_text(json.dumps(manifest | {"files": files, "left_out": left_out}, indent=1) + "\n")

    def _manifest(self, modality: str) -> Path:
        return self.home(modality) / f"{self.split}-{digest(self.sources[modality])}.json"

    def read(self, modality: str, into: list[Tensor | None]) -> dict[str, str]:
        """Put the features of each row into its place; why clips were left out. Memory is mapped, not filled."""
        errors: dict[str, str] = {}
        for file in self._open(modality):
            errors |= json.loads(file.metadata()["errors"])
            for name in file.keys():  # noqa: SIM118 - not a dictionary
                into[int(name)] = file.get_tensor(name)
        return errors

    def errors(self) -> dict[str, str]:
        """Clip file -> why it is left out."""
        errors: dict[str, str] = {}
        for modality in self.recipes:
            for file in self._open(modality):
                errors |= json.loads(file.metadata()["errors"])
        return errors

    def _open(self, modality: str) -> Iterator[Any]:
        for rows in self.chunks(modality):
            with safe_open(self.path(modality, rows), framework="pt") as file:
                yield file

    def _sweep(self) -> None:
        """Delete what processes of this machine that are no more left half written, see `files.written_whole`."""
        for path in self.folder.glob(f"*/*.{platform.node()}-*.tmp"):
            if not _alive(int(path.name.split("-")[-1].removesuffix(".tmp"))):
                path.unlink(missing_ok=True)


def digest(value: object) -> str:
    """12 hex digits that stand for a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _metadata(path: Path) -> dict[str, str] | None:
    """What a shard says of itself; None if it is not there or not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata()
    except (OSError, SafetensorError):
        return None


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # there is no harmless question to ask elsewhere
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
