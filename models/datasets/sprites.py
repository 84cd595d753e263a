"""Small pictures in colour out of files, on white; a user's own folder of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.pictures import Pictures, Split

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
SHARES: tuple[tuple[Split, int], ...] = (("test", 10), ("validation", 20), ("train", 100))  # percent, up to

_OWN = re.compile(r"(?P<folder>.+)@(?P<height>\d+)x(?P<width>\d+)")


def read(path: Path) -> NDArray[np.uint8]:
    """(H, H, 4): red, green, blue, opacity; what is not square stands in the middle of one that is."""
    with Image.open(path) as picture:
        side = max(picture.size)
        square = Image.new("RGBA", (side, side))
        square.paste(picture.convert("RGBA"), ((side - picture.width) // 2, (side - picture.height) // 2))
        return np.asarray(square)


def outline(rgba: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): where something is drawn."""
    drawn: NDArray[np.bool_] = rgba[..., 3] >= 128
    return drawn


def shrink(rgba: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) on white."""
    opacity = rgba[..., 3:].astype(np.float32) / 255
    flat = rgba[..., :3] * opacity + 255 * (1 - opacity)
    channels = [resized(channel, height, width) for channel in np.moveaxis(flat, 2, 0)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def fitted(picture: Image.Image, height: int, width: int, ground: int) -> NDArray[np.uint8]:
    """(height, width, 3): the whole picture in the middle of a grey ground, 0 to 255, as large as it fits."""
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    # Colours are weighed by how opaque they are, or what is transparent would shine through at the edges.
    small = picture.convert("RGBa").resize(size, method).convert("RGBA")
    whole = Image.new("RGBA", (width, height), (ground, ground, ground, 255))
    whole.alpha_composite(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(whole.convert("RGB"))


def resized(plane: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """(height, width): means over areas."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BOX))


def divided(pixels: NDArray[np.uint8], groups: Sequence[str]) -> Mapping[Split, Pictures]:
    """80 % of the groups train, 10 % validate, 10 % test, by their names alone. pixels: (N, H, W, C)."""
    splits = np.array([split_of(group) for group in groups])
    rows = {split: np.flatnonzero(splits == split) for split, _ in SHARES}
    return {split: Pictures(pixels[some], np.full(len(some), -1)) for split, some in rows.items()}


def own(folder: Path, height: int, width: int) -> str:
    """The name, as a source, of a user's own pictures at that size."""
    return f"{folder.resolve()}@{height}x{width}"


def is_own(name: str) -> bool:
    return _OWN.fullmatch(name) is not None


def load(name: str) -> Mapping[Split, Pictures]:
    """name: as `own` gives it. Every file is a group of its own. Raises DatasetError."""
    found = _OWN.fullmatch(name)
    assert found is not None
    folder, size = Path(found["folder"]), (int(found["height"]), int(found["width"]))
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in ENDINGS]
    if not files:
        raise DatasetError(
            f"{folder}: no pictures; files that end with {', '.join(sorted(ENDINGS))} are allowed"
        )
    try:
        pixels = np.stack([shrink(read(file), *size) for file in files])
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f"{folder}: {error}") from error
    return divided(pixels, [file.relative_to(folder).as_posix() for file in files])


def split_of(group: str) -> Split:
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") % 100
    return next(split for split, end in SHARES if place < end)
