"""`AttentionDecoder`: a recurrent network that decodes a sequence of tokens with attention to a memory
(Bahdanau, Cho and Bengio 2015, Neural machine translation by jointly learning to align and translate).

The memory has S positions: words that an encoder read, regions of a picture, frames. At step t

    s_t = GRU([x_t, c_t-1], s_t-1)                      x_t: vector of the token before
    a_ti = softmax_i(v . tanh(W s_t + U m_i))           attention weights; context c_t = sum_i a_ti m_i
    p(y_t) = softmax(E tanh(O [s_t, c_t]) + b)          E: the input vectors (Press and Wolf 2017)

that is, attention follows the recurrent step and its context is fed to the next (Luong, Pham and Manning
2015). With `copies`, a token may also be copied from the positions attended to (See, Liu and Manning 2017,
pointer-generator networks, equations 8 and 9):

    p(y_t) = g_t p_vocabulary(y_t) + (1 - g_t) sum_{i: source_i = y_t} a_ti

Decoding is beam search, or sampling.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid

from wordspot.models.cancellation import check_cancelled
from wordspot.models.conditional.attention_state import AttentionMemory, DecoderState
from wordspot.models.conditional.decoding import (
    Beam,
    DecodedSequence,
    DecodingConfig,
    Hypothesis,
    forbid_tokens,
)
from wordspot.models.errors import BadInput
from wordspot.models.sampling import dropout, sample_categorical
from wordspot.models.vocabulary import BEGIN, PAD, UNKNOWN, Vocabulary

CHUNK_ROWS = 128  # rows of logits that stay in the processor's cache
MASKED_LOGIT = -1e9
TINY = 1e-9


class AttentionDecoder(nn.Module):
    """A recurrent decoder with attention, and beam search.

    Attributes:
        letters: uint8, the vocabulary's tokens as `Vocabulary.letters` gives them.
        vectors: (words, dimension), of tokens as input and as output; an encoder of words may share them.
        key, ask, weigh: U, W and v of the attention.
        gate: of copying, or None.
    """

    def __init__(
        self,
        words: int,
        *,
        letters: int,
        dimension: int,
        hidden: int,
        memory: int,
        dropout: float = 0.0,
        copies: bool = False,
        language: str = "en",
    ) -> None:
        """Makes a decoder with random weights.

        Args:
            words: rows of the vocabulary.
            letters: bytes that its tokens may take.
            dimension: of a token's vector and of the attention.
            hidden: size of the recurrent state.
            memory: numbers a position of the memory has.
            dropout: share of inputs and outputs that is zeroed in training.
            copies: whether tokens may be copied from the source.
            language: of the vocabulary, one of `vocabulary.LANGUAGES`.
        """
        super().__init__()
        self.dropout, self.copies, self.language = dropout, copies, language
        self.letters: Tensor
        self.register_buffer("letters", torch.zeros(letters, dtype=torch.uint8))
        self.vectors = nn.Parameter(torch.randn(words, dimension) / math.sqrt(dimension))
        self.bias = nn.Parameter(torch.zeros(words))
        self.start = nn.Linear(memory, hidden)
        self.cell = nn.GRUCell(dimension + memory, hidden)
        self.key = nn.Linear(memory, dimension, bias=False)
        self.ask = nn.Linear(hidden, dimension)
        self.weigh = nn.Parameter(torch.randn(dimension) / math.sqrt(dimension))
        self.out = nn.Linear(hidden + memory, dimension)
        self.gate = nn.Linear(hidden + memory + dimension, 1) if copies else None

    def set_vocabulary(self, vocabulary: Vocabulary, counts: Sequence[int] | None = None) -> None:
        """Stores the vocabulary, and initialises the output's bias with log-frequencies.

        Args:
            vocabulary: of the decoder's size and language.
            counts: how often each row occurs as a target; None leaves the bias as it is.

        Raises:
            BadInput: the vocabulary has another size or language.
        """
        if len(vocabulary) != len(self.vectors) or vocabulary.language != self.language:
            raise BadInput(
                f"the vocabulary must have {len(self.vectors):,} tokens of {self.language!r} as the model "
                f"has, got {len(vocabulary):,} of {vocabulary.language!r}"
            )
        self.letters.copy_(vocabulary.letters(len(self.letters)))
        self.__dict__.pop("vocabulary", None)  # what was cached before
        if counts is not None:
            frequencies = torch.tensor(counts, dtype=torch.float32) + 1
            self.bias.data.copy_((frequencies / frequencies.sum()).log())

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary as `letters` holds it."""
        return Vocabulary.read(self.letters, self.language)

    def token_nll(
        self,
        memory: Tensor,
        mask: Tensor,
        targets: Tensor,
        rng: Generator,
        source: Tensor | None = None,
    ) -> Tensor:
        """Returns the negative log-likelihood of each target given those before it (teacher forcing).

        Args:
            memory: float (B, S, M).
            mask: bool (B, S), which positions of the memory there are, one at least.
            targets: int64 (B, T), with END, without BEGIN, PAD behind the shorter ones.
            rng: of the dropout in training.
            source: int64 (B, S), the token at each position, if the decoder copies. In source and targets
                rows beyond the vocabulary are the source's own tokens.

        Returns:
            float (B, T), nats; 0 where the target is PAD.
        """
        prepared = self._prepared(memory, mask, source)
        previous = torch.cat([torch.full_like(targets[:, :1], BEGIN), targets[:, :-1]], dim=1)
        inputs = self._dropped(self.embed(previous), rng)
        state = self._initial_state(prepared)
        states, contexts, attention = [], [], []
        for n in range(targets.shape[1]):
            state, weights = self._step(prepared, state, inputs[:, n])
            states.append(state.hidden)
            contexts.append(state.context)
            attention.append(weights)
        features = torch.cat(
            [torch.stack(states, dim=1), torch.stack(contexts, dim=1)], dim=2
        )  # (B, T, H + M)
        outputs = self._dropped(self.out(features).tanh(), rng).flatten(0, 1)  # (B T, D)
        rows = targets.flatten()
        rows = rows.where(rows < len(self.vectors), UNKNOWN)
        nats = torch.cat(
            [
                cross_entropy(self._logits(part), row, reduction="none")
                for part, row in zip(
                    torch.split(outputs, CHUNK_ROWS), torch.split(rows, CHUNK_ROWS), strict=True
                )
            ]
        ).reshape(targets.shape)
        if self.gate is not None and source is not None:
            weights = torch.stack(attention, dim=1)  # (B, T, S)
            gate = self.gate(torch.cat([features, inputs], dim=2))[..., 0]
            nats = self._mixed_nll(nats, gate, targets, weights, source)
        return nats.where(targets != PAD, 0.0)

    def _mixed_nll(
        self, nats: Tensor, gate: Tensor, targets: Tensor, attention: Tensor, source: Tensor
    ) -> Tensor:
        """Returns nats (B, T) under the mixture of generating and copying.

        nats: (B, T), under the vocabulary alone. gate: (B, T), logits of generating. attention: (B, T, S).
        """
        beyond = targets >= len(self.vectors)
        generated = (logsigmoid(gate) - nats).masked_fill(beyond, MASKED_LOGIT)
        matching = (source[:, None, :] == targets[:, :, None]) & (targets != UNKNOWN)[:, :, None]
        copied = (attention * matching).sum(dim=2)
        return -torch.logaddexp(generated, logsigmoid(-gate) + (copied + TINY).log())

    def embed(self, tokens: Tensor) -> Tensor:
        """Returns the vectors of tokens, int64 (...) to (..., D); beyond the vocabulary that of UNKNOWN."""
        return self.vectors[tokens.where(tokens < len(self.vectors), UNKNOWN)]

    @torch.no_grad()
    def beam_search(
        self, memory: Tensor, mask: Tensor, config: DecodingConfig, source: Tensor | None = None
    ) -> list[list[DecodedSequence]]:
        """Returns the likeliest sequences of each memory, the best first, at most `beam_size` of each.

        memory, mask, source: as in `token_nll`.
        """
        prepared = self._prepared(memory, mask, source)
        if not len(memory):
            return []
        (beams,) = deque(self._beam_steps(prepared, config), maxlen=1)
        return [beam.finished for beam in beams]

    @torch.no_grad()
    def sample(
        self,
        memory: Tensor,
        mask: Tensor,
        config: DecodingConfig,
        rng: Generator,
        temperature: float = 1.0,
        source: Tensor | None = None,
    ) -> list[DecodedSequence]:
        """Returns a random sequence of each memory, drawn token by token; `beam_size` has no effect.

        memory, mask, source: as in `token_nll`. temperature: above 0, divides the logits.
        """
        prepared = self._prepared(memory, mask, source)
        if not len(memory):
            return []
        (hypotheses,) = deque(self._sampling_steps(prepared, config, rng, temperature), maxlen=1)
        return [hypothesis.sequence(config) for hypothesis in hypotheses]

    @torch.no_grad()
    def stream(
        self,
        memory: Tensor,
        mask: Tensor,
        config: DecodingConfig,
        rng: Generator | None = None,
        temperature: float = 1.0,
        source: Tensor | None = None,
    ) -> Iterator[int]:
        """Yields the tokens of one memory's best sequence, each as soon as it is certain.

        Without an rng that of `beam_search`, a token when all hypotheses that may yet be the best agree on
        it; with an rng that of `sample`.
        """
        for token, _ in self.stream_with_attention(memory, mask, config, rng, temperature, source):
            yield token

    @torch.no_grad()
    def stream_with_attention(
        self,
        memory: Tensor,
        mask: Tensor,
        config: DecodingConfig,
        rng: Generator | None = None,
        temperature: float = 1.0,
        source: Tensor | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Yields as `stream`, each token with its attention weights, (S,)."""
        prepared = self._prepared(memory, mask, source)
        if rng is None:
            prefixes = (beam.common_prefix(config) for (beam,) in self._beam_steps(prepared, config))
        else:
            steps = self._sampling_steps(prepared, config, rng, temperature)
            prefixes = (
                [*zip(hypothesis.tokens, hypothesis.attention, strict=True)] for (hypothesis,) in steps
            )
        sent = 0
        for prefix in prefixes:
            yield from prefix[sent:]
            sent = len(prefix)

    def _beam_steps(self, memory: AttentionMemory, config: DecodingConfig) -> Iterator[list[Beam]]:
        """Yields the beam of each memory after each step."""
        count, size = len(memory.values), config.beam_size
        memory = memory.repeated(size)
        state = self._initial_state(memory)
        beams = [Beam([Hypothesis()], []) for _ in range(count)]
        while not all(beam.done for beam in beams):
            check_cancelled()
            hypotheses = [hypothesis for beam in beams for hypothesis in beam.padded(size)]
            nats, attention, state = self._next_token(memory, state, hypotheses, config)
            previous = torch.tensor([hypothesis.nats for hypothesis in hypotheses], device=nats.device)
            totals = (previous[:, None] + nats).reshape(count, -1)  # (count, size tokens)
            cheapest = totals.topk(min(2 * size, totals.shape[1]), dim=1, largest=False)
            rows = [
                n * size + parent
                for n, (beam, costs, candidates) in enumerate(
                    zip(beams, cheapest.values.tolist(), cheapest.indices.tolist(), strict=True)
                )
                for parent in beam.advance(
                    costs, candidates, nats.shape[1], attention[n * size : (n + 1) * size], config
                )
            ]
            state = state[torch.tensor(rows, device=nats.device)]
            yield beams

    def _sampling_steps(
        self, memory: AttentionMemory, config: DecodingConfig, rng: Generator, temperature: float
    ) -> Iterator[list[Hypothesis]]:
        """Yields the hypothesis of each memory after each step."""
        state = self._initial_state(memory)
        hypotheses = [Hypothesis() for _ in memory.values]
        while not all(hypothesis.ended for hypothesis in hypotheses):
            check_cancelled()
            nats, attention, state = self._next_token(memory, state, hypotheses, config)
            tokens = sample_categorical((-nats / temperature).softmax(dim=1), rng).tolist()
            hypotheses = [
                hypothesis
                if hypothesis.ended
                else hypothesis.extended(token, hypothesis.nats + float(nats[n, token]), attention[n])
                for n, (hypothesis, token) in enumerate(zip(hypotheses, tokens, strict=True))
            ]
            yield hypotheses

    def _next_token(
        self,
        memory: AttentionMemory,
        state: DecoderState,
        hypotheses: Sequence[Hypothesis],
        config: DecodingConfig,
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Returns nats of every token behind each hypothesis, (N, words + own tokens), infinite where the
        configuration forbids it; the attention weights, (N, S); the state after the step."""
        previous = torch.tensor([h.tokens[-1] if h.tokens else BEGIN for h in hypotheses])
        inputs = self.embed(previous.to(memory.values.device))
        state, weights = self._step(memory, state, inputs)
        features = torch.cat([state.hidden, state.context], dim=1)
        nats = -self._logits(self.out(features).tanh()).log_softmax(dim=1)
        if self.gate is not None and memory.source is not None:
            gate = self.gate(torch.cat([features, inputs], dim=1))
            probabilities = nn.functional.pad(gate.sigmoid() * (-nats).exp(), (0, memory.own_tokens))
            probabilities = probabilities.scatter_add(1, memory.source, (-gate).sigmoid() * weights)
            nats = -(probabilities + TINY).log()
        forbid_tokens(nats, hypotheses, config)
        return nats, weights, state

    def _prepared(self, memory: Tensor, mask: Tensor, source: Tensor | None) -> AttentionMemory:
        """Returns the memory with its keys."""
        beyond = 0 if source is None or not source.numel() else int(source.max()) + 1 - len(self.vectors)
        return AttentionMemory(memory, self.key(memory), ~mask, source, max(0, beyond))

    def _initial_state(self, memory: AttentionMemory) -> DecoderState:
        """Returns the state before the first step, from the mean of the memory's positions."""
        mask = (~memory.padding).float()[:, :, None]
        mean = (memory.values * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
        return DecoderState(self.start(mean).tanh(), mean)

    def _step(
        self, memory: AttentionMemory, state: DecoderState, inputs: Tensor
    ) -> tuple[DecoderState, Tensor]:
        """Returns the state after a token, and its attention weights, (N, S). inputs: (N, D)."""
        hidden = self.cell(torch.cat([inputs, state.context], dim=1), state.hidden)
        scores = (memory.keys + self.ask(hidden)[:, None]).tanh() @ self.weigh
        weights = scores.masked_fill(memory.padding, MASKED_LOGIT).softmax(dim=1)
        return DecoderState(hidden, torch.bmm(weights[:, None], memory.values)[:, 0]), weights

    def _logits(self, outputs: Tensor) -> Tensor:
        """Returns logits (N, words) of outputs (N, D)."""
        return torch.addmm(self.bias, outputs, self.vectors.T)

    def _dropped(self, values: Tensor, rng: Generator) -> Tensor:
        """Applies dropout in training, with randomness from the rng alone."""
        return dropout(values, self.dropout, rng) if self.training else values
