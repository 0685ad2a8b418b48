"""Unpack MELD's archive, and the archives in it, without ever writing outside one folder."""

import gzip
import os
import re
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm.auto import tqdm

from mmsa_lib.errors import DataError
from mmsa_lib.meld import CLIP_FOLDERS

FOLDERS: frozenset[str] = frozenset(name for names in CLIP_FOLDERS.values() for name in names)

_BLOCK = 2**20
_BOMB = 4  # times its size that an archive may unpack to; inner archives and their content both count
_SPARE = 10**8  # and what it may unpack to whatever its size
_NAME = re.compile(r"(?:final_videos_test)?dia[0-9]{1,9}_utt[0-9]{1,9}\.mp4", re.IGNORECASE)
_LONG_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_HEADERS += (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass
class Unpacked:
    """Clips by folder, written now or there before, and members that were refused, with the reason."""

    written: Counter = field(default_factory=Counter)
    kept: Counter = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


def unpack(archive: Path, folder: Path, *, progress: bool = True) -> Unpacked:
    """Write the clips of MELD's archive, and of the archives in it, to the clip folders in `folder`.

    Everything is read in one pass; the inner archives never touch the disk. Only plain files that are named like
    clips and lie in a folder named like MELD's are written, under that folder and name: a path in the archive leads
    nowhere else. A clip that is there with the right size is kept. Members that leave the archive's folder, links
    and devices are listed as refused. Raises DataError if the archive is damaged.
    """
    result = Unpacked()
    budget = _Budget(_BOMB * archive.stat().st_size + _SPARE)
    with (
        open(archive, "rb") as raw,
        tqdm.wrapattr(raw, "read", total=archive.stat().st_size, desc="unpacking", disable=not progress) as watched,
        _archive_errors(archive),
    ):
        for member, content in _members(watched, budget, result.refused):
            _place(member, content, folder, result)
    return result


def _members(raw: BinaryIO, budget: "_Budget", refused: list[str], inner: bool = False) -> Iterator[tuple]:
    """(member, its content) of each plain file, those of inner archives in their place."""
    with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
        watched = _Watched(stream, budget)
        with tarfile.open(fileobj=watched, mode="r|", bufsize=_BLOCK, tarinfo=_Header) as tar:
            for member in tar:
                reason = _why_refused(member)
                if reason:
                    refused.append(f"{member.name[:200]!r}: {reason}")
                elif member.isfile() and member.name.endswith((".tar.gz", ".tgz")) and not inner:
                    yield from _members(tar.extractfile(member), budget, refused, inner=True)
                elif member.isfile():
                    yield member, tar.extractfile(member)
        while watched.read(_BLOCK):  # to the end, where the checksum stands
            pass


@dataclass
class _Budget:
    """Bytes that may still come out of an archive: a small one can unpack to anything."""

    left: int


class _Watched:
    """A stream that ends in an error once the budget is spent."""

    def __init__(self, stream: BinaryIO, budget: _Budget) -> None:
        self.stream, self.budget = stream, budget

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.budget.left -= len(block)
        if self.budget.left < 0:
            raise DataError("unpacks to far more than its size")
        return block


class _Header(tarfile.TarInfo):
    """A member's header; a long name or extended header that would fill the memory is an error."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        header = super().frombuf(buf, encoding, errors)
        if header.type in _LONG_HEADERS and header.size > _BLOCK:
            raise DataError(f"has a header of {header.size:,} bytes")
        return header


def _why_refused(member: tarfile.TarInfo) -> str | None:
    name = member.name
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "leads out of the folder"
    if member.issym() or member.islnk():
        return "a link"
    if not (member.isfile() or member.isdir()) or member.issparse():
        return "not a plain file"
    return None


def count_clips(folder: Path) -> int:
    """How many files in a clip folder are named like clips; whatever else lies there does not count."""
    return sum(_NAME.fullmatch(name) is not None for name in os.listdir(folder))


def _place(member: tarfile.TarInfo, content: BinaryIO, folder: Path, result: Unpacked) -> None:
    """Write a member if it is a clip."""
    parts = PurePosixPath(member.name).parts
    if len(parts) < 2 or parts[-2] not in FOLDERS or not _NAME.fullmatch(parts[-1]):
        return  # a table, a note, or what macOS leaves beside files (`._…`)
    target = folder / parts[-2] / parts[-1]
    if target.is_file() and target.stat().st_size == member.size:
        result.kept[parts[-2]] += 1
        return
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    with open(partial, "wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
    if partial.stat().st_size != member.size:
        partial.unlink()
        raise EOFError(f"{member.name} is cut off")
    os.replace(partial, target)
    result.written[parts[-2]] += 1


@contextmanager
def _archive_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{archive}: {error}") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{archive}: damaged archive ({' '.join(str(error).split()) or 'cut off'})") from error
