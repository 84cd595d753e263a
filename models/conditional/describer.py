"""`Describer`: what says in words what is shown, and where it looks meanwhile.

An encoder turns a picture or a clip into a memory of places, each a vector of numbers; a `Writer` tells of it
token by token and looks, for each, at the places anew (Xu et al. 2015, Show, attend and tell).
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from wordspot.models.conditional.writer import Manner, Writer
from wordspot.models.datasets import captioned
from wordspot.models.datasets.caption_batches import CaptionBatch, CaptionData, Motion, vocabulary_of
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model, TrainingData
from wordspot.models.recipe import Material, TrainedRecipe

BEAMS = 4
THRESHOLDS = {"cider_over_nearest": 1.0, "shuffled_loss": 0.3}


@dataclass(frozen=True)
class DescriberConfig:
    """ground: the grey behind what does not fill the picture, 0 to 255. words: rows of the vocabulary, the
    four special ones among them. letters: bytes that its tokens may take. dimension: of a token's vector.
    hidden: of the writer's state. dropout: share of what goes into and comes out of the writer, and of what
    is seen, that is left out in training. longest: tokens of a description."""

    channels: int = 3
    height: int = 48
    width: int = 48
    ground: int = 255
    words: int = 1_000
    letters: int = 10_000
    dimension: int = 64
    hidden: int = 128
    dropout: float = 0.4
    longest: int = 20
    language: str = "en"


ConfigT = TypeVar("ConfigT", bound=DescriberConfig)


class Describer(Model[ConfigT]):
    options = frozenset({"temperature"})

    def __init__(self, config: ConfigT, memory: int) -> None:
        """memory: numbers a place."""
        super().__init__(config)
        self.writer = Writer(
            config.words,
            letters=config.letters,
            dimension=config.dimension,
            hidden=config.hidden,
            memory=memory,
            dropout=config.dropout,
            language=config.language,
        )

    @abstractmethod
    def memory(self, examples: Tensor) -> Tensor:
        """(B, ..., M): the places of each example along the axes that attention is to have."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one example."""

    def prepare(self, data: TrainingData) -> None:
        """Takes over the vocabulary of the data. Raises BadInput if it has another size."""
        assert isinstance(data, CaptionData)
        self.writer.learn(data.vocabulary, data.counts())

    def loss(self, player: str, batch: CaptionBatch, rng: Generator) -> Loss:
        """Nats a token, the end counted."""
        memory = self._dropped(self.memory(batch.examples).flatten(1, -2), rng)
        known = torch.ones(memory.shape[:2], dtype=torch.bool, device=memory.device)
        nats = self.writer.nats(memory, known, batch.targets, rng)
        return Loss(nats.sum() / (batch.targets != 0).sum(), {})

    @torch.no_grad()
    def describe(
        self, example: Tensor, rng: Generator, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """A description piece by piece, which one after another are the text, and for each where it looked:
        shares of the places, whose sum is 1, (rows, columns) of a picture, (frames,) of a clip.

        example: (C, H, W) or (T, C, H, W), 0 to 1. temperature: draws one by its chances; without, what is
        likeliest is searched for. Raises BadInput.
        """
        if tuple(example.shape) != self.shape:
            raise BadInput(f"an example of shape {tuple(example.shape)}; {self.shape} is allowed")
        if temperature is not None and not temperature > 0:
            raise BadInput(f"temperature {temperature}: above 0 is allowed")
        memory = self.memory(example[None])
        places, flat = memory.shape[1:-1], memory.flatten(1, -2)
        told = self.writer.told(
            flat,
            torch.ones(flat.shape[:2], dtype=torch.bool, device=flat.device),
            Manner(most=self.config.longest, beam=BEAMS, fresh=0),
            None if temperature is None else rng,
            temperature or 1.0,
        )
        looks: list[Tensor] = []

        def tokens() -> Iterator[int]:
            for token, look in told:
                looks.append(look)
                yield token

        for piece in self.writer.vocabulary.pieces(tokens()):
            yield piece, looks[-1].reshape(places)

    def _dropped(self, memory: Tensor, rng: Generator) -> Tensor:
        """In training, some of the numbers put to zero, at all places alike, and the rest made larger for it.
        memory: (B, S, M)."""
        share = self.config.dropout
        if not self.training or not share:
            return memory
        kept = torch.rand((len(memory), 1, memory.shape[2]), generator=rng, device=memory.device) >= share
        return memory * kept / (1 - share)


def convolution(size: int, next_size: int, stride: int = 1) -> nn.Sequential:
    """3x3, normalised over the batch, of what is above zero."""
    return nn.Sequential(
        nn.Conv2d(size, next_size, 3, stride, padding=1, bias=False), nn.BatchNorm2d(next_size), nn.ReLU()
    )


@dataclass(frozen=True)
class CaptionRecipe(TrainedRecipe):
    """sources: of captions. mirrored: whether what is shown may be seen from the other side."""

    sources: tuple[str, ...]
    mirrored: bool = False

    def material(self, home: Path, seed: int) -> Material:
        config = self.config
        splits = captioned.captions(self.sources, config.language, home)
        train, validation = splits["train"], splits["validation"]
        motion = Motion(config.ground / 255, mirrored=self.mirrored)
        vocabulary = vocabulary_of(train, config.words, config.language)
        data = CaptionData(train, validation, vocabulary, self.batch_size, seed, motion)
        digest = hashlib.sha256(train.pixels.tobytes())
        digest.update("\n".join(train.texts).encode())
        known = captioned.sources()
        about = {
            "source": "captions",
            "sources": list(self.sources),
            "language": config.language,
            "licence": "; ".join(f"{name}: {known[name].licence}" for name in self.sources),
            "split": "; ".join(sorted({known[name].split for name in self.sources})),
            "examples": len(data.train),
            "tokens": len(vocabulary),
            "left_out": "what is said with a word that only one family has, or tokens outside the vocabulary",
            "sha256": digest.hexdigest(),
        }
        return Material(data, about)
