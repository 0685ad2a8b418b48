"""An evaluation as one page with pictures that needs no network: what `mmsa evaluate --report` writes.

Every number comes from `mmsa_lib.evaluation.assess`; the same numbers lie beside the page as JSON.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mmsa_lib import calibration, consistency, page, plots
from mmsa_lib import evaluation_plots as draw
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.evaluation import NAMES, Reading, clip_values
from mmsa_lib.files import is_json_with, write_text
from mmsa_lib.metrics import TASKS
from mmsa_lib.runs import write_json

CLIP_BYTES = 300_000  # a larger clip is linked instead of embedded
ALL_CLIPS_BYTES = 4_000_000  # and so are the others once this much is embedded
Section = tuple[str, str, Callable[[Reading, Mapping], list[str]]]


def write(reading: Reading, found: Mapping, destination: str | Path) -> Path:
    """Write the page of a reading and of what `assess` found in it, and its JSON; returns the page's path.

    `destination` ending in `.html` or `.htm` is the page itself, any other is a folder for `report.html`.
    """
    path = page_path(destination)
    check_free(path)
    try:
        write_text(path, build(reading, found, path.parent))
        write_json(path.with_suffix(".json"), jsonable(found))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def page_path(destination: str | Path) -> Path:
    path = Path(destination)
    return path if path.suffix.lower() in (".html", ".htm") and not path.is_dir() else path / "report.html"


def check_free(destination: str | Path) -> None:
    """Raise DataError where the page's JSON would take the place of a file that is no earlier report."""
    beside = page_path(destination).with_suffix(".json")
    if beside.is_file() and not is_json_with(beside, "comparison", "calibration"):
        raise DataError(f"{beside}: is there and no earlier report; choose another name for the page")


def jsonable(value: object) -> object:
    """Without NaN, which JSON does not know, and with plain numbers."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def build(reading: Reading, found: Mapping, folder: Path) -> str:
    """The page as HTML; clips too large for it are linked relative to `folder`."""
    sections: list[Section] = [
        ("scores", "Scores", _scores),
        ("classes", "Classes", _classes),
        ("calibration", "Calibration", _calibration),
        ("modalities", "What each modality contributes", _modalities),
        ("heads", "Do the two heads agree?", _heads),
        ("groups", "Groups", _groups),
        ("mistakes", "The most confident mistakes", lambda r, f: _mistakes(r, f, folder)),
    ]
    if found["comparison"]:
        sections.insert(1, ("runs", "Against other runs", _comparison))
    title = f"{reading.name}: {reading.split} split, {found['n']:,} utterances"
    body = [page.heading(title, 1), page.paragraph(_preface(reading, found), quiet=True)]
    body.append(f"<nav>{''.join(page.link(f'#{anchor}', words) for anchor, words, _ in sections)}</nav>")
    for anchor, words, write_section in sections:
        body += [page.heading(words, 2, anchor), *write_section(reading, found)]
    return page.document(title, body)


def _preface(reading: Reading, found: Mapping) -> str:
    left = f" {len(found['left_out'])} clips could not be read; their texts count." if found["left_out"] else ""
    made = " The data are synthetic." if reading.cues is not None else ""
    return (
        f"The model reads {', '.join(reading.modalities)}. Brackets hold 95 % intervals; unless it says otherwise "
        f"they come from resampling the utterances.{made}{left}"
    )


def _ends(value: float, ends: tuple[float, float], sign: str = "") -> str:
    return f"{value:{sign}.3f} [{ends[0]:{sign}.3f}, {ends[1]:{sign}.3f}]"


# ------------------------------------------------------------------------------------------ sections


def _scores(reading: Reading, found: Mapping) -> list[str]:
    rows = []
    for task in TASKS:
        scores = found[task]
        row = {"task": task}
        for metric in ("accuracy", "weighted_f1", "macro_f1"):
            name = metric.replace("_", " ").replace("f1", "F1")
            row[name] = _ends(scores[metric], scores["interval_95"][metric])
        row["majority class, weighted F1"] = scores["majority"]["weighted_f1"]
        if found["ceiling"]:
            row["best possible, weighted F1"] = found["ceiling"][task]["weighted_f1"]
        rows.append(row)
    return [page.picture(plots.results(found, found["ceiling"])), page.table(rows)]


def _comparison(reading: Reading, found: Mapping) -> list[str]:
    parts = [
        page.paragraph(
            "Differences on the same utterances, resampled together (paired bootstrap). Whose interval holds zero "
            "may be chance."
        )
    ]
    for task in TASKS:
        rows = [
            {
                "name": f"{found['run']} against {row['run']}",
                "difference": row[task]["difference"],
                "interval": row[task]["interval"],
            }
            for row in found["comparison"]["runs"]
        ]
        parts.append(page.picture(draw.differences(rows, task)))
        spread = found["comparison"]["spread"][task]
        if spread["seeds"] > 2:
            parts.append(
                page.paragraph(
                    f"{task.capitalize()}, all {spread['seeds']} runs: mean weighted F1 {spread['mean']:.3f}, standard "
                    f"deviation {spread['deviation']:.3f}, 95 % interval of the mean {spread['low']:.3f} to "
                    f"{spread['high']:.3f} (Student's t; meant for seeds of one setting)."
                )
            )
    return parts


def _classes(reading: Reading, found: Mapping) -> list[str]:
    parts = []
    for task, names in TASKS.items():
        scores = found[task]
        rows = [
            {"class": name, "n": row["support"]}
            | {
                label: _ends(row[key], row[f"{key}_interval"])
                for key, label in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
            }
            for name, row in scores["per_class"].items()
        ]
        parts += [
            page.picture(plots.confusion(np.array(scores["confusion"]), names, task)),
            page.picture(draw.class_scores(scores["per_class"], task)),
            page.table(rows, caption=f"{task}: a class with few utterances has wide intervals"),
        ]
    return parts


def _calibration(reading: Reading, found: Mapping) -> list[str]:
    parts = []
    for task in TASKS:
        own = found["calibration"][task]
        steps = {"before": 1.0} | ({"after": own["temperature"]} if own["after"] else {})
        panels, rows = {}, []
        for step, temperature in steps.items():
            now = own[step]
            shown = f"{step}, T = {temperature:.2f}\nECE {now['ece']:.3f}"
            panels[shown] = calibration.reliability(reading.probabilities(task, temperature), reading.labels[task])
            rows.append(
                {
                    "temperature": f"{temperature:.2f}",
                    "ECE": _ends(now["ece"], now["ece_interval"]),
                    "ECE of a truthful model": f"{now['floor']['mean']:.3f}, 95 % below {now['floor']['high']:.3f}",
                    "mean confidence": now["confidence"],
                    "accuracy": now["accuracy"],
                    "negative log likelihood": now["negative_log_likelihood"],
                    "Brier score": now["brier"],
                }
            )
        parts += [page.picture(draw.reliability(panels, task)), page.table(rows, caption=task)]
        parts.append(page.paragraph(_calibration_words(own)))
    return parts


def _calibration_words(own: Mapping) -> str:
    now = own["before"]
    doubt = "too sure" if now["confidence"] > now["accuracy"] else "not sure enough"
    if now["ece"] <= now["floor"]["high"]:
        said = "The calibration error is no larger than chance would make it for a truthful model."
    else:
        said = f"The calibration error is larger than chance: on average the model is {doubt}."
    if own["after"] is None:
        return f"{said} There is no dev split to fit a temperature on."
    return f"{said} The temperature was fitted on {own['fitted_on']:,} dev utterances; it changes no answer."


def _modalities(reading: Reading, found: Mapping) -> list[str]:
    if len(reading.modalities) < 2:
        return [page.paragraph(f"The model reads {reading.modalities[0]} only.")]
    parts = [
        page.paragraph(
            "One model, asked about every set of its modalities; what a set lacks is marked as missing. A Shapley "
            "value averages what a modality adds over all orders of arrival; the values sum to the score of all "
            "minus that of always answering the commonest class."
        )
    ]
    for task in TASKS:
        own = found["contributions"][task]
        bars = [
            {
                "name": " + ".join(name.split("+")),
                "modalities": name.split("+"),
                "mean": row["value"],
                "low": row["low"],
                "high": row["high"],
            }
            for name, row in own["sets"].items()
            if name
        ]
        parts.append(page.picture(plots.modality_comparison(bars, own["sets"][""]["value"], title=task)))
        parts.append(page.picture(draw.contributions(own, task)))
    return parts + _cues(found["cues"])


def _cues(cues: Mapping | None) -> list[str]:
    if cues is None:
        return []
    rows = [
        {
            "attribution": {"shapley": "Shapley value", "removal": "removal"}[way],
            "leans on a modality that shows its answer": _ends(own["pointing"], own["pointing_interval"]),
            "chance": own["chance"],
            "utterances": own["n"],
            "rank correlation with the cue": _ends(own["rank"], own["rank_interval"]),
        }
        for way, own in cues.items()
    ]
    words = (
        "These data were made, so it is known what each modality shows. Does the modality with the largest "
        "contribution to the answer show that answer? And does the contribution to the true emotion follow the cue "
        "(clear, weak, absent, misleading)?"
    )
    return [page.heading("Beside the known cues", 3), page.paragraph(words), page.table(rows)]


def _heads(reading: Reading, found: Mapping) -> list[str]:
    own = found["consistency"]
    rows = [
        {
            "way": row["way"],
            "contradictions": f"{row['contradictions']:.1%}",
            "both right": row["both_right"],
            **{
                f"{task}, change of weighted F1": "–"
                if row["way"] == "as they are"
                else _ends(row[task]["difference"], row[task]["interval"], "+")
                for task in TASKS
            },
        }
        for row in own["ways"]
    ]
    words = (
        f"{own['contradictions']:,} of {found['n']:,} pairs of answers cannot both be right, for MELD's sentiment "
        f"follows from the emotion (surprise may be positive or negative). Of the pairs of labels, "
        f"{own['labels_contradict']:,} cannot."
    )
    figure = draw.pairs(np.array(own["pairs"]), consistency.meld_pairs(), "What the two heads answer")
    return [page.paragraph(words), page.picture(figure), page.table(rows, caption="Ways to make the heads agree")]


def _groups(reading: Reading, found: Mapping) -> list[str]:
    parts = []
    for name, own in found["groups"].items():
        parts += [page.heading(f"By {name}", 3), page.paragraph(own["words"]), page.picture(draw.groups(own, name))]
    return parts


# ------------------------------------------------------------------------------------------- mistakes


def _mistakes(reading: Reading, found: Mapping, folder: Path) -> list[str]:
    if not found["mistakes"]:
        return [page.paragraph("There are none.")]
    answers = reading.answers("emotion")
    values = clip_values(reading, "emotion", answers)
    left, parts = ALL_CLIPS_BYTES, []
    for i in found["mistakes"]:
        player, used = _player(reading.table["clip"].iat[i], folder, left)
        left -= used
        parts.append(_card(reading, i, {subset: v[i] for subset, v in values.items()}, player))
    return parts


def _card(reading: Reading, i: int, values: Mapping, player: str) -> str:
    """One mistake: words, player, picture, and where its answer came from."""
    from mmsa_lib.attribution import shapley

    row = reading.table.iloc[i]
    answer, truth = (NAMES["emotion"][x[i]] for x in (reading.answers("emotion"), reading.labels["emotion"]))
    head = f"{row['speaker']}, dialogue {row['dialogue_id']}, utterance {row['utterance_id']}"
    steps = {
        m + (f" (shows {reading.cues[f'{m}_shows'].iat[i]})" if reading.cues is not None else ""): float(value)
        for m, value in shapley(values).items()
    }
    return "".join(
        [
            f"<article><blockquote>{page.text(row['text'])}</blockquote>",
            page.paragraph(f"{head}. Said {answer}, truly {truth}.", quiet=True),
            player,
            page.picture(draw.clip_card(clip_sample(reading, i))),
            page.picture(draw.clip_contributions(steps, float(values[()]), answer)) if len(steps) > 1 else "",
            "</article>",
        ]
    )


def clip_sample(reading: Reading, i: int) -> dict:
    """Utterance i, decoded, for `mmsa_lib.evaluation_plots.clip_card`; a clip that cannot be read is left out."""
    from mmsa_lib.media import SAMPLE_RATE, read_clip
    from mmsa_lib.preprocess import log_mel

    row, clip = reading.table.iloc[i], None
    if row["clip"] is not None:
        try:
            clip = read_clip(row["clip"], num_frames=6, max_seconds=60)
        except MediaError:  # the preface says how many
            clip = None
    waveform = None if clip is None or clip.waveform is None or not clip.waveform.size else clip.waveform
    return {
        "frames": None if clip is None else clip.frames,
        "waveform": waveform,
        "sample_rate": SAMPLE_RATE,
        "mel": None if waveform is None else log_mel(waveform).numpy(),
        "emotion_probs": reading.probabilities("emotion")[i],
        "sentiment_probs": reading.probabilities("sentiment")[i],
        "emotion": row["emotion"],
        "sentiment": row["sentiment"],
    }


def _player(clip: Path | None, folder: Path, left: int) -> tuple[str, int]:
    """HTML that plays or links a clip, and how many bytes of it went into the page."""
    if clip is None or not Path(clip).is_file():
        return page.paragraph("There is no clip.", quiet=True), 0
    size = Path(clip).stat().st_size
    if clip.suffix.lower() == ".mp4" and 0 < size <= min(CLIP_BYTES, left):
        return page.video(Path(clip).read_bytes(), f"Clip {clip.name}"), size
    return f"<p>{page.link(page.address(Path(clip), folder), f'{clip.name} ({size / 1e6:.1f} MB)')}</p>", 0
