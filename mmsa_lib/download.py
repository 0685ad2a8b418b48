"""The real MELD from its public mirrors: resumed where it stopped, checked, and unpacked inside one folder only.

The clips belong to a television series and may not be redistributed; the annotations are GPL-3.0. Addresses, sizes
and digests are those of declare-lab/MELD (https://github.com/declare-lab/MELD) and its data set on Hugging Face.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm.auto import tqdm

from mmsa_lib.errors import DataError
from mmsa_lib.unpacking import FOLDERS, Unpacked, count_clips, unpack


@dataclass(frozen=True)
class Source:
    """A file, what it must be, and its address on each mirror that has it."""

    name: str
    size: int
    sha256: str
    urls: dict[str, str]


_COMMIT = "e8cedf27b5d2877e198332c957127e16eb214afe"  # the official tables as they have stood since


def _table(split: str, size: int, sha256: str) -> Source:
    path = f"data/MELD/{split}_sent_emo.csv"
    urls = {
        "github": f"https://raw.githubusercontent.com/declare-lab/MELD/{_COMMIT}/{path}",
        "jsdelivr": f"https://cdn.jsdelivr.net/gh/declare-lab/MELD@{_COMMIT}/{path}",
    }
    return Source(f"{split}_sent_emo.csv", size, sha256, urls)


ANNOTATIONS: tuple[Source, ...] = (
    _table("train", 1_119_290, "d2fa2d6529cf03cac2989efec05c9b27d8fd2f4c8fc5974c7ae88aa537fa02db"),
    _table("dev", 121_640, "2e89c6f8aa182d6f62f8c6331aece905ac7273ca4999660bfb5213e1d0370c1c"),
    _table("test", 294_526, "8d37103938f7067600839fe29d5a114a6cd1bcdafb75bec101e06464c5006888"),
)
ARCHIVE = Source(
    "MELD.Raw.tar.gz",
    10_878_146_150,
    "a56b4407d574195cbce470d86f9c9d72fcfea59b0e34502ecd4babee4a5c613e",
    {
        "huggingface": "https://huggingface.co/datasets/declare-lab/MELD/resolve/main/MELD.Raw.tar.gz",
        "umich": "https://web.eecs.umich.edu/~mihalcea/downloads/MELD.Raw.tar.gz",
    },
)
MIRRORS: tuple[str, ...] = (*ANNOTATIONS[0].urls, *ARCHIVE.urls)

MARKER = ".meld_unpacked.json"  # written last: what was unpacked, from which archive
_ROOM = 1.1  # clips hardly compress: unpacked they take about as much as the archive
_BLOCK = 2**20


@dataclass(frozen=True)
class Patience:
    """How long a mirror is tried: `tries` in a row without a new byte, `timeout` seconds of silence each."""

    tries: int = 5
    timeout: float = 60.0
    wait: float = 1.0  # seconds before the second try, doubled each time


def download(
    folder: str | os.PathLike,
    *,
    annotations_only: bool = False,
    mirror: str | None = None,
    delete_archive: bool = False,
    annotations: tuple[Source, ...] = ANNOTATIONS,
    archive: Source = ARCHIVE,
    patience: Patience = Patience(),
    progress: bool = True,
) -> Unpacked | None:
    """Bring MELD into `folder`: its three tables and, unless `annotations_only`, its clips.

    What is there already is not fetched again, and a transfer that was cut off goes on where it stopped. With
    `delete_archive` the archive goes once its clips are there, be it now or since an earlier call. Returns what was
    unpacked, None if nothing was. Raises DataError for an unknown mirror, too little room, no mirror that
    answers, or content that is not MELD's.
    """
    known = {name for source in (*annotations, archive) for name in source.urls}
    if mirror is not None and mirror not in known:
        raise DataError(f"--mirror: {mirror!r} is not one of {', '.join(sorted(known))}")
    folder = Path(folder)
    clips_there = _is_unpacked(folder, archive)
    clips_wanted = not annotations_only and not clips_there
    unpacked = None
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, annotations, archive if clips_wanted else None)
        for source in annotations:
            fetch(source, folder, mirror=mirror, patience=patience, progress=False)
        if clips_wanted:
            path = fetch(archive, folder, mirror=mirror, patience=patience, progress=progress)
            unpacked = _unpack_all(path, archive, progress)
        path = folder / archive.name
        if delete_archive and (clips_there or clips_wanted) and _size(path) == archive.size:  # else it is another file
            path.unlink()
    return unpacked


def _unpack_all(path: Path, archive: Source, progress: bool) -> Unpacked:
    """Unpack the archive beside itself, and leave a marker that says so."""
    unpacked = unpack(path, path.parent, progress=progress)
    found = unpacked.written + unpacked.kept
    if not found:
        raise DataError(f"{path}: holds no clips of MELD")
    if hasattr(os, "sync"):
        os.sync()  # the marker must not outlive the clips when the power fails
    marker = {"archive": archive.name, "sha256": archive.sha256, "clips": dict(sorted(found.items()))}
    _write_whole(path.with_name(MARKER), json.dumps(marker, indent=1).encode())
    return unpacked


def _is_unpacked(folder: Path, archive: Source) -> bool:
    """Whether the archive was unpacked here to the end, and no clip has vanished since."""
    try:
        marker = json.loads((folder / MARKER).read_text())
        complete = all(count_clips(folder / name) >= number for name, number in marker["clips"].items())
        return complete and marker["sha256"] == archive.sha256
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _check_room(folder: Path, annotations: tuple[Source, ...], archive: Source | None) -> None:
    wanted = [*annotations, *([archive] if archive else [])]
    needed = sum(s.size - _size(folder / s.name) - _size(_partial(folder, s)) for s in wanted)
    if archive is not None:
        there = sum(_size(p) for name in FOLDERS for p in (folder / name).glob("*.mp4"))
        needed += max(0, round(_ROOM * archive.size) - there)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"{folder}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _partial(folder: Path, source: Source) -> Path:
    return folder / f"{source.name}.part"


# ----------------------------------------------------------------------------------------- fetching


class _GiveUp(Exception):
    """This mirror will not give the file, whatever is tried."""


class _TryAgain(Exception):
    """The transfer failed in a way that may pass."""


def fetch(
    source: Source,
    folder: Path,
    *,
    mirror: str | None = None,
    patience: Patience = Patience(),
    progress: bool = True,
) -> Path:
    """The file in `folder`, whole and checked; its mirrors are tried in turn (or only `mirror`, if it has it)."""
    path, partial = folder / source.name, _partial(folder, source)
    if _size(path) == source.size and _sha256(path, progress) == source.sha256:
        return path
    names = [mirror] if mirror in source.urls else list(source.urls)
    failures = []
    for name in names:
        try:
            _fill(partial, source, source.urls[name], patience, progress)
            if _sha256(partial, progress) != source.sha256:
                partial.unlink()  # which part of it is wrong cannot be known
                raise _GiveUp("its content is not MELD's (wrong SHA-256)")
        except (_GiveUp, _TryAgain) as error:
            failures.append(f"{name}: {error}")
            continue
        if path.exists():
            os.replace(path, path.with_name(f"{path.name}.old"))  # another version, not ours to destroy
        os.replace(partial, path)
        return path
    kept = f"; {_size(partial) / 1e6:,.1f} MB are kept, the same command goes on from there" if _size(partial) else ""
    raise DataError(f"{source.name} could not be fetched ({'; '.join(failures)}){kept}")


def _fill(partial: Path, source: Source, url: str, patience: Patience, progress: bool) -> None:
    """Append to the partial file until it has its full size; failures in a row are limited, progress resets them."""
    if _size(partial) > source.size:
        partial.unlink()
    failures, have = 0, _size(partial)
    bar = tqdm(
        total=source.size,
        initial=have,
        desc=source.name,
        unit="B",
        unit_scale=True,
        disable=not progress,
        smoothing=0.1,
    )
    with bar, open(partial, "ab") as file:
        while have < source.size:
            try:
                _receive(file, have, source, url, patience.timeout, bar)
                error = _TryAgain("the connection was closed early")
            except _TryAgain as caught:
                error = caught
            file.flush()
            now = file.tell()
            failures = 0 if now > have else failures + 1
            have = now
            if have < source.size:
                if failures >= patience.tries:
                    raise error
                time.sleep(min(60.0, patience.wait * 2 ** max(0, failures - 1)))
        os.fsync(file.fileno())


def _receive(file: BinaryIO, have: int, source: Source, url: str, timeout: float, bar: tqdm) -> None:
    """One request: append what comes, from byte `have` on. An error of the disk is not one of the network."""
    for block in _blocks(url, have, source.size, timeout):
        file.write(block)
        bar.update(len(block))


def _blocks(url: str, have: int, size: int, timeout: float) -> Iterator[bytes]:
    """Bytes `have` to `size` as they come; fewer if the connection is closed early."""
    # Without compression on the way, or the number of bytes would mean something else.
    headers = {"User-Agent": "mmsa", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    left = size - have
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
            passed_over = _bytes_to_skip(response, have, size)
            while block := response.read1(_BLOCK):
                dropped = min(passed_over, len(block))
                passed_over, block = passed_over - dropped, block[dropped:]
                if len(block) > left:
                    raise _GiveUp(f"sends more than {size:,} bytes")
                left -= len(block)
                yield block
    except urllib.error.HTTPError as error:
        failure = _TryAgain if error.code in (408, 425, 429) or error.code >= 500 else _GiveUp
        raise failure(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _TryAgain(str(error.reason)) from error
    except (http.client.HTTPException, OSError) as error:
        raise _TryAgain(str(error) or type(error).__name__) from error


def _bytes_to_skip(response: http.client.HTTPResponse, have: int, size: int) -> int:
    """How much of the answer is already there: all of it if the server does not know ranges."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) > have or match[3] not in ("*", str(size)):
            raise _GiveUp(f"offers {response.headers.get('Content-Range')!r}, not bytes {have}-{size - 1}/{size}")
        return have - int(match[1])
    if response.headers.get_content_type() == "text/html":
        raise _GiveUp("answers with a web page")
    length = response.headers.get("Content-Length")
    if response.status != 200 or (length is not None and length != str(size)):
        raise _GiveUp(f"offers {length} bytes (HTTP {response.status}), not {size}")
    return have


def _sha256(path: Path, progress: bool) -> str:
    digest = hashlib.sha256()
    with (
        open(path, "rb") as file,
        tqdm(total=_size(path), desc="checking", unit="B", unit_scale=True, disable=not progress, leave=False) as bar,
    ):
        while block := file.read(_BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------- disk


def _write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(data)
    os.replace(partial, path)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """A full disk or a folder that may not be written is the user's to mend, not a bug."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename or folder}: {error.strerror or error}") from error
