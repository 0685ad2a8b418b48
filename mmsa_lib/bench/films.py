"""Films in the shape of MELD's clips, and clips cut out of them: what is drawn and heard is made up.

1280x720 H.264 at 23.976 pictures a second, AAC at 48 kHz in stereo or 5.1. A film is encoded once; clips are copied
from it packet by packet without encoding, so that thousands take minutes. Speaks to libav itself: nothing is decoded.
"""

import csv
import heapq
import math
from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files
from itertools import count
from pathlib import Path

import av
import numpy as np

from mmsa_lib.labels import EMOTIONS

FPS = Fraction(24_000, 1001)
RATE = 48_000
GRAIN_SHIFTS = 64
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")


class Film:
    """An encoded film held as packets; clips are cut from it at key frames, and it repeats without end."""

    def __init__(self, path: Path) -> None:
        self.container = av.open(str(path))  # stays open: its streams are the model for those of the clips
        self.video, self.audio = self.container.streams.video[0], self.container.streams.audio[0]
        self.pictures, self.sounds = [], []
        for packet in self.container.demux(self.video, self.audio):
            if packet.size:
                kept = self.pictures if packet.stream_index == self.video.index else self.sounds
                kept.append((packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet)))
        self.starts = [i for i, packet in enumerate(self.pictures) if packet[3]]
        self.tick = round(1 / (FPS * self.video.time_base))
        self.length = self.tick * len(self.pictures)  # of one round, in units of the video stream
        self.sounds = [packet for packet in self.sounds if packet[2] == self.sounds[0][2]]  # not the short last one

    def cut(self, path: Path, start: int, seconds: float, data_stream: bool = False) -> float:
        """Write a clip from the `start`-th key frame on; returns how long it is."""
        first = self.starts[start % len(self.starts)]
        chosen = self._whole_groups(first, max(1, round(seconds * FPS)))
        origin = self.pictures[first][0] * self.video.time_base
        length = len(chosen) / FPS
        partial = path.with_name(f".{path.name}.part")
        with av.open(str(partial), "w", format="mp4") as clip:
            clip.metadata["title"] = path.name  # two clips of the same scene and length shall differ
            video, audio = clip.add_stream_from_template(self.video), clip.add_stream_from_template(self.audio)
            data = clip.add_data_stream("bin_data") if data_stream else None
            if data is not None:
                clip.mux(_packet(data, (0, 0, 1, True, b"not a picture"), Fraction(1, 25), Fraction(0)))
            pictures = (_packet(video, p, self.video.time_base, origin) for p in chosen)
            sounds = (_packet(audio, p, self.audio.time_base, origin) for p in self._sound(origin, length))
            for packet in heapq.merge(pictures, sounds, key=lambda p: p.dts * p.time_base):
                clip.mux(packet)
        partial.replace(path)
        return float(length)

    def _whole_groups(self, first: int, wanted: int) -> list[tuple]:
        """At least `wanted` packets in decoding order, such that no frame is shown that leans on one left out."""
        chosen, latest = [], 0
        for i in count(first):
            around, at = divmod(i, len(self.pictures))
            pts, dts, *rest = self.pictures[at]
            chosen.append((pts + around * self.length, dts + around * self.length, *rest))
            latest = max(latest, chosen[-1][0])
            if len(chosen) >= wanted and latest == chosen[0][0] + (len(chosen) - 1) * self.tick:
                return chosen

    def _sound(self, origin: Fraction, length: Fraction) -> Iterator[tuple]:
        """Packets without a gap; where the film repeats, sound and picture drift apart, which nobody will hear."""
        base, ticks = self.audio.time_base, self.sounds[0][2]
        for i in count(math.ceil(origin / base / ticks)):
            if i * ticks * base >= origin + length:
                return
            yield i * ticks, i * ticks, *self.sounds[i % len(self.sounds)][2:]


def _packet(stream, stored: tuple, time_base: Fraction, origin: Fraction) -> av.Packet:
    pts, dts, duration, key, data = stored
    packet = av.Packet(data)
    shift = round(origin / time_base)
    packet.pts, packet.dts, packet.duration, packet.time_base = pts - shift, dts - shift, duration, time_base
    packet.is_keyframe, packet.stream = key, stream
    return packet


def write_film(
    path: Path, number: int, *, size: tuple[int, int] = (720, 1280), seconds: float = 12, preset: str = "veryfast"
) -> Path:
    """Encode one film: a wall and a moving figure, with a voice; every third film is stereo, the others 5.1."""
    rng = np.random.default_rng(number)
    layout = "stereo" if number % 3 == 2 else "5.1"
    with av.open(str(path), "w", format="mp4") as container:
        options = {"preset": preset, "crf": "27", "g": "24", "keyint_min": "12"}
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout=layout)
        audio.bit_rate = 64_000 * audio.layout.nb_channels
        for i, image in enumerate(_pictures(rng, size, round(seconds * FPS))):
            frame = av.VideoFrame.from_ndarray(image, "yuv420p")
            frame.pts, frame.time_base = i, 1 / FPS
            container.mux(video.encode(frame))
        sound = _voice(rng, layout, round(round(seconds * FPS) / FPS * RATE))
        for at in range(0, sound.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[:, at : at + 1024]), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return path


def _pictures(rng: np.random.Generator, size: tuple[int, int], total: int) -> Iterator[np.ndarray]:
    """(3/2 height, width) uint8 pictures, luma above chroma: a wall that drifts, a patch that wanders, and grain.

    Without grain, which every camera has, an encoder would hardly use pictures predicted from both sides.
    """
    height, width = size
    coarse = rng.normal(128, 40, (height // 16 + 2, width // 16 + 2)).repeat(16, 0).repeat(16, 1)
    wall = np.clip(coarse[:height, :width] + rng.normal(0, 4, size), 16, 235)
    figure = np.clip(rng.normal(150, 25, (height // 2, width // 4)), 16, 235)
    grain = rng.normal(0, 2, (height + GRAIN_SHIFTS, width + GRAIN_SHIFTS)).round()
    wall, figure, grain = (layer.astype(np.int16) for layer in (wall, figure, grain))
    image = np.full((height * 3 // 2, width), 128, np.uint8)
    image[height:] = rng.integers(100, 156)
    for i in range(total):
        scene = np.roll(wall, i // 2, axis=1)
        y = round(height / 4 * (1 + 0.5 * math.sin(i / 9)))
        x = round(width * 3 / 8 * (1 + 0.5 * math.sin(i / 17)))
        scene[y : y + len(figure), x : x + figure.shape[1]] = figure
        top, left = rng.integers(0, GRAIN_SHIFTS, 2)
        scene += grain[top : top + height, left : left + width]
        image[:height] = scene.clip(0, 255)
        yield image


def _voice(rng: np.random.Generator, layout: str, samples: int) -> np.ndarray:
    """(channels, S) float32: a buzzing voice in bursts over a little noise; no low-frequency effects."""
    t = np.arange(samples) / RATE
    pitch = 120 + 80 * rng.random() + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 8))
    voice = 0.15 * buzz * np.clip(np.sin(2 * np.pi * 1.5 * t), 0, 1)
    room = 0.01 * rng.standard_normal((2, samples))
    if layout == "stereo":
        return (voice + room).astype(np.float32)
    return np.stack([room[0], room[1], voice, np.zeros(samples), room[1], room[0]]).astype(np.float32)


def write_set(
    root: Path, clips: int, *, size: tuple[int, int] = (720, 1280), seconds: float = 8, preset: str = "medium"
) -> Path:
    """A training split in MELD's layout: clips as long as MELD's (median 2.46 s), with lines of the embedded data.

    `seconds` and x264's `preset` are of the three films they are cut from.
    """
    rng, lines = np.random.default_rng(0), read_lines()
    (root / "train_splits").mkdir(parents=True)
    films = [Film(write_film(root / f"film{i}.mp4", i, size=size, seconds=seconds, preset=preset)) for i in range(3)]
    with (root / "train_sent_emo.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for i in range(clips):
            emotion = EMOTIONS[i % len(EMOTIONS)]
            sentiment = {"neutral": "neutral", "joy": "positive"}.get(emotion, "negative")
            table.writerow([lines[i % len(lines)], "Ada", emotion, sentiment, i // 10, i % 10])
            lasting = float(np.clip(rng.lognormal(math.log(2.46), 0.79), 0.3, 20))
            films[i % 3].cut(root / "train_splits" / f"dia{i // 10}_utt{i % 10}.mp4", i, lasting)
    return root


def read_lines() -> list[str]:
    """Sentences of everyday talk, in a mixed order: those the embedded data are made of."""
    with (files("mmsa_lib.mini") / "lines.csv").open(encoding="utf-8") as file:
        lines = [row["text"] for row in csv.DictReader(file)]
    return [lines[i] for i in np.random.default_rng(0).permutation(len(lines))]
