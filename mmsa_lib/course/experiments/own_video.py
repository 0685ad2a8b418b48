"""How well whole videos are read: words, cuts, emotions, speed. Everything here is measured on *synthetic* voices.

`python -m mmsa_lib.course.experiments.own_video` writes `results/09_own_video.json`: the test clips of the embedded
data are joined to one video a dialogue, and read from nothing but these files. `… own_video speed RUN` adds minutes of
video per minute and the peak of memory of a trained RUN, on a machine that does nothing else; `… own_video foreign`
what an English recogniser makes of other languages, and needs eSpeak NG.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from mmsa_lib import experiment, speech
from mmsa_lib.agreement import match, normalise, segmentation, word_errors
from mmsa_lib.course.experiments.fusion import data_digest, load, train_one
from mmsa_lib.inference import read_video
from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.media import SAMPLE_RATE, read_clip, write_clip
from mmsa_lib.metrics import TASKS
from mmsa_lib.presets import PRESETS
from mmsa_lib.runs import write_json

CHECKOUT = Path(__file__).resolve().parents[3]
RESULT = Path(__file__).resolve().parents[1] / "results" / "09_own_video.json"
COMMAND = "python -m mmsa_lib.course.experiments.own_video"
FPS = 12.5
CLASSES = {"emotion": EMOTIONS, "sentiment": SENTIMENTS}
RESAMPLES = 2000


def stored() -> dict:
    """What the commands above have measured."""
    return json.loads(RESULT.read_text(encoding="utf-8"))


def join_clips(clips: Sequence[Path], path: Path) -> list[tuple[float, float]]:
    """Write clips one after the other as one video; the times at which each of them starts and ends."""
    sounds, ends = [], [0]
    raw = path.with_suffix(".raw")  # an hour of frames is more than memory should hold
    with raw.open("wb") as file:
        for clip in clips:
            decoded = read_clip(clip, num_frames=None)
            samples = round(len(decoded.frames) / FPS * SAMPLE_RATE)
            file.write(decoded.frames.tobytes())
            sounds.append(np.pad(decoded.waveform[:samples], (0, max(0, samples - len(decoded.waveform)))))
            ends.append(ends[-1] + len(decoded.frames))
    frames = np.memmap(raw, np.uint8, "r", shape=(ends[-1], *decoded.frames.shape[1:]))
    write_clip(path, frames, FPS, np.concatenate(sounds), crf=18)
    raw.unlink()
    times = [end / FPS for end in ends]
    return list(pairwise(times))


def hear(table: pd.DataFrame, folder: Path) -> list[dict]:
    """One row a dialogue: the video, the true utterances and those that were heard."""
    rows = []
    for dialogue, part in table.groupby("dialogue_id"):
        path = folder / f"dia{dialogue}.mp4"
        truth = join_clips(list(part["clip"]), path)
        heard = list(speech.transcribe(path))
        rows.append({"path": path, "index": part.index.to_numpy(), "truth": truth, "heard": heard})
    return rows


def words(rows: list[dict], table: pd.DataFrame) -> dict:
    """Word error rate over whole dialogues, with a bootstrap over dialogues."""
    errors = [
        word_errors(" ".join(table["text"][row["index"]]), " ".join(s.text or "" for s in row["heard"])) for row in rows
    ]
    counts = np.array([(e.substituted, e.deleted, e.inserted, e.words) for e in errors])
    low, high = bootstrap(len(rows), lambda drawn: counts[drawn, :3].sum() / counts[drawn, 3].sum())
    total = counts.sum(axis=0)
    names = ("substituted", "deleted", "inserted", "words")
    return {
        "rate": round(total[:3].sum() / total[3], 4),
        "interval_95": [low, high],
        "dialogues": len(rows),
    } | dict(zip(names, total.tolist(), strict=True))


def cuts(rows: list[dict]) -> dict:
    """How the true utterances fare, and how many were found in all."""
    found = [[(s.start, s.end) for s in row["heard"]] for row in rows]
    counts = np.array([segmentation(row["truth"], spans) for row, spans in zip(rows, found, strict=True)])
    low, high = bootstrap(len(rows), lambda drawn: counts[drawn, 0].sum() / counts[drawn].sum())
    shares = dict(zip(("one", "cut", "joined", "missed"), counts.sum(axis=0).tolist(), strict=True))
    shares |= {"found": sum(map(len, found)), "true": int(counts.sum())}
    return shares | {"one_share": round(shares["one"] / shares["true"], 4), "interval_95": [low, high]}


def bootstrap(count: int, statistic) -> tuple[float, float]:
    """95 % interval of a statistic of `count` dialogues, drawn again with replacement."""
    rng = np.random.default_rng(0)
    values = [statistic(rng.integers(0, count, count)) for _ in range(RESAMPLES)]
    return tuple(round(float(v), 4) for v in np.percentile(values, [2.5, 97.5]))


def heard_texts(table: pd.DataFrame, rows: list[dict]) -> pd.DataFrame:
    """The test table with, for each utterance, the words heard in its time instead of the given ones."""
    texts = table["text"].astype(object).copy()
    for row in rows:
        for index, (start, end) in zip(row["index"], row["truth"], strict=True):
            inside = [s.text or "" for s in row["heard"] if start <= (s.start + s.end) / 2 < end]
            texts[index] = " ".join(filter(None, inside))
    return table.assign(text=texts)


def read_rows(run: Path, rows: list[dict], count: int) -> dict[str, np.ndarray]:
    """Class of every test utterance when the video is all that is given; -1 where nothing was found."""
    predicted = {task: np.full(count, -1) for task in TASKS}
    for row in rows:
        utterances = read_video(run, row["path"], progress=False).utterances
        places = match(row["truth"], [(u.start, u.end) for u in utterances])
        for index, place in zip(row["index"], places, strict=True):
            if place is not None:
                for task, names in CLASSES.items():
                    answer = getattr(utterances[place], task)
                    predicted[task][index] = names.index(max(answer, key=answer.get))
    return predicted


def by_words(model, dataset, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Classes with the true cuts, faces and voices, and the words of `table`; no words is no text."""
    from mmsa_lib.dataset import MELDDataset
    from mmsa_lib.features import text_vectors

    changed = MELDDataset(table, modalities=dataset.modalities)
    vectors = text_vectors(model.encoders["text"], [changed.tokens(i) for i in range(len(table))], 0, "cpu")
    given = [v if text else None for v, text in zip(vectors, table["text"], strict=True)]
    changed.features = {**dataset.features, "text": given}
    outputs = experiment.predict_dataset(model, changed)
    return {task: outputs[f"{task}s"].argmax(dim=1).numpy() for task in TASKS}


def emotions(rows: list[dict], data: Path, folder: Path, seeds: Sequence[int]) -> list[dict]:
    """For each seed weighted F1 with given words, with heard words, and with the video alone."""
    preset, results = PRESETS["mini"], []
    datasets = load(preset, data, CHECKOUT / "runs" / "features")
    test = datasets["test"]
    heard = heard_texts(test.table, rows)
    truth = {"emotion": test.emotion_labels, "sentiment": test.sentiment_labels}
    for seed in seeds:
        trainer = train_one(replace(preset, seed=seed), datasets)
        model, run = trainer.unwrapped.eval(), folder / f"run{seed}"
        model.save_pretrained(run)
        write_json(run / "run.json", {"preset": asdict(preset), "finished": True})
        answers = {
            "given words": by_words(model, test, test.table),
            "heard words": by_words(model, test, heard),
            "no words": by_words(model, test, test.table.assign(text="")),
            "video alone": read_rows(run, rows, len(test)),
        }
        results.append({"seed": seed} | compare(truth, answers, test.table["dialogue_id"].to_numpy()))
        print(results[-1], flush=True)
    return results


def compare(truth: dict, answers: dict, dialogue: np.ndarray) -> dict:
    """Weighted F1 of each way to know the words; what is lost against the given ones, bootstrapped over dialogues."""
    groups = [np.flatnonzero(dialogue == d) for d in np.unique(dialogue)]
    result: dict = {way: {task: f1(truth[task], answers[way][task]) for task in TASKS} for way in answers}
    result["lost_interval_95"] = {
        way: {task: _lost(truth[task], answers["given words"][task], answers[way][task], groups) for task in TASKS}
        for way in answers
        if way != "given words"
    }
    return result


def f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    labels = np.unique(truth)
    return round(float(f1_score(truth, predicted, labels=labels, average="weighted", zero_division=0)), 4)


def _lost(truth, given, other, groups) -> tuple[float, float]:
    def difference(drawn: np.ndarray) -> float:
        rows = np.concatenate([groups[i] for i in drawn])
        return f1(truth[rows], given[rows]) - f1(truth[rows], other[rows])

    return bootstrap(len(groups), difference)


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["read"]:
        print(json.dumps(read_once(*map(Path, arguments[1:]))))
        return
    data = CHECKOUT / "data" / "mini"
    with tempfile.TemporaryDirectory() as folder:
        if arguments[:1] == ["speed"]:
            found = {"speed": speed(data, Path(folder), Path(arguments[1]))}
        elif arguments == ["foreign"]:
            found = {"foreign": foreign()}
        else:
            found = measure(data, Path(folder), seeds=range(int(arguments[0]) if arguments else 3))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULT, (stored() if RESULT.is_file() else {}) | found)


def measure(data: Path, folder: Path, seeds: Sequence[int]) -> dict:
    table = experiment.read_table(PRESETS["mini"], data, "test")
    rows = hear(table, folder)
    result = {"command": COMMAND, "data": data_digest(data), "recogniser": speech.PACKAGED}
    result["preset"] = asdict(PRESETS["mini"])
    result |= {"words": words(rows, table), "cuts": cuts(rows)}
    print(result, flush=True)
    return result | {"emotions": emotions(rows, data, folder, seeds)}


def speed(data: Path, folder: Path, run: Path) -> dict:
    """Minutes of video per minute, and the most memory: the test set as one video, and four times as long."""
    table = experiment.read_table(PRESETS["mini"], data, "test")
    measured = {"cores": os.cpu_count(), "command": f"{COMMAND} speed RUN"}
    for name, repeats in (("quarter", 1), ("hour", 4)):
        path = folder / f"{name}.mp4"
        minutes = join_clips(list(table["clip"]) * repeats, path)[-1][1] / 60
        command = [sys.executable, "-m", "mmsa_lib.course.experiments.own_video", "read", str(run), str(path)]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        measured[name] = {
            "minutes_of_video": round(minutes, 2),
            "per_minute": round(minutes * 60 / done["seconds"], 2),
            "peak_megabytes": round(done["megabytes"]),
            "utterances": done["utterances"],
        }
        print(name, measured[name], flush=True)
    return measured


def read_once(run: Path, path: Path) -> dict:
    """Read a video in a process of its own: seconds, peak of memory, utterances."""
    started = time.perf_counter()
    reading = read_video(run, path, progress=False)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "megabytes": peak_megabytes(), "utterances": len(reading.utterances)}


def peak_megabytes() -> float:
    """The most memory that this process has held. Linux's `ru_maxrss` may be that of the process which started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    import resource  # of Unix alone

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def foreign() -> dict:
    """What an English recogniser makes of other languages, noise and chords: how many words are trusted."""
    from mmsa_lib.mini.voice import espeak

    lines = {
        "en": ("en-gb", "The bus leaves soon, and I am so happy to see you again after all these years."),
        "de": ("de", "Guten Tag, ich heiße Anna und komme aus einer kleinen Stadt. Heute bin ich traurig."),
        "fr": ("fr", "Bonjour, je m'appelle Anne et je viens d'une petite ville. Aujourd'hui je suis triste."),
        "es": ("es", "Buenos días, me llamo Ana y vengo de una ciudad pequeña. Hoy estoy muy triste."),
    }
    sounds = {name: espeak(text, voice) for name, (voice, text) in lines.items()}
    t = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    sounds["noise"] = (0.1 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)
    sounds["chords"] = sum(0.1 * np.sin(2 * np.pi * f * t) * np.exp(-3 * (t % 0.5)) for f in (220, 277, 330, 440))
    model, found = speech.load_recogniser(), {}
    for name, sound in sounds.items():
        heard = list(speech.recognise(model, speech.find_speech([np.float32(sound)])))
        trusted = sum(len(normalise(s.text or "")) for s in heard)
        found[name] = {"utterances": len(heard), "understood": sum(s.text is not None for s in heard), "words": trusted}
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
