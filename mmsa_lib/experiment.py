"""A whole experiment: data and preset in, a run directory with a tested model, figures and numbers out."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mmsa_lib.dataset import MELDDataset, make_loader
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.features import Effort, extract, fill
from mmsa_lib.labels import MODALITIES
from mmsa_lib.meld import load_split
from mmsa_lib.metrics import TASKS, report
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.preprocess import MelSpec
from mmsa_lib.presets import Preset
from mmsa_lib.processes import accelerator, this_process
from mmsa_lib.runs import (
    METRICS_FILE,
    PREDICTIONS_FILE,
    load_run,
    mark_finished,
    opened,
    write_json,
    write_predictions,
)
from mmsa_lib.trainer import LABELS, LOGITS, MultimodalTrainer

EVALUATION_BATCH = 32  # on a CPU larger ones are slower: what a layer passes on no longer fits its caches


def build_model(preset: Preset) -> MultimodalSentimentModel:
    """The model of a preset; the caller seeds torch."""
    reads_words = (preset.context or preset.future) and preset.context_reader == "text"
    if reads_words and not ("text" in preset.modalities and "text" in preset.finetune):
        raise DataError("context_reader text: the words of other turns are read by a text encoder that learns too; "
                        "fine-tune text, or choose transformer or gru")  # fmt: skip
    if reads_words and preset.pooling == "pooler":
        raise DataError("pooling pooler: knows only one turn; with context_reader text choose mean or cls")
    return MultimodalSentimentModel(
        text_backbone=preset.text_backbone,
        video_backbone=preset.video_backbone,
        modalities=list(preset.modalities),
        pooling=preset.pooling,
        finetune=list(preset.finetune),
        random_backbones=list(preset.random_backbones),
        modality_dropout=preset.modality_dropout,
        audio_channels=list(preset.audio_channels),
        spec_augment=preset.spec_augment,
        feature_dropout=preset.feature_dropout,
        context=preset.context,
        future=preset.future,
        context_reader=preset.context_reader,
    )


def read_table(preset: Preset, data: str | Path, split: str) -> pd.DataFrame:
    """The annotations of a split, refused when the model needs clips and there is not a single one."""
    table = load_split(data, split)
    if len(table) == 0:
        raise DataError(f"{data}: the {split} split has no utterance")
    if lacks_clips(preset, table):
        raise DataError(f"{data}: no clips for the {split} split; with --modalities text the tables are enough")
    return table


def lacks_clips(preset: Preset, table: pd.DataFrame) -> bool:
    """Whether the model needs clips and there is not a single one."""
    return bool(set(preset.modalities) - {"text"} and table["clip"].isna().all())


def raw_dataset(preset: Preset, table: pd.DataFrame) -> MELDDataset:
    """A table prepared the way the preset's backbones want it, clips decoded when an item is asked for."""
    return MELDDataset(
        table,
        modalities=preset.modalities,
        text_backbone=preset.text_backbone,
        video_backbone=preset.video_backbone,
        mel=MelSpec(log=preset.log_mel),
        dialogues=bool(preset.context or preset.future),
        speaker_names=preset.speaker_names,
    )


def build_dataset(
    preset: Preset,
    model: MultimodalSentimentModel,
    table: pd.DataFrame,
    features: str | Path,
    *,
    num_workers: int = 2,
) -> MELDDataset:
    """One split with everything a frozen part computes already in memory (made now, on the GPU if there is one)."""
    dataset = raw_dataset(preset, table)
    dataset.features = extract(
        dataset, model, features, device=device(), num_workers=num_workers, precision=preset.precision
    )
    return dataset


def device() -> torch.device | str:
    """Where this process computes features: its GPU, if there is one."""
    return this_process().device if torch.cuda.is_available() else "cpu"


def extract_all(
    preset: Preset, data: str | Path, splits: Iterable[str], features: str | Path, **settings: Any
) -> Iterator[tuple[str, int, Effort, dict[str, str]]]:
    """Keep the features of whole splits: name, rows, what it took and which clips are left out why, one by one.

    `settings` are those of `mmsa_lib.features.Settings`. Random backbones are those `train` starts from.
    """
    torch.manual_seed(preset.seed)
    model = build_model(preset)
    for split in splits:
        dataset = raw_dataset(preset, read_table(preset, data, split))
        effort, left_out = fill(dataset, model, features, device=device(), precision=preset.precision, **settings)
        yield split, len(dataset), effort, left_out


# ------------------------------------------------------------------------------------------ training


def train(
    preset: Preset,
    data: str | Path,
    run_dir: str | Path,
    features: str | Path,
    *,
    restart: bool = False,
    num_workers: int = 2,
    progress: bool = True,
) -> dict:
    """Train on train, choose the epoch on dev, test on test; everything lands in `run_dir`.

    A run that was interrupted goes on; one with other settings is refused unless `restart`. Returns
    the report of the test split, as in `metrics.json`. Of several processes, the main one writes.
    """
    started, process = time.perf_counter(), this_process()
    run_dir = Path(run_dir)
    tables = {split: read_table(preset, data, split) for split in ("train", "dev", "test")}
    torch.manual_seed(preset.seed)
    model = build_model(preset)
    with opened(run_dir, preset, data, restart) if process.is_main_process else nullcontext():
        process.wait_for_everyone()
        if not process.is_main_process:
            torch.manual_seed(preset.seed + 1000 * process.process_index)  # another dropout than the main process
        datasets = {
            split: build_dataset(preset, model, table, features, num_workers=num_workers)
            for split, table in tables.items()
        }
        extracted = time.perf_counter()
        trainer = build_trainer(preset, model, datasets, run_dir, progress)
        history = trainer.fit(preset.epochs)
        outputs = trainer.predict(_test_loader(datasets["test"], model))
        train_labels = {
            "emotion": datasets["train"].emotion_labels,
            "sentiment": datasets["train"].sentiment_labels,
        }
        result = summarize(outputs, train_labels) | {
            "ceiling": known_ceiling(data, preset.modalities),
            "best_epoch": trainer.best["epoch"],
            "epochs": trainer.epoch,
            "seconds": {"features": extracted - started, "training": time.perf_counter() - extracted},
            "left_out": left_out(datasets),
        }
        if not process.is_main_process:
            return result
        trainer.unwrapped.save_pretrained(run_dir)
        write_predictions(run_dir / PREDICTIONS_FILE, datasets["test"].table, outputs)
        write_json(run_dir / METRICS_FILE, result)
        draw(run_dir, result, history, datasets["test"].table, outputs, trainer.best["epoch"])
        mark_finished(run_dir)
        return result


def build_trainer(
    preset: Preset,
    model: MultimodalSentimentModel,
    datasets: dict[str, MELDDataset],
    run_dir: str | Path | None = None,
    progress: bool = True,
) -> MultimodalTrainer:
    """The trainer of a preset over the `train` and `dev` data sets."""
    return MultimodalTrainer(
        model,
        make_loader(
            datasets["train"],
            preset.batch_size,
            shuffle=True,
            seed=preset.seed,
            excerpt=preset.excerpt,
            past=preset.context,
            future=preset.future,
        ),
        _test_loader(datasets["dev"], model),
        learning_rate=preset.learning_rate,
        backbone_learning_rate=preset.backbone_learning_rate,
        weight_decay=preset.weight_decay,
        label_smoothing=preset.label_smoothing,
        consistency=preset.consistency,
        class_weights=preset.class_weights,
        prior_correction=preset.prior_correction,
        schedule=preset.schedule,
        patience=preset.patience,
        selection=preset.selection,
        early_stopping=preset.early_stopping,
        ema_decay=preset.ema_decay,
        run_dir=run_dir,
        accelerator=accelerator(mixed_precision=preset.precision, gradient_accumulation_steps=preset.accumulate),
        progress=progress,
    )


def _test_loader(dataset: MELDDataset, model: MultimodalSentimentModel) -> DataLoader:
    """Batches of like length, little padding: the trainer puts what they give back in order."""
    return make_loader(dataset, EVALUATION_BATCH, shuffle=True, **model.excerpts)


# ------------------------------------------------------------------------------------------- testing


def evaluate(
    run_dir: str | Path,
    data: str | Path,
    split: str,
    features: str | Path,
    *,
    without: Sequence[str] = (),
    num_workers: int = 2,
) -> dict:
    """The report of a trained run on any data in MELD's layout; `without` hides modalities from the model."""
    preset, model = load_run(run_dir)
    if strange := [m for m in without if m not in model.modalities]:
        reads = ", ".join(model.modalities)
        raise DataError(f"without {', '.join(strange)}: the model of {run_dir} does not read that anyway, only {reads}")
    kept = tuple(m for m in model.modalities if m not in without)
    if not kept:
        raise DataError(f"{run_dir}: the model reads {', '.join(model.modalities)} only; nothing would be left")
    table = read_table(preset, data, split)
    dataset = build_dataset(preset, model, table, features, num_workers=num_workers)
    dataset.modalities = kept
    return summarize(predict_dataset(model, dataset)) | {
        "ceiling": known_ceiling(data, kept) if split == "test" else None,
        "left_out": left_out({split: dataset}),
    }


def left_out(datasets: dict[str, MELDDataset]) -> dict[str, dict[str, str]]:
    """Of each split the clips that could not be read, with the reason."""
    return {split: dataset.features.errors for split, dataset in datasets.items() if dataset.features.errors}


def known_ceiling(data: str | Path, modalities: Sequence[str]) -> dict | None:
    """The best scores any reader of these modalities could reach; only data that were made come with it."""
    path = Path(data) / "ceiling.json"
    if not path.is_file():
        return None
    return json.loads(path.read_text())["+".join(modalities)]["without_context"]


def predict_dataset(model: MultimodalSentimentModel, dataset: MELDDataset) -> dict[str, Tensor]:
    """Logits and labels of all utterances, as `MultimodalTrainer.predict` gives them."""
    loader = _test_loader(dataset, model)
    return MultimodalTrainer(model, loader, loader, class_weights=None, progress=False).predict(loader)


def summarize(outputs: dict[str, Tensor], train_labels: dict[str, np.ndarray] | None = None) -> dict:
    """`mmsa_lib.metrics.report` of a trainer's outputs."""
    labels = {task: outputs[LABELS[task]].numpy() for task in TASKS}
    predictions = {task: outputs[LOGITS[task]].argmax(dim=1).numpy() for task in TASKS}
    return report(labels, predictions, train_labels)


def draw(
    run_dir: Path,
    result: dict,
    history: pd.DataFrame,
    table: pd.DataFrame,
    outputs: dict[str, Tensor],
    best_epoch: int,
) -> None:
    """The pictures of a run: learning curves, a confusion matrix a task, three test clips read."""
    from mmsa_lib import plots

    plots.save(plots.results(result, result["ceiling"]), run_dir / "results.png")
    plots.save(plots.learning_curves(history, best_epoch), run_dir / "learning_curves.png")
    for task, names in TASKS.items():
        title = f"{task}, test split (n = {result['n']})"
        figure = plots.confusion(np.array(result[task]["confusion"]), names, title)
        plots.save(figure, run_dir / f"confusion_{task}.png")
    samples = strip_samples(table, outputs, left_out=result.get("left_out", {}).get("test", {}))
    if samples:
        plots.save(plots.prediction_strip(samples), run_dir / "predictions.png")


def strip_samples(
    table: pd.DataFrame, outputs: dict[str, Tensor], count: int = 3, left_out: Collection[str] = ()
) -> list[dict]:
    """`count` clips spread over the split, decoded for `plots.prediction_strip`; none of the names `left_out`."""
    from mmsa_lib.media import SAMPLE_RATE, read_clip

    with_clip = [i for i, clip in enumerate(table["clip"]) if clip is not None and Path(clip).name not in left_out]
    chosen = [with_clip[len(with_clip) * (2 * k + 1) // (2 * count)] for k in range(count) if with_clip]
    samples = []
    for i in dict.fromkeys(chosen):
        try:
            clip = read_clip(table["clip"].iat[i], num_frames=5, max_seconds=60)
        except MediaError:  # a damaged clip is already reported; the picture does without it
            continue
        row = table.iloc[i]
        samples.append(
            {
                "frames": clip.frames,
                "waveform": clip.waveform,
                "sample_rate": SAMPLE_RATE,
                "text": row["text"],
                "emotion_probs": outputs["emotions"][i].softmax(dim=0).numpy(),
                "sentiment_probs": outputs["sentiments"][i].softmax(dim=0).numpy(),
                "emotion": row["emotion"],
                "sentiment": row["sentiment"],
            }
        )
    return samples


def used_modalities(names: Sequence[str]) -> tuple[str, ...]:
    """Modalities in their fixed order; an unknown name is a `DataError`."""
    unknown = [name for name in names if name not in MODALITIES]
    if unknown or not names:
        raise DataError(f"modalities must be some of {', '.join(MODALITIES)}, not {', '.join(unknown) or 'none'}")
    return tuple(m for m in MODALITIES if m in names)
