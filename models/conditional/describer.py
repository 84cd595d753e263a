"""`Describer`: describes pictures or clips in words, with the attention of each word.

An encoder turns a picture or a clip into a memory of positions, each a vector; an `AttentionDecoder` decodes
the description with attention to them (Xu et al. 2015, Show, attend and tell).
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

from wordspot.models.conditional.attention_decoder import AttentionDecoder
from wordspot.models.conditional.decoding import DecodingConfig
from wordspot.models.datasets import captioned
from wordspot.models.datasets.caption_batches import CaptionBatch, CaptionData, ExampleMotion, vocabulary_of
from wordspot.models.datasets.source import find
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model, TrainingData
from wordspot.models.recipe import Material, TrainedRecipe
from wordspot.models.sampling import dropout

BEAM_SIZE = 4
THRESHOLDS = {"cider_over_nearest": 1.0, "shuffled_loss": 0.3}


@dataclass(frozen=True)
class DescriberConfig:
    """The shape of a describer.

    Attributes:
        channels, height, width: of a picture or frame, pixels.
        ground: the grey behind what does not fill the picture, 0 to 255.
        words: rows of the vocabulary, the four special ones among them.
        letters: bytes that the vocabulary's tokens may take.
        dimension: of a token's vector.
        hidden: size of the decoder's state.
        dropout: share of the decoder's inputs and outputs and of the memory that is zeroed in training.
        longest: tokens of a description, at most.
        language: of the descriptions, one of `vocabulary.LANGUAGES`.
    """

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
    """An encoder of examples and an attention decoder, which stored artifacts call `writer`."""

    options = frozenset({"temperature"})

    def __init__(self, config: ConfigT, memory: int) -> None:
        """memory: numbers a position of the memory has."""
        super().__init__(config)
        self.writer = AttentionDecoder(
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
        """Returns the memory of examples, (B, ..., M): positions along the axes that attention has."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""

    def prepare(self, data: TrainingData) -> None:
        """Stores the vocabulary of the data. Raises BadInput if it has another size."""
        assert isinstance(data, CaptionData)
        self.writer.set_vocabulary(data.vocabulary, data.counts())

    def loss(self, player: str, batch: CaptionBatch, rng: Generator) -> Loss:
        """Returns the cross-entropy, nats a token with the end."""
        memory = self._dropped(self.memory(batch.examples).flatten(1, -2), rng)
        mask = torch.ones(memory.shape[:2], dtype=torch.bool, device=memory.device)
        nats = self.writer.token_nll(memory, mask, batch.targets, rng)
        return Loss(nats.sum() / (batch.targets != 0).sum(), {})

    @torch.no_grad()
    def describe(
        self, example: Tensor, rng: Generator, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yields a description piece by piece, each piece with its attention weights.

        Args:
            example: float (C, H, W) or (T, C, H, W), 0 to 1.
            rng: of sampling.
            temperature: above 0, samples; None searches for the likeliest description.

        Yields:
            Pieces, which one after another are the text, and weights with the sum 1: (rows, columns) of a
            picture, (frames,) of a clip.

        Raises:
            BadInput: the example has another shape, or the temperature is not above 0.
        """
        if tuple(example.shape) != self.shape:
            raise BadInput(f"an example must have the shape {self.shape}, got {tuple(example.shape)}")
        if temperature is not None and not temperature > 0:
            raise BadInput(f"temperature must be above 0, got {temperature}")
        memory = self.memory(example[None])
        axes, flat = memory.shape[1:-1], memory.flatten(1, -2)
        decoded = self.writer.stream_with_attention(
            flat,
            torch.ones(flat.shape[:2], dtype=torch.bool, device=flat.device),
            DecodingConfig(max_tokens=self.config.longest, beam_size=BEAM_SIZE, no_repeat_ngram=0),
            None if temperature is None else rng,
            temperature or 1.0,
        )
        attention: list[Tensor] = []

        def tokens() -> Iterator[int]:
            for token, weights in decoded:
                attention.append(weights)
                yield token

        for piece in self.writer.vocabulary.pieces(tokens()):
            yield piece, attention[-1].reshape(axes)

    def _dropped(self, memory: Tensor, rng: Generator) -> Tensor:
        """Applies dropout to a memory (B, S, M) in training, at all positions alike."""
        if not self.training:
            return memory
        return dropout(memory, self.config.dropout, rng, (len(memory), 1, memory.shape[2]))


def convolution(size: int, next_size: int, stride: int = 1) -> nn.Sequential:
    """Returns a 3x3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(size, next_size, 3, stride, padding=1, bias=False), nn.BatchNorm2d(next_size), nn.ReLU()
    )


@dataclass(frozen=True)
class CaptionRecipe(TrainedRecipe):
    """The training of a describer on captions.

    Attributes:
        sources: of captions, `datasets.captioned`.
        mirrored: whether training mirrors examples left for right.
    """

    sources: tuple[str, ...]
    mirrored: bool = False

    def material(self, home: Path, seed: int) -> Material:
        """Returns the captions of all sources as batches. Raises DatasetError."""
        config = self.config
        splits = captioned.captions(self.sources, config.language, home)
        train, validation = splits["train"], splits["validation"]
        motion = ExampleMotion(config.ground / 255, mirrored=self.mirrored)
        vocabulary = vocabulary_of(train, config.words, config.language)
        data = CaptionData(train, validation, vocabulary, self.batch_size, seed, motion)
        digest = hashlib.sha256(train.pixels.tobytes())
        digest.update("\n".join(train.texts).encode())
        sources = [find(name, captioned.CaptionSource) for name in self.sources]
        about = {
            "source": "captions",
            "sources": list(self.sources),
            "language": config.language,
            "licence": "; ".join(f"{source.name}: {source.licence}" for source in sources),
            "split": "; ".join(sorted({source.split for source in sources})),
            "examples": len(data.train),
            "tokens": len(vocabulary),
            "left_out": "what is said with a word that only one family has, or tokens outside the vocabulary",
            "sha256": digest.hexdigest(),
        }
        return Material(data, about)
