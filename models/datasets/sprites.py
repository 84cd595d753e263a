"""Small pictures in colour out of files, on white."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def read(path: Path) -> NDArray[np.uint8]:
    """Returns pixels (H, H, 4): red, green, blue, opacity; what is not square stands in the middle of one
    that is."""
    with Image.open(path) as picture:
        side = max(picture.size)
        square = Image.new("RGBA", (side, side))
        square.paste(picture.convert("RGBA"), ((side - picture.width) // 2, (side - picture.height) // 2))
        return np.asarray(square)


def outline(rgba: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns bool (H, W): where something is drawn."""
    drawn: NDArray[np.bool_] = rgba[..., 3] >= 128
    return drawn


def shrink(rgba: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Returns the picture at another size, (height, width, 3), on white."""
    opacity = rgba[..., 3:].astype(np.float32) / 255
    flat = rgba[..., :3] * opacity + 255 * (1 - opacity)
    channels = [resized(channel, height, width) for channel in np.moveaxis(flat, 2, 0)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def resized(plane: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Returns a plane at another size, (height, width), by means over areas."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BOX))
