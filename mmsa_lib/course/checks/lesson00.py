"""Checks of lesson 00: the most probable class, and the accuracy of knowing nothing."""

from collections import Counter

from mmsa_lib.course.checks.common import Misconception, close, exercise, expect_number, expect_type, unchanged


@exercise("0.1")
def top_answer(answer):
    """{name: probability} -> (name, probability) of the most probable class."""
    # The best is neither first, last, nor the first or last of the alphabet.
    probabilities = {"joy": 0.15, "sadness": 0.55, "anger": 0.05, "surprise": 0.25}
    with unchanged(probabilities):
        got = answer(probabilities)
    if isinstance(got, str):
        raise Misconception(f"That is only a name, {got!r}; return the pair (name, probability).")
    if isinstance(got, float):
        raise Misconception("That is only a probability; return the pair (name, probability).")
    if isinstance(got, list) and len(got) != 2:
        raise Misconception(f"Those are {len(got)} classes; only the most probable one is wanted.")
    name, probability = _pair(expect_type(got, (tuple, list)))
    if isinstance(name, float) and isinstance(probability, str):
        raise Misconception("The pair is the wrong way round: the name comes first.")
    if isinstance(name, int):
        raise Misconception("The first of the pair is a position; return the name of the class.")
    known = {
        "surprise": "You chose the last name of the alphabet: max of a dictionary compares its names, not its values.",
        "joy": "You chose the first class of the dictionary; its order says nothing.",
        "anger": "You chose the least probable class.",
    }
    if name != "sadness":
        raise Misconception(known.get(name, f"{name!r} is not the most probable class."))
    close(expect_number(probability, "the probability"), 0.55, otherwise="The name is right, its probability is not.")


def _pair(value):
    if len(value) != 2:
        raise Misconception(f"A pair has two values, not {len(value)}.")
    return value


@exercise("0.2")
def lazy_accuracy(answer):
    """Accuracy on the test labels of always giving the commonest training label."""
    train = ["neutral"] * 5 + ["joy"] * 3 + ["anger"] * 2
    test = ["joy"] * 4 + ["neutral"] * 3 + ["sadness"] * 1
    with unchanged(train, test):
        got = expect_number(answer(train, test))
    hits = test.count(Counter(train).most_common(1)[0][0])
    close(
        got,
        hits / len(test),
        known=[
            (hits, "That is how many are right; divide by the number of test labels."),
            (100 * hits / len(test), "That is in per cent; a share lies between 0 and 1."),
            (0.5, "That is a share of one split alone: the answer comes from training, the share from testing."),
            (1 / 3, "That is guessing among the classes at random; always give the same answer instead."),
            (1 / 4, "That is guessing among the classes at random; always give the same answer instead."),
            (hits / len(train), "You divide by the number of training labels."),
        ],
        otherwise="Find the commonest training label, then the share of the test labels that equal it.",
    )
    close(
        expect_number(answer(["a", "b", "b"], ["c", "c"])),
        0.0,
        otherwise="A class that never occurs among the test labels gets nothing right: the share is 0.",
    )
