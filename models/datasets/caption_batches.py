"""Batches of pictures or clips with their captions, for the trainer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from wordspot.models.datasets.captioned import Captions
from wordspot.models.vocabulary import END, LANGUAGES, Vocabulary, padded

TOGETHER = 250  # of those that validate


@dataclass(frozen=True)
class CaptionBatch:
    """Examples with their captions.

    Attributes:
        examples: float32 (B, C, H, W) or (B, T, C, H, W), 0 to 1.
        targets: int64 (B, L), rows of a vocabulary with END, PAD behind the shorter ones.
    """

    examples: Tensor
    targets: Tensor

    def to(self, device: str) -> CaptionBatch:
        """Returns the batch on a device."""
        return CaptionBatch(self.examples.to(device), self.targets.to(device))


@dataclass(frozen=True)
class ExampleMotion:
    """Random augmentation of training examples, the same for all frames of a clip.

    Attributes:
        ground: What comes in from beyond the edge, 0 to 1.
        shift: Pixels along an axis at most.
        turn: Degrees at most.
        zoom: Largest change of size, of 1.
        mirrored: Whether half of the examples are mirrored left for right.
    """

    ground: float
    shift: float = 4.0
    turn: float = 8.0
    zoom: float = 0.15
    mirrored: bool = False

    def __call__(self, examples: Tensor, rng: Generator) -> Tensor:
        count, (height, width) = len(examples), examples.shape[-2:]
        across, down, turn, zoom = (2 * torch.rand(4, count, generator=rng) - 1).unbind()
        angle = turn * math.radians(self.turn)
        scale = (zoom * math.log1p(self.zoom)).exp()
        sides = torch.ones(count)
        if self.mirrored:
            sides -= 2 * (torch.rand(count, generator=rng) < 1 / 2).float()
        moves = torch.stack([across * 2 * self.shift / width, down * 2 * self.shift / height], dim=1)
        turns = torch.stack([angle.cos() * sides, -angle.sin(), angle.sin() * sides, angle.cos()], dim=1)
        maps = torch.cat([(scale[:, None] * turns).reshape(count, 2, 2), moves[:, :, None]], dim=2)
        planes = examples.reshape(count, -1, height, width) - self.ground
        grid = affine_grid(maps, list(planes.shape), align_corners=False)
        return (grid_sample(planes, grid, align_corners=False) + self.ground).reshape(examples.shape)


class CaptionData:
    """Every epoch shows every example once, in an order of its own and moved; the rest of an epoch is left
    out. What is said with tokens that the vocabulary lacks is left out, in validation too."""

    def __init__(
        self,
        train: Captions,
        validation: Captions,
        vocabulary: Vocabulary,
        batch_size: int,
        seed: int,
        motion: ExampleMotion,
    ) -> None:
        """Raises ValueError if fewer are left than a batch takes."""
        self.vocabulary = vocabulary
        self.train, self._validation = (in_vocabulary(split, vocabulary) for split in (train, validation))
        if len(self.train) < batch_size:
            raise ValueError(f"{len(self.train)} captions; a batch takes {batch_size}")
        self._size, self._seed, self._motion = batch_size, seed, motion
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def batch(self, step: int) -> CaptionBatch:
        """Returns the batch of a step; every epoch has an order of its own."""
        epoch, place = divmod(step, len(self.train) // self._size)
        rows = self._order(epoch)[place * self._size : (place + 1) * self._size]
        batch = self._batch(self.train, rows.tolist())
        rng = torch.Generator().manual_seed(self._seed * 2**32 + step)
        return CaptionBatch(self._motion(batch.examples, rng), batch.targets)

    def validation(self) -> Sequence[CaptionBatch]:
        """Returns all examples of the validation part, without motion."""
        rows = list(range(len(self._validation)))
        return [self._batch(self._validation, rows[n : n + TOGETHER]) for n in range(0, len(rows), TOGETHER)]

    def counts(self) -> list[int]:
        """Returns how often each row is a target in an epoch."""
        counter = Counter(row for text in self.train.texts for row in self._rows(text))
        return [counter[row] for row in range(len(self.vocabulary))]

    def _batch(self, captions: Captions, rows: Sequence[int]) -> CaptionBatch:
        chosen = captions.part(rows)
        return CaptionBatch(chosen.tensor(), padded([self._rows(text) for text in chosen.texts]))

    def _rows(self, text: str) -> list[int]:
        return [*self.vocabulary.rows(self.vocabulary.split(text)), END]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(len(self.train))


def vocabulary_of(captions: Captions, most: int, language: str) -> Vocabulary:
    """Returns the vocabulary of the most frequent tokens, at most so many rows."""
    split = LANGUAGES[language].split
    return Vocabulary.of(Counter(token for text in captions.texts for token in split(text)), most, language)


def in_vocabulary(captions: Captions, vocabulary: Vocabulary) -> Captions:
    """Returns the captions of which the vocabulary has every token."""
    return captions.part(
        [n for n, text in enumerate(captions.texts) if not vocabulary.own(vocabulary.split(text))]
    )
