"""What models make, as a file for each modality, or printed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wordspot.indexer.errors import InvalidInput
from wordspot.services import png, wav

if TYPE_CHECKING:
    from wordspot.services.model_client import Models, Pixels

PARTS = 20  # of a series, where nobody says
COLUMNS = 10
PAUSE_S = 0.3  # between sounds in one file
FRAME_MS = 120  # of an animation


@dataclass(frozen=True)
class Order:
    """What is wanted of a model. series: parts that belong together. suffix: of the file. options: those of a
    Model that were given."""

    model: str
    count: int
    seed: int
    series: bool
    suffix: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Medium:
    """suffixes: of the files that it may go to, the usual one first. count: how many are made where nobody
    says. printed: whether it is, where no file is asked for. make: the content, in parts."""

    suffixes: tuple[str, ...]
    count: int
    printed: bool
    make: Callable[[Models, Order], Iterator[bytes]]


def sheet(rows: Iterable[Iterable[Pixels]]) -> bytes:
    """A PNG file of rows of pictures, uint8 (H, W) or (H, W, 3)."""
    return png.encoded(png.sheet([[png.encoded(Image.fromarray(one)) for one in row] for row in rows]))


def animation(clips: Pixels) -> bytes:
    """A GIF file of clips, (N, frames, H, W) or (N, frames, H, W, 3), side by side."""
    first, *others = [
        png.sheet([[png.encoded(Image.fromarray(one)) for one in clips[:, number]]])
        for number in range(clips.shape[1])
    ]
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    return file.getvalue()


def _pictures(models: Models, order: Order) -> Iterator[bytes]:
    draw = models.generate if order.series else models.sample
    made = np.stack([*draw(order.model, order.count, order.seed, **order.options)])
    yield sheet([made[start : start + COLUMNS] for start in range(0, len(made), COLUMNS)])


def _sounds(models: Models, order: Order) -> Iterator[bytes]:
    """A series is one sound; others come one after another."""
    asked = (order.model, order.count, order.seed)
    if order.series:
        parts = list(models.generate_sound(*asked, **order.options))
        yield wav.encoded(np.concatenate([part.samples for part in parts]), parts[0].rate)
        return
    sounds = models.sample_sounds(*asked, **order.options)
    pause = round(PAUSE_S * sounds.rate)
    spaced = np.pad(sounds.samples, ((0, 0), (0, pause))).reshape(-1)
    yield wav.encoded(spaced[: len(spaced) - pause], sounds.rate)


def _clips(models: Models, order: Order) -> Iterator[bytes]:
    """A row a clip, or an animation. Raises InvalidInput for a series."""
    if order.series:
        raise InvalidInput(f"--series does not go with clips, each of which {order.model} makes whole")
    made = models.sample_clips(order.model, order.count, order.seed, **order.options)
    yield animation(made) if order.suffix == ".gif" else sheet(made)


def _texts(models: Models, order: Order) -> Iterator[bytes]:
    """A line each, apart by an empty line where they have lines themselves; a series as it is written."""
    asked = (order.model, order.count, order.seed)
    if order.series:
        part = "\n"
        for part in models.generate_text(*asked, **order.options):
            yield part.encode()
        if not part.endswith("\n"):
            yield b"\n"
        return
    texts = models.sample_texts(*asked, **order.options)
    between = "\n\n" if any("\n" in text for text in texts) else "\n"
    yield f"{between.join(texts)}\n".encode()


MEDIA: Mapping[str, Medium] = {
    "picture": Medium((".png",), 20, False, _pictures),
    "sound": Medium((".wav",), 1, False, _sounds),
    "video": Medium((".png", ".gif"), 4, False, _clips),
    "text": Medium((".txt",), 1, True, _texts),
}
