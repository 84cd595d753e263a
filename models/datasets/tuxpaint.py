"""The Tux Paint stamps: what each picture shows, said in up to thirteen languages, mostly 44.1 kHz OGG.

Package: tuxpaint-stamps-default. Licence: GPL-2. Split: all train. The package does not tell who speaks.

Beside the picture `X.png` lie `X_desc.ogg` in English, `X_desc_fr.ogg` and so on, and `X.txt`: the English
caption, then one a line in other languages, `fr.utf8=...`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

PACKAGE = Package(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)
FOLDER = Path("usr/share/tuxpaint/stamps")
SPOKEN = re.compile(r"(.+)_desc(?:_([a-zA-Z_]+))?(?:\.ogg|\.wav)+")
CAPTION = re.compile(r"([\w@]+)\.utf8=(.*)")


@source("tuxpaint", packages=(PACKAGE,), licence="GPL-2", held_out=0)
def convert(root: Path) -> Iterator[Take]:
    """Yields every recording once: stamps that share one, such as a picture and its variant, are the
    first's."""
    digests: set[bytes] = set()
    for path in sorted((root / FOLDER).rglob("*_desc*")):
        match = SPOKEN.fullmatch(path.name)
        if match is None:
            continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest in digests:
            continue
        digests.add(digest)
        locale = match[2] or "en"
        stamp = path.with_name(match[1]).relative_to(root / FOLDER).as_posix()
        captions = path.with_name(f"{match[1]}.txt")
        text = read_captions(captions.read_text(encoding="utf-8")) if captions.is_file() else {}
        samples, rate = load_mono(path)
        yield Take(f"{locale}/{stamp}", None, locale.split("_")[0], stamp, samples, rate, text.get(locale))


def read_captions(content: str) -> dict[str, str]:
    """Returns the captions by locale (`pt_BR`, `sr@latin`); the first line is English and names none."""
    first, *rest = content.splitlines() or [""]
    matches = (CAPTION.fullmatch(line.strip()) for line in rest)
    captions = {"en": first.strip()} | {match[1]: match[2].strip() for match in matches if match}
    return {locale: caption for locale, caption in captions.items() if caption}
