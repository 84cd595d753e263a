"""`deep-autoencoder`: 784-1000-500-250-30 and back (Hinton and Salakhutdinov, Science 313, 2006).

Squared error on pixels; the code is linear, the other layers are ReLU. The paper found the weights to begin
with by restricted Boltzmann machines, one layer after the other; with today's activations and Adam that is
not needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan


@dataclass(frozen=True)
class DeepAutoencoderConfig:
    """The shape of the network.

    Attributes:
        height: Of a picture.
        width: Of a picture.
        channels: Of a picture.
        hidden: Sizes of the layers from the picture to the code; the decoder mirrors them.
        code: Size of the code.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    hidden: tuple[int, ...] = (1_000, 500, 250)
    code: int = 30


@register("deep_autoencoder")
class DeepAutoencoder(Model[DeepAutoencoderConfig]):
    """mean, deviation: of the codes of validation pictures, (code,); random codes are drawn with them."""

    Config = DeepAutoencoderConfig
    modality = "picture"

    def __init__(self, config: DeepAutoencoderConfig) -> None:
        super().__init__(config)
        sizes = (config.channels * config.height * config.width, *config.hidden, config.code)
        self.encoder = stack(sizes)
        self.decoder = stack(sizes[::-1])
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(config.code))
        self.register_buffer("deviation", torch.ones(config.code))

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the codes (B, code) of pictures (B, C, H, W)."""
        code: Tensor = self.encoder(pictures.flatten(1))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Returns pictures (B, C, H, W), 0 to 1, of codes (B, code)."""
        config = self.config
        return self._pixels(code).clamp(0, 1).reshape(-1, config.channels, config.height, config.width)

    def reconstruct(self, pictures: Tensor) -> Tensor:
        """Returns pictures (B, C, H, W) after encoding and decoding."""
        return self.decode(self.encode(pictures))

    def sample(self, count: int, rng: Generator) -> Tensor:
        """Returns what the decoder makes of random codes; nothing taught it to make pictures of them."""
        noise = torch.randn((count, self.config.code), generator=rng, device=self.mean.device)
        return self.decode(self.mean + self.deviation * noise)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the squared error of a picture, summed over its pixels."""
        pixels = batch.pictures.flatten(1)
        value = (self._pixels(self.encoder(pixels)) - pixels).square().sum(dim=1).mean()
        return Loss(value, {})

    @torch.inference_mode()
    def fit_statistics(self, batches: Iterable[PictureBatch]) -> None:
        codes = torch.cat([self.encode(batch.pictures) for batch in batches])
        self.mean.copy_(codes.mean(dim=0))
        self.deviation.copy_(codes.std(dim=0))

    def _pixels(self, code: Tensor) -> Tensor:
        pixels: Tensor = self.decoder(code)
        return pixels


def stack(sizes: tuple[int, ...]) -> nn.Sequential:
    """Returns linear layers of these sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for size, next_size in itertools.pairwise(sizes):
        layers += [nn.Linear(size, next_size), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


for _code, _steps in ((30, 13_000), (32, 13_000), (2, 40_000)):
    recipe(
        PictureRecipe(
            name=f"deep-autoencoder-{_code}",
            model="deep_autoencoder",
            config=DeepAutoencoderConfig(code=_code),
            pictures="digits",
            batch_size=128,
            plan=Plan(steps=_steps, learning_rate=1e-3, validate_every=500, weight_decay=0.0),
            description=f"A handwritten digit as {_code} numbers, and back.",
            thresholds={"squared_error_of_pca": 0.5} if _code >= 30 else {},
            source="Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks",
        )
    )
