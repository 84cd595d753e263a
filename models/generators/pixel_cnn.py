"""`pixel_cnn`: pictures in black and white, pixel after pixel, by gated masked convolutions (van den Oord et
al., Conditional image generation with PixelCNN decoders, 2016).

As with `pixel_rnn` p(x) = prod_i p(x_i | x_1, ..., x_i-1), but with convolutions instead of a recurrent
state: all pixels of a picture train at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.masked import MaskedStack, pointwise
from wordspot.models.generators.pixel_autoregressive import AutoregressivePictureModel
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan


@dataclass(frozen=True)
class PixelCnnConfig:
    """The shape of a PixelCNN.

    Attributes:
        height, width, channels: of pictures.
        layers, features, kernel: of the masked stack.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    layers: int = 7
    features: int = 32
    kernel: int = 5


@register("pixel_cnn")
class PixelCnn(AutoregressivePictureModel[PixelCnnConfig]):
    """A PixelCNN of binary pictures; grey is the probability of white, sampled anew in training and judging
    (dynamic binarisation)."""

    Config = PixelCnnConfig

    def __init__(self, config: PixelCnnConfig) -> None:
        super().__init__(config)
        self.stack = MaskedStack(config.channels, config.features, config.layers, config.kernel)
        self.hidden = nn.Conv2d(config.features, 2 * config.features, 1)
        self.output = nn.Conv2d(2 * config.features, config.channels, 1)

    def nll(self, pictures: Tensor, rng: Generator) -> Tensor:
        """Returns the exact negative log-likelihood of binarised pictures, nats (B,)."""
        return self._nats(torch.bernoulli(pictures, generator=rng))

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns nats a picture; figures: bits a pixel."""
        value = self._nats(torch.bernoulli(batch.pictures, generator=rng)).mean()
        bits = float(value.detach()) / batch.pictures[0].numel() / math.log(2)
        return Loss(value, {"bits_a_pixel": bits})

    def logits(self, binary: Tensor) -> Tensor:
        """Returns logits of white at each pixel given those before it, (B, C, H, W).

        binary: float (B, C, H, W), 0 or 1.
        """
        logits: Tensor = self.output(self.hidden(self.stack(binary).relu()).relu())
        return logits

    def fill(self, pictures: Tensor, known_mask: Tensor, rng: Generator, temperature: float) -> Tensor:
        """Returns as the base; sampled pixels are 0 or 1, and known ones are rounded."""
        filled = (pictures >= 0.5).float()
        raster = self.stack.raster_pass(len(filled), self.config.width)
        for y in range(self.config.height):
            for x in range(self.config.width):
                check_cancelled()
                hidden = pointwise(self.hidden, raster.features().relu()).relu()
                probabilities = (pointwise(self.output, hidden) / temperature).sigmoid()
                generated = torch.bernoulli(probabilities, generator=rng)
                filled[:, :, y, x] = torch.where(known_mask[:, :, y, x], filled[:, :, y, x], generated)
                raster.append_pixel(filled[:, :, y, x])
        return filled

    def _nats(self, binary: Tensor) -> Tensor:
        logits = self.logits(binary)
        return binary_cross_entropy_with_logits(logits, binary, reduction="none").flatten(1).sum(dim=1)


recipe(
    PictureRecipe(
        name="digits-pixel-cnn",
        model="pixel_cnn",
        config=PixelCnnConfig(),
        pictures="digits",
        batch_size=32,
        plan=Plan(
            steps=9_000,
            learning_rate=2e-3,
            validate_every=900,
            weight_decay=0.0,
            clip_norm=30.0,
            ema_decay=0.999,
        ),
        description="Draws handwritten digits pixel after pixel, and completes covered ones.",
        thresholds={"nats": 86.0},
        scale="7 layers of 32 channels; the paper's has 15 of 128, on colour pictures of 32x32",
        source="van den Oord et al. 2016, Conditional image generation with PixelCNN decoders",
    )
)
