"""Checks of lesson 05: the stand-in of a missing modality, late fusion by the product rule, modality dropout."""

import torch
from torch import Tensor

from mmsa_lib.course.checks.common import Misconception, close, exercise, expect_tensor, unchanged

ORDER = ("text", "video", "audio")


@exercise("5.1")
def join(answer):
    """{m: (B, D)}, {m: (B,)}, {m: (D,)} -> (B, 3 * D): the vectors, a stand-in where a modality is absent."""
    vectors = {m: torch.arange(8.0).reshape(4, 2) + 10 * (i + 1) for i, m in enumerate(("audio", "text", "video"))}
    missing = {m: torch.tensor([-1.0, -2.0]) - i for i, m in enumerate(vectors)}
    present = {
        "audio": torch.tensor([True, False, True, False]),
        "text": torch.tensor([True, True, False, False]),
        "video": torch.tensor([True, True, True, False]),
    }
    tensors = [*vectors.values(), *missing.values(), *present.values()]
    with unchanged(*tensors):
        got = expect_tensor(answer(vectors, present, missing), (4, 6))
    masked = {m: vectors[m] * present[m][:, None] for m in ORDER}
    chosen = {m: torch.where(present[m][:, None], vectors[m], missing[m]) for m in ORDER}
    known = [
        (_side_by_side(masked), "Absent rows are zeros. Zeros are a value like any other: put the stand-in there."),
        (_side_by_side(vectors), "What is not present is used all the same: look at `present`."),
        (
            torch.cat([chosen[m] for m in vectors], dim=1),
            "That is the order of the dictionary. The fusion layer knows a modality by its place: text, video, audio.",
        ),
        (
            _side_by_side({m: torch.where(present[m][:, None], missing[m], vectors[m]) for m in ORDER}),
            "It is the wrong way round: your stand-in is where the modality is present.",
        ),
        (
            _side_by_side({m: masked[m] + missing[m] for m in ORDER}),
            "The stand-in is added to rows that are present, too; it belongs in the others only.",
        ),
    ]
    close(
        got, _side_by_side(chosen), known=known, otherwise="This is not text, video, audio, with stand-ins in the gaps."
    )


def _side_by_side(vectors: dict[str, Tensor]) -> Tensor:
    return torch.cat([vectors[m] for m in ORDER], dim=1)


@exercise("5.2")
def product_rule(answer):
    """(M, N, K), (K,) -> (N, K): Bayes' rule for M witnesses who are independent given the class."""
    prior = torch.tensor([0.6, 0.3, 0.1])
    for witnesses in (3, 2):
        said = (torch.randn(witnesses, 4, 3, generator=torch.Generator().manual_seed(witnesses)) * 1.5).softmax(dim=2)
        with unchanged(said, prior):
            got = expect_tensor(answer(said, prior), (4, 3))
        product = said.prod(dim=0)
        right = product / prior ** (witnesses - 1)
        known = [
            (said.mean(dim=0), "That is the average. Independent witnesses multiply."),
            (_shares(product), "Each witness has counted the prior already, so it is in the product M times."),
            (product, "Each witness has counted the prior already, and the rows do not sum to 1."),
            (right, "The rows do not sum to 1: divide each by its sum."),
            (_shares(product / prior**witnesses), "Now the prior is gone altogether; it should be counted once."),
            (_shares(product / prior), "You divide by the prior once; that is right for two witnesses only."),
            (_shares(product * prior), "You multiply by the prior, though each witness has counted it already."),
            (right / right.sum(dim=0), "You divide by the sum over utterances; each utterance's row must sum to 1."),
        ]
        close(got, _shares(right), known=known, otherwise="This is not the product of the witnesses, the prior once.")


def _shares(values: Tensor) -> Tensor:
    return values / values.sum(dim=1, keepdim=True)


@exercise("5.3")
def modality_dropout(answer):
    """(B, M) bool, p -> (B, M) bool: each present modality hidden with probability p, never all of a row."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        present = torch.rand(6000, 3) < 0.8
        present[~present.any(dim=1)] = True
        everything = torch.ones(6000, 3, dtype=torch.bool)
        with unchanged(present):
            kept = expect_tensor(answer(present, 0.3), (6000, 3), torch.bool)
        _look_for_ghosts(kept, present)
        _look_at_rates(answer(everything, 0.3), 0.3)
        _look_at_pairs(kept, present, answer(everything, 0.3))
        _look_at_survivors(answer(everything, 0.9))
        if not torch.equal(answer(present, 0.0), present):
            raise Misconception("With p = 0 something is hidden.")


def _look_for_ghosts(kept: Tensor, present: Tensor) -> None:
    if (kept & ~present).any():
        raise Misconception("A modality that the utterance lacks came back: what is not present cannot be kept.")
    if torch.equal(kept, present):
        raise Misconception("Nothing is hidden.")
    if not kept.any(dim=1).all():
        raise Misconception("Some utterances have lost every modality: at least one that is present must stay.")


def _look_at_rates(kept: Tensor, p: float) -> None:
    if (kept == kept[0]).all():
        raise Misconception("The whole batch loses the same modality; draw for each utterance anew.")
    hidden = 1 - kept.double().mean(dim=0)
    if hidden.max() < 0.6 * p:
        raise Misconception(
            f"Each modality is hidden in {hidden.mean():.0%}, not about {p:.0%}: is only one drawn per row?"
        )
    if hidden.min() > p + 0.03:
        raise Misconception(
            "Too much is hidden. Do you keep with probability p? It is the probability of being hidden."
        )
    if hidden.min() < 0.6 * p:
        raise Misconception("Some modality is hidden less often than the others: treat all alike.")
    if hidden.max() > p + 0.03:
        raise Misconception(f"Too much is hidden: up to {hidden.max():.0%} of a modality, p is {p:.0%}.")


def _look_at_pairs(kept: Tensor, present: Tensor, of_three: Tensor) -> None:
    """At p = 0.3 one of three is hidden in .44 of the rows, one of two in .51 (.46 if a lost row is drawn anew)."""
    if (of_three.sum(dim=1) == 2).double().mean() < 0.3:
        raise Misconception("An utterance's modalities share one draw: draw for each utterance and each modality.")
    two = present.sum(dim=1) == 2
    if (kept[two].sum(dim=1) == 1).double().mean() < 0.3:
        raise Misconception(
            "Utterances that lack a modality already lose hardly another one: treat them like the rest."
        )


def _look_at_survivors(kept: Tensor) -> None:
    one = (kept.sum(dim=1) == 1).double().mean()
    if one < 0.8:  # it is .97, and .90 if a row that lost everything is drawn anew
        raise Misconception(
            f"With p = 0.9 only {one:.0%} of the rows have a single survivor; it should be nearly all. If a row would "
            "lose everything, it does not get all of it back: one modality stays, and chance decides which."
        )
    alone = kept[kept.sum(dim=1) == 1].double().mean(dim=0)
    if alone.max() > 0.5:
        raise Misconception("When all would be lost, the same modality survives each time; let chance choose.")
