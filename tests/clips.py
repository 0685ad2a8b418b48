"""Odd clips for tests, encoded on the spot: every layout, stream and kind of damage a folder may hold."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000


def counting_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3) uint8 grey frames, each of its own brightness, so that `frame_numbers` can name them."""
    levels = np.linspace(20, 235, count).round().astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def frame_numbers(frames: np.ndarray, count: int) -> list[int]:
    """Which of `count` counting frames these are."""
    levels = np.linspace(20, 235, count).round()
    return [int(np.abs(levels - frame.mean()).argmin()) for frame in frames]


def quarters(height: int = 48, width: int = 64) -> np.ndarray:
    """(H, W, 3) uint8: red top left, green top right, blue bottom left, white bottom right."""
    image = np.full((height, width, 3), 255, np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    return image


def tone(seconds: float, hertz: float = 440.0, level: float = 0.5, rate: int = RATE) -> np.ndarray:
    """(S,) float32 sine."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(
    path: Path,
    frames: np.ndarray | None = None,
    sound: np.ndarray | None = None,
    *,
    fps: Fraction | int = 25,
    layout: str = "mono",
    rate: int = RATE,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    options: dict[str, str] | None = None,
    data_stream: bool = False,
    cover: bool = False,
) -> Path:
    """Write a clip of any shape. `sound` (channels, S) float32 in the channel order of `layout`."""
    with av.open(str(path), "w") as container:
        video = audio = data = None
        if frames is not None:
            video = container.add_stream(video_codec, rate=fps, options=options or {"crf": "10"})
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
            if cover:
                video.disposition = av.stream.Disposition.attached_pic
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=rate, layout=layout)
        if data_stream:
            data = container.add_data_stream("bin_data")
        if video is not None:
            for image in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        if data is not None:
            packet = av.Packet(b"not a picture")
            packet.stream, packet.pts, packet.dts, packet.time_base = data, 0, 0, Fraction(1, 25)
            container.mux(packet)
        if audio is not None:
            container.mux(audio.encode(sound_frame(sound, layout, rate, audio.format.name)))
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def sound_frame(sound: np.ndarray, layout: str, rate: int, sample_format: str = "fltp") -> av.AudioFrame:
    """`sound` (channels, S) as one frame; 16-bit formats take it in full scale."""
    sound = np.atleast_2d(sound)
    if sample_format.startswith("s16"):
        sound = np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)
    if not sample_format.endswith("p"):
        sound = sound.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), sample_format, layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


# What a player does with the stored picture: 16.16 fixed-point a, b, c, d of the track header's matrix.
_MATRICES = {
    "90": (0, 1, -1, 0),  # a quarter turn clockwise, as phones held upright write
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "90 mirrored": (0, 1, 1, 0),
}


def turn(path: Path, how: str) -> Path:
    """Set the display matrix of an mp4's video track, which must come first in the file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # behind version, times, track number, duration, layer and volume
    a, b, c, d = _MATRICES[how]
    matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4")
    data[start : start + 36] = matrix.tobytes()
    path.write_bytes(data)
    return path


def skip(path: Path, milliseconds: int, ticks: int) -> Path:
    """Let an mp4's first track start later by its edit list, as a cut without encoding does.

    `ticks` is the same time in the units of the track.
    """
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 4 + 8  # behind version and number of entries
    entry = np.frombuffer(data[start : start + 8], ">u4").astype(np.int64) + [-milliseconds, ticks]
    data[start : start + 8] = entry.astype(">u4").tobytes()
    path.write_bytes(data)
    return path


def cut(path: Path, keep: float) -> Path:
    """Leave the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def spoil(path: Path, start: float, length: int, seed: int = 0) -> Path:
    """Overwrite `length` bytes from the fraction `start` of a file with noise."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * start)
    noise = np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8).tobytes()
    data[at : at + length] = noise[: max(0, len(data) - at)]
    path.write_bytes(data)
    return path


def flip_bits(path: Path, count: int, seed: int) -> Path:
    """Flip single bits anywhere in a file, the same ones for the same seed."""
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    at = rng.integers(0, len(data), count)
    np.bitwise_xor.at(data, at, np.uint8(1) << rng.integers(0, 8, count).astype(np.uint8))
    path.write_bytes(data.tobytes())
    return path
