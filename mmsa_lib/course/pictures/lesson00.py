"""Pictures of lesson 00: what words are worth when they tell the truth, and when they mislead."""

from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import PercentFormatter

from mmsa_lib.plots import MODALITY_COLORS, Picture, picture, style


@style()
def worth_of_words(shares: Mapping[str, tuple[float, float]], counts: Mapping[str, int]) -> Picture:
    """A group of clips -> the share found right (without the words, with them); `counts` are its sizes."""
    figure = picture(7.5, 2.6)
    ax = figure.subplots()
    looks = (("face and voice", "#C9C9C9", "//"), ("face, voice and words", MODALITY_COLORS["all"], ""))
    for i, (label, color, hatch) in enumerate(looks):
        places = np.arange(len(shares)) + (i - 0.5) * 0.4
        values = [pair[i] for pair in shares.values()]
        ax.barh(places, values, height=0.36, color=color, hatch=hatch, edgecolor="white", label=label)
        for place, value in zip(places, values, strict=True):
            ax.text(value + 0.01, place, f"{value:.0%}", va="center")
    ax.set_yticks(range(len(shares)), [f"{name}\n({counts[name]} clips)" for name in shares])
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.5, -0.5), xlabel="clips whose emotion is found")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(False, axis="y")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    found = "; ".join(f"{name}: {a:.0%} without them, {b:.0%} with them" for name, (a, b) in shares.items())
    figure.alt_text = f"Share of test clips whose emotion is found. {found}."
    return figure
