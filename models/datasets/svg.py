"""Vector drawings as small pictures on white."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wordspot.models.datasets.package import DatasetError
from wordspot.models.pictures import letterbox

DPI = 96  # of a drawing measured in points or millimetres
FINER = 2  # drawn at so many times the size, then averaged


def drawn(svg: str, side: int) -> NDArray[np.uint8]:
    """Returns a drawing as pixels (side, side, 3) on white; what is not square stands in the middle.

    Raises ValueError if it is no drawing, DatasetError without resvg.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise DatasetError("resvg draws vector pictures: pip install 'wordspot[faces]'") from error
    file = resvg_py.svg_to_bytes(
        svg_string=svg, width=side * FINER, background="#ffffff", skip_system_fonts=True, dpi=DPI
    )
    with Image.open(io.BytesIO(bytes(file))) as picture:
        return letterbox(picture, side, side, ground=255)
