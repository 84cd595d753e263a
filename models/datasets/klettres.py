"""KLettres: letters and syllables of some twenty languages, said one by one for children who learn to read.

Package: klettres-data. Licence: GPL-2+. Split: all train, but Czech, which is left out for judging. The
package does not tell who speaks: one voice a locale, it seems.

`sounds.xml` of a locale names each sound and its file: `<sound name="Ä" file="de/alpha/ae.ogg" />`; the file
may be another locale's.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

PACKAGE = Package(
    "klettres-data", "4:22.12.3-1", "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8"
)
FOLDER = Path("usr/share/klettres")
NEVER_TRAIN = frozenset({"cs", "sk"})
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SOUND = re.compile(r'<sound\s+name="([^"]*)"\s+file="([^"]*)"')


@source("klettres", packages=(PACKAGE,), licence="GPL-2+", held_out=0)
def convert(root: Path) -> Iterator[Take]:
    """Yields every sound; a clip's name is its file's: `en/alpha/a` and `en_GB/alpha/a` are the same
    letter."""
    folder = root / FOLDER
    text: dict[str, str] = {}
    for listed in sorted(folder.rglob("sounds.xml")):
        text |= read_sounds(listed.read_text(encoding="utf-8"))
    for path in sorted(folder.rglob("*.ogg")):
        file = path.relative_to(folder).as_posix()
        locale = file.split("/")[0]
        language = locale.split("_")[0]
        if language not in NEVER_TRAIN:
            samples, rate = load_mono(path)
            yield Take(file.removesuffix(".ogg"), None, language, locale, samples, rate, text.get(file))


def read_sounds(content: str) -> dict[str, str]:
    """Returns lower-case letters or syllable by file, from the lines of a `sounds.xml` that are no
    comments."""
    matches = SOUND.findall(COMMENT.sub("", content))
    return {file: html.unescape(name).strip().lower() for name, file in matches}
