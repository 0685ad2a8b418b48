"""A small data set with the damage of the real one, for lesson 01: one thing of each kind in five rows."""

from collections.abc import Sequence
from pathlib import Path
from shutil import copy

from mmsa_lib.media import read_clip

LINES = ("It’s fine… really.", "Is it?", "No clip for this one.", "Half a clip.", "A row that claims five minutes.")
LABELS = ("sadness,negative", "surprise,negative", "neutral,neutral", "neutral,neutral", "anger,negative")
START = 976.059  # seconds into the episode


def build(folder: Path, clips: Sequence[Path]) -> Path:
    """Write a training split into `folder` and return the path of its table.

    The table is saved as old copies of MELD are, in cp1252 with curly quotes, and writes some hours with one digit.
    Of its five utterances the third has no clip, the fourth half a file, as an interrupted download leaves it, and
    the fifth a clip that is far shorter than its row says.

    Args:
        clips: four clips, in the place of utterances 0, 1, 3 and 4.
    """
    home = folder / "train_splits"
    home.mkdir(parents=True)
    for number, clip in zip((0, 1, 3, 4), clips, strict=True):
        copy(clip, home / f"dia0_utt{number}.mp4")
    half = home / "dia0_utt3.mp4"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    lengths = [read_clip(clip, num_frames=1).duration for clip in clips]
    lengths = [lengths[0], lengths[1], 2.0, lengths[2], 305.0]
    table, start = ["Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,StartTime,EndTime"], START
    for i, (line, labels, length) in enumerate(zip(LINES, LABELS, lengths, strict=True)):
        times = f'"{_time(start, 2 - i % 2)}","{_time(start + length, 2 - i % 2)}"'
        table.append(f"{i + 1},{line},{('Ada', 'Bela')[i % 2]},{labels},0,{i},{times}")
        start += length + 0.1
    path = folder / "train_sent_emo.csv"
    path.write_bytes("\r\n".join([*table, ""]).encode("cp1252"))
    return path


def _time(seconds: float, digits: int) -> str:
    """As MELD writes it, H:MM:SS,mmm, the hour with so many digits."""
    thousandths = round(1000 * seconds)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:0{digits}d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"
