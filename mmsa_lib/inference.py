"""Reading videos with a trained model: a file in, emotion and sentiment probabilities out.

`predict` takes a clip that holds one utterance; derived in notebooks/00. `read_video` takes any video, finds the
utterances in it and reads each; derived in notebooks/09.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from mmsa_lib import speech
from mmsa_lib.backbones import load_tokenizer
from mmsa_lib.dataset import MODEL_INPUTS, Item, collate
from mmsa_lib.errors import DataError, MediaError
from mmsa_lib.experiment import raw_dataset
from mmsa_lib.labels import EMOTIONS, MODALITIES, SENTIMENTS
from mmsa_lib.media import SAMPLE_RATE, check_clip, probe, read_clip, sound_blocks
from mmsa_lib.preprocess import tokenize
from mmsa_lib.runs import load_run
from mmsa_lib.speech import Spoken

AROUND = 0.4  # seconds of picture and sound before and after the speech that are read with it, as in MELD's clips
WINDOW = 5.0  # seconds that are read at a time where nobody speaks
BATCH = 8  # utterances read at once
STEP = 64  # frames; spectrograms are padded to a multiple of it


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech and how it was read; probabilities by class name, times in seconds."""

    start: float
    end: float
    text: str | None
    emotion: dict[str, float]
    sentiment: dict[str, float]
    modalities: tuple[str, ...]  # what the model could really use
    confidence: float | None = None  # how sure the recogniser is of the words; None where they were given

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Reading:
    """A whole video, read: its utterances in order, and what should be known about them."""

    video: str  # the name of the file
    duration: float  # seconds
    utterances: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict:
        return asdict(self)


def predict(run: str | Path, video: str | Path, text: str | None = None) -> list[Utterance]:
    """Read one clip that holds one utterance. Derived in notebooks/00.

    Args:
        run: a run directory of `mmsa train`.
        video: any file with a picture, a sound track, or both.
        text: what is said; without it the model goes by face and voice.

    Raises DataError or MediaError when there is nothing the model can use.
    """
    reader = _Reader(run, video)
    duration = float(probe(video)["duration"] or 0.0) or _counted_seconds(video)
    lacking: MediaError | None = None
    try:
        frames, mel = reader.dataset.media(0)
    except MediaError as error:  # the words may do
        frames = mel = None
        lacking = error
    part = reader.part(Spoken(0.0, duration, text), reader.tokens(text), frames, mel)
    if not part.used:
        raise lacking or DataError(
            f"{video}: nothing this model can use (it reads {', '.join(reader.model.modalities)})"
        )
    return reader.judge([part], 0, 1)


def _counted_seconds(video: str | Path) -> float:
    """How long a file is whose header does not say: everything is decoded."""
    facts = check_clip(video)
    return max(float(facts["video_seconds"] or 0.0), float(facts["audio_seconds"] or 0.0))


def read_video(
    run: str | Path,
    video: str | Path,
    *,
    recogniser: str = speech.PACKAGED,
    language: str | None = None,
    progress: bool = True,
) -> Reading:
    """Find what is said in a video of any length, and read every utterance by its words, face and voice.

    Args:
        run: a run directory of `mmsa train`.
        video: any file with a picture, a sound track, or both.
        recogniser: a Whisper model, see `speech.load_recogniser`.
        language: of the speech, as a code; a recogniser of many languages finds it out itself.

    Where nobody speaks at all, what there is is read in windows of 5 s, and a note says so. Words that are not English
    are kept but not read, unless `language` is given. Memory does not grow with the length of the video, but for the
    answers. Raises MediaError for a file that cannot be read, DataError when there is nothing the model can use.
    """
    reader, facts = _Reader(run, video), probe(video)
    heard = _Hearing(reader, facts, recogniser, language, progress)
    utterances = tuple(reader.read(heard.utterances(), language))
    duration = max(float(facts["duration"] or 0.0), heard.seconds) or _counted_seconds(video)
    notes = heard.notes()
    if not utterances:
        by_picture = facts["video_codec"] is not None and "video" in reader.model.modalities
        lacking, read = "no sound" if heard.deaf else "nobody speaks", "picture" if by_picture else "sound"
        notes.append(f"{lacking}: the {read} alone is read, {WINDOW:g} s each")
        utterances = tuple(reader.read(windows(duration), language, sound=not by_picture))
    if not utterances:
        raise DataError(f"{video}: {notes[0].partition(':')[0]}, and this model reads "
                        f"{', '.join(reader.model.modalities)} only")  # fmt: skip
    return Reading(Path(video).name, round(duration, 3), utterances, tuple(notes))


def windows(duration: float) -> list[Spoken]:
    """`duration` seconds in equal windows of at most 5 s."""
    count = max(1, ceil(duration / WINDOW))
    return [Spoken(duration * i / count, duration * (i + 1) / count) for i in range(count)]


class _Hearing:
    """Listens to a video once, with a progress bar in seconds, and remembers what should be said about it."""

    def __init__(self, reader: "_Reader", facts: dict, recogniser: str, language: str | None, progress: bool) -> None:
        self.video, self.facts, self.recogniser, self.language = reader.video, facts, recogniser, language
        self.progress = progress
        self.seconds = 0.0
        self.deaf = facts["audio_codec"] is None
        self.foreign: set[str] = set()
        self.unclear = self.count = 0

    def utterances(self) -> Iterator[Spoken]:
        if self.deaf:
            return
        model = speech.load_recogniser(self.recogniser)
        total = self.facts["duration"] and ceil(self.facts["duration"] + 1)  # sound may end a little after the picture
        with tqdm(total=total, desc=self.video.name, unit="s", disable=not self.progress, leave=False) as bar:
            for spoken in speech.recognise(model, speech.find_speech(self._blocks(bar)), self.language):
                self.count += 1
                self.unclear += spoken.text is None
                if spoken.language not in (None, "en") and self.language is None:
                    self.foreign.add(spoken.language)
                yield spoken

    def _blocks(self, bar: tqdm) -> Iterator[np.ndarray]:
        try:
            for block in sound_blocks(self.video):
                self.seconds += len(block) / SAMPLE_RATE
                yield block
                bar.update(len(block) / SAMPLE_RATE)
        except MediaError:
            if self.seconds or self.facts["video_codec"] is None:
                raise
            self.deaf = True  # a damaged sound track; the picture may still be read

    def notes(self) -> list[str]:
        notes = []
        if self.unclear:
            notes.append(f"{self.unclear} of {self.count} utterances were not understood: read without words")
        if self.foreign:
            notes.append(f"the words are not English ({', '.join(sorted(self.foreign))}): kept, but not read")
        return notes


class _Part(NamedTuple):
    """An utterance ready for the model, and the modalities it has."""

    spoken: Spoken
    item: Item
    used: tuple[str, ...]


class _Reader:
    """A trained model and a video: cuts, prepares and judges its parts."""

    def __init__(self, run: str | Path, video: str | Path) -> None:
        self.preset, self.model = load_run(run)
        self.video = Path(video)
        table = pd.DataFrame(
            {
                "split": "none",
                "dialogue_id": 0,
                "speaker": "",
                "text": [""],
                "clip": pd.Series([self.video], dtype=object),
                "emotion": ["neutral"],  # never looked at: a data set must have labels
                "sentiment": ["neutral"],
            }
        )
        self.dataset = raw_dataset(self.preset, table)

    def read(self, utterances: Iterable[Spoken], language: str | None, sound: bool = True) -> Iterator[Utterance]:
        """Every utterance of which the model can use anything, in order; each sees the context the model asks for."""
        held: list[_Part] = []
        done = 0  # of those held: judged, and kept only as context of the next
        for spoken in utterances:
            part = self.cut(spoken, language, sound)
            held += [part] if part.used else []
            ready = len(held) - self.preset.future
            if ready - done >= BATCH:
                yield from self.judge(held, done, ready)
                drop = max(0, ready - self.preset.context)
                held, done = held[drop:], ready - drop
        yield from self.judge(held, done, len(held))

    def cut(self, spoken: Spoken, language: str | None, sound: bool) -> _Part:
        """The frames, sound and words of an utterance."""
        readable = spoken.language in (None, "en") or language is not None
        start = max(0.0, spoken.start - (AROUND if sound else 0.0))
        end = spoken.end + (AROUND if sound else 0.0)
        frames, mel = self._media(start, end, sound)
        return self.part(spoken, self.tokens(spoken.text if readable else None), frames, mel)

    def _media(self, start: float, end: float, sound: bool) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Frames and log-mel between two times, None where the model or the file has none."""
        request = self.dataset.request(0)
        if request is None:
            return None, None
        request |= {"audio": request["audio"] and sound, "start": start}
        request["max_seconds"] = max(min(end - start, request["max_seconds"]), 0.01)
        if not (request["audio"] or request["video"]):
            return None, None
        try:
            return self.dataset.prepare(read_clip(**request))
        except MediaError:  # a stream ends earlier, or has nothing just here: the words still count
            return None, None

    def tokens(self, text: str | None) -> torch.Tensor | None:
        if not text or "text" not in self.model.modalities:
            return None
        return tokenize(text, load_tokenizer(self.preset.text_backbone))

    def part(self, spoken: Spoken, tokens, frames, mel) -> _Part:
        item = {
            "text_inputs": tokens,
            "video_frames": frames,
            "audio_features": mel,
            "emotion_label": 0,
            "sentiment_label": 0,
            "dialogue": 0,
            "speaker": -1,  # nobody told us who
        }
        used = tuple(m for m, x in zip(MODALITIES, (tokens, frames, mel), strict=True) if x is not None)
        return _Part(spoken, item, used)

    @torch.inference_mode()
    def judge(self, parts: list[_Part], first: int, end: int) -> list[Utterance]:
        """The answers for parts `first` to `end` of a dialogue; the others are what the model may see around them."""
        if first >= end:
            return []
        batch = collate(self._rows(parts, first, end), self.dataset.pad_token_id)
        if batch["audio_features"] is not None:
            # The model is blind to padding, but torch keeps a convolution's plan for every length it has met.
            excess = -batch["audio_features"].shape[2] % STEP
            batch["audio_features"] = torch.nn.functional.pad(batch["audio_features"], (0, excess))
        logits = self.model(**{name: batch[name] for name in MODEL_INPUTS if name in batch})
        answers = (logits[head][batch["judged"]] for head in ("emotions", "sentiments"))
        return [
            Utterance(
                start=round(part.spoken.start, 3),
                end=round(part.spoken.end, 3),
                text=part.spoken.text,
                emotion=_by_name(EMOTIONS, emotions),
                sentiment=_by_name(SENTIMENTS, sentiments),
                modalities=part.used,
                confidence=part.spoken.confidence,
            )
            for part, emotions, sentiments in zip(parts[first:end], *answers, strict=True)
        ]

    def _rows(self, parts: list[_Part], first: int, end: int) -> list[Item]:
        """What the model is given: the parts as one dialogue, or an excerpt for each that is judged.

        The words of the turns around are all that a text encoder takes from them; see the model's `excerpts`.
        """
        cut = self.model.excerpts
        if not cut:
            return [part.item | {"judged": first <= i < end} for i, part in enumerate(parts)]
        words_only = {"video_frames": None, "audio_features": None}
        return [
            parts[i].item | {"dialogue": n, "judged": i == n} | ({} if i == n else words_only)
            for n in range(first, end)
            for i in range(max(0, n - cut["past"]), min(len(parts), n + cut["future"] + 1))
        ]


def _by_name(names: tuple[str, ...], logits: torch.Tensor) -> dict[str, float]:
    return dict(zip(names, logits.softmax(dim=0).tolist(), strict=True))
