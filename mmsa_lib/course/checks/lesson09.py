"""Checks of lesson 09: utterances from pauses, the word error rate, the clock of subtitles."""

import numpy as np

from mmsa_lib.agreement import word_errors
from mmsa_lib.course.checks.common import (
    Misconception,
    close,
    exercise,
    expect_number,
    expect_type,
    same,
    unchanged,
)


@exercise("9.1")
def join(answer):
    """Speech [(start, end), …] and a shortest pause -> utterances [(start, end), …]."""
    speech = [(0.5, 1.0), (1.1, 2.0), (2.5, 3.0), (3.75, 4.0), (4.0, 6.0)]
    with unchanged(speech):
        got = _spans(answer(speech, 0.5))
    same(
        got,
        [(0.5, 2.0), (2.5, 3.0), (3.75, 6.0)],
        known=[
            (speech, "Nothing was joined: a pause shorter than min_pause belongs to the utterance."),
            ([(0.5, 3.0), (3.75, 6.0)], "A pause of exactly min_pause ends the utterance: join where it is shorter."),
            ([(0.5, 6.0)], "All became one: compare the pause before each stretch, not the whole time."),
            ([(0.5, 2.0), (2.5, 3.0)], "The last utterance is lost: when the loop ends, one is still open."),
            (
                [(0.5, 1.0), (2.5, 3.0), (3.75, 4.0)],
                "The end of a joined utterance must move to the end of its last part.",
            ),
            ([(2.5, 3.0), (3.75, 6.0)], "The first utterance is lost."),
            ([(1.1, 2.0), (2.5, 3.0), (4.0, 6.0)], "A joined utterance starts where its first part starts."),
        ],
        otherwise=f"For {speech} and a pause of 0.5 s the answer is not {got}.",
    )
    same(_spans(answer([], 0.5)), [], otherwise="No speech gives no utterance: an empty list.")
    nested = _spans(answer([(0.0, 3.0), (1.0, 1.5), (2.5, 4.0)], 0.5))
    same(
        nested,
        [(0.0, 4.0)],
        known=[
            (
                [(0.0, 1.5), (2.5, 4.0)],
                "The end went backwards: a stretch may lie inside the one before. Take the later end.",
            ),
            (
                [(0.0, 3.0), (2.5, 4.0)],
                "Two utterances overlap: measure the pause from the end of the open utterance, not of a stretch.",
            ),
        ],
        otherwise=f"Of a stretch inside another one and a third that overlaps it you make {nested}, not (0, 4).",
    )


def _spans(value: object) -> list[tuple[float, float]]:
    spans = [tuple(span) for span in expect_type(value, (list, tuple))]
    if any(len(span) != 2 for span in spans):
        raise Misconception("Each utterance is a pair (start, end).")
    return [(float(start), float(end)) for start, end in spans]


@exercise("9.2")
def error_rate(answer):
    """Words said and heard, as lists -> errors / words said."""
    said, heard = ["the", "bus", "leaves", "soon", "from", "here"], ["bus", "leaves", "the", "soon", "here", "now"]
    with unchanged(said, heard):
        rate = expect_number(answer(said, heard), "the rate")
    errors = word_errors(said, heard)
    edits = sum(errors[:3])
    bag = len(set(said) - set(heard)) / len(said)
    places = np.mean([a != b for a, b in zip(said, heard, strict=True)])
    close(
        rate,
        edits / len(said),
        known=[
            (edits, "These are the errors; divide them by the number of words that were said."),
            (places, "Words are compared place by place: one word lost shifts all that follow. Align first."),
            (bag, "A bag of words knows no order and forgives what was inserted."),
            (1 - edits / len(said), "That is the share of what is right; the rate counts errors."),
            ((edits + 1) / len(said), "One error too many: is a replaced word counted as lost and inserted?"),
        ],
        otherwise=f"For {said} and {heard} the answer is not {rate:.3f}: the fewest edits are {edits}.",
    )
    longer = expect_number(answer(["a"], ["x", "y", "z"]), "the rate")
    close(
        longer,
        3.0,
        known=[
            (1.0, "Divide by the words said, not by the longer text: a rate above 1 is possible. Do not clip it."),
        ],
        otherwise="One word said, three other words heard: one replaced and two inserted make a rate of 3.",
    )
    close(
        expect_number(answer(["a", "b"], []), "the rate"), 1.0, otherwise="Nothing heard: every word is lost, rate 1."
    )
    close(expect_number(answer(["a", "b"], ["a", "b"]), "the rate"), 0.0, otherwise="All heard right: the rate is 0.")
    replaced = expect_number(answer(["a", "b"], ["a", "c"]), "the rate")
    close(
        replaced,
        0.5,
        known=[(1.0, "A replaced word is one error, not two.")],
        otherwise="One of two words replaced: the rate is 1/2.",
    )


@exercise("9.3")
def clock(answer):
    """Seconds -> HH:MM:SS.mmm."""
    for seconds, expected, known in (
        (3.25, "00:00:03.250", [("00:00:03.25", "Milliseconds have three digits."), ("0:0:3.250", "Pad with zeros.")]),
        (75.5, "00:01:15.500", [("00:00:75.500", "Seconds go up to 59; then the minute moves.")]),
        (3671.004, "01:01:11.004", [("00:61:11.004", "Minutes go up to 59; then the hour moves.")]),
        (
            59.9996,
            "00:01:00.000",
            [
                ("00:00:60.000", "Rounding made 60 seconds: round to milliseconds first, then divide."),
                ("00:00:59.1000", "Rounding made 1000 milliseconds: round to milliseconds first, then divide."),
                ("00:00:59.999", "The milliseconds were cut off; round them."),
            ],
        ),
        (2.3, "00:00:02.300", [("00:00:02.299", "2.3 is a little less than 2.3 in binary: round, do not cut off.")]),
    ):
        got = expect_type(answer(seconds), str)
        if got == expected.replace(".", ","):
            raise Misconception("WebVTT has a point before the milliseconds; the comma is SRT's.")
        same(got, expected, known=known, otherwise=f"{seconds} s is {expected}, not {got!r}.")
