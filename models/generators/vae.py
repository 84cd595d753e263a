"""`vae`: variational auto-encoder (Kingma and Welling, Auto-encoding variational Bayes, 2014).

A picture's pixels are probabilities of white, sampled anew whenever it is shown (dynamic binarisation). The
encoder gives mean and variance of a normal distribution of codes, the decoder the probability of each pixel:

    log p(x) >= E_q [log p(x | z)] - KL(q(z | x) || p(z))            (ELBO)
    log p(x) >= E [log 1/k sum_i p(x, z_i) / q(z_i | x)]             (importance-weighted; Burda et al. 2016)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.encoders.deep_autoencoder import stack
from wordspot.models.generators.interpolation import interpolate
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

VARIANCE_LIMIT = 8.0  # of its logarithm, in both directions
COMPLETIONS = 50  # rounds of encoding and decoding
MEAN_OF = 64  # samples, of which completion sets out from the mean


@dataclass(frozen=True)
class VaeConfig:
    """The shape of a VAE.

    Attributes:
        height, width, channels: of pictures.
        hidden: units of the encoder's layers; the decoder has them in reverse.
        code: numbers of a latent code.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    hidden: tuple[int, ...] = (500, 500)
    code: int = 50


@register("vae")
class Vae(Model[VaeConfig]):
    """An encoder and a decoder of dense layers."""

    Config = VaeConfig
    modality = "picture"

    def __init__(self, config: VaeConfig) -> None:
        super().__init__(config)
        pixels = config.channels * config.height * config.width
        self.encoder = stack((pixels, *config.hidden, 2 * config.code))
        self.decoder = stack((config.code, *config.hidden[::-1], pixels))

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the posterior mean of pictures, (B, code)."""
        return self._posterior(pictures.flatten(1))[0]

    def decode(self, code: Tensor) -> Tensor:
        """Returns pictures of codes (B, code): the probability of white, (B, C, H, W)."""
        config = self.config
        probabilities: Tensor = self.decoder(code).sigmoid()
        return probabilities.reshape(-1, config.channels, config.height, config.width)

    def reconstruct(self, pictures: Tensor) -> Tensor:
        """Returns the decoded posterior means of pictures, (B, C, H, W)."""
        return self.decode(self.encode(pictures))

    def codes(self, count: int, rng: Generator) -> Tensor:
        """Returns codes sampled from the prior, (count, code)."""
        device = next(self.parameters()).device
        return torch.randn((count, self.config.code), generator=rng, device=device)

    def sample(self, count: int, rng: Generator) -> Tensor:
        """Returns pictures of codes sampled from the prior, (count, C, H, W)."""
        return self.decode(self.codes(count, rng))

    def complete(self, pictures: Tensor, known_mask: Tensor, rng: Generator) -> Tensor:
        """Returns pictures whose unknown pixels are sampled by encoding and decoding in turn, with the known
        pixels restored each time (Rezende et al. 2014, appendix F).

        Args:
            pictures: float (B, C, H, W), 0 to 1.
            known_mask: bool, broadcast to the pictures.
            rng: of the codes.
        """
        # Unknown pixels start as the mean of samples, so that the first codes are likely under the prior.
        filled = torch.where(known_mask, pictures, self.sample(MEAN_OF, rng).mean(dim=0, keepdim=True))
        for _ in range(COMPLETIONS):
            check_cancelled()
            mean, log_variance = self._posterior(filled.flatten(1))
            noise = torch.randn(mean.shape, generator=rng, device=mean.device)
            filled = torch.where(known_mask, pictures, self.decode(mean + (log_variance / 2).exp() * noise))
        return filled

    def generate(self, count: int, rng: Generator) -> Iterator[Tensor]:
        """Yields pictures (C, H, W) of an interpolation through random codes."""
        return interpolate(self.decode, self.codes, count, rng)

    def nll(self, pictures: Tensor, rng: Generator, samples: int = 500) -> Tensor:
        """Returns the importance-weighted bound of so many codes for binarised pictures, nats (B,)."""
        flat = torch.bernoulli(pictures.flatten(1), generator=rng)
        mean, log_variance = self._posterior(flat)
        weights = []
        for first in range(0, samples, 50):
            check_cancelled()
            count = min(50, samples - first)
            noise = torch.randn((count, *mean.shape), generator=rng, device=mean.device)
            code = mean + (log_variance / 2).exp() * noise  # (count, B, code)
            prior = -(code.square()).sum(dim=2) / 2
            posterior = -(noise.square() + log_variance).sum(dim=2) / 2
            weights.append(prior - posterior - self._pixel_nats(code, flat))
        bound: Tensor = torch.cat(weights).logsumexp(dim=0) - math.log(samples)
        return -bound

    def elbo(self, pictures: Tensor, rng: Generator) -> Tensor:
        """Returns the negative ELBO with one code a picture, nats (B,); `nll` is tighter."""
        return self.nll(pictures, rng, samples=1)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the negative ELBO with one code a picture, the KL divergence in closed form."""
        flat = torch.bernoulli(batch.pictures.flatten(1), generator=rng)
        mean, log_variance = self._posterior(flat)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        pixels = self._pixel_nats(mean + (log_variance / 2).exp() * noise, flat).mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
        return Loss(
            pixels + divergence, {"pixels": float(pixels.detach()), "divergence": float(divergence.detach())}
        )

    def _posterior(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log-variance of the posterior, (B, code) each."""
        mean, log_variance = self.encoder(flat).chunk(2, dim=1)
        return mean, log_variance.clamp(-VARIANCE_LIMIT, VARIANCE_LIMIT)

    def _pixel_nats(self, code: Tensor, flat: Tensor) -> Tensor:
        """Returns -log p(x | z), nats (..., B)."""
        logits = self.decoder(code)
        return binary_cross_entropy_with_logits(logits, flat.expand_as(logits), reduction="none").sum(dim=-1)


recipe(
    PictureRecipe(
        name="digits-vae",
        model="vae",
        config=VaeConfig(),
        pictures="digits",
        batch_size=128,
        plan=Plan(
            steps=24_000,
            learning_rate=1e-3,
            validate_every=2_000,
            weight_decay=0.0,
            clip_norm=100.0,
            ema_decay=0.999,
        ),
        description="Draws handwritten digits from random codes.",
        thresholds={"nats": 90.0, "read_as_digit": 0.5},
        source="Kingma and Welling 2014, Auto-encoding variational Bayes",
    )
)
