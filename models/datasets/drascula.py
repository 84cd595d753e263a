"""Drascula, the vampire strikes back: English acted speech, ten voices, unsigned 8 bit at 11,025 Hz.

Package: drascula. Licence: free to redistribute and modify with its readme and notices kept; content ©
Alcachofa Soft S.L. Split: never trains.

Every .ALS file is headerless mono. The letters of its name give the voice, none at all the hero; S and F
are sound effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, source

PACKAGE = Package("drascula", "1.0+ds4-2", "ed4af8e2d41ad446e2f3b73533daa1804e2f13f62f596c0b02b8dc39544f22b4")
FOLDER = Path("usr/share/scummvm/drascula/en")
RATE = 11_025
HERO = "JohnHacker"
VOICES = frozenset({HERO, "B", "BJ", "D", "E", "I", "L", "P", "T", "VB"})


@source("drascula", packages=(PACKAGE,), licence="Drascula licence (BSD-like)", held_out=1)
def convert(root: Path) -> Iterator[Take]:
    """Yields the lines of the game's voices, the hero's and those in VOICES."""
    for path in sorted((root / FOLDER).glob("*.ALS")):
        voice = path.stem.rstrip("0123456789") or HERO
        if voice in VOICES:
            raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
            yield Take(
                name=path.stem,
                speaker=voice,
                language="en",
                group=voice,
                samples=(raw.astype(np.float32) - np.float32(128)) / np.float32(128),
                rate=RATE,
            )
