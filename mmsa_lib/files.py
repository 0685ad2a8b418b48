"""Files: written whole or not at all, and told apart by their SHA-256."""

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from mmsa_lib.errors import DataError


def write_text(path: Path, text: str, errors: str = "strict") -> Path:
    """Write UTF-8 under another name, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", errors=errors, newline="\n")
    os.replace(temporary, path)
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Another name to write under, which no other process uses; renamed in the end, and gone if that fails.

    For writers of others, which report a full disk in errors of their own. Raises DataError with the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "r+b") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())  # a power failure must not leave the name without the content
        temporary.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be written ({' '.join(str(error).split())[:120]})") from error
    finally:
        temporary.unlink(missing_ok=True)


def is_json_with(path: Path, *keys: str) -> bool:
    """Whether a file is a JSON object with these keys: how what we wrote is told from what others did."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and set(keys) <= set(found)


def digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
