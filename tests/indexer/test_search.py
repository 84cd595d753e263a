"""Search on archives whose words are known, because they were put there.

Every 20 ms of the synthetic audio begin with 16 samples that are the frame's features, so the same fakes
serve queries and archives. A word is a row of random phones; saying it adds noise and changes its speed.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from wordspot.indexer import search
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.records import (
    SAMPLE_RATE,
    SAMPLES_PER_TICK,
    Embedded,
    EncoderInfo,
    Hit,
    QueryAudio,
    Region,
    Samples,
    SearchOptions,
    Section,
)
from wordspot.indexer.search import EmbeddedQuery, Finder, SearchSettings, embed_query, trim
from wordspot.indexer.segments import SPAN
from wordspot.indexer.vectors.protocol import IdSet, normalised, quantised
from wordspot.indexer.view import ArchiveView, RecordingEntry

Frames = NDArray[np.float32]

WIDTH = 16
STEP = 2  # ticks a frame
PARTS = 4  # a span's vector is the mean of each quarter
LENGTHS = (20, 30, 40, 60, 80, 100, 120, 150)
HOP = 10
INFO = EncoderInfo("parts", "c0ffee" * 8, PARTS * WIDTH, WIDTH, STEP)
ALL = SearchOptions(top=1_000, include_undetected=True)


def babble(seed: int, frames: int) -> Frames:
    """Speech that means nothing: phones of 60 to 160 ms."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 9, frames // 3 + 1)
    phones = np.repeat(rng.standard_normal((len(lengths), WIDTH)), lengths, axis=0)[:frames]
    return (phones + 0.3 * rng.standard_normal((frames, WIDTH))).astype(np.float32)


def say(word: str, take: int = 0, seconds: float = 0.5, pace: float = 1.0, noise: float = 0.3) -> Frames:
    """One saying of a word: the same phones each time, its own noise. At pace 1 it lasts so many seconds."""
    rng = np.random.default_rng([crc32(word.encode()), take])
    phones = np.random.default_rng(crc32(word.encode())).standard_normal(
        (max(round(seconds / 0.08), 3), WIDTH)
    )
    places = np.linspace(0, len(phones), round(seconds / pace * 50), endpoint=False).astype(int)
    return (phones[places] + noise * rng.standard_normal((len(places), WIDTH))).astype(np.float32)


def spell(frames: Frames) -> Samples:
    """Audio that the fake encoder reads the frames from."""
    audio = np.zeros((len(frames), STEP * SAMPLES_PER_TICK), dtype=np.float32)
    audio[:, :WIDTH] = frames
    return audio.ravel()


class PartsEmbedder:
    """Reads frames out of spelt audio; pools a span's quarters."""

    info = INFO
    threshold: float | None = None

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> Embedded:
        frames = tuple(
            np.ascontiguousarray(audio[: len(audio) // 320 * 320].reshape(-1, 320)[:, :WIDTH])
            for audio in regions
        )
        vectors = [pooled(frames[region], start, stop) for region, start, stop in spans.tolist()]
        return Embedded(normalised(np.array(vectors)), frames)


def pooled(frames: Frames, start: int, stop: int) -> Frames:
    edges = np.linspace(start // STEP, -(-stop // STEP), PARTS + 1).astype(int)
    return np.concatenate([frames[a : max(b, a + 1)].mean(axis=0) for a, b in itertools.pairwise(edges)])


class HeardRegions:
    """A segmenter that hears the regions it was told of."""

    def __init__(self, *regions: Region) -> None:
        self._regions = regions

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        yield Section(self._regions, np.zeros((0, 3), np.int32), 0)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        return self._regions


class BruteForceIndex:
    def __init__(self, vectors: Frames, lengths: NDArray[np.int64]) -> None:
        self._vectors = vectors
        self._lengths = lengths

    @property
    def size(self) -> int:
        return len(self._vectors)

    def search(
        self, queries: Frames, k: int, ticks: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], Frames]:
        similarity = queries @ self._vectors.T
        if allowed is not None:
            similarity[:, ~allowed.mask(np.arange(self.size))] = -np.inf
        if self.size:
            # 2/3 to 4/3 of the query, or the nearest there is among the allowed.
            low = min(2 * ticks / 3, self._lengths.max())
            high = max(4 * ticks / 3, self._lengths.min())
            similarity[:, (self._lengths < low) | (self._lengths > high)] = -np.inf
        ids = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(similarity, ids, axis=1)
        return np.where(np.isfinite(found), ids, -1), found


@dataclass(frozen=True)
class Recording:
    """regions: (start in ticks, frames)."""

    id: str
    regions: tuple[tuple[int, Frames], ...]
    alive: bool = True


def recording(name: str, *parts: Frames, alive: bool = True) -> Recording:
    """One region from tick 0."""
    return Recording(name, ((0, np.concatenate(parts)),), alive)


def build(
    recordings: Sequence[Recording], segments: int = 1, lengths: Sequence[int] = LENGTHS
) -> ArchiveView:
    """Spans of the given lengths in ticks, every 100 ms."""
    tables, regions, vectors, frames = [], [], [], []
    for segment, part in enumerate(np.array_split(np.arange(len(recordings)), segments)):
        segment_frames: list[Frames] = []
        segment_vectors: list[Frames] = []
        segment_spans: list[tuple[int, int]] = []
        row = 0
        for ordinal in part.tolist():
            for origin, features in recordings[ordinal].regions:
                ticks = len(features) * STEP
                grid = [
                    (start, start + length)
                    for length in lengths
                    for start in range(0, ticks - length + 1, HOP)
                ]
                first = sum(map(len, tables)) + len(segment_spans)
                regions.append((ordinal, origin, origin + ticks, segment, row, first))
                segment_spans += [(start, stop - start) for start, stop in grid]
                segment_vectors += [pooled(features, start, stop) for start, stop in grid]
                row += len(features)
                segment_frames.append(features)
        frames.append(quantised(np.concatenate([*segment_frames, np.zeros((0, WIDTH))])))
        vectors.append(quantised(np.array(segment_vectors).reshape(-1, INFO.dimension)))
        tables.append(np.array(segment_spans, dtype=SPAN))
    region_table = np.array(regions, dtype=np.int64).reshape(-1, 6).T
    spans = np.concatenate(tables)
    return ArchiveView(
        encoder=INFO,
        recordings=tuple(RecordingEntry(one.id, f"/{one.id}.wav", 60.0, one.alive) for one in recordings),
        region_recording=region_table[0].astype(np.int32),
        region_start=region_table[1].astype(np.int32),
        region_stop=region_table[2].astype(np.int32),
        region_segment=region_table[3].astype(np.int32),
        region_frame=region_table[4],
        region_span=np.append(region_table[5], len(spans)),
        tables=tables,
        vectors=vectors,
        frames=frames,
        index=BruteForceIndex(normalised(np.concatenate(vectors)), spans["length"].astype(np.int64)),
        version="1",
    )


def ask(frames: Frames) -> EmbeddedQuery:
    """The frames as a query, all of them meant."""
    return embed_query(QueryAudio(spell(frames), 0, len(frames) * STEP), PartsEmbedder())


def near(hit: Hit, name: str, start: float, end: float) -> bool:
    return hit.recording == name and abs(hit.start - start) <= 0.1 and abs(hit.end - end) <= 0.1


RECORDINGS = (
    recording("a", babble(1, 1500)),
    recording("b", babble(2, 200), say("lantern", 1), babble(3, 775), say("lantern", 2), babble(4, 475)),
    recording("c", babble(5, 500), say("lantern", 3, pace=0.8), babble(6, 970)),
    recording("d", babble(7, 1500)),
)
LANTERN = [("b", 4.0, 4.5), ("b", 20.0, 20.5), ("c", 10.0, 10.62)]


@pytest.fixture(scope="module")
def archive() -> ArchiveView:
    return build(RECORDINGS, segments=2)


@pytest.mark.parametrize("settings", [SearchSettings(), SearchSettings(similarity_weight=0.5)])
def test_every_planted_occurrence_is_found_within_a_tenth_of_a_second(
    archive: ArchiveView, settings: SearchSettings
) -> None:
    hits = Finder(settings).find(archive, ask(say("lantern")), SearchOptions(top=3)).hits
    assert len(hits) == 3
    for place in LANTERN:
        assert sum(near(hit, *place) for hit in hits) == 1, (place, hits)
    assert all(hit.detected and hit.path == f"/{hit.recording}.wav" for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_without_reranking_the_nearest_spans_are_the_hits(archive: ArchiveView) -> None:
    finder = Finder(SearchSettings(rerank=False))
    hits = finder.find(archive, ask(say("lantern")), SearchOptions(top=3)).hits
    assert {(hit.recording, round(hit.start)) for hit in hits} == {("b", 4), ("b", 20), ("c", 10)}
    assert all(hit.detected for hit in hits)


def test_times_count_from_the_recordings_start_not_the_regions() -> None:
    parts = (
        (500, babble(10, 400)),
        (3000, np.concatenate([babble(11, 300), say("harbour", 1), babble(12, 300)])),
    )
    view = build([Recording("one", parts), recording("two", babble(13, 2000))])
    best = Finder().find(view, ask(say("harbour"))).hits[0]
    assert near(best, "one", 36.0, 36.5)


def test_a_deleted_recording_is_never_ranked(archive: ArchiveView) -> None:
    entries = tuple(replace(entry, alive=entry.id != "b") for entry in archive.recordings)
    hits = Finder().find(replace(archive, recordings=entries), ask(say("lantern")), ALL).hits
    assert hits
    assert "b" not in {hit.recording for hit in hits}
    assert near(hits[0], "c", 10.0, 10.62)


@pytest.mark.parametrize("rerank", [True, False])
def test_only_the_recordings_asked_for_are_ranked(archive: ArchiveView, rerank: bool) -> None:
    finder, query = Finder(SearchSettings(rerank=rerank)), ask(say("lantern"))
    only = finder.find(archive, query, replace(ALL, recordings=frozenset({"c", "d"})))
    assert {hit.recording for hit in only.hits} == {"c", "d"}
    without = finder.find(archive, query, replace(ALL, excluded=frozenset({"b", "not here"})))
    assert {hit.recording for hit in without.hits} == {"a", "c", "d"}
    both = replace(ALL, recordings=frozenset({"b", "c"}), excluded=frozenset({"b"}))
    assert {hit.recording for hit in finder.find(archive, query, both).hits} == {"c"}


def test_asking_for_a_recording_that_is_not_there_or_deleted_is_an_error(archive: ArchiveView) -> None:
    entries = tuple(replace(entry, alive=entry.id != "b") for entry in archive.recordings)
    for view, name in [(archive, "zebra"), (replace(archive, recordings=entries), "b")]:
        with pytest.raises(NotFound, match=name):
            Finder().find(view, ask(say("lantern")), SearchOptions(recordings=frozenset({"a", name})))


@pytest.mark.parametrize("rerank", [True, False])
def test_no_two_hits_share_more_than_half_of_the_shorter(archive: ArchiveView, rerank: bool) -> None:
    hits = Finder(SearchSettings(rerank=rerank)).find(archive, ask(say("lantern")), ALL).hits
    assert len(hits) > 50
    for n, one in enumerate(hits):
        for other in hits[:n]:
            shared = min(one.end, other.end) - max(one.start, other.start)
            shorter = min(one.end - one.start, other.end - other.start)
            assert one.recording != other.recording or shared <= shorter / 2 + 1e-9


def test_two_occurrences_close_together_are_two_hits() -> None:
    view = build(
        [
            recording(
                "near", babble(20, 300), say("meadow", 1), babble(21, 8), say("meadow", 2), babble(22, 300)
            ),
            recording("other", babble(23, 2000)),
        ]
    )
    hits = Finder().find(view, ask(say("meadow")), SearchOptions(top=2)).hits
    assert sorted(round(hit.start, 1) for hit in hits) == pytest.approx([6.0, 6.7], abs=0.1)
    assert all(hit.detected for hit in hits)


@pytest.mark.parametrize("seconds", [1.6, 2.5, 4.0])
def test_a_phrase_longer_than_any_span_is_found_whole(seconds: float) -> None:
    view = build(
        [
            recording("x", babble(30, 700), say("phrase", 1, seconds=seconds), babble(31, 700)),
            recording("y", babble(32, 1500)),
        ]
    )
    query = ask(say("phrase", seconds=seconds))
    assert len(query.vectors) > 1
    hits = Finder().find(view, query, SearchOptions(top=5)).hits
    assert near(hits[0], "x", 14.0, 14.0 + seconds)
    assert sum(hit.detected for hit in hits) == 1


def test_a_phrase_of_which_only_the_end_is_alike_is_placed_as_a_whole() -> None:
    spoken = say("phrase", 1, seconds=4.0)
    spoken[:130] = babble(33, 130)
    view = build([recording("x", babble(34, 400), spoken, babble(35, 400))])
    finder = Finder(SearchSettings(candidates=1, rerank=False))
    hit = finder.find(view, ask(say("phrase", seconds=4.0)), SearchOptions(top=1)).hits[0]
    assert near(hit, "x", 8.0, 12.0)


@pytest.mark.parametrize("word", ["pelican", "quarry", "saffron", "turbine", "willow"])
def test_a_word_never_said_is_not_detected(archive: ArchiveView, word: str) -> None:
    finder = Finder(SearchSettings(threshold=4.5))
    assert finder.find(archive, ask(say(word))).hits == ()
    shown = finder.find(archive, ask(say(word)), ALL).hits
    assert len(shown) > 50
    assert not any(hit.detected for hit in shown)


def test_the_encoder_says_from_which_score_on_a_hit_is_detected(archive: ArchiveView) -> None:
    asked = ask(say("lantern"))
    scores = [hit.score for hit in Finder().find(archive, asked, ALL).hits]
    told = Finder().find(archive, replace(asked, threshold=scores[0]), ALL)
    assert [hit.detected for hit in told.hits] == [score >= scores[0] for score in scores]
    assert told.threshold == scores[0]
    overruled = Finder(SearchSettings(threshold=scores[1])).find(archive, replace(asked, threshold=9.0))
    assert overruled.threshold == scores[1]


def test_hits_below_the_minimum_score_are_left_out(archive: ArchiveView) -> None:
    every = Finder().find(archive, ask(say("lantern")), ALL).hits
    some = Finder().find(archive, ask(say("lantern")), replace(ALL, min_score=every[9].score)).hits
    assert some == tuple(hit for hit in every if hit.score >= every[9].score)
    detected = Finder().find(archive, ask(say("lantern")), SearchOptions(top=1_000, min_score=-100.0)).hits
    assert detected == tuple(hit for hit in every if hit.detected)


def test_a_score_does_not_depend_on_what_else_is_asked(archive: ArchiveView) -> None:
    query = ask(say("lantern"))
    best = Finder().find(archive, query, SearchOptions(top=1)).hits[0]
    others = [
        SearchOptions(top=50, include_undetected=True),
        SearchOptions(recordings=frozenset({best.recording})),
        SearchOptions(excluded=frozenset({"a"})),
    ]
    for options in others:
        assert Finder().find(archive, query, options).hits[0] == best


def test_rivals_of_a_word_are_brought_to_the_usual_score_where_there_are_enough(
    archive: ArchiveView, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, rivals = ask(say("lantern")), 30
    one = replace(ALL, recordings=frozenset({"b"}))
    monkeypatch.setattr(search, "LENIENCE", 0.0)
    plain = Finder().find(archive, query, ALL).hits  # two minutes of speech are too little
    alone = Finder().find(archive, query, one).hits
    monkeypatch.setattr(search, "RIVALS_PER_HOUR", 1 + rivals * 30)
    hits = Finder().find(archive, query, ALL).hits
    shift = search.USUAL_RIVAL - float(np.clip(plain[rivals - 1].score, *search.RIVALS))
    assert shift
    assert [hit.score for hit in hits] == pytest.approx([hit.score + shift for hit in plain], abs=2e-3)
    assert [hit.start for hit in hits] == [hit.start for hit in plain]
    assert Finder().find(archive, query, one).hits == alone


def test_an_archive_of_minutes_is_searched_more_leniently_the_shorter_it_is() -> None:
    query = ask(say("lantern"))
    minutes = [recording(f"e{n}", babble(8 + n, 6_000)) for n in range(24)]
    handicaps = [
        Finder().find(build([*RECORDINGS, *minutes[:more]]), query, ALL).handicap for more in (0, 1, 24)
    ]
    assert search.MOST_LENIENT > handicaps[0] > handicaps[1] > 0
    assert handicaps[0] - handicaps[1] == pytest.approx(search.LENIENCE * np.log(2), abs=0.01)
    assert handicaps[2] <= search.USUAL_RIVAL - search.RIVALS[0]


def test_the_same_question_gets_the_same_answer_whatever_the_threads_and_the_segments(
    archive: ArchiveView,
) -> None:
    query = ask(say("lantern"))
    first = Finder().find(archive, query, ALL)
    finder = Finder(SearchSettings(threads=1))
    assert finder.find(archive, query, ALL) == finder.find(archive, query, ALL) == first
    for segments in (1, 4):
        assert finder.find(build(RECORDINGS, segments), query, ALL) == first


def test_the_same_recordings_indexed_in_another_order_give_the_same_hits(archive: ArchiveView) -> None:
    query = ask(say("lantern"))
    shuffled = build([RECORDINGS[n] for n in (2, 0, 3, 1)], segments=3)
    assert Finder().find(shuffled, query, ALL) == Finder().find(archive, query, ALL)


def test_equal_hits_come_in_order_of_recording_and_start() -> None:
    said = np.concatenate([babble(40, 200), say("echo", 1), babble(41, 200)])
    copies = [recording(name, said) for name in ("z", "m", "k", "q")]
    hits = Finder().find(build([*copies, recording("b", babble(42, 2000))]), ask(say("echo"))).hits
    assert [hit.recording for hit in hits[:4]] == ["k", "m", "q", "z"]
    assert len({hit.score for hit in hits[:4]}) == 1


def test_ten_thousand_hits_are_given_where_ten_thousand_are_asked_for() -> None:
    view = build([recording(f"r{n}", babble(50 + n, 7_500)) for n in range(30)], lengths=[30])
    query = ask(say("anything", seconds=0.3))
    hits = Finder().find(view, query, SearchOptions(top=10_000, include_undetected=True)).hits
    assert len(hits) == 10_000
    assert len({(hit.recording, hit.start) for hit in hits}) == 10_000


@pytest.mark.parametrize("top", [0, -1, 10_001])
def test_a_number_of_hits_out_of_range_is_an_error(archive: ArchiveView, top: int) -> None:
    with pytest.raises(InvalidInput, match=str(top)):
        Finder().find(archive, ask(say("lantern")), SearchOptions(top=top))


def test_a_minimum_score_that_is_no_number_is_an_error(archive: ArchiveView) -> None:
    with pytest.raises(InvalidInput, match="minimum score"):
        Finder().find(archive, ask(say("lantern")), SearchOptions(min_score=float("nan")))


def test_a_query_from_another_encoder_is_refused(archive: ArchiveView) -> None:
    with pytest.raises(FailedPrecondition, match="deadbeef"):
        Finder().find(archive, replace(ask(say("lantern")), encoder="deadbeef" * 8))


@pytest.mark.parametrize("rerank", [True, False])
def test_an_archive_without_speech_or_with_everything_deleted_has_no_hits(rerank: bool) -> None:
    finder = Finder(SearchSettings(rerank=rerank))
    for view in (build([]), build([recording("gone", babble(60, 500), alive=False)])):
        outcome = finder.find(view, ask(say("lantern")), ALL)
        assert outcome.hits == ()
        assert outcome.compared == (0.0, 0.5)


def test_a_word_is_detected_in_an_archive_of_one_short_recording() -> None:
    view = build([recording("only", babble(70, 40), say("kettle", 1), babble(71, 35))])
    hit = Finder().find(view, ask(say("kettle"))).hits[0]
    assert near(hit, "only", 0.8, 1.3)
    assert not Finder(SearchSettings(threshold=4.5)).find(view, ask(say("sandal"))).hits


def test_a_word_is_detected_in_an_archive_of_nothing_but_that_word() -> None:
    view = build([recording(str(n), say("kettle", n)) for n in range(1, 6)])
    hits = Finder().find(view, ask(say("kettle"))).hits
    assert {hit.recording for hit in hits} == {"1", "2", "3", "4", "5"}


def test_a_query_shorter_than_any_span_is_compared_with_the_shortest() -> None:
    view = build([recording("a", babble(80, 500), say("tick", 1, seconds=0.14), babble(81, 500))])
    hits = Finder().find(view, ask(say("tick", seconds=0.14, noise=0.1)), replace(ALL, top=3)).hits
    assert near(hits[0], "a", 10.0, 10.14)


def test_a_finder_keeps_no_view_alive() -> None:
    finder, view = Finder(), build([recording("a", babble(90, 300))])
    finder.find(view, ask(say("lantern")), ALL)
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"candidates": 0}, "0 candidates"),
        ({"similarity_weight": 1.5}, "1.5"),
        ({"random_windows": 0}, "0 random"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        SearchSettings(**settings)  # type: ignore[arg-type]


def noise(seconds: float, amplitude: float = 0.1) -> Samples:
    rng = np.random.default_rng(0)
    return (amplitude * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def test_a_query_is_trimmed_from_the_first_to_the_last_speech() -> None:
    query = trim(noise(5), HeardRegions(Region(50, 110), Region(130, 200)))
    assert (query.start, query.stop) == (50, 200)
    assert len(query.samples) == 5 * SAMPLE_RATE


def test_an_interval_says_what_is_meant_and_the_rest_stays_as_context() -> None:
    query = trim(noise(5), HeardRegions(), (1.2, 1.9))
    assert (query.start, query.stop) == (120, 190)
    assert len(query.samples) == 5 * SAMPLE_RATE


def test_an_interval_may_reach_into_the_last_incomplete_tick() -> None:
    query = trim(noise(1.008), HeardRegions(), (0.5, 1.008))
    assert (query.start, query.stop) == (50, 100)


def test_a_closely_cut_word_without_detected_speech_is_its_loud_part() -> None:
    audio = np.concatenate([noise(0.2, 1e-5), noise(0.4), noise(0.3, 1e-5)])
    query = trim(audio, HeardRegions())
    assert (query.start, query.stop) == (20, 60)


@pytest.mark.parametrize(
    ("audio", "regions", "interval", "named"),
    [
        (noise(0), (), None, "0.00 s"),
        (noise(0.05), (Region(0, 5),), None, "0.05 s"),
        (noise(3, 0.0), (), None, "no speech in 3.00 s"),
        (noise(1, 1e-5), (), None, "no speech in 1.00 s"),
        (noise(20), (), None, "no speech in 20.00 s"),
        (noise(1), (Region(20, 25),), None, "0.05 s"),
        (noise(600), (Region(0, 60_000),), None, "600.00 s"),
        (noise(12), (Region(0, 300), Region(900, 1150)), None, "11.50 s"),
        (noise(3), (), (1.0, 3.5), "3.5"),
        (noise(3), (), (-0.5, 1.0), "-0.5"),
        (noise(3), (), (2.0, 1.0), "2.0"),
        (noise(3), (), (float("nan"), 1.0), "nan"),
        (noise(3), (), (1.0, 1.04), "0.04 s"),
        (noise(3, 0.0), (), (1.0, 2.0), "silence"),
        (np.append(noise(1), np.float32(np.nan)), (Region(0, 100),), None, "not finite"),
        (np.append(noise(1), np.float32(np.inf)), (Region(0, 100),), (0.0, 1.0), "not finite"),
        (noise(1).reshape(2, -1), (Region(0, 100),), None, r"\(2, 8000\)"),
    ],
)
def test_audio_that_cannot_be_a_query_is_refused_with_what_was_received(
    audio: Samples, regions: tuple[Region, ...], interval: tuple[float, float] | None, named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        trim(audio, HeardRegions(*regions), interval)


def test_a_query_is_embedded_with_at_most_five_seconds_of_context_on_each_side() -> None:
    frames = babble(100, 1_000)
    query = QueryAudio(spell(frames), 900, 960)
    seen: list[int] = []

    class Watching(PartsEmbedder):
        def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> Embedded:
            seen.extend(len(region) // SAMPLES_PER_TICK for region in regions)
            assert spans.tolist() == [[0, 500, 560]]
            return super().embed(regions, spans)

    embedded = embed_query(query, Watching())
    assert seen == [1060]
    np.testing.assert_allclose(embedded.frames, normalised(frames[450:480]), atol=1e-6)
    np.testing.assert_allclose(embedded.vectors, normalised(pooled(frames, 900, 960)[None]), atol=1e-5)
    assert (embedded.start, embedded.stop, embedded.encoder) == (900, 960, INFO.hash)


@pytest.mark.parametrize("ticks", [10, 149, 150, 151, 220, 300, 301, 777, 1_000])
def test_pieces_cover_the_phrase_and_none_is_longer_than_a_second_and_a_half(ticks: int) -> None:
    query = embed_query(QueryAudio(spell(babble(101, 500)), 0, ticks), PartsEmbedder())
    assert query.piece <= 150
    assert query.offsets[0] == 0
    assert query.offsets[-1] + query.piece == ticks
    assert (np.diff(query.offsets) <= query.piece).all()
    assert len(query.vectors) == len(query.offsets) == -(-ticks // 150)


def test_the_best_place_is_an_example_for_the_others() -> None:
    """Sayings by a voice of its own: far from the query, near to one another."""
    accent = 1.6 * np.random.default_rng(5).standard_normal(WIDTH).astype(np.float32)
    sayings = [say("walnut", take) + accent for take in range(1, 9)]
    told = [
        recording(f"r{n}", babble(80 + n, 150), saying, babble(90 + n, 150))
        for n, saying in enumerate(sayings)
    ]
    noise = [recording(f"n{n}", babble(200 + n, 600)) for n in range(12)]
    view, query = build([*told, *noise]), ask(say("walnut", noise=1.6))

    def right(weight: float) -> int:
        hits = Finder(SearchSettings(example_weight=weight)).find(view, query, replace(ALL, top=8)).hits
        return sum(hit.recording.startswith("r") for hit in hits)

    alone, helped = right(0.0), right(0.5)
    assert alone < helped


def test_an_example_without_weight_in_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="weight 1"):
        SearchSettings(example_weight=1.0)
