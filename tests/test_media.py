"""Reading and writing media: which frames come, which way up, how loud, and what damage does."""

import os
import pickle
import subprocess
import sys
from fractions import Fraction

import av
import clips
import numpy as np
import pytest

from mmsa_lib import media
from mmsa_lib.errors import MediaError
from mmsa_lib.media import SAMPLE_RATE, probe, read_clip, spread_indices, write_clip


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """60 counting frames with B-frames and 2.4 s of mono sound."""
    path = tmp_path_factory.mktemp("clips") / "plain.mp4"
    return clips.encode(path, clips.counting_frames(60), clips.tone(2.4), options={"crf": "8", "bf": "3"})


def level(waveform: np.ndarray) -> float:
    """Amplitude of a tone, measured away from the ends."""
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]
    return float(np.sqrt(2 * np.mean(middle.astype(np.float64) ** 2)))


# ---------------------------------------------------------------- which frames


@pytest.fixture
def decoded(monkeypatch):
    """The pictures that are decoded while a test runs, as they come."""
    pictures, decode = [], media._frames

    def counting(stream, packet):
        frames = decode(stream, packet)
        pictures.extend(frame for frame in frames if isinstance(frame, av.VideoFrame))
        return frames

    monkeypatch.setattr(media, "_frames", counting)
    return pictures


@pytest.mark.parametrize("total, count", [(60, 16), (5, 16), (16, 16), (1, 4), (7, 1), (71, 8)])
def test_spread_indices_are_segment_centres(total, count):
    expected = [int(np.floor(float(Fraction(2 * i + 1, 2) * total / count))) for i in range(count)]
    assert spread_indices(total, count).tolist() == expected


@pytest.mark.parametrize("count", [1, 8, 16, 60, 100])
def test_frames_are_spread_over_the_whole_clip(plain, count):
    clip = read_clip(plain, num_frames=count)
    assert clips.frame_numbers(clip.frames, 60) == spread_indices(60, count).tolist()
    assert clip.frame_times == pytest.approx(spread_indices(60, count) / 25, abs=1e-6)
    assert clip.frames.dtype == np.uint8 and clip.frames.shape[1:] == (48, 64, 3)


def test_leaving_frames_undecoded_changes_no_pixel(plain, decoded):
    with av.open(str(plain)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = read_clip(plain, num_frames=8)
    np.testing.assert_array_equal(chosen.frames, np.stack([every[i] for i in spread_indices(60, 8)]))
    assert len(every) == 60 and len(decoded) < 50


def test_nothing_is_decoded_behind_the_last_frame_asked_for(plain, decoded):
    clip = read_clip(plain, num_frames=1)
    assert clips.frame_numbers(clip.frames, 60) == [30]
    assert len(decoded) < 36 and clip.duration == pytest.approx(2.4, abs=0.05)


def test_every_frame_in_order(plain):
    clip = read_clip(plain, num_frames=None, audio=False)
    assert clips.frame_numbers(clip.frames, 60) == list(range(60))
    assert clip.waveform is None and clip.fps == 25 and clip.duration == pytest.approx(2.4)


def test_threads_do_not_change_the_result(plain):
    one, three = read_clip(plain, threads=1), read_clip(plain, threads=3)
    np.testing.assert_array_equal(one.frames, three.frames)
    np.testing.assert_array_equal(one.waveform, three.waveform)


def test_an_mp4_is_opened_without_decoding(plain, tmp_path):
    """The pixel format is known from a decoded picture only."""
    other = clips.encode(tmp_path / "other.avi", clips.counting_frames(5), None)
    for path, known in ((plain, None), (other, "yuv420p")):
        with media._open(path) as container:
            assert container.streams.video[0].codec_context.pix_fmt == known


def test_scaling_gives_height_and_width_in_this_order(tmp_path):
    path = clips.encode(tmp_path / "a.mp4", np.stack([clips.quarters(96, 128)] * 3))
    frames = read_clip(path, num_frames=2, size=(24, 40)).frames
    assert frames.shape == (2, 24, 40, 3)
    corners = frames[0][[5, 5, 18, 18], [8, 32, 8, 32]].astype(int)
    assert np.abs(corners - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).max() < 30


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov", ".webm", ".ts"])
def test_other_containers(tmp_path, suffix):
    codecs = {".webm": ("libvpx", "libopus"), ".avi": ("mpeg4", "pcm_s16le")}
    video, audio = codecs.get(suffix, ("libx264", "aac"))
    path = tmp_path / f"clip{suffix}"
    options = {"crf": "8"} if video == "libx264" else {"b": "2M"}
    clips.encode(path, clips.counting_frames(20), clips.tone(0.8), video_codec=video, audio_codec=audio,
                 options=options)  # fmt: skip
    clip = read_clip(path, num_frames=5)
    assert np.abs(np.subtract(clips.frame_numbers(clip.frames, 20), spread_indices(20, 5))).max() <= 1
    assert level(clip.waveform) == pytest.approx(0.5, abs=0.03)


def test_h264_without_presentation_times_is_counted(tmp_path):
    path = clips.encode(tmp_path / "a.avi", clips.counting_frames(20), options={"crf": "8", "bf": "2"})
    clip = read_clip(path, num_frames=5)
    assert clips.frame_numbers(clip.frames, 20) == spread_indices(20, 5).tolist()
    assert np.isfinite(clip.frame_times).all()


def test_equal_times_are_counted(plain, monkeypatch):
    monkeypatch.setattr(media._Reader, "stamps", lambda reader: [0, 0, 1])
    clip = read_clip(plain, num_frames=6)
    assert clips.frame_numbers(clip.frames, 60) == spread_indices(60, 6).tolist()
    assert len(clip.waveform) == pytest.approx(2.4 * SAMPLE_RATE, abs=1024)


def test_long_file_is_read_again_instead_of_kept(plain, monkeypatch):
    kept = read_clip(plain)
    monkeypatch.setattr(media, "_KEPT_BYTES", 100)
    again = read_clip(plain)
    np.testing.assert_array_equal(kept.frames, again.frames)
    np.testing.assert_array_equal(kept.waveform, again.waveform)


def test_only_the_first_seconds(plain):
    clip = read_clip(plain, num_frames=5, max_seconds=1.0)
    assert clips.frame_numbers(clip.frames, 60) == spread_indices(25, 5).tolist()
    assert len(clip.waveform) == SAMPLE_RATE and clip.duration == 1.0
    assert len(read_clip(plain, num_frames=None, max_seconds=1.0).frames) == 25


@pytest.mark.parametrize(
    "how, corners",
    [
        ("90", "blue red white green"),
        ("180", "white blue green red"),
        ("270", "green white red blue"),
        ("mirrored", "green red white blue"),
        ("90 mirrored", "red blue green white"),
    ],
)
def test_phone_video_is_upright(tmp_path, how, corners):
    path = clips.turn(clips.encode(tmp_path / "a.mp4", np.stack([clips.quarters(48, 64)] * 4)), how)
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    stored = read_clip(path, num_frames=1).frames[0]
    assert stored.shape == ((64, 48, 3) if "90" in how or "270" in how else (48, 64, 3))
    for size in (None, (40, 20)):
        frame = read_clip(path, num_frames=1, size=size).frames[0]
        height, width = frame.shape[:2]
        assert size is None or (height, width) == size
        rows, columns = [height // 4] * 2 + [3 * height // 4] * 2, [width // 4, 3 * width // 4] * 2
        expected = np.array([colours[name] for name in corners.split()])
        assert np.abs(frame[rows, columns].astype(int) - expected).max() < 30


def test_quarter_turn_agrees_with_pyav(tmp_path):
    path = clips.turn(clips.encode(tmp_path / "a.mp4", np.stack([clips.quarters()] * 2)), "90")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        reference = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    np.testing.assert_array_equal(read_clip(path, num_frames=1).frames[0], reference)


def test_frames_cut_away_by_an_edit_list_do_not_count(plain, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(plain.read_bytes())
    clip = read_clip(clips.skip(path, 800, 20 * 512), num_frames=8)
    assert clips.frame_numbers(clip.frames, 60) == (20 + spread_indices(40, 8)).tolist()


# ---------------------------------------------------------------- sound

# Share of each channel in the mono sum: 1 for the centre, 1/sqrt(2) for left and right, 1/2 for those
# around, nothing for the low-frequency one; divided by their total, so that full scale stays full scale.
ROOT = 2**-0.5
WEIGHTS = {"FL": ROOT, "FR": ROOT, "FC": 1.0, "LFE": 0.0, "BL": 0.5, "BR": 0.5, "SL": 0.5, "SR": 0.5}


@pytest.mark.parametrize("layout", ["mono", "stereo", "3.0", "quad", "5.0", "5.1", "5.1(side)", "7.1"])
def test_downmix_follows_the_formula(tmp_path, layout):
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    weights = np.array([WEIGHTS[name] for name in names])
    weights = weights / weights.sum()
    for at, name in enumerate(names):
        sound = np.zeros((len(names), RATE_SAMPLES), np.float32)
        sound[at] = clips.tone(RATE_SAMPLES / clips.RATE)
        path = clips.encode(tmp_path / "a.wav", sound=sound, layout=layout, audio_codec="pcm_s16le")
        heard = read_clip(path).waveform
        assert level(heard) == pytest.approx(0.5 * weights[at], abs=0.002), name
    full = clips.encode(tmp_path / "b.wav", sound=np.tile(clips.tone(0.25, level=1.0), (len(names), 1)),
                        layout=layout, audio_codec="pcm_s16le")  # fmt: skip
    assert level(read_clip(full).waveform) == pytest.approx(1.0, abs=0.005)  # nothing clipped or lost


RATE_SAMPLES = clips.RATE // 4


def test_speech_in_the_centre_of_aac_surround_is_heard(tmp_path):
    sound = np.zeros((6, clips.RATE), np.float32)
    sound[2] = clips.tone(1.0, level=0.8)
    clip = read_clip(clips.encode(tmp_path / "a.mp4", clips.counting_frames(25), sound, layout="5.1"))
    assert level(clip.waveform) == pytest.approx(0.8 / (1 + 2 * ROOT + 1), rel=0.03)
    spectrum = np.abs(np.fft.rfft(clip.waveform[:SAMPLE_RATE]))
    assert spectrum.argmax() == 440


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(tmp_path, rate):
    sound = clips.tone(0.5, rate=rate)
    path = clips.encode(tmp_path / "a.wav", sound=sound, rate=rate, audio_codec="pcm_s16le")
    clip = read_clip(path)
    assert clip.waveform.dtype == np.float32 and clip.frames is None and clip.fps is None
    assert len(clip.waveform) == pytest.approx(SAMPLE_RATE / 2, abs=20)  # the resampler's tail is drained
    assert level(clip.waveform) == pytest.approx(0.5, abs=0.01)
    assert clip.duration == len(clip.waveform) / SAMPLE_RATE


def test_unchanged_when_already_16_khz_mono(tmp_path):
    sound = np.random.default_rng(0).uniform(-1, 1, 5_000).astype(np.float32)
    path = clips.encode(tmp_path / "a.wav", sound=sound, rate=SAMPLE_RATE, audio_codec="pcm_s16le")
    np.testing.assert_allclose(read_clip(path).waveform, sound, atol=1 / 32768)


def test_layout_and_rate_may_change_on_the_way():
    sound = media._Sound()
    for layout, rate in [("mono", 48_000), ("stereo", 48_000), ("5.1", 44_100), ("mono", 1), ("mono", 8_000)]:
        channels = av.AudioLayout(layout).nb_channels
        samples = np.tile(clips.tone(0.5, rate=max(rate, 1000)), (channels, 1))
        sound.add(clips.sound_frame(samples, layout, rate))
    sound.close()
    assert len(sound.waveform(float("inf"))) == pytest.approx(4 * SAMPLE_RATE / 2, abs=80)
    assert level(sound.waveform(float("inf"))) == pytest.approx(0.5, abs=0.02)


# ---------------------------------------------------------------- absent and odd streams


def test_no_sound(tmp_path):
    path = clips.encode(tmp_path / "a.mp4", clips.counting_frames(10))
    assert read_clip(path).waveform is None
    with pytest.raises(MediaError, match="no audio stream") as caught:
        read_clip(path, video=False)
    assert caught.value.reason == "no audio stream" and caught.value.path == str(path)


def test_no_picture(tmp_path):
    path = clips.encode(tmp_path / "a.mp4", sound=clips.tone(0.3))
    clip = read_clip(path)
    assert clip.frames is None and clip.frame_times is None and clip.waveform is not None
    with pytest.raises(MediaError, match="no video stream"):
        read_clip(path, audio=False)


def test_cover_art_is_not_video(tmp_path):
    path = clips.encode(tmp_path / "a.mp4", clips.counting_frames(1), clips.tone(0.3), video_codec="mjpeg",
                        cover=True)  # fmt: skip
    with av.open(str(path)) as container:
        assert container.streams.video  # the picture is there
    assert read_clip(path).frames is None
    assert probe(path)["width"] is None


def test_data_stream_is_passed_over(tmp_path):
    path = clips.encode(tmp_path / "a.mp4", clips.counting_frames(10), clips.tone(0.4), data_stream=True)
    with av.open(str(path)) as container:
        assert len(container.streams.data) == 1
    clip = read_clip(path, num_frames=4)
    assert clips.frame_numbers(clip.frames, 10) == spread_indices(10, 4).tolist()


def test_one_frame(tmp_path):
    clip = read_clip(clips.encode(tmp_path / "a.mp4", clips.counting_frames(1)), num_frames=16)
    assert clip.frames.shape == (16, 48, 64, 3) and (clip.frames == clip.frames[0]).all()


def test_one_millisecond(tmp_path):
    path = clips.encode(tmp_path / "a.mp4", clips.counting_frames(1), clips.tone(0.001), fps=1000)
    clip = read_clip(path, num_frames=3)
    assert len(clip.frames) == 3 and clip.duration < 0.2
    # Less than the resampler's filter is long counts as no sound at all.
    path = clips.encode(tmp_path / "b.wav", sound=clips.tone(0.001), audio_codec="pcm_s16le")
    with pytest.raises(MediaError, match="could be decoded"):
        read_clip(path)


def test_five_minutes(tmp_path):
    frames = clips.counting_frames(150, 16, 16)
    sound = clips.tone(300, rate=8_000)
    path = tmp_path / "a.mkv"
    clips.encode(path, frames, sound, fps=Fraction(1, 2), rate=8_000, audio_codec="pcm_s16le")
    clip = read_clip(path, num_frames=4)
    assert clip.duration == pytest.approx(300, abs=1) and clip.fps == 0.5
    assert clip.frame_times == pytest.approx(spread_indices(150, 4) * 2.0)
    short = read_clip(path, num_frames=4, max_seconds=20)
    assert short.frame_times.max() < 20 and len(short.waveform) == 20 * SAMPLE_RATE


def test_a_change_of_resolution_keeps_the_first_shape():
    class Reader:
        start, limit = 0.0, float("inf")

        def seconds(self, frame, index):
            return float(index)

    pictures = media._Pictures(None)
    for height, width in ((48, 64), (96, 128)):
        pictures.add(av.VideoFrame.from_ndarray(clips.quarters(height, width), "rgb24"), Reader())
    assert [image.shape for _, image in pictures.kept.values()] == [(48, 64, 3)] * 2


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty file"),
        (np.random.default_rng(1).bytes(5_000), "not a media file"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://localhost/a.ts\n", "not a media file"),
        (b"plain words\n" * 50, "not a media file"),
        (bytes(4_000), "not a media file"),
    ],
)
def test_what_is_not_a_clip(tmp_path, content, reason):
    path = tmp_path / "dia0_utt0.mp4"
    path.write_bytes(content)
    for read in (read_clip, probe):
        with pytest.raises(MediaError, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_playlist_is_not_followed(tmp_path):
    clips.encode(tmp_path / "real.ts", clips.counting_frames(10), clips.tone(0.4))
    listed = tmp_path / "list.m3u8"
    listed.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\nreal.ts\n#EXT-X-ENDLIST\n")
    with av.open(str(listed)) as container:
        assert container.streams.video  # libav by itself would open the other file
    with pytest.raises(MediaError, match="cannot be read"):
        read_clip(listed)


def test_what_is_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none.mp4", tmp_path / "pipe", tmp_path / ("n" * 300), "a\0b.mp4"):
        with pytest.raises(MediaError):
            read_clip(path)


def test_a_colon_in_the_name_is_no_protocol(tmp_path, monkeypatch):
    clips.encode(tmp_path / "a.mp4", clips.counting_frames(3)).rename(tmp_path / "http:a.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read_clip("http:a.mp4", num_frames=2).frames) == 2


def test_cut_before_the_index(plain, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(plain.read_bytes())
    with pytest.raises(MediaError, match="cut off"):
        read_clip(clips.cut(path, 0.5))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_what_is_left_of_a_cut_file_is_spread_over(tmp_path, keep):
    frames = np.random.default_rng(0).integers(0, 40, (60, 48, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.mkv"
    clips.encode(path, clips.counting_frames(60) // 2 + frames, clips.tone(2.4))
    clips.cut(path, keep)
    every = read_clip(path, num_frames=None, audio=False).frames
    some = read_clip(path, num_frames=6).frames
    assert 5 < len(every) < 60
    np.testing.assert_array_equal(some, every[spread_indices(len(every), 6)])


def test_frames_that_were_promised_but_do_not_decode(plain, monkeypatch):
    decode = media._frames

    def failing(stream, packet):
        frames = decode(stream, packet)
        return [f for f in frames if not (isinstance(f, av.VideoFrame) and f.pts * stream.time_base > 1.21)]

    monkeypatch.setattr(media, "_frames", failing)
    clip = read_clip(plain, num_frames=4)
    assert clips.frame_numbers(clip.frames, 60) == spread_indices(31, 4).tolist()
    assert len(clip.waveform) == pytest.approx(2.4 * SAMPLE_RATE, abs=1024)  # heard once, not twice


def test_damage_in_the_middle_costs_only_what_it_hits(tmp_path):
    options = {"crf": "8", "g": "10", "bf": "0"}
    path = clips.encode(tmp_path / "a.mkv", clips.counting_frames(60), clips.tone(2.4), options=options)
    clip = read_clip(clips.spoil(path, 0.5, 300), num_frames=8)
    assert clip.frames.shape[0] == 8
    assert clips.frame_numbers(clip.frames[[0, -1]], 60) == pytest.approx([3, 56], abs=6)


def test_reading_goes_on_behind_a_failure(plain, monkeypatch):
    class Flaky:
        """A container that fails to read now and then, or from some point on for ever."""

        def __init__(self, container, failures):
            self.container, self.failures = container, failures

        def __getattr__(self, name):
            return getattr(self.container, name)

        def demux(self, streams):
            for i, packet in enumerate(self.container.demux(streams)):
                yield packet
                if i == 20 and self.failures:
                    self.failures -= 1
                    raise av.error.InvalidDataError(1, "damaged")
            if self.failures > 100:
                raise av.error.InvalidDataError(1, "damaged for ever")

    whole, opened = read_clip(plain), media._open
    monkeypatch.setattr(media, "_open", lambda path: Flaky(opened(path), 2))
    np.testing.assert_array_equal(read_clip(plain).frames, whole.frames)
    monkeypatch.setattr(media, "_open", lambda path: Flaky(opened(path), 1_000))
    np.testing.assert_array_equal(read_clip(plain).frames, whole.frames)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
def test_flipped_bits_never_crash(tmp_path, suffix):
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    whole = clips.encode(tmp_path / f"whole{suffix}", clips.counting_frames(12), clips.tone(0.5),
                         video_codec=codec, options={}).read_bytes()  # fmt: skip
    outcomes = set()
    for seed in range(30):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(whole)
        try:
            clip = read_clip(clips.flip_bits(path, 1 + 3 * seed, seed), num_frames=4, size=(16, 16))
            assert clip.frames is None or clip.frames.shape == (4, 16, 16, 3)
            assert clip.waveform is None or np.abs(clip.waveform).max() <= 1
            outcomes.add("read")
        except MediaError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert "read" in outcomes


def test_libav_says_nothing_on_stderr(plain, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(plain.read_bytes())
    clips.spoil(path, 0.2, 400)
    code = f"from mmsa_lib.media import read_clip\ntry: read_clip({str(path)!r})\nexcept Exception: pass"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "" and result.stderr == ""


@pytest.mark.parametrize("options", [{"num_frames": 0}, {"video": False, "audio": False}, {"max_seconds": 0}])
def test_impossible_wishes(plain, options):
    with pytest.raises(ValueError):
        read_clip(plain, **options)


# ---------------------------------------------------------------- writing and probing


@pytest.mark.parametrize("channels", [None, 1, 2, 6])
def test_what_is_written_can_be_read(tmp_path, channels):
    frames, sound = clips.counting_frames(24), clips.tone(1.0, rate=SAMPLE_RATE)
    waveform = sound if channels is None else np.tile(sound[:, None], (1, channels))
    write_clip(tmp_path / "a.mp4", frames, Fraction(24000, 1001), waveform, crf=8, audio_bitrate=192_000)
    clip = read_clip(tmp_path / "a.mp4", num_frames=None)
    assert clips.frame_numbers(clip.frames, 24) == list(range(24))
    assert clip.fps == pytest.approx(24000 / 1001)
    assert len(clip.waveform) == pytest.approx(SAMPLE_RATE, abs=1024)
    # The low-frequency one of six channels is not heard; the others add up to the same tone.
    assert level(clip.waveform) == pytest.approx(0.5, abs=0.02)
    delay = np.correlate(clip.waveform[:4000], sound[:4000], "full").argmax() - 3999
    assert abs(delay) <= 2  # the encoder's run-in is not heard
    assert sorted(os.listdir(tmp_path)) == ["a.mp4"]


def test_same_input_same_bytes(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, frames, 23.976, clips.tone(0.4, rate=SAMPLE_RATE))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    "frames, fps, waveform, reason",
    [
        (np.zeros((2, 31, 32, 3), np.uint8), 25, None, "even"),
        (np.zeros((0, 32, 32, 3), np.uint8), 25, None, "frames must be"),
        (np.zeros((2, 32, 32, 3), np.float32), 25, None, "frames must be"),
        (np.zeros((2, 32, 32), np.uint8), 25, None, "frames must be"),
        (np.zeros((2, 32, 32, 3), np.uint8), 0, None, "frames a second"),
        (np.zeros((2, 32, 32, 3), np.uint8), 25, np.zeros(0, np.float32), "waveform"),
        (np.zeros((2, 32, 32, 3), np.uint8), 25, np.zeros((90, 4), np.float32), "waveform"),
    ],
)
def test_what_cannot_be_written(tmp_path, frames, fps, waveform, reason):
    with pytest.raises(MediaError, match=reason):
        write_clip(tmp_path / "a.mp4", frames, fps, waveform)
    assert not os.listdir(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(MediaError):
        write_clip(tmp_path / "a.mp4", clips.counting_frames(2), 25, clips.tone(0.1), sample_rate=12_345)
    assert (tmp_path / "a.mp4").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.mp4"]


def test_probe(plain, tmp_path):
    summary = probe(plain)
    assert summary.pop("duration") == pytest.approx(2.4, abs=0.1)
    assert summary == {
        "width": 64, "height": 48, "fps": 25.0, "num_frames": 60, "video_codec": "h264", "audio_codec": "aac",
        "channels": 1, "channel_layout": "mono", "sample_rate": 48_000,
    }  # fmt: skip
    silent = probe(clips.encode(tmp_path / "a.mp4", clips.counting_frames(3)))
    assert silent["channels"] is None and silent["num_frames"] == 3


# ---------------------------------------------------------------- a range of a long file


def sweep(seconds: float, rate: int = clips.RATE) -> np.ndarray:
    """(S,) a tone whose pitch rises with time, so that a piece of it says where it comes from."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (60 * t + 8 * t**2))).astype(np.float32)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """20 s: 250 counting frames, a key frame every 4 s, and sound of rising pitch."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    options = {"crf": "8", "bf": "2", "g": "50"}
    return clips.encode(path, clips.counting_frames(250), sweep(20), fps=Fraction(25, 2), options=options)


def number_of(clip: media.Clip) -> np.ndarray:
    """Which of `long`'s frames, to the two or three that look alike."""
    return np.array(clips.frame_numbers(clip.frames, 250))


@pytest.mark.parametrize("start", [0.3, 4.0, 9.7, 17.0])
def test_a_range_is_what_the_whole_file_has_there(long, start):
    whole = read_clip(long, num_frames=None)
    part = read_clip(long, num_frames=8, start=start, max_seconds=2.0)
    first = int(np.flatnonzero(whole.frame_times <= start + 1e-6)[-1])
    shown = np.arange(first, np.searchsorted(whole.frame_times, start + 2.0 - 1e-6))
    wanted = shown[spread_indices(len(shown), 8)]
    assert part.frame_times == pytest.approx(whole.frame_times[wanted] - start, abs=1e-6)
    assert np.abs(part.frames.astype(int) - whole.frames[wanted]).max() <= 1
    here = whole.waveform[round(start * SAMPLE_RATE) :][: len(part.waveform)]
    assert len(part.waveform) == 2 * SAMPLE_RATE
    assert np.corrcoef(part.waveform, here)[0, 1] > 0.98
    assert part.duration == pytest.approx(2.0, abs=0.01)


def test_a_range_is_entered_not_read_up_to(long, decoded):
    read_clip(long, num_frames=4, start=17.0, max_seconds=1.0)
    assert 4 <= len(decoded) < 50


@pytest.mark.parametrize("suffix", ["mkv", "webm", "avi", "ts", "flv", "mov"])
def test_a_range_of_other_containers(tmp_path, suffix):
    codecs = {"webm": {"video_codec": "libvpx", "audio_codec": "libopus"}, "avi": {"video_codec": "mpeg4"}}
    sound = sweep(8, 44_100 if suffix == "flv" else clips.RATE)
    rate = 44_100 if suffix == "flv" else clips.RATE
    path = tmp_path / f"clip.{suffix}"
    clips.encode(path, clips.counting_frames(100), sound, fps=Fraction(25, 2), rate=rate, **codecs.get(suffix, {}))
    whole = read_clip(path, num_frames=None)
    part = read_clip(path, num_frames=4, start=5.0, max_seconds=1.0)
    ours = clips.frame_numbers(part.frames, 100)
    assert ours == pytest.approx([63, 66, 69, 72], abs=2) and ours == sorted(ours)
    shifts = [
        np.corrcoef(part.waveform[:8000], whole.waveform[80_000 + s : 88_000 + s])[0, 1] for s in range(-800, 801, 2)
    ]
    assert max(shifts) > 0.99  # containers differ by some milliseconds in where their sound begins


def test_a_range_behind_the_end_has_nothing(long):
    with pytest.raises(MediaError, match="could be decoded"):
        read_clip(long, start=100.0, max_seconds=1.0, video=False)


def test_a_still_picture_is_seen_at_any_time(tmp_path):
    path = clips.encode(tmp_path / "slides.mp4", clips.counting_frames(3), fps=Fraction(1, 4))
    part = read_clip(path, num_frames=4, start=9.5, max_seconds=1.0)
    assert clips.frame_numbers(part.frames, 3) == [2] * 4
    assert part.frame_times == pytest.approx([-1.5] * 4)


@pytest.mark.parametrize("start", [-1.0, float("nan"), float("inf")])
def test_a_start_that_is_no_time(long, start):
    with pytest.raises(ValueError, match="start"):
        read_clip(long, start=start)


# ---------------------------------------------------------------- sound in blocks


@pytest.mark.parametrize("rate", [SAMPLE_RATE, clips.RATE])
def test_blocks_are_the_sound_of_the_file(tmp_path, rate):
    path = clips.encode(tmp_path / "sound.mp4", sound=sweep(5.3, rate), rate=rate)
    blocks = list(media.sound_blocks(path, seconds=2.0))
    assert [len(block) for block in blocks[:-1]] == [2 * SAMPLE_RATE] * (len(blocks) - 1)
    joined, whole = np.concatenate(blocks), read_clip(path, video=False).waveform
    assert joined.dtype == np.float32
    assert np.array_equal(joined, whole)


def test_sound_that_starts_late_is_heard_at_its_time(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=clips.RATE, layout="mono")
        for image in clips.counting_frames(75):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        frame = clips.sound_frame(clips.tone(1.0), "mono", clips.RATE)
        frame.pts = 2 * clips.RATE
        container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    heard = np.concatenate(list(media.sound_blocks(path, seconds=1.0)))
    assert np.abs(heard[: round(1.9 * SAMPLE_RATE)]).max() < 0.01
    assert level(heard[round(2.1 * SAMPLE_RATE) : round(2.9 * SAMPLE_RATE)]) == pytest.approx(0.5, abs=0.02)


def test_blocks_of_a_file_without_sound(tmp_path):
    path = clips.encode(tmp_path / "mute.mp4", clips.counting_frames(5))
    with pytest.raises(MediaError, match="no audio stream"):
        next(media.sound_blocks(path))


def test_blocks_do_not_gather(tmp_path):
    """Ten minutes of sound in blocks of a second take the memory of a second."""
    path = clips.encode(tmp_path / "ten.wav", sound=clips.tone(600, rate=8000), rate=8000, audio_codec="pcm_s16le")
    largest = 0
    for block in media.sound_blocks(path, seconds=1.0):
        largest = max(largest, block.nbytes)
    assert largest == 4 * SAMPLE_RATE
