"""Files: written whole or not at all, and told apart by their SHA-256."""

import hashlib
import os
from pathlib import Path


def write_text(path: Path, text: str, errors: str = "strict") -> Path:
    """Write UTF-8 under another name, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", errors=errors, newline="\n")
    os.replace(temporary, path)
    return path


def digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
