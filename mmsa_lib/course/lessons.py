"""The table of lessons, and every notebook cell that is generated from it.

Only who writes or tests the course needs what is below the table: it reads `pyproject.toml` and the
`notebooks` folder of a checkout.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mmsa_lib.errors import DataError

STAGES = ("data", "text", "video", "audio", "fusion", "heads", "context", "loss", "training", "evaluation")


@dataclass(frozen=True)
class Lesson:
    """One notebook: its place, its promise in one sentence, what of the course map it is about, minutes to read."""

    number: int
    slug: str
    title: str
    promise: str
    stages: tuple[str, ...]
    minutes: int

    @property
    def name(self) -> str:
        return f"{self.number:02d}_{self.slug}"

    @property
    def file(self) -> str:
        return f"{self.name}.ipynb"

    @property
    def heading(self) -> str:
        return f"{self.number:02d} · {self.title}"


LESSONS = (
    Lesson(
        0,
        "welcome",
        "Welcome",
        "Words, a face and a voice go in, two probability distributions come out: see the whole before its parts.",
        STAGES,
        15,
    ),
    Lesson(
        1,
        "data_exploration",
        "Data exploration",
        "Know the data before any model does: labels, dialogues, clips, and where they mislead.",
        ("data",),
        25,
    ),
    Lesson(
        2,
        "text_encoder",
        "Text encoder",
        "From a sentence to 128 numbers that know something about its emotion, with a frozen BERT.",
        ("text",),
        25,
    ),
    Lesson(
        3,
        "video_encoder",
        "Video encoder",
        "From moving pictures to 128 numbers, with convolutions that also look along time.",
        ("video",),
        25,
    ),
    Lesson(
        4,
        "audio_encoder",
        "Audio encoder",
        "From air pressure to 128 numbers: a log-mel spectrogram, and convolutions trained from nothing.",
        ("audio",),
        30,
    ),
    Lesson(
        5,
        "fusion",
        "Fusion",
        "Put three views of one moment together, and measure what each of them adds.",
        ("fusion", "heads"),
        25,
    ),
    Lesson(
        6,
        "class_weighting",
        "Class weighting",
        "What imbalance does to a model and to its score, and what class weights really buy.",
        ("loss",),
        25,
    ),
    Lesson(
        7,
        "training",
        "Training",
        "Build the training loop from nothing, then hand it to the trainer, on a CPU or on several GPUs.",
        ("training",),
        30,
    ),
    Lesson(
        8,
        "evaluation",
        "Evaluation",
        "What a score says, how far it can be trusted, and where the model is wrong.",
        ("evaluation",),
        25,
    ),
    Lesson(
        9,
        "your_own_video",
        "Your own video",
        "Take a video of your own from file to emotions over time.",
        ("data", "text", "video", "audio", "fusion", "heads"),
        25,
    ),
    Lesson(
        10,
        "conversation_context",
        "Conversation context",
        "An utterance answers another one: let the model hear what was said before.",
        ("context",),
        25,
    ),
)


def lesson_of(path: str | Path) -> Lesson:
    """The lesson a notebook file belongs to, by its name."""
    for lesson in LESSONS:
        if lesson.name == Path(path).stem:
            return lesson
    raise DataError(f"{path}: no lesson has this name; the names are in {Path(__file__).name}")


# ------------------------------------------------------------------------------------- generated cells

GENERATED = ("opening", "setup", "map", "contents", "next")  # tags of the cells that `generate` writes


def generate(tag: str, lesson: Lesson, notebooks: Path, seconds: int | None = None) -> str:
    """Source of one generated cell; `seconds` is how long a clean run took, None if it never ran."""
    existing = [other for other in LESSONS if (notebooks / other.file).exists() or other is lesson]
    url = course_url(notebooks.parent)
    if tag == "opening":
        return opening(lesson, existing, url, seconds)
    if tag == "setup":
        return setup_cell(url)
    if tag == "map":
        stages = () if lesson.stages == STAGES else lesson.stages
        return f"course.course_map({', '.join(repr(stage).replace(chr(39), chr(34)) for stage in stages)})"
    if tag == "contents":
        return contents(existing)
    if tag == "next":
        return next_cell(lesson, existing)
    raise DataError(f"{lesson.file}: no generated cell is called {tag!r}; there are {', '.join(GENERATED)}")


def opening(lesson: Lesson, existing: Sequence[Lesson], url: str = "", seconds: int | None = None) -> str:
    """Title, promise, navigation, reading and run time."""
    run = f" · run time: about {seconds} s on two CPU cores" if seconds else ""
    lines = [
        f"# {lesson.heading}",
        f"*{lesson.promise}*",
        navigation(lesson, existing),
        f"Reading time: {lesson.minutes} min{run}",
    ]
    badge = colab_badge(lesson, url)
    return "\n\n".join(lines + [badge] if badge else lines)


def navigation(lesson: Lesson, existing: Sequence[Lesson]) -> str:
    """Previous / contents / next, linking only to what exists; the first lesson has the contents."""
    before = [other for other in existing if other.number < lesson.number]
    after = [other for other in existing if other.number > lesson.number]
    links = [f"← [{before[-1].heading}]({before[-1].file})"] if before else []
    if before and before[0].number == 0:
        links.append(f"[Contents]({before[0].file})")
    links += [f"[{after[0].heading}]({after[0].file}) →"] if after else []
    return " | ".join(links) if links else "This is the only lesson here."


def contents(existing: Sequence[Lesson]) -> str:
    """All lessons as a table."""
    rows = [f"| [{lesson.heading}]({lesson.file}) | {lesson.promise} | {lesson.minutes} |" for lesson in existing]
    return "\n".join(["| lesson | what it promises | minutes |", "|:--|:--|--:|", *rows])


def next_cell(lesson: Lesson, existing: Sequence[Lesson]) -> str:
    """The last cell: where to go on."""
    after = [other for other in existing if other.number > lesson.number]
    if after:
        return f"## Next\n\n[{after[0].heading}]({after[0].file}): {after[0].promise}"
    first = existing[0]
    return f"## Next\n\nThis was the last lesson. Back to the [contents]({first.file})."


def setup_cell(url: str = "") -> str:
    """The cell every lesson starts with: finds the package from anywhere; in Colab fetches the course once.

    With a `url`, Colab clones it and installs only what it lacks (`mmsa_lib/course/colab.py`).
    """
    lines = ["import sys", "from pathlib import Path", ""]
    if not url:
        lines.append("here = Path.cwd()")
    else:
        lines.insert(0, "import subprocess")
        lines += [
            f'here = Path("/content/{course_folder(url)}") if "google.colab" in sys.modules else Path.cwd()',
            'if "google.colab" in sys.modules:',
            f'    here.exists() or subprocess.run(["git", "clone", "--depth=1", "{url}", here], check=True)',
            '    subprocess.run([sys.executable, here / "mmsa_lib/course/colab.py"], check=True)',
        ]
    lines += [
        'sys.path[:0] = [str(p) for p in (here, *here.parents) if (p / "mmsa_lib/course").is_dir()]',
        "",
        "from mmsa_lib import course",
        "",
        "course.start()",
    ]
    return "\n".join(lines)


def colab_badge(lesson: Lesson, url: str) -> str:
    """A badge that opens the lesson in Colab; Colab opens notebooks of GitHub only."""
    parts = urlsplit(url)
    if parts.hostname != "github.com":
        return ""
    repository = parts.path.strip("/").removesuffix(".git")
    target = f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{lesson.file}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"


def course_folder(url: str) -> str:
    """The folder `git clone` would make of it."""
    return urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")


def course_url(checkout: Path) -> str:
    """`[tool.mmsa] course_url` of a checkout's `pyproject.toml`; empty while it is not decided."""
    file = checkout / "pyproject.toml"
    if not file.is_file():
        return ""
    return tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("mmsa", {}).get("course_url", "")
