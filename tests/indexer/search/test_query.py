from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.indexer.search.planted import INFO, HeardRegions, PartsEmbedder, babble, pooled, spell
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import (
    SAMPLE_RATE,
    SAMPLES_PER_TICK,
    QueryAudio,
    Region,
    Samples,
    SectionEmbeddings,
)
from wordspot.indexer.search.query import embed_query, trim
from wordspot.indexer.vectors.protocol import normalised


def noise(seconds: float, amplitude: float = 0.1) -> Samples:
    rng = np.random.default_rng(0)
    return (amplitude * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def test_a_query_is_trimmed_from_the_first_to_the_last_speech() -> None:
    query = trim(noise(5), HeardRegions(Region(50, 110), Region(130, 200)))
    assert (query.start, query.stop, query.isolated, query.margin) == (53, 197, True, 3)
    assert len(query.samples) == 5 * SAMPLE_RATE


def test_an_interval_says_what_is_meant_and_the_rest_stays_as_context() -> None:
    query = trim(noise(5), HeardRegions(), (1.2, 1.9))
    assert (query.start, query.stop, query.isolated) == (120, 190, False)
    assert len(query.samples) == 5 * SAMPLE_RATE


def test_an_interval_may_reach_into_the_last_incomplete_tick() -> None:
    query = trim(noise(1.008), HeardRegions(), (0.5, 1.008))
    assert (query.start, query.stop) == (50, 100)


def test_a_closely_cut_word_without_detected_speech_is_its_loud_part() -> None:
    audio = np.concatenate([noise(0.2, 1e-5), noise(0.4), noise(0.3, 1e-5)])
    query = trim(audio, HeardRegions())
    assert (query.start, query.stop) == (23, 57)


@pytest.mark.parametrize(("ticks", "margin"), [(12, 0), (20, 0), (22, 1), (25, 2), (26, 3), (80, 3)])
def test_a_short_word_keeps_a_fifth_of_a_second_to_be_compared(ticks: int, margin: int) -> None:
    query = trim(noise(3), HeardRegions(Region(100, 100 + ticks)))
    assert (query.margin, query.stop - query.start) == (margin, ticks - 2 * margin)


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


@pytest.mark.parametrize(
    ("query", "before", "after"),
    [
        (QueryAudio(noise(2), 50, 110, isolated=True), 80, 80),
        (QueryAudio(noise(2), 50, 110, isolated=True, margin=3), 80, 80),
        (QueryAudio(noise(2), 0, 200), 80, 80),
        (QueryAudio(noise(2), 50, 110), 80, 90),
        (QueryAudio(noise(2), 0, 110), 80, 90),
        (QueryAudio(noise(8), 100, 601, isolated=True), 0, 0),
    ],
)
def test_a_query_without_context_gets_as_much_silence_as_its_encoder_wants(
    query: QueryAudio, before: int, after: int
) -> None:
    heard: list[Samples] = []

    class Padding(PartsEmbedder):
        query_padding = 80

        def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
            assert spans[0, 1] == before + len(heard)
            heard.extend(regions)
            return super().embed(regions, spans)

    embedded = embed_query(query, Padding())
    audio, *moved = heard
    assert len(moved) == query.isolated
    for other in moved:  # by a tick, so that frames begin at the others
        np.testing.assert_array_equal(other, np.pad(audio, (SAMPLES_PER_TICK, 0)))
    assert len(audio) // SAMPLES_PER_TICK == before + query.stop - query.start + after
    said = query.samples[query.start * SAMPLES_PER_TICK : query.stop * SAMPLES_PER_TICK]
    np.testing.assert_array_equal(audio[before * SAMPLES_PER_TICK :][: len(said)], said)
    if query.isolated:
        outside = audio[: (before - query.margin) * SAMPLES_PER_TICK]
        assert not outside.any()
        assert audio[: before * SAMPLES_PER_TICK].any() == (query.margin > 0)
    assert (embedded.start, embedded.stop) == (query.start, query.stop)


def test_a_query_is_embedded_with_at_most_five_seconds_of_context_on_each_side() -> None:
    frames = babble(100, 1_000)
    query = QueryAudio(spell(frames), 900, 960)
    seen: list[int] = []

    class Watching(PartsEmbedder):
        def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
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
