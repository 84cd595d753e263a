"""Several spoken examples of one word, asked as one query.

    outcome = find_together(finder, view, examples, SearchOptions(top=10))

Each example is searched by itself, then places that overlap become one hit, with the extent of the best of
them. Scores count deviations above random places, so those of several examples compare: a place's score is
their mean, to which an example that did not find the place adds `floor`; rivals are brought to their usual
score by the examples' mean handicap. Each is asked for all places above the floor, so that what it leaves
out it should like no better.

On the development archive, 47 words with two or three examples by speakers who are not in it, encoder
`phonetic`, the words alone: MAP .222 for one example at a time, .277 for the best of the scores, .295 for
their mean; marked in their sentences .229, .297 and .338. Floors of 0 and 1.5 change that by at most .011; a
depth of 3,000 gives .305 and .343.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.dtw import disjoint
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import Hit, SearchOptions, to_tick
from wordspot.indexer.search import MOST_HITS, EmbeddedQuery, Finder, SearchOutcome
from wordspot.indexer.view import ArchiveView

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FusionSettings:
    """floor: the score of places that an example did not find. depth: places to ask each example for; more
    where more hits are asked for."""

    floor: float = 1.0
    depth: int = 1_000

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= MOST_HITS:
            raise InvalidInput(f"a depth of {self.depth}; allowed are 1 to {MOST_HITS}")
        if not np.isfinite(self.floor):
            raise InvalidInput(f"a floor of {self.floor}; a finite score is allowed")


def find_together(
    finder: Finder,
    view: ArchiveView,
    examples: Sequence[EmbeddedQuery],
    options: SearchOptions | None = None,
    settings: FusionSettings | None = None,
) -> SearchOutcome:
    """Places that resemble the examples, best first; ties by recording id and start.

    One example is answered as Finder.find does. The outcome's `compared` is that of the first example.
    Raises InvalidInput if there is no example, and what Finder.find raises, before anything is searched.
    """
    options, settings = options or SearchOptions(), settings or FusionSettings()
    if not examples:
        raise InvalidInput("a query of 0 examples; 1 or more are allowed")
    for example in examples:
        finder.check(view, example, options)
    if len(examples) == 1:
        return finder.find(view, examples[0], options)
    asked = replace(
        options, top=max(options.top, settings.depth), min_score=settings.floor, include_undetected=True
    )
    # A handicap of its own for each example would let those of few rivals outvote the others.
    outcomes = [finder.find(view, example, asked, level=False) for example in examples]
    threshold = outcomes[0].threshold
    handicap = float(np.mean([outcome.handicap for outcome in outcomes]))
    lowest = -np.inf if options.include_undetected else threshold
    if options.min_score is not None:
        lowest = max(lowest, options.min_score)
    hits = [
        replace(hit, score=round(hit.score + handicap, 3))
        for hit in fused([outcome.hits for outcome in outcomes], settings.floor)
    ]
    kept = [replace(hit, detected=hit.score >= threshold) for hit in hits if hit.score >= lowest]
    return replace(outcomes[0], hits=tuple(kept[: options.top]), handicap=handicap)


def fused(found: Sequence[Sequence[Hit]], floor: float) -> list[Hit]:
    """One hit for each place that any example found, best first; ties by recording id and start.

    found: the hits of each example. Of places that share more than half of the shorter one the best gives
    the extent; each example adds its best score among them, or `floor`. `detected` is left as it was.
    """
    hits = [hit for of_one in found for hit in of_one]
    if not hits:
        return []
    example = np.repeat(np.arange(len(found)), [len(of_one) for of_one in found])
    names = np.array([hit.recording for hit in hits])
    order = np.argsort(names, kind="stable")
    # From here on every array is in the order of recordings.
    hits, example = [hits[n] for n in order], example[order]
    groups = np.append(np.unique(names[order], return_index=True)[1], len(hits)).astype(np.int64)
    start = np.array([to_tick(hit.start) for hit in hits], dtype=np.int64)
    stop = np.array([to_tick(hit.end) for hit in hits], dtype=np.int64)
    score = np.array([hit.score for hit in hits], dtype=np.float64)
    chosen = disjoint(-score.astype(np.float32), start, stop, groups)
    place = _owners(chosen, start, stop, groups)
    scores = np.full((len(chosen), len(found)), floor, dtype=np.float64)  # (places, examples)
    np.maximum.at(scores, (place, example), score)
    together = scores.mean(axis=1).round(3)
    merged = [
        replace(hits[n], score=value) for n, value in zip(chosen.tolist(), together.tolist(), strict=True)
    ]
    return sorted(merged, key=lambda hit: (-hit.score, hit.recording, hit.start))


def _owners(chosen: Ints, start: Ints, stop: Ints, groups: Ints) -> Ints:
    """Which of the chosen (c,) each stretch (n,) belongs to: that of its group with which it shares most.

    Of the chosen only the two whose middles are next to the stretch's own are looked at.
    """
    group = np.repeat(np.arange(len(groups) - 1), np.diff(groups)) << 32
    middle = group + start + stop
    order = np.argsort(middle[chosen], kind="stable")
    after = np.searchsorted(middle[chosen][order], middle, side="right")
    left = order[(after - 1).clip(min=0)]
    right = order[after.clip(max=len(order) - 1)]

    def shared(place: Ints) -> Ints:
        low = np.maximum((group + start)[chosen][place], group + start)
        common: Ints = np.minimum((group + stop)[chosen][place], group + stop) - low
        return common

    nearest: Ints = np.where(shared(left) >= shared(right), left, right)
    return nearest
