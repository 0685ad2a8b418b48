"""Checks of lesson 06: class weights, draws in a wanted proportion, logits for another world."""

import torch

from mmsa_lib.course.checks.common import close, exercise, expect_tensor, unchanged


@exercise("6.1")
def balanced_weights(answer):
    """(N,) integers, K -> (K,): N / (K n_k), an absent class counted as one."""
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 3, 3, 3])
    with unchanged(labels):
        got = answer(labels, 5)
    size = getattr(got, "shape", None)
    if size == (3,) or size == (4,):
        expect_tensor(got, (5,), name="the result: classes that do not occur have a weight too, so it")
    got = expect_tensor(got, (5,)).double()
    counts = torch.tensor([5.0, 2.0, 1.0, 3.0, 1.0], dtype=torch.float64)
    raw = torch.tensor([5.0, 2.0, 0.0, 3.0, 0.0], dtype=torch.float64)
    right = 10 / (5 * counts)
    close(
        got,
        right,
        known=[
            (10 / (5 * raw), "A class that does not occur has an infinite weight: count it as occurring once."),
            (10 / counts, "The number of classes is missing: divide by K as well."),
            (1 / counts, "These are the inverse counts; multiply by N and divide by K."),
            (5 * (1 / counts) / (1 / counts).sum(), "These sum to K. That trains the same, but balanced is N / (K n)."),
            (12 / (5 * counts), "N is the number of labels, 10 here; the sum of the clamped counts is another number."),
            (raw / 10, "These are the shares of the classes: common ones get the large weights. Turn it round."),
            (counts / 10, "These are the shares of the classes: common ones get the large weights. Turn it round."),
            (10 / (3 * counts), "K is the number of all classes, not of those that occur."),
        ],
        otherwise="These are not N / (K n_k) with an absent class counted as one.",
    )


@exercise("6.2")
def draw_weights(answer):
    """(N,), (K,) -> (N,): the probability of each utterance such that classes are drawn as wanted."""
    labels = torch.tensor([1, 0, 0, 2, 0, 0, 1, 0])
    wanted = torch.tensor([0.2, 0.5, 0.3])
    counts = torch.tensor([5.0, 2.0, 1.0])
    with unchanged(labels, wanted):
        got = answer(labels, wanted)
    if getattr(got, "shape", None) == (3,):
        expect_tensor(got, (8,), name="the sampler wants one weight an utterance, not one a class: the result")
    got = expect_tensor(got, (8,))
    right = (wanted / counts)[labels]
    close(
        got,
        right,
        known=[
            (wanted[labels], "A class of many utterances is drawn too often: let them share what the class is given."),
            (right * got.sum(), "In the right proportion, but the weights do not sum to 1."),
            (wanted[labels] / wanted[labels].sum(), "A class of many utterances is drawn too often: let them share."),
            ((1 / counts)[labels], "This gives every class the same share; the wanted shares are not used."),
            ((1 / counts)[labels] / 3, "This gives every class the same share; the wanted shares are not used."),
            ((wanted * counts)[labels], "You multiply by the count: that makes common classes commoner still."),
            ((counts / wanted)[labels], "This is upside down: a class with a larger wanted share must weigh more."),
        ],
        otherwise="Drawn with these weights, the classes would not come in the wanted shares.",
    )


@exercise("6.3")
def adjust(answer):
    """(N, K), (K,), (K,) -> (N, K): logits for other class shares."""
    logits = torch.tensor([[1.0, -0.5, 0.25], [0.0, 2.0, -1.0]])
    trained_on, expected = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.2, 0.3, 0.5])
    with unchanged(logits, trained_on, expected):
        got = expect_tensor(answer(logits, trained_on, expected), (2, 3)).float()
    ratio = (expected / trained_on).log()

    def probabilities(values):
        return values.softmax(dim=1)

    multiplied = logits.softmax(dim=1) * expected / trained_on
    if torch.allclose(got, multiplied) or torch.allclose(got, multiplied / multiplied.sum(dim=1, keepdim=True)):
        close(got, logits + ratio, otherwise="These are probabilities; logits are wanted: add in the logarithm.")
    close(
        probabilities(got),  # a constant added to all logits changes nothing
        probabilities(logits + ratio),
        known=[
            (probabilities(logits - ratio), "The sign is wrong: what is expected more often must gain."),
            (probabilities(logits), "The expected shares change nothing here; are both logarithms used?"),
            (probabilities(logits + expected.log()), "The shares of the training data are still in the logits."),
            (probabilities(logits - trained_on.log()), "That is for equal shares; the expected ones are missing."),
            (
                probabilities(logits + expected / trained_on),
                "Shares multiply probabilities; to logits, add logarithms.",
            ),
            (
                probabilities(logits + expected - trained_on),
                "Shares multiply probabilities; to logits, add logarithms.",
            ),
            (probabilities(logits * expected / trained_on), "Probabilities are multiplied by shares, logits are not."),
        ],
        otherwise="The softmax of these logits does not follow Bayes' rule.",
    )
