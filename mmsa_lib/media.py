"""Media files: the only module that opens them. One decoding pass gives frames and waveform."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np

from mmsa_lib.errors import MediaError

SAMPLE_RATE = 16_000

# Playlists, subtitles and still images are not clips: probing them could open other files or never end.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegts,ogg,wav,w64,flac,mp3,aac,aiff,caf"
)
_OPEN_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_MAX_PIXELS = 2**26  # a damaged header may claim a picture of many gigabytes
_SANE_RATES = range(1_000, 768_001)  # Hz; the same for sound


@dataclass(slots=True)
class Clip:
    """What a media file holds, decoded.

    `frames` (T, H, W, 3) uint8 RGB, upright; `frame_times` (T,) seconds from the start of the clip;
    `waveform` (S,) float32 mono at 16 kHz in [-1, 1]; `fps` the average frame rate; `duration` the
    length in seconds of what could be decoded. An absent stream gives None.
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
    max_seconds: float | None = None,
    threads: int = 1,
) -> Clip:
    """Decode a clip in one pass: `num_frames` frames spread over its whole length, and its sound.

    Frame i is the one at the centre of the i-th of `num_frames` equal segments of the clip (a clip
    with fewer frames repeats them evenly); `num_frames=None` returns every frame. `size` is
    (height, width) after rotation; frames are scaled while decoding, so memory does not grow with
    the length of the clip. Only the first `max_seconds` are looked at. `threads` is the number of
    decoding threads (0: one per core); the result is the same.

    Raises MediaError when the file cannot be opened or holds none of the streams asked for.
    """
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, not {num_frames}")
    if not (video or audio):
        raise ValueError("nothing to read: video and audio are both off")
    limit = float("inf") if max_seconds is None else float(max_seconds)
    path = _existing_file(path)
    with _av_errors(path):
        pictures = _Pictures(_choose(path, num_frames, limit) if video else set(), size)
        sound = _Sound(limit)
        fps = _decode(path, pictures if video else None, sound if audio else None, limit, threads)
        if video and pictures.missing():  # fewer frames decode than the packets promised
            counted = _Pictures(set(), size)
            _decode(path, counted, None, limit, threads)
            pictures = _Pictures(_spread(list(range(counted.seen)), num_frames), size, by_index=True)
            _decode(path, pictures, None, limit, threads)
    return _assemble(path, pictures, sound, num_frames, fps)


# --------------------------------------------------------------------------- choosing frames


def _spread(items: list[int], count: int | None) -> set[int] | None:
    """The items at the centres of `count` equal segments; None stands for all of them."""
    if count is None:
        return None
    return {items[i] for i in spread_indices(len(items), count)} if items else set()


def spread_indices(total: int, count: int) -> np.ndarray:
    """(count,) indices into `total` items, each at the centre of one of `count` equal segments."""
    return (2 * np.arange(count) + 1) * total // (2 * count)


def _choose(path: Path, count: int | None, limit: float) -> set[int] | None:
    """Presentation times (stream units) of the frames to keep, from a pass that decodes nothing."""
    if count is None:
        return None
    with _open(path) as container:
        stream = _video_stream(container)
        if stream is None:
            return set()
        stamps = [p.pts for p in _packets(container, [stream], limit) if p.size and not p.is_discard]
    usable = sorted({s for s in stamps if s is not None})
    # Without distinct times a frame cannot be named: an impossible one makes the caller count instead.
    return _spread(usable, count) if len(usable) == len(stamps) else {-(2**62)}


# --------------------------------------------------------------------------- decoding


def _decode(path: Path, pictures: "_Pictures | None", sound: "_Sound | None", limit: float, threads: int):
    """Send every packet of both streams through their decoders, once; returns the frame rate."""
    with _open(path) as container:
        sinks = {}
        fps = None
        if pictures is not None and (stream := _video_stream(container)) is not None:
            stream.codec_context.thread_count = threads
            stream.codec_context.thread_type = "AUTO" if threads != 1 else "NONE"
            stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
            fps = float(stream.average_rate) if stream.average_rate else None
            sinks[stream.index] = pictures
        if sound is not None and container.streams.audio:
            sinks[container.streams.audio[0].index] = sound
        streams = [container.streams[i] for i in sinks]
        origin = _origin(container)
        if streams:
            for packet in _packets(container, streams, limit):
                for frame in _frames_of(packet):
                    sinks[packet.stream_index].add(frame, origin, limit)
            for stream in streams:
                for frame in _flush(stream):
                    sinks[stream.index].add(frame, origin, limit)
        if sound is not None:
            sound.close()
        return fps


def _packets(container, streams: list, limit: float) -> Iterator[av.Packet]:
    """Packets of the streams up to `limit` seconds; a container that breaks off just ends."""
    end = _origin(container) + limit
    late: set[int] = set()
    try:
        for packet in container.demux(streams):
            if packet.size == 0:
                continue
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is not None and stamp * packet.time_base >= end:
                late.add(packet.stream_index)
                if len(late) == len(streams):
                    return
                continue
            yield packet
    except (av.error.FFmpegError, EOFError):
        return


def _frames_of(packet) -> list:
    try:
        return packet.decode()
    except (av.error.FFmpegError, EOFError):
        return []  # a damaged packet: the rest of the clip is still worth having


def _flush(stream) -> list:
    try:
        return stream.decode(None)
    except (av.error.FFmpegError, EOFError):
        return []


class _Pictures:
    """Keeps the wanted frames of a video stream, scaled and upright.

    `wanted` holds presentation times, or running indices if `by_index`; None keeps everything.
    """

    def __init__(self, wanted: set[int] | None, size: tuple[int, int] | None, by_index: bool = False) -> None:
        self.wanted, self.size, self.by_index = wanted, size, by_index
        self.seen = 0
        self.end = 0.0
        self.kept: dict[int, tuple[float, np.ndarray]] = {}

    def add(self, frame, origin: float, limit: float) -> None:
        seconds = frame.time - origin if frame.time is not None else None
        if seconds is not None and seconds >= limit:
            return
        index, self.seen = self.seen, self.seen + 1
        if seconds is not None:
            self.end = max(self.end, seconds)
        key = index if self.by_index or self.wanted is None else frame.pts
        if self.wanted is None or key in self.wanted:
            image = _upright_rgb(frame, self.size)
            self.size = self.size or image.shape[:2]  # a change of resolution must not change the shape
            self.kept[key] = (seconds if seconds is not None else float("nan"), image)

    def missing(self) -> bool:
        return self.wanted is not None and len(self.kept) < len(self.wanted) and self.seen > 0


class _Sound:
    """Gathers a stream as 16 kHz mono; libswresample's downmix keeps the centre and cannot clip."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.pieces: list[np.ndarray] = []
        self.resampler: av.AudioResampler | None = None
        self.source: tuple | None = None

    def add(self, frame, origin: float, limit: float) -> None:
        if frame.sample_rate not in _SANE_RATES or not frame.samples:
            return
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self.source:
            self.close()
            self.source, self.resampler = source, av.AudioResampler("s16", "mono", SAMPLE_RATE)
        frame.pts = None  # gaps and jumps in the times must not stretch the sound
        self._keep(frame)

    def close(self) -> None:
        """Drain the resampler."""
        if self.resampler is not None:
            self._keep(None)
        self.resampler = self.source = None

    def _keep(self, frame) -> None:
        try:
            self.pieces += [f.to_ndarray()[0].copy() for f in self.resampler.resample(frame)]
        except (av.error.FFmpegError, EOFError, ValueError):
            self.resampler = self.source = None

    def waveform(self) -> np.ndarray | None:
        if not self.pieces:
            return None
        samples = np.concatenate(self.pieces)
        if self.limit != float("inf"):
            samples = samples[: round(self.limit * SAMPLE_RATE)]
        return samples.astype(np.float32) / 32768 if len(samples) else None


def _upright_rgb(frame, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) uint8. Scaling comes before turning: it leaves fewer pixels to move."""
    turns = round(frame.rotation / 90) % 4
    height, width = size or (None, None)
    if turns % 2:
        height, width = width, height
    image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(image, turns))


def _assemble(path: Path, pictures: _Pictures, sound: _Sound, count: int | None, fps: float | None) -> Clip:
    waveform = sound.waveform()
    frames = times = None
    duration = len(waveform) / SAMPLE_RATE if waveform is not None else 0.0
    if pictures.kept:
        kept = [pictures.kept[key] for key in sorted(pictures.kept)]
        order = range(len(kept)) if count is None else spread_indices(len(kept), count)
        frames = np.stack([kept[i][1] for i in order])
        times = np.array([kept[i][0] for i in order])
        duration = max(duration, pictures.end + (1 / fps if fps else 0.0))
    if frames is None and waveform is None:
        raise MediaError(path, "no picture or sound could be decoded")
    return Clip(frames, waveform, times, fps if frames is not None else None, duration)


# --------------------------------------------------------------------------- opening


def _existing_file(path: str | os.PathLike) -> Path:
    path = Path(path)
    if not path.exists():
        raise MediaError(path, "no such file")
    if not path.is_file():
        raise MediaError(path, "not a file")
    if path.stat().st_size == 0:
        raise MediaError(path, "empty file")
    return path


@contextmanager
def _av_errors(path: Path) -> Iterator[None]:
    """Turn what libav and the system raise into a MediaError with a short reason."""
    try:
        yield
    except (av.error.FFmpegError, OSError, EOFError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise MediaError(path, reason) from error


def _open(path: Path):
    return av.open(os.path.abspath(path), options=dict(_OPEN_OPTIONS), metadata_errors="replace")


def _video_stream(container):
    """The first moving picture: cover art of a sound file does not count."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return None


def _origin(container) -> float:
    return container.start_time / av.time_base if container.start_time is not None else 0.0


def probe(path: str | os.PathLike) -> dict:
    """What the headers say, nothing decoded: duration (s), width, height, fps, num_frames, codecs, sound."""
    path = _existing_file(path)
    with _av_errors(path), _open(path) as container:
        video = _video_stream(container)
        sound = container.streams.audio[0] if container.streams.audio else None
        rate = video.average_rate if video else None
        return {
            "duration": container.duration / av.time_base if container.duration else None,
            "width": video.width if video else None,
            "height": video.height if video else None,
            "fps": float(rate) if rate else None,
            "num_frames": (video.frames or None) if video else None,
            "video_codec": video.codec_context.name if video else None,
            "audio_codec": sound.codec_context.name if sound else None,
            "channels": sound.channels if sound else None,
            "channel_layout": sound.layout.name if sound else None,
            "sample_rate": sound.rate if sound else None,
        }


# --------------------------------------------------------------------------- writing


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
    """Write an mp4 (H.264 4:2:0, AAC). The same input gives the same bytes; the file appears whole.

    `frames` (T, H, W, 3) uint8 RGB with even H and W; `waveform` (S,) or (S, channels) float32 in
    [-1, 1], one or two channels.
    """
    path = Path(path)
    frames = np.asarray(frames)
    _check_frames(path, frames)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _av_errors(path):
            with av.open(str(partial), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
                video = _add_video(container, frames, fps, crf, preset)
                sound = (
                    None if waveform is None else _add_sound(container, waveform, sample_rate, audio_bitrate)
                )
                for image in frames:
                    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
                    container.mux(video.encode(picture))
                container.mux(video.encode(None))
                if sound is not None:
                    container.mux(sound.encode(_sound_frame(waveform, sample_rate)))
                    container.mux(sound.encode(None))
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _check_frames(path: Path, frames: np.ndarray) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise MediaError(path, f"frames must be (T, H, W, 3) uint8, not {frames.shape} {frames.dtype}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise MediaError(path, f"height and width must be even, not {frames.shape[1]}x{frames.shape[2]}")


def _add_video(container, frames: np.ndarray, fps: float | Fraction, crf: int, preset: str):
    rate = Fraction(fps).limit_denominator(100_000)
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": preset})
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    _deterministic(stream)
    return stream


def _add_sound(container, waveform: np.ndarray, sample_rate: int, bitrate: int):
    channels = 1 if np.ndim(waveform) == 1 else np.shape(waveform)[1]
    stream = container.add_stream("aac", rate=sample_rate)
    stream.layout = {1: "mono", 2: "stereo"}[channels]
    stream.bit_rate = bitrate
    _deterministic(stream)
    return stream


def _deterministic(stream) -> None:
    stream.codec_context.flags |= av.codec.context.Flags.bitexact
    stream.codec_context.thread_count = 1


def _sound_frame(waveform: np.ndarray, sample_rate: int) -> av.AudioFrame:
    planar = np.ascontiguousarray(np.atleast_2d(np.asarray(waveform, np.float32).T))
    frame = av.AudioFrame.from_ndarray(planar, "fltp", {1: "mono", 2: "stereo"}[len(planar)])
    frame.sample_rate = sample_rate
    return frame
