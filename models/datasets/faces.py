"""Drawn faces, 48x48, by colour of hair and eyes and length of hair: avatars of the style "Adventurer" by
Lisa Wischofsky (CC BY 4.0), put together by DiceBear.

Package: the styles, of the Python package index; what draws them is the extra `faces`. Every one of 12 x 11 x
2 kinds is drawn equally often, with skin, brows and mouth by chance. Eyes that are closed or look out of the
picture are left out, so is hair that hides the eyes or is hardly there.

Split by kind: no kind that validates or tests is in training. Of the 31 that test, 22 have colours that some
training kind has together, with hair of the other length, and 9 a pair that is new (`new_pairs`).

labels: (hair colour x 11 + eye colour) x 2, 1 added for long hair.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wordspot.models.datasets.package import DatasetError, PythonPackage
from wordspot.models.datasets.pictures import Pictures, source
from wordspot.models.datasets.source import SHARES, Split, split_of

STYLES = PythonPackage(
    "dicebear-styles", "10.6.0", "5a5b0b9c534d133fa06f1dd29f280139995965b32b08c5635a69cc6afc30930d"
)
STYLE = "dicebear_styles/adventurer.json"
SIDE = 48
DRAWN_AT = 96  # pixels, before they are averaged two by two
OF_EACH = 40  # faces a kind
HAIR = {
    "black": "#1c1c1c",
    "blonde": "#f0d46a",
    "brown": "#6b3f1d",
    "red": "#c8281e",
    "orange": "#f08a1d",
    "pink": "#f59ac0",
    "purple": "#7a3fa0",
    "blue": "#2d5fd0",
    "aqua": "#4fd0d8",
    "green": "#2f9e3f",
    "gray": "#8e8e8e",
    "white": "#f1f1f1",
}
EYES = {
    "black": "#101010",
    "brown": "#6b3f1d",
    "red": "#d01818",
    "orange": "#f58c10",
    "yellow": "#f2d60a",
    "green": "#16a030",
    "aqua": "#22d3dd",
    "blue": "#1548e0",
    "purple": "#8a28c8",
    "pink": "#ff6fb4",
    "gray": "#8a8a8a",
}
OPEN_EYES = ("01", "02", "03", "11", "12", "15", "24", "25", "26")
HIDING = {"long20", "long22", "long25", "long26"}
HARDLY_THERE = {"short12", "short13", "short19"}


def caption(label: int) -> str:
    """Returns what a label means in words: "red hair, blue eyes, long hair"."""
    kind, long = divmod(label, 2)
    hair, eyes = divmod(kind, len(EYES))
    length = "long" if long else "short"
    return f"{list(HAIR)[hair]} hair, {list(EYES)[eyes]} eyes, {length} hair"


def new_pairs(labels: NDArray[Any], training: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns which of the labels (N,) have colours of hair and eyes that no training label has together,
    (N,)."""
    return ~np.isin(labels // 2, training // 2)


@source(
    "faces",
    packages=(STYLES,),
    licence="CC BY 4.0, Lisa Wischofsky: Adventurer",
    split="by kind: 80 % train, 10 % validation, 10 % test",
)
def convert(root: Path) -> Mapping[Split, Pictures]:
    """Returns faces by split, OF_EACH of every kind: hair colour, eye colour, length of hair.

    Raises:
        DatasetError: DiceBear is not installed.
    """
    try:
        from dicebear import Style
    except ImportError as error:
        raise DatasetError("DiceBear draws faces: pip install 'wordspot[faces]'") from error
    definition = json.loads((root / STYLE).read_text(encoding="utf-8"))
    style = Style(definition)
    hair = sorted(definition["components"]["hair"]["variants"].keys() - HIDING - HARDLY_THERE)
    by_split: dict[Split, tuple[list[NDArray[np.uint8]], list[int]]] = {
        split: ([], []) for split, _ in SHARES
    }
    kinds = itertools.product(HAIR.values(), EYES.values(), ("short", "long"))
    for label, (hair_colour, eye_colour, length) in enumerate(kinds):
        pixels, labels = by_split[split_of(f"face {label}")]
        for number in range(OF_EACH):
            options = {
                "seed": f"{label}/{number}",
                "hairVariant": [name for name in hair if name.startswith(length)],
                "hairColor": [hair_colour],
                "eyesVariant": [f"variant{variant}" for variant in OPEN_EYES],
                "eyesColor": [eye_colour],
                "hairProbability": 100,
                "glassesProbability": 0,
                "earringsProbability": 0,
                "detailsProbability": 0,
            }
            pixels.append(draw(style, options))
            labels.append(label)
    return {
        split: Pictures(np.stack(pixels), np.array(labels)) for split, (pixels, labels) in by_split.items()
    }


def draw(style: Any, options: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Returns a face as pixels (SIDE, SIDE, 3) on white."""
    import resvg_py
    from dicebear import Avatar

    drawing = resvg_py.svg_to_bytes(
        svg_string=Avatar(style, dict(options)).to_string(),
        width=DRAWN_AT,
        height=DRAWN_AT,
        background="#ffffff",
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(bytes(drawing))) as picture:
        return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
