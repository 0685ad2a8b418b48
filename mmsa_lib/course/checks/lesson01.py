"""Checks of lesson 01: times, flow inside dialogues, a split that keeps groups together."""

import numpy as np

from mmsa_lib.course.checks.common import Misconception, close, exercise, expect_array, expect_number


@exercise("1.2")
def seconds(answer):
    """`H:MM:SS,mmm`, one or two digits for the hour, comma or dot -> seconds."""
    close(
        expect_number(answer("00:16:16,059")),
        976.059,
        known=[
            (976.0, "The milliseconds are lost."),
            (976.59, "059 is 59 thousandths, not 59 hundredths: the digits behind the comma keep their zeros."),
            (976 + 59, "059 milliseconds became 59 seconds: divide by 1000."),
            (16 * 3600 + 16 * 60 + 0.059, "You read the minutes as hours: hours come first."),
            (976059.0, "That is in milliseconds; seconds are wanted."),
        ],
        otherwise="00:16:16,059 is 16 minutes and 16.059 seconds: 976.059 seconds.",
    )
    _also(answer, "1:02:03,450", 3723.45, "An hour may be written with one digit; do not cut at fixed positions.")
    _also(answer, "01:00:05.250", 3605.25, "Some copies have a dot instead of the comma.")
    _also(answer, "0:00:01,005", 1.005, "All three digits behind the comma count.")


def _also(answer, time: str, expected: float, otherwise: str) -> None:
    try:
        got = expect_number(answer(time))
    except (ValueError, IndexError, AttributeError, TypeError) as error:
        raise Misconception(f"{time!r} makes it fail with {type(error).__name__}. {otherwise}") from error
    close(got, expected, otherwise=f"{time!r} is {expected:g} seconds. {otherwise}")


@exercise("1.1")
def repeat_share(answer):
    """Share of utterances with a predecessor in their dialogue that repeat its emotion."""
    dialogue = [0, 0, 0, 0, 1, 1, 1, 2]
    emotion = ["joy", "joy", "fear", "joy", "joy", "anger", "anger", "anger"]
    # Inside dialogues 2 of 5 steps repeat; over the borders 4 of 7.
    close(
        expect_number(answer(dialogue, emotion)),
        2 / 5,
        known=[
            (4 / 7, "You also compare the first utterance of a dialogue with the last one of the dialogue before."),
            (4 / 8, "You also compare across dialogues; and an utterance without a predecessor is no pair."),
            (4 / 5, "The borders between dialogues are counted as repeats: compare inside a dialogue only."),
            (2 / 7, "Steps from one dialogue to the next are no pairs: leave them out of the count as well."),
            (2 / 8, "An utterance without a predecessor is no pair: divide by the number of pairs."),
            (2.0, "That is how many; divide by the number of pairs."),
            (3 / 5, "That is the share of changes; repeats are wanted."),
        ],
        otherwise="Of 5 steps inside dialogues, 2 repeat the emotion.",
    )


@exercise("1.3")
def hold_out(answer):
    """Whole groups are held out: (N,) group names, a share, a seed -> (N,) bool."""
    groups = np.array(list("aaaaaaabbcccdddddeefghhhii" * 2))
    masks = [_mask(answer(groups, 1 / 3, seed), groups) for seed in range(6)]
    for held in masks:
        torn = [g for g in np.unique(groups) if 0 < held[groups == g].sum() < (groups == g).sum()]
        if torn:
            raise Misconception(f"{len(torn)} of 9 groups have rows on both sides: choose groups, not rows.")
        count = len(np.unique(groups[held]))
        if count == 6:
            raise Misconception("True must mark what is held out; here it marks what stays.")
        if count != 3:
            raise Misconception(f"A third of the 9 groups is 3; {count} are held out.")
    if all((held == masks[0]).all() for held in masks):
        raise Misconception("The same groups whatever the seed: draw them at random.")
    if (_mask(answer(groups, 1 / 3, 0), groups) != masks[0]).any():
        raise Misconception("The same seed gives another split each time: make the generator from the seed.")
    _expect_rounded(answer, groups, 0.3, 3)
    _expect_rounded(answer, groups, 0.25, 2)


def _expect_rounded(answer, groups: np.ndarray, share: float, wanted: int) -> None:
    count = len(np.unique(groups[_mask(answer(groups, share, 0), groups)]))
    if count == wanted:
        return
    hint = "`int` and `//` cut off what is behind the point; `round` goes to the nearest number."
    hint = hint if count < wanted else "Round to the nearest number, not up."
    raise Misconception(f"A share of {share} of 9 groups is {9 * share:.4g}: {wanted} groups, not {count}. {hint}")


def _mask(value, groups: np.ndarray) -> np.ndarray:
    held = expect_array(value, (None,))
    if held.dtype != bool:
        raise Misconception(f"A mask of True and False is wanted, one per row, not {held.dtype} values.")
    return expect_array(held, groups.shape)
