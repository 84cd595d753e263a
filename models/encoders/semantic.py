"""`semantic`: vectors of spans that tell how they sound and, beside it, in what contexts they occur.

What occurs in similar contexts means similar things (the distributional hypothesis; Harris 1954). Speech2Vec
(Chung and Glass 2018) learns this from spoken words whose boundaries are known, phonetic-and-semantic
embedding (Chen et al. 2018) from acoustic embeddings of words; here nothing is known but an archive's spans
and their vectors, of which many overlap:

1. Spans as long as words are clustered by how they sound (spherical k-means).
2. Co-occurrences are counted: a span of one cluster that comes soon before or after one of another, without
   overlap.
3. The counts give each cluster a vector: skip-gram with negative sampling in its factorised form (Levy and
   Goldberg 2014), positive pointwise mutual information and its singular vectors.
4. A span's meaning is the mean of its nearest clusters' vectors, weighted by how near they are.

A span's vector is sound and meaning side by side, each of the same length, so that one index holds both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from torch import Tensor
from torch.nn.functional import normalize

from wordspot.models import artifact, registry
from wordspot.models.artifact import ArtifactCard, Metric, TrainingRecord
from wordspot.models.encoders.archive_spans import ArchiveSpans, Floats, Ints
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.errors import BadInput
from wordspot.models.model import Model
from wordspot.models.recipe import Recipe, Report, recipe
from wordspot.models.registry import register

NAME = "semantic"
CONTEXT_TICKS = 300  # behind a span's end, within which those in its context begin
MAX_OVERLAP_TICKS = 3
SPANS_A_CLUSTER = 40
MAX_CLUSTERS = 4_000
MIN_SPANS = 1_000
ROUNDS = 10
CONTEXT_POWER = 0.75
ROWS_AT_ONCE = 20_000
PAIRS_AT_ONCE = 4_000_000
HELD_OUT = 10  # every such recording validates
MAX_VALIDATION_PAIRS = 20_000


@dataclass(frozen=True)
class SemanticConfig:
    """The shape of the model.

    Attributes:
        parent: Registered class of the acoustic encoder.
        parent_config: Its configuration.
        sound: Dimensions of its vectors.
        kinds: Clusters of spans.
        meaning: Semantic dimensions.
        near: How many of the nearest clusters a span's meaning is the mean of.
        temperature: Of the softmax of their weights.
    """

    parent: str = "transformer"
    parent_config: Mapping[str, Any] = field(default_factory=dict)
    sound: int = 64
    kinds: int = MAX_CLUSTERS
    meaning: int = 64
    near: int = 5
    temperature: float = 0.03


@register(NAME)
class Semantic(SpanModel[SemanticConfig]):
    """An acoustic encoder whose vectors have semantic dimensions at their end."""

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
        self.semantic_dimensions = config.meaning
        self.query_padding = self.parent.query_padding
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
        return self._with_meaning(self.parent.embed(features, lengths, spans))

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.parent.frames(features, lengths)

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        sound, frames = self.parent.embed_with_frames(features, lengths, spans)
        return self._with_meaning(sound), frames

    def meaning(self, sound: Tensor) -> Tensor:
        """Returns the meanings, unit rows (N, meaning), of acoustic vectors, unit rows (N, sound)."""
        similarity, nearest = (sound @ self.centres.T).topk(min(self.config.near, self.config.kinds), dim=1)
        weights = (similarity / self.config.temperature).softmax(dim=1)
        return normalize((weights[..., None] * self.meanings[nearest]).sum(dim=1), dim=1)

    def _with_meaning(self, sound: Tensor) -> Tensor:
        unit = normalize(sound, dim=1)
        return torch.cat([unit, self.meaning(unit)], dim=1)


def learn(
    spans: ArchiveSpans,
    parent: str,
    out: Path,
    *,
    home: Path | None = None,
    seed: int = 0,
    note: str = "",
    report: Callable[[str], None] = lambda stage: None,
) -> ArtifactCard:
    """Learns meanings from an archive's spans and writes the artifact, which holds the parent's weights too.

    Args:
        spans: With vectors of the parent.
        parent: The acoustic encoder, as registry.find takes it.
        out: The artifact's folder, whose name is the artifact's.
        home: State folder (WORDSPOT_HOME), where the parent is looked for beside those that ship.
        seed: Of what is random.
        note: What the spans are from, for the card.
        report: Called with the name of each stage.

    Raises:
        UnknownModel, DamagedArtifact: The parent cannot be loaded.
        BadInput: The parent does not fit the vectors, or there are too few spans.
    """
    acoustic, card = registry.load(parent, home)
    _check_parent(acoustic, card, spans)
    words = spans.as_words()
    is_validation = words.recording % HELD_OUT == 0
    training, validation = words.select(~is_validation), words.select(is_validation)
    if len(training) < MIN_SPANS or not len(validation):
        raise BadInput(
            f"{len(words):,} spans as long as words in {len(np.unique(words.recording)):,} recordings; "
            f"{MIN_SPANS:,} and {HELD_OUT} recordings are needed, a few minutes of speech"
        )
    clusters = min(MAX_CLUSTERS, max(MIN_SPANS, len(training)) // SPANS_A_CLUSTER)
    config = SemanticConfig(
        parent=card.model,
        parent_config=card.config,
        sound=spans.vectors.shape[1],
        kinds=clusters,
        meaning=min(SemanticConfig.meaning, clusters - 1),
    )
    model = Semantic(config)
    model.parent.load_state_dict(acoustic.state_dict())
    report(f"clustering {len(training):,} spans into {clusters:,} clusters")
    vectors = torch.from_numpy(training.vectors)
    model.centres.copy_(spherical_k_means(vectors, clusters, seed))
    report("counting co-occurrences")
    counts = cooccurrences(training, _nearest_centre(vectors, model.centres), clusters)
    report("factorising mutual information")
    model.meanings.copy_(torch.from_numpy(factorised(counts, config.meaning)))
    metric = context_accuracy(model, validation, seed)
    return artifact.save(model, _record(out.name, card, training, note, seed, metric), out, half=True)


def _record(
    name: str, parent: ArtifactCard, spans: ArchiveSpans, note: str, seed: int, metric: Metric
) -> TrainingRecord:
    return TrainingRecord(
        name=name,
        description=f"How spans sound, as {parent.name!r} embeds them, and in what contexts they occur.",
        source="Chung and Glass 2018, Speech2Vec; Chen et al. 2018, Phonetic-and-semantic embedding of "
        "spoken words; Levy and Goldberg 2014, Neural word embedding as implicit matrix factorization",
        data={
            "note": note,
            "spans": len(spans),
            "recordings": len(np.unique(spans.recording)),
            "parent": {"name": parent.name, "hash": parent.hash},
        },
        supervision=f"none beside the parent's: {parent.supervision}",
        scale="clusters of spans in the place of words whose boundaries are known; an archive in the place "
        "of the 500 hours of Speech2Vec",
        licence=parent.licence,
        seed=seed,
        metrics=(metric,),
        detection_threshold=parent.detection_threshold,
        calibration=parent.calibration,
    )


@dataclass(frozen=True)
class SemanticRecipe(Recipe):
    """Learns from the spans of an indexed archive, in one go.

    Attributes:
        spans: As `learn` takes them and `of_archive` sets them.
        parent: As `learn` takes it.
        note: As `learn` takes it.
    """

    spans: ArchiveSpans | None = None
    parent: str = ""
    note: str = ""

    needs_archive = True

    def of_own(self, folder: Path) -> Recipe:
        raise BadInput(f"{NAME} learns from an indexed archive in one go; --data {folder} is not allowed")

    def of_archive(self, spans: ArchiveSpans, parent: str, note: str) -> SemanticRecipe:
        return replace(self, spans=spans, parent=parent, note=note)

    def train(
        self,
        home: Path,
        out: Path,
        *,
        resume: bool = False,
        seed: int = 0,
        steps: int | None = None,
        minutes: float | None = None,
        device: str = "cpu",
        report: Report = lambda progress: None,
    ) -> ArtifactCard:
        if resume or (steps, minutes) != (None, None):
            raise BadInput(f"{NAME} learns from an indexed archive in one go; no budget is allowed")
        if self.spans is None:
            raise BadInput(f"{NAME} learns from an indexed archive; --archive is needed")
        return learn(self.spans, self.parent, out, home=home, seed=seed, note=self.note)


recipe(
    SemanticRecipe(
        NAME,
        NAME,
        None,
        "How spans sound, as their encoder embeds them, and in what contexts they occur.",
        "Chung and Glass 2018, Speech2Vec; Chen et al. 2018, Phonetic-and-semantic embedding of spoken words",
    )
)


def spherical_k_means(vectors: Tensor, clusters: int, seed: int) -> Tensor:
    """Returns centres, unit rows (clusters, D), of unit rows (N, D) (Dhillon and Modha 2001)."""
    rng = torch.Generator().manual_seed(seed)
    sample = vectors[torch.randperm(len(vectors), generator=rng)[: SPANS_A_CLUSTER * clusters]]
    centres = sample[:clusters].clone()
    for _ in range(ROUNDS):
        nearest = _nearest_centre(sample, centres)
        sums = torch.zeros_like(centres).index_add_(0, nearest, sample)
        # An empty cluster begins again with a random span.
        empty = torch.bincount(nearest, minlength=clusters) == 0
        sums[empty] = sample[torch.randint(len(sample), (int(empty.sum()),), generator=rng)]
        centres = normalize(sums, dim=1)
    return centres


def cooccurrences(spans: ArchiveSpans, cluster: Tensor, clusters: int) -> csr_matrix:
    """Counts how often a span of one cluster is in the context of one of another.

    cluster: int64 (N,), of each span. Returns (clusters, clusters), symmetric.
    """
    labels = cluster.numpy()
    first, last = _contexts(spans)
    sizes = last - first
    counts = csr_matrix((clusters, clusters), dtype=np.float32)
    at = 0
    while at < len(labels):
        end = at + max(1, int(np.searchsorted(sizes[at:].cumsum(), PAIRS_AT_ONCE)))
        targets = np.repeat(np.arange(at, min(end, len(labels))), sizes[at:end])
        offsets = np.repeat(sizes[at:end].cumsum() - sizes[at:end], sizes[at:end])
        contexts = first[targets] + np.arange(len(targets)) - offsets
        pairs = np.ones(len(targets), np.float32), (labels[targets], labels[contexts])
        counts += csr_matrix(pairs, (clusters, clusters))
        at = end
    return (counts + counts.T).tocsr()


def _contexts(spans: ArchiveSpans) -> tuple[Ints, Ints]:
    """Returns for each span the rows [first, last) of those that follow in its context, each int64 (N,)."""
    # Recordings are laid so far apart that no context reaches into another.
    distance = int(spans.stop.max()) + CONTEXT_TICKS + 1
    start, stop = (edge + spans.recording * distance for edge in (spans.start, spans.stop))
    first = np.searchsorted(start, stop - MAX_OVERLAP_TICKS)
    return first, np.searchsorted(start, stop + CONTEXT_TICKS)


def factorised(counts: csr_matrix, dimension: int) -> Floats:
    """Returns vectors (clusters, dimension) whose inner products approximate the positive pointwise mutual
    information of the counts, smoothed as in Levy, Goldberg and Dagan 2015."""
    frequency = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = frequency**CONTEXT_POWER
    pairs = counts.tocoo()
    expected = frequency[pairs.row] * smoothed[pairs.col] / smoothed.sum()
    information = np.log(pairs.data / expected)
    is_positive = information > 0
    entries = (information[is_positive], (pairs.row[is_positive], pairs.col[is_positive]))
    positive = csr_matrix(entries, counts.shape)
    left, values, _ = svds(positive.astype(np.float64), k=dimension, random_state=0)
    return np.asarray(left * np.sqrt(values), np.float32)


def context_accuracy(model: Semantic, validation: ArchiveSpans, seed: int) -> Metric:
    """Measures how often a span of held-out recordings is more similar in meaning to one in its context than
    to a random one.

    floor: chance; baseline: the same of how they sound.
    """
    rng = np.random.default_rng(seed)
    first, last = _contexts(validation)
    targets = rng.permutation(np.flatnonzero(last > first))[:MAX_VALIDATION_PAIRS]
    contexts = first[targets] + (rng.random(len(targets)) * (last - first)[targets]).astype(np.int64)
    random = rng.integers(0, len(validation), len(targets))
    sound = torch.from_numpy(validation.vectors)

    def accuracy(rows: Tensor) -> float:
        near, far = ((rows[targets] * rows[others]).sum(dim=1) for others in (contexts, random))
        return float((near > far).double().mean() + (near == far).double().mean() / 2)

    meaning = torch.cat([model.meaning(part) for part in torch.split(sound, ROWS_AT_ONCE)])
    return Metric("context_accuracy", accuracy(meaning), floor=0.5, baseline=accuracy(sound))


def _nearest_centre(vectors: Tensor, centres: Tensor) -> Tensor:
    """Returns the nearest centre of each vector, int64 (N,)."""
    return torch.cat([(part @ centres.T).argmax(dim=1) for part in torch.split(vectors, ROWS_AT_ONCE)])


def _check_parent(parent: Model[Any], card: ArtifactCard, spans: ArchiveSpans) -> None:
    if not isinstance(parent, SpanModel) or isinstance(parent, Semantic):
        raise BadInput(f"{card.name!r} is a {card.model}; an encoder of how spans sound is allowed")
    if card.model == "whisper":
        raise BadInput(f"{card.name!r} needs weights from outside; an encoder that holds its own is allowed")
    if parent.dimension != spans.vectors.shape[1]:
        raise BadInput(
            f"vectors of {spans.vectors.shape[1]} numbers; {parent.dimension}, as {card.name!r} makes "
            "them, are allowed"
        )
