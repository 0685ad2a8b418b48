"""Lesson 09's own parts: what its experiment counts, its pictures, its player."""

import inspect
import json
import subprocess
import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from test_timeline import utterance

from mmsa_lib.course.experiments import own_video
from mmsa_lib.course.pictures import lesson09 as pictures
from mmsa_lib.course.player import play
from mmsa_lib.errors import DataError
from mmsa_lib.inference import Reading
from mmsa_lib.media import SAMPLE_RATE, read_clip
from mmsa_lib.meld import load_split
from mmsa_lib.speech import Spoken

DATA = Path(__file__).resolve().parents[1] / "data" / "mini"


def test_joined_clips_are_the_clips_one_after_the_other(tmp_path):
    clips = list(load_split(DATA, "dev")["clip"][:2])
    spans = own_video.join_clips(clips, tmp_path / "both.mp4")
    whole = read_clip(tmp_path / "both.mp4", num_frames=None)
    parts = [read_clip(clip, num_frames=None) for clip in clips]
    assert len(whole.frames) == sum(len(part.frames) for part in parts)
    assert spans[0][1] == spans[1][0] == pytest.approx(len(parts[0].frames) / 12.5)
    second = whole.waveform[round(spans[1][0] * SAMPLE_RATE) :][:16_000]
    assert np.corrcoef(second, parts[1].waveform[:16_000])[0, 1] > 0.97
    assert [path.name for path in tmp_path.iterdir()] == ["both.mp4"]


def test_words_belong_to_the_utterance_in_whose_time_they_are_heard():
    table = load_split(DATA, "dev").head(3)
    heard = [Spoken(0.2, 1.0, "one"), Spoken(1.1, 1.8, "two"), Spoken(2.3, 3.0, None), Spoken(4.5, 5.0, "three")]
    row = {"index": np.arange(3), "truth": [(0, 2), (2, 4), (4, 6)], "heard": heard}
    assert list(own_video.heard_texts(table, [row])["text"]) == ["one two", "", "three"]
    assert own_video.cuts([row])["one"] == 2 and own_video.cuts([row])["cut"] == 1


def test_word_error_rate_is_over_all_words_not_a_mean_of_rates():
    table = load_split(DATA, "dev").head(2).assign(text=["a b c d e f g h i j", "k"])
    rows = [
        {"index": np.array([0]), "heard": [Spoken(0, 1, "a b c d e f g h i j")]},
        {"index": np.array([1]), "heard": [Spoken(0, 1, "x")]},
    ]
    found = own_video.words(rows, table)
    assert found["rate"] == pytest.approx(1 / 11, abs=1e-4) and found["words"] == 11
    assert found["interval_95"][0] == 0 and found["interval_95"][1] == 1


def test_an_utterance_that_was_not_found_is_a_mistake():
    truth = np.array([0, 0, 1, 1])
    assert own_video.f1(truth, truth) == 1
    assert own_video.f1(truth, np.array([0, -1, 1, 1])) == pytest.approx((2 / 3 + 1) / 2, abs=1e-3)


def test_the_stored_result_is_whole():
    stored = own_video.stored()
    assert stored["words"]["dialogues"] == 27 and stored["cuts"]["true"] == 260
    assert stored["data"] == own_video.data_digest(DATA)
    low, high = stored["words"]["interval_95"]
    assert low < stored["words"]["rate"] < high
    assert len(stored["emotions"]) >= 3 and "video alone" in stored["emotions"][0]


class TestPictures:
    def test_found(self):
        sound = np.sin(np.arange(SAMPLE_RATE)).astype(np.float32)
        spans = {"a": {"loud": [(0.0, 0.5)], "Silero": []}}
        figure = pictures.found({"a": sound}, spans)
        assert (
            figure.alt_text
            == "Speech found. loud on a: 1 stretches, 50% of the time; Silero on a: 0 stretches, 0% of the time."
        )

    def test_edit_table(self):
        table = np.array([[0, 1, 2], [1, 0, 1]])
        figure = pictures.edit_table(["a"], ["a", "b"], table, [(1, 2), (1, 1), (0, 0)])
        assert "1 words said and 2 heard; the last is 1" in figure.alt_text
        assert [t.get_text() for t in figure.axes[0].texts] == ["0", "1", "2", "1", "0", "1"]

    def test_pauses(self):
        shares = {p: {"one": 1 - p, "cut": 0.0, "joined": p, "missed": 0.0} for p in (0.2, 0.5)}
        figure = pictures.pauses(shares, 0.1, 0.4)
        assert "pause of 0.2 seconds, 80%" in figure.alt_text and "find 10%" in figure.alt_text

    def test_cost_of_hearing(self):
        rows = [
            {w: {"emotion": e, "sentiment": 0.9} for w, e in (("given", 0.7 + s), ("heard", 0.5))} for s in (0, 0.1)
        ]
        figure = pictures.cost_of_hearing(rows, ["given", "heard"])
        assert "emotion, given 0.750" in figure.alt_text and len(figure.axes[0].patches) == 2


class TestPlayer:
    def test_a_page_in_a_frame_that_can_do_nothing_outside(self, tmp_path):
        (tmp_path / "v.mp4").write_bytes(b"moving")
        shown = play(Reading("v.mp4", 3.0, (utterance(0.5, 2.0, 'a " <b>'),)), tmp_path / "v.mp4")
        html = shown._repr_html_()
        assert html.startswith("<iframe") and html.count("<") == 2 and 'sandbox="allow-scripts"' in html
        page = unescape(html.split('srcdoc="')[1].split('"></iframe>')[0])
        assert json.loads(page.split('id="data">')[1].split("</script>")[0])[0]["t"] == 'a " <b>'
        assert repr(shown).startswith("A player of v.mp4: Emotion and sentiment over 3.0 seconds")

    def test_a_large_video_is_refused(self, tmp_path):
        (tmp_path / "v.mp4").write_bytes(bytes(400_000))
        with pytest.raises(DataError, match=r"v\.mp4: 400 kB"):
            play(Reading("v.mp4", 3.0, ()), tmp_path / "v.mp4")


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="asks Linux")
def test_memory_is_that_of_the_process_and_not_of_who_started_it():
    block = np.ones(40_000_000)  # 320 MB
    imports = "import re, sys\nfrom pathlib import Path\n"
    code = f"{imports}{inspect.getsource(own_video.peak_megabytes)}\nprint(peak_megabytes())"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 1 < float(child.stdout) < 100 < own_video.peak_megabytes() and len(block)
