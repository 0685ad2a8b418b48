"""Training and testing a model: `MultimodalTrainer`. Derived in notebooks/07.

Built on Accelerate, so the same code runs on a CPU, one GPU, several, or several machines. A run
directory makes training unkillable: what was trained up to the last whole epoch is kept there, and
`fit` goes on from it to the same weights an uninterrupted run ends with.
"""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from mmsa_lib import processes
from mmsa_lib.averaging import WeightAverage
from mmsa_lib.class_weights import compute_class_weights
from mmsa_lib.dataset import MODEL_INPUTS, DialogueBatchSampler
from mmsa_lib.errors import DataError, TrainingError
from mmsa_lib.files import written_whole
from mmsa_lib.metrics import TASKS, classification_metrics
from mmsa_lib.model import MultimodalSentimentModel

LOGITS = {"emotion": "emotions", "sentiment": "sentiments"}
LABELS = {"emotion": "emotion_label", "sentiment": "sentiment_label"}
CHECKPOINT, HISTORY = "checkpoint.pt", "history.csv"
PRECISIONS = ("no", "bf16", "fp16")
SELECTIONS = ("loss", "emotion_weighted_f1")
SCHEDULES = ("plateau", "linear")
WARMUP = 0.06  # share of all steps in which a linear schedule rises
Losses = dict[str, float]
Metrics = dict[str, float]


class MultimodalTrainer:
    """Trains both heads of a model together: the sum of two weighted, label-smoothed cross-entropies.

    Args:
        model: a `MultimodalSentimentModel`, or any module with its `forward`.
        train_loader, val_loader: loaders of `mmsa_lib.dataset.collate` batches.
        learning_rate, weight_decay: of Adam; `backbone_learning_rate` is for fine-tuned backbones.
        label_smoothing: e of the cross-entropy; the true class gets 1 - e + e/K, the others e/K.
        consistency: weight of R-Drop (Liang et al., 2021, https://arxiv.org/abs/2106.14448): training reads each
            utterance twice, with other units dropped, and the divergence of the two answers is added to the loss.
            A step takes twice as long; 0 reads once.
        class_weights: a scheme of `compute_class_weights`, its result, or None for no weights.
        prior_correction: how far answers are for the classes as they occur, 0 to 1. A loss with class weights w
            teaches p(class) w, so that rare classes are said too often. The loss adds this share of log w to the
            logits before it judges them; at 1 they come to stand for p(class) itself (King and Zeng, 2001,
            https://doi.org/10.1093/oxfordjournals.pan.a004868), and the weights only say what is learned from most.
        schedule: of the learning rates: `plateau`, or `linear`, a short rise and a straight fall to zero at the
            end of the epochs that `fit` is asked for, the usual way to fine-tune a pretrained transformer.
        patience: epochs without a better validation loss before a plateau makes the learning rate fall tenfold.
        selection: what makes an epoch the best one: validation `loss` or `emotion_weighted_f1`.
        early_stopping: epochs without a better one before training ends; None never stops early.
        max_grad_norm: gradients are scaled down to this norm; None leaves them.
        ema_decay: decay of a running average of the weights, which is then what `fit` validates and keeps;
            None trains without one.
        run_dir: where checkpoints, TensorBoard events and `history.csv` go; None keeps nothing.
        progress: whether bars are drawn.
    """

    def __init__(
        self,
        model: MultimodalSentimentModel,
        train_loader: DataLoader,
        val_loader: DataLoader,
        *,
        learning_rate: float = 1e-4,
        backbone_learning_rate: float = 2e-5,
        weight_decay: float = 1e-5,
        label_smoothing: float = 0.05,
        consistency: float = 0.0,
        class_weights: str | Mapping[str, Tensor] | None = "inverse",
        prior_correction: float = 0.0,
        schedule: str = "plateau",
        patience: int = 2,
        selection: str = "loss",
        early_stopping: int | None = None,
        max_grad_norm: float | None = 1.0,
        ema_decay: float | None = None,
        run_dir: str | Path | None = None,
        accelerator: Accelerator | None = None,
        progress: bool = True,
    ) -> None:
        if selection not in SELECTIONS:
            raise ValueError(f"selection must be one of {', '.join(SELECTIONS)}, not {selection!r}")
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {schedule!r}")
        if not 0 <= prior_correction <= 1:
            raise ValueError(f"prior_correction must lie between 0 and 1, not at {prior_correction}")
        self.accelerator = accelerator or processes.accelerator()
        self.batch_sampler = train_loader.batch_sampler
        if isinstance(self.batch_sampler, DialogueBatchSampler):
            self.accelerator.even_batches = False  # no dialogue is cut to fill a batch; the sampler evens them out
        if isinstance(class_weights, str):
            class_weights = compute_class_weights(train_loader.dataset, class_weights)
        device = self.accelerator.device
        self.criterion = {
            task: _CrossEntropy(
                class_weights[task].to(device) if class_weights else None, label_smoothing, prior_correction
            )
            for task in TASKS
        }
        optimizer = torch.optim.Adam(
            _parameter_groups(model, learning_rate, backbone_learning_rate), weight_decay=weight_decay, fused=True
        )
        self.model, self.optimizer, self.train_loader, self.val_loader = self.accelerator.prepare(
            model, optimizer, train_loader, val_loader
        )
        self.consistency = consistency
        self.total_steps: int | None = None  # known when `fit` is
        self.linear = schedule == "linear"
        self.scheduler = (
            torch.optim.lr_scheduler.LambdaLR(optimizer, self._linear_rate)
            if self.linear
            else torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience)
        )
        self.selection, self.early_stopping, self.max_grad_norm = selection, early_stopping, max_grad_norm
        self.average = None if ema_decay is None else WeightAverage(self.unwrapped.trained_state(), ema_decay)
        self.run_dir = Path(run_dir) if run_dir is not None else None
        self.progress = progress
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"score": -math.inf, "epoch": None, "state": None}
        self.last: dict[str, Tensor] | None = None  # weights from which another call of `fit` goes on

    @property
    def unwrapped(self) -> MultimodalSentimentModel:
        return self.accelerator.unwrap_model(self.model)

    # ------------------------------------------------------------------------------- one epoch

    def train_epoch(self) -> tuple[Losses, Metrics]:
        """One pass over the training data with updates; losses and metrics of what the model said on the way."""
        self.model.train()
        self._set_epoch(self.epoch)
        outputs = []
        for batch in self._bar(self.train_loader, f"epoch {self.epoch + 1} train"):
            with self.accelerator.accumulate(self.model), self.accelerator.autocast():
                loss, logits, batch = self._read(batch)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients and self.max_grad_norm is not None:
                    self.accelerator.clip_grad_norm_(self._learning(), self.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
                if self.accelerator.sync_gradients:
                    self._after_step()
            outputs.append(self._gather(logits, batch))
        self.epoch += 1
        return self._summary(self._joined(outputs))

    def _read(self, batch: Mapping[str, Any]) -> tuple[Tensor, Mapping[str, Tensor], Mapping[str, Any]]:
        """The loss of a training batch, and logits and labels of what is judged in it."""
        inputs = _model_inputs(batch)
        if not self.consistency:
            logits, batch = _judged(self.model(**inputs), batch)
            return self._loss(logits, batch), logits, batch
        answers = self.model(**_twice(inputs))
        halves = ({name: tensor.chunk(2)[i] for name, tensor in answers.items()} for i in (0, 1))
        (logits, told), (again, _) = (_judged(half, batch) for half in halves)
        loss = (self._loss(logits, told) + self._loss(again, told)) / 2
        apart = sum(_divergence(logits[name].float(), again[name].float()) for name in logits)
        return loss + self.consistency * apart, logits, told

    def _learning(self) -> list[nn.Parameter]:
        """The parameters that the optimiser changes; to go through all frozen ones in every step takes its time."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _after_step(self) -> None:
        if self.linear:
            self.scheduler.step()
        if self.average is not None:
            self.average.update()

    def _linear_rate(self, step: int) -> float:
        """The share of its learning rate that a step is taken with."""
        if self.total_steps is None:
            return 1.0
        rise = max(1.0, WARMUP * self.total_steps)
        return max(0.0, min(1.0, (step + 1) / rise, (self.total_steps - step) / max(1.0, self.total_steps - rise)))

    def evaluate(self, loader: DataLoader, phase: str = "val") -> tuple[Losses, Metrics]:
        """Losses and metrics of the whole split, each utterance counted once (no mean of batches)."""
        return self._summary(self.predict(loader, phase))

    @torch.inference_mode()
    def predict(self, loader: DataLoader, phase: str = "test") -> dict[str, Tensor]:
        """Logits and labels of every utterance, in the data set's order: `emotions` (N, 7), `emotion_label` (N,), …"""
        if loader is not self.val_loader:
            loader = self.accelerator.prepare_data_loader(loader)
        self.model.eval()
        outputs = []
        for batch in self._bar(loader, phase):
            with self.accelerator.autocast():
                logits, batch = _judged(self.model(**_model_inputs(batch)), batch)
            outputs.append(self._gather(logits, batch))
        found = self._joined(outputs)
        if self.accelerator.num_processes > 1 and len(found[LABELS["emotion"]]) != len(loader.dataset):
            several = f"{self.accelerator.num_processes} processes read {len(found[LABELS['emotion']])}"
            raise DataError(f"{several} of {len(loader.dataset)} utterances; evaluate in one process")
        return found

    def _loss(self, logits: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        return sum(self.criterion[t](logits[LOGITS[t]].float(), batch[LABELS[t]]) for t in TASKS)

    def _gather(self, logits: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits and labels from all processes, and the number of each one's row in the data set."""
        own = {name: tensor.detach().float() for name, tensor in logits.items()}
        own |= {name: batch[name] for name in (*LABELS.values(), "row") if name in batch}
        if self.accelerator.num_processes > 1:  # the last batches may differ in size
            own = self.accelerator.gather(self.accelerator.pad_across_processes(own, pad_index=-1))
        return {name: tensor.cpu() for name, tensor in own.items()}

    def _joined(self, outputs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return _concatenate(outputs, several_processes=self.accelerator.num_processes > 1)

    def _summary(self, outputs: Mapping[str, Tensor]) -> tuple[Losses, Metrics]:
        losses: Losses = {}
        metrics: Metrics = {}
        for task, names in TASKS.items():
            logits, labels = outputs[LOGITS[task]], outputs[LABELS[task]]
            losses[task] = float(self.criterion[task].cpu()(logits, labels))
            self.criterion[task].to(self.accelerator.device)
            scores = classification_metrics(labels.numpy(), logits.argmax(dim=1).numpy(), len(names))
            metrics |= {f"{task}_{name}": value for name, value in scores.items()}
        return {"total": losses["emotion"] + losses["sentiment"], **losses}, metrics

    def _set_epoch(self, epoch: int) -> None:
        """The order of the batches depends on the epoch alone, also after a resume."""
        for holder in (self.batch_sampler, self.train_loader):
            if hasattr(holder, "set_epoch"):
                holder.set_epoch(epoch)

    def _bar(self, loader: DataLoader, text: str) -> tqdm:
        hidden = not (self.progress and self.accelerator.is_main_process)
        return tqdm(loader, desc=text, unit="batch", leave=False, disable=hidden)

    # ------------------------------------------------------------------------------ all epochs

    def fit(self, epochs: int, resume: bool = True) -> pd.DataFrame:
        """Train up to `epochs` epochs in all, keep the best one's weights in the model, return the history.

        With a run directory it first goes on from what an earlier, interrupted call left there
        (`resume=False` starts over).
        """
        if self.last is not None:  # an earlier call left the best epoch's weights in the model
            if not resume:
                raise TrainingError("resume=False: this trainer has trained already; a new one starts over")
            self.unwrapped.load_trained_state(self.last)
        accumulate = self.accelerator.gradient_accumulation_steps
        self.total_steps = epochs * math.ceil(len(self.train_loader) / accumulate)
        if self.run_dir is not None and resume:
            self._resume()
        if self.linear:  # which knows only now where it ends
            for group, rate in zip(self.optimizer.param_groups, self.scheduler.base_lrs, strict=True):
                group["lr"] = rate * self._linear_rate(self.scheduler.last_epoch)
        with _Events(self.run_dir if self.accelerator.is_main_process else None) as events:
            while self.epoch < epochs and not self._stopped():
                row = self._one_epoch()
                events.write(row)
                self._checkpoint()
        if self.best["state"] is not None:
            self.last = _copied(self.unwrapped.trained_state())
            self.unwrapped.load_trained_state(self.best["state"])
        return pd.DataFrame(self.history)

    def _one_epoch(self) -> dict[str, float]:
        rate = self.optimizer.param_groups[0]["lr"]
        results = {"train": self.train_epoch()}
        with self._averaged():
            results["val"] = self.evaluate(self.val_loader, "val")
        if not math.isfinite(results["train"][0]["total"] + results["val"][0]["total"]):
            raise TrainingError(
                f"the loss of epoch {self.epoch} is not a number; lower the learning rate, or train with precision no"
            )
        if not self.linear:
            self.scheduler.step(results["val"][0]["total"])
        row: dict[str, float] = {"epoch": self.epoch, "learning_rate": rate}
        for phase, (losses, metrics) in results.items():
            row |= {f"{phase}_loss_{name}": value for name, value in losses.items()}
            row |= {f"{phase}_{name}": value for name, value in metrics.items()}
        self.history.append(row)
        self._keep_best(row)
        return row

    def _keep_best(self, row: dict[str, float]) -> None:
        score = -row["val_loss_total"] if self.selection == "loss" else row[f"val_{self.selection}"]
        if score > self.best["score"]:
            with self._averaged():
                self.best = {"score": score, "epoch": self.epoch, "state": _copied(self.unwrapped.trained_state())}

    def _averaged(self) -> AbstractContextManager[None]:
        """The model with its averaged weights, if they are kept."""
        return nullcontext() if self.average is None else self.average.applied()

    def _stopped(self) -> bool:
        if self.early_stopping is None or self.best["epoch"] is None:
            return False
        return self.epoch - self.best["epoch"] >= self.early_stopping

    # ----------------------------------------------------------------------------- checkpoints

    def _checkpoint(self) -> None:
        """Everything that the next epoch depends on, written under another name and renamed."""
        if self.run_dir is None:
            return
        rng = gather_object([torch.get_rng_state()])  # of every process
        cuda_rng = gather_object([torch.cuda.get_rng_state()]) if torch.cuda.is_available() else []
        if not self.accelerator.is_main_process:
            return
        self.run_dir.mkdir(parents=True, exist_ok=True)
        state = {
            "epoch": self.epoch,
            "history": self.history,
            "best": self.best,
            "model": self.unwrapped.trained_state(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            "rng": rng,
            "cuda_rng": cuda_rng,
        }
        with written_whole(self.run_dir / CHECKPOINT) as temporary:
            torch.save(state, temporary)
        with written_whole(self.run_dir / HISTORY) as temporary:
            pd.DataFrame(self.history).to_csv(temporary, index=False)

    def _resume(self) -> None:
        path = self.run_dir / CHECKPOINT
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise DataError(f"{path}: not a readable checkpoint; delete it to start over") from error
        self.unwrapped.load_trained_state(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None and state.get("average"):
            self.average.load_state_dict(state["average"])
        if self.accelerator.scaler and state.get("scaler"):
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.epoch, self.history, self.best = state["epoch"], state["history"], state["best"]
        own = self.accelerator.process_index
        if own < len(state["rng"]):
            torch.set_rng_state(state["rng"][own])
        if own < len(state["cuda_rng"]) and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_rng"][own])


class _Events:
    """TensorBoard events of a run directory; nothing without one."""

    def __init__(self, run_dir: Path | None) -> None:
        self.writer = None
        if run_dir is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(run_dir / "tensorboard"))

    def __enter__(self) -> "_Events":
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, row: Mapping[str, float]) -> None:
        if self.writer is None:
            return
        for name, value in row.items():
            phase, _, rest = name.partition("_")
            tag = f"{rest}/{phase}" if phase in ("train", "val") else name
            self.writer.add_scalar(tag, value, int(row["epoch"]))
        self.writer.flush()


def _model_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in MODEL_INPUTS if name in batch}


def _twice(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every row once more, behind the others; the copy of a dialogue is another dialogue."""
    double = {
        name: _twice(x) if isinstance(x, Mapping) else None if x is None else torch.cat([x, x])
        for name, x in inputs.items()
    }
    if "dialogue" in inputs:
        dialogue = inputs["dialogue"]
        double["dialogue"] = torch.cat([dialogue, dialogue + dialogue.max() + 1])
    return double


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """Mean of the two Kullback-Leibler divergences between the answers of logits (B, K), averaged over the rows."""
    p, q = one.log_softmax(dim=1), other.log_softmax(dim=1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=1).mean() / 2


def _judged(logits: Mapping[str, Tensor], batch: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Logits and labels without the rows that are only there to be seen by others."""
    rows = batch.get("judged")
    if rows is None or rows.all():
        return logits, batch
    told = {name: batch[name][rows] for name in (*LABELS.values(), "row") if name in batch}
    return {name: tensor[rows] for name, tensor in logits.items()}, told


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _concatenate(outputs: list[dict[str, Tensor]], several_processes: bool = False) -> dict[str, Tensor]:
    """All batches as one, in the order of the data set where the rows are known.

    Several processes repeat rows, so that each has as many batches as the others: here every row counts once.
    """
    if not outputs:
        raise DataError("no utterance to train on or to evaluate")
    joined = {name: torch.cat([o[name] for o in outputs]) for name in outputs[0]}
    rows = joined.pop("row", None)
    if rows is None:
        return joined
    order = torch.argsort(rows, stable=True)
    first = torch.diff(rows[order], prepend=torch.tensor([-1])) != 0  # -1 stands where a gathered batch was padded
    if not several_processes and not first.all():
        return joined  # rows that the loader itself repeats, as a weighted sampler does
    return {name: tensor[order[first]] for name, tensor in joined.items()}


class _CrossEntropy(nn.CrossEntropyLoss):
    """Weighted and label-smoothed, of logits that know only a part of the weights."""

    def __init__(self, weight: Tensor | None, label_smoothing: float, prior_correction: float) -> None:
        super().__init__(weight, label_smoothing=label_smoothing)
        self.prior_correction = prior_correction if weight is not None else 0.0

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        if self.prior_correction:
            input = input + self.prior_correction * self.weight.log()
        return super().forward(input, target)


def _parameter_groups(model: nn.Module, learning_rate: float, backbone_learning_rate: float) -> list[dict]:
    """What learns, and how fast: frozen parameters never reach the optimiser."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    backbone = [p for name, p in learning if ".backbone." in name]
    rest = [p for name, p in learning if ".backbone." not in name]
    groups = [{"params": rest, "lr": learning_rate}]
    return groups + ([{"params": backbone, "lr": backbone_learning_rate}] if backbone else [])


def softmax(outputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Logits of `predict` -> probabilities: `emotion` (N, 7), `sentiment` (N, 3)."""
    return {task: outputs[LOGITS[task]].softmax(dim=1).numpy() for task in TASKS}
