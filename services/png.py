"""Pictures on the wire: PNG files to float32 (B, C, H, W), 0 to 1, and back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import BadInput

if TYPE_CHECKING:  # services that are never asked for pictures do not wait for it
    from PIL import Image

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
MODES = {1: "L", 3: "RGB"}


def to_floats(files: Sequence[bytes], shape: tuple[int, int, int]) -> Floats:
    """Returns float32 (B, C, H, W), 0 to 1.

    shape: channels, height, width, which every picture must have. Raises BadInput.
    """
    return np.stack([_pixels(number, file, shape) for number, file in enumerate(files)])


def to_files(pictures: Floats) -> list[bytes]:
    """Returns a PNG file for each picture. pictures: (B, C, H, W), 0 to 1."""
    return [encoded(to_image(picture)) for picture in pictures]


def to_image(picture: Floats) -> Image.Image:
    """Returns an image of 8 bits a channel. picture: (C, H, W), 0 to 1."""
    from PIL import Image

    pixels = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def encoded(image: Image.Image) -> bytes:
    """Returns a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def sheet(rows: Iterable[Iterable[Pixels]], scale: int = 2, gap: int = 2) -> Image.Image:
    """Returns pictures of one size as a grid, magnified without smoothing, on white.

    Args:
        rows: of pictures, uint8 (H, W) if grey, (H, W, 3) if coloured.
        scale: by which each is magnified.
        gap: pixels between two.

    Raises:
        ValueError: there is no picture.
    """
    from PIL import Image

    images = [[Image.fromarray(picture).convert("RGB") for picture in row] for row in rows]
    if not images or not images[0]:
        raise ValueError("no picture to put on a sheet")
    width, height = (scale * side for side in images[0][0].size)
    columns = max(map(len, images))
    grid = Image.new(
        "RGB", (columns * (width + gap) + gap, len(images) * (height + gap) + gap), (255, 255, 255)
    )
    for y, row in enumerate(images):
        for x, image in enumerate(row):
            magnified = image.resize((width, height), Image.Resampling.NEAREST)
            grid.paste(magnified, (gap + x * (width + gap), gap + y * (height + gap)))
    return grid


def _pixels(number: int, file: bytes, shape: tuple[int, int, int]) -> Floats:
    from PIL import Image

    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as image:
            if image.size != (width, height):
                size = "x".join(map(str, image.size))
                raise BadInput(f"picture {number} must have {width}x{height} pixels, got {size}")
            pixels = np.asarray(image.convert(MODES[channels]), np.float32) / np.float32(255)
    except BadInput:
        raise
    except Exception as error:  # Pillow lets out whatever a chunk makes it raise
        raise BadInput(f"picture {number}, {len(file)} bytes, is not a PNG file that can be read") from error
    picture: Floats = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return picture
