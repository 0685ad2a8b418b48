"""The contact sheet of mini-MELD: random clips as frames and spectrograms on one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmsa_lib.media import read_clip
from mmsa_lib.mini.build import FOLDERS
from mmsa_lib.mini.plan import UtterancePlan

FRAMES, SIDE, SOUND, CAPTION = 4, 64, 40, 28  # frames a clip, their side, heights of spectrogram and caption
COLUMNS = 5
COLOURS = 200  # a palette keeps the picture well under a megabyte


def spectrogram(waveform: np.ndarray, width: int, height: int) -> np.ndarray:
    """Log power spectrogram of 16 kHz sound up to 4 kHz, (height, width) uint8, low pitch at the bottom."""
    n_fft = 512
    starts = np.linspace(0, max(len(waveform) - n_fft, 0), width).astype(int)
    padded = np.pad(waveform, (0, n_fft))
    pieces = np.stack([padded[start : start + n_fft] for start in starts]) * np.hanning(n_fft)
    power = np.abs(np.fft.rfft(pieces, axis=1))[:, : n_fft // 4] ** 2
    image = 10 * np.log10(power + 1e-6).T[::-1]
    low, high = np.percentile(image, [5, 99.5])
    scaled = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.asarray(Image.fromarray(scaled.astype(np.uint8)).resize((width, height)))


def _cell(plan: UtterancePlan, folder: Path) -> Image.Image:
    clip = read_clip(folder / FOLDERS[plan.split] / plan.clip, num_frames=FRAMES)
    width = FRAMES * SIDE
    cell = Image.new("RGB", (width, SIDE + SOUND + CAPTION), "white")
    for position, frame in enumerate(clip.frames):
        cell.paste(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (position * SIDE, 0))
    cell.paste(Image.fromarray(spectrogram(clip.waveform, width, SOUND)), (0, SIDE))
    pen, font = ImageDraw.Draw(cell), ImageFont.load_default(size=9)
    shows = f"t {plan.text_cue.feeling}, v {plan.video.feeling}, a {plan.audio.feeling}"
    words = plan.text if len(plan.text) <= 52 else plan.text[:50] + "…"
    pen.text((2, SIDE + SOUND + 1), words, "black", font)
    pen.text((2, SIDE + SOUND + 13), f"{plan.feeling.upper()}: {shows}", "black", font)
    return cell


def write_sheet(path: Path, folder: Path, plans: list[UtterancePlan], clips: int = 40, seed: int = 0) -> None:
    """Draw `clips` random clips of `folder` into one PNG: frames, spectrogram up to 4 kHz, words, cues."""
    rng = np.random.Generator(np.random.PCG64([seed, 0x5EE7]))
    chosen = [plans[i] for i in sorted(rng.choice(len(plans), min(clips, len(plans)), replace=False))]
    cells = [_cell(plan, folder) for plan in chosen]
    width, height = cells[0].width + 6, cells[0].height + 4
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % COLUMNS * width, number // COLUMNS * height))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
