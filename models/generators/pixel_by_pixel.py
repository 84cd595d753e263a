"""What models share that draw one pixel after the other, in raster order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Generator, Tensor

from wordspot.models.model import Model

ConfigT = TypeVar("ConfigT")


class PixelByPixel(Model[ConfigT]):
    """The configuration has height, width and channels."""

    modality = "picture"
    options = frozenset({"temperature"})

    @abstractmethod
    def drawn(self, pictures: Tensor, known: Tensor, rng: Generator, temperature: float) -> Tensor:
        """pictures (B, C, H, W), known bool (B, 1, H, W): as pictures, what is not known drawn anew, each
        pixel given all before it."""

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        config: object = self.config
        shape = [getattr(config, name) for name in ("channels", "height", "width")]
        nothing = torch.zeros((count, *shape), device=next(self.parameters()).device)
        known = torch.zeros_like(nothing[:, :1], dtype=torch.bool)
        return self.drawn(nothing, known, rng, temperature)

    def complete(
        self, pictures: Tensor, known: Tensor, rng: Generator, *, temperature: float = 1.0
    ) -> Tensor:
        """What is known stays; what is drawn goes by what stands before it, not by what follows."""
        known = known.expand(len(pictures), 1, -1, -1)
        return torch.where(known, pictures, self.drawn(pictures, known, rng, temperature))

    def generate(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Iterator[Tensor]:
        """Picture after picture."""
        for _ in range(count):
            yield self.sample(1, rng, temperature=temperature)[0]
