"""What is said twice, in archives in which it is known because it was put there.

A word is a row of random phones; saying it adds noise. A span's vector is the mean of each quarter.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from wordspot.indexer.archive.segments import SPAN
from wordspot.indexer.archive.view import ArchiveView, RecordingEntry
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.search.mining import MiningSettings, Stretch, StretchPair, clusters, mine, seeds
from wordspot.indexer.vectors.exact import ExactIndex
from wordspot.indexer.vectors.protocol import IdSet, normalised, quantised

Frames = NDArray[np.float32]

WIDTH, STEP, PARTS, HOP = 16, 2, 4, 10
LENGTHS = (30, 50, 80)
INFO = EncoderInfo("parts", "c0ffee" * 8, PARTS * WIDTH, WIDTH, STEP)


def babble(seed: int, frames: int) -> Frames:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 9, frames // 3 + 1)
    phones = np.repeat(rng.standard_normal((len(lengths), WIDTH)), lengths, axis=0)[:frames]
    return (phones + 0.3 * rng.standard_normal((frames, WIDTH))).astype(np.float32)


def say(word: str, take: int) -> Frames:
    """0.5 s."""
    rng = np.random.default_rng([crc32(word.encode()), take])
    phones = np.random.default_rng(crc32(word.encode())).standard_normal((6, WIDTH))
    places = np.linspace(0, 6, 25, endpoint=False).astype(int)
    return (phones[places] + 0.3 * rng.standard_normal((25, WIDTH))).astype(np.float32)


class OfAnyLength:
    """Searches all spans, whatever their length."""

    def __init__(self, vectors: Frames) -> None:
        self._index = ExactIndex(vectors.shape[1])
        self._index.add(np.arange(len(vectors)), vectors)
        self.size = len(vectors)

    def search(
        self, queries: Frames, k: int, ticks: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], Frames]:
        return self._index.search(queries, k, allowed)


def build(recordings: Mapping[str, Sequence[Frames]], dead: Sequence[str] = ()) -> ArchiveView:
    """Every recording is one region that begins at tick 100; spans of LENGTHS every 100 ms."""
    grid: list[tuple[int, int]] = []
    vectors, features, bounds, rows = [], [], [0], [0]
    for parts in recordings.values():
        frames = np.concatenate(parts)
        for length in LENGTHS:
            for start in range(0, len(frames) * STEP - length + 1, HOP):
                edges = np.linspace(start // STEP, (start + length) // STEP, PARTS + 1).astype(int)
                vectors.append(
                    np.concatenate([frames[a:b].mean(axis=0) for a, b in itertools.pairwise(edges)])
                )
                grid.append((start, length))
        bounds.append(len(grid))
        features.append(frames)
        rows.append(rows[-1] + len(frames))
    stored = quantised(np.array(vectors))
    count = len(recordings)
    ticks = np.array([len(frames) * STEP for frames in features])
    return ArchiveView(
        encoder=INFO,
        recordings=tuple(RecordingEntry(name, f"/{name}.wav", 60.0, name not in dead) for name in recordings),
        region_recording=np.arange(count, dtype=np.int32),
        region_start=np.full(count, 100, np.int32),
        region_stop=(100 + ticks).astype(np.int32),
        region_segment=np.zeros(count, np.int32),
        region_frame=np.array(rows[:-1], np.int64),
        region_span=np.array(bounds, np.int64),
        tables=[np.array(grid, dtype=SPAN)],
        vectors=[stored],
        frames=[quantised(np.concatenate(features))],
        index=OfAnyLength(normalised(stored)),
    )


def speech() -> dict[str, list[Frames]]:
    """Six recordings that say "lantern" from 2 s on, and one that says "harbour" twice."""
    said = {f"r{n}": [babble(2 * n, 100), say("lantern", n), babble(2 * n + 1, 100)] for n in range(6)}
    harbour = [babble(90, 100), say("harbour", 1), babble(91, 60), say("harbour", 2), babble(92, 40)]
    return said | {"alone": harbour}


@pytest.fixture(scope="module")
def view() -> ArchiveView:
    return build(speech())


def is_lantern(one: Stretch) -> bool:
    """Whether it shares most of itself with the word, which lies from tick 300 to 350."""
    shared = min(one.stop, 350) - max(one.start, 300)
    return one.recording < 6 and shared >= 0.5 * (one.stop - one.start)


def test_a_word_of_several_recordings_is_mined_and_one_of_a_single_recording_is_not(
    view: ArchiveView,
) -> None:
    mined = mine(view)
    assert mined.pairs
    assert all(is_lantern(pair.first) and is_lantern(pair.second) for pair in mined.pairs)
    assert all(pair.first.recording != pair.second.recording for pair in mined.pairs)
    assert {one.recording for cluster in mined.clusters for one in cluster} == set(range(6))


def test_the_same_settings_give_the_same_answer_and_progress_is_told(view: ArchiveView) -> None:
    steps: list[tuple[int, int]] = []
    settings = MiningSettings(seeds=30)
    mined = mine(view, settings, lambda done, total: steps.append((done, total)))
    assert mined == mine(view, settings)
    assert steps == [(done, 30) for done in range(1, 31)]


def test_copies_of_one_sound_are_no_pairs() -> None:
    jingle = say("jingle", 0)
    said = {f"r{n}": [babble(2 * n, 100), jingle, babble(2 * n + 1, 100)] for n in range(6)}
    assert mine(build(said)).pairs == ()


def test_deleted_recordings_are_not_mined(view: ArchiveView) -> None:
    left = build(speech(), dead=("r1", "r4"))
    mined = mine(left)
    assert {one.recording for cluster in mined.clusters for one in cluster} == {0, 2, 3, 5}


def test_seeds_are_as_long_as_words_do_not_overlap_and_come_of_every_recording(view: ArchiveView) -> None:
    chosen = seeds(view, MiningSettings(seeds=21))
    assert [sum(one.recording == number for one in chosen) for number in range(7)] == [3] * 7
    for one in chosen:
        assert 35 <= one.stop - one.start <= 100
    for one, other in itertools.combinations(chosen, 2):
        assert one.region != other.region or one.stop <= other.start or other.stop <= one.start
    assert chosen != seeds(view, MiningSettings(seeds=21, seed=1))


def place(recording: int, start: int = 0) -> Stretch:
    return Stretch(recording, recording, start, start + 50)


def test_pairs_that_share_a_place_make_one_cluster() -> None:
    pairs = [
        StretchPair(place(0), place(1), 9.0),
        StretchPair(place(2), place(3), 8.0),
        StretchPair(place(1, start=10), place(4), 7.0),
        StretchPair(place(3), place(0, start=5), 6.0),
        StretchPair(place(0, start=200), place(1, start=200), 5.0),
    ]
    assert clusters(pairs, 12) == (
        (place(0), place(1), place(2), place(3), place(4)),
        (place(0, start=200), place(1, start=200)),
    )


def test_what_a_full_cluster_leaves_out_is_in_no_other() -> None:
    pairs = [StretchPair(place(number), place(number + 1), 9.0 - number) for number in range(8)]
    assert clusters(pairs, 3) == ((place(0), place(1), place(2)),)


def test_two_recordings_are_not_paired_too_often() -> None:
    words = [f"word {number}" for number in range(8)]
    said = {
        name: [part for word in words for part in (say(word, take), babble(10 * take + len(word), 20))]
        for take, name in enumerate("ab")
    }
    mined = mine(build(said), MiningSettings(score=1.0, max_pairs_per_recordings=3))
    assert len(mined.pairs) == 3


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"max_cluster_size": 1}, "max_cluster_size must be at least 2, got 1"),
    ],
)
def test_settings_that_mine_nothing_are_refused(values: dict[str, int], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        replace(MiningSettings(), **values)
