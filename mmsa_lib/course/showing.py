"""Showing things in a notebook: a clip that plays, a figure with its alternative text, a clip in one look, a table."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mmsa_lib import plots
from mmsa_lib.errors import DataError
from mmsa_lib.media import SAMPLE_RATE, Clip, read_clip
from mmsa_lib.preprocess import MelSpec, log_mel

MOST_BYTES = 300_000  # an inlined clip makes the notebook four thirds of its size larger
PLAYER_WIDTH = 320  # pixels


class Html:
    """What shows as HTML where a browser is, and as plain text elsewhere."""

    def __init__(self, html: str, text: str) -> None:
        self.html, self.text = html, text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def show_clip(path: str | Path, alt: str) -> Html:
    """A player with sound for a clip of at most 300 kB, inside the notebook; `alt` says what is to be seen."""
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    if not 0 < size <= MOST_BYTES:
        raise DataError(f"{path.name}: {size // 1000} kB; a clip shown in a notebook has between 1 and 300 kB")
    words = escape(" ".join(alt.split()), quote=True)
    video = base64.b64encode(path.read_bytes()).decode("ascii")
    html = (
        f'<figure style="margin:0"><video controls preload="metadata" width="{PLAYER_WIDTH}" '
        f'aria-label="{words}" poster="{_poster(path)}" src="data:video/mp4;base64,{video}">{words}</video>'
        f'<figcaption style="opacity:.75">{words}</figcaption></figure>'
    )
    return Html(html, f"Video clip: {' '.join(alt.split())}")


def _poster(path: Path) -> str:
    """The middle frame as a JPEG data address: what is seen before the clip plays."""
    from PIL import Image

    frames = read_clip(path, num_frames=1, audio=False).frames
    buffer = io.BytesIO()
    Image.fromarray(frames[0]).save(buffer, format="JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def show(drawing: object, alt: str) -> None:
    """Show a figure of matplotlib or seaborn once, with its alternative text, and close it.

    Args:
        drawing: a figure, an axes, or what seaborn returns.
        alt: one sentence that gives the picture's message, numbers included, to who cannot see it.
    """
    from IPython.display import display

    figure = _figure(drawing)
    if not alt.strip():
        raise DataError("a picture needs its alternative text: show(figure, alt='…')")
    if figure.get_layout_engine() is None and not type(drawing).__module__.startswith("seaborn"):
        figure.set_layout_engine("constrained")  # so that no label is cut off; seaborn's grids see to it themselves
    width, height = (round(inches * plots.CSS_DPI) for inches in figure.get_size_inches())
    image = base64.b64encode(plots.to_png(figure, plots.SHOWN_DPI)).decode("ascii")
    words = " ".join(alt.split())
    metadata = {"image/png": {"width": width, "height": height, "alt": words}}
    display({"image/png": image, "text/plain": words}, metadata=metadata, raw=True)
    _close(figure)


def _figure(drawing: object) -> Figure:
    if isinstance(drawing, np.ndarray) and drawing.size:
        drawing = drawing.flat[0]
    figure = drawing if isinstance(drawing, Figure) else getattr(drawing, "figure", None)
    if not isinstance(figure, Figure):
        raise DataError(f"show takes a figure or its axes, not a {type(drawing).__name__}")
    return figure


def _close(figure: Figure) -> None:
    """Else the inline backend would show it a second time, without words."""
    import matplotlib.pyplot as plt

    plt.close(figure)


@plots.style()
def strip(path: str | Path, row: Mapping | pd.Series | None = None) -> plots.Picture:
    """A clip in one look: its frames, its waveform and its log-mel spectrogram on one time axis.

    `row` of the annotation table adds what is said, by whom, and the labels, as the title.
    """
    clip = read_clip(path, num_frames=8)
    figure = plots.picture(10, 5.2)
    frames, wave, mel = figure.subplots(3, 1, height_ratios=(1.5, 0.9, 1.3))
    plots._frames(frames, clip.frames, clip.frame_times, 8)
    seconds, peak = plots._wave(wave, clip.waveform, SAMPLE_RATE)
    wave.set_ylabel("amplitude")
    _draw_mel(mel, clip)
    if seconds:
        wave.set_xlabel("")
        wave.tick_params(labelbottom=False)
    if row is not None:
        said, details = _caption(row)
        frames.set_title("\n".join(filter(None, (plots.wrapped(said, 9 * 72, 11, most=2), plots.plain(details)))))
    about = f" of {' '.join(filter(None, _caption(row)))}" if row is not None else ""
    figure.alt_text = (
        f"A clip{about}: frames over {clip.duration:.2f} seconds, waveform with peak amplitude {peak:.2f}, "
        "and log-mel spectrogram below it."
    )
    return figure


def _draw_mel(ax, clip: Clip) -> None:
    """Power in decibels: unlike what a network reads, bands are not centred, so that an empty one looks empty."""
    if clip.waveform is None:
        plots._nothing(ax, "no audio")
        return
    spec = MelSpec()
    mel = 10 * np.log10(log_mel(clip.waveform, replace(spec, log=False)).numpy() + spec.floor)
    end = len(clip.waveform) / SAMPLE_RATE
    ax.grid(False)
    ax.imshow(mel, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=(0, end, 0, len(mel)))
    marks = {250: "250", 500: "500", 1000: "1k", 2000: "2k", 4000: "4k", 8000: "8k"}
    ax.set_yticks([_mel(hertz) / _mel(SAMPLE_RATE / 2) * len(mel) for hertz in marks], marks.values())
    ax.set(xlabel="time (s)", ylabel="frequency (Hz)")


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _caption(row: Mapping | pd.Series) -> tuple[str, str]:
    """What is said; by whom and how, as far as the row knows."""
    details = [str(row[key]) for key in ("speaker", "emotion", "sentiment") if key in row]
    return (f"“{row['text']}”" if "text" in row else ""), (f"({', '.join(details)})" if details else "")


def table(rows: pd.DataFrame | Iterable[Mapping], caption: str = "", decimals: int = 3, index: bool = False) -> Html:
    """Rows as a clean HTML table: cells escaped, numbers right-aligned with `decimals` places."""
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    frame = frame.reset_index() if index else frame
    cells = [[_cell(value, decimals) for value in row] for row in frame.itertuples(index=False, name=None)]
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    head = "".join(_element("th", str(name), right) for name, right in zip(frame.columns, numeric, strict=True))
    body = "".join(
        f"<tr>{''.join(_element('td', cell, right) for cell, right in zip(row, numeric, strict=True))}</tr>"
        for row in cells
    )
    title = f'<caption style="text-align:left;opacity:.75">{escape(caption)}</caption>' if caption else ""
    html = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    text = pd.DataFrame(cells, columns=frame.columns).to_string(index=False)
    return Html(html, f"{caption}\n{text}" if caption else text)


def _element(name: str, text: str, right: bool) -> str:
    return f'<{name} style="text-align:{"right" if right else "left"}">{escape(text)}</{name}>'


def _cell(value: object, decimals: int) -> str:
    if isinstance(value, float | np.floating):
        return "–" if np.isnan(value) else f"{value:.{decimals}f}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return "–" if value is None else str(value)
