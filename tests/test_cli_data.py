"""`mmsa data …` as a user runs it: exit status, what is printed, what is left behind."""

import hashlib
import json
import shutil
import sys

import pytest
from standin import write_standin

from mmsa_lib import download as module
from mmsa_lib.cli import main
from mmsa_lib.download import Source

SMALL = {"size": (48, 80), "films": 1, "film_seconds": 1, "preset": "ultrafast", "long_seconds": (4, 3)}


@pytest.fixture
def here(monkeypatch, capsys):
    """Run the command in this process: status, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["mmsa", "data", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("standin")
    write_standin(root, 12, **SMALL)
    return root


@pytest.fixture
def offline(monkeypatch):
    """No mirror may be reached: the addresses lead nowhere and one try is enough."""
    tables = tuple(Source(f"{s}_sent_emo.csv", 5, hashlib.sha256(b"table").hexdigest(), {"gone": "http://127.0.0.1:9/"})
                   for s in ("train", "dev", "test"))  # fmt: skip
    archive = Source("MELD.Raw.tar.gz", 10, "0" * 64, {"away": "http://127.0.0.1:9/"})
    changed = {"annotations": tables, "archive": archive, "patience": module.Patience(tries=1)}
    monkeypatch.setattr(module.download, "__kwdefaults__", module.download.__kwdefaults__ | changed)


class TestAudit:
    def test_a_table_for_people(self, here, root):
        status, out, _ = here("audit", root, "--workers", 1)
        assert status == 0
        lines = out.splitlines()
        assert lines[0] == str(root) and lines[1].split() == ["train", "dev", "test"]
        assert "damaged (1)" in lines and "missing (1)" in lines

    def test_json_for_programs_and_a_picture(self, here, root, tmp_path):
        status, out, _ = here("audit", root, "--json", "--workers", 1, "--picture", tmp_path / "new" / "health.png")
        report = json.loads(out)
        assert status == 0 and report["splits"]["train"]["problems"]["damaged"] == 1
        assert (tmp_path / "new" / "health.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.end_to_end
    def test_what_changed_since_it_was_remembered(self, here, root, tmp_path):
        copy = tmp_path / "copy"
        shutil.copytree(root, copy)
        status, out, _ = here("audit", copy, "--workers", 1, "--remember")
        assert status == 0 and (copy / "SHA256SUMS").is_file() and "there is no SHA256SUMS" in out
        kept = (copy / "SHA256SUMS").read_bytes()
        status, out, err = here("audit", copy, "--workers", 1, "--remember")
        assert (status, out) == (2, "") and "SHA256SUMS is there already" in err and err.count("\n") == 1
        assert (copy / "SHA256SUMS").read_bytes() == kept
        table = copy / "dev_sent_emo.csv"
        table.write_bytes(table.read_bytes() + b"\n")
        status, out, _ = here("audit", copy, "--workers", 1)
        assert "there is no SHA256SUMS" not in out
        assert status == 0 and "\nchanged (1)\n  dev dev_sent_emo.csv: other content" in out

    @pytest.mark.parametrize("options", [["--workers", "0"], ["--seconds-per-clip", "0"]])
    def test_a_senseless_option_is_one_line(self, here, root, options):
        status, _, err = here("audit", root, *options)
        assert status == 2 and err.startswith("mmsa: ") and err.count("\n") == 1

    def test_no_such_folder_is_one_line(self, here, tmp_path):
        status, out, err = here("audit", tmp_path / "nowhere")
        assert (status, out) == (2, "") and err == f"mmsa: {tmp_path / 'nowhere'}: no such folder\n"


class TestDownload:
    def test_without_a_network_it_is_one_line_that_names_the_file_and_the_mirror(self, here, offline, tmp_path):
        status, _, err = here("download", tmp_path, "--annotations-only")
        assert status == 2 and err.startswith("mmsa: train_sent_emo.csv could not be fetched (gone: ")
        assert err.count("\n") == 1

    def test_an_unknown_mirror_is_one_line(self, here, offline, tmp_path):
        status, _, err = here("download", tmp_path, "--mirror", "elsewhere")
        assert (status, err) == (2, "mmsa: --mirror: 'elsewhere' is not one of away, gone\n")

    def test_what_is_there_is_said_to_be_there(self, here, offline, tmp_path):
        for split in ("train", "dev", "test"):
            (tmp_path / f"{split}_sent_emo.csv").write_bytes(b"table")
        status, out, _ = here("download", tmp_path, "--annotations-only")
        assert (status, out) == (0, f"{tmp_path}: the tables are there\n")


def test_without_a_command_there_is_help(here):
    _, out, err = here()
    assert "download" in out + err and "audit" in out + err
