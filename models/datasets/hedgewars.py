"""The Hedgewars taunts: English words and short phrases by ten voices, 44.1 kHz OGG.

Package: hedgewars-data. Licence: GFDL 1.3 by its copyright file, the game GPL-2. Split: never trains.

The file's name is what is said, written without spaces: `Traitor`, `Takecover`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

PACKAGE = Package(
    "hedgewars-data", "1.0.2-6", "722225903a72604403e6e0026e40e9a6953f47a74d94efc5f55504bc05bb4761"
)
FOLDER = Path("usr/share/games/hedgewars/Data/Sounds/voices")
VOICES = (
    "British",
    "Classic",
    "Default",
    "HillBilly",
    "Mobster",
    "Pirate",
    "Robot",
    "Russian",
    "Singer",
    "Surfer",
)


@source("hedgewars", packages=(PACKAGE,), licence="GFDL 1.3, GPL-2", held_out=1)
def convert(root: Path) -> Iterator[Take]:
    """Yields what the hedgehogs say, its text the name of the file."""
    for voice in VOICES:
        for path in sorted((root / FOLDER / voice).glob("*.ogg")):
            samples, rate = load_mono(path)
            yield Take(f"{voice}/{path.stem}", voice, "en", voice, samples, rate, path.stem.lower())
