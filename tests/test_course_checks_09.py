"""Exercise checks of lesson 09: typical wrong answers are told apart."""

import pytest
from exercises import cases, judge

from mmsa_lib.course.checks import Misconception, registry


def joining(shorter=lambda gap, least: gap < least, end=max, start="first", last=True, first=True):
    """Utterances from pauses with one thing wrong."""

    def answer(speech, min_pause):
        found = []
        for s, e in speech:
            if found and shorter(s - found[-1][1], min_pause):
                found[-1] = (found[-1][0] if start == "first" else s, end(found[-1][1], e))
            else:
                found.append((s, e))
        return found[0 if first else 1 :][: None if last else -1]

    return answer


def from_the_last_stretch(speech, min_pause):
    found = []
    for i, (s, e) in enumerate(speech):
        if found and s - speech[i - 1][1] < min_pause:
            found[-1] = (found[-1][0], max(found[-1][1], e))
        else:
            found.append((s, e))
    return found


def distance(replace=1):
    def edits(said, heard):
        row = list(range(len(heard) + 1))
        for i, a in enumerate(said, 1):
            diagonal, row[0] = row[0], i
            for j, b in enumerate(heard, 1):
                diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + replace * (a != b))
        return row[-1]

    return edits


def moving(speech, min_pause):
    """Takes the pause for the whole time."""
    return [(speech[0][0], speech[-1][1])] if speech else []


def sorting_in_place(speech, min_pause):
    right = joining()(speech, min_pause)
    speech.clear()
    return right


def plain_clock(seconds):
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def cut_clock(seconds):
    return plain_clock(int(seconds * 1000) / 1000)


WRONG = {
    "9.1": [
        (lambda speech, min_pause: [0.0, 1.0], "form that cannot be read"),
        (lambda speech, min_pause: list(speech), "Nothing was joined"),
        (joining(shorter=lambda gap, least: gap <= least), "exactly min_pause"),
        (moving, "All became one"),
        (joining(last=False), "last utterance is lost"),
        (joining(first=False), "first utterance is lost"),
        (joining(end=lambda old, new: old), "must move to the end"),
        (joining(start="last"), "starts where its first part"),
        (joining(end=lambda old, new: new), "went backwards"),
        (from_the_last_stretch, "overlap"),
        (sorting_in_place, "in place"),
        (lambda speech, min_pause: len(speech), "must be a list"),
    ],
    "9.2": [
        (lambda said, heard: distance()(said, heard), "divide them"),
        (lambda said, heard: sum(a != b for a, b in zip(said, heard, strict=False)) / len(said), "place by place"),
        (lambda said, heard: len(set(said) - set(heard)) / len(said), "bag of words"),
        (lambda said, heard: 1 - distance()(said, heard) / len(said), "share of what is right"),
        (lambda said, heard: distance()(said, heard) / max(len(said), len(heard)), "longer text"),
        (lambda said, heard: min(1.0, distance()(said, heard) / len(said)), "Do not clip"),
        (
            lambda said, heard: distance(replace=2)(said, heard) / len(said),
            "one error, not two|counted as lost|two inserted",
        ),
    ],
    "9.3": [
        (lambda s: plain_clock(s).replace(".", ","), "comma is SRT"),
        (lambda s: f"00:00:{s:06.3f}", "minute moves"),
        (lambda s: f"00:{int(s) // 60:02d}:{s % 60:06.3f}", "hour moves"),
        (lambda s: f"{int(s) // 3600:02d}:{int(s) // 60 % 60:02d}:{s % 60:06.3f}", "made 60 seconds"),
        (lambda s: f"{plain_clock(int(s))[:8]}.{round(s % 1 * 1000):03d}", "made 1000 milliseconds"),
        (cut_clock, "cut off|round, do not"),
        (lambda s: plain_clock(s)[:-1], "three digits"),
        (lambda s: s, "str"),
    ],
}
RIGHT = {
    "9.1": joining(),
    "9.2": lambda said, heard: distance()(said, heard) / len(said),
    "9.3": plain_clock,
}


@pytest.mark.parametrize(("id", "answer", "diagnosis"), cases(WRONG))
def test_a_wrong_answer_is_told_what_is_wrong(id, answer, diagnosis):
    with pytest.raises(Misconception, match=diagnosis):
        judge(id, answer)


@pytest.mark.parametrize("id", RIGHT)
def test_a_right_answer_passes(id, capsys):
    registry()[id](RIGHT[id])
    assert "passed" in capsys.readouterr().out
