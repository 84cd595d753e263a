"""Archives whose words are known, because they were put there.

Every 20 ms of the synthetic audio begin with 16 samples that are the frame's features, so the same fakes
serve queries and archives. A word is a row of random phones; saying it adds noise and changes its speed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.segments import SPAN
from wordspot.indexer.archive.view import ArchiveView, RecordingEntry
from wordspot.indexer.records import (
    SAMPLES_PER_TICK,
    EncoderInfo,
    QueryAudio,
    Region,
    Samples,
    Section,
    SectionEmbeddings,
)
from wordspot.indexer.search.query import EmbeddedQuery, embed_query
from wordspot.indexer.vectors.protocol import IdSet, normalised, quantised

Frames = NDArray[np.float32]

WIDTH = 16
STEP = 2  # ticks a frame
PARTS = 4  # a span's vector is the mean of each quarter
LENGTHS = (20, 30, 40, 60, 80, 100, 120, 150)
HOP = 10
INFO = EncoderInfo("parts", "c0ffee" * 8, PARTS * WIDTH, WIDTH, STEP)


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
    query_padding: int = 0
    calibration: Mapping[str, Any] | None = None

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        frames = tuple(
            np.ascontiguousarray(audio[: len(audio) // 320 * 320].reshape(-1, 320)[:, :WIDTH])
            for audio in regions
        )
        vectors = [pooled(frames[region], start, stop) for region, start, stop in spans.tolist()]
        return SectionEmbeddings(normalised(np.array(vectors)), frames)

    def embed_all(
        self, sections: Sequence[tuple[Sequence[Samples], NDArray[np.int32]]]
    ) -> list[SectionEmbeddings]:
        return [self.embed(*section) for section in sections]


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
    )


def ask(frames: Frames) -> EmbeddedQuery:
    """The frames as a query, all of them meant."""
    return embed_query(QueryAudio(spell(frames), 0, len(frames) * STEP), PartsEmbedder())
