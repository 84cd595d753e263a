"""Search: from an embedded query to hits.

    query = embed_query(trim(samples, segmenter, interval), embedder)
    outcome = Finder(SearchSettings()).find(view, query, SearchOptions(top=10))

First stage: the spans nearest to the query's vectors among those of similar length (candidates.py). Second
stage: the stretches around them, aligned with the query frame by frame (reranking.py). A score counts
standard deviations below the cost of random stretches of the same archive for the same query
(normalisation.py), and is calibrated to a probability (calibration.py).
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.limits import MAX_CANDIDATES, MAX_HITS, MAX_STREAMS
from wordspot.indexer.records import TICKS_PER_SECOND, Hit, Mode, SearchOptions, to_seconds
from wordspot.indexer.search.background import Background
from wordspot.indexer.search.calibration import Decision, decide
from wordspot.indexer.search.candidates import nearest_candidates
from wordspot.indexer.search.normalisation import impostor_rank, query_shift, short_archive_shift
from wordspot.indexer.search.places import Places, distinct_places
from wordspot.indexer.search.query import EmbeddedQuery
from wordspot.indexer.search.recordings import RecordingTable
from wordspot.indexer.search.reranking import places_by_alignment, places_by_similarity
from wordspot.indexer.search.settings import DEFAULT_THRESHOLD, SearchSettings

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search.

    Attributes:
        hits: best first.
        compared: start and end of the word in the query's audio, in seconds.
        threshold: the score from which a hit is detected, where `p_threshold` is None.
        score_shift: the query-specific shift of normalisation.py, which the hits' scores include unless the
            search left it out.
        p_threshold: the P(correct) from which a hit is detected; None where P is a guess.
        seconds: of audio that was searched.
        measured: signals (hits, len(MEASURED)) that P is estimated from; None for places that were not
            aligned.
    """

    hits: tuple[Hit, ...]
    compared: tuple[float, float]
    threshold: float
    score_shift: float = 0.0
    p_threshold: float | None = None
    seconds: float = 0.0
    measured: Doubles | None = field(default=None, compare=False)


@dataclass(frozen=True)
class _ViewStatistics:
    """What all searches derive from a view.

    Attributes:
        recordings: which of them a search covers, and in what order equal hits come.
        background: random windows and spans.
    """

    recordings: RecordingTable
    background: Background


class Finder:
    """Searches views. Safe to use from several threads; keeps no view alive."""

    def __init__(self, settings: SearchSettings | None = None) -> None:
        self._settings = settings or SearchSettings()
        self._statistics: dict[int, _ViewStatistics] = {}

    def find(
        self,
        view: ArchiveView,
        query: EmbeddedQuery,
        options: SearchOptions | None = None,
        *,
        shifted: bool = True,
    ) -> SearchOutcome:
        """Returns the places most like the query, best first; equals in order of recording and start.

        Args:
            view: to search.
            query: embedded by the view's encoder.
            options: None for the defaults.
            shifted: whether scores include the query-specific shift; if not, the caller adds it.

        Raises:
            InvalidInput: if top, min_score or channel is out of range.
            NotFound: if a recording to search is not in the view, or none has the channel by itself.
            FailedPrecondition: if the query was embedded by another encoder than the view.
        """
        options = options or SearchOptions()
        self.check(view, query, options)
        statistics = self._statistics_of(view)
        allowed = statistics.recordings.allowed_spans(view, options)
        seconds = statistics.recordings.searched_seconds(view, options)
        compared = to_seconds(query.start), to_seconds(query.stop)
        outcome = SearchOutcome((), compared, self._threshold(query), seconds=seconds)
        depth = max(self._settings.candidates_of(view.spans), options.top)
        while True:
            candidates = nearest_candidates(view, query, allowed, min(depth, view.spans))
            if not len(candidates.region):
                return outcome
            places = distinct_places(view, self._places(view, statistics, query, candidates))
            shift = self._shift(statistics, query, options, places.score)
            decision = decide(
                query.calibration if self._settings.threshold is None else None,
                places.score,
                shift=shift,
                threshold=outcome.threshold,
                measured=places.measured,
                examples=1,
                seconds=seconds,
            )
            # Rounded so that equal sounds tie, whichever block of a matrix product they fell into.
            score = (places.score + shift * shifted).round(3)
            eligible = np.ones(len(score), np.bool_) if options.include_undetected else decision.detected
            if options.min_score is not None:
                eligible = eligible & (score >= options.min_score)
            complete = len(score) >= options.top or not eligible.all()
            exhausted = len(candidates.region) < depth or depth == MAX_CANDIDATES
            if complete or exhausted:
                selected, hits = _hits(
                    view, statistics.recordings.rank, places, score, decision, eligible, options.top
                )
                measured = None if places.measured is None else places.measured[selected]
                return replace(
                    outcome, hits=hits, score_shift=shift, p_threshold=decision.p_threshold, measured=measured
                )
            depth = min(4 * depth, MAX_CANDIDATES)

    def check(self, view: ArchiveView, query: EmbeddedQuery, options: SearchOptions) -> None:
        """Raises what `find` raises, except NotFound."""
        if not 1 <= options.top <= MAX_HITS:
            raise InvalidInput(f"top must be between 1 and {MAX_HITS:,}, got {options.top}")
        if options.min_score is not None and math.isnan(options.min_score):
            raise InvalidInput("min_score must be a number, got nan")
        if not 0 <= options.channel <= MAX_STREAMS:
            raise InvalidInput(f"channel must be between 0 and {MAX_STREAMS}, got {options.channel}")
        if query.encoder != view.encoder.hash:
            raise FailedPrecondition(
                f"the query was embedded by encoder {query.encoder[:12]}, the archive by {view.encoder.name} "
                f"({view.encoder.hash[:12]}); both must be the same"
            )

    def _aligns(self, query: EmbeddedQuery) -> bool:
        return self._settings.rerank and query.mode is Mode.SOUND

    def _threshold(self, query: EmbeddedQuery) -> float:
        if self._settings.threshold is not None:
            return self._settings.threshold
        return DEFAULT_THRESHOLD if query.threshold is None else query.threshold

    def _statistics_of(self, view: ArchiveView) -> _ViewStatistics:
        key = id(view)
        statistics = self._statistics.get(key)
        if statistics is None:
            recordings = RecordingTable(view)
            background = Background(view, self._settings, recordings.rank)
            statistics = self._statistics[key] = _ViewStatistics(recordings, background)
            weakref.finalize(view, self._statistics.pop, key, None).atexit = False
        return statistics

    def _places(
        self,
        view: ArchiveView,
        statistics: _ViewStatistics,
        query: EmbeddedQuery,
        candidates: Places[np.float32],
    ) -> Places[np.float64]:
        if self._aligns(query):
            return places_by_alignment(view, statistics.background, query, candidates, self._settings)
        return places_by_similarity(view, statistics.background, query, candidates)

    def _shift(
        self, statistics: _ViewStatistics, query: EmbeddedQuery, options: SearchOptions, score: Doubles
    ) -> float:
        """Returns what to add to all scores (n,) of the query; see normalisation.py."""
        if not self._aligns(query):
            return 0.0
        rank = impostor_rank(statistics.recordings.speech_ticks(options))
        if rank:
            return query_shift(score, rank)
        return short_archive_shift(statistics.recordings.speech_ticks())


def _hits(
    view: ArchiveView,
    rank: Ints,
    places: Places[np.float64],
    score: Doubles,
    decision: Decision,
    eligible: NDArray[np.bool_],
    top: int,
) -> tuple[Ints, tuple[Hit, ...]]:
    """Returns the indexes (hits,) of the places that become hits, and the hits, detected ones first.

    Args:
        view: that was searched.
        rank: int64 (recordings,), the order of recordings for equal scores.
        places: (n,).
        score: (n,), as the hits show it.
        decision: of the places.
        eligible: bool (n,), which places may become hits.
        top: hits at most.
    """
    recording = view.region_recording[places.region]
    order = np.lexsort((places.start, rank[recording], -score, ~decision.detected))
    order = order[eligible[order]][:top]
    return order, tuple(
        Hit(
            entry.id,
            entry.path,
            start,
            end,
            value,
            detected,
            probability,
            stream.named_channel,
            stream.track,
            missing=entry.missing,
        )
        for entry, stream, start, end, value, detected, probability in zip(
            (view.recordings[n] for n in recording[order]),
            map(view.stream, places.region[order].tolist()),
            (places.start[order] / TICKS_PER_SECOND).tolist(),
            (places.stop[order] / TICKS_PER_SECOND).tolist(),
            score[order].tolist(),
            decision.detected[order].tolist(),
            decision.probability[order].round(4).tolist(),
            strict=True,
        )
    )
