"""Pictures of lesson 04: waves, pitch, voices, spectra, log-mel, receptive fields, padding, filters."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor, nn

from mmsa_lib.labels import EMOTIONS
from mmsa_lib.plots import EMOTION_COLORS, INK, MODALITY_COLORS, Picture, picture, style

GREEN, RED, GREY, PADDING = MODALITY_COLORS["audio"], "#CC6677", "#8A8A8A", "#D8D8D8"
RATE = 16_000  # samples per second
MEASURES = {
    "semitones": "pitch (semitones\nfrom own neutral)",
    "range": "pitch range\n(semitones)",
    "brightness": "brightness (dB)",
    "level": "level (dB)",
}


def _heat(ax: Axes, values: np.ndarray, title: str = "", top: float = 64, unit: str = "mel band") -> None:
    """(bands, frames of 10 ms), low bands at the bottom."""
    extent = (0, values.shape[1] / 100, 0, top)
    ax.imshow(values, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=extent)
    ax.set(title=title, ylabel=unit)
    ax.grid(False)


def _wave(ax: Axes, waveform: np.ndarray, title: str) -> None:
    ax.plot(np.arange(len(waveform)) / RATE, waveform, color=GREEN, linewidth=0.4)
    ax.set(title=title, ylabel="amplitude")


@style()
def far_and_near(waveform: np.ndarray, frame: np.ndarray, start: float) -> Picture:
    """A clip (S,) and, enlarged, one frame (n,) of it that begins `start` seconds in."""
    figure = picture(9, 3.6)
    far, near = figure.subplots(2, 1)
    milliseconds = len(frame) * 1000 / RATE
    _wave(far, waveform, "The whole clip; the red stripe, enlarged below")
    far.axvspan(start, start + milliseconds / 1000, color=RED, alpha=0.6)
    far.set_xlabel("time (s)")
    near.plot(np.arange(len(frame)) * 1000 / RATE, frame, ".-", color=GREEN, markersize=3, linewidth=0.9)
    near.set(title=f"{milliseconds:.0f} milliseconds: each dot is one number", xlabel="time (ms)", ylabel="amplitude")
    figure.alt_text = (
        f"Above, the waveform of a clip of {len(waveform) / RATE:.1f} seconds; below, {milliseconds:.0f} ms of it, "
        "in which one shape returns again and again."
    )
    return figure


@style()
def period(frame: np.ndarray, lags: np.ndarray, curve: np.ndarray, hertz: float) -> Picture:
    """A frame (n,) on its own copy shifted by one period, and its similarity (L,) at all `lags` (L,), in samples."""
    shift = round(RATE / hertz)
    figure = picture(9, 2.8)
    left, right = figure.subplots(1, 2)
    time = np.arange(len(frame)) * 1000 / RATE
    left.plot(time, frame, color=GREEN, label="the frame")
    left.plot(time[:-shift], frame[shift:], "--", color=RED, label="shifted by one period")
    left.set(title="Where it fits itself", xlabel="time (ms)", ylabel="amplitude", xlim=(0, 25))
    left.set_ylim(1.7 * frame.min(), None)
    left.legend(loc="lower right", ncols=2)
    right.plot(lags * 1000 / RATE, curve, color=INK)
    right.plot(shift * 1000 / RATE, curve[shift - lags[0]], "o", color=RED, markersize=9)
    right.set(title=f"Similarity at each shift: {hertz:.0f} Hz", xlabel="shift (ms)", ylabel="similarity")
    right.set_ylim(-1, 1.1)
    figure.alt_text = f"A frame lies on its copy shifted by one period; the similarity peaks there, at {hertz:.0f} Hz."
    return figure


@style()
def voices(measures: pd.DataFrame, explained: Mapping[str, float]) -> Picture:
    """One dot per clip: columns `voice` and `MEASURES`; `explained` is the share that the feelings explain."""
    figure = picture(10, 3.6)
    rng = np.random.default_rng(0)
    for ax, (name, label) in zip(figure.subplots(1, 4, sharey=True), MEASURES.items(), strict=True):
        for place, emotion in enumerate(EMOTIONS):
            x = measures.loc[measures["voice"] == emotion, name].dropna()
            y = place + rng.uniform(-0.25, 0.25, len(x))
            ax.plot(x, y, ".", color=EMOTION_COLORS[emotion], alpha=0.5, markersize=5)
            ax.errorbar(x.mean(), place, xerr=1.96 * x.sem(), fmt="|", color=INK, markersize=13, capsize=3)
        ax.set(yticks=range(len(EMOTIONS)), yticklabels=EMOTIONS, xlabel=label)
        ax.set_title(f"{explained[name]:.0%} explained", size=10)
    means = measures.groupby("voice")["semitones"].mean()
    told = ", ".join(f"{emotion} {means[emotion]:+.1f}" for emotion in EMOTIONS)
    figure.alt_text = (
        f"Four measures of the voice, a dot per clip; mean pitch in semitones from the own neutral: {told}."
    )
    return figure


@style()
def window(piece: np.ndarray, faded: np.ndarray) -> Picture:
    """One frame (n,) cut with a knife and faded by a window, and both power spectra."""
    figure = picture(9, 2.8)
    left, right = figure.subplots(1, 2)
    for values, dashes, color, name in ((piece, "--", GREY, "knife"), (faded, "-", GREEN, "window")):
        power = 10 * np.log10(np.abs(np.fft.rfft(values)) ** 2 + 1e-9)
        left.plot(np.arange(len(values)) * 1000 / RATE, values, dashes, color=color)
        right.plot(np.linspace(0, RATE / 2000, len(power)), power, dashes, color=color, label=name)
    left.set(title="One frame", xlabel="time (ms)", ylabel="amplitude")
    right.set(title="Its power spectrum", xlabel="frequency (kHz)", ylabel="power (dB)")
    right.legend(loc="lower left")
    figure.alt_text = (
        "A frame with and without a Hann window, and both spectra: without it, false power at the right end."
    )
    return figure


@style()
def mel_bands(hertz: np.ndarray, mel: np.ndarray, bank: np.ndarray) -> Picture:
    """The mel scale, `mel` (F,) at `hertz` (F,), and the triangles of `bank` (F, bands)."""
    figure = picture(9, 2.8)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.plot(hertz / 1000, mel, color=INK)
    left.set(title="The mel scale", xlabel="frequency (kHz)", ylabel="mel")
    right.plot(hertz / 1000, bank, color="#C8C8C8", linewidth=0.8)
    for band in range(4, bank.shape[1], 9):
        right.fill_between(hertz / 1000, bank[:, band], color=GREEN, zorder=3)
    right.set(title=f"{bank.shape[1]} triangles, every ninth filled", xlabel="frequency (kHz)", ylabel="weight")
    figure.alt_text = "The mel curve is steep below 1 kHz and flat above; the triangles get wider from left to right."
    return figure


@style()
def steps(waveform: np.ndarray, power: np.ndarray, bands: np.ndarray, logarithm: np.ndarray) -> Picture:
    """From a waveform (S,) through power (F, T) and mel power (bands, T) to log-mel (bands, T)."""
    figure = picture(10, 4.4)
    wave, linear, mels, logs = figure.subplots(2, 2, sharex=True).ravel()
    _wave(wave, waveform, f"1 · {len(waveform):,} samples")
    _heat(linear, power, f"2-4 · power of {len(power)} frequencies", RATE / 2000, "frequency (kHz)")
    _heat(mels, bands, f"5 · power of {len(bands)} mel bands")
    _heat(logs, logarithm, "6 · its logarithm, centred")
    figure.supxlabel("time (s)", size=10)
    figure.alt_text = (
        "A waveform; its power and its mel power, both nearly black; only the log-mel shows harmonics and vowels."
    )
    return figure


@style()
def responses(mel: np.ndarray, answers: Mapping[str, np.ndarray]) -> Picture:
    """A log-mel (bands, T), and below it what filters answer: question -> (T,)."""
    figure = picture(9, 4.2)
    above, *rows = figure.subplots(1 + len(answers), 1, sharex=True, height_ratios=(2, *[1] * len(answers)))
    _heat(above, mel, "Log-mel")
    for ax, (title, answer) in zip(rows, answers.items(), strict=True):
        ax.fill_between(np.arange(len(answer)) / 100, answer.clip(min=0), color=GREEN)
        ax.plot(np.arange(len(answer)) / 100, answer, color=GREY, linewidth=0.7)
        ax.set(title=title, ylabel="response")
    rows[-1].set_xlabel("time (s)")
    figure.alt_text = f"A log-mel and, below it, what filters chosen by hand answer over time: {'; '.join(answers)}"
    return figure


@style()
def receptive_fields(mel: np.ndarray, influence: Sequence[np.ndarray]) -> Picture:
    """Influence (frames,) of each input frame on one output after 1, 2, ... blocks, drawn over a log-mel (bands, T)."""
    figure = picture(9, 3.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
    _heat(above, mel, f"What one output hears after 1 to {len(influence)} blocks")
    sizes = [int(np.count_nonzero(heard)) for heard in influence]
    for blocks, (heard, size) in enumerate(zip(influence, sizes, strict=True), start=1):
        inside = np.flatnonzero(heard)
        when = (inside - inside.mean() + mel.shape[1] / 2) / 100
        above.axvspan(when[0], when[-1], color="white", alpha=0.18)
        dashes = (":", "-.", "--", "-")[(blocks - 1) % 4]
        below.plot(when, heard[inside] / heard.max(), dashes, color=GREEN, label=f"{blocks}: {size} frames")
    below.set(xlabel="time (s)", ylabel="influence")
    below.legend(ncols=2)
    figure.alt_text = (
        f"Receptive fields of {sizes} frames drawn over a clip; the influence falls off towards the edges."
    )
    return figure


@style()
def padding(batch: Tensor, lengths: Tensor, shares: Mapping[str, float]) -> Picture:
    """A batch (B, bands, T), padding in grey, beside the share of padding of several ways to make batches."""
    figure = picture(10, 3)
    left, right = figure.subplots(1, 2)
    low = batch[:, : batch.shape[1] // 2].mean(dim=1).numpy()
    real = np.arange(low.shape[1]) < lengths[:, None].numpy()
    _heat(left, np.where(real, low, np.nan), top=len(low), unit="clip")
    left.set(title="A batch; grey is padding", xlabel="time (s)", yticks=[], facecolor=PADDING)
    bars = right.barh(list(shares), list(shares.values()), color=GREEN)
    right.bar_label(bars, labels=[f"{share:.0%}" for share in shares.values()], padding=4)
    right.set(title="Padding, of all that is computed", xlabel="share", xlim=(0, 1.12))
    right.invert_yaxis()
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    figure.alt_text = (
        f"{len(low)} clips of different length in one batch, grey where padded; shares of padding: {told}."
    )
    return figure


@style()
def hidden(views: Sequence[np.ndarray]) -> Picture:
    """The same log-mel (bands, T) as augmented several times; what is exactly 0 was hidden."""
    figure = picture(10, 2.2)
    for number, (ax, view) in enumerate(zip(figure.subplots(1, len(views)), views, strict=True), start=1):
        _heat(ax, np.where(view == 0, np.nan, view), f"epoch {number}")
        ax.set(xlabel="time (s)", facecolor=PADDING)
    figure.alt_text = (
        f"One log-mel {len(views)} times, each with another band and another stretch of time hidden, in grey."
    )
    return figure


@style()
def filters(weights: np.ndarray) -> Picture:
    """Filters (N, bands, 3): orange where they ask for energy, purple for its absence."""
    figure = picture(9, 3.2)
    axes = figure.subplots(1, len(weights), sharey=True)
    for number, (ax, one) in enumerate(zip(axes, weights, strict=True), start=1):
        most = np.abs(one).max()
        ax.imshow(one, origin="lower", aspect="auto", cmap="PuOr_r", vmin=-most, vmax=most, interpolation="nearest")
        ax.set(title=str(number), xticks=[0, 1, 2], xticklabels=["−", "0", "+"])
        ax.grid(False)
    axes[0].set_ylabel("mel band")
    figure.supxlabel("frame before, this frame, frame after", size=10)
    figure.alt_text = (
        f"{len(weights)} filters of {weights.shape[1]} bands by 3 moments: stripes over neighbouring bands, "
        "some of which change sign from one moment to the next."
    )
    return figure


@style()
def moments(columns: Mapping[str, Sequence[tuple[Tensor, int, str]]]) -> Picture:
    """For each emotion its channel's strongest moments: (log-mel (bands, T), centre frame, what the voice shows)."""
    figure = picture(10, 1.35 * max(map(len, columns.values())) + 0.4)
    grid = figure.subplots(max(map(len, columns.values())), len(columns))
    for column, (emotion, found) in zip(grid.T, columns.items(), strict=True):
        for ax, (mel, centre, shows) in zip(column, found, strict=True):
            second = nn.functional.pad(mel, (50, 60), value=float("nan"))[:, centre : centre + 100 : 2]
            ax.imshow(second.numpy(), origin="lower", aspect="auto", cmap="magma", interpolation="nearest")
            ax.set(xticks=[], yticks=[], facecolor=PADDING)
            ax.grid(False)
            right = shows == emotion
            weight = "bold" if right else "normal"
            ax.set_title(f"{shows}{' ✓' if right else ''}", size=8, weight=weight, loc="center")
        column[-1].set_xlabel(f"the {emotion}\nchannel", size=9, color=EMOTION_COLORS[emotion], weight="bold")
    told = "; ".join(f"{emotion}: {', '.join(shows for *_, shows in found)}" for emotion, found in columns.items())
    figure.alt_text = f"Seconds of sound that excite one channel per emotion most, and what those voices show: {told}."
    return figure
