"""The pictures of the Tux Paint stamps, 48x48 on white, and what they show in English and in traditional
Chinese: photographs and drawings of beasts, plants, food, tools and so on.

Package: tuxpaint-stamps-default. Licence: GPL-2. Letters are left out. Of a caption the first sentence is
taken, without article and full stop. A family are the stamps of one caption, and those of one folder whose
names differ in a number only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wordspot.models.datasets.captioned import Shown, source
from wordspot.models.datasets.svg import drawn
from wordspot.models.datasets.tuxpaint import FOLDER, PACKAGE, read_captions
from wordspot.models.pictures import letterbox

SIDE, WHITE = 48, 255
LETTERS = "alphabets"
LOCALES = {"en": "en", "zh": "zh_TW"}

_SENTENCE = re.compile(r"[.!?。！？,，;；:：—(（]|\s-\s")
_ARTICLE = re.compile(r"(?:an?|the|some|一[隻個支朵顆輛把])\s*(?=.)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<=[a-z])[-_]?\d+[a-z]?$")
_SPACE = re.compile(r"\s+")


@source("stamps", packages=(PACKAGE,), licence="GPL-2")
def convert(root: Path) -> Iterator[Shown]:
    """Yields the stamps with their captions by language; those of one caption or name are one family."""
    family: dict[str, str] = {}  # by caption, and by name
    for path in sorted((root / FOLDER).rglob("*.txt")):
        picture = next(filter(Path.is_file, map(path.with_suffix, (".png", ".svg"))), None)
        if picture is None or LETTERS in path.parts:
            continue
        by_locale = read_captions(path.read_text(encoding="utf-8"))
        texts = {
            language: caption(by_locale[locale])
            for language, locale in LOCALES.items()
            if by_locale.get(locale)
        }
        if not texts.get("en"):
            continue
        name = _NUMBER.sub("", picture.relative_to(root / FOLDER).with_suffix("").as_posix())
        first = family.get(texts["en"], family.get(name, name))
        family |= {texts["en"]: first, name: first}
        yield Shown(pixels(picture), {language: text for language, text in texts.items() if text}, first)


def caption(text: str) -> str:
    """Returns what the picture shows: "A frog.  Say hello!" is "frog"."""
    return _ARTICLE.sub("", _SENTENCE.split(text.strip("\"“”「」' "))[0].strip("\"“”「」' "), count=1)


def pixels(path: Path) -> NDArray[np.uint8]:
    """Returns a picture or drawing, uint8 (SIDE, SIDE, 3), on white."""
    if path.suffix == ".svg":
        return drawn(path.read_text(encoding="utf-8"), SIDE)
    with Image.open(path) as picture:
        return letterbox(picture.convert("RGBA"), SIDE, SIDE, WHITE)
