"""Emoji, 48x48 on white, and what they are called in English and in traditional Chinese: OpenMoji's drawings
with the labels of the Unicode repository (CLDR).

Packages: `openmoji` (CC BY-SA 4.0) and `emojibase-data` (MIT) of the npm registry. A family is an emoji in
all its skin tones: "woman firefighter: dark skin tone" stays with "woman firefighter", not with "man
firefighter". OpenMoji's own emoji, which have English labels alone, are there but for logos and letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wordspot.models.datasets.captioned import Shown, source
from wordspot.models.datasets.package import NpmPackage
from wordspot.models.datasets.svg import drawn

DRAWINGS = NpmPackage(
    "openmoji", "17.0.0", "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68"
)
LABELS = NpmPackage(
    "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)
SIDE = 48
LOCALES = {"en": "en", "zh": "zh-hant"}
LEFT_OUT = frozenset({"brand", "regional-indicator"})

_BETWEEN = re.compile("(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")  # words of a list


@source("openmoji", packages=(DRAWINGS, LABELS), licence="CC BY-SA 4.0, OpenMoji")
def convert(root: Path) -> Iterator[Shown]:
    """Yields emoji with their names by language; those that differ in skin tone alone are one family."""
    labels = {language: _labels(root, locale) for language, locale in LOCALES.items()}
    for emoji in json.loads((root / "package/data/openmoji.json").read_text(encoding="utf-8")):
        code = emoji["hexcode"]
        if emoji["subgroups"] in LEFT_OUT:
            continue
        texts = {language: names[code] for language, names in labels.items() if code in names}
        svg = (root / f"package/color/svg/{code}.svg").read_text(encoding="utf-8")
        yield Shown(
            drawn(svg, SIDE),
            {"en": emoji["annotation"], **texts},
            emoji["skintone_base_hexcode"] or code,
        )


def _labels(root: Path, locale: str) -> dict[str, str]:
    """Returns labels by code."""
    names: dict[str, str] = {}
    content: list[dict[str, Any]] = json.loads(
        (root / f"package/{locale}/data.json").read_text(encoding="utf-8")
    )
    for emoji in content:
        for variant in (emoji, *emoji.get("skins", ())):
            names[variant["hexcode"]] = _BETWEEN.sub("、", variant["label"])
    return names
