"""`Writer`: a recurrent network that writes a sequence of tokens while it looks at what is given (Bahdanau,
Cho and Bengio 2015, Neural machine translation by jointly learning to align and translate).

What is given is a memory of S places: words that an encoder read, regions of a picture, frames. At step t

    s_t = GRU([x_t, c_t-1], s_t-1)                      x_t: vector of the token before
    a_ti = softmax_i(v . tanh(W s_t + U m_i))           where it looks; c_t = sum_i a_ti m_i
    p(y_t) = softmax(E tanh(O [s_t, c_t]) + b)          E: the input vectors (Press and Wolf 2017)

that is, it looks after the recurrent step and is fed what it saw (Luong, Pham and Manning 2015). With
`copies`, it may also take a token from where it looks (See, Liu and Manning 2017, eqs 8 and 9):

    p(y_t) = g_t p_vocabulary(y_t) + (1 - g_t) sum_{i: source_i = y_t} a_ti

What is likeliest is searched for with beams; sampled text is drawn.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid

from wordspot.models.conditional.vocabulary import BEGIN, END, PAD, SPECIAL, UNKNOWN, Vocabulary
from wordspot.models.errors import BadInput
from wordspot.models.generators.poems import draw

AT_ONCE = 128  # rows of all tokens that stay in the processor's cache
NEVER = -1e9
TINY = 1e-9


@dataclass(frozen=True)
class Manner:
    """How a text is written.

    most, least: tokens, the end not counted. beam: how many beginnings are kept at a step. length: the nats
    of a text are divided by its length, with the end, to this power (Wu et al. 2016, without their
    constant). fresh: no run of so many tokens comes twice; 0 allows any.
    """

    most: int
    least: int = 1
    beam: int = 4
    length: float = 1.0
    fresh: int = 3


@dataclass(frozen=True)
class Written:
    """tokens: rows of the vocabulary or beyond it the source's own, without beginning and end.
    attention: (T, S), where it looked for each. nats: of the whole, the end counted; score: what it was
    chosen by, more is better."""

    tokens: tuple[int, ...]
    attention: Tensor
    nats: float
    score: float


@dataclass(frozen=True)
class _Given:
    """A memory as the steps need it. memory: (N, S, M); keys: (N, S, A); hidden: (N, S), what is no place;
    source: int64 (N, S) or None; own: how many tokens beyond the vocabulary there are."""

    memory: Tensor
    keys: Tensor
    hidden: Tensor
    source: Tensor | None
    own: int

    def repeated(self, times: int) -> _Given:
        """Each so many times, one after another."""
        memory, keys, hidden = (
            one.repeat_interleave(times, 0) for one in (self.memory, self.keys, self.hidden)
        )
        source = None if self.source is None else self.source.repeat_interleave(times, 0)
        return _Given(memory, keys, hidden, source, self.own)


@dataclass(frozen=True)
class _State:
    """Between two steps. hidden: (N, H). seen: (N, M)."""

    hidden: Tensor
    seen: Tensor

    def __getitem__(self, rows: Tensor) -> _State:
        return _State(self.hidden[rows], self.seen[rows])


class Writer(nn.Module):
    """letters: the vocabulary's tokens, as Vocabulary.letters. vectors: (words, dimension), those of tokens
    going in and out; an encoder of words may share them."""

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
        """words: rows of the vocabulary. letters: bytes that its tokens may take. memory: numbers a place.
        dropout: share of what goes in and comes out that is left out in training."""
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

    def learn(self, vocabulary: Vocabulary, counts: Sequence[int] | None = None) -> None:
        """Takes the vocabulary over. counts: how often each row is to be written, for a good beginning.

        Raises BadInput if it is of another size or language.
        """
        if len(vocabulary) != len(self.vectors) or vocabulary.language != self.language:
            raise BadInput(
                f"{len(vocabulary):,} tokens of language {vocabulary.language!r} in the data; "
                f"{len(self.vectors):,} of {self.language!r} in the model"
            )
        self.letters.copy_(vocabulary.letters(len(self.letters)))
        self.__dict__.pop("vocabulary", None)  # what was read before
        if counts is not None:
            often = torch.tensor(counts, dtype=torch.float32) + 1
            self.bias.data.copy_((often / often.sum()).log())

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.read(self.letters, self.language)

    def nats(
        self,
        memory: Tensor,
        known: Tensor,
        targets: Tensor,
        rng: Generator,
        source: Tensor | None = None,
    ) -> Tensor:
        """Of each target, after those before it, (B, T); 0 where it is PAD. In training parts are left out by
        chance.

        memory: (B, S, M). known: bool (B, S), which places there are, one at least. targets: int64 (B, T),
        with END, without BEGIN. source: int64 (B, S), the token at each place, if it copies; in both, rows
        beyond the vocabulary are the source's own.
        """
        given = self._given(memory, known, source)
        before = torch.cat([torch.full_like(targets[:, :1], BEGIN), targets[:, :-1]], dim=1)
        inputs = self._dropped(self.embedded(before), rng)
        state = self._begin(given)
        states, seen, attention = [], [], []
        for n in range(targets.shape[1]):
            state, weights = self._look(given, state, inputs[:, n])
            states.append(state.hidden)
            seen.append(state.seen)
            attention.append(weights)
        both = torch.cat([torch.stack(states, dim=1), torch.stack(seen, dim=1)], dim=2)  # (B, T, H + M)
        told = self._dropped(self.out(both).tanh(), rng).flatten(0, 1)  # (B T, D)
        rows = targets.flatten()
        wanted = rows.where(rows < len(self.vectors), UNKNOWN)
        nats = torch.cat(
            [
                cross_entropy(self._logits(part), row, reduction="none")
                for part, row in zip(torch.split(told, AT_ONCE), torch.split(wanted, AT_ONCE), strict=True)
            ]
        ).reshape(targets.shape)
        if self.gate is not None and source is not None:
            nats = self._with_copies(nats, targets, both, inputs, torch.stack(attention, dim=1), source)
        return nats.where(targets != PAD, 0.0)

    def _with_copies(
        self,
        nats: Tensor,
        targets: Tensor,
        both: Tensor,
        inputs: Tensor,
        attention: Tensor,
        source: Tensor,
    ) -> Tensor:
        """nats: (B, T), those of the vocabulary. attention: (B, T, S)."""
        assert self.gate is not None
        level = self.gate(torch.cat([both, inputs], dim=2))[..., 0]
        beyond = targets >= len(self.vectors)
        told = (logsigmoid(level) - nats).masked_fill(beyond, NEVER)
        there = (source[:, None, :] == targets[:, :, None]) & (targets != UNKNOWN)[:, :, None]
        copied = (attention * there).sum(dim=2)
        return -torch.logaddexp(told, logsigmoid(-level) + (copied + TINY).log())

    def embedded(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens, (..., D); those beyond the vocabulary are UNKNOWN's."""
        return self.vectors[tokens.where(tokens < len(self.vectors), UNKNOWN)]

    @torch.no_grad()
    def write(
        self, memory: Tensor, known: Tensor, manner: Manner, source: Tensor | None = None
    ) -> list[list[Written]]:
        """For each memory what is likeliest, as many texts as beams at most, the best first.

        memory, known, source: as in `nats`.
        """
        given = self._given(memory, known, source)
        if not len(memory):
            return []
        (beams,) = deque(self._search(given, manner), maxlen=1)
        return [one.found for one in beams]

    @torch.no_grad()
    def draw(
        self,
        memory: Tensor,
        known: Tensor,
        manner: Manner,
        rng: Generator,
        temperature: float = 1.0,
        source: Tensor | None = None,
    ) -> list[Written]:
        """For each memory one text by its chances; beams have no say."""
        given = self._given(memory, known, source)
        if not len(memory):
            return []
        (texts,) = deque(self._drawn(given, manner, rng, temperature), maxlen=1)
        return [text.written(manner) for text in texts]

    @torch.no_grad()
    def stream(
        self,
        memory: Tensor,
        known: Tensor,
        manner: Manner,
        rng: Generator | None = None,
        temperature: float = 1.0,
        source: Tensor | None = None,
    ) -> Iterator[int]:
        """Of one memory, the best text of `write`, each token as soon as no beam that may yet be the best has
        another in its place; with an rng, the text of `draw`."""
        for token, _ in self.told(memory, known, manner, rng, temperature, source):
            yield token

    @torch.no_grad()
    def told(
        self,
        memory: Tensor,
        known: Tensor,
        manner: Manner,
        rng: Generator | None = None,
        temperature: float = 1.0,
        source: Tensor | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """As `stream`, each token with where it looked, (S,)."""
        given = self._given(memory, known, source)
        if rng is None:
            agreed = (one.agreed(manner) for (one,) in self._search(given, manner))
        else:
            texts = self._drawn(given, manner, rng, temperature)
            agreed = ([*zip(text.tokens, text.looks, strict=True)] for (text,) in texts)
        sure = 0
        for parts in agreed:
            yield from parts[sure:]
            sure = len(parts)

    def _search(self, given: _Given, manner: Manner) -> Iterator[list[_Beams]]:
        """The beams of each memory after each step."""
        count, width = len(given.memory), manner.beam
        given = given.repeated(width)
        state = self._begin(given)
        beams = [_Beams([_Begun()], []) for _ in range(count)]
        while not all(one.over for one in beams):
            texts = [text for one in beams for text in one.filled(width)]
            nats, looks, state = self._next(given, state, texts, manner)
            spent = torch.tensor([text.nats for text in texts], device=nats.device)
            totals = (spent[:, None] + nats).reshape(count, -1)  # (count, width words)
            ranked = totals.topk(min(2 * width, totals.shape[1]), dim=1, largest=False)
            places = [
                one.advance(some, numbers, nats.shape[1], looks[n * width : (n + 1) * width], manner)
                for n, (one, some, numbers) in enumerate(
                    zip(beams, ranked.values.tolist(), ranked.indices.tolist(), strict=True)
                )
            ]
            rows = [n * width + place for n, some in enumerate(places) for place in some]
            state = state[torch.tensor(rows, device=nats.device)]
            yield beams

    def _drawn(
        self, given: _Given, manner: Manner, rng: Generator, temperature: float
    ) -> Iterator[list[_Begun]]:
        """The texts after each step."""
        state = self._begin(given)
        texts = [_Begun() for _ in given.memory]
        while not all(text.over for text in texts):
            nats, looks, state = self._next(given, state, texts, manner)
            chances = (-nats / temperature).softmax(dim=1)
            drawn = draw(chances, rng).tolist()
            texts = [
                text if text.over else text.further(token, text.nats + float(nats[n, token]), looks[n])
                for n, (text, token) in enumerate(zip(texts, drawn, strict=True))
            ]
            yield texts

    def _next(
        self, given: _Given, state: _State, texts: Sequence[_Begun], manner: Manner
    ) -> tuple[Tensor, Tensor, _State]:
        """Nats of every token behind each text, (N, words + own), infinite where the manner forbids it; where
        it looked, (N, S); the state after."""
        before = torch.tensor([text.tokens[-1] if text.tokens else BEGIN for text in texts])
        inputs = self.embedded(before.to(given.memory.device))
        state, weights = self._look(given, state, inputs)
        both = torch.cat([state.hidden, state.seen], dim=1)
        nats = -self._logits(self.out(both).tanh()).log_softmax(dim=1)
        if self.gate is not None and given.source is not None:
            level = self.gate(torch.cat([both, inputs], dim=1))
            chances = nn.functional.pad(level.sigmoid() * (-nats).exp(), (0, given.own))
            chances = chances.scatter_add(1, given.source, (-level).sigmoid() * weights)
            nats = -(chances + TINY).log()
        nats[:, [PAD, BEGIN, UNKNOWN]] = torch.inf
        for n, text in enumerate(texts):
            length = len(text.tokens)
            if length >= manner.most:
                nats[n, SPECIAL:] = torch.inf
            elif length < manner.least:
                nats[n, END] = torch.inf
            nats[n, text.stale(manner.fresh)] = torch.inf
        return nats, weights, state

    def _given(self, memory: Tensor, known: Tensor, source: Tensor | None) -> _Given:
        own = 0 if source is None or not source.numel() else int(source.max()) + 1 - len(self.vectors)
        return _Given(memory, self.key(memory), ~known, source, max(0, own))

    def _begin(self, given: _Given) -> _State:
        """From the mean of the places."""
        there = (~given.hidden).float()[:, :, None]
        mean = (given.memory * there).sum(dim=1) / there.sum(dim=1).clamp_min(1)
        return _State(self.start(mean).tanh(), mean)

    def _look(self, given: _Given, state: _State, inputs: Tensor) -> tuple[_State, Tensor]:
        """inputs: (N, D). The state after the step, and where it looked, (N, S)."""
        hidden = self.cell(torch.cat([inputs, state.seen], dim=1), state.hidden)
        scores = (given.keys + self.ask(hidden)[:, None]).tanh() @ self.weigh
        weights = scores.masked_fill(given.hidden, NEVER).softmax(dim=1)
        return _State(hidden, torch.bmm(weights[:, None], given.memory)[:, 0]), weights

    def _logits(self, told: Tensor) -> Tensor:
        """(N, D) to (N, words)."""
        return torch.addmm(self.bias, told, self.vectors.T)

    def _dropped(self, some: Tensor, rng: Generator) -> Tensor:
        """In training, some of it put to zero and the rest made larger for it."""
        if not self.training or not self.dropout:
            return some
        kept = torch.rand(some.shape, generator=rng, device=some.device) >= self.dropout
        return some * kept / (1 - self.dropout)


@dataclass(frozen=True)
class _Begun:
    """A text that is being written. looks: where for each token, (S,) each. over: whether it has ended."""

    tokens: tuple[int, ...] = ()
    looks: tuple[Tensor, ...] = ()
    nats: float = 0.0
    over: bool = False

    def further(self, token: int, nats: float, look: Tensor) -> _Begun:
        """nats: with the token."""
        if token == END:
            return replace(self, nats=nats, over=True)
        return _Begun((*self.tokens, token), (*self.looks, look), nats)

    def stale(self, size: int) -> list[int]:
        """The tokens that would make a run of so many that is there already."""
        last, tokens = len(self.tokens) - size + 1, self.tokens
        if not size or last < 1:
            return []
        return [tokens[n + size - 1] for n in range(last) if tokens[n : n + size - 1] == tokens[last:]]

    def score(self, manner: Manner, length: int | None = None) -> float:
        """length: by default its own."""
        found: float = -self.nats / ((len(self.tokens) if length is None else length) + 1) ** manner.length
        return found

    def written(self, manner: Manner) -> Written:
        looks = torch.stack(self.looks) if self.looks else torch.empty(0, 0)
        return Written(self.tokens, looks, self.nats, self.score(manner))


@dataclass
class _Beams:
    """alive: beginnings, the likeliest first. found: whole texts, the best first."""

    alive: list[_Begun]
    found: list[Written]

    @property
    def over(self) -> bool:
        return not self.alive

    def filled(self, width: int) -> list[_Begun]:
        """Those alive, and others that cost too much to be chosen."""
        return [*self.alive, *[_Begun(nats=math.inf)] * (width - len(self.alive))]

    def advance(
        self, totals: Sequence[float], numbers: Sequence[int], words: int, looks: Tensor, manner: Manner
    ) -> list[int]:
        """Goes on with the cheapest: totals, rising, nats of beginning and token, of number beginning times
        words + token. looks: (beam, S). Gives the place that each of the new ones was at, `beam` places."""
        places: list[int] = []
        alive: list[_Begun] = []
        for rank, (total, number) in enumerate(zip(totals, numbers, strict=True)):
            place, token = divmod(number, words)
            if self.over or not math.isfinite(total):
                break
            text = self.alive[place].further(token, total, looks[place])
            if not text.over and len(alive) < manner.beam:
                places.append(place)
                alive.append(text)
            elif text.over and rank < manner.beam:
                self.found.append(text.written(manner))
        self.found = sorted(self.found, key=lambda one: -one.score)[: manner.beam]
        self.alive = [] if len(self.found) == manner.beam else alive
        return (places + [0] * manner.beam)[: manner.beam]

    def agreed(self, manner: Manner) -> list[tuple[int, Tensor]]:
        """What the best found and all that may yet be better begin with: tokens, and where they looked."""
        best = self.found[0].score if self.found else -math.inf
        hopeful = [text for text in self.alive if text.score(manner, manner.most) > best]
        rivals = [*((one.tokens, [*one.attention]) for one in self.found[:1])]
        rivals += [(text.tokens, [*text.looks]) for text in hopeful]
        if not rivals:
            return []
        alike = takewhile(
            lambda some: len(set(some)) == 1, zip(*(tokens for tokens, _ in rivals), strict=False)
        )
        return [(some[0], look) for some, look in zip(alike, rivals[0][1], strict=False)]
