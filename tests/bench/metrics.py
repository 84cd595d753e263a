"""How spoken term detection is judged.

A query is answered by a ranked list of places. A place is right when its midpoint lies within half a
second of an occurrence that no better place has taken (NIST, Spoken Term Detection 2006 evaluation plan,
section 4.1; here the assignment goes down the ranking, so that it does not depend on a threshold). All
figures are means over the queries of a keyword, then over keywords.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE_S = 0.5
BETA = 999.9
TRIALS_PER_SECOND = 1.0

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Stretches of recordings. recordings: int64 (n,), ordinals; starts, ends: float64 (n,), seconds."""

    recordings: Ints
    starts: Floats
    ends: Floats

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, rows: Ints | Flags) -> Places:
        return Places(self.recordings[rows], self.starts[rows], self.ends[rows])


@dataclass(frozen=True)
class Detections:
    """What a system answers, best first.

    scores: float64 (n,), never rising. detected: bool (n,), the system's own decision.
    """

    places: Places
    scores: Floats
    detected: Flags

    def __post_init__(self) -> None:
        if np.any(np.diff(self.scores) > 0):
            rank = int(np.argmax(np.diff(self.scores) > 0))
            raise ValueError(
                f"scores must not rise, got {self.scores[rank : rank + 2]} at ranks {rank}, {rank + 1}"
            )

    def without(self, recordings: Collection[int]) -> Detections:
        """The ranking of all other recordings."""
        keep = ~np.isin(self.places.recordings, list(recordings))
        return Detections(self.places[keep], self.scores[keep], self.detected[keep])


@dataclass(frozen=True)
class Judged:
    """One query's ranking, judged.

    right: bool (n,), by rank. relevant: occurrences in the archive, retrieved or not.
    right_files: bool (f,), the files of the ranking by their best place; relevant_files: those with an
    occurrence. seconds: archive that was searched.
    """

    keyword: str
    right: Flags
    scores: Floats
    detected: Flags
    relevant: int
    right_files: Flags
    relevant_files: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """intervals: of the figures by their names, 95 %, by bootstrap over keywords."""

    queries: int
    keywords: int
    map: float
    intervals: dict[str, tuple[float, float]]
    file_map: float
    p10: float
    pn: float
    mtwv: float
    mtwv_threshold: float
    atwv: float


def match(detections: Places, truth: Places) -> Ints:
    """Which occurrence each place takes, best place first, -1 for none; int64 (n,).

    Among several free occurrences in reach the one with the nearest midpoint is taken.
    """
    taken = np.full(len(detections), -1, dtype=np.int64)
    middles = (detections.starts + detections.ends) / 2
    # (n, m): seconds from a place's midpoint to an occurrence's stretch, infinite across recordings.
    away = np.maximum(truth.starts[None, :] - middles[:, None], middles[:, None] - truth.ends[None, :])
    reach = (away <= TOLERANCE_S) & (detections.recordings[:, None] == truth.recordings[None, :])
    apart = np.abs(middles[:, None] - (truth.starts + truth.ends)[None, :] / 2)
    free = np.ones(len(truth), dtype=np.bool_)
    for rank in np.flatnonzero(reach.any(axis=1)):
        choice = np.flatnonzero(reach[rank] & free)
        if len(choice):
            taken[rank] = choice[np.argmin(apart[rank, choice])]
            free[taken[rank]] = False
    return taken


def judge(keyword: str, detections: Detections, truth: Places, seconds: float) -> Judged:
    """Detections of excluded recordings must have been taken out before, and their seconds as well."""
    _, first = np.unique(detections.places.recordings, return_index=True)
    files = detections.places.recordings[np.sort(first)]
    return Judged(
        keyword=keyword,
        right=match(detections.places, truth) >= 0,
        scores=detections.scores,
        detected=detections.detected,
        relevant=len(truth),
        right_files=np.isin(files, truth.recordings),
        relevant_files=len(np.unique(truth.recordings)),
        seconds=seconds,
    )


def average_precision(right: Flags, relevant: int) -> float:
    """Sum of the precisions at every right rank over all that is relevant, retrieved or not.

    right: bool (n,), best first. Raises ValueError if nothing is relevant.
    """
    _require_relevant(relevant)
    hits = np.flatnonzero(right)
    return float(np.sum(np.arange(1, len(hits) + 1) / (hits + 1)) / relevant)


def precision_at(right: Flags, k: int) -> float:
    """Right ones among the first k over k, also where fewer were retrieved."""
    return float(np.count_nonzero(right[:k]) / k)


def recall_at(candidates: Places, truth: Places, k: int) -> float:
    """Share of the occurrences that one of the first k candidates, or more, is in reach of."""
    _require_relevant(len(truth))
    recordings, middles = candidates.recordings[:k], (candidates.starts[:k] + candidates.ends[:k]) / 2
    found = [
        bool(
            np.any(
                (recordings == recording) & (middles >= start - TOLERANCE_S) & (middles <= end + TOLERANCE_S)
            )
        )
        for recording, start, end in zip(truth.recordings, truth.starts, truth.ends, strict=True)
    ]
    return float(np.mean(found))


def by_keyword(keywords: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Mean over the queries of each keyword."""
    groups: dict[str, list[float]] = {}
    for keyword, value in zip(keywords, values, strict=True):
        groups.setdefault(keyword, []).append(value)
    return {keyword: float(np.mean(group)) for keyword, group in groups.items()}


def keyword_mean(keywords: Sequence[str], values: Sequence[float]) -> float:
    """Mean over queries of a keyword, then over keywords."""
    return float(np.mean(list(by_keyword(keywords, values).values())))


def bootstrap_interval(
    values: Mapping[str, float], rng: np.random.Generator, draws: int = 2_000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the mean over keywords when keywords are drawn with replacement."""
    sample = np.array(list(values.values()))
    means = sample[rng.integers(len(sample), size=(draws, len(sample)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def actual_twv(judged: Sequence[Judged]) -> float:
    """Term-weighted value at the system's own decisions: 1 - mean(P_miss + BETA * P_false_alarm).

    P_false_alarm counts one trial a second of archive that holds no occurrence.
    """
    gains = [float(np.sum(gain[query.detected])) for query, gain in zip(judged, _gains(judged), strict=True)]
    return keyword_mean([query.keyword for query in judged], gains)


def maximum_twv(judged: Sequence[Judged]) -> tuple[float, float]:
    """The best term-weighted value under one threshold for all queries, and that threshold.

    A place is detected at its score or below. Detecting nothing is worth 0, at threshold infinity.
    """
    shares = _shares(judged)
    gain = np.concatenate([share * gain for share, gain in zip(shares, _gains(judged), strict=True)])
    scores = np.concatenate([query.scores for query in judged])
    order = np.argsort(-scores, kind="stable")
    # Only a place after which the score changes can be the last one above a threshold.
    last = np.append(scores[order][1:] != scores[order][:-1], True)[: len(order)]
    values = np.where(last, np.cumsum(gain[order]), -np.inf)
    best = int(np.argmax(values)) if len(values) else -1
    if best < 0 or values[best] <= 0:
        return 0.0, float("inf")
    return float(values[best]), float(scores[order][best])


def false_alarms_per_hour(judged: Sequence[Judged]) -> tuple[float, float]:
    """Detections an hour of archive, for queries that occur nowhere: mean and median over the queries.

    Raises ValueError if one of them does occur.
    """
    for query in judged:
        if query.relevant:
            raise ValueError(
                f"{query.keyword!r} occurs {query.relevant} times, absent queries must not occur"
            )
    alarms = [np.count_nonzero(query.detected) / (query.seconds / 3600) for query in judged]
    return float(np.mean(alarms)), float(np.median(alarms))


def equal_widths(bins: int) -> Floats:
    """Edges (bins + 1,) from 0 to 1."""
    return np.linspace(0, 1, bins + 1)


def equal_counts(probability: Floats, bins: int) -> Floats:
    """Edges (bins + 1,) from 0 to 1 between which lie as many of the probabilities; fewer where many are
    equal."""
    inner = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def reliability(probability: Floats, right: Flags, edges: Floats) -> list[tuple[float, float, int]]:
    """Mean probability, share that is right and count of each bin [edges[i], edges[i + 1]) that is not
    empty; the last holds its upper edge as well."""
    bins = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(edges) - 2)
    return [
        (float(probability[here].mean()), float(right[here].mean()), int(here.sum()))
        for here in (bins == n for n in range(len(edges) - 1))
        if here.any()
    ]


def calibration_error(probability: Floats, right: Flags, edges: Floats) -> float:
    """Expected calibration error: mean distance of probability and share that is right, bins weighted by
    their counts (Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities")."""
    points = reliability(probability, right, edges)
    return sum(abs(mean - share) * count for mean, share, count in points) / len(probability)


def summarise(judged: Sequence[Judged], seed: int) -> Summary:
    """Every figure of a table's row; each query must have something relevant."""
    keywords = [query.keyword for query in judged]
    figures = {
        name: by_keyword(keywords, values)
        for name, values in {
            "map": [average_precision(query.right, query.relevant) for query in judged],
            "file_map": [average_precision(query.right_files, query.relevant_files) for query in judged],
            "p10": [precision_at(query.right, 10) for query in judged],
            "pn": [precision_at(query.right, query.relevant) for query in judged],
        }.items()
    }
    mtwv, threshold = maximum_twv(judged)
    return Summary(
        queries=len(judged),
        keywords=len(figures["map"]),
        intervals={
            name: bootstrap_interval(values, np.random.default_rng(seed)) for name, values in figures.items()
        },
        mtwv=mtwv,
        mtwv_threshold=threshold,
        atwv=actual_twv(judged),
        **{name: float(np.mean(list(values.values()))) for name, values in figures.items()},
    )


def _gains(judged: Sequence[Judged]) -> list[Floats]:
    """What detecting each place adds to its query's term-weighted value, (n,) a query."""
    gains = []
    for query in judged:
        _require_relevant(query.relevant)
        trials = query.seconds * TRIALS_PER_SECOND - query.relevant
        if trials <= 0:
            raise ValueError(
                f"{query.seconds} s of archive are no trials beside {query.relevant} occurrences"
            )
        gains.append(np.where(query.right, 1 / query.relevant, -BETA / trials))
    return gains


def _shares(judged: Sequence[Judged]) -> list[float]:
    """The weight of each query in a mean over queries of a keyword, then over keywords."""
    counts: dict[str, int] = {}
    for query in judged:
        counts[query.keyword] = counts.get(query.keyword, 0) + 1
    return [1 / (len(counts) * counts[query.keyword]) for query in judged]


def _require_relevant(relevant: int) -> None:
    if relevant < 1:
        raise ValueError(f"at least one occurrence must be relevant, got {relevant}")
