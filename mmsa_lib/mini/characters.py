"""The speakers: characters drawn from a seed, and the cast of each split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmsa_lib.mini.plan import (
    BACKGROUNDS,
    BEARDS,
    CLOTHES_COLOURS,
    EYE_COLOURS,
    FACE_SHAPES,
    HAIR_COLOURS,
    SKIN_TONES,
    Character,
)

CAST: dict[str, tuple[tuple[str, str, str], ...]] = {
    "train": (
        ("Alma", "female", "adult"),
        ("Bruno", "male", "adult"),
        ("Carys", "female", "young"),
        ("Dario", "male", "young"),
        ("Edith", "female", "old"),
        ("Farid", "male", "adult"),
        ("Gwen", "female", "adult"),
        ("Hugo", "male", "old"),
        ("Ines", "female", "young"),
        ("Jonas", "male", "adult"),
        ("Keiko", "female", "adult"),
        ("Lorenz", "male", "young"),
        ("Mira", "female", "adult"),
        ("Nils", "male", "adult"),
        ("Odile", "female", "old"),
        ("Pavel", "male", "old"),
    ),
    "dev": (
        ("Quinn", "female", "young"),
        ("Rafi", "male", "adult"),
        ("Selma", "female", "adult"),
        ("Tomas", "male", "old"),
    ),
    "test": (
        ("Uma", "female", "adult"),
        ("Viktor", "male", "adult"),
        ("Wanda", "female", "old"),
        ("Xander", "male", "young"),
        ("Yara", "female", "young"),
        ("Zoltan", "male", "adult"),
    ),
}
"""(name, sex, age) of every speaker. No character appears in two splits."""

FEMALE_VOICES = ("f1", "f2", "f3", "f4", "f5")
MALE_VOICES = ("m1", "m2", "m3", "m4", "m6", "m7")
ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland")
FEMALE_HAIR = ("short", "curly", "long", "long", "bob", "bob", "bun", "parted")
MALE_HAIR = ("short", "short", "crop", "crop", "curly", "parted", "bald")
GREY_HAIR = HAIR_COLOURS - 1  # the palette's last entry


def draw_character(name: str, seed: int, sex: str | None = None, age: str | None = None) -> Character:
    """Draw one character; `sex` and `age` are drawn too where they are not given."""
    rng = np.random.Generator(np.random.PCG64([seed, 0xCA57]))
    sex = sex or str(rng.choice(["female", "male"]))
    age = age or str(rng.choice(["young", "adult", "adult", "old"]))
    female = sex == "female"
    voices, styles = (FEMALE_VOICES, FEMALE_HAIR) if female else (MALE_VOICES, MALE_HAIR)
    accent, voice = rng.choice(ACCENTS), rng.choice(voices)
    pitch = rng.normal(205, 18) if female else rng.normal(115, 13)
    rate = rng.normal({"young": 182, "adult": 172, "old": 158}[age], 7)
    shape = rng.uniform([0.92, 0.88, 0.7, 0.85, 0.88], [1.08, 1.12, 1.35, 1.2, 1.12])
    beard_odds = (0.5, 0.2, 0.12, 0.18) if not female else (1, 0, 0, 0)
    return Character(
        name=name,
        seed=seed,
        sex=sex,
        age=age,
        espeak_voice=f"{accent}+{voice}",
        pitch_hz=round(float(pitch), 1),
        pitch_range=round(float(rng.uniform(0.85, 1.15)), 2),
        rate_wpm=round(rate),
        skin=int(rng.integers(SKIN_TONES)),
        hair=GREY_HAIR if age == "old" and rng.random() < 0.8 else int(rng.integers(GREY_HAIR)),
        eyes=int(rng.integers(EYE_COLOURS)),
        clothes=int(rng.integers(CLOTHES_COLOURS)),
        background=int(rng.integers(BACKGROUNDS)),
        hair_style=str(rng.choice(styles)),
        face_shape=str(rng.choice(FACE_SHAPES)),
        beard=str(rng.choice(BEARDS, p=beard_odds)),
        glasses=bool(rng.random() < (0.5 if age == "old" else 0.25)),
        **dict(
            zip(
                ("width", "eye_size", "brow_weight", "nose_size", "mouth_width"),
                np.round(shape, 3).tolist(),
                strict=True,
            )
        ),
    )


def cast(split: str, seed: int) -> list[Character]:
    """The characters of one split, with skin tones and hair styles spread over the palette."""
    everyone = [(s, member) for s, members in CAST.items() for member in members]
    order = np.random.Generator(np.random.PCG64([seed, 0x5C1])).permutation(len(everyone))
    characters = []
    for number, (home, (name, sex, age)) in enumerate(everyone):
        if home != split:
            continue
        drawn = draw_character(name, seed * 1000 + number, sex, age)
        # equal shares of every skin tone: independent draws would leave some out of a small cast
        characters.append(replace(drawn, skin=int(order[number]) % SKIN_TONES))
    return characters
