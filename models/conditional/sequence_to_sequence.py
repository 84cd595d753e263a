"""`sequence_to_sequence`: a text in answer to a text: a title to a document (Rush, Chopra and Weston 2015 for
the task; See, Liu and Manning 2017, Get to the point, for the network), the next turn to a conversation
(Vinyals and Le 2015, A neural conversational model).

    m_i = [GRU(x_i, m_i-1), GRU(x_i, m_i+1)]       a state for each token of the source, both ways
    p(y_t | y_1 .. y_t-1, m)                       with attention to the states: see `AttentionDecoder`

Tokens of sources and of answers share their vectors. A model of titles may copy names that no vocabulary
holds.
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

from wordspot.models.conditional.attention_decoder import AttentionDecoder
from wordspot.models.conditional.decoding import DecodingConfig
from wordspot.models.datasets import text_pairs
from wordspot.models.datasets.source import find
from wordspot.models.datasets.text_pair_batches import PairBatch, PairData, Reading, counted
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model, TrainingData
from wordspot.models.recipe import Material, TrainedRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.sampling import dropout
from wordspot.models.trainer import Plan
from wordspot.models.vocabulary import PAD, Vocabulary, padded

BEAM_SIZE = 4


@dataclass(frozen=True)
class SequenceToSequenceConfig:
    """The shape of a sequence-to-sequence model, under the names that stored artifacts have.

    Attributes:
        words: rows of the vocabulary, the four special ones among them.
        letters: bytes that the vocabulary's tokens may take.
        dimension: of a token's vector.
        reader: size of the encoder's state in each direction.
        hidden: size of the decoder's state.
        dropout: share of inputs and outputs that is zeroed in training.
        most: tokens of a source that are read, at most.
        longest: tokens of an answer, at most.
        fresh: no n-gram of so many tokens comes twice in an answer.
        last: whether a longer source is cut at its beginning, not its end.
        copies: whether tokens may be copied from the source.
        language: one of `vocabulary.LANGUAGES`.
    """

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
    """A bidirectional encoder and an attention decoder, which stored artifacts call `reader` and `writer`.

    The condition is the source: a document, or a conversation with a line a turn.
    """

    Config = SequenceToSequenceConfig
    modality = "text"
    options = frozenset({"condition", "temperature"})

    def __init__(self, config: SequenceToSequenceConfig) -> None:
        super().__init__(config)
        self.writer = AttentionDecoder(
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
        """The vocabulary of sources and answers."""
        return self.writer.vocabulary

    @cached_property
    def reading(self) -> Reading:
        """How texts become rows of the vocabulary."""
        return reading_of(self.config, self.vocabulary)

    def prepare(self, data: TrainingData) -> None:
        """Stores the vocabulary of the data. Raises BadInput if it has another size."""
        assert isinstance(data, PairData)
        self.writer.set_vocabulary(data.vocabulary, data.counts())
        self.__dict__.pop("reading", None)

    def loss(self, player: str, batch: PairBatch, rng: Generator) -> Loss:
        """Returns the cross-entropy, nats a token with the end."""
        memory, mask = self._encode(batch.given, rng)
        source = batch.given if self.config.copies else None
        nats = self.writer.token_nll(memory, mask, batch.answers, rng, source)
        return Loss(nats.sum() / (batch.answers != PAD).sum(), {})

    @torch.no_grad()
    def sample(
        self, count: int, rng: Generator, *, condition: str = "", temperature: float | None = None
    ) -> list[str]:
        """Returns answers to the condition.

        Args:
            count: answers to return; the last is repeated where beam search finds fewer.
            rng: of sampling.
            condition: the source text.
            temperature: above 0, samples; None searches for the likeliest answers, the best first.

        Raises:
            BadInput: the condition is empty.
        """
        memory, mask, source, own = self._source(condition)
        if temperature is None:
            config = self._decoding(max(BEAM_SIZE, count))
            (sequences,) = self.writer.beam_search(memory, mask, config, source)
        else:
            memory, mask = memory.expand(count, -1, -1), mask.expand(count, -1)
            source = None if source is None else source.expand(count, -1)
            sequences = self.writer.sample(memory, mask, self._decoding(), rng, temperature, source)
        texts = [self.vocabulary.text(sequence.tokens, own) for sequence in sequences[:count]]
        return texts + texts[-1:] * (count - len(texts))

    def generate(
        self, count: int, rng: Generator, *, condition: str = "", temperature: float | None = None
    ) -> Iterator[str]:
        """Yields one answer, the first of `sample`, piece by piece, at most `count` pieces.

        Raises:
            BadInput: the condition is empty.
        """
        memory, mask, source, own = self._source(condition)
        tokens = self.writer.stream(
            memory,
            mask,
            self._decoding(),
            None if temperature is None else rng,
            temperature or 1.0,
            source,
        )
        yield from islice(self.vocabulary.pieces(tokens, own), count)

    @torch.no_grad()
    def answer_nll(self, condition: str, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns the negative log-likelihood of answers to the condition, and their lengths.

        Returns:
            Nats of each answer, float (N,), and its tokens with the end, int64 (N,). What the vocabulary
            lacks is one token.

        Raises:
            BadInput: the condition is empty.
        """
        memory, mask, source, own = self._source(condition)
        rows = padded([self.reading.answer(answer, own) for answer in answers]).to(memory.device)
        count = len(answers)
        nats = self.writer.token_nll(
            memory.expand(count, -1, -1),
            mask.expand(count, -1),
            rows,
            Generator(memory.device),
            None if source is None else source.expand(count, -1),
        )
        return nats.sum(dim=1), (rows != PAD).sum(dim=1)

    def _decoding(self, beam_size: int = BEAM_SIZE) -> DecodingConfig:
        return DecodingConfig(
            max_tokens=self.config.longest, beam_size=beam_size, no_repeat_ngram=self.config.fresh
        )

    @torch.no_grad()
    def _source(self, condition: str) -> tuple[Tensor, Tensor, Tensor | None, list[str]]:
        """Returns memory, mask and, if they may be copied, tokens of a condition; and its own tokens."""
        rows, own = self.reading.given(condition)
        if not rows:
            raise BadInput(
                "condition must be a text to answer, such as a document, or a conversation with a line a "
                f"turn, got {condition!r}"
            )
        tokens = torch.tensor([rows], device=self.writer.bias.device)
        memory, mask = self._encode(tokens, Generator(tokens.device))
        return memory, mask, tokens if self.config.copies else None, own

    def _encode(self, source: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Returns memory, (B, S, M), and mask, (B, S), of sources, int64 (B, S)."""
        mask = source != PAD
        vectors = self.writer.embed(source)
        if self.training:
            vectors = dropout(vectors, self.config.dropout, rng)
        lengths = mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        memory = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=source.shape[1])[
            0
        ]
        return memory, mask


def reading_of(config: SequenceToSequenceConfig, vocabulary: Vocabulary) -> Reading:
    """Returns how a model of the configuration turns texts into rows."""
    return Reading(vocabulary, config.most, config.longest, config.copies, config.last)


@dataclass(frozen=True)
class PairRecipe(TrainedRecipe):
    """The training of a sequence-to-sequence model on pairs of texts.

    Attributes:
        pairs: the data source, `datasets.text_pairs`.
        validated: pairs that validate, at most.
    """

    pairs: str
    validated: int = 2_000

    def material(self, home: Path, seed: int) -> Material:
        """Returns the source's pairs as batches. Raises DatasetError."""
        config = self.config
        splits = text_pairs.pairs(self.pairs, home)
        train, validation = splits["train"], splits["validation"][: self.validated]
        vocabulary = Vocabulary.of(counted(train, config.language), config.words, config.language)
        data = PairData(train, validation, reading_of(config, vocabulary), self.batch_size, seed)
        source = find(self.pairs, text_pairs.TextPairSource)
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
    steps=8_000, learning_rate=2e-3, warm_up=300, weight_decay=1e-3, validate_every=500, ema_decay=0.999
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
