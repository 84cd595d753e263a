"""What a search sees: one consistent state of an archive under one encoder.

A view never changes; indexing and deleting make a new one. Spans are numbered over all segments in
order, recordings and regions likewise, so that a row number is an id. Nothing but memory maps grows with
the number of spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.vectors.protocol import IdSet, SpanIndex
from wordspot.indexer.vectors.stored import gathered

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RecordingEntry:
    """duration in seconds; alive is false once deleted, until compaction."""

    id: str
    path: str
    duration: float
    alive: bool


@dataclass(frozen=True)
class ArchiveView:
    """All arrays are read-only.

    recordings: by ordinal.
    region_recording, region_start, region_stop: int32 (R,), ordinal, rising, and ticks from the recording's
        start.
    region_segment: int32 (R,), which of `frames` holds the region; region_frame: int64 (R,), its first row.
    region_span: int64 (R + 1,), the first span of each region, and the number of all spans.
    tables: one (n_i,) of SPAN a segment; vectors: one int8 (n_i, D); frames: one int8 (f_i, H). Only
        directions of vectors and frames mean anything. All three may be memory maps.
    index: ids are span numbers.
    version: changes whenever the content does.
    """

    encoder: EncoderInfo
    recordings: tuple[RecordingEntry, ...]
    region_recording: NDArray[np.int32]
    region_start: NDArray[np.int32]
    region_stop: NDArray[np.int32]
    region_segment: NDArray[np.int32]
    region_frame: Ints
    region_span: Ints
    tables: Sequence[NDArray[np.void]]
    vectors: Sequence[NDArray[np.int8]]
    frames: Sequence[NDArray[np.int8]]
    index: SpanIndex
    version: str

    @property
    def spans(self) -> int:
        return int(self.region_span[-1])

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """(recordings,): which may be ranked."""
        return np.array([entry.alive for entry in self.recordings], dtype=np.bool_)

    @cached_property
    def alive_spans(self) -> IdSet | None:
        """Spans of recordings that may be ranked; None means all."""
        dead = np.flatnonzero(~self.alive)
        return IdSet.every(self.spans).without_ranges(self.span_ranges(dead)) if len(dead) else None

    @cached_property
    def recording_span(self) -> Ints:
        """(recordings + 1,): the first span of each recording, and the number of all spans."""
        regions = np.searchsorted(self.region_recording, np.arange(len(self.recordings) + 1))
        return self.region_span[regions]

    def span_ranges(self, recordings: Iterable[int]) -> list[tuple[int, int]]:
        """First and one past the last span of each recording."""
        first = self.recording_span
        return [(int(first[number]), int(first[number + 1])) for number in recordings]

    def places(self, spans: Ints) -> tuple[Ints, Ints, Ints]:
        """Region, start and stop (n,) of spans (n,), in ticks from the recording's start."""
        region = np.searchsorted(self.region_span, spans, side="right") - 1
        start, length = np.empty(len(spans), dtype=np.int64), np.empty(len(spans), dtype=np.int64)
        segment = self.region_segment[region]
        for number in np.unique(segment):
            here = segment == number
            rows = self.tables[number][spans[here] - self._first_spans[number]]
            start[here], length[here] = rows["start"], rows["length"]
        start += self.region_start[region]
        return region, start, start + length

    def rows(self, spans: Ints) -> NDArray[np.int8]:
        """Vectors (n, D) of spans (n,)."""
        return gathered(self.vectors, spans)

    @cached_property
    def _first_spans(self) -> Ints:
        """(segments + 1,)."""
        return np.cumsum([0, *map(len, self.tables)])

    def frames_of(self, region: int, start: int, stop: int) -> NDArray[np.int8]:
        """Frame features (T', H) of ticks [start, stop) of the recording, clipped to the region."""
        step = self.encoder.ticks_per_frame
        origin = int(self.region_start[region])
        end = min(stop, int(self.region_stop[region])) - origin
        first = max(start - origin, 0) // step
        last = -(-max(end, 0) // step)
        row = int(self.region_frame[region])
        return self.frames[int(self.region_segment[region])][row + first : row + max(last, first)]
