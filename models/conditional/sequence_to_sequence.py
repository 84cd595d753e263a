"""`sequence_to_sequence`: a text in answer to a text: a title to a document (Rush, Chopra and Weston 2015 for
the task; See, Liu and Manning 2017, Get to the point, for the network), the next turn to a conversation
(Vinyals and Le 2015, A neural conversational model).

    m_i = [GRU(x_i, m_i-1), GRU(x_i, m_i+1)]       a state for each token that is given, both ways
    p(y_t | y_1 .. y_t-1, m)                       token by token, looking at the states: see `Writer`

Tokens that come in and those that go out share their vectors. A writer of titles may copy: names that no
vocabulary holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from wordspot.models.conditional.vocabulary import PAD, Vocabulary, padded
from wordspot.models.conditional.writer import Manner, Writer
from wordspot.models.datasets import text_pairs
from wordspot.models.datasets.text_pair_batches import PairBatch, PairData, Reading, counted
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model, TrainingData
from wordspot.models.recipe import Material, TrainedRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

BEAMS = 4


@dataclass(frozen=True)
class SequenceToSequenceConfig:
    """words: rows of the vocabulary, the four special ones among them. letters: bytes that its tokens may
    take. dimension: of a token's vector. reader: of the state in each direction. hidden: of the writer's
    state. dropout: share of what goes in and comes out that is left out in training. most: tokens of what is
    given; the rest is not read. longest: tokens of an answer. fresh: an answer has no run of so many tokens
    twice. last: whether of a longer text the end is read. copies: whether tokens are taken from what is
    given."""

    words: int = 5_000
    letters: int = 45_000
    dimension: int = 64
    reader: int = 96
    hidden: int = 128
    dropout: float = 0.2
    most: int = 80
    longest: int = 16
    fresh: int = 3
    last: bool = False
    copies: bool = True
    language: str = "en"


@register("sequence_to_sequence")
class SequenceToSequence(Model[SequenceToSequenceConfig]):
    """What is given is the condition: a document, or a conversation with a line a turn."""

    Config = SequenceToSequenceConfig
    modality = "text"
    options = frozenset({"condition", "temperature"})

    def __init__(self, config: SequenceToSequenceConfig) -> None:
        super().__init__(config)
        self.writer = Writer(
            config.words,
            letters=config.letters,
            dimension=config.dimension,
            hidden=config.hidden,
            memory=2 * config.reader,
            dropout=config.dropout,
            copies=config.copies,
            language=config.language,
        )
        self.reader = nn.GRU(config.dimension, config.reader, batch_first=True, bidirectional=True)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.writer.vocabulary

    @cached_property
    def reading(self) -> Reading:
        return reading_of(self.config, self.vocabulary)

    def prepare(self, data: TrainingData) -> None:
        """Takes over the vocabulary of the data. Raises BadInput if it has another size."""
        assert isinstance(data, PairData)
        self.writer.learn(data.vocabulary, data.counts())
        self.__dict__.pop("reading", None)

    def loss(self, player: str, batch: PairBatch, rng: Generator) -> Loss:
        """Nats a token, the end counted."""
        memory, known = self._read(batch.given, rng)
        source = batch.given if self.config.copies else None
        nats = self.writer.nats(memory, known, batch.answers, rng, source)
        return Loss(nats.sum() / (batch.answers != PAD).sum(), {})

    @torch.no_grad()
    def sample(
        self, count: int, rng: Generator, *, condition: str = "", temperature: float | None = None
    ) -> list[str]:
        """Answers to the condition: the likeliest that beams find, the best first; with a temperature, drawn
        by their chances. Raises BadInput."""
        memory, known, source, own = self._given(condition)
        if temperature is None:
            manner = self._manner(max(BEAMS, count))
            (found,) = self.writer.write(memory, known, manner, source)
        else:
            memory, known = memory.expand(count, -1, -1), known.expand(count, -1)
            source = None if source is None else source.expand(count, -1)
            found = self.writer.draw(memory, known, self._manner(), rng, temperature, source)
        texts = [self.vocabulary.text(one.tokens, own) for one in found[:count]]
        return texts + texts[-1:] * (count - len(texts))

    def generate(
        self, count: int, rng: Generator, *, condition: str = "", temperature: float | None = None
    ) -> Iterator[str]:
        """One answer, the first of `sample`, piece by piece; at most so many of them. Raises BadInput."""
        memory, known, source, own = self._given(condition)
        tokens = self.writer.stream(
            memory,
            known,
            self._manner(),
            None if temperature is None else rng,
            temperature or 1.0,
            source,
        )
        yield from islice(self.vocabulary.pieces(tokens, own), count)

    @torch.no_grad()
    def nats(self, condition: str, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Of each answer to the condition, nats in all, (N,), and tokens, the end counted, (N,). What no
        vocabulary holds is one token. Raises BadInput."""
        memory, known, source, own = self._given(condition)
        rows = padded([self.reading.answer(answer, own) for answer in answers]).to(memory.device)
        count = len(answers)
        nats = self.writer.nats(
            memory.expand(count, -1, -1),
            known.expand(count, -1),
            rows,
            Generator(memory.device),
            None if source is None else source.expand(count, -1),
        )
        return nats.sum(dim=1), (rows != PAD).sum(dim=1)

    def _manner(self, beam: int = BEAMS) -> Manner:
        return Manner(most=self.config.longest, beam=beam, fresh=self.config.fresh)

    @torch.no_grad()
    def _given(self, condition: str) -> tuple[Tensor, Tensor, Tensor | None, list[str]]:
        """Memory, which places there are, the token at each if it may be copied, the text's own tokens."""
        rows, own = self.reading.given(condition)
        if not rows:
            raise BadInput(
                f"condition {condition!r}: a text to answer is allowed, such as a document, or a "
                "conversation with a line a turn"
            )
        given = torch.tensor([rows], device=self.writer.bias.device)
        memory, known = self._read(given, Generator(given.device))
        return memory, known, given if self.config.copies else None, own

    def _read(self, given: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """given: int64 (B, S). Memory (B, S, M), and which places there are, (B, S)."""
        known = given != PAD
        vectors = self.writer.embedded(given)
        if self.training and self.config.dropout:
            share = self.config.dropout
            kept = torch.rand(vectors.shape, generator=rng, device=vectors.device) >= share
            vectors = vectors * kept / (1 - share)
        lengths = known.sum(dim=1).cpu()
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        memory = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=given.shape[1])[0]
        return memory, known


def reading_of(config: SequenceToSequenceConfig, vocabulary: Vocabulary) -> Reading:
    return Reading(vocabulary, config.most, config.longest, config.copies, config.last)


@dataclass(frozen=True)
class PairRecipe(TrainedRecipe):
    """pairs: the data source. validated: pairs that validate, at most."""

    pairs: str
    validated: int = 2_000

    def material(self, home: Path, seed: int) -> Material:
        config = self.config
        splits = text_pairs.pairs(self.pairs, home)
        train, validation = splits["train"], splits["validation"][: self.validated]
        vocabulary = Vocabulary.of(counted(train, config.language), config.words, config.language)
        data = PairData(train, validation, reading_of(config, vocabulary), self.batch_size, seed)
        source = text_pairs.sources()[self.pairs]
        digest = hashlib.sha256("\n".join(f"{pair.given}\t{pair.answer}" for pair in train).encode())
        about: dict[str, Any] = {
            "source": self.pairs,
            "licence": source.licence,
            "split": source.split,
            "pairs": len(train),
            "tokens": len(vocabulary),
            "sha256": digest.hexdigest(),
        }
        return Material(data, about)


COPYING = "See, Liu and Manning 2017, Get to the point: summarization with pointer-generator networks"
TITLES = {"rouge_over_lead": 1.0, "shuffled_loss": 0.3}
PLAN = Plan(
    steps=8_000, learning_rate=2e-3, warm_up=300, weight_decay=1e-3, validate_every=500, average=0.999
)

recipe(
    PairRecipe(
        name="title-en",
        model="sequence_to_sequence",
        config=SequenceToSequenceConfig(),
        batch_size=32,
        plan=replace(PLAN, steps=12_000),
        pairs="package-descriptions",
        description="Gives a short English text its title; the condition is the text.",
        supervision="titles that people wrote",
        scale="47,894 pairs instead of 287,226; 5,000 tokens of 64 numbers instead of 50,000 of 128; states "
        "of 96 and 128 instead of 256; the first 80 tokens of a text instead of 400",
        source=COPYING,
        thresholds=TITLES,
    )
)
recipe(
    PairRecipe(
        name="title-zh",
        model="sequence_to_sequence",
        config=SequenceToSequenceConfig(
            words=2_200,
            letters=12_000,
            dimension=48,
            reader=64,
            hidden=96,
            dropout=0.4,
            longest=24,
            language="zh",
        ),
        batch_size=32,
        plan=replace(PLAN, steps=2_500, validate_every=125),
        pairs="headlines",
        description="Gives the beginning of a Chinese article its headline; the condition is the text.",
        supervision="headlines that people wrote",
        scale="1,558 pairs instead of 287,226; 2,200 characters of 48 numbers instead of 50,000 words of "
        "128; states of 64 and 96 instead of 256",
        source=COPYING,
        thresholds=TITLES,
    )
)
recipe(
    PairRecipe(
        name="chat",
        model="sequence_to_sequence",
        config=SequenceToSequenceConfig(
            words=4_000,
            letters=36_000,
            hidden=160,
            most=60,
            longest=20,
            last=True,
            copies=False,
        ),
        batch_size=32,
        plan=replace(PLAN, steps=9_000),
        pairs="conversations",
        description="Answers in a conversation; the condition are the turns so far, a line each.",
        supervision="what people answered each other",
        scale="90,078 pairs instead of 62 million sentences; 4,000 tokens instead of 20,000; states of 96 "
        "and 160 instead of 4,096; three turns are seen",
        source="Vinyals and Le 2015, A neural conversational model",
        thresholds={"perplexity_of_trigram": 1.0, "recall_at_10": 0.3, "greets": 1.0},
    )
)
