"""Context: who sees which turn, and that nobody sees anything else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import feature_dataset, tokens

from mmsa_lib import MultimodalSentimentModel, MultimodalTrainer, TextEncoder
from mmsa_lib.attribution import subset_logits
from mmsa_lib.backbones import MINILM
from mmsa_lib.context import (
    OTHER,
    SAME,
    UNKNOWN,
    DialogueContext,
    first_of_rows,
    mean_of_rows,
    pack_turns,
    turn_windows,
)
from mmsa_lib.dataset import DialogueBatchSampler, MELDDataset, make_loader
from mmsa_lib.errors import DataError
from mmsa_lib.experiment import build_model, predict_dataset
from mmsa_lib.presets import Preset

DIALOGUE = torch.tensor([0, 0, 0, 0, 3, 3, 1])
SPEAKER = torch.tensor([0, 1, 0, -1, 0, 2, 0])


@pytest.mark.parametrize(("past", "future"), [(0, 0), (2, 0), (1, 2), (9, 9)])
def test_windows_are_those_of_a_written_loop(past, future):
    windows = turn_windows(DIALOGUE, SPEAKER, past, future)
    assert windows.rows.shape == (7, past + 1 + future)
    for i in range(7):
        for k, j in enumerate(range(i - past, i + future + 1)):
            inside = 0 <= j < 7 and bool(DIALOGUE[j] == DIALOGUE[i])
            assert bool(windows.real[i, k]) == inside
            if inside:
                known = SPEAKER[i] >= 0 and SPEAKER[j] >= 0
                who = (SAME if SPEAKER[i] == SPEAKER[j] else OTHER) if known else UNKNOWN
                assert (int(windows.rows[i, k]), int(windows.speaker[i, k])) == (j, who)


def context(reader, past, future):
    torch.manual_seed(0)
    return DialogueContext(16, past, future, reader).eval()


def reaches(function, x):
    """(B, B) bool: whether row i of the output moves when row j of the input does."""
    before = function(x)
    moved = torch.zeros(len(x), len(x), dtype=torch.bool)
    for j in range(len(x)):
        changed = x.clone()
        changed[j] += torch.linspace(-1, 1, x.shape[1])
        moved[:, j] = (function(changed) - before).abs().amax(dim=1) > 1e-6
    return moved


@pytest.mark.parametrize("reader", ["transformer", "gru"])
@pytest.mark.parametrize(("past", "future"), [(2, 0), (1, 1), (0, 2)])
def test_a_turn_is_reached_from_its_window_and_from_nowhere_else(reader, past, future):
    layer, x = context(reader, past, future), torch.randn(7, 16)
    distance = torch.arange(7)[:, None] - torch.arange(7)
    expected = (distance <= past) & (distance >= -future) & (DIALOGUE[:, None] == DIALOGUE)
    assert torch.equal(reaches(lambda rows: layer(rows, DIALOGUE, SPEAKER), x), expected)


@pytest.mark.parametrize("reader", ["transformer", "gru"])
class TestDialogueContext:
    def test_without_dialogues_every_row_stands_alone(self, reader):
        layer, x = context(reader, 3, 0), torch.randn(4, 16)
        alone = torch.cat([layer(row[None], torch.tensor([5])) for row in x])
        torch.testing.assert_close(layer(x), alone)

    def test_the_company_of_other_dialogues_changes_nothing(self, reader):
        layer, x = context(reader, 3, 1), torch.randn(7, 16)
        together = layer(x, DIALOGUE, SPEAKER)
        torch.testing.assert_close(layer(x[4:6], DIALOGUE[4:6], SPEAKER[4:6]), together[4:6])

    def test_it_matters_who_spoke(self, reader):
        layer, x = context(reader, 1, 0), torch.randn(2, 16)
        one, two = (layer(x, torch.zeros(2).long(), torch.tensor(s))[1] for s in ([0, 0], [0, 1]))
        assert not torch.allclose(one, two)

    def test_only_judged_rows_are_read_and_as_if_all_were(self, reader):
        network, x = DialogueContext(16, past=2, future=1, reader=reader).eval(), torch.randn(7, 16)
        judged = torch.tensor([False, True, False, True, False, True, True])
        whole, part = (network(x, DIALOGUE, SPEAKER, j) for j in (None, judged))
        torch.testing.assert_close(part[judged], whole[judged])
        torch.testing.assert_close(part[~judged], x[~judged])
        gradients = [torch.autograd.grad(y[judged].square().sum(), list(network.parameters())) for y in (whole, part)]
        torch.testing.assert_close(*gradients)

    def test_it_trains_on_one_row(self, reader):
        layer = DialogueContext(16, 2, 1, reader).train()
        layer(torch.randn(1, 16)).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize("layers", [1, 2])
def test_asking_for_the_judged_turn_alone_changes_nothing(layers):
    layer, x = DialogueContext(16, 2, 1, layers=layers).eval(), torch.randn(7, 16)
    windows = turn_windows(DIALOGUE, SPEAKER, 2, 1)
    turns = layer.norm(x)[windows.rows] + layer.distance.weight + layer.speaker(windows.speaker)
    whole = layer.reader.encoder(turns, src_key_padding_mask=~windows.real)[:, 2]
    torch.testing.assert_close(layer(x, DIALOGUE, SPEAKER), x + whole)


def test_an_unknown_reader_is_refused():
    with pytest.raises(ValueError, match="'oracle'"):
        DialogueContext(8, 1, reader="oracle")
    with pytest.raises(ValueError, match="'oracle'"):
        MultimodalSentimentModel(modalities=["audio"], context_reader="oracle")


# -------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("max_tokens", [512, 40, 16])
@pytest.mark.parametrize(("past", "future"), [(0, 0), (2, 0), (3, 2)])
def test_every_token_counts_once_however_dialogues_are_cut(max_tokens, past, future):
    lengths = [5, 8, 3, 8, 6, 7, 2]
    text = tokens(lengths)
    packs = pack_turns(**text, dialogue=DIALOGUE, past=past, future=future, max_tokens=max_tokens)
    assert packs.input_ids.shape[1] <= max_tokens
    assert torch.bincount(packs.row[packs.counts], minlength=7).tolist() == lengths
    for row in range(7):
        kept = packs.input_ids[packs.counts & (packs.row == row)]
        assert torch.equal(kept, text["input_ids"][row, : lengths[row]])
    for pack in packs.row:  # one dialogue a pack
        assert len({int(DIALOGUE[r]) for r in pack if r >= 0}) == 1


def test_rows_are_pooled_like_a_written_loop():
    packs = pack_turns(**tokens([3, 5, 2, 4, 6, 1, 2]), dialogue=DIALOGUE, past=1, max_tokens=8)
    states = torch.randn(*packs.input_ids.shape, 4)
    for row in range(7):
        own = states[packs.counts & (packs.row == row)]
        torch.testing.assert_close(mean_of_rows(states, packs, 7)[row], own.mean(dim=0))
        torch.testing.assert_close(first_of_rows(states, packs, 7)[row], own[0])


@pytest.fixture(scope="module")
def encoders():
    made = {}

    def encoder(past, future=0, pooling="mean"):
        key = (past, future, pooling)
        if key not in made:
            made[key] = TextEncoder(MINILM, pooling, past=past, future=future).eval()
        return made[key]

    return encoder


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_dialogue_of_one_turn_is_read_as_before(encoders, pooling):
    text = tokens([6, 4, 9])
    alone = encoders(2, 0, pooling).features(text)
    torch.testing.assert_close(
        encoders(2, 0, pooling).features(text, torch.tensor([4, 1, 2])), alone, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(("past", "future"), [(1, 0), (0, 1), (2, 1)])
def test_words_reach_other_turns_on_the_sides_that_are_looked_at(encoders, past, future):
    encoder, text = encoders(past, future), tokens([4, 5, 3, 4, 6, 3, 5])
    before = encoder.features(text, DIALOGUE)
    for j in range(7):
        changed = {"input_ids": text["input_ids"].clone(), "attention_mask": text["attention_mask"]}
        changed["input_ids"][j, 1] += 7
        moved = (encoder.features(changed, DIALOGUE) - before).abs().amax(dim=1) > 1e-4
        for i in range(7):
            if DIALOGUE[i] != DIALOGUE[j] or (j < i and not past) or (j > i and not future):
                assert not moved[i]
            elif -future <= i - j <= past:
                assert moved[i]


@pytest.mark.parametrize(("past", "future"), [(1, 0), (2, 0), (0, 1), (2, 1)])
def test_who_is_only_seen_looks_ahead_as_far_as_the_first_who_is_judged(past, future):
    judged = torch.tensor([False, False, True, True, False, True, False])
    lengths = [2, 1, 3, 2, 1, 2, 3]
    packs = pack_turns(**tokens(lengths), dialogue=DIALOGUE, past=past, future=future, judged=judged)
    assert torch.bincount(packs.row[packs.counts], minlength=7).tolist() == (torch.tensor(lengths) * judged).tolist()
    for rows, visible in zip(packs.row.tolist(), packs.visible(past, future), strict=True):
        counting = [i for i in rows if i >= 0 and judged[i]]
        for a, i in enumerate(rows):
            horizon = future + max(i, min(counting, default=max(rows)))
            for b, j in enumerate(rows):
                expected = a == b or (i >= 0 and j >= 0 and i - past <= j <= horizon)
                assert bool(visible[a, b]) == expected


def test_nobody_who_is_judged_hears_what_is_said_later(encoders):
    encoder, text = encoders(2), tokens([4, 5, 3, 4, 6, 3, 5])
    judged = torch.tensor([False, True, True, False, False, True, True])
    before = encoder.features(text, DIALOGUE, judged)
    for j in range(7):
        changed = {"input_ids": text["input_ids"].clone(), "attention_mask": text["attention_mask"]}
        changed["input_ids"][j, 1] += 7
        moved = (encoder.features(changed, DIALOGUE, judged) - before).abs().amax(dim=1) > 1e-4
        assert not moved[:j].any() and not moved[~judged].any()
    assert not before[~judged].any()


def test_both_kinds_of_attention_agree(encoders):
    encoder, text = encoders(2, 1), tokens([4, 5, 3, 4, 6, 3, 5])
    fused = encoder.features(text, DIALOGUE)
    encoder.backbone.set_attn_implementation("eager")
    torch.testing.assert_close(encoder.features(text, DIALOGUE), fused, atol=1e-5, rtol=1e-4)
    encoder.backbone.set_attn_implementation("sdpa")


def test_a_pooler_cannot_read_other_turns():
    with pytest.raises(ValueError, match="pooler"):
        TextEncoder(MINILM, "pooler", past=1)


# ---------------------------------------------------------------------------------------- training


class TestDialogueBatchSampler:
    dialogue = np.repeat([2, 0, 1, 5, 3], [7, 1, 12, 4, 3])

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_whole_dialogues_in_order_and_each_turn_once(self, shuffle):
        batches = list(DialogueBatchSampler(self.dialogue, 8, shuffle=shuffle))
        assert sorted(i for batch in batches for i in batch) == list(range(27))
        for batch in batches:
            rows = {d: [i for i in batch if self.dialogue[i] == d] for d in set(self.dialogue[batch])}
            assert all(r == sorted(r) and len(r) == (self.dialogue == d).sum() for d, r in rows.items())
            assert len(batch) <= 8 or len(rows) == 1

    def test_order_depends_on_seed_and_epoch_alone(self):
        sampler = DialogueBatchSampler(self.dialogue, 4, shuffle=True, seed=1)
        first = list(sampler)
        assert list(sampler) == first
        sampler.set_epoch(1)
        assert list(sampler) != first

    def test_every_process_gets_as_many(self):
        batches = list(DialogueBatchSampler(self.dialogue, 4, processes=3))
        assert len(batches) % 3 == 0 and len(DialogueBatchSampler(self.dialogue, 4, processes=3)) == len(batches)
        assert {i for batch in batches for i in batch} == set(range(27))

    def test_nothing(self):
        assert list(DialogueBatchSampler(np.array([], dtype=int), 4)) == []
        assert list(DialogueBatchSampler(np.array([], dtype=int), 4, excerpt=2)) == []

    @pytest.mark.parametrize("shuffle", [False, True])
    @pytest.mark.parametrize(("excerpt", "past", "future"), [(1, 0, 0), (1, 3, 0), (2, 3, 1), (5, 1, 2), (40, 9, 9)])
    def test_an_excerpt_has_all_that_its_judged_turns_may_see(self, shuffle, excerpt, past, future):
        sampler = DialogueBatchSampler(
            self.dialogue, 6, shuffle=shuffle, excerpt=excerpt, past=past, future=future, seed=3
        )
        batches = list(sampler)
        assert sorted(t.row for batch in batches for t in batch if t.judged) == list(range(27))
        for batch in batches:
            for number in {turn.excerpt for turn in batch}:
                turns = [turn for turn in batch if turn.excerpt == number]
                rows, judged = [t.row for t in turns], [t.row for t in turns if t.judged]
                assert batch[batch.index(turns[0]) :][: len(turns)] == turns  # side by side
                own = np.flatnonzero(self.dialogue == self.dialogue[rows[0]])
                first, last = judged[0] - past, judged[-1] + future
                assert rows == [row for row in own if first <= row <= last]
                assert judged == list(range(judged[0], judged[0] + len(judged))) and len(judged) <= excerpt
            assert sum(turn.judged for turn in batch) <= 6 or len({turn.excerpt for turn in batch}) == 1

    def test_an_excerpt_is_cut_elsewhere_in_every_epoch(self):
        sampler = DialogueBatchSampler(self.dialogue, 6, shuffle=True, excerpt=3)
        cuts = []
        for epoch in range(8):
            sampler.set_epoch(epoch)
            pieces = [[t.row for t in b if t.excerpt == n] for b in sampler for n in {t.excerpt for t in b}]
            cuts.append({piece[0] for piece in pieces})
        assert len(set(map(frozenset, cuts))) > 1

    def test_excerpts_of_many_dialogues_share_a_batch(self):
        dialogue = np.repeat(np.arange(40), 10)
        whole = DialogueBatchSampler(dialogue, 20, shuffle=True)
        pieces = DialogueBatchSampler(dialogue, 20, shuffle=True, excerpt=2, past=3)
        assert max(len(set(dialogue[batch])) for batch in whole) == 2
        assert np.mean([len({dialogue[t.row] for t in batch}) for batch in pieces]) > 8


def dialogues(size, seed=0, lengths=5):
    """Random features whose turns lie scattered over the table: dialogue 0, 1, 2, …, 0, 1, 2, …"""
    dataset = feature_dataset(size, seed, modalities=("text",))
    dataset.dialogue = np.arange(size) % (size // lengths)
    dataset.speaker = np.arange(size) % 2
    return dataset


@pytest.mark.parametrize("reader", ["transformer", "gru"])
def test_a_model_with_context_is_trained_and_answers_in_the_order_of_the_table(reader):
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text"], context=2, future=1, context_reader=reader)
    train, val = dialogues(40), dialogues(20, seed=1)
    trainer = MultimodalTrainer(
        model, make_loader(train, 10, shuffle=True), make_loader(val, 10), learning_rate=3e-3, progress=False
    )
    history = trainer.fit(6)
    assert history["train_loss_total"].iloc[-1] < 0.7 * history["train_loss_total"].iloc[0]
    outputs = trainer.predict(make_loader(val, 6))
    assert outputs["emotion_label"].tolist() == val.emotion_labels.tolist()
    torch.testing.assert_close(trainer.predict(make_loader(val, 20))["emotions"], outputs["emotions"])


@pytest.mark.parametrize("reader", ["transformer", "gru"])
@pytest.mark.parametrize("excerpt", [1, 3])
def test_excerpts_and_whole_dialogues_give_the_same_answers(reader, excerpt):
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text"], context=2, future=1, context_reader=reader)
    data = dialogues(40)
    whole, pieces = make_loader(data, 10), make_loader(data, 10, shuffle=True, excerpt=excerpt, past=2, future=1)
    trainer = MultimodalTrainer(model, pieces, whole, progress=False)
    one, other = trainer.predict(whole), trainer.predict(pieces)
    for name in one:
        torch.testing.assert_close(other[name], one[name], atol=1e-5, rtol=1e-4)


def test_only_judged_turns_are_learned_from():
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text"], context=2, context_reader="gru")
    data = dialogues(40)
    loader = make_loader(data, 10, shuffle=True, excerpt=2, past=2)
    trainer = MultimodalTrainer(model, loader, loader, progress=False)
    seen = []
    inner = trainer._loss
    trainer._loss = lambda logits, batch: seen.extend(batch["row"].tolist()) or inner(logits, batch)
    trainer.train_epoch()
    assert sorted(seen) == list(range(40))


def test_context_survives_saving(tmp_path):
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text"], context=2, context_reader="gru").eval()
    model.save_pretrained(tmp_path)
    again = MultimodalSentimentModel.from_pretrained(str(tmp_path))
    inputs = {"text_inputs": torch.randn(7, 384), "dialogue": DIALOGUE, "speaker": SPEAKER}
    torch.testing.assert_close(again(**inputs)["emotions"], model(**inputs)["emotions"])


def test_a_fine_tuned_text_encoder_reads_turns_even_where_one_has_no_words():
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text", "audio"], finetune=["text"], context=1, context_reader="text")
    inputs = {"audio_features": torch.randn(7, 64, 9), "text_inputs": tokens([4, 5, 3, 4, 6, 3, 5])}
    mask = torch.ones(7, 3, dtype=torch.bool)
    mask[2, 0] = False
    logits = model.eval()(**inputs, modality_mask=mask, dialogue=DIALOGUE)
    assert torch.isfinite(logits["emotions"]).all()
    model.train()(**inputs, modality_mask=mask, dialogue=DIALOGUE)["emotions"].sum().backward()
    assert model.encoders["text"].backbone.encoder.layer[0].output.dense.weight.grad.abs().sum() > 0


def test_rows_that_are_only_seen_end_at_the_text_encoder():
    """They would move the statistics of the fusion's BatchNorm, and cost a hearing."""
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text", "audio"], finetune=["text"], context=1, context_reader="text")
    inputs = {"audio_features": torch.randn(7, 64, 9), "text_inputs": tokens([4, 5, 3, 4, 6, 3, 5])}
    judged = torch.tensor([False, True, True, False, False, True, True])
    rows = []
    for module in (model.fusion, model.encoders["audio"]):
        module.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    answers = model.train()(**inputs, dialogue=DIALOGUE, judged=judged)["emotions"]
    assert answers.shape == (7, 7) and rows == [4, 4]


def test_a_reader_of_words_answers_from_what_it_may_see():
    """In excerpts of one turn nothing reaches it from further away, whatever the layers hand on."""
    torch.manual_seed(0)
    model = MultimodalSentimentModel(modalities=["text"], finetune=["text"], context=1, context_reader="text").eval()
    assert model.excerpts == {"excerpt": 1, "past": 1, "future": 0}
    assert MultimodalSentimentModel(modalities=["audio"], context=1).excerpts == {}
    table = pd.DataFrame(
        {
            "split": "test",
            "dialogue_id": 0,
            "speaker": "Ann",
            "text": ["Never.", "Why not?", "Because.", "Oh."],
            "clip": None,
            "emotion": "neutral",
            "sentiment": "neutral",
        }
    )
    changed = table.assign(text=["Always!", *table["text"][1:]])
    sets = [MELDDataset(t, modalities=["text"], dialogues=True) for t in (table, changed)]
    one, other = (predict_dataset(model, each)["emotions"] for each in sets)
    moved = (one - other).abs().amax(dim=1) > 1e-5
    assert moved.tolist() == [True, True, False, False]
    logits = subset_logits(model, sets[0], [("text",)])
    torch.testing.assert_close(torch.tensor(logits[("text",)]["emotions"]), one, atol=1e-5, rtol=1e-4)


def test_words_of_other_turns_want_a_text_encoder_that_learns():
    with pytest.raises(DataError, match="fine-tune text"):
        build_model(Preset(MINILM, "r3d_mini", modalities=("text",), context=2, context_reader="text"))


def test_a_pooler_cannot_read_the_words_of_other_turns():
    preset = Preset(MINILM, "r3d_mini", modalities=("text",), finetune=("text",), context=2, context_reader="text")
    with pytest.raises(DataError, match="pooling pooler"):
        build_model(replace(preset, pooling="pooler"))
