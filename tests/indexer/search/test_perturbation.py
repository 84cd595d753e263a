from __future__ import annotations

import numpy as np
import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, SAMPLES_PER_TICK, SPEED_VARIANTS, QueryAudio
from wordspot.indexer.search.perturbation import SPEED_STEP, speed_variants

HERTZ = 800.0
START, STOP = 60, 110


def tone() -> QueryAudio:
    """A tone from START to STOP, in 2 s of silence."""
    samples = np.zeros(2 * SAMPLE_RATE, np.float32)
    at = np.arange(START * SAMPLES_PER_TICK, STOP * SAMPLES_PER_TICK)
    samples[at] = np.sin(2 * np.pi * HERTZ * at / SAMPLE_RATE)
    return QueryAudio(samples, START, STOP)


def pitch(query: QueryAudio) -> float:
    meant = query.samples[query.start * SAMPLES_PER_TICK : query.stop * SAMPLES_PER_TICK]
    power = np.abs(np.fft.rfft(meant * np.hanning(len(meant)), 1 << 17))
    return float(power.argmax()) * SAMPLE_RATE / (1 << 17)


def test_the_first_variant_is_the_query_as_it_is() -> None:
    query = tone()
    assert speed_variants(query, 1) == [query]
    assert speed_variants(query, 5)[0] is query


@pytest.mark.parametrize("count", SPEED_VARIANTS)
def test_variants_lie_evenly_around_the_query_s_own(count: int) -> None:
    heard = sorted(pitch(variant) for variant in speed_variants(tone(), count))
    expected = HERTZ * SPEED_STEP ** np.arange(-(count // 2), count // 2 + 1.0)
    assert heard == pytest.approx(expected, rel=0.005)


def test_the_meant_stretch_stays_marked_in_every_variant() -> None:
    for variant in speed_variants(tone(), 9):
        loud = np.flatnonzero(np.abs(variant.samples) > 0.05)
        assert variant.start == pytest.approx(loud[0] / SAMPLES_PER_TICK, abs=1)
        assert variant.stop == pytest.approx(loud[-1] / SAMPLES_PER_TICK, abs=1)
        assert (variant.stop - variant.start) * pitch(variant) == pytest.approx(
            (STOP - START) * HERTZ, rel=0.03
        )


def test_a_query_of_a_few_ticks_stays_one() -> None:
    samples = np.ones(10 * SAMPLES_PER_TICK, np.float32)
    for variant in speed_variants(QueryAudio(samples, 9, 10), 9):
        assert 0 <= variant.start < variant.stop <= len(variant.samples) // SAMPLES_PER_TICK


@pytest.mark.parametrize("count", [0, 2, 11, -1])
def test_a_number_of_variants_that_is_not_offered_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"one of 1, 3, 5, 7, 9, got {count}"):
        speed_variants(tone(), count)
