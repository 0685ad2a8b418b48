"""The trainer: its loss against formulas, its metrics against the whole split, resume against no interruption."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score
from torch.utils.data import DataLoader
from worlds import feature_dataset

from mmsa_lib import MultimodalSentimentModel, MultimodalTrainer, compute_class_weights
from mmsa_lib.dataset import make_loader
from mmsa_lib.errors import DataError, TrainingError
from mmsa_lib.processes import accelerator
from mmsa_lib.trainer import _CrossEntropy, _divergence, _twice


def build(**options):
    torch.manual_seed(0)
    return MultimodalSentimentModel(random_backbones=["video"], audio_channels=(16, 16), **options)


@pytest.fixture(scope="module")
def datasets():
    return feature_dataset(60, seed=0), feature_dataset(33, seed=1)


def trainer(datasets, model=None, **options):
    train, val = (make_loader(d, 8, shuffle=i == 0) for i, d in enumerate(datasets))
    model = model if model is not None else build(modality_dropout=0.2, spec_augment=True)
    return MultimodalTrainer(model, train, val, progress=False, **options)


def weights_of(t):
    return {k: v.clone() for k, v in t.unwrapped.trained_state().items()}


def smoothed_cross_entropy(logits, labels, weights, smoothing):
    """Written out: the true class gets 1 - e + e/K, each other one e/K, every class its weight."""
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    classes = logits.shape[1]
    total = norm = 0.0
    for row, label in zip(log_p, labels, strict=True):
        for k in range(classes):
            q = smoothing / classes + (1 - smoothing if k == label else 0.0)
            total -= q * weights[k] * row[k]
        norm += weights[label]
    return total / norm


def test_losses_are_the_written_formula_over_the_whole_split(datasets):
    t = trainer(datasets)
    losses, _ = t.evaluate(t.val_loader)
    outputs = t.predict(t.val_loader)
    weights = compute_class_weights(datasets[0])
    emotion = smoothed_cross_entropy(outputs["emotions"], outputs["emotion_label"], weights["emotion"], 0.05)
    assert losses["emotion"] == pytest.approx(float(emotion), rel=1e-4)
    assert losses["total"] == pytest.approx(losses["emotion"] + losses["sentiment"])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_who_knows_nothing_answers_how_often_classes_occur_as_far_as_the_prior_is_corrected(share):
    counts, weights = torch.tensor([60.0, 30.0, 10.0]), torch.tensor([0.5, 0.9, 1.6])
    labels = torch.arange(3).repeat_interleave(counts.long())
    criterion = _CrossEntropy(weights, 0.0, share)
    logits = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def step():
        optimizer.zero_grad()
        loss = criterion(logits.expand(100, 3), labels)
        loss.backward()
        return loss

    optimizer.step(step)
    said = counts * weights ** (1 - share)
    torch.testing.assert_close(logits.detach().softmax(1)[0], said / said.sum(), rtol=0, atol=1e-3)


def test_a_corrected_prior_is_log_weights_on_the_logits_of_the_loss_alone(datasets):
    plain, corrected = trainer(datasets, build()), trainer(datasets, build(), prior_correction=0.5)
    outputs, same = (t.predict(t.val_loader) for t in (plain, corrected))
    torch.testing.assert_close(outputs["emotions"], same["emotions"])
    w = compute_class_weights(datasets[0])["emotion"]
    shifted = outputs["emotions"] + w.sqrt().log()
    expected = smoothed_cross_entropy(shifted, outputs["emotion_label"], w, 0.05)
    assert corrected.evaluate(corrected.val_loader)[0]["emotion"] == pytest.approx(float(expected), rel=1e-4)


def test_without_weights_there_is_no_prior_to_correct(datasets):
    plain, corrected = (trainer(datasets, build(), class_weights=None, prior_correction=p) for p in (0.0, 1.0))
    assert plain.evaluate(plain.val_loader) == corrected.evaluate(corrected.val_loader)


def test_a_prior_is_corrected_by_a_share(datasets):
    with pytest.raises(ValueError, match="prior_correction must lie between 0 and 1"):
        trainer(datasets, prior_correction=1.5)


def test_metrics_are_those_of_the_whole_split_not_a_mean_of_batches(datasets):
    t = trainer(datasets)
    _, metrics = t.evaluate(t.val_loader)
    outputs = t.predict(t.val_loader)
    assert outputs["emotion_label"].tolist() == datasets[1].emotion_labels.tolist()
    predictions = outputs["emotions"].argmax(dim=1)
    expected = f1_score(outputs["emotion_label"], predictions, average="weighted")
    assert metrics["emotion_weighted_f1"] == pytest.approx(expected)
    scores = ("accuracy", "weighted_precision", "weighted_f1", "macro_f1")
    assert set(metrics) == {f"{task}_{score}" for task in ("emotion", "sentiment") for score in scores}


def test_batch_size_does_not_change_an_evaluation(datasets):
    t = trainer(datasets)
    one, all_ = (t.evaluate(DataLoader(datasets[1], n, collate_fn=t.val_loader.collate_fn)) for n in (1, 33))
    assert one[1] == all_[1]
    assert one[0]["total"] == pytest.approx(all_[0]["total"], rel=1e-5)


def test_designed_defaults(datasets):
    t = trainer(datasets)
    group = t.optimizer.param_groups[0]
    assert group["lr"] == 1e-4 and group["weight_decay"] == 1e-5
    assert t.scheduler.patience == 2
    assert t.criterion["emotion"].label_smoothing == 0.05
    torch.testing.assert_close(t.criterion["emotion"].weight, compute_class_weights(datasets[0])["emotion"])


def test_it_learns_and_frozen_backbones_do_not_move(datasets):
    model = build()
    before = {k: v.clone() for k, v in model.frozen_backbones()["video"].state_dict().items()}
    t = trainer(datasets, model, learning_rate=1e-3)
    history = t.fit(8)
    assert history["train_loss_total"].iloc[-1] < 0.6 * history["train_loss_total"].iloc[0]
    assert history["train_emotion_accuracy"].iloc[-1] > 0.9
    assert all(torch.equal(v, before[k]) for k, v in model.frozen_backbones()["video"].state_dict().items())
    optimised = {id(p) for group in t.optimizer.param_groups for p in group["params"]}
    assert not optimised & {id(p) for b in model.frozen_backbones().values() for p in b.parameters()}


def test_fine_tuned_backbones_have_their_own_learning_rate(datasets):
    t = trainer(datasets, build(finetune=["text"]), learning_rate=1e-3, backbone_learning_rate=1e-5)
    rates = [group["lr"] for group in t.optimizer.param_groups]
    assert rates == [1e-3, 1e-5]
    inside = {id(p) for p in t.unwrapped.encoders["text"].backbone.parameters() if p.requires_grad}
    assert {id(p) for p in t.optimizer.param_groups[1]["params"]} == inside


def read_batch(datasets, consistency, p=0.0, **options):
    """Loss of one training batch with dropout p everywhere, and the length of its gradient."""
    model = build(**options)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = p
    t = trainer(datasets, model.train(), consistency=consistency)
    loss, logits, _ = t._read(next(iter(t.train_loader)))
    loss.backward()
    assert len(logits["emotions"]) == 8
    return loss.item(), sum(p.grad.square().sum() for p in t._learning() if p.grad is not None).sqrt().item()


def test_reading_twice_with_nothing_dropped_changes_nothing(datasets):
    assert read_batch(datasets, 1.0) == pytest.approx(read_batch(datasets, 0.0), rel=1e-3)


def test_answers_that_differ_cost_in_proportion_to_the_weight_of_consistency(datasets):
    plain, one, two = (read_batch(datasets, c, p=0.5)[0] for c in (1e-9, 1.0, 2.0))
    assert one > plain + 0.01 and two - plain == pytest.approx(2 * (one - plain), rel=1e-3)


def test_divergence_is_the_mean_of_both_directions():
    one, other = torch.randn(5, 7), torch.randn(5, 7)
    p, q = one.log_softmax(1), other.log_softmax(1)
    kl = [torch.nn.functional.kl_div(a, b, log_target=True, reduction="batchmean") for a, b in ((p, q), (q, p))]
    torch.testing.assert_close(_divergence(one, other), sum(kl) / 2)
    assert _divergence(one, one) == 0


def test_dialogues_are_read_twice_without_meeting():
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text"], context=2, future=1, context_reader="gru").eval()
    rows = {"text_inputs": torch.randn(5, 384), "video_frames": None, "dialogue": torch.tensor([4, 4, 2, 2, 2])}
    rows["judged"] = torch.tensor([True, False, True, True, False])
    twice, once = model(**_twice(rows)), model(**rows)
    for name, logits in once.items():
        for half in twice[name].chunk(2):
            torch.testing.assert_close(half, logits)


def test_the_model_ends_with_the_best_epoch_not_the_last(datasets, tmp_path):
    t = trainer(datasets, learning_rate=0.02, run_dir=tmp_path)
    history = t.fit(6)
    best = int(history["val_loss_total"].argmin())
    assert t.best["epoch"] == history["epoch"].iloc[best]
    assert t.evaluate(t.val_loader)[0]["total"] == pytest.approx(history["val_loss_total"].iloc[best], rel=1e-5)


def test_selection_by_f1(datasets):
    t = trainer(datasets, learning_rate=0.01, selection="emotion_weighted_f1")
    history = t.fit(5)
    assert t.best["score"] == history["val_emotion_weighted_f1"].max()
    with pytest.raises(ValueError, match="'luck'"):
        trainer(datasets, selection="luck")


def test_with_averaging_the_average_is_validated_and_kept(datasets):
    t = trainer(datasets, learning_rate=0.01, ema_decay=0.8)
    seen = []
    row = t._one_epoch  # one epoch at a time, to look at the average behind each

    def watched():
        result = row()
        with t._averaged():
            seen.append(weights_of(t))
        return result

    t._one_epoch = watched
    history = t.fit(4)
    for name, tensor in weights_of(t).items():
        assert torch.equal(tensor, seen[t.best["epoch"] - 1][name]), name
    losses, _ = t.evaluate(t.val_loader)
    assert losses["total"] == pytest.approx(history["val_loss_total"].min(), rel=1e-5)


def test_training_metrics_count_every_utterance(datasets, monkeypatch):
    """60 utterances in batches of 8: the short batch must not shorten another one."""
    t = trainer(datasets)
    counted = []
    summary = t._summary
    monkeypatch.setattr(t, "_summary", lambda outputs: counted.append(len(outputs["emotions"])) or summary(outputs))
    for _ in range(4):
        t.train_epoch()
    assert counted == [60] * 4


def test_batches_are_accumulated_into_one_step(datasets):
    """60 utterances in batches of 8, three batches a step: eight batches make three steps, the last of two."""
    t = trainer(datasets, accelerator=accelerator(gradient_accumulation_steps=3))
    before, seen = weights_of(t)["fusion.0.weight"], []
    loss = t._loss

    def watched(*arguments):
        seen.append(torch.equal(t.unwrapped.fusion[0].weight, before))
        return loss(*arguments)

    t._loss = watched
    t.train_epoch()
    assert seen == [True] * 3 + [False] * 5
    steps = {int(state["step"]) for state in t.optimizer.state.values()}
    assert steps == {3}


def test_early_stopping(datasets):
    t = trainer(datasets, learning_rate=0.0, early_stopping=2)
    assert len(t.fit(50)) <= 10 and t.epoch - t.best["epoch"] == 2


def test_a_linear_schedule_rises_shortly_and_falls_to_zero(datasets):
    used = []
    linear = trainer(datasets, schedule="linear", learning_rate=0.1)
    step = linear.optimizer.step
    linear.optimizer.step = lambda: used.append(linear.optimizer.param_groups[0]["lr"]) or step()
    linear.fit(8)
    total = 8 * len(linear.train_loader)
    rise = max(1, 0.06 * total)
    expected = [0.1 * min((i + 1) / rise, (total - i) / (total - rise), 1) for i in range(total)]
    assert used == pytest.approx(expected)
    assert linear.optimizer.param_groups[0]["lr"] == 0


class TestResume:
    @pytest.mark.parametrize("ema_decay", [None, 0.9])
    def test_interrupted_and_uninterrupted_runs_end_with_the_same_weights(self, datasets, tmp_path, ema_decay):
        whole = trainer(datasets, run_dir=tmp_path / "whole", ema_decay=ema_decay)
        expected_history = whole.fit(5)
        trainer(datasets, run_dir=tmp_path / "cut", ema_decay=ema_decay).fit(2)
        torch.manual_seed(99)  # another process starts with other random numbers
        model = build(modality_dropout=0.2, spec_augment=True)
        resumed = trainer(datasets, model, run_dir=tmp_path / "cut", ema_decay=ema_decay)
        history = resumed.fit(5)
        pd.testing.assert_frame_equal(history, expected_history)
        for name, tensor in weights_of(whole).items():
            assert torch.equal(tensor, weights_of(resumed)[name]), name

    def test_killed_within_an_epoch_it_repeats_that_epoch(self, datasets, tmp_path, monkeypatch):
        expected = trainer(datasets, run_dir=tmp_path / "whole")
        expected.fit(3)
        killed = trainer(datasets, run_dir=tmp_path / "cut")
        killed.fit(1)
        steps = iter(range(3))
        monkeypatch.setattr(killed, "_loss", lambda *_: next(steps) and None)
        with pytest.raises((StopIteration, TypeError, AttributeError)):
            killed.fit(3)
        resumed = trainer(datasets, run_dir=tmp_path / "cut")
        resumed.fit(3)
        for name, tensor in weights_of(expected).items():
            assert torch.equal(tensor, weights_of(resumed)[name]), name

    def test_killed_on_a_linear_schedule_it_ends_with_the_same_weights(self, datasets, tmp_path, monkeypatch):
        expected = trainer(datasets, run_dir=tmp_path / "whole", schedule="linear")
        expected.fit(3)
        killed = trainer(datasets, run_dir=tmp_path / "cut", schedule="linear")
        losses = iter(range(len(killed.train_loader) + 1))
        inner = killed._loss
        monkeypatch.setattr(killed, "_loss", lambda *given: inner(*given) + 0 * next(losses))
        with pytest.raises(StopIteration):
            killed.fit(3)
        assert killed.epoch == 1
        resumed = trainer(datasets, run_dir=tmp_path / "cut", schedule="linear")
        resumed.fit(3)
        for name, tensor in weights_of(expected).items():
            assert torch.equal(tensor, weights_of(resumed)[name]), name

    def test_a_finished_run_is_not_trained_further(self, datasets, tmp_path):
        trainer(datasets, run_dir=tmp_path).fit(2)
        again = trainer(datasets, run_dir=tmp_path)
        again.train_epoch = lambda: pytest.fail("trained again")
        assert len(again.fit(2)) == 2

    def test_an_unreadable_checkpoint_is_named(self, datasets, tmp_path):
        (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
        with pytest.raises(DataError, match=r"checkpoint\.pt"):
            trainer(datasets, run_dir=tmp_path).fit(1)

    def test_what_a_run_leaves_behind(self, datasets, tmp_path):
        history = trainer(datasets, run_dir=tmp_path).fit(2)
        saved = pd.read_csv(tmp_path / "history.csv")
        assert saved["epoch"].tolist() == [1, 2] and list(saved) == list(history)
        np.testing.assert_allclose(saved["val_loss_total"], history["val_loss_total"])
        assert list((tmp_path / "tensorboard").glob("events.*"))
        assert not list(tmp_path.glob("*.tmp"))


def test_a_loss_that_is_no_number_stops_the_training(datasets):
    model = build()
    with torch.no_grad():
        model.fusion[0].weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="epoch 1"):
        trainer(datasets, model).fit(3)


def test_no_utterances_is_a_clear_error(datasets):
    empty = feature_dataset(1)
    t = trainer((datasets[0], empty))
    assert math.isfinite(t.evaluate(t.val_loader)[0]["total"])
    with pytest.raises(DataError, match="no utterance"):
        t.evaluate(DataLoader([], collate_fn=t.val_loader.collate_fn))


def test_a_second_call_goes_on_where_the_first_one_stopped(datasets):
    """Not from the best epoch's weights, which the first call left in the model."""
    whole, halved = trainer(datasets, learning_rate=3e-3), trainer(datasets, learning_rate=3e-3)
    torch.manual_seed(1)
    expected = whole.fit(5)
    torch.manual_seed(1)
    assert halved.fit(3)["val_loss_total"].idxmin() < 2  # the best was not the last, so there is something to see
    torch.testing.assert_close(torch.tensor(halved.fit(5).to_numpy()), torch.tensor(expected.to_numpy()))
    with pytest.raises(TrainingError, match="trained already"):
        halved.fit(6, resume=False)


def test_a_full_disk_names_the_file_and_leaves_nothing(datasets, tmp_path, monkeypatch):
    def fills_up(state, path):
        Path(path).write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672]")

    monkeypatch.setattr(torch, "save", fills_up)
    with pytest.raises(DataError, match=r"checkpoint\.pt: cannot be written"):
        trainer(datasets, run_dir=tmp_path).fit(1)
    assert not [path for path in tmp_path.rglob("*") if "checkpoint" in path.name]
