"""Batches of pictures for the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from wordspot.models.datasets.pictures import Pictures, as_floats


@dataclass(frozen=True)
class PictureBatch:
    """Pictures with labels.

    Attributes:
        pictures: float32 (B, C, H, W), 0 to 1.
        labels: int64 (B,), -1 where there is none.
    """

    pictures: Tensor
    labels: Tensor

    def to(self, device: str) -> PictureBatch:
        """Returns the batch on a device."""
        return PictureBatch(self.pictures.to(device), self.labels.to(device))


class PictureData:
    """Every epoch shows every picture once, in an order of its own; the rest of an epoch is left out."""

    def __init__(self, train: Pictures, validation: Pictures, batch_size: int, seed: int) -> None:
        """Raises ValueError if there are fewer pictures than a batch takes."""
        if len(train) < batch_size:
            raise ValueError(f"{len(train)} pictures; a batch takes {batch_size}")
        self._train, self._validation = train, validation
        self._size, self._seed = batch_size, seed
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def batch(self, step: int) -> PictureBatch:
        """Returns the batch of a step; every epoch has an order of its own."""
        epoch, place = divmod(step, len(self._train) // self._size)
        rows = self._order(epoch)[place * self._size : (place + 1) * self._size]
        return _batch(self._train, rows)

    def validation(self) -> Sequence[PictureBatch]:
        """Returns all pictures of the validation part, 1,000 a batch."""
        rows = np.arange(len(self._validation))
        return [_batch(self._validation, rows[i : i + 1_000]) for i in range(0, len(rows), 1_000)]

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, epoch)).permutation(len(self._train))


def _batch(pictures: Pictures, rows: np.ndarray) -> PictureBatch:
    return PictureBatch(
        as_floats(torch.from_numpy(pictures.pixels[rows])), torch.from_numpy(pictures.labels[rows])
    )
