"""The same program on far more video than MELD, on paper: every number computed from measured ones."""

from collections.abc import Mapping
from math import ceil

from mmsa_lib.shards import CHUNK_SIZES

BEGIN, END = "<!-- plan: begin (make bench WRITE=1) -->", "<!-- plan: end -->"
START_SECONDS = 60  # that a process may spend looking at what is there
HOUR = 3_600


def to_markdown(rates: Mapping[str, float], hours: float, cores: int) -> str:
    """What `hours` of video in clips take, and what a part may hold before a process starts too slowly.

    `rates` are those of `mmsa_lib.bench.rates.measure`; the work is shared evenly by `cores`.
    """
    clips = hours * HOUR / rates["lasts"]
    lines = ["| what | a clip, measured | all of it |", "|:--|--:|--:|"]
    lines.append(f"| clips | {rates['lasts']:.2f} s | {clips:,.0f} |")
    lines.append(f"| files to read | {bytes_of(rates['file'])} | {bytes_of(clips * rates['file'])} |")
    names = {"decode": "decoding to frames and log-mel", "video": "R3D-18", "text": "BERT-base"}
    for key, name in names.items():
        lines.append(f"| {name} | {digits(1e3 * rates[key])} ms of a core | {core_hours(clips * rates[key])} |")
    total = clips * sum(rates[key] for key in names)
    lines.append(f"| all three, on {cores:,} cores | | {digits(total / HOUR / cores)} hours |")
    for modality, size in CHUNK_SIZES.items():
        kept = rates[f"kept_{modality}"]
        amount = f"{bytes_of(clips * kept)} in {ceil(clips / size):,} shards"
        lines.append(f"| {modality} features | {bytes_of(kept)} | {amount} |")
    start = f"{digits(clips * rates['start'] / 60)} minutes in every process"
    lines.append(f"| start of a process, one modality | {1e6 * rates['start']:,.0f} µs | {start} |")
    memory = f"{bytes_of(clips * rates['row_memory'])} in every process"
    lines.append(f"| the table in memory | {bytes_of(rates['row_memory'])} | {memory} |")
    whole = digits(clips * rates["epoch"] / HOUR)
    lines.append(
        f"| an epoch from features, one machine like this | {digits(1e3 * rates['epoch'])} ms | {whole} hours |"
    )
    part = START_SECONDS / rates["start"]
    lines.append(
        f"| clips in a part that starts within {START_SECONDS} s | | {part:,.0f}, so {ceil(clips / part):,} parts |"
    )
    return "\n".join(lines)


def digits(number: float) -> str:
    """At least three digits, never in powers of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def core_hours(seconds: float) -> str:
    return f"{digits(seconds / HOUR)} core-hours"


def bytes_of(number: float) -> str:
    """Decimal units, three digits."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} bytes"
