"""A page of HTML that needs nothing beside itself: text escaped, pictures inside, nothing loaded from anywhere."""

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from mmsa_lib import plots

# A browser that heeds it loads nothing but what is in the file, whatever the data smuggled into it.
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem; margin: 0 auto;
       padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: .6rem 0 .2rem; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .4rem; padding-top: .6rem; border-top: 2px solid #eee; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
nav a { margin-right: .9rem; }
figure { margin: .6rem 0; }
img, video { max-width: 100%; height: auto; }
figcaption, .quiet { color: #555; font-size: .92rem; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .93rem; }
caption { text-align: left; color: #555; padding-bottom: .2rem; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid #eee; vertical-align: top; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.n, th.n { text-align: right; }
.wide { overflow-x: auto; }
article { border: 1px solid #ddd; border-radius: 8px; padding: .6rem 1rem; margin: 1rem 0; break-inside: avoid; }
blockquote { margin: .2rem 0 .4rem; font-size: 1.05rem; font-style: italic; overflow-wrap: anywhere; }
"""


def address(file: Path, folder: Path) -> str:
    """From a page in `folder` to a file: relative, so that both can move together; else where the file lies."""
    try:
        return quote(Path(os.path.relpath(file.absolute(), folder.absolute())).as_posix())
    except ValueError:  # another drive on Windows
        return file.absolute().as_uri()


def document(title: str, body: Iterable[str]) -> str:
    """The whole page; `body` is HTML already."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title><style>{CSS}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def text(words: object) -> str:
    """Words from anywhere as HTML: escaped, without characters that UTF-8 cannot hold."""
    return escape(str(words).encode("utf-8", "replace").decode("utf-8"), quote=True)


def paragraph(words: str, quiet: bool = False) -> str:
    return f"<p{' class=quiet' if quiet else ''}>{text(words)}</p>"


def heading(words: str, level: int = 2, anchor: str = "") -> str:
    mark = f' id="{text(anchor)}"' if anchor else ""
    return f"<h{level}{mark}>{text(words)}</h{level}>"


def picture(figure: plots.Picture, caption: str = "") -> str:
    """A figure as PNG inside the page, with its alternative text and size."""
    width, height = (round(inches * plots.CSS_DPI) for inches in figure.get_size_inches())
    data = base64.b64encode(plots.to_png(figure, plots.SHOWN_DPI)).decode("ascii")
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><img alt="{text(figure.alt_text)}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{data}">{below}</figure>'
    )


def table(rows: Sequence[Mapping[str, object]], caption: str = "") -> str:
    """Rows with the same keys; a number is right-aligned and given three decimals."""
    if not rows:
        return ""
    numeric = {key for key in rows[0] if all(isinstance(row[key], int | float) for row in rows)}
    head = "".join(f"<th{_side(key, numeric)}>{text(key)}</th>" for key in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td{_side(key, numeric)}>{text(_cell(row[key]))}</td>' for key in rows[0])}</tr>"
        for row in rows
    )
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _side(key: str, numeric: set[str]) -> str:
    return " class=n" if key in numeric else ""


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def video(content: bytes, description: str) -> str:
    """A player for an mp4 that is inside the page."""
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<video controls preload="metadata" width="320" aria-label="{text(description)}" '
        f'src="data:video/mp4;base64,{data}"></video>'
    )


def link(address: str, words: str) -> str:
    return f'<a href="{text(address)}">{text(words)}</a>'
