"""`SHA256SUMS`: what the files of a data set are to be, in the form that `sha256sum -c` takes too."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mmsa_lib.errors import DataError
from mmsa_lib.files import write_text

SUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def relative(path: str | os.PathLike, root: str | os.PathLike) -> str:
    """How a file is named in the list of a folder: with slashes, seen from there."""
    return Path(os.path.relpath(path, root)).as_posix()


def to_lines(sums: Mapping[str, str]) -> str:
    """Digests by name -> the content of `SHA256SUMS`. Raises DataError for a name that does not fit on a line."""
    for name in sums:
        if "\n" in name or "\r" in name:
            raise DataError(f"{name!r}: a name with a line break cannot stand in {SUMS_FILE}; rename the file")
    return "".join(f"{found}  {name}\n" for name, found in sums.items())


def read_sums(root: str | os.PathLike) -> dict[str, str] | None:
    """Digests by name of a folder's `SHA256SUMS`, None where there is none.

    Raises DataError, naming the line, if it is not such a list.
    """
    path = Path(root) / SUMS_FILE
    if not path.is_file():
        return None
    lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")  # other line ends may be part of a name
    sums = {}
    for number, line in enumerate(lines if lines[-1] else lines[:-1], start=1):
        found = _LINE.fullmatch(line.removesuffix("\r"))
        if found is None:
            raise DataError(
                f"{path}: line {number} is not a SHA-256, two spaces and a name; delete or restore the file"
            )
        sums[os.path.normpath(found[2]).replace(os.sep, "/")] = found[1].lower()
    return sums


def write_sums(root: str | os.PathLike, sums: Mapping[str, str]) -> Path:
    """Keep the list in the folder, in place of an older one."""
    return write_text(Path(root) / SUMS_FILE, to_lines(sums), errors="surrogateescape")  # names of any bytes
