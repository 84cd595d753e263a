"""Networks as functions from a picture to what it shows, learned from example pairs.

Most 28x28 vectors are not digits. So that a network can say so it has one output more than there are classes,
learned from what is made here out of each batch: its own pictures with their pixels shuffled, and noise.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.model import Loss, Model

SHIFT = 2  # pixels by which training pictures are moved, at most
OTHERS = 4  # a quarter as many made pictures as real ones


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of pictures and answers.

    Attributes:
        height: Of a picture.
        width: Of a picture.
        channels: Of a picture.
        classes: Without "none of these".
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    classes: int = 10


def convolutional_features(
    channels: int, height: int, width: int, widths: Sequence[int], hidden: int
) -> list[nn.Module]:
    """Returns layers that make features (B, hidden) of pictures (B, channels, height, width).

    Args:
        channels: of pictures.
        height: of pictures.
        width: of pictures.
        widths: channels of the convolutions, each of which halves the picture.
        hidden: number of features.
    """
    scale = 2 ** len(widths)
    pixels = (height // scale) * (width // scale)
    return [
        *(
            layer
            for size, next_size in itertools.pairwise((channels, *widths))
            for layer in (
                nn.Conv2d(size, next_size, 3, padding=1),
                nn.BatchNorm2d(next_size),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
        ),
        nn.Flatten(),
        nn.Linear(widths[-1] * pixels, hidden),
        nn.ReLU(),
    ]


ClassifierConfigT = TypeVar("ClassifierConfigT", bound=ClassifierConfig)


class Classifier(Model[ClassifierConfigT]):
    """Subclasses say how a picture becomes features; the last layer is the same for all."""

    modality = "picture"

    def __init__(self, config: ClassifierConfigT, features: int) -> None:
        super().__init__(config)
        self.output = nn.Linear(features, config.classes + 1)

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """Returns features (B, features) of pictures (B, C, H, W), 0 to 1."""

    def classify(self, pictures: Tensor) -> Tensor:
        """Returns probabilities (B, classes + 1); the last is that it is none of these."""
        chances: Tensor = self.output(self.features(pictures)).softmax(dim=1)
        return chances

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the features (B, size) of pictures (B, C, H, W)."""
        return self.features(pictures)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        pictures = batch.pictures
        if self.training:
            pictures = moved(pictures, SHIFT, rng)
        others = not_pictures(pictures[: -(-len(pictures) // OTHERS)], rng)
        none = torch.full((len(others),), self.config.classes, device=others.device)
        scores = self.output(self.features(torch.cat([pictures, others])))
        value = cross_entropy(scores, torch.cat([batch.labels, none]))
        correct = scores[: len(pictures)].argmax(dim=1) == batch.labels
        return Loss(value, {"accuracy": float(correct.float().mean())})


def moved(pictures: Tensor, most: int, rng: Generator) -> Tensor:
    """Returns each picture (B, C, H, W) moved by up to so many pixels down and right; what enters is
    black."""
    count, _, height, width = pictures.shape
    padded = nn.functional.pad(pictures, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1, 1), generator=rng, device=pictures.device)
    rows = down + torch.arange(height, device=pictures.device)[None, :, None]
    columns = right + torch.arange(width, device=pictures.device)[None, None, :]
    which = torch.arange(count, device=pictures.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2)


def not_pictures(pictures: Tensor, rng: Generator) -> Tensor:
    """As many that show nothing: every other one with its pixels shuffled, the rest noise of a level each."""
    count = len(pictures)
    flat = pictures.reshape(count, -1)
    order = torch.rand(flat.shape, generator=rng, device=flat.device).argsort(dim=1)
    shuffled = flat.gather(1, order)
    level = torch.rand((count, 1), generator=rng, device=flat.device)
    noise = level * torch.rand(flat.shape, generator=rng, device=flat.device)
    even = (torch.arange(count, device=flat.device) % 2 == 0)[:, None]
    return torch.where(even, shuffled, noise).reshape(pictures.shape)
