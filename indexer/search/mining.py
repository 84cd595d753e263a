"""Spoken term discovery: stretches of an archive that probably hold the same words, without labels.

    spans as long as words -> hits in other recordings (vectors, then DTW) -> mutual pairs -> clusters

Each seed, a span of the table, is a query (`Finder`) with its stored vector and frames, so that nothing is
embedded. A hit counts if it lies in another recording, since hits within one recording resemble the speaker
and the room rather than the word; if it scores well; and if, as a query itself, it finds the seed (mutual
nearest neighbours). Clusters are the connected components of such pairs.

Every seed costs a search, so the cost grows with the number of seeds. The defaults were chosen by the share
of pairs with a common word in annotated archives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import Hit, SearchOptions, to_tick
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.query import EmbeddedQuery
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.vectors.protocol import normalised

Ints = NDArray[np.int64]

MIN_SEED_TICKS, MAX_SEED_TICKS = 35, 100
MIN_OVERLAP = 0.5  # intersection over union of two stretches that count as the same place
COPY_DISTANCE = 0.02  # cosine distance below which a third of the frames of a copy, as stored, recurs


@dataclass(frozen=True)
class MiningSettings:
    """Settings of mining.

    Attributes:
        seeds: spans that are searched for at most.
        candidates: of the first stage of each search.
        places: best hits of a seed that it may be paired with.
        score: least score of a pair in both directions.
        max_cluster_size: stretches of a cluster, the best.
        max_pairs_per_recordings: pairs of the same two recordings.
        seed: of the random choice of seeds.

    Raises:
        InvalidInput: if a value is out of range.
    """

    seeds: int = 3_000
    candidates: int = 64
    places: int = 4
    score: float = 5.5
    max_cluster_size: int = 8
    max_pairs_per_recordings: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("seeds", "candidates", "places", "max_pairs_per_recordings"):
            if (value := getattr(self, name)) < 1:
                raise InvalidInput(f"{name} must be at least 1, got {value}")
        if self.max_cluster_size < 2:
            raise InvalidInput(f"max_cluster_size must be at least 2, got {self.max_cluster_size}")


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording, within one region.

    Attributes:
        recording: ordinal of the recording.
        region: ordinal of the region.
        start: first tick from the recording's start.
        stop: one past the last tick.
    """

    recording: int
    region: int
    start: int
    stop: int

    def coincides_with(self, other: Stretch) -> bool:
        """Returns whether both overlap by at least MIN_OVERLAP."""
        intersection = min(self.stop, other.stop) - max(self.start, other.start)
        union = max(self.stop, other.stop) - min(self.start, other.start)
        return self.region == other.region and intersection >= MIN_OVERLAP * union


@dataclass(frozen=True)
class StretchPair:
    """Two stretches of different recordings of which each is a hit of the other.

    Attributes:
        first: of the recording with the smaller ordinal.
        second: of the other recording.
        score: of the worse direction.
    """

    first: Stretch
    second: Stretch
    score: float


@dataclass(frozen=True)
class MiningResult:
    """The result of mining.

    Attributes:
        clusters: of two stretches or more, of two recordings or more; no place is in two clusters.
        pairs: that connect the clusters, best first.
        seeds: spans that were searched for.
    """

    clusters: tuple[tuple[Stretch, ...], ...]
    pairs: tuple[StretchPair, ...]
    seeds: int


def mine(
    view: ArchiveView,
    settings: MiningSettings | None = None,
    progress: Callable[[int, int], None] = lambda count, total: None,
) -> MiningResult:
    """Returns the stretches that probably hold the same words. Same view and settings give the same result.

    Args:
        view: to mine.
        settings: None for the defaults.
        progress: called with the numbers of seeds that were searched for and of all seeds.
    """
    settings = settings or MiningSettings()
    search = _SeedSearch(view, settings)
    drawn_seeds = seeds(view, settings)
    pairs: list[StretchPair] = []
    for count, seed in enumerate(drawn_seeds, 1):
        pairs += search.pairs(seed)
        progress(count, len(drawn_seeds))
    distinct_pairs = tuple(_distinct_pairs(pairs, settings))
    return MiningResult(clusters(distinct_pairs, settings.max_cluster_size), distinct_pairs, len(drawn_seeds))


def seeds(view: ArchiveView, settings: MiningSettings) -> list[Stretch]:
    """Returns random spans as long as words that do not overlap, about as many of each recording."""
    rng = np.random.default_rng(settings.seed)
    alive = np.flatnonzero(view.alive)
    rng.shuffle(alive)
    sources = [_random_stretches(view, int(number), settings.seeds, rng) for number in alive]
    selected: list[Stretch] = []
    while sources and len(selected) < settings.seeds:
        for source in list(sources):
            seed = next(source, None)
            if seed is None:
                sources.remove(source)
            elif len(selected) < settings.seeds:
                selected.append(seed)
    return sorted(selected, key=lambda seed: (seed.region, seed.start))


def _random_stretches(
    view: ArchiveView, recording: int, count: int, rng: np.random.Generator
) -> Iterator[Stretch]:
    ((first, last),) = view.span_ranges([recording])
    # Of long recordings a random part is enough to draw from.
    spans = np.sort(rng.choice(last - first, min(last - first, 64 * count), replace=False)) + first
    region, start, stop = view.span_extents(spans)
    eligible = np.flatnonzero((stop - start >= MIN_SEED_TICKS) & (stop - start <= MAX_SEED_TICKS))
    selected: dict[int, list[Stretch]] = {}
    for row in rng.permutation(eligible).tolist():
        stretch = Stretch(recording, int(region[row]), int(start[row]), int(stop[row]))
        same_region = selected.setdefault(stretch.region, [])
        if not any(min(stretch.stop, other.stop) > max(stretch.start, other.start) for other in same_region):
            same_region.append(stretch)
            yield stretch


class _SeedSearch:
    """Searches a view with its own stretches as queries."""

    def __init__(self, view: ArchiveView, settings: MiningSettings) -> None:
        self._view, self._settings = view, settings
        self._finder = Finder(SearchSettings(candidates=settings.candidates))
        self._ordinals = {entry.id: number for number, entry in enumerate(view.recordings)}
        self._places_by_stretch: dict[Stretch, list[tuple[Stretch, float]]] = {}

    def pairs(self, seed: Stretch) -> Iterator[StretchPair]:
        """Yields the seed paired with each place of which it is a hit in turn."""
        for place, score in self._places(seed):
            reverse_score = next(
                (reverse for other, reverse in self._places(place) if other.coincides_with(seed)), None
            )
            if reverse_score is not None and not self._is_copy(seed, place):
                yield StretchPair(seed, place, min(score, reverse_score))

    def _places(self, stretch: Stretch) -> list[tuple[Stretch, float]]:
        """Returns the best places in other recordings with their scores."""
        if stretch not in self._places_by_stretch:
            options = SearchOptions(
                top=self._settings.places,
                min_score=self._settings.score,
                include_undetected=True,
                excluded=frozenset({self._view.recordings[stretch.recording].id}),
            )
            hits = self._finder.find(self._view, self._query(stretch), options).hits
            self._places_by_stretch[stretch] = [(self._stretch(hit), hit.score) for hit in hits]
        return self._places_by_stretch[stretch]

    def _query(self, stretch: Stretch) -> EmbeddedQuery:
        view, ticks = self._view, stretch.stop - stretch.start
        return EmbeddedQuery(
            encoder=view.encoder.hash,
            vectors=normalised(view.span_vectors(np.array([self._nearest_span(stretch)]))),
            offsets=np.zeros(1, np.int64),
            piece=ticks,
            frames=self._frames(stretch),
            start=0,
            stop=ticks,
        )

    def _frames(self, stretch: Stretch) -> NDArray[np.float32]:
        return normalised(self._view.region_frames(stretch.region, stretch.start, stretch.stop))

    def _nearest_span(self, stretch: Stretch) -> int:
        """Returns the span of the region with the largest intersection over union with the stretch."""
        spans = np.arange(*self._view.region_span[stretch.region : stretch.region + 2])
        _, start, stop = self._view.span_extents(spans)
        intersection = np.minimum(stop, stretch.stop) - np.maximum(start, stretch.start)
        union = np.maximum(stop, stretch.stop) - np.minimum(start, stretch.start)
        return int(spans[np.argmax(intersection / union)])

    def _stretch(self, hit: Hit) -> Stretch:
        recording = self._ordinals[hit.recording]
        start, stop = to_tick(hit.start), to_tick(hit.end)
        first, last = np.searchsorted(self._view.region_recording, (recording, recording + 1))
        begins = self._view.region_start[first:last]
        return Stretch(recording, int(first + np.searchsorted(begins, start, side="right") - 1), start, stop)

    def _is_copy(self, stretch: Stretch, other: Stretch) -> bool:
        distance = 1 - self._frames(stretch) @ self._frames(other).T
        return bool(np.quantile(distance.min(axis=1), 1 / 3) < COPY_DISTANCE)


def _distinct_pairs(pairs: Sequence[StretchPair], settings: MiningSettings) -> Iterator[StretchPair]:
    """Yields the pairs, best first, each pair of places once, and few of the same two recordings."""
    counts: Counter[tuple[int, int]] = Counter()
    yielded: dict[tuple[int, int], list[StretchPair]] = {}
    order = sorted(pairs, key=lambda pair: (-pair.score, pair.first.region, pair.first.start))
    for pair in order:
        if pair.first.recording > pair.second.recording:
            pair = replace(pair, first=pair.second, second=pair.first)
        recordings = pair.first.recording, pair.second.recording
        repeated = any(
            pair.first.coincides_with(other.first) and pair.second.coincides_with(other.second)
            for other in yielded.get(recordings, ())
        )
        if not repeated and counts[recordings] < settings.max_pairs_per_recordings:
            counts[recordings] += 1
            yielded.setdefault(recordings, []).append(pair)
            yield pair


def clusters(pairs: Iterable[StretchPair], max_cluster_size: int) -> tuple[tuple[Stretch, ...], ...]:
    """Returns the connected components of the pairs, in order of place.

    Stretches that exceed the size of a cluster are in no other cluster, as one word would become two.

    Args:
        pairs: best first.
        max_cluster_size: stretches of a cluster, the first of the pairs' order.
    """
    numbers: dict[int, list[tuple[Stretch, int]]] = {}  # by region
    stretches: list[Stretch] = []
    parent: list[int] = []

    def number_of(stretch: Stretch) -> int:
        same_region = numbers.setdefault(stretch.region, [])
        number = next((number for place, number in same_region if place.coincides_with(stretch)), None)
        if number is not None:
            return number
        same_region.append((stretch, len(stretches)))
        parent.append(len(stretches))
        stretches.append(stretch)
        return parent[-1]

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for pair in pairs:
        smaller, larger = sorted(root(number_of(stretch)) for stretch in (pair.first, pair.second))
        parent[larger] = smaller
    components: dict[int, list[Stretch]] = {}
    for number, stretch in enumerate(stretches):  # in order of the pairs
        components.setdefault(root(number), []).append(stretch)
    largest = [component[:max_cluster_size] for component in components.values()]
    return tuple(
        tuple(sorted(component, key=lambda stretch: (stretch.region, stretch.start)))
        for component in largest
        if len({stretch.recording for stretch in component}) > 1
    )
