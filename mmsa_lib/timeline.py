"""A reading over time: subtitles, JSON, a picture, a page that plays. Derived in notebooks/09.

Words come from the video, so they are escaped wherever they are written; files appear whole or not at all.
"""

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from matplotlib.colors import to_rgba

from mmsa_lib import page, plots
from mmsa_lib.errors import DataError
from mmsa_lib.files import is_json_with, write_text
from mmsa_lib.inference import Reading, Utterance
from mmsa_lib.labels import EMOTIONS, SENTIMENTS

SUFFIXES = ("json", "vtt", "srt", "html", "png")  # of what `save` writes
MOST_INLINE = 30_000_000  # bytes of a video that a page holds itself; it refers to a larger one
_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/webm"}
_KINDS |= {".wav": "audio/wav", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".flac": "audio/flac"}


def likeliest(probabilities: dict[str, float]) -> str:
    """The name of the largest probability."""
    return max(probabilities, key=probabilities.__getitem__)


def save(reading: Reading, folder: str | Path, video: str | Path | None = None) -> list[Path]:
    """Write a reading as JSON, WebVTT, SRT, PNG and HTML into `folder`; return the paths.

    `video` is the file that was read; the page plays it, from inside itself if it is not too large.
    """
    folder, stem = Path(folder), Path(reading.video).stem or "video"
    check_free(folder, reading.video)
    texts = {
        "json": json.dumps(reading.to_json(), indent=1, ensure_ascii=False) + "\n",
        "vtt": to_vtt(reading.utterances),
        "srt": to_srt(reading.utterances),
        "html": to_html(reading, source(video, folder) if video is not None else None),
    }
    paths = [write_text(folder / f"{stem}.{suffix}", text, errors="replace") for suffix, text in texts.items()]
    return [*paths, plots.save(picture(reading), folder / f"{stem}.png")]


def check_free(folder: str | Path, video: str | Path) -> None:
    """Raise DataError where `save` would replace files that are not those of an earlier reading."""
    paths = [Path(folder) / f"{Path(video).stem or 'video'}.{suffix}" for suffix in SUFFIXES]
    there = [path for path in paths if path.exists()]
    if there and not is_json_with(paths[0], "video", "utterances"):
        raise DataError(f"{there[0]}: is there and not of an earlier reading; choose another folder")


# ------------------------------------------------------------------------------------------ subtitles


def to_vtt(utterances: Sequence[Utterance]) -> str:
    """WebVTT: the words of each utterance, below them what was read."""
    cues = ["WEBVTT"]
    for number, u in enumerate(utterances, start=1):
        words = escape(_line(u.text), quote=False)  # escaped, no text can hold the arrow that ends a cue
        cues.append(
            f"{number}\n{_clock(u.start, '.')} --> {_clock(_end(u), '.')}\n{words}\n{_answer(u)}".replace("\n\n", "\n")
        )
    return "\n\n".join(cues) + "\n"


def to_srt(utterances: Sequence[Utterance]) -> str:
    """SubRip, the same; it knows no escaping, so what looks like a tag or an arrow is taken apart."""
    cues = []
    for number, u in enumerate(utterances, start=1):
        words = _line(u.text).replace("-->", "->").replace("<", "‹").replace(">", "›")
        cues.append(
            f"{number}\n{_clock(u.start, ',')} --> {_clock(_end(u), ',')}\n{words}\n{_answer(u)}".replace("\n\n", "\n")
        )
    return "\n\n".join(cues) + "\n" if cues else ""


def _line(text: str | None) -> str:
    """One line of what can be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text or "").split())


def _end(u: Utterance) -> float:
    return max(u.end, u.start + 0.001)  # players refuse a cue that lasts no time


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, minutes, rest = milliseconds // 3_600_000, milliseconds // 60_000 % 60, milliseconds % 60_000
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _answer(u: Utterance) -> str:
    parts = [f"{(name := likeliest(p))} {p[name]:.0%}" for p in (u.emotion, u.sentiment)]
    return f"[{', '.join(parts)}]"


# ------------------------------------------------------------------------------------------ a picture


@plots.style()
def picture(reading: Reading) -> plots.Picture:
    """Emotion and sentiment over time: a row an emotion, as dark as it is likely; sentiment as positive minus negative.

    Where nothing is drawn, nobody speaks.
    """
    figure = plots.picture(10, 4.2)
    above, below = figure.subplots(2, 1, height_ratios=(2.1, 1), sharex=True)
    spans = [(u.start, max(u.end - u.start, 1e-3)) for u in reading.utterances]
    for row, name in enumerate(EMOTIONS):
        shades = [to_rgba(plots.EMOTION_COLORS[name], u.emotion[name]) for u in reading.utterances]
        above.broken_barh(spans, (row - 0.42, 0.84), facecolors=shades)
    tops = [EMOTIONS.index(likeliest(u.emotion)) for u in reading.utterances]
    above.plot([s + d / 2 for s, d in spans], tops, "o", color=plots.INK, markersize=3.2 if len(spans) < 150 else 1)
    above.set(ylim=(len(EMOTIONS) - 0.5, -0.5), title=plots.plain(f"Emotion in {reading.video} (● the likeliest)", 80))
    above.set_yticks(range(len(EMOTIONS)), EMOTIONS)
    leaning = np.array([u.sentiment["positive"] - u.sentiment["negative"] for u in reading.utterances])
    colors = [plots.SENTIMENT_COLORS[likeliest(u.sentiment)] for u in reading.utterances]
    below.bar([s for s, _ in spans], leaning, [d for _, d in spans], align="edge", color=colors)
    below.axhline(0, color="#888888", linewidth=0.8)
    below.set(ylim=(-1.05, 1.05), xlim=(0, max(reading.duration, 0.1)), xlabel=_axis(below, reading.duration))
    below.set(title="Sentiment: P(positive) − P(negative)")
    below.set_yticks((-1, 0, 1), ("negative", "neutral", "positive"))
    figure.alt_text = _described(reading, tops)
    return figure


def _axis(ax, duration: float) -> str:
    """Minutes for what is long."""
    if duration <= 180:
        return "time (s)"
    ax.xaxis.set_major_formatter(lambda seconds, _: f"{seconds / 60:g}")
    ax.set_xticks(np.arange(0, duration, 60 * max(1, round(duration / 600))))
    return "time (min)"


def _described(reading: Reading, tops: Sequence[int]) -> str:
    counts = {name: tops.count(i) for i, name in enumerate(EMOTIONS) if i in tops}
    listed = ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1]))
    return f"Emotion and sentiment over {reading.duration:.1f} seconds, {len(tops)} utterances; likeliest: {listed}."


# ------------------------------------------------------------------------------------------ a page


def source(video: str | Path, folder: str | Path) -> tuple[str, str]:
    """Address and media type by which a page in `folder` plays a file: the file itself, if it is small enough."""
    video = Path(video)
    kind = _KINDS.get(video.suffix.lower(), "video/mp4")
    if video.stat().st_size <= MOST_INLINE:
        return f"data:{kind};base64,{base64.b64encode(video.read_bytes()).decode('ascii')}", kind
    return page.address(video, Path(folder)), kind


def to_html(reading: Reading, playing: tuple[str, str] | None = None) -> str:
    """A page that needs nothing beside itself: the video, bars that follow it, the timeline, every utterance.

    `playing` is what `source` returns; without it a slider moves through time.
    """
    hours = 0 if reading.utterances and _end(reading.utterances[-1]) >= 3600 else 3  # else they are not shown
    rows = "".join(
        f'<tr data-at="{u.start:.3f}"><td><button>{_clock(u.start, ".")[hours:-2]}</button></td>'
        f"<td>{escape(_line(u.text)) or '–'}</td><td>{escape(_answer(u)[1:-1])}</td>"
        f"<td>{', '.join(u.modalities)}</td></tr>"
        for u in reading.utterances
    )
    data = [
        {
            "s": u.start,
            "e": u.end,
            "t": _line(u.text),
            "p": [*_rounded(u.emotion, EMOTIONS), *_rounded(u.sentiment, SENTIMENTS)],
        }
        for u in reading.utterances
    ]
    colors = [*plots.EMOTION_COLORS.values(), *plots.SENTIMENT_COLORS.values()]
    return _page().substitute(
        title=escape(_line(reading.video)),
        media=_media(reading, playing),
        notes="".join(f"<p class=note>{escape(note)}</p>" for note in reading.notes),
        bars=_bars([*EMOTIONS, *SENTIMENTS], colors),
        line=_svg(reading),
        length=f"{max(reading.duration, 0.1):.3f}",
        rows=rows,
        data=json.dumps(data).replace("<", "\\u003c"),  # nothing in it can end the script
    )


def _page() -> Template:
    return Template(Path(__file__).with_name("timeline.html").read_text(encoding="utf-8"))


def _rounded(probabilities: dict[str, float], names: Sequence[str]) -> list[float]:
    return [round(probabilities[name], 4) for name in names]


def _media(reading: Reading, playing: tuple[str, str] | None) -> str:
    if playing is None:
        return ""
    address, kind = playing
    tag = kind.partition("/")[0]
    label = escape(f"{_line(reading.video)}, {reading.duration:.0f} seconds")
    return f'<{tag} id="media" controls preload="metadata" aria-label="{label}" src="{escape(address)}"></{tag}>'


def _bars(names: Sequence[str], colors: Sequence[str]) -> str:
    bars = "".join(
        f'<div class="bar"><span>{name}</span><i><b style="background:{color}"></b></i><em>–</em></div>'
        for name, color in zip(names, colors, strict=True)
    )
    head, tail = bars.split('<div class="bar"><span>negative', 1)
    return f'<div><h2>emotion</h2>{head}</div><div><h2>sentiment</h2><div class="bar"><span>negative{tail}</div>'


def _svg(reading: Reading) -> str:
    """The likeliest emotion of each utterance along the time, as wide as it lasts; the name as a tip."""
    scale = 1000 / max(reading.duration, 0.1)
    marks = "".join(
        f'<rect x="{scale * u.start:.2f}" width="{max(scale * (u.end - u.start), 0.5):.2f}" height="30" '
        f'fill="{plots.EMOTION_COLORS[likeliest(u.emotion)]}"><title>{escape(_answer(u))}</title></rect>'
        for u in reading.utterances
    )
    return (
        '<svg id="line" viewBox="0 0 1000 30" preserveAspectRatio="none" role="img" '
        f'aria-label="The likeliest emotion over time">{marks}<path id="now" d="M0 0V30" /></svg>'
    )
