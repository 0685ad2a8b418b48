"""Torture: damaged clips, damaged tables, an extraction killed again and again, and its memory. The big runs:

    python tests/torture.py DIR --clips 1000 --tables 1000 --kills 20 --memory 1000

Prints what became of each; exit status 1 if anything crashed, hung, raised what it should not, or differed, or if
memory grew with the number or the length of clips.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from standin import invent, write_standin, write_tables
from tqdm import tqdm

from mmsa_lib.audit import check_file, flaws
from mmsa_lib.bench.films import Film, write_film
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.files import digest
from mmsa_lib.media import Clip, read_clip
from mmsa_lib.meld import read_annotations
from mmsa_lib.workers import Failure, run_guarded

LIMIT = 60.0  # seconds one file may take

# ------------------------------------------------------------------------------------------- damage


def _flip(data: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    at = rng.integers(0, len(data), int(rng.integers(1, most + 1)))
    data[at] ^= np.uint8(1) << rng.integers(0, 8, len(at)).astype(np.uint8)
    return data


def flip_few(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _flip(data, rng, 8)


def flip_many(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _flip(data, rng, max(10, len(data) // 500))


def cut(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return data[: int(len(data) * rng.random())]


def cut_out(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    start, end = np.sort(rng.integers(0, len(data), 2))
    return np.concatenate([data[:start], data[end:]])


def swap(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = int(rng.integers(1, max(2, len(data) // 4)))
    a, b = rng.integers(0, len(data) - size + 1, 2)
    first, second = data[a : a + size].copy(), data[b : b + size].copy()
    data[a : a + size], data[b : b + size] = second, first
    return data


def blank(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    start, size = rng.integers(0, len(data)), rng.integers(1, max(2, len(data) // 4))
    data[start : start + size] = rng.integers(0, 256) if rng.random() < 0.5 else 0
    return data


def noise(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    start, size = rng.integers(0, len(data)), int(rng.integers(1, max(2, len(data) // 10)))
    data[start : start + size] = rng.integers(0, 256, len(data[start : start + size]))
    return data


def numbers(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Extreme values in 4-byte fields near the start or end, where the headers of an mp4 are."""
    near = int(rng.integers(0, min(3_000, len(data) - 4)))
    start = near if rng.random() < 0.5 else len(data) - 4 - near
    value = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, int(rng.integers(2**32))])
    data[start : start + 4] = np.frombuffer(int(value).to_bytes(4, "big"), np.uint8)
    return data


def headers(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bits flipped in the index of an mp4 only."""
    at = bytes(data).rfind(b"moov")
    if at >= 0:
        data[at:] = _flip(data[at:].copy(), rng, 12)
    return data


DAMAGE: tuple[Callable, ...] = (flip_few, flip_many, cut, cut_out, swap, blank, noise, numbers, headers)


def damage(data: bytes, kind: Callable, seed: int) -> bytes:
    """The same bytes with the same damage for the same seed."""
    return kind(np.frombuffer(data, np.uint8).copy(), np.random.default_rng(seed)).tobytes()


def write_damaged(originals: list[Path], folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` damaged copies, each kind of damage in turn; `original_of` tells from which file."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        original, kind = originals[i // len(DAMAGE) % len(originals)], DAMAGE[i % len(DAMAGE)]
        paths.append(folder / f"{i:05d}-{kind.__name__}-{original.name}")
        paths[-1].write_bytes(damage(original.read_bytes(), kind, seed + i))
    return paths


def original_of(path: Path) -> Path:
    return path.parent.parent / path.name.split("-")[2]


# ----------------------------------------------------------------------------------------- outcomes


def try_clip(path: Path) -> str:
    """Read a clip as training and as the audit do; the outcome in words."""
    try:
        clip = _read(path)
    except MediaError as error:
        clip, refusal = None, error.reason
    try:
        noticed = flaws(check_file(path))
    except MediaError as error:
        return f"refused by both: {error.reason}" if clip is None else f"audit alone refuses: {error.reason}"
    if clip is None:
        return f"training alone refuses: {refusal}"
    if noticed:
        return "read, the audit says what is wrong"
    whole = _read(original_of(path))
    same = np.array_equal(clip.frames, whole.frames) and np.array_equal(clip.waveform, whole.waveform)
    return f"read, {'all as in the original' if same else 'differs'}{told_by_sums(path)}"


def told_by_sums(path: Path) -> str:
    """Whether a SHA256SUMS from before the damage would tell an audit of it; the rest of a sentence."""
    same = digest(path) == digest(original_of(path))
    return ", as is the file" if same else ", told by SHA256SUMS alone"


def _read(path: Path) -> Clip:
    clip = read_clip(path, num_frames=8, size=(64, 64), max_seconds=60)
    assert clip.frames is None or (clip.frames.shape == (8, 64, 64, 3) and clip.frames.dtype == np.uint8)
    assert clip.waveform is None or (np.isfinite(clip.waveform).all() and np.abs(clip.waveform).max() <= 1)
    assert np.isfinite(clip.duration) and clip.duration >= 0
    return clip


def try_table(path: Path) -> str:
    """Read a table; the outcome in words."""
    try:
        table = read_annotations(path, "train")
    except DataError as error:
        message = str(error)
        assert message.startswith(str(path)) and "\n" not in message and len(message) < 600, message
        return "refused with one line that names the file"
    assert not table.duplicated(["dialogue_id", "utterance_id"]).any()
    assert not table[["emotion", "sentiment"]].isna().any().any()
    whole = read_annotations(original_of(path), "train")
    if len(table) < len(whole):
        return f"read, fewer rows{told_by_sums(path)}"
    return f"read, {'all as in the original' if table.equals(whole) else 'some values differ'}{told_by_sums(path)}"


def outcomes(function: Callable, paths: list[Path], workers: int, progress: bool = False) -> dict[Path, str]:
    """What became of each file; `CRASHED`, `HUNG` or `RAISED` is a bug."""
    found = {}
    answers = run_guarded(function, paths, workers, LIMIT)
    for index, answer in tqdm(answers, total=len(paths), disable=not progress):
        words = answer
        if isinstance(answer, Failure):
            kind = "CRASHED" if "crashed" in answer.reason else "HUNG" if "longer" in answer.reason else "RAISED"
            words = f"{kind}: {answer.reason}"
        found[paths[index]] = words
    return {path: found[path] for path in paths}


def is_bug(words: str) -> bool:
    return words.split(":")[0] in ("CRASHED", "HUNG", "RAISED")


def write_originals(folder: Path, size: tuple[int, int], seconds: float = 1.5) -> list[Path]:
    """Short sound clips of the stand-in's shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in (0, 2):
        film = folder / f"film{number}"
        write_film(film, number, size=size, seconds=max(2, seconds))
        for start in range(3):
            paths.append(folder / f"original{number}{start}.mp4")
            Film(film).cut(paths[-1], start, seconds, data_stream=start == 1)
    return paths


# -------------------------------------------------------------------------------------------- kills


def tree(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def extract_command(data: Path, features: Path, workers: int = 1) -> list[str]:
    words = ["extract", "--data", str(data), "--features", str(features), "--workers", str(workers)]
    return [sys.executable, "-m", "mmsa_lib", *words]


def run_killed(command: list[str], features: Path, after: float) -> float | None:
    """Start the command and kill it `after` seconds after its first file; the seconds it took if it was quicker."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(features.rglob("*")):
        time.sleep(0.005)
    begun = time.perf_counter()
    try:
        process.wait(after)
        return time.perf_counter() - begun
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def torture_kills(data: Path, folder: Path, count: int, seed: int = 0, progress: bool = False) -> Counter:
    """Extract, killed once at a random moment, then again to the end: the files must be those of an unkilled run."""
    rng = np.random.default_rng(seed)
    at_work = run_killed(extract_command(data, folder / "whole"), folder / "whole", 3_600)
    expected, result = tree(folder / "whole"), Counter()
    for i in tqdm(range(count), desc="kills", disable=not progress):
        features = folder / f"killed{i}"
        while seconds := run_killed(extract_command(data, features), features, float(rng.uniform(0, at_work))):
            shutil.rmtree(features)  # it was too quick: once more from the start
            at_work = min(at_work, seconds)
        left = tree(features)
        done = subprocess.run(extract_command(data, features), capture_output=True, text=True)
        same = done.returncode == 0 and tree(features) == expected
        tqdm.write(f"killed with {len(left)} of {len(expected)} files: {'identical' if same else 'DIFFERENT'}")
        result["identical" if same else f"DIFFERENT: {done.stderr[-300:]}"] += 1
        shutil.rmtree(features)
    return result


# ------------------------------------------------------------------------------------------- memory


def write_linked(root: Path, films: list[Film], count: int, distinct: int = 60, long_seconds: float = 0) -> Path:
    """A training split of `count` clips, hard links to `distinct` ones of 0.8 to 7 s; the last may be a long one."""
    folder, seconds = root / "train_splits", np.random.default_rng(0).uniform(0.8, 7, distinct)
    folder.mkdir(parents=True)
    names = [f"dia{i}_utt0.mp4" for i in range(count)]
    for i, name in enumerate(names):
        if i < distinct:
            films[i % len(films)].cut(folder / name, i, float(seconds[i]))
        else:
            os.link(folder / names[i % distinct], folder / name)
    if long_seconds:
        (folder / names[-1]).unlink()
        films[0].cut(folder / names[-1], 0, long_seconds)
    lines = [f"{i + 1},so it goes {i},Ada,joy,positive,{i},0" for i in range(count)]
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"
    (root / "train_sent_emo.csv").write_text("\n".join([header, *lines]) + "\n")
    return root


def peak_memory(command: list[str], every: float = 0.02) -> tuple[float, str]:
    """The most megabytes that a command and the processes it starts hold together, looked at often; its output."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(_resident, _family(process.pid))))
        time.sleep(every)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
    return peak, process.stdout.read()


def _family(pid: int) -> list[int]:
    """A process and those it started; not the copy of itself that a process is until it begins another program."""
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                children = map(int, path.read_text().split())
                found += [child for child in children if _command(child) != _command(one)]
    return found


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _resident(pid: int) -> float:
    """Resident megabytes of a process, what it shares with others included."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def torture_memory(root: Path, count: int, size: tuple[int, int]) -> dict[str, float]:
    """Peak megabytes of an extraction with two workers: of a tenth of the clips, of all, of a tenth with a long one."""
    root.mkdir(parents=True, exist_ok=True)
    films = [Film(write_film(root / f"film{i}", i, size=size, seconds=8)) for i in range(3)]
    sets = {
        f"{count // 10} clips": write_linked(root / "few", films, count // 10),
        f"{count} clips": write_linked(root / "many", films, count),
        f"{count // 10} clips, one of 305 s": write_linked(root / "long", films, count // 10, long_seconds=305),
    }
    peaks = {}
    for name, data in sets.items():
        peaks[name], printed = peak_memory(extract_command(data, root / "features" / data.name, workers=2))
        print(f"{peaks[name]:7.0f} MB  {name}: {printed.strip()}", flush=True)
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, metavar="DIR", help="a folder to work in, empty or new")
    parser.add_argument("--clips", type=int, default=0, metavar="N")
    parser.add_argument("--tables", type=int, default=0, metavar="N")
    parser.add_argument("--kills", type=int, default=0, metavar="N")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="clips of an extraction to be measured")
    parser.add_argument("--height", type=int, default=720, help="of the clips to damage")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    bugs, size = 0, (options.height, options.height * 16 // 9 // 2 * 2)
    if options.clips:
        originals = write_originals(options.root, size)
        paths = write_damaged(originals, options.root / "clips", options.clips, options.seed)
        bugs += report("clips", outcomes(try_clip, paths, options.workers, True))
    if options.tables:
        write_tables(options.root, invent(300, options.seed, (305, 235)))
        originals = sorted(options.root.glob("*_sent_emo.csv"))
        paths = write_damaged(originals, options.root / "tables", options.tables, options.seed)
        bugs += report("tables", outcomes(try_table, paths, options.workers, True))
    if options.kills:
        data = options.root / "data"
        write_standin(data, 300, size=(90, 160), films=3, long_seconds=(20, 15), preset="ultrafast")
        started = time.perf_counter()
        result = torture_kills(data, options.root / "features", options.kills, options.seed, True)
        print(f"\n{options.kills} extractions killed ({time.perf_counter() - started:.0f} s)")
        for words, times in result.items():
            print(f"{times:>6}  {words}")
        bugs += result.total() - result["identical"]
    if options.memory:
        few, many, with_long = torture_memory(options.root / "memory", options.memory, size).values()
        bugs += (many > 1.05 * few) + (with_long > few + 200)
        print(f"all clips against a tenth: {many / few:.3f}; the long clip adds {with_long - few:.0f} MB")
    sys.exit(1 if bugs else 0)


def report(what: str, found: dict[Path, str]) -> int:
    """Print how often each outcome occurs; returns the number of bugs."""
    print(f"\n{len(found)} damaged {what}")
    for words, times in Counter(found.values()).most_common():
        print(f"{times:>6}  {words}")
    bugs = {path: words for path, words in found.items() if is_bug(words)}
    for path, words in list(bugs.items())[:20]:
        print(f"BUG {path}: {words}")
    return len(bugs)


if __name__ == "__main__":
    main()
