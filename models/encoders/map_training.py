"""Training of the map of `whisper` and `ssl`: supervised contrastive learning on words by two speakers.

The supervised contrastive loss (Khosla et al., "Supervised Contrastive Learning", 2020, eq. 2) is taken on
the vectors and on the frames pooled in five parts, so that frames compare as well as vectors do; beside it
phones are classified from the frames, by a head that is no part of the artifact. Half of the words come from
acted English speech, half from synthetic speech in many languages. Of the acted ones the second token has
often been cut out of its sentence before the large network encoded it, as queries are.
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
from wordspot.models.encoders.losses import supervised_contrastive_loss
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
ISOLATED_SHARE = 0.6  # of the acted pairs, whose second token was cut out
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Token:
    """One utterance of a word: frames [start, stop) of a cut.

    Attributes:
        cut: Number of the cut.
        start: First frame, fractions allowed.
        stop: Where it ends, in frames, fractions allowed.
        speaker: Unique within the corpus.
        place: Unique for the utterance, the same for all cuts that hold it.
    """

    cut: int
    start: float
    stop: float
    speaker: str
    place: str


WordTokens = Mapping[str, Sequence[Token]]


@dataclass(frozen=True)
class WhitenedCorpus:
    """The states of a large network to learn from.

    Attributes:
        whitened: States as FrameMap.whiten gives them.
        tokens: By word.
        phones: int64 (T,), the phone of each row or NO_PHONE; None where no phones are known.
    """

    whitened: States
    tokens: WordTokens
    phones: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class TokenPairs:
    """Spans of words, rows 2i and 2i + 1 of one word by two speakers.

    Attributes:
        whitened: float32 (B, T, W), zero beyond a row's end.
        start: float64 (B,), in frames.
        stop: float64 (B,), in frames.
        word: int64 (B,), the label.
        phones: int64 (B, T), or NO_PHONE.
    """

    whitened: Tensor
    start: Tensor
    stop: Tensor
    word: Tensor
    phones: Tensor

    def to(self, device: str) -> TokenPairs:
        """Returns the pairs on a device."""
        return TokenPairs(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class TokenPairBatch:
    """One set of pairs a corpus; words are contrasted within a set only."""

    sets: tuple[TokenPairs, ...]

    def to(self, device: str) -> TokenPairBatch:
        """Returns the batch on a device."""
        return TokenPairBatch(tuple(pairs.to(device) for pairs in self.sets))


class MapTraining(Model[MapConfig]):
    """The model whose map is to learn, with the parts that only training needs."""

    def __init__(self, model: MappedSpanModel[Any], phones: int) -> None:
        super().__init__(model.config)
        self.model = model
        self.phones = nn.Linear(model.frame_dimension, max(phones, 1))
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE))
        self.fine_scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def loss(self, player: str, batch: TokenPairBatch, rng: Generator) -> Loss:
        value = self.scale.new_zeros(())
        figures: dict[str, float] = defaultdict(float)
        for pairs in batch.sets:
            frames = normalize(self.model.map.mapped(pairs.whitened), dim=2)
            rows = torch.arange(len(frames), device=frames.device)
            fine = part_means(frames, rows, pairs.start, pairs.stop, FINE_PARTS)
            terms = {
                "words": supervised_contrastive_loss(
                    self.vectors(frames, pairs), pairs.word, self.scale.exp()
                ),
                "fine": FINE_WEIGHT
                * supervised_contrastive_loss(normalize(fine, dim=1), pairs.word, self.fine_scale.exp()),
            }
            labelled = pairs.phones != NO_PHONE
            if bool(labelled.any()):
                logits = self.phones(PHONE_SHARPNESS * frames[labelled])
                terms["phones"] = PHONE_WEIGHT * cross_entropy(logits, pairs.phones[labelled])
            for name, term in terms.items():
                value = value + term
                figures[name] += float(term.detach())
        return Loss(value, dict(figures))

    def vectors(self, frames: Tensor, pairs: TokenPairs) -> Tensor:
        """Returns unit vectors (B, dimension) of the spans in frames (B, T, frame_dimension)."""
        rows = torch.arange(len(frames), device=frames.device)
        return normalize(self.model.pool(frames, rows, pairs.start, pairs.stop), dim=1)


class TokenPairData:
    """Batches for the trainer: words out of each corpus, two tokens each.

    Args:
        acted: Acted words in their sentences.
        isolated: The acted words, cut out before the large network encoded them.
        synthetic: Synthetic words in their sentences.
        seed: Of what is random; equal arguments and steps give equal batches.
        words: How many of the acted and of the synthetic words a batch holds.
        validation_batches: How many batches validate.

    Raises:
        BadInput: A corpus has no word by two speakers to train on or to validate with.
    """

    def __init__(
        self,
        acted: WhitenedCorpus,
        isolated: WhitenedCorpus,
        synthetic: WhitenedCorpus,
        seed: int,
        *,
        words: tuple[int, int] = (64, 48),
        validation_batches: int = 4,
    ) -> None:
        self._corpora = (acted, synthetic)
        self._isolated = isolated
        self._seed = seed
        self._words = words
        self._validation_batches = validation_batches
        self._training = [vocabulary(corpus.tokens, held_out=False) for corpus in self._corpora]
        self._held_out = [vocabulary(corpus.tokens, held_out=True) for corpus in self._corpora]

    def batch(self, step: int) -> TokenPairBatch:
        """Returns the pairs of a step, drawn by the step's number."""
        return self._draw(self._training, np.random.default_rng([self._seed, 0, step]))

    def validation(self) -> list[TokenPairBatch]:
        """Returns the same draws of the held-out part every time."""
        rngs = [np.random.default_rng([self._seed, 1, number]) for number in range(self._validation_batches)]
        return [self._draw(self._held_out, rng) for rng in rngs]

    def _draw(self, vocabularies: Sequence[Sequence[str]], rng: np.random.Generator) -> TokenPairBatch:
        sets = []
        for corpus, words, count in zip(self._corpora, vocabularies, self._words, strict=True):
            chosen = rng.choice(len(words), min(count, len(words)), replace=False)
            isolated = self._isolated if corpus is self._corpora[0] else None
            sets.append(draw_pairs(corpus, isolated, [words[number] for number in chosen], rng))
        return TokenPairBatch(tuple(sets))


def vocabulary(tokens: WordTokens, *, held_out: bool) -> list[str]:
    """Returns the words by two speakers or more, in order, that are held out for validation or are not, which
    a word's hash decides. Raises BadInput where there are none."""
    words = [
        word
        for word, utterances in sorted(tokens.items())
        if (zlib.crc32(word.encode()) % HELD_OUT == 0) is held_out
        and len({token.speaker for token in utterances}) > 1
    ]
    if not words:
        raise BadInput(
            f"none of {len(tokens):,} words is by two speakers and to {'validate' if held_out else 'train'}; "
            "at least one is needed"
        )
    return words


def draw_pairs(
    corpus: WhitenedCorpus, isolated: WhitenedCorpus | None, words: Iterable[str], rng: np.random.Generator
) -> TokenPairs:
    """Draws two tokens of each word by two speakers, the second often out of `isolated` if there is one."""
    rows: list[tuple[Tensor, Tensor]] = []
    edges: list[tuple[float, float]] = []
    labels: list[int] = []
    for label, word in enumerate(words):
        first, second = draw_tokens(corpus.tokens[word], rng)
        drawn = [(corpus, first, MARGIN_FRAMES), (corpus, second, MARGIN_FRAMES)]
        if isolated is not None and rng.random() < ISOLATED_SHARE:
            others = [token for token in isolated.tokens.get(word, ()) if token.speaker != first.speaker]
            if others:
                cut = others[int(rng.integers(len(others)))]
                drawn[1] = (isolated, cut, isolated.whitened.length(cut.cut))
        for source, token, margin in drawn:
            whitened, phones, start, stop = _crop(source, token, margin)
            rows.append((whitened, phones))
            edges.append(_jittered(start, stop, len(whitened), rng))
            labels.append(label)
    pad = nn.utils.rnn.pad_sequence
    bounds = torch.tensor(edges, dtype=torch.float64)
    return TokenPairs(
        pad([whitened for whitened, _ in rows], batch_first=True),
        bounds[:, 0],
        bounds[:, 1],
        torch.tensor(labels),
        pad([phones for _, phones in rows], batch_first=True, padding_value=NO_PHONE),
    )


def draw_tokens(tokens: Sequence[Token], rng: np.random.Generator) -> tuple[Token, Token]:
    """Draws a token, and one by another speaker."""
    first = tokens[int(rng.integers(len(tokens)))]
    others = [token for token in tokens if token.speaker != first.speaker]
    return first, others[int(rng.integers(len(others)))]


def whiten(states: States, network_map: FrameMap) -> States:
    """Returns the states whitened by the map, rows (T, whitened) at half precision."""
    rows = np.empty((len(states.rows), network_map.whitening.shape[1]), np.float16)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = torch.from_numpy(states.rows[first : first + ROWS_AT_ONCE].astype(np.float32))
        rows[first : first + ROWS_AT_ONCE] = network_map.whiten(part).numpy()
    return replace(states, rows=rows)


def phone_rows(
    names: Sequence[str],
    bounds: NDArray[np.int64],
    phones: Mapping[str, Sequence[tuple[str, float, float]]],
) -> tuple[NDArray[np.int64], int]:
    """Returns the phone of each row (T,), NO_PHONE where none is known, and how many kinds there are.

    names: of the cuts. bounds: int64 (cuts + 1,), of their rows, 20 ms each. phones: by the cuts' names, with
    start and end in seconds.
    """
    inventory = sorted({phone for timed in phones.values() for phone, _, _ in timed})
    kinds = {name: kind for kind, name in enumerate(inventory)}
    rows = np.full(bounds[-1], NO_PHONE, np.int64)
    for cut, name in enumerate(names):
        cut_rows = rows[bounds[cut] : bounds[cut + 1]]
        for phone, start, end in phones.get(name, ()):
            # Ticks are halved as integers, so that a phone's end is the next one's start.
            first, last = (round(seconds * 2 * FRAMES_PER_SECOND) // 2 for seconds in (start, end))
            cut_rows[first:last] = kinds[phone]
    return rows, len(kinds)


@torch.no_grad()
def average_precision(training: MapTraining, batches: Sequence[TokenPairBatch]) -> float:
    """Returns the average precision of the same-different task (Carlin et al., Interspeech 2011),
    in which cosine similarity ranks the pairs of spans; mean over the sets."""
    values = []
    for batch in batches:
        for pairs in batch.sets:
            frames = normalize(training.model.map.mapped(pairs.whitened), dim=2)
            unit = training.vectors(frames, pairs)
            first, second = torch.triu_indices(len(unit), len(unit), 1)
            order = (unit @ unit.T)[first, second].argsort(descending=True)
            relevant = (pairs.word[first] == pairs.word[second])[order]
            ranks = torch.arange(1, len(relevant) + 1)
            values.append(float((relevant.cumsum(0) / ranks)[relevant].mean()))
    return math.fsum(values) / len(values)


def _crop(corpus: WhitenedCorpus, token: Token, margin: int) -> tuple[Tensor, Tensor, float, float]:
    """Returns rows and phones of a token and what surrounds it, and where it starts and stops among them."""
    states = corpus.whitened
    first = max(0, int(token.start) - margin)
    last = min(states.length(token.cut), math.ceil(token.stop) + margin)
    begin = int(states.bounds[token.cut])
    rows = slice(begin + first, begin + last)
    whitened = torch.from_numpy(states.rows[rows].astype(np.float32))
    phones = np.full(len(whitened), NO_PHONE, np.int64)
    if corpus.phones is not None:
        phones = corpus.phones[rows]
    return whitened, torch.from_numpy(phones), token.start - first, token.stop - first


def _jittered(start: float, stop: float, length: int, rng: np.random.Generator) -> tuple[float, float]:
    size = stop - start
    moved = start + rng.normal(0, JITTER) * size, stop + rng.normal(0, JITTER) * size
    return max(0.0, moved[0]), min(float(length), moved[1])
