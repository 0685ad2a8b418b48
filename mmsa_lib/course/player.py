"""The player of a whole reading inside a notebook: bars that follow the sound."""

from html import escape
from pathlib import Path

from mmsa_lib import timeline
from mmsa_lib.course.showing import MOST_BYTES, Html
from mmsa_lib.errors import DataError
from mmsa_lib.inference import Reading


def play(reading: Reading, video: str | Path, height: int = 640) -> Html:
    """A frame with the video, of at most 300 kB, and its reading; it can do nothing to the page around it."""
    video = Path(video)
    if video.stat().st_size > MOST_BYTES:
        size, most = video.stat().st_size // 1000, MOST_BYTES // 1000
        raise DataError(f"{video.name}: {size} kB; a video shown in a notebook has at most {most} kB")
    page = timeline.to_html(reading, timeline.source(video, video.parent))
    title = escape(f"Player of {reading.video} with emotion and sentiment over time")
    html = (
        f'<iframe title="{title}" sandbox="allow-scripts" style="width:100%;height:{height}px;border:1px solid #ddd" '
        f'srcdoc="{escape(page)}"></iframe>'
    )
    return Html(html, f"A player of {reading.video}: {timeline.picture(reading).alt_text}")
