"""`pixel_cnn`: pictures in black and white, pixel after pixel, by gated masked convolutions (van den Oord et
al., Conditional image generation with PixelCNN decoders, 2016).

As with `pixel_rnn` p(x) = prod_i p(x_i | x_1, ..., x_i-1), but what a pixel goes by is seen at once instead
of remembered: all pixels of a picture train together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.masked import MaskedStack, pointwise
from wordspot.models.generators.pixel_by_pixel import PixelByPixel
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan


@dataclass(frozen=True)
class PixelCnnConfig:
    """layers, channels, kernel: of the masked stack."""

    height: int = 28
    width: int = 28
    channels: int = 1
    layers: int = 7
    features: int = 32
    kernel: int = 5


@register("pixel_cnn")
class PixelCnn(PixelByPixel[PixelCnnConfig]):
    """Grey is taken as the chance of white, drawn afresh in training and judging (dynamic binarisation)."""

    Config = PixelCnnConfig

    def __init__(self, config: PixelCnnConfig) -> None:
        super().__init__(config)
        self.stack = MaskedStack(config.channels, config.features, config.layers, config.kernel)
        self.hidden = nn.Conv2d(config.features, 2 * config.features, 1)
        self.output = nn.Conv2d(2 * config.features, config.channels, 1)

    def nll(self, pictures: Tensor, rng: Generator) -> Tensor:
        """Exact. pictures are drawn black or white here."""
        return self._nats(torch.bernoulli(pictures, generator=rng))

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Nats a picture."""
        value = self._nats(torch.bernoulli(batch.pictures, generator=rng)).mean()
        bits = float(value.detach()) / batch.pictures[0].numel() / math.log(2)
        return Loss(value, {"bits_a_pixel": bits})

    def logits(self, binary: Tensor) -> Tensor:
        """binary: 0 or 1, (B, C, H, W). Of white at each pixel, given those before it; as binary."""
        found: Tensor = self.output(self.hidden(self.stack(binary).relu()).relu())
        return found

    def drawn(self, pictures: Tensor, known: Tensor, rng: Generator, temperature: float) -> Tensor:
        """All drawn pixels are black or white, and known ones count as what they are nearer to."""
        made = (pictures >= 0.5).float()
        walk = self.stack.walk(len(made), self.config.width)
        for y in range(self.config.height):
            for x in range(self.config.width):
                hidden = pointwise(self.hidden, walk.features().relu()).relu()
                chances = (pointwise(self.output, hidden) / temperature).sigmoid()
                drawn = torch.bernoulli(chances, generator=rng)
                made[:, :, y, x] = torch.where(known[:, :, y, x], made[:, :, y, x], drawn)
                walk.put(made[:, :, y, x])
        return made

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
            average=0.999,
        ),
        description="Draws handwritten digits pixel after pixel, and completes covered ones.",
        thresholds={"nats": 86.0},
        scale="7 layers of 32 channels; the paper's has 15 of 128, on colour pictures of 32x32",
        source="van den Oord et al. 2016, Conditional image generation with PixelCNN decoders",
    )
)
