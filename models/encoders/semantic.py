"""`semantic`: vectors of spans that tell how they sound and, beside it, in what company they are said.

What is said in like company means alike. Speech2Vec (Chung and Glass 2018) learns this from spoken words
whose boundaries are known, phonetic-and-semantic embedding (Chen et al. 2018) from vectors of how words
sound; here nothing is known but an archive's spans and their vectors, of which many overlap:

1. Spans as long as words are sorted into kinds by how they sound (spherical k-means).
2. It is counted how often a span of one kind comes soon before or after one of another, without overlap.
3. The counts give each kind a vector: skip-gram with negative sampling in its factorised form (Levy and
   Goldberg 2014), positive pointwise mutual information and its singular vectors.
4. A span's meaning is the mean of its nearest kinds' vectors, weighted by how near they are.

A span's vector is sound and meaning side by side, each of the same length, so that one index holds both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from torch import Tensor
from torch.nn.functional import normalize

from wordspot.models import artifact, registry
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.errors import BadInput
from wordspot.models.model import Model
from wordspot.models.registry import register

NAME = "semantic"
SHORTEST, LONGEST = 30, 90  # ticks of a span that may be a word
REACH = 300  # ticks behind a span's end within which its company begins
OVERLAP = 3  # ticks
SPANS_A_KIND = 40
MOST_KINDS = 4_000
FEWEST_SPANS = 1_000
ROUNDS = 10
CONTEXT_POWER = 0.75
AT_ONCE = 20_000
PAIRS_AT_ONCE = 4_000_000
HELD_OUT = 10  # every such recording judges
JUDGED = 20_000  # pairs

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SemanticConfig:
    """parent, parent_config: the encoder of how spans sound. sound: numbers of its vectors. kinds: of spans.
    meaning: numbers that say in what company they are. near: kinds that a span's meaning is made of;
    temperature: of their weights."""

    parent: str = "phonetic"
    parent_config: Mapping[str, Any] = field(default_factory=dict)
    sound: int = 64
    kinds: int = MOST_KINDS
    meaning: int = 64
    near: int = 5
    temperature: float = 0.03


@register(NAME)
class Semantic(SpanModel[SemanticConfig]):
    """The last `meaning_dimension` numbers of a vector are its meaning, those before it its sound."""

    Config = SemanticConfig

    def __init__(self, config: SemanticConfig) -> None:
        """Raises BadInput if the parent embeds no spans."""
        super().__init__(config)
        kind = registry.model_class(config.parent)
        if not issubclass(kind, SpanModel):
            raise BadInput(f"the parent {config.parent!r} does not embed spans of sound")
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.parent_config.items()
        }
        self.parent: SpanModel[Any] = kind(kind.Config(**values))
        self.ticks_per_frame = self.parent.ticks_per_frame  # type: ignore[misc]
        self.frame_dimension = self.parent.frame_dimension
        self.dimension = config.sound + config.meaning
        self.meaning_dimension = config.meaning
        self.centres: Tensor
        self.register_buffer("centres", torch.zeros(config.kinds, config.sound))
        self.meanings: Tensor
        self.register_buffer("meanings", torch.zeros(config.kinds, config.meaning))

    def features(self, waveform: Tensor) -> Tensor:
        return self.parent.features(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        return self.parent.normalise(regions)

    def freeze(self) -> None:
        self.parent.freeze()

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        return self._both(self.parent.embed(features, lengths, spans))

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.parent.frames(features, lengths)

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        sound, frames = self.parent.embed_with_frames(features, lengths, spans)
        return self._both(sound), frames

    def meaning(self, sound: Tensor) -> Tensor:
        """Unit rows (N, sound) to unit rows (N, meaning)."""
        likeness, nearest = (sound @ self.centres.T).topk(min(self.config.near, self.config.kinds), dim=1)
        weights = (likeness / self.config.temperature).softmax(dim=1)
        return normalize((weights[..., None] * self.meanings[nearest]).sum(dim=1), dim=1)

    def _both(self, sound: Tensor) -> Tensor:
        unit = normalize(sound, dim=1)
        return torch.cat([unit, self.meaning(unit)], dim=1)


@dataclass(frozen=True)
class Spans:
    """What an archive heard, in order of recording and start. vectors: float32 (N, D), of how they sound.
    recording: int64 (N,), rising. start, stop: int64 (N,), ticks from the recording's start."""

    vectors: Floats
    recording: Ints
    start: Ints
    stop: Ints

    def __len__(self) -> int:
        return len(self.vectors)

    def part(self, rows: NDArray[Any]) -> Spans:
        return Spans(self.vectors[rows], self.recording[rows], self.start[rows], self.stop[rows])

    def as_words(self) -> Spans:
        """Those as long as words, of unit length."""
        ticks = self.stop - self.start
        kept = self.part((ticks >= SHORTEST) & (ticks <= LONGEST))
        length = np.linalg.norm(kept.vectors, axis=1, keepdims=True).clip(1e-9)
        return Spans(kept.vectors / length, kept.recording, kept.start, kept.stop)


def learn(
    spans: Spans,
    parent: str,
    out: Path,
    *,
    home: Path | None = None,
    seed: int = 0,
    note: str = "",
    report: Callable[[str], None] = lambda stage: None,
) -> ArtifactCard:
    """Finds meanings for an archive's spans and writes the artifact, which holds the parent's weights too.

    spans: of vectors of the parent. parent: as registry.find takes it. note: what they were heard in, for the
    card. Raises UnknownModel, DamagedArtifact, BadInput.
    """
    listener, card = registry.load(parent, home)
    _check_parent(listener, card, spans)
    words = spans.as_words()
    judging = words.recording % HELD_OUT == 0
    known, held = words.part(~judging), words.part(judging)
    if len(known) < FEWEST_SPANS or not len(held):
        raise BadInput(
            f"{len(words):,} spans as long as words in {len(np.unique(words.recording)):,} recordings; "
            f"{FEWEST_SPANS:,} and {HELD_OUT} recordings are needed, a few minutes of speech"
        )
    kinds = min(MOST_KINDS, max(FEWEST_SPANS, len(known)) // SPANS_A_KIND)
    config = SemanticConfig(
        parent=card.model,
        parent_config=card.config,
        sound=spans.vectors.shape[1],
        kinds=kinds,
        meaning=min(SemanticConfig.meaning, kinds - 1),
    )
    model = Semantic(config)
    model.parent.load_state_dict(listener.state_dict())
    report(f"{len(known):,} spans into {kinds:,} kinds")
    model.centres.copy_(cluster(torch.from_numpy(known.vectors), kinds, seed))
    report("who is in whose company")
    counts = company(known, _kinds(torch.from_numpy(known.vectors), model.centres), kinds)
    report("meanings")
    model.meanings.copy_(torch.from_numpy(factorised(counts, config.meaning)))
    told = ArtifactCard(
        name=out.name,
        model=NAME,
        config={},
        weights_sha256="",
        description=f"How spans sound, as {card.name!r} hears it, and in what company they are said.",
        source="Chung and Glass 2018, Speech2Vec; Chen et al. 2018, Phonetic-and-semantic embedding of "
        "spoken words; Levy and Goldberg 2014, Neural word embedding as implicit matrix factorization",
        data={
            "note": note,
            "spans": len(known),
            "recordings": len(np.unique(known.recording)),
            "parent": {"name": card.name, "hash": card.hash},
        },
        supervision=f"none beside the parent's: {card.supervision}",
        scale="kinds of spans in the place of words whose boundaries are known; an archive in the place of "
        "the 500 hours of Speech2Vec",
        licence=card.licence,
        seed=seed,
        metrics=(judged(model, held, seed),),
        detection_threshold=card.detection_threshold,
    )
    return artifact.save(model, told, out, half=True)


def cluster(vectors: Tensor, kinds: int, seed: int) -> Tensor:
    """Centres, unit rows (kinds, D), of unit rows (N, D): spherical k-means (Dhillon and Modha 2001)."""
    rng = torch.Generator().manual_seed(seed)
    some = vectors[torch.randperm(len(vectors), generator=rng)[: SPANS_A_KIND * kinds]]
    centres = some[:kinds].clone()
    for _ in range(ROUNDS):
        own = _kinds(some, centres)
        sums = torch.zeros_like(centres).index_add_(0, own, some)
        # A kind that lost all its spans begins again with another's.
        empty = torch.bincount(own, minlength=kinds) == 0
        sums[empty] = some[torch.randint(len(some), (int(empty.sum()),), generator=rng)]
        centres = normalize(sums, dim=1)
    return centres


def company(spans: Spans, kind: Tensor, kinds: int) -> csr_matrix:
    """How often a span of one kind is soon before or after one of another, (kinds, kinds), symmetric.

    kind: int64 (N,), of each span.
    """
    labels = kind.numpy()
    # Recordings are laid far enough apart that nobody has company from another.
    apart = int(spans.stop.max()) + REACH + 1
    start, stop = (some + spans.recording * apart for some in (spans.start, spans.stop))
    first, last = np.searchsorted(start, stop - OVERLAP), np.searchsorted(start, stop + REACH)
    many = last - first
    found = csr_matrix((kinds, kinds), dtype=np.float32)
    at = 0
    while at < len(labels):
        end = at + max(1, int(np.searchsorted(many[at:].cumsum(), PAIRS_AT_ONCE)))
        ones = np.repeat(np.arange(at, min(end, len(labels))), many[at:end])
        begun = np.repeat(many[at:end].cumsum() - many[at:end], many[at:end])
        others = first[ones] + np.arange(len(ones)) - begun
        pair = np.ones(len(ones), np.float32), (labels[ones], labels[others])
        found += csr_matrix(pair, (kinds, kinds))
        at = end
    return (found + found.T).tocsr()


def factorised(counts: csr_matrix, dimension: int) -> Floats:
    """Vectors (kinds, dimension) whose products come near the positive mutual information of the counts."""
    own = np.asarray(counts.sum(axis=1)).ravel()
    context = own**CONTEXT_POWER
    pairs = counts.tocoo()
    expected = own[pairs.row] * context[pairs.col] / context.sum()
    information = np.log(pairs.data / expected)
    kept = information > 0
    positive = csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), counts.shape)
    left, values, _ = svds(positive.astype(np.float64), k=dimension, random_state=0)
    return np.asarray(left * np.sqrt(values), np.float32)


def judged(model: Semantic, held: Spans, seed: int) -> Metric:
    """How often a span of held-out recordings means more like one in its company than like any span.

    floor: chance; baseline: the same of how they sound.
    """
    rng = np.random.default_rng(seed)
    apart = int(held.stop.max()) + REACH + 1
    start, stop = (some + held.recording * apart for some in (held.start, held.stop))
    first, last = np.searchsorted(start, stop - OVERLAP), np.searchsorted(start, stop + REACH)
    ones = rng.permutation(np.flatnonzero(last > first))[:JUDGED]
    others = first[ones] + (rng.random(len(ones)) * (last - first)[ones]).astype(np.int64)
    anyone = rng.integers(0, len(held), len(ones))
    sound = torch.from_numpy(held.vectors)

    def right(rows: Tensor) -> float:
        near, far = ((rows[ones] * rows[some]).sum(dim=1) for some in (others, anyone))
        return float((near > far).double().mean() + (near == far).double().mean() / 2)

    meaning = torch.cat([model.meaning(part) for part in torch.split(sound, AT_ONCE)])
    return Metric("company", right(meaning), floor=0.5, baseline=right(sound))


def _kinds(vectors: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre of each, int64 (N,)."""
    return torch.cat([(part @ centres.T).argmax(dim=1) for part in torch.split(vectors, AT_ONCE)])


def _check_parent(listener: Model[Any], card: ArtifactCard, spans: Spans) -> None:
    if not isinstance(listener, SpanModel) or isinstance(listener, Semantic):
        raise BadInput(f"{card.name!r} is a {card.model}; an encoder of how spans sound is allowed")
    if card.model == "whisper":
        raise BadInput(f"{card.name!r} needs weights from outside; an encoder that holds its own is allowed")
    if listener.dimension != spans.vectors.shape[1]:
        raise BadInput(
            f"vectors of {spans.vectors.shape[1]} numbers; {listener.dimension}, as {card.name!r} makes "
            "them, are allowed"
        )
