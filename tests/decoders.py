"""Stand-ins for a decoder that fails in every way; quick to import, as worker processes do so."""

import ctypes
import os
import signal
import time
from pathlib import Path

from mmsa_lib.errors import MediaError
from mmsa_lib.files import digest


def work(task):
    """(what to do, number) -> twice the number, if all goes well."""
    name, value = task
    if name == "segfault":
        ctypes.string_at(0)
    elif name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "exit":
        os._exit(value)
    elif name == "hang":
        time.sleep(60)
    elif name == "refuse":
        raise MediaError("clip.mp4", "empty file")
    elif name == "disk":
        raise OSError(5, "Input/output error")
    elif name == "bug":
        raise ValueError("a bug")
    elif name == "wait":
        time.sleep(value)
    elif name in ("touch", "kill once", "count and refuse"):
        return _leave_mark(name, Path(value))
    return {"pid": os.getpid(), "nothing": None}.get(name, value * 2)


def _leave_mark(name, path):
    """Write a letter into a file; then be killed if it is the first, or refuse."""
    known = path.exists()
    with path.open("a") as file:
        file.write("x")
    if name == "kill once" and not known:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "count and refuse":
        raise MediaError("clip.mp4", "empty file")
    return "done"


def quit_at_once(link, function):
    os._exit(7)


def check_by_name(path):
    """What `mmsa_lib.audit.check_file` answers, by a decoder that crashes, hangs or raises on certain names."""
    if path.name == "dia0_utt0.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "dia0_utt1.mp4":
        time.sleep(60)
    if path.name == "dia0_utt2.mp4":
        raise RuntimeError("a bug of ours")
    return find_well(path) | {"sha256": path.name}


def find_well(path):
    """What `mmsa_lib.audit.check_file` answers of a sound clip, whatever the file is; the SHA-256 is its own."""
    sound = {"audio_codec": "aac", "sample_rate": 48_000, "channel_layout": "mono", "audio_seconds": 1.0, "peak": 0.5}
    picture = {"video_codec": "h264", "width": 4, "height": 2, "fps": 24.0, "frames": 24, "video_seconds": 1.0}
    return sound | picture | {"duration": 1.0, "num_frames": 24, "flaws": 0, "sha256": digest(path)}


def decode_by_name(request):
    """What `mmsa_lib.media.read_requested` gives, by a decoder that is killed by, or hangs at, certain clips."""
    from mmsa_lib.media import read_requested

    if request is not None and request["path"].name == "dia0_utt1.mp4":
        os.kill(os.getpid(), signal.SIGKILL)
    if request is not None and request["path"].name == "dia0_utt2.mp4":
        time.sleep(60)
    return read_requested(request)
