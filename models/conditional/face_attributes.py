"""`face_attributes`: what a face shows, in words: a convolutional network that tells the colour of hair,
the colour of eyes and the length of hair (LeCun et al. 1998 for the network, Caruana 1997 for several answers
of one).

It judges faces that are drawn as they are described (`text_to_face`). Pictures that train are moved by a
pixel and covered with some noise, so that it does not go by what only the drawings of a program have.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.conditional.descriptions import Descriptions
from wordspot.models.datasets.faces import EYES, HAIR
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.encoders.classifier import moved
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

SHIFT = 1  # pixels by which training pictures are moved, at most
NOISE = 0.05  # standard deviation, at most


@dataclass(frozen=True)
class FaceAttributesConfig:
    """hair, eyes: the words for colours. widths: channels of the layers, each of which halves the picture."""

    height: int = 48
    width: int = 48
    channels: int = 3
    hair: tuple[str, ...] = tuple(HAIR)
    eyes: tuple[str, ...] = tuple(EYES)
    widths: tuple[int, ...] = (16, 32, 64)
    hidden: int = 48


@register("face_attributes")
class FaceAttributes(Model[FaceAttributesConfig]):
    Config = FaceAttributesConfig
    modality = "picture"

    def __init__(self, config: FaceAttributesConfig) -> None:
        super().__init__(config)
        self.known = Descriptions(config.hair, config.eyes)
        scale = 2 ** len(config.widths)
        pixels = (config.height // scale) * (config.width // scale)
        self.layers = nn.Sequential(
            *(
                layer
                for size, next_size in itertools.pairwise((config.channels, *config.widths))
                for layer in (
                    nn.Conv2d(size, next_size, 3, padding=1),
                    nn.BatchNorm2d(next_size),
                    nn.ReLU(),
                    nn.MaxPool2d(2),
                )
            ),
            nn.Flatten(),
            nn.Linear(config.widths[-1] * pixels, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, sum(self.known.sizes)),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """Probabilities (B, phrases) in the order of `Descriptions`; those of a trait add up to one."""
        parts = torch.split(self.layers(2 * pictures - 1), list(self.known.sizes), dim=1)
        return torch.cat([part.softmax(dim=1) for part in parts], dim=1)

    def described(self, pictures: Tensor) -> Tensor:
        """What is likeliest, int64 (B, traits)."""
        parts = torch.split(self.encode(pictures), list(self.known.sizes), dim=1)
        return torch.stack([part.argmax(dim=1) for part in parts], dim=1)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        pictures = batch.pictures
        if self.training:
            level = NOISE * torch.rand((len(pictures), 1, 1, 1), generator=rng, device=pictures.device)
            noise = torch.randn(pictures.shape, generator=rng, device=pictures.device)
            # What enters is white, as the ground.
            pictures = (1 - moved(1 - pictures, SHIFT, rng) + level * noise).clamp(0, 1)
        wanted = self.known.of_labels(batch.labels)
        parts = torch.split(self.layers(2 * pictures - 1), list(self.known.sizes), dim=1)
        nats = [cross_entropy(part, right) for part, right in zip(parts, wanted.T, strict=True)]
        found = torch.stack([part.argmax(dim=1) for part in parts], dim=1)
        right = float((found == wanted).float().mean())
        return Loss(torch.stack(nats).sum(), {"right": right})


recipe(
    PictureRecipe(
        name="face-attributes",
        model="face_attributes",
        config=FaceAttributesConfig(),
        pictures="faces",
        batch_size=64,
        plan=Plan(steps=2_500, learning_rate=2e-3, validate_every=250, average=0.99),
        description="Tells the colours of a drawn face's hair and eyes and the length of its hair.",
        supervision="what each training picture shows, in words",
        thresholds={"hair_read": 0.97, "eyes_read": 0.95, "length_read": 0.97},
        source="LeCun et al. 1998, Gradient-based learning applied to document recognition; Caruana 1997, "
        "Multitask learning",
    )
)
