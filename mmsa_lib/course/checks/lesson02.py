"""Checks of lesson 02: attention that ignores padding, the mean of what is real, batches of like length."""

import torch

from mmsa_lib.course.checks.common import Misconception, close, exercise, expect_tensor, expect_type, unchanged
from mmsa_lib.layers import masked_mean as reference_mean


@exercise("2.1")
def attend(answer):
    """query, key, value (L, D), mask (L,) -> (L, D): attention among the real tokens only."""
    generator = torch.Generator().manual_seed(2)
    query, key, value = torch.randn(3, 4, 9, generator=generator)
    mask = torch.tensor([True, True, True, False])
    with unchanged(query, key, value, mask):
        got = expect_tensor(answer(query, key, value, mask), (4, 9))
    raw = query @ key.T
    scores = raw / 3
    minus = float("-inf")
    padding = ~mask
    close(
        got,
        scores.masked_fill(padding, minus).softmax(dim=1) @ value,
        known=[
            (scores.softmax(dim=1) @ value, "The mask is not used: the padding still gets attention."),
            (
                (scores * mask).softmax(dim=1) @ value,
                "A score of 0 is not 'no attention', for exp(0) is 1. What must get no weight needs the score -inf.",
            ),
            (
                (scores.softmax(dim=1) * mask) @ value,
                "The mask comes after the softmax, so the weights of a row no longer sum to 1. Mask the scores.",
            ),
            (
                raw.masked_fill(padding, minus).softmax(dim=1) @ value,
                "The scores are not divided by the square root of D, the width of a query.",
            ),
            (
                (raw / 9).masked_fill(padding, minus).softmax(dim=1) @ value,
                "You divide by D; its square root is what keeps the scores at the same scale.",
            ),
            (
                scores.masked_fill(mask, minus).softmax(dim=1) @ value,
                "The mask is the wrong way round: it is true where a token is real.",
            ),
            (
                scores.masked_fill(padding, minus).softmax(dim=0).nan_to_num() @ value,
                "The softmax runs over the queries. Each query shares its attention among the keys, the last one.",
            ),
            (
                scores.masked_fill(padding[:, None], minus).softmax(dim=1) @ value,
                "You hide rows, that is queries. Nobody may look at the padding: hide its columns, the keys.",
            ),
        ],
        otherwise="This is not softmax(query · key / √D) · value over the real tokens.",
    )


@exercise("2.2")
def masked_mean(answer):
    """values (B, L, H), mask (B, L) -> (B, H): the average over real positions, zeros where there is none."""
    values = torch.arange(1.0, 37).reshape(3, 3, 4) ** 1.5
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    with unchanged(values, mask):
        got = expect_tensor(answer(values, mask), (3, 4))
    real = values * mask[..., None]
    close(
        got,
        reference_mean(values, mask),
        known=[
            (values.mean(dim=1), "The padding is averaged too: the mask is not used."),
            (real.mean(dim=1), "You divide by the padded length. Divide by the number of real tokens of each text."),
            (real.sum(dim=1), "That is the sum; the division is missing."),
            (real.sum(dim=1) / mask.sum(), "You divide by the real tokens of the whole batch, not of each text."),
            (
                values.sum(dim=1) / mask.sum(dim=1, keepdim=True),
                "The padding is still in the sum: multiply by the mask.",
            ),
        ],
        otherwise="This is not the average over the positions where the mask is true.",
    )
    nobody = answer(values, torch.zeros(3, 3, dtype=torch.bool))
    close(
        nobody,
        torch.zeros(3, 4),
        otherwise="A text without a single real token must give zeros, and nothing may be divided by zero.",
    )


@exercise("2.3")
def batches_of_like_length(answer):
    """lengths [int], batch_size -> lists of positions, each position once, batches as alike as can be."""
    lengths = [9, 3, 12, 4, 9, 11, 3]
    with unchanged(lengths):
        got = expect_type(answer(lengths, 3), list)
    batches = [[int(i) for i in expect_type(batch, (list, tuple), "each batch")] for batch in got]
    seen = sorted(i for batch in batches for i in batch)
    if seen == sorted(lengths):
        raise Misconception("The batches hold lengths. A loader needs positions, so that it can fetch the texts.")
    if set(seen) < set(range(7)):
        raise Misconception(f"{7 - len(set(seen))} of 7 texts are in no batch: the last, smaller batch counts too.")
    if seen != list(range(7)):
        raise Misconception("Each position from 0 to 6 must be in exactly one batch.")
    if len(batches) != 3 or max(map(len, batches)) > 3:
        raise Misconception("7 texts in batches of 3 make batches of 3, 3 and 1.")
    size = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    in_order = sum(n * longest for n, longest in ((3, 12), (3, 11), (1, 3)))
    if size >= in_order:
        raise Misconception("The texts are batched in the order given: long ones still sit beside short ones.")
    if lengths[batches[0][0]] == 12:
        raise Misconception("These batches begin with the longest texts; the contract asks for the shortest first.")
    sizes = [len(batch) for batch in batches]
    if sizes != [3, 3, 1]:
        raise Misconception(f"The last batch is the one that is not full; yours hold {_listed(sizes)} texts.")
    if size > 57:
        raise Misconception(f"These batches compute {size} tokens; sorted by length it would take fewer.")
    in_turn = [lengths[i] for batch in batches for i in batch]
    if in_turn != sorted(in_turn):
        raise Misconception(
            f"The shortest texts come first, and no text is followed by a shorter one; your lengths are, from the "
            f"first batch to the last, {_listed(in_turn)}."
        )


def _listed(numbers: list[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
