"""Moving digits: MNIST digits that cross a small frame and turn at its walls, made by code from a seed.

The recipe of Moving MNIST (Srivastava et al. 2015, Unsupervised learning of video representations using
LSTMs), smaller: digits of half size, cut to their ink so that what touches a wall is seen; whole pixels a
frame; where two digits meet, the brighter pixel shows. A split's digits are those of that split of MNIST.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.datasets.pictures import Pictures, pictures
from wordspot.models.datasets.source import Split

SIDE = 10  # pixels; MNIST puts its ink into a square of twice as many
SHRINK = 2
VALIDATION_BATCHES = 4
NAMES: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Motion:
    """The shape of clips, and how digits move in them.

    Attributes:
        height: Of a frame, in pixels.
        width: Of a frame, in pixels.
        frames: Of a clip.
        digits: Of a clip.
        speed: Pixels a frame along an axis at most; a digit moves along at least one axis.
    """

    height: int = 20
    width: int = 20
    frames: int = 8
    digits: int = 2
    speed: int = 1


@dataclass(frozen=True)
class Sprites:
    """Digits cut out of their pictures.

    Attributes:
        pixels: uint8 (N, SIDE, SIDE), ink in the upper left.
        sizes: int64 (N, 2), height and width of the ink.
    """

    pixels: NDArray[np.uint8]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class VideoBatch:
    """clips: float32 (B, T, C, H, W), 0 to 1."""

    clips: Tensor

    def to(self, device: str) -> VideoBatch:
        """Returns the batch on a device."""
        return VideoBatch(self.clips.to(device))


class MovingDigits:
    """Clips without end: those of a batch are drawn from its seed, split and step alone."""

    def __init__(self, sprites: Sprites, motion: Motion, split: Split, seed: int) -> None:
        self.sprites, self._motion = sprites, motion
        self._place = (seed, NAMES.index(split))

    def clips(self, step: int, count: int) -> Tensor:
        """Returns the clips of a step, float32 (count, T, 1, H, W), 0 to 1."""
        rng = np.random.default_rng((*self._place, step))
        motion = self._motion
        chosen = rng.integers(len(self.sprites.sizes), size=(count, motion.digits))
        room = np.array([motion.height, motion.width]) - self.sprites.sizes[chosen]  # (count, digits, 2)
        places = paths(
            rng.integers(room + 1), velocities(rng, motion.speed, chosen.shape), room, motion.frames
        )
        drawn = np.zeros((count, motion.frames, motion.height, motion.width), np.uint8)
        for clip, frame, digit in np.ndindex(count, motion.frames, motion.digits):
            row = chosen[clip, digit]
            (top, left), (height, width) = places[frame, clip, digit], self.sprites.sizes[row]
            under = drawn[clip, frame, top : top + height, left : left + width]
            np.maximum(under, self.sprites.pixels[row, :height, :width], out=under)
        return torch.from_numpy(drawn).float()[:, :, None] / 255


class VideoData:
    """Batches for the trainer."""

    def __init__(self, train: MovingDigits, validation: MovingDigits, batch_size: int) -> None:
        self._train, self._validation, self._size = train, validation, batch_size

    def batch(self, step: int) -> VideoBatch:
        """Returns the clips of a step, drawn by the step's number."""
        return VideoBatch(self._train.clips(step, self._size))

    def validation(self) -> Sequence[VideoBatch]:
        """Returns the clips of the first VALIDATION_BATCHES steps of the validation part."""
        return [VideoBatch(self._validation.clips(step, 64)) for step in range(VALIDATION_BATCHES)]


def moving_digits(split: Split, home: Path, motion: Motion, seed: int = 0) -> MovingDigits:
    """Returns the digits of a split of MNIST, moving. Raises DatasetError."""
    return MovingDigits(sprites(pictures("digits", split, home)), motion, split, seed)


def sprites(pictures: Pictures) -> Sprites:
    """Returns pictures cut to their ink and shrunk, each pixel the mean of SHRINK x SHRINK."""
    reach = SIDE * SHRINK
    cut = np.zeros((len(pictures), reach, reach), np.float32)
    sizes = np.zeros((len(pictures), 2), np.int64)
    for row, picture in enumerate(pictures.pixels[..., 0]):
        down, across = (np.flatnonzero(picture.any(axis=axis)) for axis in (1, 0))
        ink = picture[down[0] : down[-1] + 1, across[0] : across[-1] + 1][:reach, :reach]
        cut[row, : ink.shape[0], : ink.shape[1]] = ink
        sizes[row] = -(-np.array(ink.shape) // SHRINK)
    blocks = cut.reshape(len(pictures), SIDE, SHRINK, SIDE, SHRINK)
    return Sprites(blocks.mean(axis=(2, 4)).round().astype(np.uint8), sizes)


def velocities(rng: np.random.Generator, speed: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Returns velocities (*shape, 2): whole pixels a frame down and across, each as likely, but never at
    rest."""
    side = 2 * speed + 1
    kind = rng.integers(side * side - 1, size=shape)
    kind += kind >= side * side // 2
    return np.stack(np.divmod(kind, side), axis=-1) - speed


def paths(
    start: NDArray[np.int64], velocity: NDArray[np.int64], room: NDArray[np.int64], frames: int
) -> NDArray[np.int64]:
    """Returns where the upper left corners are, (frames, *start.shape): a digit that would leave 0 to room
    stops at the wall in that frame and goes back from the next."""
    place, velocity, places = start, velocity.copy(), []
    for _ in range(frames):
        places.append(place)
        beyond = place + velocity
        place = beyond.clip(0, room)
        velocity = np.where(beyond == place, velocity, -velocity)
    return np.stack(places)


def entropy(clips: Tensor) -> Tensor:
    """Returns the nats of each frame whose pixels are drawn black or white by their grey, (B, T, ...) to
    (B, T)."""
    nats: Tensor = torch.special.entr(clips) + torch.special.entr(1 - clips)
    return nats.flatten(2).sum(dim=2)
