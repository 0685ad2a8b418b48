"""Fetching and unpacking against a server on this machine that misbehaves in every way a mirror may."""

import gzip
import hashlib
import io
import os
import re
import shutil
import socket
import tarfile
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mmsa_lib import download as module
from mmsa_lib import unpacking
from mmsa_lib.download import ANNOTATIONS, ARCHIVE, MARKER, Patience, Source, download, fetch
from mmsa_lib.errors import DataError
from mmsa_lib.unpacking import unpack

HASTY = Patience(tries=3, timeout=5.0, wait=0.0)
CONTENT = np.random.default_rng(0).bytes(300_000)


class Mirror(ThreadingHTTPServer):
    """Serves `files` by path; `behaviour` by path is what goes wrong; `requests` is what was asked, in order."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.behaviour, self.requests, self.sent = {}, {}, [], 0

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.strip("/")
        asked = self.headers.get("Range")
        self.server.requests.append((path, asked))
        behaviour = self.server.behaviour.get(path, {})
        if behaviour.get("status"):
            status = behaviour["status"].pop(0) if len(behaviour["status"]) > 1 else behaviour["status"][0]
            if status != 200:
                self.send_error(status)
                return
        data = self.server.files[path]
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and not behaviour.get("no_ranges") else 0
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            shown = start + behaviour.get("shifted", 0)
            self.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
        if not behaviour.get("no_length"):
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", behaviour.get("type", "application/octet-stream"))
        self.end_headers()
        body = body[: behaviour.get("drop_after", len(body))]
        self.server.sent += len(body)
        self.wfile.write(body)
        if behaviour.get("stall"):
            threading.Event().wait(behaviour["stall"])
        if behaviour.get("reset"):  # not a polite end, but a connection that breaks
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def running():
    mirror = Mirror()
    threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield mirror
    mirror.shutdown()
    mirror.server_close()


@pytest.fixture
def server(running):
    running.files, running.behaviour, running.requests, running.sent = {}, {}, [], 0
    return running


def offer(server, data=CONTENT, name="file.bin", paths=("a",), **behaviour):
    """The file at each path; the behaviour is that of the first."""
    for path in paths:
        server.files[path] = data
    server.behaviour[paths[0]] = behaviour
    return Source(name, len(data), hashlib.sha256(data).hexdigest(), {path: server.url(path) for path in paths})


def get(source, folder, **options):
    return fetch(source, folder, patience=HASTY, progress=False, **options)


class TestFetch:
    def test_a_file_arrives_whole_and_leaves_nothing_else(self, server, tmp_path):
        path = get(offer(server), tmp_path)
        assert path.read_bytes() == CONTENT and os.listdir(tmp_path) == ["file.bin"]

    def test_what_is_there_is_not_asked_for_again(self, server, tmp_path):
        source = offer(server)
        get(source, tmp_path)
        get(source, tmp_path)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("reset", [False, True])
    def test_dropped_connections_go_on_where_they_stopped(self, server, tmp_path, reset):
        path = get(offer(server, drop_after=70_000, reset=reset), tmp_path)
        assert path.read_bytes() == CONTENT
        starts = [int(asked[6:-1]) for _, asked in server.requests[1:]]
        assert len(starts) >= 4 and starts == sorted(starts)
        if not reset:
            assert starts == [70_000, 140_000, 210_000, 280_000] and server.sent == len(CONTENT)

    def test_a_killed_transfer_goes_on_in_the_next_run(self, server, tmp_path):
        source = offer(server)
        (tmp_path / "file.bin.part").write_bytes(CONTENT[:123_456])
        assert get(source, tmp_path).read_bytes() == CONTENT
        assert server.requests == [("a", "bytes=123456-")]

    def test_a_server_without_ranges_costs_time_but_loses_nothing(self, server, tmp_path):
        source = offer(server, no_ranges=True)
        (tmp_path / "file.bin.part").write_bytes(CONTENT[:123_456])
        assert get(source, tmp_path).read_bytes() == CONTENT
        assert server.sent == len(CONTENT)

    def test_a_server_without_ranges_that_drops_ends_in_an_error_and_keeps_what_came(self, server, tmp_path):
        with pytest.raises(DataError, match=r"closed early.*0\.1 MB are kept"):
            get(offer(server, no_ranges=True, drop_after=70_000), tmp_path)
        assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:70_000]

    def test_a_range_from_the_wrong_place_is_not_taken(self, server, tmp_path):
        (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
        with pytest.raises(DataError, match="not bytes 1000-"):
            get(offer(server, shifted=5), tmp_path)

    def test_a_partial_file_that_is_too_long_starts_over(self, server, tmp_path):
        (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
        assert get(offer(server), tmp_path).read_bytes() == CONTENT

    @pytest.mark.parametrize("no_length", [False, True])
    @pytest.mark.parametrize("size", [299_999, 300_001])
    def test_a_wrong_size_is_refused(self, server, tmp_path, size, no_length):
        source = offer(server, no_length=no_length)
        server.files["a"] = (CONTENT + b"x")[:size]
        with pytest.raises(DataError, match=r"300.?000|closed early|Range Not|not bytes"):
            get(source, tmp_path)
        assert not (tmp_path / "file.bin").exists()

    def test_wrong_content_of_the_right_size_is_refused_and_thrown_away(self, server, tmp_path):
        source = offer(server)
        server.files["a"] = CONTENT[:-1] + b"?"
        with pytest.raises(DataError, match=r"wrong SHA-256"):
            get(source, tmp_path)
        assert os.listdir(tmp_path) == []

    def test_a_web_page_in_its_place_is_refused(self, server, tmp_path):
        with pytest.raises(DataError, match="web page"):
            get(offer(server, no_length=True, type="text/html; charset=utf-8"), tmp_path)

    @pytest.mark.parametrize("status", [403, 404, 410])
    def test_a_missing_file_leads_to_the_next_mirror_at_once(self, server, tmp_path, status):
        source = offer(server, paths=("a", "b"), status=[status])
        assert get(source, tmp_path).read_bytes() == CONTENT
        assert [path for path, _ in server.requests] == ["a", "b"]

    def test_a_mirror_goes_on_where_another_stopped(self, server, tmp_path):
        source = offer(server, paths=("a", "b"), drop_after=100_000, status=[200, 404])
        assert get(source, tmp_path).read_bytes() == CONTENT
        assert server.requests == [("a", None), ("a", "bytes=100000-"), ("b", "bytes=100000-")]

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_busy_server_is_asked_again(self, server, tmp_path, status):
        assert get(offer(server, status=[status, status, 200]), tmp_path).read_bytes() == CONTENT

    def test_patience_ends(self, server, tmp_path):
        with pytest.raises(DataError, match=r"a: HTTP 503"):
            get(offer(server, status=[503]), tmp_path)
        assert len(server.requests) == HASTY.tries

    def test_a_silent_server_is_left(self, server, tmp_path):
        source = offer(server, drop_after=0, stall=1)
        with pytest.raises(DataError, match="timed out"):
            fetch(source, tmp_path, patience=Patience(tries=1, timeout=0.2, wait=0.0), progress=False)
        assert len(server.requests) == 1

    def test_no_server_at_all(self, tmp_path):
        source = Source("file.bin", 5, "0" * 64, {"gone": "http://127.0.0.1:9/x"})
        with pytest.raises(DataError, match=r"gone: .*refused"):
            get(source, tmp_path)

    def test_another_version_of_a_file_is_put_aside(self, server, tmp_path):
        (tmp_path / "file.bin").write_bytes(b"mine")
        get(offer(server), tmp_path)
        assert (tmp_path / "file.bin.old").read_bytes() == b"mine"

    def test_a_full_disk_is_not_taken_for_a_network(self, server, tmp_path, monkeypatch):
        class Full(io.BytesIO):
            def write(self, _):
                raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            module._receive(Full(), 0, offer(server), server.url("a"), 5.0, None)


# ----------------------------------------------------------------------------------------- archives


def tar(members, extra=()):
    """A gzipped archive of {name: bytes}; `extra` are ready-made headers with their content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
        for header, data in extra:
            archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


@cache
def clip(seed, size=20_000):
    return np.random.default_rng(seed).bytes(size)


@cache
def meld_archive(extra=()):
    """The shape of the real one: an archive a split in an archive, tables beside them, leavings of macOS."""
    train = tar({f"train_splits/dia0_utt{i}.mp4": clip(i) for i in range(3)})
    dev = tar({"dev_splits_complete/dia1_utt0.mp4": clip(10), "dev_sent_emo.csv": b"not this one"})
    test = tar(
        {
            "output_repeated_splits_test/dia2_utt0.mp4": clip(20),
            "output_repeated_splits_test/._dia2_utt0.mp4": b"\0" * 212,
            "output_repeated_splits_test/final_videos_testdia2_utt0.mp4": clip(21),
        }
    )
    members = {"MELD.Raw/train.tar.gz": train, "MELD.Raw/dev.tar.gz": dev, "MELD.Raw/test.tar.gz": test}
    return tar(members | {"MELD.Raw/train_sent_emo.csv": b"an old copy", "MELD.Raw/README.txt": b"hello"}, extra)


def tree(folder):
    """Every path below a folder, with the content of the files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


EXPECTED = {
    **{f"train_splits/dia0_utt{i}.mp4": clip(i) for i in range(3)},
    "dev_splits_complete/dia1_utt0.mp4": clip(10),
    "output_repeated_splits_test/dia2_utt0.mp4": clip(20),
    "output_repeated_splits_test/final_videos_testdia2_utt0.mp4": clip(21),
}


def unpacked(data, tmp_path):
    """Unpack into the innermost of two folders; returns the result and everything that came to be."""
    archive, home = tmp_path / "archive", tmp_path / "outside" / "home"
    home.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(data)
    result = unpack(archive, home, progress=False)
    return result, tree(tmp_path / "outside")


class TestUnpack:
    def test_the_clips_of_the_inner_archives_and_nothing_else(self, tmp_path):
        result, found = unpacked(meld_archive(), tmp_path)
        assert found == {f"home/{name}": data for name, data in EXPECTED.items()}
        assert result.written == {"train_splits": 3, "dev_splits_complete": 1, "output_repeated_splits_test": 2}
        assert result.refused == []

    def test_the_second_time_nothing_is_written(self, tmp_path):
        unpacked(meld_archive(), tmp_path)
        result, _ = unpacked(meld_archive(), tmp_path)
        assert not result.written and sum(result.kept.values()) == 6

    def test_a_clip_that_was_cut_off_is_written_again(self, tmp_path):
        unpacked(meld_archive(), tmp_path)
        short = tmp_path / "outside/home/train_splits/dia0_utt1.mp4"
        short.write_bytes(clip(1)[:500])
        result, _ = unpacked(meld_archive(), tmp_path)
        assert short.read_bytes() == clip(1) and sum(result.written.values()) == 1

    @pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_a_truncated_archive_is_an_error_and_leaves_no_half_clip(self, tmp_path, keep):
        whole = meld_archive()
        with pytest.raises(DataError, match="archive"):
            unpacked(whole[: int(len(whole) * keep)], tmp_path)
        for name, data in tree(tmp_path / "outside").items():
            assert data == EXPECTED[name.removeprefix("home/")]

    def test_a_truncated_inner_archive_is_an_error(self, tmp_path):
        inner = tar({f"train_splits/dia0_utt{i}.mp4": clip(i) for i in range(3)})
        with pytest.raises(DataError, match="damaged archive"):
            unpacked(tar({"MELD.Raw/train.tar.gz": inner[:-30_000]}), tmp_path)

    @pytest.mark.parametrize("seed", range(12))
    def test_flipped_bits_never_pass_unnoticed(self, tmp_path, seed):
        data = bytearray(meld_archive())
        data[np.random.default_rng(seed).integers(20, len(data) - 8)] ^= 1 << seed % 8
        with pytest.raises(DataError):
            unpacked(bytes(data), tmp_path)

    def test_other_files_are_an_error(self, tmp_path):
        for junk in (b"", b"hello" * 1000, gzip.compress(b"no tar"), gzip.compress(CONTENT)):
            with pytest.raises(DataError, match="archive"):
                unpacked(junk, tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            "../train_splits/dia9_utt9.mp4",
            "train_splits/../../train_splits/dia9_utt9.mp4",
            "/tmp/train_splits/dia9_utt9.mp4",
            "..\\train_splits\\dia9_utt9.mp4",
            "C:/train_splits/dia9_utt9.mp4",
        ],
    )
    @pytest.mark.parametrize("inner", [False, True])
    def test_paths_that_lead_out_are_refused_by_name(self, tmp_path, name, inner):
        hostile = tar({name: b"evil"})
        result, found = unpacked(tar({"MELD.Raw/dev.tar.gz": hostile}) if inner else hostile, tmp_path)
        assert found == {} and len(result.refused) == 1 and "dia9_utt9" in result.refused[0]

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
    def test_links_and_devices_are_refused(self, tmp_path, kind):
        header = tarfile.TarInfo("train_splits/dia9_utt9.mp4")
        header.type, header.linkname = kind, "/etc/passwd"
        result, found = unpacked(meld_archive(((header, b""),)), tmp_path)
        assert found == {f"home/{name}": data for name, data in EXPECTED.items()}
        assert len(result.refused) == 1

    def test_a_link_cannot_prepare_the_way_for_a_file(self, tmp_path):
        link = tarfile.TarInfo("train_splits")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        result, found = unpacked(meld_archive(((link, b""),)), tmp_path)
        assert set(found) == {f"home/{name}" for name in EXPECTED} and len(result.refused) == 1

    @pytest.mark.parametrize(
        "name", ["train_splits/evil.sh", ".bashrc", "x/dia0_utt0.mp4", "train_splits/dia0_utt0.mp4/x"]
    )
    def test_files_that_are_no_clips_are_passed_over(self, tmp_path, name):
        _, found = unpacked(tar({name: b"evil"}), tmp_path)
        assert found == {}

    def test_an_archive_in_an_archive_in_an_archive_is_not_opened(self, tmp_path):
        innermost = tar({"train_splits/dia0_utt0.mp4": clip(0)})
        _, found = unpacked(tar({"a.tar.gz": tar({"b.tar.gz": innermost})}), tmp_path)
        assert found == {}

    def test_a_small_archive_that_unpacks_to_everything_is_stopped(self, tmp_path, monkeypatch):
        monkeypatch.setattr(unpacking, "_SPARE", 10**6)
        bomb = tar({f"train_splits/dia0_utt{i}.mp4": bytes(3 * 10**6) for i in range(3)})
        with pytest.raises(DataError, match="far more than its size"):
            unpacked(bomb, tmp_path)

    def test_a_header_that_would_fill_the_memory_is_an_error(self, tmp_path):
        header = tarfile.TarInfo("pax")
        header.type, header.size = tarfile.XHDTYPE, 2**21
        with pytest.raises(DataError, match="header of 2,097,152 bytes"):
            unpacked(tar({}, [(header, bytes(2**21))]), tmp_path)


# ---------------------------------------------------------------------------------------- all of it


@pytest.fixture
def mirror(server):
    """Tables and archive on the server, as the arguments of `download`."""
    tables = tuple(
        offer(server, f"table of {split}".encode(), f"{split}_sent_emo.csv", (f"{split}-1", f"{split}-2"))
        for split in ("train", "dev", "test")
    )
    archive = offer(server, meld_archive(), "MELD.Raw.tar.gz", ("raw-1", "raw-2"))
    return {"annotations": tables, "archive": archive, "patience": HASTY, "progress": False}


class TestDownload:
    def test_tables_and_clips(self, mirror, tmp_path):
        result = download(tmp_path / "new" / "meld", **mirror)
        found = tree(tmp_path / "new" / "meld")
        assert {name: data for name, data in found.items() if name.endswith(".mp4")} == EXPECTED
        assert found["train_sent_emo.csv"] == b"table of train"  # the official one, not that of the archive
        assert set(found) == {
            *EXPECTED,
            MARKER,
            "MELD.Raw.tar.gz",
            *(f"{s}_sent_emo.csv" for s in ("train", "dev", "test")),
        }
        assert sum(result.written.values()) == 6

    def test_annotations_only(self, mirror, server, tmp_path):
        assert download(tmp_path, annotations_only=True, **mirror) is None
        assert sorted(os.listdir(tmp_path)) == ["dev_sent_emo.csv", "test_sent_emo.csv", "train_sent_emo.csv"]
        assert not any(path.startswith("raw") for path, _ in server.requests)

    def test_the_second_time_nothing_is_asked_for(self, mirror, server, tmp_path):
        download(tmp_path, delete_archive=True, **mirror)
        asked = len(server.requests)
        assert download(tmp_path, **mirror) is None
        assert len(server.requests) == asked and not (tmp_path / "MELD.Raw.tar.gz").exists()

    def test_a_clip_that_vanished_is_brought_back(self, mirror, tmp_path):
        download(tmp_path, **mirror)
        (tmp_path / "train_splits" / "dia0_utt1.mp4").unlink()
        assert download(tmp_path, **mirror).written == {"train_splits": 1}

    def test_what_lies_beside_the_clips_does_not_stand_for_one(self, mirror, tmp_path):
        download(tmp_path, **mirror)
        (tmp_path / "train_splits" / "dia0_utt1.mp4").unlink()
        for name in (".DS_Store", "._dia0_utt1.mp4", ".dia0_utt1.mp4.part", "notes.txt"):
            (tmp_path / "train_splits" / name).write_text("no clip")
        assert download(tmp_path, **mirror).written == {"train_splits": 1}
        assert download(tmp_path, **mirror) is None

    @pytest.mark.parametrize("options", [{}, {"annotations_only": True}])
    def test_the_archive_can_be_deleted_later(self, mirror, server, tmp_path, options):
        download(tmp_path, **mirror)
        asked = len(server.requests)
        assert download(tmp_path, delete_archive=True, **options, **mirror) is None
        assert not (tmp_path / "MELD.Raw.tar.gz").exists() and len(server.requests) == asked
        assert download(tmp_path, delete_archive=True, **mirror) is None

    def test_an_archive_that_is_not_unpacked_or_is_another_is_not_deleted(self, mirror, tmp_path):
        path = tmp_path / "MELD.Raw.tar.gz"
        path.write_bytes(meld_archive())
        download(tmp_path, annotations_only=True, delete_archive=True, **mirror)
        assert path.exists()
        download(tmp_path, **mirror)
        path.write_bytes(b"mine")
        download(tmp_path, delete_archive=True, **mirror)
        assert path.read_bytes() == b"mine"

    def test_an_archive_fetched_by_hand_is_used(self, mirror, server, tmp_path):
        (tmp_path / "MELD.Raw.tar.gz").write_bytes(meld_archive())
        download(tmp_path, **mirror)
        assert not any(path.startswith("raw") for path, _ in server.requests)

    def test_a_named_mirror_is_the_only_one_asked(self, mirror, server, tmp_path):
        download(tmp_path, mirror="raw-2", **mirror)
        assert [path for path, _ in server.requests if path.startswith("raw")] == ["raw-2"]

    def test_an_unknown_mirror_is_an_error_before_anything_is_made(self, mirror, tmp_path):
        with pytest.raises(DataError, match=r"--mirror: 'nowhere' is not one of dev-1"):
            download(tmp_path / "new", mirror="nowhere", **mirror)
        assert not (tmp_path / "new").exists()

    def test_room_is_needed_before_anything_is_asked_for(self, mirror, server, tmp_path, monkeypatch):
        size = mirror["archive"].size
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * size))
        with pytest.raises(DataError, match="GB needed"):
            download(tmp_path, **mirror)
        assert server.requests == []
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(2.2 * size)))
        download(tmp_path, **mirror)

    def test_an_archive_without_clips_is_an_error(self, mirror, server, tmp_path):
        other = offer(server, tar({"README.txt": b"hello"}), "MELD.Raw.tar.gz", ("raw-1",))
        with pytest.raises(DataError, match="holds no clips"):
            download(tmp_path, **(mirror | {"archive": other}))
        assert not (tmp_path / MARKER).exists()

    def test_a_folder_that_is_a_file_is_an_error(self, mirror, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="file: "):
            download(tmp_path / "file", **mirror)

    def test_the_published_table_is_complete(self):
        for source in (*ANNOTATIONS, ARCHIVE):
            assert len(source.urls) >= 2 and all(url.startswith("https://") for url in source.urls.values())
            assert re.fullmatch("[0-9a-f]{64}", source.sha256) and source.size > 100_000
            assert all(url.endswith(f"/{source.name}") for url in source.urls.values())
