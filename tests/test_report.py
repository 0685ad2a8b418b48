"""The page: complete, escaped, bounded, nothing loaded from elsewhere; the command that writes it."""

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from readings import cues, reading
from worlds import write_tiny_clip, write_world

from mmsa_lib import evaluation, experiment, page, plots, report
from mmsa_lib.cli import main
from mmsa_lib.errors import DataError
from mmsa_lib.presets import Preset


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "SHOWN_DPI", 30)
        yield


class Elements(HTMLParser):
    """Every element of a page, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three readable clips, one of them large, one that is none, and none at all."""
    folder = tmp_path_factory.mktemp("clips & <more>")
    for i in range(3):
        write_tiny_clip(folder / f"dia0_utt{i}.mp4", i, np.random.default_rng(i))
    large = folder / "dia0_utt2.mp4"
    large.write_bytes(large.read_bytes() + bytes(report.CLIP_BYTES))
    (folder / "dia0_utt3.mp4").write_bytes(b"not a film")
    return folder


@pytest.fixture(scope="module")
def written(clips, tmp_path_factory):
    own = reading(n=40)
    own.cues = cues(own.labels)
    wrong = evaluation.confident_mistakes(own, 5)
    for place, i in enumerate(wrong[:4]):
        own.table.at[i, "clip"] = clips / f"dia0_utt{place}.mp4"
    found = evaluation.assess(own, [reading(n=40, seed=1)], mistakes=5)
    path = report.write(own, found, tmp_path_factory.mktemp("out") / "deep" / "page.html")
    return path, path.read_text(encoding="utf-8"), own


def test_nothing_is_loaded_from_elsewhere(written):
    elements = Elements(written[1])
    assert elements.open == []
    assert not elements.all("script") and not elements.all("link") and not elements.all("iframe")
    sources = [attrs["src"] for _, attrs in elements.found if "src" in attrs]
    assert len(sources) > 15 and all(source.startswith("data:") for source in sources)
    assert "http" not in re.sub(r'src="[^"]*"', "", written[1]).replace("http-equiv", "")
    assert "default-src 'none'" in written[1] and "url(" not in written[1]


def test_every_picture_has_words_and_every_link_within_the_page_a_target(written):
    elements = Elements(written[1])
    assert all(len(attrs["alt"].split()) >= 4 for attrs in elements.all("img"))
    anchors = {attrs.get("id") for _, attrs in elements.found}
    inside = [a["href"][1:] for a in elements.all("a") if a["href"].startswith("#")]
    assert {"scores", "runs", "calibration", "modalities", "heads", "groups", "mistakes"} <= set(inside) <= anchors


def test_text_from_data_is_escaped(written):
    _, text, own = written
    first = own.table["text"].iat[int(evaluation.confident_mistakes(own, 1)[0])]
    assert "<b>" not in text and page.text(first) in text and "<b>line" in first
    assert "clips & <more>" not in text


def test_small_clips_are_inside_large_ones_linked_and_missing_ones_named(written):
    path, text, _ = written
    elements = Elements(text)
    assert len(elements.all("video")) == 3  # two readable ones and the one that is no film, which is small
    (link,) = [a["href"] for a in elements.all("a") if "dia0_utt2" in a["href"]]
    from urllib.parse import unquote

    assert not link.startswith("/") and (path.parent / unquote(link)).resolve().is_file()
    assert "There is no clip." in text and len(text) < 6_000_000


def test_no_more_than_a_budget_of_clips_is_inside(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ALL_CLIPS_BYTES", 1)
    player, used = report._player(clips / "dia0_utt0.mp4", tmp_path, report.ALL_CLIPS_BYTES)
    assert used == 0 and player.startswith("<p><a href=")


def test_the_numbers_lie_beside_it(written):
    found = json.loads(written[0].with_suffix(".json").read_text())
    assert found["n"] == 40 and len(found["mistakes"]) == 5 and found["comparison"]["runs"][0]["run"] == "run1"
    assert f"{found['emotion']['weighted_f1']:.3f}" in written[1]


def test_a_folder_gets_report_html(tmp_path):
    assert report.page_path(tmp_path / "new") == tmp_path / "new" / "report.html"
    assert report.page_path("a/b.HTM").name == "b.HTM"
    (tmp_path / "x.html").mkdir()
    assert report.page_path(tmp_path / "x.html") == tmp_path / "x.html" / "report.html"


def test_little_is_enough_for_a_page():
    own = reading(n=2, modalities=("audio",), dev=False, train=False)
    text = report.build(own, evaluation.assess(own), report.Path("out"))
    assert "reads audio only" in text and "no dev split" in text


def test_no_mistake_is_said():
    own = reading(n=5)
    own.logits[own.modalities]["emotions"] = 9.0 * np.eye(7)[own.labels["emotion"]]
    assert evaluation.confident_mistakes(own).size == 0
    assert "There are none." in "".join(report._mistakes(own, {"mistakes": []}, report.Path("out")))


def test_cells_of_a_table():
    text = page.table([{"a": 1234, "b": 0.5, "c": "<x>"}, {"a": 1, "b": float("nan"), "c": None}], caption="A & B")
    assert "<td class=n>1,234</td>" in text and "0.500" in text and "&lt;x&gt;" in text and text.count("–") == 2
    assert "A &amp; B" in text and page.table([]) == ""
    assert page.text("half \ud800 of one") == "half ? of one"


# ------------------------------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny world and a run that learned next to nothing from it."""
    root = tmp_path_factory.mktemp("evaluated")
    data = write_world(root / "data", {"train": 7, "dev": 7, "test": 9})
    preset = Preset("all-MiniLM-L6-v2", "r3d_mini", modalities=("text", "audio"), epochs=1)
    experiment.train(preset, data, root / "run", root / "features", num_workers=0, progress=False)
    return root


def mmsa(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["mmsa", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    printed = capsys.readouterr()
    return stop.value.code or 0, printed.out, printed.err


@pytest.mark.end_to_end
def test_the_command_writes_the_page(run, tmp_path, monkeypatch, capsys):
    words = ("evaluate", "--run", run / "run", "--data", run / "data", "--workers", 0, "--report", tmp_path / "out")
    status, out, error = mmsa(monkeypatch, capsys, *words, "--against", run / "run")
    assert status == 0, error
    path = tmp_path / "out" / "report.html"
    assert out.strip().endswith(str(path)) and "this model" in out
    found = json.loads(path.with_suffix(".json").read_text())
    saved = json.loads((run / "run" / "metrics.json").read_text())
    assert found["emotion"]["weighted_f1"] == pytest.approx(saved["emotion"]["weighted_f1"])
    assert found["n"] == 9 and found["calibration"]["emotion"]["fitted_on"] == 7
    assert found["comparison"]["runs"][0]["run"] == "run"
    assert not list(path.parent.glob(".*"))


def test_options_that_do_not_fit_are_one_line(run, tmp_path, monkeypatch, capsys):
    words = ("evaluate", "--run", run / "run", "--data", run / "data", "--workers", 0)
    status, _, error = mmsa(monkeypatch, capsys, *words, "--against", run / "run")
    assert status == 2 and error.count("\n") == 1 and "--report" in error
    status, _, error = mmsa(monkeypatch, capsys, *words, "--report", tmp_path, "--without", "text")
    assert status == 2 and "--without" in error


def test_a_page_that_cannot_be_written_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(report, "build", lambda *_: "")
    with pytest.raises(DataError, match=r"page\.html"):
        report.write(reading(n=2), {}, tmp_path / "file" / "page.html")
