"""From a spoken example to the places where it was said.

    query = embed_query(trim(samples, segmenter, interval), embedder)
    outcome = Finder(SearchSettings()).find(view, query, SearchOptions(top=10))

First stage: the spans nearest to the query's vector among those of similar length. Second stage: the
stretches around them, compared frame by frame with dynamic time warping.

A score counts standard deviations below the cost of random stretches of the same archive for the same query:

    score = (location - cost) / scale
    location = median of the random costs
    scale^2 = (MAD^2 + (SPREAD location)^2) / 2

MAD is 1.4826 times the median absolute deviation. Median and MAD stay put when some random stretches hold
the word. Half of the variance is the usual one (SPREAD), lest a query whose random costs happen to lie close
together lift its false alarms above the hits of others. In an archive of less speech than INDEPENDENT
stretches the random ones are largely the hits themselves: there the cost of the query played backwards,
brought down by REVERSAL, takes the median's place in proportion. SPREAD and REVERSAL were measured on English
prompts and game dialogue with 39 MFCC, within and across speakers.

A word that resembles much has more false alarms at the same score. So that one threshold serves all words,
their rivals are held to be equally good: the score of the 50th place, or in less than an hour of speech of as
many as come to 50 an hour, is brought to USUAL_RIVAL. No score moves further than RIVALS allow, for where a
word is said often, places so far down hold it too. Within one query the order stays.

Fewer than FEWEST_RIVALS places are too few to tell. In an archive of so little speech all scores rise
instead, by LENIENCE for each e times less of it and by MOST_LENIENT at most: minutes hold fewer false alarms
than hours, so a search may ask for less and yet give no more of them. False alarms were measured to become e
times as frequent where the threshold falls by .3 (phonetic) to .45 (whisper).
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.dtw import Steps, alignment_curves, alignments, disjoint, unit_rows
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.records import (
    SAMPLES_PER_TICK,
    TICKS_PER_SECOND,
    Embedder,
    EncoderInfo,
    Hit,
    Mode,
    QueryAudio,
    Samples,
    SearchOptions,
    Segmenter,
    to_seconds,
    to_tick,
)
from wordspot.indexer.vectors.buckets import NOMINAL
from wordspot.indexer.vectors.protocol import IdSet, normalised
from wordspot.indexer.view import ArchiveView

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SHORTEST_QUERY = to_tick(0.1)
LONGEST_QUERY = to_tick(10)
LONGEST_PIECE = to_tick(1.5)
CONTEXT = to_tick(5)
MARGIN = to_tick(0.08)
MOST_HITS = 10_000
MOST_CANDIDATES = 100_000

EVERY_LENGTH = NOMINAL[::2]  # a search takes in the lengths beside its own

SILENCE = 10 ** (-50 / 20)  # root mean square of a tick, full scale 1
LOUD = 10 ** (-30 / 20)  # of the loudest tick
LONGEST_CUT = to_tick(2)
EXAMPLE_MARGIN = to_tick(0.05)

SPREAD = 0.1
REVERSAL = 0.85
INDEPENDENT = 64
RANDOM_SPANS = 4_096
USUAL_THRESHOLD = 4.0
SMALL_ARCHIVE = 100_000
RIVALS_PER_HOUR = 50  # of speech
FEWEST_RIVALS = 20
MOST_RIVALS = 50
USUAL_RIVAL = 3.0
RIVALS = (2.5, 4.0)
LENIENCE = 1 / 3
MOST_LENIENT = 1.0


@dataclass(frozen=True)
class SearchSettings:
    """How thoroughly to look, and from which score on a hit counts.

    candidates: spans that the first stage hands on; more where more hits are asked for. None means 320, and
        1,000 in an archive of at most SMALL_ARCHIVE spans, where there is time for them.
    rerank: without it hits are the candidates themselves, scored by their vectors' similarity.
    similarity_weight: share of the first stage's score in the final one, 0 to 1.
    threshold: score from which a hit is detected; None leaves it to the encoder, or to USUAL_THRESHOLD for an
        encoder of which nobody measured it.
    example_weight, example_depth: the best place is taken as a second example of the word, with that share
        in the cost (0 to below 1) of so many of the best places.
    random_windows, seed: the stretches that scores are measured against.
    threads: for re-ranking; None means every core.
    """

    candidates: int | None = None
    rerank: bool = True
    similarity_weight: float = 0.3
    threshold: float | None = None
    example_weight: float = 0.5
    example_depth: int = 96
    random_windows: int = 128
    seed: int = 0
    steps: Steps = Steps.SLOPE
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.candidates is not None and not 1 <= self.candidates <= MOST_CANDIDATES:
            raise InvalidInput(f"{self.candidates} candidates; allowed are 1 to {MOST_CANDIDATES}")
        if not 0 <= self.similarity_weight <= 1:
            raise InvalidInput(f"a similarity weight of {self.similarity_weight}; allowed is 0 to 1")
        if not 0 <= self.example_weight < 1 or self.example_depth < 1:
            raise InvalidInput(
                f"an example of weight {self.example_weight} for {self.example_depth} places; "
                "allowed are 0 to below 1, and 1 or more"
            )
        if self.random_windows < 1:
            raise InvalidInput(f"{self.random_windows} random windows; at least 1 is needed")


@dataclass(frozen=True)
class EmbeddedQuery:
    """A query as the two stages see it.

    encoder: hash of the encoder that made it.
    vectors: float32 (P, D) unit rows, one a piece.
    offsets: int64 (P,), where each piece begins, ticks from the start of the meant stretch.
    piece: length of every piece in ticks.
    frames: float32 (T, H) unit rows of the meant stretch.
    start, stop: the meant stretch in the query's audio, in ticks.
    threshold: the encoder's, if it has one.
    mode: places are aligned frame by frame only where they are to sound alike and need not mean the same.
    """

    encoder: str
    vectors: Floats
    offsets: Ints
    piece: int
    frames: Floats
    start: int
    stop: int
    threshold: float | None = None
    mode: Mode = Mode.SOUND

    @property
    def ticks(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class SearchOutcome:
    """hits best first; compared: the stretch of the query's audio that was meant, in seconds.

    handicap: what brings the rivals to their usual score, or what a short archive adds; the hits' scores have
        it unless it was left out.
    """

    hits: tuple[Hit, ...]
    compared: tuple[float, float]
    threshold: float
    handicap: float = 0.0


def trim(samples: Samples, segmenter: Segmenter, interval: tuple[float, float] | None = None) -> QueryAudio:
    """The stretch of the query's audio that is meant: the interval in seconds, or from first to last speech.

    A word cut so closely that the segmenter hears no speech in it is taken from its first to its last loud
    tick. Raises InvalidInput if the audio is not finite or silent, or the stretch is not within the audio or
    not 0.1 to 10 s long.
    """
    if samples.ndim != 1:
        raise InvalidInput(f"audio of shape {samples.shape}; expected one channel (samples,)")
    if not np.isfinite(samples).all():
        raise InvalidInput("the query's audio holds values that are not finite")
    ticks = len(samples) // SAMPLES_PER_TICK
    _check_length(ticks, "the query's audio", longest=None)
    per_tick = samples[: ticks * SAMPLES_PER_TICK].reshape(ticks, SAMPLES_PER_TICK)
    loudness = np.sqrt(np.square(per_tick, dtype=np.float64).mean(axis=1))  # (ticks,)
    if interval is not None:
        start, stop = _interval(interval, ticks)
    elif regions := segmenter.regions(samples):
        start, stop = regions[0].start, min(regions[-1].stop, ticks)
    elif ticks <= LONGEST_CUT and loudness.max() >= SILENCE:
        loud = np.flatnonzero(loudness >= LOUD * loudness.max())
        start, stop = int(loud[0]), int(loud[-1]) + 1
    else:
        raise InvalidInput(f"no speech in {to_seconds(ticks):.2f} s of audio")
    _check_length(stop - start, "the query's speech", longest=LONGEST_QUERY)
    if loudness[start:stop].max() < SILENCE:
        raise InvalidInput(f"silence from {to_seconds(start):.2f} to {to_seconds(stop):.2f} s of the query")
    return QueryAudio(samples, start, stop)


def _check_length(ticks: int, what: str, longest: int | None) -> None:
    if ticks < SHORTEST_QUERY or (longest is not None and ticks > longest):
        allowed = f"{to_seconds(SHORTEST_QUERY)} s" + (
            f" to {to_seconds(longest)} s" if longest else " or more"
        )
        raise InvalidInput(f"{what} lasts {to_seconds(ticks):.2f} s; allowed is {allowed}")


def _interval(interval: tuple[float, float], ticks: int) -> tuple[int, int]:
    begin, end = interval
    # A caller's seconds may be rounded up from the last, incomplete tick.
    if not (math.isfinite(begin) and math.isfinite(end) and 0 <= begin < end <= to_seconds(ticks + 1)):
        raise InvalidInput(
            f"interval {begin} to {end} s; allowed is a stretch within 0 to {to_seconds(ticks):.2f} s"
        )
    return to_tick(begin), min(to_tick(end), ticks)


def embed_query(query: QueryAudio, embedder: Embedder, mode: Mode = Mode.SOUND) -> EmbeddedQuery:
    """Runs the query through the encoder as if it were a recording, with up to 5 s of context on each side.

    A stretch of more than 1.5 s is cut into evenly spaced pieces, each with a vector of its own.
    Raises FailedPrecondition where meaning is asked for and the encoder knows none.
    """
    info = embedder.info
    check_mode(mode, info)
    first = max(query.start - CONTEXT, 0)
    last = min(query.stop + CONTEXT, len(query.samples) // SAMPLES_PER_TICK)
    start, stop = query.start - first, query.stop - first
    offsets, piece = _pieces(query.stop - query.start)
    spans = np.zeros((len(offsets), 3), dtype=np.int32)  # (P, 3): region, start, stop
    spans[:, 1] = start + offsets
    spans[:, 2] = start + offsets + piece
    audio = query.samples[first * SAMPLES_PER_TICK : last * SAMPLES_PER_TICK]
    embedded = embedder.embed([audio], spans)
    step = info.ticks_per_frame
    return EmbeddedQuery(
        encoder=info.hash,
        vectors=normalised(_asked(embedded.vectors, mode, info)),
        offsets=offsets,
        piece=piece,
        frames=normalised(embedded.frames[0][start // step : -(-stop // step)]),
        start=query.start,
        stop=query.stop,
        threshold=embedder.threshold if mode is Mode.SOUND else None,
        mode=mode,
    )


def check_mode(mode: Mode, encoder: EncoderInfo) -> None:
    """Raises FailedPrecondition."""
    if mode is not Mode.SOUND and not encoder.meaning:
        raise FailedPrecondition(
            f"encoder {encoder.name!r} says how words sound, not what they mean: train one that does with "
            "`wordspot train semantic`, and index the archive with it"
        )


def _asked(vectors: Floats, mode: Mode, encoder: EncoderInfo) -> Floats:
    """Zeros in the place of what is not to be compared."""
    sound = vectors.shape[1] - encoder.meaning
    kept = np.ones(vectors.shape[1], np.float32)
    if mode is Mode.SOUND:
        kept[sound:] = 0
    elif mode is Mode.MEANING:
        kept[:sound] = 0
    return vectors * kept


def _pieces(ticks: int) -> tuple[Ints, int]:
    """Where pieces begin, and their length: the fewest that fit, a quarter longer than needed if allowed."""
    count = -(-ticks // LONGEST_PIECE)
    piece = ticks if count == 1 else min(LONGEST_PIECE, -(-5 * ticks // (4 * count)))
    return np.linspace(0, ticks - piece, count).round().astype(np.int64), piece


@dataclass(frozen=True)
class _Places:
    """Stretches of regions: region ordinal, start and stop in ticks from the recording's start, score."""

    region: Ints
    start: Ints
    stop: Ints
    score: NDArray[np.float64]


@dataclass(frozen=True)
class _Candidates:
    """Best first. similarity (n,) of a span to the piece that it resembles.

    region, start, stop (n,): where the whole query would lie if its piece were the span; start and stop in
    ticks from the recording's start, and not clipped to the region.
    """

    similarity: Floats
    region: Ints
    start: Ints
    stop: Ints

    def clipped(self, view: ArchiveView, margin: int) -> tuple[Ints, Ints]:
        """start, stop (n,), widened by so many ticks on each side, within the region."""
        start = np.maximum(self.start - margin, view.region_start[self.region])
        stop = np.minimum(self.stop + margin, view.region_stop[self.region])
        return start, stop


class _Windows:
    """Stretches of regions, as frames. Loading is fastest in the regions' order.

    region, start, stop: (W,), ticks from the recording's start.
    first: (W,), frame of the region at which each begins; offsets: (W + 1,) into the frames of all.
    """

    def __init__(self, view: ArchiveView, region: Ints, start: Ints, stop: Ints) -> None:
        step = view.encoder.ticks_per_frame
        origin = view.region_start[region].astype(np.int64)
        self._view = view
        self.region, self._start, self._stop = region, start, stop
        self.first = (start - origin) // step
        self.offsets = np.append(0, np.cumsum(-(-(stop - origin) // step) - self.first))
        self._segment = view.region_segment[region]
        self._row = view.region_frame[region] + self.first

    def followed_by(self, others: _Windows) -> _Windows:
        """Of the same view."""
        return _Windows(
            self._view,
            np.append(self.region, others.region),
            np.append(self._start, others._start),
            np.append(self._stop, others._stop),
        )

    def load(self, a: int, b: int) -> Floats:
        """Unit rows of windows a to b - 1."""
        out = np.empty(
            (int(self.offsets[b] - self.offsets[a]), self._view.encoder.frame_dimension), np.float32
        )
        cuts = np.flatnonzero(np.diff(self._segment[a:b])) + a + 1
        for i, j in zip([a, *cuts], [*cuts, b], strict=True):
            frames = self._view.frames[int(self._segment[i])]
            unit_rows(frames, self._row[i:j], self.offsets[i : j + 1] - self.offsets[a], out)
        return out


class _Prepared:
    """What searches derive from a view, once. Nothing here grows with the number of spans."""

    def __init__(self, view: ArchiveView, settings: SearchSettings) -> None:
        self.ticks_per_frame = view.encoder.ticks_per_frame
        self.ordinals = {entry.id: n for n, entry in enumerate(view.recordings) if entry.alive}
        # By path: draws and the order of equal hits do not depend on which recording was indexed first.
        names = [(entry.path, entry.id) for entry in view.recordings]
        self.rank = np.argsort(sorted(range(len(names)), key=names.__getitem__))  # (recordings,)
        ticks = (view.region_stop - view.region_start).astype(np.int64)
        ticks[~view.alive[view.region_recording]] = 0
        self.recording_ticks = np.bincount(view.region_recording, ticks, minlength=len(view.recordings))
        # Longest first: those that hold a query are the first so many, and their speech is a partial sum.
        order = np.lexsort((view.region_start, self.rank[view.region_recording], -ticks))
        self.region_order = order[: np.count_nonzero(ticks)]
        self.region_ticks = ticks[self.region_order]
        self.speech = np.cumsum(self.region_ticks)
        self.draws = np.random.default_rng(settings.seed).random((2, settings.random_windows))
        self.random_lengths, self.random_vectors = self._random_spans(view, settings.seed)

    def fitting(self, query: EmbeddedQuery) -> int:
        """How many regions, of those in order, are long enough for a match under the slope limit."""
        shortest = (len(query.frames) // 2) * self.ticks_per_frame + 1
        return int(np.searchsorted(-self.region_ticks, -shortest, side="right"))

    def _random_spans(self, view: ArchiveView, seed: int) -> tuple[Ints, Floats]:
        """Lengths (n,), rising, and unit vectors (n, D) of spans drawn once."""
        counts = np.where(view.alive, np.diff(view.recording_span), 0)
        recordings = np.argsort(self.rank)
        passed = np.append(0, np.cumsum(counts[recordings]))
        drawn = np.random.default_rng(seed).choice(
            passed[-1], min(int(passed[-1]), RANDOM_SPANS), replace=False, shuffle=False
        )
        place = np.searchsorted(passed, drawn, side="right") - 1
        spans = np.sort(view.recording_span[recordings[place]] + drawn - passed[place])
        _, start, stop = view.places(spans)
        order = np.argsort(stop - start, kind="stable")
        return (stop - start)[order], normalised(view.rows(spans)[order])


class Finder:
    """Answers queries on views. Safe to use from several threads; keeps no view alive."""

    def __init__(self, settings: SearchSettings | None = None) -> None:
        self._settings = settings or SearchSettings()
        self._prepared: dict[int, _Prepared] = {}

    def find(
        self,
        view: ArchiveView,
        query: EmbeddedQuery,
        options: SearchOptions | None = None,
        *,
        level: bool = True,
    ) -> SearchOutcome:
        """The places most like the query, best first; equals in order of recording id and start.

        level: add the handicap to the scores; without it that is left to the caller.
        Raises InvalidInput if top or min_score is out of range, NotFound if a recording to search is not in
        the view, FailedPrecondition if the query was made by another encoder than the view.
        """
        options = options or SearchOptions()
        self.check(view, query, options)
        prepared = self._prepare(view)
        allowed = _allowed(view, prepared, options)
        rivals = _rivals(prepared, options)
        threshold = self._threshold(query)
        floor = -math.inf if options.include_undetected else threshold
        if options.min_score is not None:
            floor = max(floor, options.min_score)
        hits: tuple[Hit, ...] = ()
        handicap = 0.0
        wanted = max(self._candidates(view), options.top)
        while True:
            candidates = _nearest(view, query, allowed, min(wanted, view.spans))
            if not len(candidates.region):
                break
            places = self._places(view, prepared, query, candidates)
            if self._aligns(query):
                handicap = _handicap(places.score, rivals) if rivals else _lenience(prepared)
                places = replace(places, score=places.score + handicap) if level else places
            complete = len(places.score) >= options.top or bool((places.score < floor).any())
            exhausted = len(candidates.region) < wanted or wanted == MOST_CANDIDATES
            if complete or exhausted:
                hits = self._hits(view, prepared, places, floor, options.top, threshold)
                break
            wanted = min(4 * wanted, MOST_CANDIDATES)
        return SearchOutcome(hits, (to_seconds(query.start), to_seconds(query.stop)), threshold, handicap)

    def check(self, view: ArchiveView, query: EmbeddedQuery, options: SearchOptions) -> None:
        """Raises what `find` would raise of these, except that a recording is not in the view."""
        if not 1 <= options.top <= MOST_HITS:
            raise InvalidInput(f"{options.top} hits asked for; allowed are 1 to {MOST_HITS}")
        if options.min_score is not None and math.isnan(options.min_score):
            raise InvalidInput("the minimum score is not a number")
        if query.encoder != view.encoder.hash:
            raise FailedPrecondition(
                f"the query was embedded by encoder {query.encoder[:12]}, the archive by {view.encoder.name} "
                f"({view.encoder.hash[:12]}); both must be the same"
            )

    def _aligns(self, query: EmbeddedQuery) -> bool:
        return self._settings.rerank and query.mode is Mode.SOUND

    def _candidates(self, view: ArchiveView) -> int:
        if self._settings.candidates is not None:
            return self._settings.candidates
        return 1_000 if view.spans <= SMALL_ARCHIVE else 320

    def _threshold(self, query: EmbeddedQuery) -> float:
        if self._settings.threshold is not None:
            return self._settings.threshold
        return USUAL_THRESHOLD if query.threshold is None else query.threshold

    def _prepare(self, view: ArchiveView) -> _Prepared:
        key = id(view)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = _Prepared(view, self._settings)
            weakref.finalize(view, self._prepared.pop, key, None).atexit = False
        return prepared

    def _places(
        self, view: ArchiveView, prepared: _Prepared, query: EmbeddedQuery, candidates: _Candidates
    ) -> _Places:
        if not self._aligns(query):
            return self._first_stage(view, prepared, query, candidates)
        windows = _around(view, query, candidates)
        settings = self._settings
        random = self._random(view, prepared, query)
        both = random.followed_by(windows)  # in one go: threads want enough to divide
        costs, starts = alignment_curves(
            query.frames, both.load, both.offsets, settings.steps, settings.threads
        )
        random_costs, costs = np.split(costs, random.offsets[-1:])
        starts = starts[random.offsets[-1] :]
        ends = alignments(costs, starts, windows.offsets)
        window = np.searchsorted(windows.offsets, ends, side="right") - 1
        region, step = windows.region[window], view.encoder.ticks_per_frame
        origin = view.region_start[region] + windows.first[window] * step
        start = origin + starts[ends].astype(np.int64) * step
        stop = np.minimum(
            origin + (ends - windows.offsets[window] + 1) * step, view.region_stop[region].astype(np.int64)
        )
        score = np.empty(0)
        if len(ends):
            location, scale = self._usual(prepared, query, random, random_costs)
            share = settings.similarity_weight
            first = np.zeros(len(ends))
            if share:
                similar = _similarity_at(view, candidates, region, start, stop)
                first = self._similarity_score(prepared, query, similar)
            cost = costs[ends]
            best = int(np.argmax(share * first - (1 - share) * cost.astype(np.float64) / scale))
            cost = self._by_example(view, best, cost, location, region, start, stop)
            score = (1 - share) * (location - cost.astype(np.float64)) / scale + share * first
        return _Places(region, start, stop, score)

    def _by_example(
        self,
        view: ArchiveView,
        first: int,
        cost: Floats,
        usual: float,
        region: Ints,
        start: Ints,
        stop: Ints,
    ) -> Floats:
        """Costs (n,) of places once the first of them, the best, has been asked with as well.

        A word cut out of its sentence sounds unlike the archive's; the best place is an example of it that
        has its context. Its own cost stays as it is, and no other gets below it for being its likeness.
        usual: cost of random places, which stands in for those that are not compared.
        """
        settings = self._settings
        if len(cost) < 2 or not settings.example_weight:
            return cost
        best = np.argsort(cost, kind="stable")[: settings.example_depth]
        rest = best[best != first]
        rest = rest[np.lexsort((start[rest], region[rest]))]
        windows = _Windows(
            view,
            region[rest],
            np.maximum(start[rest] - EXAMPLE_MARGIN, view.region_start[region[rest]]).astype(np.int64),
            np.minimum(stop[rest] + EXAMPLE_MARGIN, view.region_stop[region[rest]]).astype(np.int64),
        )
        one = slice(first, first + 1)
        example = _Windows(view, region[one], start[one], stop[one]).load(0, 1)
        curve, _ = alignment_curves(example, windows.load, windows.offsets, settings.steps, settings.threads)
        found = np.minimum.reduceat(curve, windows.offsets[:-1])
        found = np.where(np.isfinite(found), found, np.float32(usual))
        found += max(cost[first] - found.min(), 0)
        asked = np.full(len(cost), usual, np.float32)
        asked[rest] = found
        asked[first] = cost[first]
        return (1 - settings.example_weight) * cost + settings.example_weight * asked

    def _random(self, view: ArchiveView, prepared: _Prepared, query: EmbeddedQuery) -> _Windows:
        """Stretches as long as a candidate's window; each place of the archive's speech is as likely."""
        speech = prepared.speech[: prepared.fitting(query)]
        if not len(speech):
            return _Windows(view, *np.empty((3, 0), np.int64))
        place = np.searchsorted(speech, np.sort(prepared.draws[0]) * speech[-1], side="right")
        region = prepared.region_order[place]
        width = _width(query)
        start = view.region_start[region] + np.floor(
            prepared.draws[1] * (np.maximum(prepared.region_ticks[place] - width, 0) + 1)
        ).astype(np.int64)
        return _Windows(view, region, start, np.minimum(start + width, view.region_stop[region]))

    def _usual(
        self, prepared: _Prepared, query: EmbeddedQuery, random: _Windows, costs: Floats
    ) -> tuple[float, float]:
        """Location and scale of the cost of random stretches, as the module's head defines them.

        costs: the query's alignment curve (F,) over them.
        """

        def cheapest(curve: Floats) -> NDArray[np.float64]:
            cost = np.minimum.reduceat(curve, random.offsets[:-1])
            return cost[np.isfinite(cost)].astype(np.float64)

        settings = self._settings
        forward = cheapest(costs)
        location = _median(forward)
        deviation = _deviation(forward, location)
        speech = float(prepared.speech[prepared.fitting(query) - 1])
        doubt = max(0.0, 1 - speech / _width(query) / INDEPENDENT)
        if doubt:
            reversed_curve, _ = alignment_curves(
                query.frames[::-1], random.load, random.offsets, settings.steps, settings.threads
            )
            backward = _median(cheapest(reversed_curve))
            location = (1 - doubt) * location + doubt * REVERSAL * backward
        own = (1 - doubt) / 2
        variance = own * deviation**2 + (1 - own) * (SPREAD * location) ** 2
        return location, max(math.sqrt(variance), 1e-6)

    def _first_stage(
        self, view: ArchiveView, prepared: _Prepared, query: EmbeddedQuery, candidates: _Candidates
    ) -> _Places:
        order = np.argsort(candidates.region, kind="stable")
        region = candidates.region[order]
        start, stop = candidates.clipped(view, margin=0)
        start, stop, similarity = start[order], stop[order], candidates.similarity[order]
        groups = np.append(np.unique(region, return_index=True)[1], len(region))
        kept = disjoint(-similarity, start, stop, groups)
        score = self._similarity_score(prepared, query, similarity[kept])
        return _Places(region[kept], start[kept], stop[kept], score)

    def _similarity_score(
        self, prepared: _Prepared, query: EmbeddedQuery, similarity: Floats
    ) -> NDArray[np.float64]:
        """Deviations above the similarity of random spans, of similar length if enough of them were drawn."""
        vectors = prepared.random_vectors
        first, last = np.searchsorted(
            3 * prepared.random_lengths, (2 * query.piece, 4 * query.piece + 1), side="left"
        )
        if last - first >= INDEPENDENT:
            vectors = vectors[first:last]
        usual = (vectors @ query.vectors.T).ravel().astype(np.float64)
        middle = _median(usual)
        return (similarity.astype(np.float64) - middle) / max(_deviation(usual, middle), 1e-2)

    def _hits(
        self,
        view: ArchiveView,
        prepared: _Prepared,
        places: _Places,
        floor: float,
        top: int,
        threshold: float,
    ) -> tuple[Hit, ...]:
        # Rounded so that equal sounds tie, whichever block of a matrix product they fell into.
        score = places.score.round(3)
        recording = view.region_recording[places.region]
        order = np.lexsort((places.start, prepared.rank[recording], -score))
        order = order[score[order] >= floor][:top]
        return tuple(
            Hit(entry.id, entry.path, start, end, value, value >= threshold)
            for entry, start, end, value in zip(
                (view.recordings[n] for n in recording[order]),
                (places.start[order] / TICKS_PER_SECOND).tolist(),
                (places.stop[order] / TICKS_PER_SECOND).tolist(),
                score[order].tolist(),
                strict=True,
            )
        )


def _allowed(view: ArchiveView, prepared: _Prepared, options: SearchOptions) -> IdSet | None:
    """Spans of the recordings to search; None means all. Raises NotFound."""
    excluded = [prepared.ordinals[name] for name in options.excluded if name in prepared.ordinals]
    if options.recordings is not None:
        if unknown := sorted(options.recordings - prepared.ordinals.keys()):
            raise NotFound(f"no indexed recording {unknown[0]!r} to search in")
        chosen = {prepared.ordinals[name] for name in options.recordings}.difference(excluded)
        return IdSet.none(view.spans).with_ranges(view.span_ranges(chosen))
    if not excluded:
        return view.alive_spans
    return (view.alive_spans or IdSet.every(view.spans)).without_ranges(view.span_ranges(excluded))


def _rivals(prepared: _Prepared, options: SearchOptions) -> int:
    """At what rank the rivals of a word are looked for; 0 where there are too few. Only recordings that are
    searched count; those that are left out of a whole archive are taken to be few."""
    ticks = prepared.recording_ticks
    if options.recordings is not None:
        ticks = ticks[[prepared.ordinals[name] for name in options.recordings]]
    rivals = int(min(_comparable(ticks), MOST_RIVALS))
    return rivals if rivals >= FEWEST_RIVALS else 0


def _comparable(ticks: Ints) -> float:
    """How many places of so much speech come to RIVALS_PER_HOUR."""
    return RIVALS_PER_HOUR * to_seconds(int(ticks.sum())) / 3_600


def _handicap(score: NDArray[np.float64], rivals: int) -> float:
    """What to add to all scores of a query for its rivals."""
    if len(score) < rivals:
        return 0.0
    rival = np.partition(score, len(score) - rivals)[len(score) - rivals]
    return USUAL_RIVAL - float(np.clip(rival, *RIVALS))


def _lenience(prepared: _Prepared) -> float:
    """What to add to all scores in an archive that is short as a whole; 0 in others."""
    longer = FEWEST_RIVALS / max(_comparable(prepared.recording_ticks), 1e-9)
    return float(np.clip(LENIENCE * math.log(longer), 0, MOST_LENIENT))


def _nearest(view: ArchiveView, query: EmbeddedQuery, allowed: IdSet | None, k: int) -> _Candidates:
    """The k best over all pieces; what means the same may be of any length."""
    lengths = (query.piece,) if query.mode is Mode.SOUND else EVERY_LENGTH
    parts = [view.index.search(query.vectors, k, ticks, allowed) for ticks in lengths]
    ids = np.concatenate([some for some, _ in parts], axis=1)  # (P, k) for each length
    similarity = np.concatenate([some for _, some in parts], axis=1)
    found = np.flatnonzero(ids.ravel() >= 0)
    best = found[np.argsort(-similarity.ravel()[found], kind="stable")[:k]]
    offset = query.offsets[best // max(1, ids.shape[1])]
    region, start, stop = view.places(ids.ravel()[best])
    return _Candidates(
        similarity.ravel()[best], region, start - offset, stop + query.ticks - offset - query.piece
    )


def _margin(query: EmbeddedQuery) -> int:
    """By how much a candidate is widened on each side, in ticks.

    Room for the grid of spans and for a span that is too short, and a third of the phrase beyond the piece,
    since that may be said as much slower. Twice as wide finds the same and takes longer.
    """
    return MARGIN + query.piece // 12 + (query.ticks - query.piece) // 3


def _width(query: EmbeddedQuery) -> int:
    """Ticks of a widened candidate."""
    return query.ticks + 2 * _margin(query)


def _around(view: ArchiveView, query: EmbeddedQuery, candidates: _Candidates) -> _Windows:
    """Widened candidates; those that overlap become one window."""
    start, stop = candidates.clipped(view, _margin(query))
    # A key orders stretches by region, then by time.
    base = candidates.region << 32
    order = np.argsort(base + start, kind="stable")
    begin = (base + start)[order]
    reach = np.maximum.accumulate((base + stop)[order])
    first = np.flatnonzero(np.append(True, begin[1:] >= reach[:-1]))
    last = np.append(first[1:], len(begin)) - 1
    region = begin[first] >> 32
    return _Windows(view, region, begin[first] - (region << 32), reach[last] - (region << 32))


def _similarity_at(
    view: ArchiveView, candidates: _Candidates, region: Ints, start: Ints, stop: Ints
) -> Floats:
    """Best similarity (h,) among the candidates that lie nearest to each place of their region.

    A place nearest to none gets the worst similarity of all.
    """
    own_start, own_stop = candidates.clipped(view, margin=0)
    centre = (candidates.region << 32) + own_start + own_stop
    places = (region << 32) + start + stop
    order = np.argsort(places, kind="stable")
    after = np.searchsorted(places[order], centre).clip(1, max(len(order) - 1, 1))
    left, right = order[after - 1], order[after.clip(max=len(order) - 1)]
    nearest = np.where(centre - places[left] <= places[right] - centre, left, right)
    best = np.full(len(places), candidates.similarity.min(), dtype=np.float32)
    np.maximum.at(best, nearest, candidates.similarity)
    return best


def _median(values: NDArray[Any]) -> float:
    """As np.median, whose generality takes longer than the few hundred values here."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _deviation(values: NDArray[Any], median: float) -> float:
    """Standard deviation by way of the median absolute deviation, the normal distribution supposed."""
    return 1.4826 * _median(np.abs(values - median))
