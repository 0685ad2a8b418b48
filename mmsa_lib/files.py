"""Files: written whole or not at all, and told apart by their SHA-256."""

import hashlib
import os
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
    """Gives another name to write under, and renames it in the end; where it cannot be written, nothing is left.

    For writers of others, which report a full disk in errors of their own. Raises DataError with the path.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be written ({' '.join(str(error).split())[:120]})") from error
    finally:
        temporary.unlink(missing_ok=True)


def digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
