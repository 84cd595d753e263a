"""How the map of `whisper` and `ssl` learns: words by two speakers come together, other words apart.

Supervised contrastive loss (Khosla et al., "Supervised Contrastive Learning", 2020, eq. 2) on the vectors and
on the frames pooled in five parts, so that frames compare as well as vectors do; and phones are read off the
frames, by a head that is not kept. Half of the words come from acted English speech, half from synthetic
speech in many languages. Of the acted ones the second token has often been cut out of its sentence before the
large network heard it, as queries are.
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from wordspot.models.datasets.states import FRAMES_PER_SECOND, States
from wordspot.models.encoders.frame_map import FrameMap, MapConfig, MappedSpanModel
from wordspot.models.encoders.pooled import part_means
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model

NO_PHONE = -1
FINE_PARTS = 5
FINE_WEIGHT = 0.7
PHONE_WEIGHT = 0.5
PHONE_SHARPNESS = 8.0
FIRST_SCALE = 2.5  # logarithm of the inverse temperature
HELD_OUT = 12  # one word in so many is for validation
MARGIN_FRAMES = 10
JITTER = 0.06  # standard deviation of a span's edges, in its own length
SHARE_ALONE = 0.6
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Token:
    """A word said once: frames [start, stop) of a cut, fractions allowed.

    place: what tells this utterance of the word from every other, the same for all cuts of it.
    """

    cut: int
    start: float
    stop: float
    speaker: str
    place: str


Tokens = Mapping[str, Sequence[Token]]


@dataclass(frozen=True)
class Corpus:
    """whitened: states as FrameMap.whiten gives them. tokens: by word.

    phones: int64 (T,), the phone of each row or NO_PHONE; None where no phones are known.
    """

    whitened: States
    tokens: Tokens
    phones: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Pairs:
    """Spans of words, rows 2i and 2i + 1 of one word by two speakers.

    whitened float32 (B, T, W), zero beyond a row's end; start, stop float64 (B,) in frames; word int64 (B,);
    phones int64 (B, T).
    """

    whitened: Tensor
    start: Tensor
    stop: Tensor
    word: Tensor
    phones: Tensor

    def to(self, device: str) -> Pairs:
        return Pairs(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class PairBatch:
    """One set of pairs a corpus; words are told apart within a set only."""

    sets: tuple[Pairs, ...]

    def to(self, device: str) -> PairBatch:
        return PairBatch(tuple(pairs.to(device) for pairs in self.sets))


class MapTraining(Model[MapConfig]):
    """The model whose map is to learn, with the parts that only training needs."""

    def __init__(self, model: MappedSpanModel[Any], phones: int) -> None:
        super().__init__(model.config)
        self.model = model
        self.phones = nn.Linear(model.frame_dimension, max(phones, 1))
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE))
        self.fine_scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def loss(self, player: str, batch: PairBatch, rng: Generator) -> Loss:
        value = self.scale.new_zeros(())
        figures: dict[str, float] = defaultdict(float)
        for pairs in batch.sets:
            frames = normalize(self.model.map.mapped(pairs.whitened), dim=2)
            rows = torch.arange(len(frames), device=frames.device)
            fine = part_means(frames, rows, pairs.start, pairs.stop, FINE_PARTS)
            terms = {
                "words": contrast(self.vectors(frames, pairs), pairs.word, self.scale.exp()),
                "fine": FINE_WEIGHT * contrast(normalize(fine, dim=1), pairs.word, self.fine_scale.exp()),
            }
            known = pairs.phones != NO_PHONE
            if bool(known.any()):
                guessed = self.phones(PHONE_SHARPNESS * frames[known])
                terms["phones"] = PHONE_WEIGHT * cross_entropy(guessed, pairs.phones[known])
            for name, term in terms.items():
                value = value + term
                figures[name] += float(term.detach())
        return Loss(value, dict(figures))

    def vectors(self, frames: Tensor, pairs: Pairs) -> Tensor:
        """Unit vectors (B, dimension) of the spans in frames (B, T, frame_dimension)."""
        rows = torch.arange(len(frames), device=frames.device)
        return normalize(self.model.pool(frames, rows, pairs.start, pairs.stop), dim=1)


def contrast(unit: Tensor, word: Tensor, scale: Tensor) -> Tensor:
    """Supervised contrastive loss of unit rows (B, D), of which at least two share each word (B,)."""
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    likeness = (unit @ unit.T * scale).masked_fill(itself, -1e4).log_softmax(dim=1)
    same = (word[:, None] == word) & ~itself
    return -((likeness * same).sum(dim=1) / same.sum(dim=1)).mean()


class PairData:
    """Batches for the trainer: `words` words out of each corpus, two tokens each.

    acted, synthetic: in context. alone: the acted words, cut out before they were heard.
    Raises BadInput if a corpus has no word by two speakers to train on or to validate with.
    """

    def __init__(
        self,
        acted: Corpus,
        alone: Corpus,
        synthetic: Corpus,
        seed: int,
        *,
        words: tuple[int, int] = (64, 48),
        validation_batches: int = 4,
    ) -> None:
        self._corpora = (acted, synthetic)
        self._alone = alone
        self._seed = seed
        self._words = words
        self._validation_batches = validation_batches
        self._training = [vocabulary(corpus.tokens, held_out=False) for corpus in self._corpora]
        self._held_out = [vocabulary(corpus.tokens, held_out=True) for corpus in self._corpora]

    def batch(self, step: int) -> PairBatch:
        return self._draw(self._training, np.random.default_rng([self._seed, 0, step]))

    def validation(self) -> list[PairBatch]:
        rngs = [np.random.default_rng([self._seed, 1, number]) for number in range(self._validation_batches)]
        return [self._draw(self._held_out, rng) for rng in rngs]

    def _draw(self, vocabularies: Sequence[Sequence[str]], rng: np.random.Generator) -> PairBatch:
        sets = []
        for corpus, known, count in zip(self._corpora, vocabularies, self._words, strict=True):
            chosen = rng.choice(len(known), min(count, len(known)), replace=False)
            alone = self._alone if corpus is self._corpora[0] else None
            sets.append(draw_pairs(corpus, alone, [known[number] for number in chosen], rng))
        return PairBatch(tuple(sets))


def vocabulary(tokens: Tokens, *, held_out: bool) -> list[str]:
    """Words by two speakers or more, in order; by its hash a word is held out or not. Raises BadInput."""
    words = [
        word
        for word, said in sorted(tokens.items())
        if (zlib.crc32(word.encode()) % HELD_OUT == 0) is held_out and len({one.speaker for one in said}) > 1
    ]
    if not words:
        raise BadInput(
            f"of {len(tokens)} words none of two speakers to {'validate' if held_out else 'train'}"
        )
    return words


def draw_pairs(corpus: Corpus, alone: Corpus | None, words: Iterable[str], rng: np.random.Generator) -> Pairs:
    """Two tokens of each word by different speakers, the second often out of `alone`, if there is one."""
    rows: list[tuple[Tensor, Tensor]] = []
    edges: list[tuple[float, float]] = []
    labels: list[int] = []
    for label, word in enumerate(words):
        first, second = draw_tokens(corpus.tokens[word], rng)
        drawn = [(corpus, first, MARGIN_FRAMES), (corpus, second, MARGIN_FRAMES)]
        if alone is not None and rng.random() < SHARE_ALONE:
            others = [one for one in alone.tokens.get(word, ()) if one.speaker != first.speaker]
            if others:
                cut = others[int(rng.integers(len(others)))]
                drawn[1] = (alone, cut, alone.whitened.length(cut.cut))
        for source, token, margin in drawn:
            whitened, phones, start, stop = _crop(source, token, margin)
            rows.append((whitened, phones))
            edges.append(_jittered(start, stop, len(whitened), rng))
            labels.append(label)
    pad = nn.utils.rnn.pad_sequence
    bounds = torch.tensor(edges, dtype=torch.float64)
    return Pairs(
        pad([whitened for whitened, _ in rows], batch_first=True),
        bounds[:, 0],
        bounds[:, 1],
        torch.tensor(labels),
        pad([phones for _, phones in rows], batch_first=True, padding_value=NO_PHONE),
    )


def draw_tokens(said: Sequence[Token], rng: np.random.Generator) -> tuple[Token, Token]:
    """Any token, and one by another speaker."""
    first = said[int(rng.integers(len(said)))]
    others = [one for one in said if one.speaker != first.speaker]
    return first, others[int(rng.integers(len(others)))]


def whiten(states: States, network_map: FrameMap) -> States:
    """The same rows (T, states) as the map wants them, (T, whitened), at half precision."""
    rows = np.empty((len(states.rows), network_map.whitening.shape[1]), np.float16)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = torch.from_numpy(states.rows[first : first + ROWS_AT_ONCE].astype(np.float32))
        rows[first : first + ROWS_AT_ONCE] = network_map.whiten(part).numpy()
    return replace(states, rows=rows)


def phone_rows(
    states: States, phones: Mapping[str, Sequence[tuple[str, float, float]]]
) -> tuple[NDArray[np.int64], int]:
    """The phone of each row (T,), NO_PHONE where none is known, and how many kinds there are.

    phones: by the cuts' names, with start and end in seconds.
    """
    kinds = {
        name: kind for kind, name in enumerate(sorted({p for said in phones.values() for p, _, _ in said}))
    }
    rows = np.full(len(states.rows), NO_PHONE, np.int64)
    for cut, name in enumerate(states.names):
        here = rows[states.bounds[cut] : states.bounds[cut + 1]]
        for phone, start, end in phones.get(name, ()):
            # Ticks are halved as integers, so that a phone's end is the next one's start.
            first, last = (round(seconds * 2 * FRAMES_PER_SECOND) // 2 for seconds in (start, end))
            here[first:last] = kinds[phone]
    return rows, len(kinds)


@torch.no_grad()
def average_precision(training: MapTraining, batches: Sequence[PairBatch]) -> float:
    """Of all pairs of spans within each set, the alike first: how well one word's come before others'."""
    values = []
    for batch in batches:
        for pairs in batch.sets:
            frames = normalize(training.model.map.mapped(pairs.whitened), dim=2)
            unit = training.vectors(frames, pairs)
            one, two = torch.triu_indices(len(unit), len(unit), 1)
            right = (pairs.word[one] == pairs.word[two])[(unit @ unit.T)[one, two].argsort(descending=True)]
            ranks = torch.arange(1, len(right) + 1)
            values.append(float((right.cumsum(0) / ranks)[right].mean()))
    return math.fsum(values) / len(values)


def _crop(corpus: Corpus, token: Token, margin: int) -> tuple[Tensor, Tensor, float, float]:
    """Rows and phones of a token and what surrounds it, and where it starts and stops among them."""
    states = corpus.whitened
    first = max(0, int(token.start) - margin)
    last = min(states.length(token.cut), math.ceil(token.stop) + margin)
    begin = int(states.bounds[token.cut])
    rows = slice(begin + first, begin + last)
    whitened = torch.from_numpy(states.rows[rows].astype(np.float32))
    known = corpus.phones
    phones = np.full(len(whitened), NO_PHONE, np.int64) if known is None else known[rows]
    return whitened, torch.from_numpy(phones), token.start - first, token.stop - first


def _jittered(start: float, stop: float, length: int, rng: np.random.Generator) -> tuple[float, float]:
    size = stop - start
    moved = start + rng.normal(0, JITTER) * size, stop + rng.normal(0, JITTER) * size
    return max(0.0, moved[0]), min(float(length), moved[1])
