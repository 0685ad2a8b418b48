"""MELD's tables and folders: what is found, what is read, and what is refused in one line."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsa_lib.errors import DataError
from mmsa_lib.labels import EMOTIONS, SENTIMENTS
from mmsa_lib.meld import SPLITS, clip_paths, find_layout, load_meld, load_split, read_annotations

HEADER = ["Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"]
HEADER += ["Season", "Episode", "StartTime", "EndTime"]
ROWS = [
    line.split("|")
    for line in (
        "1|The kettle’s boiling, isn’t it…|Ines|neutral|neutral|0|0|2|7|00:01:02,500|00:01:04,000",
        "2|You drank my tea?|Tomás|surprise|negative|0|1|2|7|0:01:04.250|0:01:06.1",
        "5|Twice, “by accident”|Ines|joy|positive|3|0|2|8|1:00:00,000|1:00:00,010",
    )
]


def table(rows=ROWS, header=HEADER) -> str:
    """CSV text with the line ends of the official files."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([header, *rows])
    return text.getvalue()


def changed(row: int, column: str, value: str) -> list[list[str]]:
    rows = [list(cells) for cells in ROWS]
    rows[row][HEADER.index(column)] = value
    return rows


@pytest.fixture
def write(tmp_path):
    def write_table(content=None, name="train_sent_emo.csv", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = table(**options) if content is None else content
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write_table


def refusal(path, split="train") -> str:
    """The message of the error that reading gives: one line that starts with the file."""
    with pytest.raises(DataError) as caught:
        read_annotations(path, split)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(f"{path}: ")


# ---------------------------------------------------------------- reading


def test_typed_table_in_the_order_of_the_file(write):
    frame = read_annotations(write(), "train")
    assert frame.columns.tolist() == [
        "split", "dialogue_id", "utterance_id", "speaker", "text", "emotion", "sentiment", "start", "end",
        "season", "episode", "sr_no",
    ]  # fmt: skip
    assert frame["split"].tolist() == ["train"] * 3
    assert frame["dialogue_id"].tolist() == [0, 0, 3] and frame["utterance_id"].tolist() == [0, 1, 0]
    assert frame["dialogue_id"].dtype == np.int64 and str(frame["season"].dtype) == "Int64"
    assert frame["speaker"].tolist() == ["Ines", "Tomás", "Ines"]
    assert frame["text"].tolist() == [row[1] for row in ROWS]
    assert frame["emotion"].cat.categories.tolist() == list(EMOTIONS)
    assert frame["sentiment"].cat.categories.tolist() == list(SENTIMENTS)
    assert frame["emotion"].tolist() == ["neutral", "surprise", "joy"]
    assert frame["start"].tolist() == [62.5, 64.25, 3600.0]
    assert frame["end"].tolist() == pytest.approx([64.0, 66.1, 3600.01])
    assert frame["sr_no"].tolist() == [1, 2, 5] and frame["episode"].tolist() == [7, 7, 8]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_encodings_and_line_ends_give_the_same_table(write, encoding, line_end):
    plain = read_annotations(write(), "train")
    other = read_annotations(write(table().replace("\r\n", line_end).encode(encoding)), "train")
    pd.testing.assert_frame_equal(plain, other)


def test_lines_of_both_encodings_in_one_file(write):
    first, *rest = table().splitlines(keepends=True)
    content = first.encode() + rest[0].encode("cp1252") + b"".join(line.encode() for line in rest[1:])
    assert read_annotations(write(content), "train")["text"].tolist() == [row[1] for row in ROWS]


def test_cp1252_once_taken_for_latin_1_is_mended(write):
    content = table().encode("cp1252").decode("latin-1").encode("utf-8")
    assert b"\xc2\x92" in content
    assert read_annotations(write(content), "train")["text"].tolist() == [row[1] for row in ROWS]


def test_bytes_of_no_encoding_are_kept_as_latin_1(write):
    content = table(rows=changed(0, "Utterance", "a?b")).encode("cp1252").replace(b"a?b", b"a\x81b")
    assert read_annotations(write(content), "train")["text"][0] == "a\x81b"


def test_names_and_labels_in_any_case(write):
    header = [name.upper().replace("_", " ") + " " for name in HEADER]
    frame = read_annotations(write(rows=changed(0, "Emotion", "  Neutral "), header=header), "train")
    assert frame["emotion"].tolist() == ["neutral", "surprise", "joy"]


def test_needed_columns_are_enough(write):
    keep = [HEADER.index(name) for name in ("Utterance_ID", "Dialogue_ID", "Sentiment", "Emotion", "Utterance")]
    rows = [[row[i] for i in keep] for row in ROWS]
    frame = read_annotations(write(rows=rows, header=[HEADER[i] for i in keep]), "dev")
    assert frame["dialogue_id"].tolist() == [0, 0, 3]
    assert frame[["start", "end", "season", "episode", "sr_no"]].isna().all(axis=None)
    assert frame["speaker"].tolist() == ["", "", ""]


@pytest.mark.parametrize("time", ["", "noon", "1:2", "00:00:00:00", "-1:00:00,000"])
def test_unreadable_times_are_unknown(write, time):
    assert np.isnan(read_annotations(write(rows=changed(0, "StartTime", time)), "train")["start"][0])


def test_silent_utterance_keeps_its_row(write):
    assert read_annotations(write(rows=changed(1, "Utterance", " ")), "train")["text"][1] == ""


def test_text_may_look_like_missing_and_span_lines(write):
    rows = changed(0, "Utterance", "NA")
    rows[1][1] = 'Two\nlines, "quoted"'
    assert read_annotations(write(rows=rows), "train")["text"].tolist()[:2] == ["NA", rows[1][1]]


def test_table_without_rows(write):
    frame = read_annotations(write(rows=[]), "test")
    assert len(frame) == 0 and frame["emotion"].cat.categories.tolist() == list(EMOTIONS)


def test_blank_lines_and_ids_of_a_spreadsheet(write):
    text = table(rows=changed(2, "Dialogue_ID", "3.0")).replace("\r\n", "\r\n\r\n") + ",,,,,,,,,,,,\r\n"
    assert read_annotations(write(text), "train")["dialogue_id"].tolist() == [0, 0, 3]


# ---------------------------------------------------------------- refusing


@pytest.mark.parametrize("column", ["Utterance", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"])
def test_missing_column(write, column):
    at = HEADER.index(column)
    rows = [row[:at] + row[at + 1 :] for row in ROWS]
    assert refusal(write(rows=rows, header=HEADER[:at] + HEADER[at + 1 :])) == f"no column {column}"


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("Emotion", "hapy", "line 3: unknown emotion 'hapy' (one of anger, disgust, fear,"),
        ("Sentiment", "", "line 3: unknown sentiment '' (one of negative, neutral, positive)"),
        ("Dialogue_ID", "seven", "line 3: Dialogue_ID 'seven' is not a whole number"),
        ("Utterance_ID", "1.5", "line 3: Utterance_ID '1.5' is not a whole number"),
        ("Utterance_ID", "-1", "line 3: Utterance_ID '-1' is not a whole number"),
        ("Utterance_ID", "0", "lines 2 and 3: both are dialogue 0 utterance 0"),
        ("Dialogue_ID", "9" * 60, "line 3: Dialogue_ID '9999999999"),
    ],
)
def test_bad_value_is_named_with_its_line(write, column, value, message):
    assert refusal(write(rows=changed(1, column, value))).startswith(message)


def test_lines_are_those_of_the_file_whatever_is_quoted(write):
    rows = changed(1, "Emotion", "hapy")
    rows[0][1] = "one\r\ntwo\r\nthree"
    assert refusal(write(rows=rows)).startswith("line 5: unknown emotion")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "empty file"),
        (b"\xef\xbb\xbf", "empty file"),
        (b" \r\n\r\n", "empty file"),
        (table().encode("utf-16"), "holds NUL bytes"),
        (table().replace(",", ";").encode(), "no column Utterance"),
        (table().replace(",", "\t").encode(), "no column Utterance"),
        (table().replace('"', "", 1).encode(), "line 2: 12 fields, expected 11"),
        (table().encode() + b'7,"no end', "line 5: not valid CSV"),
        (table().encode() + b"7,too,few\r\n", "line 5: 3 fields, expected 11"),
        (b"\x00\xff" * 100, "holds NUL bytes"),
        ((",".join(HEADER) + "\n" + "x" * 200_000).encode(), "line 2: not valid CSV"),
    ],
)
def test_what_is_not_a_table(write, content, message):
    assert refusal(write(content)).startswith(message)


def test_what_is_not_a_file(tmp_path):
    assert refusal(tmp_path) and refusal(tmp_path / "none.csv") == "No such file or directory"
    assert refusal("a\0b.csv")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_table_or_a_data_error(write, data):
    good = table().encode(data.draw(st.sampled_from(["utf-8", "cp1252"])))
    noise = st.binary(max_size=12) | st.sampled_from([b'"', b",", b"\r", b"\n", b"\0", b"\xe2\x80", b"1e9", b"\x1c"])
    content = bytearray(good if data.draw(st.booleans()) else data.draw(st.binary(max_size=200)))
    for piece in data.draw(st.lists(noise, max_size=6)):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 5))] = piece
    try:
        frame = read_annotations(write(bytes(content)), "train")
        assert not frame.duplicated(["dialogue_id", "utterance_id"]).any()
    except DataError as error:
        assert "\n" not in str(error) and "\r" not in str(error)


# ---------------------------------------------------------------- finding


def clip(folder, name="dia0_utt0.mp4"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    return folder


OFFICIAL = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
LAYOUTS = {
    "beside": ("", "{folder}"),
    "tables below": ("data/MELD", "{folder}"),
    "clips below": ("", "MELD.Raw/{folder}"),
    "nested": ("MELD.Raw", "MELD.Raw/{split}/{folder}"),
    "two trees": ("MELD/data/MELD", "MELD/MELD.Raw/{split}/{folder}"),
    "plain": ("annotations", "{split}"),
    "capitals": ("", "{upper}"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_people_have(tmp_path, write, name):
    tables, folders = LAYOUTS[name]
    expected = {}
    for split, folder in OFFICIAL.items():
        write(name=f"{tables}/{split}_sent_emo.csv" if tables else f"{split}_sent_emo.csv")
        folder = folders.format(folder=folder, split=split, upper=split.upper())
        expected[split] = clip(tmp_path / folder)
    layout = find_layout(tmp_path)
    assert layout.csvs == {split: tmp_path / tables / f"{split}_sent_emo.csv" for split in SPLITS}
    assert layout.clip_dirs == expected
    assert [len(frame) for frame in load_meld(tmp_path).values()] == [3, 3, 3]


@pytest.mark.parametrize("start", [".", "inner", "inner/train_splits", ".."])
def test_root_may_lie_above_or_below(tmp_path, write, start):
    path = write(name="top/inner/train_sent_emo.csv")
    clip(tmp_path / "top/inner/train_splits")
    layout = find_layout(tmp_path / "top" / start)
    assert layout.csvs == {"train": path} and layout.clip_dirs["train"] == path.parent / "train_splits"


def test_tables_one_level_below_the_clips_given_alone(tmp_path, write):
    write(name="annotations/train_sent_emo.csv")
    clip(tmp_path / "train_splits")
    assert find_layout(tmp_path / "annotations").clip_dirs == {"train": tmp_path / "train_splits"}


def test_clips_of_another_table_are_not_taken(tmp_path, write):
    write(name="a/train_sent_emo.csv")
    write(name="b/train_sent_emo.csv")
    clip(tmp_path / "b/train_splits")
    assert find_layout(tmp_path).clip_dirs == {"train": None}
    write(name="train_sent_emo.csv")
    clip(tmp_path / "train_splits")
    assert find_layout(tmp_path / "a").clip_dirs == {"train": None}


def test_closest_clips_win(tmp_path, write):
    write(name="train_sent_emo.csv")
    clip(tmp_path / "a/b/train_splits")
    assert find_layout(tmp_path).clip_dirs == {"train": tmp_path / "a/b/train_splits"}
    clip(tmp_path / "z/train")
    assert find_layout(tmp_path).clip_dirs == {"train": tmp_path / "z/train"}


def test_closest_table_wins(tmp_path, write):
    write(name="a/deep/train_sent_emo.csv")
    near = write(name="z/train_sent_emo.csv")
    write(name="zz/train_sent_emo.csv")
    assert find_layout(tmp_path).csvs == {"train": near}


def test_traps_of_other_systems(tmp_path, write):
    write(name="._train_sent_emo.csv")
    write(name="__MACOSX/._train_sent_emo.csv")
    write(name=".hidden/train_sent_emo.csv")
    path = write(name="x/train_sent_emo.csv")
    clip(tmp_path / "x/train_splits", "._dia0_utt0.mp4")
    assert find_layout(tmp_path).csvs == {"train": path}
    assert find_layout(tmp_path).clip_dirs == {"train": None}
    (tmp_path / "x/loop").symlink_to(tmp_path)
    assert find_layout(tmp_path).csvs == {"train": path}


def test_nothing_found_says_what_was_looked_for(tmp_path):
    (tmp_path / "deep/er/still").mkdir(parents=True)
    with pytest.raises(DataError, match=r"none of train_sent_emo\.csv, dev_sent_emo\.csv, test_sent_emo\.csv"):
        find_layout(tmp_path / "deep/er/still")
    with pytest.raises(DataError, match="no such folder"):
        find_layout(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="not a folder"):
        find_layout(tmp_path / "file")


def test_rows_get_their_clips(tmp_path, write):
    write(name="test_sent_emo.csv")
    folder = tmp_path / "output_repeated_splits_test"
    names = "dia0_utt0.avi dia0_utt0.mp4 dia0_utt0.webm dia0_utt1.MOV dia3_utt9.mp4 ._dia3_utt0.mp4 dia3_utt0.txt"
    for name in (*names.split(), "final_videos_testdia3_utt0.mp4"):
        clip(folder, name)
    (folder / "dia3_utt0.mp4").mkdir()
    frame = load_split(tmp_path, "test")
    assert frame["clip"].tolist() == [folder / "dia0_utt0.mp4", folder / "dia0_utt1.MOV", None]
    assert frame["clip"].dtype == object
    assert sorted(clip_paths(folder)) == [(0, 0), (0, 1), (3, 9)]
    assert list(load_meld(tmp_path)) == ["test"]
    with pytest.raises(DataError, match=r"no train_sent_emo\.csv \(found: test\)"):
        load_split(tmp_path, "train")


def test_tables_alone(tmp_path, write):
    write()
    assert load_split(find_layout(tmp_path), "train")["clip"].tolist() == [None] * 3
    with pytest.raises(DataError, match="No such file"):
        clip_paths(tmp_path / "none")


def test_folder_is_read_once_and_no_clip_is_touched(tmp_path, write, monkeypatch):
    write(rows=[[*ROWS[0][:6], str(i), *ROWS[0][7:]] for i in range(50)])
    for i in range(50):
        clip(tmp_path / "train_splits", f"dia0_utt{i}.mp4")
    layout, scans, scandir = find_layout(tmp_path), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: scans.append(folder) or scandir(folder))
    monkeypatch.setattr(os, "stat", lambda *a, **k: pytest.fail("a clip was looked at by itself"))
    assert load_split(layout, "train")["clip"].notna().all()
    assert scans == [tmp_path / "train_splits"]


def test_a_folder_that_may_not_be_entered_is_passed_over(tmp_path, write, monkeypatch):
    write()
    (tmp_path / "lost+found").mkdir()

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refused)  # what it does there; as root nothing is forbidden
    assert list(find_layout(tmp_path).csvs) == ["train"]
