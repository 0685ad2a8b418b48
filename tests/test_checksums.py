"""The list of checksums: names of any kind come back from it, and those that cannot are refused."""

import pytest

from mmsa_lib.checksums import SUMS_FILE, read_sums, write_sums
from mmsa_lib.errors import DataError

SHA = "0123456789abcdef" * 4
NO_LINE_ENDS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\udce9"]


@pytest.mark.parametrize("odd", NO_LINE_ENDS)
def test_what_only_python_takes_for_a_line_end_may_be_in_a_name(tmp_path, odd):
    sums = {"a.mp4": SHA, f"b{odd}c.mp4": SHA, f"d{odd}": SHA}
    write_sums(tmp_path, sums)
    assert read_sums(tmp_path) == sums


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\rb.mp4", "a.mp4\r", "\n"])
def test_a_name_with_a_line_break_is_refused_on_one_line(tmp_path, name):
    with pytest.raises(DataError) as caught:
        write_sums(tmp_path, {"c.mp4": SHA, name: SHA})
    assert repr(name) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / SUMS_FILE).exists()


@pytest.mark.parametrize(
    ("content", "names"), [("", []), (f"{SHA}  a\n", ["a"]), (f"{SHA} *a\r\n{SHA}  b", ["a", "b"])]
)
def test_line_ends_of_other_programs(tmp_path, content, names):
    (tmp_path / SUMS_FILE).write_bytes(content.encode())
    assert list(read_sums(tmp_path)) == names


@pytest.mark.parametrize("content", [f"{SHA}  a\n\n{SHA}  b\n", f"{SHA}  a\n{SHA[1:]}  b\n"])
def test_a_line_that_is_none_is_named(tmp_path, content):
    (tmp_path / SUMS_FILE).write_bytes(content.encode())
    with pytest.raises(DataError, match="SHA256SUMS: line 2 is not a SHA-256"):
        read_sums(tmp_path)
