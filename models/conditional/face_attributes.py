"""`face_attributes`: a convolutional classifier of the colour of hair, the colour of eyes and the length of
hair (LeCun et al. 1998 for the network, Caruana 1997 for multitask learning).

It judges faces that are generated from descriptions (`text_to_face`). Training pictures are shifted by a
pixel and get noise, so that it does not rely on artefacts of rendering.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.conditional.descriptions import Descriptions
from wordspot.models.datasets.faces import EYES, HAIR
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.encoders.classifier import convolutional_features, moved
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

SHIFT_PIXELS = 1  # of training pictures, at most
NOISE = 0.05  # standard deviation, at most


@dataclass(frozen=True)
class FaceAttributesConfig:
    """The shape of a classifier of faces.

    Attributes:
        height, width, channels: of pictures.
        hair, eyes: the words for colours.
        widths: channels of the layers, each of which halves the picture.
        hidden: units of the last hidden layer.
    """

    height: int = 48
    width: int = 48
    channels: int = 3
    hair: tuple[str, ...] = tuple(HAIR)
    eyes: tuple[str, ...] = tuple(EYES)
    widths: tuple[int, ...] = (16, 32, 64)
    hidden: int = 48


@register("face_attributes")
class FaceAttributes(Model[FaceAttributesConfig]):
    """A convolutional classifier with one softmax a trait."""

    Config = FaceAttributesConfig
    modality = "picture"

    def __init__(self, config: FaceAttributesConfig) -> None:
        super().__init__(config)
        self.descriptions = Descriptions(config.hair, config.eyes)
        self.layers = nn.Sequential(
            *convolutional_features(
                config.channels, config.height, config.width, config.widths, config.hidden
            ),
            nn.Linear(config.hidden, sum(self.descriptions.sizes)),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns probabilities (B, phrases) in the order of `Descriptions`; those of a trait add up to 1."""
        parts = torch.split(self.layers(2 * pictures - 1), list(self.descriptions.sizes), dim=1)
        return torch.cat([part.softmax(dim=1) for part in parts], dim=1)

    def predict_traits(self, pictures: Tensor) -> Tensor:
        """Returns the likeliest description of pictures, int64 (B, traits)."""
        parts = torch.split(self.encode(pictures), list(self.descriptions.sizes), dim=1)
        return torch.stack([part.argmax(dim=1) for part in parts], dim=1)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the cross-entropy summed over traits, nats a picture; figures: accuracy."""
        pictures = batch.pictures
        if self.training:
            level = NOISE * torch.rand((len(pictures), 1, 1, 1), generator=rng, device=pictures.device)
            noise = torch.randn(pictures.shape, generator=rng, device=pictures.device)
            # Inverted, so that pixels from beyond the edge are white.
            pictures = (1 - moved(1 - pictures, SHIFT_PIXELS, rng) + level * noise).clamp(0, 1)
        targets = self.descriptions.of_labels(batch.labels)
        parts = torch.split(self.layers(2 * pictures - 1), list(self.descriptions.sizes), dim=1)
        nats = [cross_entropy(part, target) for part, target in zip(parts, targets.T, strict=True)]
        predicted = torch.stack([part.argmax(dim=1) for part in parts], dim=1)
        accuracy = float((predicted == targets).float().mean())
        return Loss(torch.stack(nats).sum(), {"accuracy": accuracy})


recipe(
    PictureRecipe(
        name="face-attributes",
        model="face_attributes",
        config=FaceAttributesConfig(),
        pictures="faces",
        batch_size=64,
        plan=Plan(steps=2_500, learning_rate=2e-3, validate_every=250, ema_decay=0.99),
        description="Tells the colours of a drawn face's hair and eyes and the length of its hair.",
        supervision="what each training picture shows, in words",
        thresholds={"hair_read": 0.97, "eyes_read": 0.95, "length_read": 0.97},
        source="LeCun et al. 1998, Gradient-based learning applied to document recognition; Caruana 1997, "
        "Multitask learning",
    )
)
