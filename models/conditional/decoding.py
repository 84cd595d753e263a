"""The bookkeeping of decoding: its configuration, hypotheses, and the beam of one memory.

A hypothesis is a sequence that is being decoded; a beam keeps the likeliest so many of them. Finished ones
are ranked by log-probability over a power of their length (Wu et al. 2016, arXiv 1609.08144, equation 14,
without its constant).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from torch import Tensor

from wordspot.models.vocabulary import BEGIN, END, PAD, SPECIAL, UNKNOWN


@dataclass(frozen=True)
class DecodingConfig:
    """How sequences are decoded. Lengths count tokens without the end.

    Attributes:
        max_tokens: the longest sequence.
        min_tokens: the shortest sequence.
        beam_size: hypotheses that are kept at a step.
        length_penalty: power of the length, with the end, by which the log-probability is divided.
        no_repeat_ngram: no n-gram of so many tokens comes twice; 0 allows any.
    """

    max_tokens: int
    min_tokens: int = 1
    beam_size: int = 4
    length_penalty: float = 1.0
    no_repeat_ngram: int = 3


@dataclass(frozen=True)
class DecodedSequence:
    """A finished sequence.

    Attributes:
        tokens: rows of the vocabulary, or beyond it the source's own tokens, without beginning and end.
        attention: (T, S), the attention weights of each token, whose sum is 1; (0, 0) without tokens.
        nats: negative log-likelihood of the whole, with the end.
        score: by which sequences are ranked, higher is better.
    """

    tokens: tuple[int, ...]
    attention: Tensor
    nats: float
    score: float


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that is being decoded.

    Attributes:
        tokens: so far, without the beginning.
        attention: the attention weights of each token, (S,) each.
        nats: negative log-likelihood so far.
        ended: whether END has come.
    """

    tokens: tuple[int, ...] = ()
    attention: tuple[Tensor, ...] = ()
    nats: float = 0.0
    ended: bool = False

    def extended(self, token: int, nats: float, weights: Tensor) -> Hypothesis:
        """Returns the hypothesis with one more token.

        Args:
            token: END ends it.
            nats: negative log-likelihood with the token.
            weights: (S,), the token's attention weights.
        """
        if token == END:
            return replace(self, nats=nats, ended=True)
        return Hypothesis((*self.tokens, token), (*self.attention, weights), nats)

    def repeating_tokens(self, size: int) -> list[int]:
        """Returns the tokens that would repeat an n-gram of the size; none with size 0."""
        last, tokens = len(self.tokens) - size + 1, self.tokens
        if not size or last < 1:
            return []
        return [tokens[n + size - 1] for n in range(last) if tokens[n : n + size - 1] == tokens[last:]]

    def score(self, config: DecodingConfig, length: int | None = None) -> float:
        """Returns the log-probability over a power of the length, by default that of the tokens so far."""
        tokens = len(self.tokens) if length is None else length
        penalised: float = -self.nats / (tokens + 1) ** config.length_penalty
        return penalised

    def sequence(self, config: DecodingConfig) -> DecodedSequence:
        """Returns the hypothesis as a finished sequence."""
        attention = torch.stack(self.attention) if self.attention else torch.empty(0, 0)
        return DecodedSequence(self.tokens, attention, self.nats, self.score(config))


@dataclass
class Beam:
    """The search of one memory.

    Attributes:
        hypotheses: that have not ended, the likeliest first.
        finished: sequences, the best first.
    """

    hypotheses: list[Hypothesis]
    finished: list[DecodedSequence]

    @property
    def done(self) -> bool:
        """Whether nothing is left to extend."""
        return not self.hypotheses

    def padded(self, size: int) -> list[Hypothesis]:
        """Returns the hypotheses, and behind them others whose cost is infinite, so many in all."""
        return [*self.hypotheses, *[Hypothesis(nats=math.inf)] * (size - len(self.hypotheses))]

    def advance(
        self,
        totals: Sequence[float],
        candidates: Sequence[int],
        tokens: int,
        attention: Tensor,
        config: DecodingConfig,
    ) -> list[int]:
        """Extends the cheapest candidates by their tokens.

        Args:
            totals: nats of each candidate with its token, rising.
            candidates: number of the hypothesis times `tokens`, plus the token.
            tokens: tokens that there may be, with the source's own.
            attention: (beam_size, S), the weights that each hypothesis had at this step.
            config: of the search.

        Returns:
            The number of the hypothesis that each of the new ones extends, beam_size numbers.
        """
        parents: list[int] = []
        hypotheses: list[Hypothesis] = []
        for rank, (total, candidate) in enumerate(zip(totals, candidates, strict=True)):
            parent, token = divmod(candidate, tokens)
            if self.done or not math.isfinite(total):
                break
            hypothesis = self.hypotheses[parent].extended(token, total, attention[parent])
            if not hypothesis.ended and len(hypotheses) < config.beam_size:
                parents.append(parent)
                hypotheses.append(hypothesis)
            elif hypothesis.ended and rank < config.beam_size:
                self.finished.append(hypothesis.sequence(config))
        self.finished = sorted(self.finished, key=lambda sequence: -sequence.score)[: config.beam_size]
        self.hypotheses = [] if len(self.finished) == config.beam_size else hypotheses
        return (parents + [0] * config.beam_size)[: config.beam_size]

    def common_prefix(self, config: DecodingConfig) -> list[tuple[int, Tensor]]:
        """Returns what the best sequence and all hypotheses that may yet be better have in common: tokens
        with their attention weights, (S,) each."""
        best = self.finished[0].score if self.finished else -math.inf
        rivals = [(sequence.tokens, [*sequence.attention]) for sequence in self.finished[:1]]
        rivals += [
            (hypothesis.tokens, [*hypothesis.attention])
            for hypothesis in self.hypotheses
            if hypothesis.score(config, config.max_tokens) > best
        ]
        if not rivals:
            return []
        columns = zip(*(tokens for tokens, _ in rivals), strict=False)
        agreed = takewhile(lambda column: len(set(column)) == 1, columns)
        return [(column[0], weights) for column, weights in zip(agreed, rivals[0][1], strict=False)]


def forbid_tokens(nats: Tensor, hypotheses: Sequence[Hypothesis], config: DecodingConfig) -> None:
    """Sets nats (N, tokens) to infinity, in place, where the configuration forbids a token."""
    nats[:, [PAD, BEGIN, UNKNOWN]] = torch.inf
    for n, hypothesis in enumerate(hypotheses):
        length = len(hypothesis.tokens)
        if length >= config.max_tokens:
            nats[n, SPECIAL:] = torch.inf
        elif length < config.min_tokens:
            nats[n, END] = torch.inf
        nats[n, hypothesis.repeating_tokens(config.no_repeat_ngram)] = torch.inf
