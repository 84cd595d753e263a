"""Pictures on the wire: PNG files to float32 (B, C, H, W), 0 to 1, and back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from wordspot.models.errors import BadInput

Floats = NDArray[np.float32]
MODES = {1: "L", 3: "RGB"}


def to_floats(files: Sequence[bytes], shape: tuple[int, int, int]) -> Floats:
    """shape: channels, height, width, which every picture must have. Raises BadInput."""
    return np.stack([_pixels(number, file, shape) for number, file in enumerate(files)])


def to_files(pictures: Floats) -> list[bytes]:
    """pictures: (B, C, H, W), 0 to 1."""
    return [encoded(to_image(picture)) for picture in pictures]


def to_image(picture: Floats) -> Image.Image:
    """picture: (C, H, W), 0 to 1."""
    pixels = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def sheet(rows: Iterable[Sequence[bytes]], scale: int = 2, gap: int = 2) -> Image.Image:
    """PNG files of one size as a grid, magnified without smoothing, on white.

    Raises ValueError if there is none.
    """
    images = [[Image.open(io.BytesIO(file)).convert("RGB") for file in row] for row in rows]
    if not images or not images[0]:
        raise ValueError("no picture to put on a sheet")
    width, height = (scale * side for side in images[0][0].size)
    columns = max(map(len, images))
    whole = Image.new(
        "RGB", (columns * (width + gap) + gap, len(images) * (height + gap) + gap), (255, 255, 255)
    )
    for y, row in enumerate(images):
        for x, image in enumerate(row):
            magnified = image.resize((width, height), Image.Resampling.NEAREST)
            whole.paste(magnified, (gap + x * (width + gap), gap + y * (height + gap)))
    return whole


def _pixels(number: int, file: bytes, shape: tuple[int, int, int]) -> Floats:
    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as image:
            if image.size != (width, height):
                found = "x".join(map(str, image.size))
                raise BadInput(f"picture {number} has {found} pixels; {width}x{height} is allowed")
            pixels = np.asarray(image.convert(MODES[channels]), np.float32) / np.float32(255)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise BadInput(f"picture {number}, {len(file)} bytes, is not a PNG file that can be read") from error
    shaped: Floats = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return shaped
