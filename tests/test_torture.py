"""Damage in small numbers; `python tests/torture.py` does the same in large ones."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from standin import invent, write_standin, write_tables
from torture import DAMAGE, damage, is_bug, outcomes, tree, try_clip, try_table, write_damaged, write_originals

from mmsa_lib.errors import DataError
from mmsa_lib.meld import load_meld

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("torture")
    return root, write_originals(root, (48, 80), 0.7)


def test_damaged_clips_are_read_or_refused_in_words(originals):
    root, clips = originals
    found = outcomes(try_clip, write_damaged(clips, root / "clips", 54, seed=1), workers=1)
    assert [words for words in found.values() if is_bug(words)] == []
    noticed = [words.startswith(("refused", "read, the audit")) for words in found.values()]
    unnoticed = [words.startswith("read, differs") for words in found.values()]
    assert "read, differs, as is the file" not in found.values()
    assert sum(noticed) > 35 and sum(unnoticed) < 6


def test_undamaged_clips_are_called_so(originals):
    root, clips = originals
    (root / "same").mkdir()
    paths = [root / "same" / f"0-none-{clip.name}" for clip in clips]
    for path, clip in zip(paths, clips, strict=True):
        path.write_bytes(clip.read_bytes())
    assert set(outcomes(try_clip, paths, workers=1).values()) == {"read, all as in the original, as is the file"}


def test_damaged_tables_are_read_or_refused_with_one_line(tmp_path):
    write_tables(tmp_path, invent(60, 0, (9, 8)))
    tables = sorted(tmp_path.glob("*.csv"))
    found = outcomes(try_table, write_damaged(tables, tmp_path / "damaged", 180, seed=2), workers=1)
    assert [words for words in found.values() if is_bug(words)] == []
    assert sum(words.startswith("refused") for words in found.values()) > 90


@pytest.mark.parametrize("kind", DAMAGE, ids=lambda kind: kind.__name__)
def test_damage_is_done_and_is_the_same_for_the_same_seed(kind):
    data = np.random.default_rng(0).bytes(5_000) + b"moov" + np.random.default_rng(1).bytes(900)
    assert damage(data, kind, 4) != data
    assert damage(data, kind, 4) == damage(data, kind, 4)


def test_a_set_with_one_damaged_table_names_it(tmp_path):
    write_tables(tmp_path, invent(20, 0, (9, 8)))
    (tmp_path / "dev_sent_emo.csv").write_bytes(b"\0" * 50)
    with pytest.raises(DataError, match=r"dev_sent_emo\.csv: holds NUL"):
        load_meld(tmp_path)


# ------------------------------------------------------------------------------------- kill -9

# A child that has loaded everything forks before each extraction, which kills itself at the n-th file it writes:
# before it, with half of it written, whole but not yet in its place, or in its place.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from mmsa_lib import MELDDataset, MultimodalSentimentModel, features, shards

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def deadly(save, number, moment):
    calls = []
    def save_and_die(tensors, path, metadata):
        calls.append(path)
        if len(calls) != number:
            if len(calls) == number + 1:
                die()  # the file before this one is in its place
            return save(tensors, path, metadata)
        if moment == "before":
            die()
        save(tensors, path, metadata)
        if moment == "half":
            data = Path(path).read_bytes()
            Path(path).write_bytes(data[: len(data) // 2])
        if moment != "after":
            die()
    return save_and_die

shards.CHUNK_SIZES = {"text": 3, "video": 2, "audio": 2}
save = shards.save_file
for line in sys.stdin:
    folder, number, moment = line.split()
    if (pid := os.fork()) == 0:
        torch.manual_seed(0)
        model = MultimodalSentimentModel(modalities=["video", "audio"], random_backbones=["video"]).eval()
        shards.save_file = deadly(save, int(number), moment) if int(number) else save
        features.extract(MELDDataset(sys.argv[1], "dev", modalities=["video", "audio"]), model, folder)
        os._exit(0)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def extraction(tmp_path_factory):
    """A function that extracts into a folder, killed at a moment of the n-th file (0: not); the exit status."""
    data = tmp_path_factory.mktemp("standin")
    write_standin(data, 12, size=(48, 80), films=1, film_seconds=1, preset="ultrafast", long_seconds=(4, 3))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    command = [sys.executable, "-c", KILLED, str(data)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes) as child:

        def extract(folder, number=0, moment="-"):
            print(folder, number, moment, file=child.stdin, flush=True)
            return int(child.stdout.readline())

        yield extract
        child.kill()


@pytest.fixture(scope="module")
def whole(extraction, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert extraction(folder) == 0
    return tree(folder)


@pytest.mark.parametrize("number, moment", [(1, "before"), (2, "half"), (7, "whole"), (10, "after")])
def test_a_killed_extraction_resumes_to_the_same_bytes(extraction, whole, tmp_path, number, moment):
    kinds = [Path(name).suffix for name in whole]
    assert kinds.count(".safetensors") == 12 and kinds.count(".json") == 2 and len(whole) == 14
    assert extraction(tmp_path, number, moment) == signal.SIGKILL
    finished = {name for name in tree(tmp_path) if name.endswith(".safetensors")}
    assert len(finished) == number - (moment != "after")
    assert extraction(tmp_path) == 0
    assert tree(tmp_path) == whole
