"""Fish Fillets, next generation: Czech acted speech, two main and some fifteen minor voices, OGG.

Packages: fillets-ng-data-cs, and fillets-ng-data for the subtitles. Licence: GPL-2. Split: never trains, so
that there is a language of which one can say that no encoder ever heard it.

A level's `dialogs_cs.lua` files name each clip with the font of its subtitle, which tells the fish, and its
text. Where they do not, the clip's name says who speaks: `-m-` the small fish, `-v-` the big one. Anything
else is a voice of its level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

SOUNDS = Package(
    "fillets-ng-data-cs",
    "1.0.1-1.1",
    "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
)
SCRIPTS = Package(
    "fillets-ng-data",
    "1.0.1-1.1",
    "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
)
SOUND_FOLDER = Path("usr/share/games/fillets-ng/sound")
SCRIPT_FOLDER = Path("usr/share/games/fillets-ng/script")
SUBTITLE = re.compile(
    r'dialogId\(\s*"(?P<name>[^"]+)"\s*,\s*"(?P<font>[^"]*)"(?:(?!dialogId).)*?'
    r'dialogStr\(\s*"(?P<text>[^"]*)"\s*\)',
    re.DOTALL,
)
SMALL_FISH, BIG_FISH = "small fish", "big fish"
FISH = {"m": SMALL_FISH, "font_small": SMALL_FISH, "v": BIG_FISH, "font_big": BIG_FISH}


@dataclass(frozen=True)
class Subtitle:
    """A subtitle of the game.

    Attributes:
        font: Tells who speaks.
        text: What is said.
    """

    font: str
    text: str


@source("fillets_cs", packages=(SOUNDS, SCRIPTS), licence="GPL-2", held_out=1)
def convert(root: Path) -> Iterator[Take]:
    """Yields the Czech lines of the game's levels, with their subtitles where there are any."""
    by_sound = dict(subtitles(root / SCRIPT_FOLDER))
    for path in sorted((root / SOUND_FOLDER).glob("*/cs/*.ogg")):
        level = path.parts[-3]
        subtitle = by_sound.get((level, path.stem))
        samples, rate = load_mono(path)
        yield Take(
            name=f"{level}/{path.stem}",
            speaker=speaker(level, path.stem, subtitle.font if subtitle else ""),
            language="cs",
            group=level,
            samples=samples,
            rate=rate,
            text=subtitle.text if subtitle else None,
        )


def subtitles(folder: Path) -> Iterator[tuple[tuple[str, str], Subtitle]]:
    """Yields subtitles by level and name of the clip."""
    for path in sorted(folder.glob("*/*dialogs_cs.lua")):
        for match in SUBTITLE.finditer(path.read_text(encoding="utf-8")):
            yield (path.parent.name, match["name"]), Subtitle(match["font"], match["text"])


def speaker(level: str, name: str, font: str = "") -> str:
    """Returns which fish speaks, by the subtitle's font or the parts of the line's name; else the level."""
    return next((FISH[part] for part in (font, *name.split("-")) if part in FISH), level)
