"""`vae_gan`: a variational auto-encoder with a discriminator (Larsen et al., Autoencoding beyond pixels using
a learned similarity metric, 2016).

The reconstruction error is measured in the discriminator's features instead of in pixels (the paper's
equation 7), and both reconstructions and samples of random codes have to deceive the discriminator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.generators.networks import Features
from wordspot.models.generators.objectives import Scored
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

VARIANCE_LIMIT = 8.0  # of its logarithm, in both directions


@dataclass(frozen=True)
class VaeGanConfig(GanConfig):
    """The shape of a VAE-GAN.

    Attributes:
        likeness: weight of the reconstruction error in features.
        divergence: weight of the KL divergence of the posterior from the prior.
    """

    code: int = 50
    likeness: float = 50.0
    divergence: float = 0.02


@register("vae_gan")
class VaeGan(Adversarial[VaeGanConfig]):
    """A GAN with an encoder, whose convolutions stored artifacts call `seen`."""

    Config = VaeGanConfig

    def __init__(self, config: VaeGanConfig) -> None:
        super().__init__(config)
        self.seen = Features(config)
        self.posterior = nn.Linear(self.seen.size, 2 * config.code)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        encoder = [*self.seen.parameters(), *self.posterior.parameters()]
        return {**players, "generator": [*players["generator"], *encoder]}

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the posterior mean of pictures, (B, code)."""
        return self._posterior(pictures)[0]

    def reconstruct(self, pictures: Tensor) -> Tensor:
        """Returns the decoded posterior means of pictures, (B, C, H, W)."""
        return self.decode(self.encode(pictures))

    def generator_regulariser(
        self, batch: PictureBatch, codes: Tensor, generated: Tensor, rng: Generator
    ) -> Tensor:
        mean, log_variance = self._posterior(batch.pictures)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        reconstructed = self.decode(mean + (log_variance / 2).exp() * noise)
        with torch.no_grad():
            target = self.discriminator.features(batch.pictures)
        feature_error = (self.discriminator.features(reconstructed) - target).square().mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
        adversarial = self.objective.generator(Scored(reconstructed, self.discriminator(reconstructed)))
        regulariser: Tensor = (
            adversarial + self.config.likeness * feature_error + self.config.divergence * divergence
        )
        return regulariser

    def _posterior(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log-variance of the posterior, (B, code) each."""
        mean, log_variance = self.posterior(self.seen(pictures)).chunk(2, dim=1)
        return mean, log_variance.clamp(-VARIANCE_LIMIT, VARIANCE_LIMIT)


recipe(
    PictureRecipe(
        name="digits-vae-gan",
        model="vae_gan",
        config=VaeGanConfig(base=16),
        pictures="digits",
        batch_size=64,
        plan=replace(PLAN, steps=3_000, validate_every=300),
        description="Finds the code of a digit and draws it sharply again.",
        thresholds={"frechet_of_vae": 1.0, "coverage": 0.6, "sharpness_of_vae": 1.0},
        source="Larsen et al. 2016, Autoencoding beyond pixels using a learned similarity metric",
    )
)
