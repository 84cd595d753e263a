"""Fusion: several spoken examples of one word as one query.

    outcome = find_by_examples(finder, view, examples, SearchOptions(top=10))

Each example is searched separately; then places that overlap become one hit, with the extent of the best of
them. Scores are normalised, so those of several examples compare: a place's score is their mean, in which an
example without a hit at the place counts as `floor`, plus the mean of the examples' query-specific shifts.
Each search returns all places above the floor, so that a place it lacks scores no better than the floor.

On the development archive, 47 words with two or three examples by speakers who are not in it, encoder
`phonetic`, isolated words: MAP .222 for one example at a time, .277 for the best of the scores, .295 for
their mean; words marked in their sentences .229, .297 and .338. Floors of 0 and 1.5 change that by at most
.011; a depth of 3,000 gives .305 and .343.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.limits import MAX_HITS
from wordspot.indexer.records import Hit, SearchOptions, to_tick
from wordspot.indexer.search.calibration import Decision, decide, mean_signals
from wordspot.indexer.search.dtw import disjoint
from wordspot.indexer.search.finder import Finder, SearchOutcome
from wordspot.indexer.search.query import EmbeddedQuery

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FusionSettings:
    """Settings of a search with several examples.

    Attributes:
        floor: score of an example at places where it has no hit.
        depth: hits of each example at most, more where more hits are requested.

    Raises:
        InvalidInput: if a value is out of range.
    """

    floor: float = 1.0
    depth: int = 1_000

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= MAX_HITS:
            raise InvalidInput(f"depth must be between 1 and {MAX_HITS:,}, got {self.depth}")
        if not np.isfinite(self.floor):
            raise InvalidInput(f"floor must be finite, got {self.floor}")


def find_by_examples(
    finder: Finder,
    view: ArchiveView,
    examples: Sequence[EmbeddedQuery],
    options: SearchOptions | None = None,
    settings: FusionSettings | None = None,
) -> SearchOutcome:
    """Returns the places that resemble the examples, best first; ties by recording id and start.

    A single example gives what Finder.find gives. The outcome's `compared` is that of the first example.

    Args:
        finder: that searches.
        view: to search.
        examples: embedded by the view's encoder; one or more.
        options: None for the defaults.
        settings: None for the defaults.

    Raises:
        InvalidInput: if there is no example.
        ArchiveError: what Finder.find raises, before anything is searched.
    """
    options, settings = options or SearchOptions(), settings or FusionSettings()
    if not examples:
        raise InvalidInput("a query must have at least 1 example, got 0")
    for example in examples:
        finder.check(view, example, options)
    if len(examples) == 1:
        return finder.find(view, examples[0], options)
    example_options = replace(
        options, top=max(options.top, settings.depth), min_score=settings.floor, include_undetected=True
    )
    # With a shift of its own each, examples with few impostors would outweigh the others.
    outcomes = [finder.find(view, example, example_options, shifted=False) for example in examples]
    first = outcomes[0]
    shift = float(np.mean([outcome.score_shift for outcome in outcomes]))
    hits, measured = fuse(
        [outcome.hits for outcome in outcomes], settings.floor, [outcome.measured for outcome in outcomes]
    )
    score = np.array([hit.score for hit in hits], dtype=np.float64)
    decision = decide(
        examples[0].calibration if first.p_threshold is not None else None,
        score,
        shift=shift,
        threshold=first.threshold,
        measured=measured,
        examples=len(examples),
        seconds=first.seconds,
    )
    calibrated = _calibrated_hits(hits, decision, shift)
    selected = _selected_hits(calibrated, options)
    return replace(
        first,
        hits=tuple(calibrated[number] for number in selected),
        score_shift=shift,
        p_threshold=decision.p_threshold,
        measured=None if measured is None else measured[selected],
    )


def _selected_hits(hits: Sequence[Hit], options: SearchOptions) -> list[int]:
    """Returns the indexes of the hits that the options request, detected ones first."""
    return [
        number
        for number in sorted(range(len(hits)), key=lambda number: not hits[number].detected)
        if (hits[number].detected or options.include_undetected)
        and (options.min_score is None or hits[number].score >= options.min_score)
    ][: options.top]


def fuse(
    rankings: Sequence[Sequence[Hit]],
    floor: float,
    measured: Sequence[NDArray[np.float64] | None] = (),
) -> tuple[list[Hit], NDArray[np.float64] | None]:
    """Merges rankings: one hit for each place in any of them, best first; ties by recording id and start.

    Of hits that share more than half of the shorter one the best gives the extent; each example adds its best
    score among them, or the floor. `detected` and `p_correct` do not change.

    Args:
        rankings: the hits of each example.
        floor: score of an example at places where it has no hit.
        measured: signals (n, len(MEASURED)) of the hits of each example.

    Returns:
        The hits, and the mean signals (hits, len(MEASURED)) of each; None if an example has no signals.
    """
    hits = [hit for ranking in rankings for hit in ranking]
    tables = [table for table in measured if table is not None]
    complete = len(tables) == len(rankings)
    if not hits:
        return [], np.concatenate(tables) if complete else None
    example = np.repeat(np.arange(len(rankings)), [len(ranking) for ranking in rankings])
    recordings = np.array([hit.recording for hit in hits])
    order = np.argsort(recordings, kind="stable")
    # From here on every array is in the order of recordings.
    hits, example = [hits[n] for n in order], example[order]
    groups = np.append(np.unique(recordings[order], return_index=True)[1], len(hits)).astype(np.int64)
    start = np.array([to_tick(hit.start) for hit in hits], dtype=np.int64)
    stop = np.array([to_tick(hit.end) for hit in hits], dtype=np.int64)
    score = np.array([hit.score for hit in hits], dtype=np.float64)
    representatives = disjoint(-score.astype(np.float32), start, stop, groups)
    place = _nearest_places(representatives, start, stop, groups)
    scores = np.full((len(representatives), len(rankings)), floor, dtype=np.float64)  # (places, examples)
    np.maximum.at(scores, (place, example), score)
    mean_scores = scores.mean(axis=1).round(3)
    merged = [
        replace(hits[n], score=value)
        for n, value in zip(representatives.tolist(), mean_scores.tolist(), strict=True)
    ]
    best_first = sorted(
        range(len(merged)), key=lambda n: (-merged[n].score, merged[n].recording, merged[n].start)
    )
    signals = None
    if complete:
        signals = mean_signals(place, len(representatives), np.concatenate(tables)[order])[best_first]
    return [merged[n] for n in best_first], signals


def _calibrated_hits(hits: Sequence[Hit], decision: Decision, shift: float) -> list[Hit]:
    return [
        replace(hit, score=round(hit.score + shift, 3), detected=detected, p_correct=round(probability, 4))
        for hit, detected, probability in zip(
            hits, decision.detected.tolist(), decision.probability.tolist(), strict=True
        )
    ]


def _nearest_places(representatives: Ints, start: Ints, stop: Ints, groups: Ints) -> Ints:
    """Returns for each stretch (n,) which of the representatives (c,) of its group shares most.

    Only the two representatives whose middles are nearest to the stretch's are compared.
    """
    group = np.repeat(np.arange(len(groups) - 1), np.diff(groups)) << 32
    middle = group + start + stop
    order = np.argsort(middle[representatives], kind="stable")
    after = np.searchsorted(middle[representatives][order], middle, side="right")
    left = order[(after - 1).clip(min=0)]
    right = order[after.clip(max=len(order) - 1)]

    def shared(place: Ints) -> Ints:
        low = np.maximum((group + start)[representatives][place], group + start)
        common: Ints = np.minimum((group + stop)[representatives][place], group + stop) - low
        return common

    nearest: Ints = np.where(shared(left) >= shared(right), left, right)
    return nearest
