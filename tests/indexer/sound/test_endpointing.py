"""Words out of the sample archive, whose edges are known, with what stands around a lone word."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.bench.edges import EDGES, Edge, surround
from tests.bench.material import read
from wordspot.indexer.records import SAMPLE_RATE, SAMPLES_PER_TICK, Region, Samples, to_seconds
from wordspot.indexer.search.query import trim
from wordspot.indexer.sound.detectors import SileroDetector
from wordspot.indexer.sound.endpointing import endpoints
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.indexer.sound.spans import SpanPlan

SAMPLE = Path(__file__).parents[3] / "deploy/demo/sample"
PROMPTS = Path(__file__).parents[2] / "data/speech.flac"
SHORTEST_WORD_S = 0.3
CLEAR_DB = 30.0
TOLERANCE_S = 0.03
MOST_OUTSIDE = 0.04  # of words, of which a detector or a breath is mistaken
HOP = SAMPLES_PER_TICK


@cache
def segmenter() -> SpeechSegmenter:
    return SpeechSegmenter(SileroDetector(), SpanPlan())


@cache
def words() -> dict[str, Samples]:
    """One recording of each word of the sample that begins and ends with clear sound, at 16 kHz."""
    with (SAMPLE / "words.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found: dict[str, Samples] = {}
    for row in rows:
        start, end = float(row["start"]), float(row["end"])
        if end - start < SHORTEST_WORD_S or row["word"] in found:
            continue
        word = read(SAMPLE / "recordings" / row["recording"], start, end)
        word = word[: len(word) // HOP * HOP]
        power = np.square(word, dtype=np.float64).reshape(-1, HOP).mean(axis=1)
        if min(power[:2].min(), power[-2:].min()) > power.max() * 10 ** (-CLEAR_DB / 10):
            found[row["word"]] = word
    return found


def misses(edge: Edge) -> Iterator[tuple[str, float, float]]:
    """Words of which an edge is found further than TOLERANCE_S from the truth, and both errors in seconds."""
    for text, word in words().items():
        samples, start = surround(word, edge, text)
        query = trim(samples, segmenter())
        first = to_seconds(query.start) - start
        last = to_seconds(query.stop) - start - len(word) / SAMPLE_RATE
        if max(abs(first), abs(last)) > TOLERANCE_S + 1e-6:
            yield text, round(first, 2), round(last, 2)


def test_the_set_has_words_enough() -> None:
    assert len(words()) >= 40


@pytest.mark.parametrize("edge", EDGES)
def test_a_lone_word_is_found_within_30_ms_whatever_stands_around_it(edge: Edge) -> None:
    wrong = list(misses(edge))
    assert len(wrong) <= MOST_OUTSIDE * len(words()), wrong


@pytest.mark.parametrize("decibels", [-10.0, -25.0])
def test_a_quiet_word_has_the_same_edges(decibels: float) -> None:
    for text, word in list(words().items())[:10]:
        samples, _ = surround(word, "silence .5", text)
        loud = trim(samples, segmenter())
        quiet = trim(samples * np.float32(10 ** (decibels / 20)), segmenter())
        assert quiet.start == pytest.approx(loud.start, abs=4), text
        assert quiet.stop == pytest.approx(loud.stop, abs=4), text


def test_pauses_within_a_phrase_stay() -> None:
    samples = read(PROMPTS, 0.3, 7.2)  # two prompts, from 0.70 to 3.86 s and from 5.06 to 6.65 s
    query = trim(samples, segmenter())
    assert to_seconds(query.start) + 0.3 == pytest.approx(0.75, abs=0.1)
    assert to_seconds(query.stop) + 0.3 == pytest.approx(6.55, abs=0.1)


def tone(seconds: float, amplitude: float = 0.3, hertz: float = 400.0) -> Samples:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def test_sound_that_the_detector_heard_late_and_held_too_long_is_found_whole() -> None:
    samples = np.concatenate([silence(0.5), tone(0.6), silence(0.5)])
    assert endpoints(samples, [Region(75, 125)]) == pytest.approx((50, 110), abs=1)


def test_speech_that_the_detector_missed_beside_a_breath_is_meant() -> None:
    breath = 0.01 * np.random.default_rng(0).standard_normal(4_800).astype(np.float32)
    samples = np.concatenate([silence(0.5), breath, silence(0.2), tone(0.6), silence(0.5)])
    assert endpoints(samples, [Region(45, 85)]) == pytest.approx((100, 160), abs=1)


def test_a_burst_is_part_of_the_word_and_a_click_further_away_is_not() -> None:
    def with_burst_after(gap: float) -> tuple[int, int]:
        samples = np.concatenate([silence(0.5), tone(0.6), silence(gap), tone(0.03, hertz=3e3), silence(0.5)])
        return endpoints(samples, [Region(45, 140)])

    assert with_burst_after(0.05) == pytest.approx((50, 118), abs=1)
    assert with_burst_after(0.12) == pytest.approx((50, 110), abs=1)


def test_a_fricative_in_which_noise_is_low_is_part_of_the_word() -> None:
    rng = np.random.default_rng(0)
    hum = np.convolve(rng.standard_normal(2 * SAMPLE_RATE + 99), np.ones(100) / 100, "valid") * 0.1
    fricative = tone(0.15, 0.005, 6e3)
    samples = hum[: 2 * SAMPLE_RATE].astype(np.float32)
    samples[8_000 : 8_000 + len(fricative)] += fricative
    samples[10_400:20_000] += tone(0.6)
    assert endpoints(samples, [Region(62, 130)]) == pytest.approx((50, 125), abs=1)


def test_in_noise_as_loud_as_the_speech_the_detector_is_believed() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE).astype(np.float32)
    assert endpoints(noise, [Region(100, 150), Region(160, 190)]) == (100, 190)


def test_sound_that_is_too_short_for_speech_leaves_the_detectors_edges() -> None:
    samples = np.concatenate([silence(0.5), tone(0.05), silence(0.5)])
    assert endpoints(samples, [Region(45, 70)]) == (45, 70)


def test_a_detector_that_hears_what_energy_does_not_is_believed() -> None:
    samples = np.concatenate([silence(1.0), tone(0.5), silence(1.0)])
    assert endpoints(samples, [Region(10, 30)]) == (10, 30)
