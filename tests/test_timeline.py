"""Subtitles, picture and page of a reading: right times, whatever the words hold."""

import json
import re
import xml.dom.minidom
from urllib.parse import unquote, urlsplit

import pytest

from mmsa_lib import timeline
from mmsa_lib.errors import DataError
from mmsa_lib.inference import Reading, Utterance
from mmsa_lib.labels import EMOTIONS, SENTIMENTS

NASTY = "a <b>--> & </script><img src=x onerror=alert(1)>\n\n2\n00:00:01,000 --> 00:00:02,000 $data \x07"


def utterance(start, end, text="Hello.", emotion="joy", sentiment="positive") -> Utterance:
    def probabilities(names, likeliest):
        return {name: 0.6 if name == likeliest else 0.4 / (len(names) - 1) for name in names}

    return Utterance(
        start, end, text, probabilities(EMOTIONS, emotion), probabilities(SENTIMENTS, sentiment), ("text", "audio")
    )


@pytest.fixture
def reading():
    utterances = (
        utterance(0.5, 2.25),
        utterance(3601.0, 3602.5, NASTY, "anger", "negative"),
        utterance(3605, 3605, None),
    )
    return Reading("my <film>.mp4", 3610.0, utterances, ("a note & more",))


def test_vtt(reading):
    cues = timeline.to_vtt(reading.utterances).rstrip("\n").split("\n\n")
    assert cues[0] == "WEBVTT" and len(cues) == 4
    assert cues[1] == "1\n00:00:00.500 --> 00:00:02.250\nHello.\n[joy 60%, positive 60%]"
    assert cues[2].startswith("2\n01:00:01.000 --> 01:00:02.500\n") and "<" not in cues[2]
    assert cues[3] == "3\n01:00:05.000 --> 01:00:05.001\n[joy 60%, positive 60%]"
    assert timeline.to_vtt([]) == "WEBVTT\n"


def test_srt(reading):
    cues = timeline.to_srt(reading.utterances).rstrip("\n").split("\n\n")
    assert len(cues) == 3 and cues[0].splitlines()[1] == "00:00:00,500 --> 00:00:02,250"
    assert all(cue.count("-->") == 1 and "<" not in cue for cue in cues)
    assert "\x07" not in cues[1] and len(cues[1].splitlines()) == 4
    assert timeline.to_srt([]) == ""


def test_page_holds_the_words_as_words(reading):
    page = timeline.to_html(reading)
    assert "<img" not in page and "<b>--" not in page and "\x07" not in page
    assert page.count("</script>") == 2 and "my &lt;film&gt;.mp4" in page and "a note &amp; more" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data[1]["t"].startswith("a <b>--> & </script>") and "$data" in data[1]["t"]
    assert [len(u["p"]) for u in data] == [10] * 3 and data[0]["s"] == 0.5
    assert "://" not in page  # nothing is loaded from anywhere
    xml.dom.minidom.parseString(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])


def test_page_plays_a_small_file_from_inside_and_refers_to_a_large_one(reading, tmp_path, monkeypatch):
    video = tmp_path / "films" / "my film #1.mp4"
    video.parent.mkdir()
    video.write_bytes(b"moving")
    address, kind = timeline.source(video, tmp_path / "out")
    assert (address, kind) == ("data:video/mp4;base64,bW92aW5n", "video/mp4")
    monkeypatch.setattr(timeline, "MOST_INLINE", 3)
    address, _ = timeline.source(video, tmp_path / "out")
    assert address == "../films/my%20film%20%231.mp4"
    assert '<video id="media"' in timeline.to_html(reading, (address, kind))
    assert '<audio id="media"' in timeline.to_html(reading, ("a.wav", "audio/wav"))


def test_picture_says_what_it_shows(reading):
    figure = timeline.picture(reading)
    assert figure.alt_text == "Emotion and sentiment over 3610.0 seconds, 3 utterances; likeliest: joy 2, anger 1."
    above, below = figure.axes
    assert len(above.collections) == len(EMOTIONS)
    shades = above.collections[EMOTIONS.index("joy")].get_facecolors()[:, 3]
    assert shades == pytest.approx([0.6, 0.4 / 6, 0.6])
    assert [bar.get_height() for bar in below.patches] == pytest.approx([0.4, -0.4, 0.4])
    assert below.get_xlabel() == "time (min)"


def test_picture_of_nothing():
    assert "0 utterances" in timeline.picture(Reading("x.mp4", 0.0, ())).alt_text


def test_save_leaves_whole_files_only(reading, tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"1")
    paths = timeline.save(Reading("talk.mp4", 10.0, reading.utterances), tmp_path / "out", tmp_path / "v.mp4")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)
    assert {p.suffix for p in paths} == {".json", ".vtt", ".srt", ".html", ".png"}
    saved = json.loads((tmp_path / "out" / "talk.json").read_text(encoding="utf-8"))
    assert saved["duration"] == 10.0 and saved["utterances"][0]["emotion"]["joy"] == 0.6


@pytest.mark.parametrize("name", ["a: part 1.mp4", "50%.mp4", "what?#1.mp4"])
def test_a_page_finds_a_file_of_any_name(tmp_path, monkeypatch, name):
    monkeypatch.setattr(timeline, "MOST_INLINE", 0)
    (tmp_path / name).write_bytes(b"x")
    address, _ = timeline.source(tmp_path / name, tmp_path)
    assert urlsplit(address).scheme == "" and unquote(urlsplit(address).path) == name


def test_another_reading_is_replaced_but_nothing_else(reading, tmp_path):
    paths = timeline.save(reading, tmp_path)
    assert timeline.save(reading, tmp_path) == paths
    paths[0].write_text('{"preset": {}}')
    with pytest.raises(DataError, match="not of an earlier reading"):
        timeline.save(reading, tmp_path)
    assert paths[0].read_text() == '{"preset": {}}'


def test_hours_are_shown_where_there_are_any(reading):
    assert re.findall(r"<button>(.*?)</button>", timeline.to_html(reading)) == [
        "00:00:00.5",
        "01:00:01.0",
        "01:00:05.0",
    ]
    short = Reading("film.mp4", 60.0, reading.utterances[:1])
    assert re.findall(r"<button>(.*?)</button>", timeline.to_html(short)) == ["00:00.5"]
