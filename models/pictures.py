"""Pictures brought to the size that a model takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def letterbox(picture: Image.Image, height: int, width: int, ground: int) -> NDArray[np.uint8]:
    """Returns the whole picture, as large as it fits, centred on a grey ground: uint8 (height, width, 3).

    ground: 0 to 255.
    """
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    # Colours are weighted by opacity, or those of transparent pixels would bleed into the edges.
    small = picture.convert("RGBa").resize(size, method).convert("RGBA")
    whole = Image.new("RGBA", (width, height), (ground, ground, ground, 255))
    whole.alpha_composite(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(whole.convert("RGB"))
