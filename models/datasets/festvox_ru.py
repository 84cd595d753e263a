"""The Russian Festival voice's recordings: one man reads a novel, 620 sentences, 16 kHz.

Package: festvox-ru. Licence: BSD-like, © 2005 Nickolay V. Shmyrev. Split: all train.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

PACKAGE = Package(
    "festvox-ru", "0.5+dfsg-6", "21ef3f0f2978ecf2e2eddb367cb0ff4a72572196d28dc69feb84f4177af5e6c4"
)
LICENCE = "BSD-like"
FOLDER = Path("usr/share/festival/voices/russian/msu_ru_nsh_clunits")
LINE = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')


@source("festvox_ru", packages=(PACKAGE,), licence=LICENCE, held_out=0)
def convert(root: Path) -> Iterator[Take]:
    """Yields the sentences of a novel, read by one speaker."""
    text = read_transcript((root / FOLDER / "etc/txt.done.data").read_text(encoding="utf-8"))
    for path in sorted((root / FOLDER / "wav").glob("*.wav")):
        samples, rate = load_mono(path)
        yield Take(path.stem, "nsh", "ru", "novel", samples, rate, text.get(path.stem))


def read_transcript(content: str) -> dict[str, str]:
    """Returns text by sentence name from lines `( name "text" )`; a plus before a vowel marks stress and
    goes."""
    return {name: text.replace("+", "") for name, text in LINE.findall(content)}
