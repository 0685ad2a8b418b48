"""Tables that a command keeps up to date in a README: what stands between two comments is replaced."""

from pathlib import Path

from mmsa_lib.errors import DataError
from mmsa_lib.files import write_text


def put_between(readme: Path, begin: str, end: str, text: str) -> bool:
    """Put `text` between two lines that occur once each; say whether that changed anything."""
    old = readme.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1:
        raise DataError(f"{readme}: needs the lines {begin!r} and {end!r} once each")
    before, rest = old.split(begin)
    new = f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"
    if new == old:
        return False
    write_text(readme, new)
    return True
