"""Base of the models that generate pictures pixel by pixel, in raster order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Generator, Tensor

from wordspot.models.model import Model

ConfigT = TypeVar("ConfigT")


class AutoregressivePictureModel(Model[ConfigT]):
    """An autoregressive model of pictures; its configuration has height, width and channels."""

    modality = "picture"
    options = frozenset({"temperature"})

    @abstractmethod
    def fill(self, pictures: Tensor, known_mask: Tensor, rng: Generator, temperature: float) -> Tensor:
        """Returns pictures whose unknown pixels are sampled, each given all before it.

        Args:
            pictures: float (B, C, H, W), 0 to 1.
            known_mask: bool (B, 1, H, W), which pixels stay.
            rng: of sampling.
            temperature: above 0, divides the logits.

        Returns:
            float (B, C, H, W); known pixels may be rounded to values that the model has.
        """

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        """Returns sampled pictures, (count, C, H, W), 0 to 1."""
        config: object = self.config
        shape = [getattr(config, name) for name in ("channels", "height", "width")]
        empty = torch.zeros((count, *shape), device=next(self.parameters()).device)
        known_mask = torch.zeros_like(empty[:, :1], dtype=torch.bool)
        return self.fill(empty, known_mask, rng, temperature)

    def complete(
        self, pictures: Tensor, known_mask: Tensor, rng: Generator, *, temperature: float = 1.0
    ) -> Tensor:
        """Returns pictures whose unknown pixels are sampled given those before them; as `fill`, known pixels
        stay as they are."""
        known_mask = known_mask.expand(len(pictures), 1, -1, -1)
        return torch.where(known_mask, pictures, self.fill(pictures, known_mask, rng, temperature))

    def generate(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Iterator[Tensor]:
        """Yields sampled pictures, (C, H, W) each."""
        for _ in range(count):
            yield self.sample(1, rng, temperature=temperature)[0]
