"""Clip art, 48x48 on white, and its titles in English: the Open Clip Art Library.

Package: Debian `openclipart-svg` (public domain). Left out are icons of desktops, gradients, patterns and
polygons, drawings of which the title is that of their collection, and those that a title does not tell in
Latin letters. Flags of countries are called "flag: ...", cards by rank and suit. A family are drawings of one
title, whatever their number and whether they are coloured.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.captioned import Shown, source
from wordspot.models.datasets.package import Package
from wordspot.models.datasets.svg import drawn

PACKAGE = Package(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
)
FOLDER = Path("usr/share/openclipart/svg")
SIDE = 48
LEFT_OUT = (
    "computer/icons/",
    "special/",
    "shapes/stars/",
    "shapes/jigsaw/",
    "shapes/flowchart/",
    "unsorted/",
)
COLLECTION = 8  # drawings that share a title more often than so are told by none
AUTHORS = ("Nicu Buculei",)  # whose titles were copied from one drawing to the next
SUITS = {"c": "clubs", "d": "diamonds", "h": "hearts", "s": "spades"}
RANKS = {"a": "ace", "j": "jack", "q": "queen", "k": "king"} | {
    str(n): name
    for n, name in enumerate(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 2)
}

_TITLE = re.compile(r"<dc:title>(.*?)</dc:title>", re.DOTALL)
_CARD = re.compile(r"recreation/games/cards/\w+/[a-z]+_([cdhs])_(\w+)\.svg")
_COUNTRY = re.compile(r"signs_and_symbols/flags/(?:africa|america|asia|europe|oceania)/(?:\w+/)?\w+\.svg")
_AUTHOR = re.compile(r"clipart by ([^-]+)-", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_COPY = re.compile(r" (?:b and w|bw)$")


@source("openclipart", packages=(PACKAGE,), licence="public domain")
def convert(root: Path) -> Iterator[Shown]:
    """Yields drawings with their titles; titles that a whole collection shares are left out."""
    drawings = {}
    for path in sorted((root / FOLDER).rglob("*.svg")):
        name = path.relative_to(root / FOLDER).as_posix()
        match = _TITLE.search(content := path.read_text(encoding="utf-8", errors="replace"))
        if not name.startswith(LEFT_OUT) and (match or _CARD.fullmatch(name)):
            drawings[name] = (html.unescape(match[1]).strip() if match else "", content)
    often = Counter(title for title, _ in drawings.values())
    for name, (title, content) in drawings.items():
        text = caption(name, title if often[title] <= COLLECTION else "")
        if not text:
            continue
        try:
            yield Shown(drawn(content, SIDE), {"en": text}, _COPY.sub("", text))
        except ValueError:  # no drawing
            continue


def caption(name: str, title: str) -> str:
    """Returns the caption of a drawing.

    name: of the file. title: empty if it is that of many. Empty where nothing tells what is drawn."""
    if card := _CARD.fullmatch(name):
        return f"{RANKS[card[2]]} of {SUITS[card[1]]}" if card[2] in RANKS else ""
    if (author := _AUTHOR.match(title)) is not None:
        if author[1].strip() in AUTHORS:
            return ""
        title = title[author.end() :]
    words = " ".join(_WORD.findall(_CAMEL.sub(" ", title.split(" - RPG")[0]).lower().replace("_", " ")))
    words = words.removeprefix("clipart ")
    return f"flag: {words}" if words and _COUNTRY.fullmatch(name) else words
