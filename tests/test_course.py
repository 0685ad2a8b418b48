"""What notebooks call: claims, comparisons, traps, pictures, tables, the table of lessons, the embedded data."""

import json
import re
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output

from mmsa_lib import course, plots
from mmsa_lib.course import colab, session, traps
from mmsa_lib.course.claims import ClaimError, agreement, assert_same, claim
from mmsa_lib.course.execute import write
from mmsa_lib.course.lessons import GENERATED, LESSONS, STAGES, colab_badge, course_url, generate, lesson_of, setup_cell
from mmsa_lib.course.overview import course_map
from mmsa_lib.course.showing import show, show_clip, strip, table
from mmsa_lib.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
HTML = re.compile(r"<[^>]+>")


@pytest.fixture
def displayed(monkeypatch) -> list[tuple[dict, dict]]:
    """(data, metadata) of what is displayed meanwhile."""
    seen = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: seen.append((data, metadata)))
    return seen


# ------------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize("truth", [True, np.True_, np.array(True), torch.tensor(True), torch.tensor(1) < 2])
def test_a_true_claim_is_printed(truth, capsys) -> None:
    claim("so it is", truth)
    assert capsys.readouterr().out == "✓ so it is\n"


@pytest.mark.parametrize("untruth", [False, np.False_, torch.tensor(False)])
def test_a_false_claim_is_one_line(untruth) -> None:
    with pytest.raises(ClaimError, match=r"^✗ not true: so it is$") as error:
        claim("so it is", untruth)
    assert error.value._render_traceback_() == ["✗ not true: so it is"]


@pytest.mark.parametrize(
    "number", [1, 0.5, np.float64(1), torch.tensor(1.0), torch.tensor([True]), np.array([True]), "yes", None, [1]]
)
def test_a_claim_needs_a_comparison(number) -> None:
    with pytest.raises(ClaimError, match="needs a comparison"):
        claim("so it is", number)


@pytest.mark.parametrize(
    ("ours", "library", "said"),
    [
        (torch.ones(2), torch.ones(2), "identical"),
        (torch.tensor([1.0]), np.array([1.0]), "identical"),
        (torch.tensor([1.0 + 5e-7], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64), "same to 1e-6"),
        ({"a": [1.0, (2.0,)], "b": "x"}, {"b": "x", "a": [1.0, (2.0,)]}, "identical"),
        (float("nan"), np.float32("nan"), "identical"),
        (float("inf"), torch.tensor(torch.inf), "identical"),
        (torch.zeros(0, 3), torch.zeros(0, 3), "identical"),
        (torch.tensor([1, 2]), [1, 2], None),
        (torch.nn.Parameter(torch.ones(1)), torch.ones(1), "identical"),
        (torch.ones(1, dtype=torch.bfloat16), torch.ones(1), "identical"),
    ],
)
def test_equal_results_agree(ours, library, said: str | None, capsys) -> None:
    if said is None:
        with pytest.raises(ClaimError):
            assert_same(ours, library)
        return
    assert_same(ours, library)
    assert capsys.readouterr().out == f"✓ {said}\n"


@pytest.mark.parametrize(
    ("ours", "library", "said"),
    [
        (torch.zeros(2), torch.ones(2), r"differ by up to 1, more than 1e-06"),
        (torch.ones(2), torch.ones(1, 2), r"the shapes are \(2,\) and \(1, 2\)"),
        ({"a": 1}, {"b": 1}, r"the keys are a and b"),
        ({"a": {"b": torch.zeros(1)}}, {"a": {"b": torch.zeros(2)}}, r"at 'a' at 'b'"),
        ([1.0], [1.0, 2.0], r"a list of 1 and a list of 2"),
        (torch.tensor([1, 3]), torch.tensor([1, 4]), r"1 of 2 values differ"),
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, 2.0]), r"1 of 2 values differ"),
        (None, torch.ones(1), r"None and a Tensor \(1,\)"),
        ("a", "b", r"'a' and 'b'"),
    ],
)
def test_different_results_do_not(ours, library, said: str) -> None:
    with pytest.raises(ClaimError, match=said):
        assert_same(ours, library)


def test_agreement_reads_the_same_on_another_processor() -> None:
    assert agreement(2.3e-7) == agreement(8.9e-7) == "same to 1e-6"


# -------------------------------------------------------------------------------------------- traps


def test_a_trap_is_shown_and_stored(displayed) -> None:
    course.trap("BGR <taken> for RGB", right=0.455, wrong=np.float64(0.412), spread=0.012, note="embedded data")
    (data, metadata) = displayed[0]
    assert data["text/plain"] == (
        "Trap: BGR <taken> for RGB changes weighted F1 by −0.043 ± 0.012 (0.455 → 0.412; embedded data)"
    )
    assert "BGR &lt;taken&gt; for RGB" in data["text/html"]
    assert json.loads(json.dumps(metadata)) == {
        "mmsa_trap": {
            "name": "BGR <taken> for RGB",
            "right": 0.455,
            "wrong": 0.412,
            "metric": "weighted F1",
            "spread": 0.012,
            "note": "embedded data",
        }
    }


def test_a_cost_within_its_uncertainty_says_so() -> None:
    lost = traps.Trap("x", right=0.45, wrong=0.44, spread=0.02)
    assert "not beyond its uncertainty" in traps.to_text(lost)
    assert "not beyond its uncertainty" in traps.to_html(lost)
    assert "uncertainty" not in traps.to_text(traps.Trap("x", right=0.45, wrong=0.44))


@pytest.mark.parametrize("bad", [{"right": float("nan")}, {"wrong": float("inf")}, {"spread": float("nan")}])
def test_a_trap_without_a_number_is_refused(bad: dict) -> None:
    with pytest.raises(DataError, match="finite"):
        course.trap("x", **{"right": 1.0, "wrong": 1.0, **bad})


def test_seconds_are_not_written_like_scores() -> None:
    assert [traps.number(x) for x in (0.4554, 12.34, 12_345.6)] == ["0.455", "12.3", "12,346"]


def saved(folder: Path, name: str, *found: traps.Trap) -> Path:
    outputs = [new_output("display_data", {}, metadata={"mmsa_trap": vars(trap)}) for trap in found]
    folder.mkdir(exist_ok=True)
    write(new_notebook(cells=[new_code_cell("x", outputs=outputs)]), folder / name)
    return folder / name


def test_traps_are_collected_into_the_readme(tmp_path: Path) -> None:
    saved(tmp_path / "notebooks", "04_audio_encoder.ipynb", traps.Trap("a | b", 0.5, 0.4, note="n"))
    saved(tmp_path / "notebooks", "03_video_encoder.ipynb", traps.Trap("first", 2.0, 20.0, "seconds", 1.0))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{traps.BEGIN}\nold\n{traps.END}\nafter\n", encoding="utf-8")
    assert traps.update_readme(readme, tmp_path / "notebooks")
    rows = readme.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "before" and rows[-1] == "after" and "old" not in rows
    assert rows[4] == "| first | [03](notebooks/03_video_encoder.ipynb) | seconds | 2.000 | 20.0 | +18.0 ± 1.000 |"
    assert rows[5].startswith(r"| a \| b | [04](notebooks/04_audio_encoder.ipynb) | weighted F1, n | 0.500 | 0.400 |")
    assert not traps.update_readme(readme, tmp_path / "notebooks")


def test_a_readme_without_the_comments_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(DataError, match="once each"):
        traps.update_readme(tmp_path / "README.md", tmp_path)


def test_the_readme_holds_the_traps_of_the_saved_notebooks() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table_now = traps.to_markdown(traps.collect((ROOT / "notebooks").glob("*.ipynb")))
    assert text.split(traps.BEGIN)[1].split(traps.END)[0].strip() == table_now, (
        "python -m mmsa_lib.course.traps --write"
    )


# ------------------------------------------------------------------------------------------ showing


def test_a_figure_is_shown_once_with_its_words(displayed) -> None:
    figure, ax = plt.subplots(figsize=(4, 2))
    ax.plot([1, 2])
    show(ax, alt="A line\nthat rises.")
    data, metadata = displayed[0]
    assert metadata == {"image/png": {"width": 384, "height": 192, "alt": "A line that rises."}}
    assert data["text/plain"] == "A line that rises."
    assert figure.number not in plt.get_fignums()


def test_no_label_is_cut_off(displayed) -> None:
    """The default layout of pyplot leaves no room for a label below a flat picture."""
    figure, ax = plt.subplots(figsize=(7, 2))
    ax.set_xlabel("words in an utterance", size=20)
    show(figure, alt="Nothing in it.")
    assert ax.xaxis.label.get_window_extent().y0 >= 0


def test_a_figure_of_seaborn_is_shown(displayed) -> None:
    import seaborn as sns

    data = pd.DataFrame({"x": [1, 2, 3, 4], "y": list("abab")})
    show(sns.catplot(data, x="x", y="y", kind="strip"), alt="Points of a and b.")
    show(sns.histplot(data, x="x"), alt="A histogram of x.")
    assert [metadata["image/png"]["alt"] for _, metadata in displayed] == ["Points of a and b.", "A histogram of x."]
    assert not plt.get_fignums()


def test_what_is_no_picture_or_has_no_words_is_refused() -> None:
    with pytest.raises(DataError, match="not a list"):
        show([1], alt="words")
    with pytest.raises(DataError, match="alternative text"):
        show(plt.figure(), alt=" ")
    plt.close("all")


@pytest.fixture(scope="module")
def row() -> pd.Series:
    return pd.Series({"text": "Oh <b>no</b>!", "speaker": "Ann & Co", "emotion": "fear", "sentiment": "negative"})


@pytest.fixture(scope="module")
def clip() -> Path:
    return min((course.DATA / "train_splits").glob("*.mp4"), key=lambda path: (path.stat().st_size, path.name))


def test_a_clip_plays_inside_the_notebook(clip: Path) -> None:
    player = show_clip(clip, alt='She says: "a < b"')
    assert re.search(r'poster="data:image/jpeg;base64,\S+" src="data:video/mp4;base64,\S+"', player._repr_html_())
    assert "She says: &quot;a &lt; b&quot;" in player._repr_html_()
    assert "a < b" not in player._repr_html_()
    assert repr(player) == 'Video clip: She says: "a < b"'
    assert show_clip(clip, "x").html == show_clip(clip, "x").html


@pytest.mark.parametrize("size", [0, 300_001])
def test_a_clip_of_another_size_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"a\.mp4: {size // 1000} kB"):
        show_clip(tmp_path / "a.mp4", "x")
    with pytest.raises(DataError, match=r"b\.mp4"):
        show_clip(tmp_path / "b.mp4", "x")


def test_a_strip_shows_frames_wave_and_spectrogram(clip: Path, row: pd.Series) -> None:
    figure = strip(clip, row)
    assert len(figure.axes) == 3
    assert all(ax.has_data() for ax in figure.axes)
    assert "“Oh <b>no</b>!” (Ann & Co, fear, negative)" in figure.alt_text
    assert plots.to_png(figure) == plots.to_png(strip(clip, row))


def test_a_strip_does_without_sound_or_words(tmp_path: Path) -> None:
    from mmsa_lib.media import write_clip

    write_clip(tmp_path / "mute.mp4", np.zeros((4, 16, 16, 3), np.uint8), 8)
    assert "0.50 seconds" in strip(tmp_path / "mute.mp4").alt_text


def test_a_table_escapes_and_aligns() -> None:
    shown = table(pd.DataFrame({"<name>": ["a & b", None], "f1": [0.12345, np.nan], "n": [1234, 5]}), caption="<c>")
    html = shown._repr_html_()
    assert "&lt;name&gt;" in html and "a &amp; b" in html and "&lt;c&gt;" in html
    assert '<td style="text-align:right">0.123</td>' in html
    assert '<td style="text-align:right">1,234</td>' in html
    assert '<td style="text-align:left">a &amp; b</td>' in html
    assert HTML.sub("", html).count("–") == 2
    assert repr(shown).startswith("<c>\n")


def test_a_table_takes_rows_and_an_index() -> None:
    assert "yes" in table([{"x": True}])._repr_html_()
    frame = pd.DataFrame({"x": [1]}, index=pd.Index(["first"], name="run"))
    assert "first" in table(frame, index=True)._repr_html_()
    assert "first" not in table(frame)._repr_html_()


# -------------------------------------------------------------------------------------- the course map


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_lesson_has_its_place_on_the_map(lesson) -> None:
    figure = course_map(*lesson.stages)
    assert ", ".join(lesson.stages) in figure.alt_text
    lit = [box for box in figure.axes[0].patches if box.get_linewidth() > 1.5]
    assert 0 < len(lit) <= len(figure.axes[0].patches)


def test_another_part_lit_is_another_picture() -> None:
    assert plots.to_png(course_map("text"), 50) != plots.to_png(course_map("audio"), 50)
    assert plots.to_png(course_map(), 50) == plots.to_png(course_map(*STAGES), 50)
    with pytest.raises(DataError, match="no stage 'words'"):
        course_map("words")


def test_no_words_of_the_map_run_out_of_their_box() -> None:
    figure = course_map()
    figure.canvas.draw()
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches if hasattr(patch, "get_boxstyle")]
    for text in figure.axes[0].texts:
        extent = text.get_window_extent()
        assert any(
            box.x0 + 2 <= extent.x0 and extent.x1 <= box.x1 - 2 and box.y0 <= extent.y0 and extent.y1 <= box.y1
            for box in boxes
        ), text.get_text()


# ------------------------------------------------------------------------------------ the table of lessons


def test_lessons_are_numbered_and_named_once() -> None:
    assert [lesson.number for lesson in LESSONS] == list(range(len(LESSONS)))
    assert LESSONS[2].file == "02_text_encoder.ipynb"
    assert all(set(lesson.stages) <= set(STAGES) for lesson in LESSONS)
    assert lesson_of("somewhere/10_conversation_context.ipynb") is LESSONS[10]
    with pytest.raises(DataError, match="no lesson has this name"):
        lesson_of("notebooks/02_text.ipynb")


def test_links_lead_only_to_notebooks_that_exist(tmp_path: Path) -> None:
    for number in (0, 3, 5):
        (tmp_path / LESSONS[number].file).touch()
    opening = generate("opening", LESSONS[3], tmp_path, 25)
    assert re.findall(r"\]\((\S+?)\)", opening) == ["00_welcome.ipynb", "00_welcome.ipynb", "05_fusion.ipynb"]
    assert "run time: about 25 s" in opening
    assert re.findall(r"\]\((\S+?)\)", generate("next", LESSONS[3], tmp_path)) == ["05_fusion.ipynb"]
    assert "last lesson" in generate("next", LESSONS[5], tmp_path)
    assert generate("contents", LESSONS[0], tmp_path).count(".ipynb") == 3
    assert "run time" not in generate("opening", LESSONS[0], tmp_path)
    assert generate("map", LESSONS[5], tmp_path) == 'course.course_map("fusion", "heads")'
    assert generate("map", LESSONS[0], tmp_path) == "course.course_map()"
    with pytest.raises(DataError, match="no generated cell"):
        generate("middle", LESSONS[0], tmp_path)


def test_while_the_address_is_not_decided_nothing_points_there(tmp_path: Path) -> None:
    for tag in GENERATED:
        assert "http" not in generate(tag, LESSONS[1], tmp_path)
    assert course_url(tmp_path) == ""
    (tmp_path / "pyproject.toml").write_text('[tool.mmsa]\ncourse_url = "https://github.com/someone/course"\n')
    (tmp_path / "notebooks").mkdir()
    opening = generate("opening", LESSONS[1], tmp_path / "notebooks")
    assert "colab.research.google.com/github/someone/course/blob/main/notebooks/01_data_exploration.ipynb" in opening
    setup = generate("setup", LESSONS[1], tmp_path / "notebooks")
    assert '"clone", "--depth=1", "https://github.com/someone/course"' in setup
    assert len([line for line in setup.splitlines() if line.strip()]) <= 10
    compile(setup, "setup", "exec")
    assert colab_badge(LESSONS[1], "https://gitlab.com/someone/course") == ""


def test_the_setup_cell_clones_in_colab_and_nowhere_else(tmp_path: Path, monkeypatch) -> None:
    """Executed with Colab and its commands played by stand-ins."""
    import subprocess
    import sys
    import types

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(course, "start", lambda: None, raising=False)
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append([str(part) for part in command]))
    cell = setup_cell("https://github.com/someone/course.git")
    exec(cell, {})
    assert calls == []
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(cell, {})
    assert [call[:2] for call in calls] == [
        ["git", "clone"],
        [sys.executable, "/content/course/mmsa_lib/course/colab.py"],
    ]


def test_colab_installs_only_what_it_lacks(tmp_path: Path, monkeypatch) -> None:
    there = {"torch", "numpy"}

    def version(name: str) -> str:
        if name not in there:
            raise colab.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(colab, "version", version)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["torch>=99", "av>=17.1,<20", "numpy"]\n'
        '[project.optional-dependencies]\nspeech = ["faster-whisper>=1.2"]\ndev = ["pytest"]\n'
    )
    install, editable = colab.commands(tmp_path)
    assert install[-2:] == ["av>=17.1,<20", "faster-whisper>=1.2"] and not {"torch>=99", "pytest"} & set(install)
    assert editable[-3:] == ["--no-deps", "-e", str(tmp_path)]
    there |= {"av", "faster-whisper"}
    assert len(colab.commands(tmp_path)) == 1


def test_every_dependency_of_the_library_is_one_colab_can_be_asked_for() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert colab.missing(dependencies) == []


# ----------------------------------------------------------------------------------- the embedded data


def test_the_data_are_found_from_anywhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert course.DATA == ROOT / "data" / "mini"
    assert course.FEATURES == ROOT / "runs" / "features"


def test_without_the_repository_the_error_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "CHECKOUT", tmp_path)
    with pytest.raises(DataError, match=r"data/mini: not found; open the notebook inside"):
        course.DATA  # noqa: B018 - looked up when used
    (tmp_path / "data" / "mini").mkdir(parents=True)
    (tmp_path / "data" / "mini" / "train_sent_emo.csv").touch()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert tmp_path / "data" / "mini" == course.DATA


def test_the_real_data_are_used_where_they_are(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MMSA_MELD", str(tmp_path))
    assert course.MELD is None
    (tmp_path / "data" / "MELD").mkdir(parents=True)
    (tmp_path / "data" / "MELD" / "train_sent_emo.csv").touch()
    assert tmp_path == course.MELD


def test_a_dataset_comes_with_its_features(world: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mini").symlink_to(world)
    monkeypatch.setattr(session, "_find_data", lambda: tmp_path / "data" / "mini")
    monkeypatch.setattr(session, "_workers", lambda: 0)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    session._backbones.cache_clear()
    text = course.dataset("dev", modalities=("text",))
    assert torch.equal(torch.get_rng_state(), state)
    assert len(text) == len(text.features["text"])
    assert text[0]["text_inputs"].ndim == 1
    assert text[0]["audio_features"] is None
    assert list((tmp_path / "runs" / "features").glob("text-*/dev-*"))
    assert text is not course.dataset("dev", modalities=("text",))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        course.nothing  # noqa: B018 - the access is the test
    assert {"start", "claim", "DATA"} <= set(dir(course))
