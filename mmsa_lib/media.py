"""Media files: the only module that opens them. One decoding pass gives frames and waveform."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from mmsa_lib.errors import MediaError

SAMPLE_RATE = 16_000

# Playlists, subtitles and still images are not clips: probing them could open other files or never end.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegts,ogg,wav,w64,flac,mp3,aac,aiff,caf"
_OPEN_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_MAX_PIXELS = 2**26  # a damaged header may claim a picture of many gigabytes
_SANE_RATES = range(1_000, 768_001)  # Hz; a damaged header may also claim a sampling rate of 1 Hz
_KEPT_BYTES = 2**25  # compressed packets held between looking at their times and decoding them
_MAX_FAILURES = 16  # reads in a row that may fail before a file counts as ended
_LOOK_AHEAD = 500  # packets among which each stream shows its next one
_LEADS = (0.5, 4.0, 12.0)  # seconds before the wanted time at which reading begins, until a key frame is met
_GAPS = (0.1, 600.0)  # seconds of missing sound that are filled with silence; less is jitter, more a wrong time
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


@dataclass(slots=True)
class Clip:
    """What a media file holds, decoded.

    `frames` (T, H, W, 3) uint8 RGB, upright; `frame_times` (T,) seconds from the start of the clip;
    `waveform` (S,) float32 mono at 16 kHz in [-1, 1]; `fps` the average frame rate; `duration` the
    length in seconds of what was read. An absent stream gives None.
    """

    frames: np.ndarray | None
    waveform: np.ndarray | None
    frame_times: np.ndarray | None
    fps: float | None
    duration: float


def read_clip(
    path: str | os.PathLike,
    *,
    num_frames: int | None = 16,
    size: tuple[int, int] | None = None,
    video: bool = True,
    audio: bool = True,
    start: float = 0.0,
    max_seconds: float | None = None,
    threads: int = 1,
) -> Clip:
    """Decode a clip in one pass: `num_frames` frames spread over its whole length, and its sound.

    Frame i is the one at the centre of the i-th of `num_frames` equal segments of the clip (a clip
    with fewer frames repeats them evenly); `num_frames=None` returns every frame. `size` is
    (height, width) after rotation; frames are scaled while decoding, so the memory they take does
    not grow with the length of the clip. Only `max_seconds` from `start` on (in seconds) are looked at,
    and the file is not read from its beginning where it can be entered later; times then count from
    `start`. `threads` is the number of decoding threads (0: one per core); it changes nothing but the pictures that
    a decoder makes up where a file is damaged, which are always the same with one.

    Raises MediaError when the file cannot be opened or has nothing to give of what was asked for.
    """
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, not {num_frames}")
    if not (video or audio):
        raise ValueError("nothing to read: video and audio are both off")
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds must be positive, not {max_seconds}")
    if not 0 <= start < float("inf"):
        raise ValueError(f"start must be a time in seconds, not {start}")
    with _av_errors(path):
        _check_file(path)
        with _Reader(path, video, audio, max_seconds or float("inf"), threads, start) as reader:
            return _read(reader, num_frames, size)


def read_requested(request: Mapping[str, Any] | None) -> Clip | None:
    """`read_clip` with its arguments as a mapping, to be sent to another process; None gives None."""
    return None if request is None else read_clip(**request)


def sound_blocks(path: str | os.PathLike, seconds: float = 30.0) -> Iterator[np.ndarray]:
    """The sound of a file of any length, a block of `seconds` at a time: (S,) float32 mono at 16 kHz in [-1, 1].

    Sample i of all blocks together is heard i / 16000 seconds after the file begins: where sound is missing there
    is silence. Raises MediaError when the file cannot be opened or has no sound.
    """
    size = round(seconds * SAMPLE_RATE)
    with _av_errors(path):
        _check_file(path)
        with _Reader(path, False, True, float("inf"), 1) as reader:
            sound, late, given = _Sound(), 0.0, 0
            for frame in reader.sound():
                gap = (reader.heard_at(frame) or 0.0) - late - given / SAMPLE_RATE - sound.seconds
                if _GAPS[0] < gap < _GAPS[1]:
                    sound.samples += bytes(2 * round(gap * SAMPLE_RATE))
                late += gap if gap >= _GAPS[1] else 0.0
                sound.add(frame)
                while len(sound.samples) >= 2 * size:
                    yield sound.take(size)
                    given += size
            sound.close()
            if not (given or sound.samples):
                raise MediaError(path, reader.why_nothing())
            while sound.samples:
                yield sound.take(size)


def spread_indices(total: int, count: int) -> np.ndarray:
    """(count,) indices into `total` items, each at the centre of one of `count` equal segments."""
    return (2 * np.arange(count) + 1) * total // (2 * count)


def _read(reader: "_Reader", num_frames: int | None, size: tuple[int, int] | None) -> Clip:
    """Choose the frames and decode; the rare file that holds other frames than it promises is counted."""
    pictures, sound = _choose(reader, num_frames, size), _Sound(reader.start)
    _decode(reader, pictures, sound)
    if pictures.missing():
        counted = pictures if pictures.counting else _Pictures(size, counting=True)
        if counted is not pictures:
            _decode(reader.again(video_only=True), counted)
        pictures = _Pictures(size, _spread(range(counted.seen), num_frames), by_index=True)
        _decode(reader.again(video_only=True), pictures)
    return _assemble(reader, pictures, sound, num_frames)


def _assemble(reader: "_Reader", pictures: "_Pictures", sound: "_Sound", num_frames: int | None) -> Clip:
    waveform = sound.waveform(reader.limit - reader.start)
    frames = times = fps = None
    duration = len(waveform) / SAMPLE_RATE if waveform is not None else 0.0
    if pictures.kept:
        kept = [pictures.kept[key] for key in sorted(pictures.kept)]
        order = range(len(kept)) if num_frames is None else spread_indices(len(kept), num_frames)
        frames = np.stack([kept[i][1] for i in order])
        times = np.array([kept[i][0] for i in order]) - reader.start
        fps = float(reader.video.average_rate) if reader.video.average_rate else None
        duration = max(duration, min(reader.video_end, reader.limit) - reader.start)
    if frames is None and waveform is None:
        raise MediaError(reader.path, reader.why_nothing())
    return Clip(frames, waveform, times, fps, duration)


# ---------------------------------------------------------------- choosing and decoding


def _choose(reader: "_Reader", num_frames: int | None, size: tuple[int, int] | None) -> "_Pictures":
    """Decide by the packets' presentation times which frames to keep; decodes nothing."""
    if num_frames is None or reader.video is None:
        return _Pictures(size)
    stamps = reader.stamps()
    distinct = set(stamps) - {None}
    if len(distinct) < len(stamps):  # without a time of its own a frame cannot be named
        return _Pictures(size, counting=True)
    return _Pictures(size, _spread(sorted(distinct), num_frames))


def _spread(items: Sequence[int], count: int) -> set[int]:
    return {items[i] for i in spread_indices(len(items), count)} if items else set()


def _decode(reader: "_Reader", pictures: "_Pictures", sound: "_Sound | None" = None) -> None:
    """Send every packet of the reader's streams through its decoder, once."""
    to_come = set(pictures.wanted) if pictures.by_time else set()
    for packet in reader.packets():
        is_video = reader.video is not None and packet.stream_index == reader.video.index
        if is_video and pictures.by_time:
            if not to_come:
                continue  # nothing that was asked for is predicted from what follows
            # Nothing is predicted from a non-reference frame: one nobody asked for need not be decoded.
            wanted = packet.pts in pictures.wanted
            packet.stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
            to_come.discard(packet.pts)
        for frame in _frames(packet.stream, packet):
            pictures.add(frame, reader) if is_video else sound.add(frame, reader.heard_at(frame))
    for frame in _frames(reader.video, None):
        pictures.add(frame, reader)
    for frame in _frames(reader.audio, None):
        sound.add(frame, reader.heard_at(frame))
    if sound is not None:
        sound.close()


def _frames(stream, packet) -> list:
    """Frames that this packet completes; for None, those the decoder still holds."""
    try:
        return stream.decode(packet) if stream is not None else []
    except (av.error.FFmpegError, EOFError):
        return []  # damaged: the rest of the clip is still worth having


class _Pictures:
    """Keeps the wanted frames of a video stream, scaled and upright.

    `wanted` holds presentation times, or running indices if `by_index`; without it every frame is
    kept, or, if `counting`, only counted.
    """

    def __init__(
        self,
        size: tuple[int, int] | None,
        wanted: set[int] | None = None,
        *,
        by_index: bool = False,
        counting: bool = False,
    ) -> None:
        self.size, self.wanted, self.counting = size, wanted, counting
        self.by_time = wanted is not None and not by_index
        self.decoded = self.seen = 0
        self.kept: dict[int, tuple[float, np.ndarray]] = {}
        self.scaler = VideoReformatter()

    def add(self, frame, reader: "_Reader") -> None:
        seconds = reader.seconds(frame, self.decoded)
        self.decoded += 1
        if seconds >= reader.limit or (seconds < reader.start and not self.by_time):
            return
        key = frame.pts if self.by_time else self.seen
        self.seen += 1
        if self.counting or (self.wanted is not None and key not in self.wanted):
            return
        try:
            image = _upright_rgb(self.scaler, frame, self.size)
        except (av.error.FFmpegError, ValueError):
            return  # a damaged header may announce a pixel format that cannot be converted
        self.size = self.size or image.shape[:2]  # a change of resolution must not change the shape
        self.kept[key] = (seconds, image)

    def missing(self) -> bool:
        """Whether frames were asked for that did not come."""
        return self.counting or (self.wanted is not None and len(self.kept) < len(self.wanted))


def _upright_rgb(scaler: VideoReformatter, frame, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) uint8. Scaling comes before turning: it leaves fewer pixels to move."""
    transpose, flip_y, flip_x = _orientation(frame)
    height, width = size or (None, None)
    if transpose:
        height, width = width, height
    # One thread: starting several costs more than they save on one picture.
    image = scaler.reformat(frame, width=width, height=height, format="rgb24", threads=1).to_ndarray()
    if transpose:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def _orientation(frame) -> tuple[bool, bool, bool]:
    """How to make a frame upright: (transpose, then flip vertically, then flip horizontally)."""
    try:
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)
    except KeyError:
        return False, False, False
    # A stored pixel (x, y) is shown at (a x + c y, b x + d y).
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


class _Sound:
    """Gathers a stream as 16 kHz mono; libswresample's downmix keeps the centre and cannot clip.

    What is heard before `start` (seconds) is left out.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.start, self.lead = start, 0
        self.samples = bytearray()  # 16-bit; one buffer, as thousands of small arrays would take far more
        self.resampler: av.AudioResampler | None = None
        self.source: tuple | None = None

    def add(self, frame, time: float | None = None) -> None:
        """A decoded frame and its time, where known."""
        if frame.sample_rate not in _SANE_RATES or not frame.samples:
            return
        if self.start and time is not None:
            if time + frame.samples / frame.sample_rate <= self.start:
                return
            if not self.samples and self.resampler is None:
                self.lead = max(0, round((self.start - time) * SAMPLE_RATE))
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self.source:
            self.close()
            # 16-bit output makes libswresample scale its mixing matrix so that no sum exceeds full scale.
            self.source, self.resampler = source, av.AudioResampler("s16", "mono", SAMPLE_RATE)
        self._resample(frame)

    def close(self) -> None:
        """Drain the resampler."""
        if self.resampler is not None:
            self._resample(None)
        self.resampler = self.source = None

    def _resample(self, frame) -> None:
        try:
            for piece in self.resampler.resample(frame):
                self.samples += memoryview(piece.planes[0])[: 2 * piece.samples]
        except (av.error.FFmpegError, EOFError, ValueError):
            self.resampler = self.source = None

    @property
    def seconds(self) -> float:
        """How much there is."""
        return len(self.samples) / 2 / SAMPLE_RATE

    def take(self, count: int) -> np.ndarray:
        """The first `count` samples, which are then forgotten: float32 in [-1, 1]."""
        taken = np.frombuffer(bytes(self.samples[: 2 * count]), np.int16).astype(np.float32) / 32768
        del self.samples[: 2 * count]
        return taken

    def waveform(self, limit: float) -> np.ndarray | None:
        """(S,) float32, at most `limit` seconds; None if nothing was heard."""
        wanted = np.frombuffer(self.samples, np.int16)[self.lead :][: round(min(limit, 1e9) * SAMPLE_RATE)]
        waveform = wanted.astype(np.float32)
        waveform /= 32768
        return waveform if len(waveform) else None


# ---------------------------------------------------------------- opening


class _Reader:
    """One open file: the streams asked for, and their packets.

    Looking at the packets' times before decoding must not read a file twice, so they are kept in
    memory while they are few; only a long clip is opened again.
    """

    def __init__(self, path, video: bool, audio: bool, limit: float, threads: int, start: float = 0.0) -> None:
        self.path, self.start, self.limit, self.threads = path, start, start + limit, threads
        self.asked = " or ".join(name for name, asked in (("video", video), ("audio", audio)) if asked)
        self.wants = {"video": video, "audio": audio}
        self.video_end = 0.0
        self.failed_reads = 0
        self.kept: list | None = None
        self._open()
        self.found = bool(self.streams)

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *error) -> None:
        self.container.close()

    def _open(self) -> None:
        self._begin()
        if self.start > _LEADS[0] and not self._enter():
            self.container.close()
            self._begin()

    def _begin(self) -> None:
        self.container = container = _open(self.path)
        self.used = False
        self.video = _video_stream(container) if self.wants["video"] else None
        self.audio = _audio_stream(container) if self.wants["audio"] else None
        self.streams = [stream for stream in (self.video, self.audio) if stream is not None]
        self.ticks = {s.type: s.time_base.as_integer_ratio() for s in self.streams}  # fractions are slow to compute
        self.origin = container.start_time / av.time_base if container.start_time is not None else 0.0
        if self.video is not None:
            context = self.video.codec_context
            # AVI has no presentation times; where frames are stored out of order, those made up are wrong.
            self.timed = not (container.format.name == "avi" and context.has_b_frames)
            context.thread_type = "NONE" if self.threads == 1 else "AUTO"
            context.thread_count = self.threads
            context.options = {"max_pixels": str(_MAX_PIXELS)}

    def _enter(self) -> bool:
        """Go to where decoding for `start` can begin; False if this file cannot be entered there."""
        if self.video is not None and not self.timed:
            return False
        try:
            for lead in (lead for lead in _LEADS if lead < self.start):
                target = round((self.origin + self.start - lead) * av.time_base)
                self.container.seek(target)
                if all(time is not None and time <= self.start for time in self._first_times()):
                    self.container.seek(target)
                    return True
        except (av.error.FFmpegError, OSError, EOFError):
            pass
        return False

    def _first_times(self) -> list[float | None]:
        """Time of the next packet of each stream, None where decoding cannot begin with it."""
        first: dict[int, float | None] = {}
        for count, packet in enumerate(self.container.demux(self.streams)):
            if packet.size and packet.stream_index not in first:
                known = packet.pts is not None and packet.is_keyframe
                first[packet.stream_index] = float(packet.pts * packet.time_base) - self.origin if known else None
            if len(first) == len(self.streams) or count > _LOOK_AHEAD:
                break
        return [first.get(stream.index) for stream in self.streams] or [None]

    def again(self, *, video_only: bool) -> "_Reader":
        """Back to the start of the file."""
        if video_only:
            self.wants["audio"] = False
        self.container.close()
        self._open()
        return self

    def stamps(self) -> list[int | None]:
        """Presentation times of the frames to come, in decoding order."""
        stamps, held = [], 0
        self.kept = []
        for packet in self._demux():
            if packet.stream_index == self.video.index and not packet.is_discard:
                late = packet.pts is not None and self._time(packet.pts) >= self.limit
                stamps += [] if late else [packet.pts if self.timed else None]
            held += packet.size
            if held > _KEPT_BYTES:
                self.kept = None
            elif self.kept is not None:
                self.kept.append(packet)
        return self._shown(stamps)

    def _shown(self, stamps: list[int | None]) -> list[int | None]:
        """Without those of frames that have given way to another before `start`."""
        if not self.start:
            return stamps
        before = [pts for pts in stamps if pts is not None and self._time(pts) <= self.start + 1e-6]
        return [pts for pts in stamps if pts is None or pts >= max(before, default=pts)]

    def packets(self) -> Iterator[av.Packet]:
        """Every packet up to the limit: from memory if they were kept, else from the file."""
        if self.kept is not None:
            kept, self.kept = self.kept, None
            return iter(kept)
        if self.used:
            self.again(video_only=False)
        return self._demux()

    def sound(self) -> Iterator[av.AudioFrame]:
        """Every decoded piece of sound, in order."""
        for packet in self.packets():
            yield from _frames(packet.stream, packet)
        yield from _frames(self.audio, None)

    def _demux(self) -> Iterator[av.Packet]:
        self.used = True
        ends = {s.index: (self.origin + self.limit) / float(s.time_base) for s in self.streams}
        failures = 0
        while ends and failures < _MAX_FAILURES:
            try:
                for packet in self.container.demux(self.streams):
                    if packet.size == 0 or packet.stream_index not in ends:
                        continue
                    failures = 0
                    stamp = packet.dts if packet.dts is not None else packet.pts
                    if stamp is not None and stamp >= ends[packet.stream_index]:
                        del ends[packet.stream_index]
                        if not ends:
                            return
                        continue
                    self._note_end(packet)
                    yield packet
                return
            except (av.error.FFmpegError, EOFError):
                failures += 1  # reading goes on behind the damaged place
                self.failed_reads += 1

    def _note_end(self, packet) -> None:
        if self.video is not None and packet.stream_index == self.video.index and packet.pts is not None:
            self.video_end = max(self.video_end, self._time(packet.pts + (packet.duration or 0)))

    def seconds(self, frame, index: int) -> float:
        """Time of a decoded frame from the start of the clip; by its place in line if it has none."""
        if frame.pts is None or not self.timed:
            return index / float(self.video.average_rate or 25)
        # Not `frame.time`: frames drained from the decoder come without a time base.
        return self._time(frame.pts)

    def heard_at(self, frame) -> float | None:
        """Time of a decoded piece of sound from the start of the clip."""
        return None if frame.pts is None else frame.pts * self.ticks["audio"][0] / self.ticks["audio"][1] - self.origin

    def _time(self, pts: int) -> float:
        return pts * self.ticks["video"][0] / self.ticks["video"][1] - self.origin

    def why_nothing(self) -> str:
        return f"no {self.asked} could be decoded" if self.found else f"no {self.asked} stream"


def _open(path: str | os.PathLike):
    options = dict(_OPEN_OPTIONS)
    if _is_mp4(path):
        # Its header tells what it holds: nothing need be decoded to find out, which libav does with other files.
        options["skip_frame"] = "all"
    # An absolute name cannot be taken for a protocol, whatever colons it holds.
    return av.open(os.path.abspath(path), options=options, metadata_errors="replace")


def _is_mp4(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _video_stream(container):
    """The first moving picture that can be decoded: cover art of a sound file does not count."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def _audio_stream(container):
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def _check_file(path: str | os.PathLike) -> None:
    path = Path(path)
    if not path.exists():
        raise MediaError(path, "no such file")
    if not path.is_file():
        raise MediaError(path, "not a file")
    if path.stat().st_size == 0:
        raise MediaError(path, "empty file")


@contextmanager
def _av_errors(path: str | os.PathLike, failure: str = "cannot be read") -> Iterator[None]:
    """Turn what libav and the system raise into a MediaError with a short reason."""
    try:
        yield
    except av.error.InvalidDataError as error:
        raise MediaError(path, "not a media file, or cut off so early that nothing can be read") from error
    except (av.error.FFmpegError, OSError, EOFError, ValueError, MemoryError) as error:
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        passing = isinstance(error, (OSError, MemoryError))
        raise MediaError(path, f"{failure} ({' '.join(cause.split())})", passing) from error


def probe(path: str | os.PathLike) -> dict[str, float | int | str | None]:
    """What the headers say, nothing decoded; None for what is absent or unknown.

    Keys: duration (s), width, height (as stored, before any rotation), fps, num_frames, video_codec,
    audio_codec, channels, channel_layout, sample_rate (Hz).
    """
    with _av_errors(path):
        _check_file(path)
        with _open(path) as container:
            video, audio = _video_stream(container), _audio_stream(container)
            summary = {"duration": container.duration / av.time_base if container.duration else None}
            summary |= dict.fromkeys(("width", "height", "fps", "num_frames", "video_codec"))
            summary |= dict.fromkeys(("audio_codec", "channels", "channel_layout", "sample_rate"))
            if video is not None:
                summary |= {"width": video.width, "height": video.height, "num_frames": video.frames or None}
                summary["fps"] = float(video.average_rate) if video.average_rate else None
                summary["video_codec"] = video.codec_context.name
            if audio is not None:
                summary |= {"channels": audio.channels, "channel_layout": audio.layout.name}
                summary |= {"sample_rate": audio.rate, "audio_codec": audio.codec_context.name}
            return summary


def check_clip(path: str | os.PathLike) -> dict[str, float | int | str | None]:
    """Decode all of a clip and keep nothing of it: what `probe` says, and what is really there.

    Further keys: frames and video_seconds (decoded pictures, and where the last ends), audio_seconds, peak (loudest
    sample, 0 to 1; None without sound) and flaws (packets that could not be read or decoded, and pictures the decoder
    had to guess a part of); num_frames leaves out pictures that an edit list hides. Raises MediaError exactly when
    there is neither a picture nor a sound.
    """
    summary = probe(path)
    with _av_errors(path), _Reader(path, True, True, float("inf"), 1) as reader:
        tally = _Tally()
        for packet in reader.packets():
            tally.add(reader, packet.stream, packet)
        for stream in reader.streams:
            tally.add(reader, stream, None)
        tally.hear(None)
        if not (tally.frames or tally.samples):
            raise MediaError(path, reader.why_nothing())
    found = {"frames": tally.frames, "video_seconds": reader.video_end if tally.frames else 0.0}
    found |= {"audio_seconds": tally.samples / SAMPLE_RATE, "peak": tally.peak if tally.samples else None}
    if summary["num_frames"]:
        found["num_frames"] = max(0, summary["num_frames"] - tally.hidden)
    return summary | found | {"flaws": tally.flaws + reader.failed_reads}


class _Tally:
    """Counts what decoding gives, and what it fails to give."""

    def __init__(self) -> None:
        self.frames = self.samples = self.flaws = self.hidden = 0
        self.peak = 0.0
        self.sound = _Sound()

    def add(self, reader: "_Reader", stream, packet) -> None:
        is_video = reader.video is not None and stream.index == reader.video.index
        self.hidden += bool(is_video and packet is not None and packet.is_discard)
        try:
            decoded = stream.decode(packet)
        except (av.error.FFmpegError, EOFError):
            decoded, self.flaws = [], self.flaws + 1
        for frame in decoded:
            if is_video:
                self.frames += 1
                self.flaws += bool(frame.is_corrupt)
            else:
                self.hear(frame)

    def hear(self, frame) -> None:
        """Take in a piece of sound, or the last of it for None."""
        self.sound.add(frame) if frame is not None else self.sound.close()
        heard = np.frombuffer(bytes(self.sound.samples), np.int16)
        self.sound.samples.clear()
        self.samples += len(heard)
        if len(heard):
            self.peak = max(self.peak, float(np.abs(heard.astype(np.int32)).max()) / 32768)


# ---------------------------------------------------------------- writing


def write_clip(
    path: str | os.PathLike,
    frames: np.ndarray,
    fps: float | Fraction,
    waveform: np.ndarray | None = None,
    sample_rate: int = SAMPLE_RATE,
    *,
    crf: int = 23,
    audio_bitrate: int = 48_000,
    preset: str = "medium",
) -> None:
    """Write an mp4 (H.264 4:2:0 and AAC). The same input gives the same bytes; the file appears whole.

    `frames` (T, H, W, 3) uint8 RGB with even H and W; `waveform` (S,) or (S, channels) float32 in
    [-1, 1] with 1, 2 or 6 channels (5.1). Raises MediaError for anything else.
    """
    path = Path(path)
    frames = np.asarray(frames)
    sound = None if waveform is None else np.asarray(waveform, np.float32)
    if sound is not None and sound.ndim == 1:
        sound = sound[:, None]
    _check_input(path, frames, sound, fps)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _av_errors(path, "cannot be written"):
            with av.open(str(partial), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
                rate = Fraction(fps).limit_denominator(100_000)
                # x264's macroblock tree gives other bytes now and then for the same frames on some processors
                options = {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"}
                _encode(container, frames, rate, sound, sample_rate, options, audio_bitrate)
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _check_input(path: Path, frames: np.ndarray, sound: np.ndarray | None, fps: float | Fraction) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise MediaError(path, f"frames must be (T, H, W, 3) uint8, not {frames.shape} {frames.dtype}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise MediaError(path, f"height and width must be even, not {frames.shape[1]}x{frames.shape[2]}")
    if not 0 < fps < 1_000:
        raise MediaError(path, f"frames a second must be between 0 and 1000, not {fps}")
    if sound is not None and (sound.ndim != 2 or not len(sound) or sound.shape[1] not in _LAYOUTS):
        raise MediaError(path, f"waveform must have samples and 1, 2 or 6 channels, not {sound.shape}")


def _encode(container, frames, fps: Fraction, sound, sample_rate: int, options: dict, bitrate: int) -> None:
    """Encode picture by picture, each with its share of the sound, so that the file is interleaved."""
    video = container.add_stream("libx264", rate=fps, options=options)
    video.height, video.width = frames.shape[1:3]
    video.pix_fmt = "yuv420p"
    streams = [video]
    if sound is not None:
        audio = container.add_stream("aac", rate=sample_rate, layout=_LAYOUTS[sound.shape[1]])
        audio.bit_rate = bitrate
        streams.append(audio)
    for stream in streams:
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.thread_count = 1  # the bytes must not depend on the number of cores
    heard = 0
    for i, image in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        container.mux(video.encode(picture.reformat(format="yuv420p", threads=1)))
        if sound is not None:
            until = len(sound) if i == len(frames) - 1 else min(len(sound), round((i + 1) * sample_rate / fps))
            if until > heard:
                container.mux(audio.encode(_sound_frame(sound[heard:until], heard, sample_rate)))
            heard = max(heard, until)
    for stream in streams:
        container.mux(stream.encode(None))


def _sound_frame(samples: np.ndarray, start: int, sample_rate: int) -> av.AudioFrame:
    planar = np.ascontiguousarray(samples.T)
    frame = av.AudioFrame.from_ndarray(planar, "fltp", _LAYOUTS[len(planar)])
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
    return frame
