"""Fish Fillets, next generation: Czech acted speech, two main and some fifteen minor voices, OGG.

Package: fillets-ng-data-cs. Licence: GPL-2. Split: all train. The transcripts lie in another package ten
times the size of what they would be used for, and training needs none.

A file's name says who speaks: `-m-` the small fish, `-v-` the big one, anything else a voice of its level.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

PACKAGE = Package(
    "fillets-ng-data-cs",
    "1.0.1-1.1",
    "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
)
FOLDER = Path("usr/share/games/fillets-ng/sound")
FISH = {"m": "small fish", "v": "big fish"}


@source("fillets_cs", packages=(PACKAGE,), licence="GPL-2", held_out=0)
def convert(root: Path) -> Iterator[Take]:
    for path in sorted((root / FOLDER).glob("*/cs/*.ogg")):
        level = path.parts[-3]
        samples, rate = load_mono(path)
        yield Take(f"{level}/{path.stem}", speaker(level, path.stem), "cs", level, samples, rate)


def speaker(level: str, name: str) -> str:
    return next((FISH[part] for part in name.split("-") if part in FISH), level)
