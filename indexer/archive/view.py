"""Views: one consistent state of an archive under one encoder, which searches read.

A view is immutable; indexing and deleting create a new one. Spans are numbered over all segments in order,
recordings and regions likewise, so that a row number is an id. Only memory maps grow with the number of
spans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.summaries import QuarantinedSegment
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import ONE_STREAM, Layout, Stream
from wordspot.indexer.vectors.protocol import IdSet, SpanIndex, unpacked
from wordspot.indexer.vectors.stored import Packed, gather_rows

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RecordingEntry:
    """A recording of a view.

    Attributes:
        id: of the recording.
        path: for people.
        duration: in seconds.
        alive: false once deleted, until compaction.
        content: SHA-256 of the file, hexadecimal.
        layout: its streams.
        missing: whether the file is not there any more, or has another content.
    """

    id: str
    path: str
    duration: float
    alive: bool
    content: str = ""
    layout: Layout = ONE_STREAM
    missing: bool = False


@dataclass(frozen=True)
class ArchiveView:
    """One consistent state of an archive. All arrays are read-only; tables, vectors and frames may be memory
    maps.

    Attributes:
        encoder: that embedded the archive.
        recordings: by ordinal.
        region_recording: int32 (R,), ordinals of the regions' recordings, ascending.
        region_start: int32 (R,), first ticks from the recording's start.
        region_stop: int32 (R,), one past the last ticks.
        region_segment: int32 (R,), which of `frames` holds the region.
        region_frame: int64 (R,), the region's first row there.
        region_span: int64 (R + 1,), the first span of each region, and the number of all spans.
        tables: one (n_i,) of SPAN a segment.
        vectors: one (n_i, D) a segment, as `packed` returns them; only directions are stored.
        frames: one (f_i, H) a segment, as `packed` returns them; only directions are stored.
        index: ids are span numbers.
        quarantined: damaged segments that are left out.
        region_stream: uint8 (R,), ordinals of streams within the regions' recordings; None where each
            recording has one.
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
    vectors: Sequence[Packed]
    frames: Sequence[Packed]
    index: SpanIndex
    quarantined: tuple[QuarantinedSegment, ...] = ()
    region_stream: NDArray[np.uint8] | None = None

    def without(self, deleted: Collection[str]) -> ArchiveView:
        """Returns the view with the recordings of these ids marked as deleted."""
        if not any(entry.alive and entry.id in deleted for entry in self.recordings):
            return self
        entries = tuple(
            replace(entry, alive=entry.alive and entry.id not in deleted) for entry in self.recordings
        )
        return replace(self, recordings=entries)

    def with_entries(self, entries: Sequence[RecordingEntry]) -> ArchiveView:
        """Returns the view with what is known now of its recordings, by ordinal; deleted ones stay so."""
        pairs = zip(self.recordings, entries, strict=True)
        return replace(
            self, recordings=tuple(replace(new, alive=new.alive and old.alive) for old, new in pairs)
        )

    @property
    def spans(self) -> int:
        """Number of all spans, those of deleted recordings included."""
        return int(self.region_span[-1])

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """Mask (recordings,) of those that are not deleted."""
        return np.array([entry.alive for entry in self.recordings], dtype=np.bool_)

    @cached_property
    def alive_spans(self) -> IdSet | None:
        """Spans of recordings that are not deleted; None means all."""
        dead = np.flatnonzero(~self.alive)
        return IdSet.every(self.spans).without_ranges(self.span_ranges(dead)) if len(dead) else None

    @cached_property
    def recording_span(self) -> Ints:
        """The first span of each recording, and the number of all spans (recordings + 1,)."""
        regions = np.searchsorted(self.region_recording, np.arange(len(self.recordings) + 1))
        return self.region_span[regions]

    def stream(self, region: int) -> Stream:
        """Returns the stream of a region."""
        ordinal = 0 if self.region_stream is None else int(self.region_stream[region])
        return self.recordings[int(self.region_recording[region])].layout.streams[ordinal]

    def span_ranges(self, recordings: Iterable[int]) -> list[tuple[int, int]]:
        """Returns first and one past the last span of each recording, which are ordinals."""
        first = self.recording_span
        return [(int(first[number]), int(first[number + 1])) for number in recordings]

    def span_extents(self, spans: Ints) -> tuple[Ints, Ints, Ints]:
        """Returns region, start and stop (n,) of spans (n,), in ticks from the recording's start."""
        region = np.searchsorted(self.region_span, spans, side="right") - 1
        start, length = np.empty(len(spans), dtype=np.int64), np.empty(len(spans), dtype=np.int64)
        segment = self.region_segment[region]
        for number in np.unique(segment):
            in_segment = segment == number
            rows = self.tables[number][spans[in_segment] - self._first_spans[number]]
            start[in_segment], length[in_segment] = rows["start"], rows["length"]
        start += self.region_start[region]
        return region, start, start + length

    def span_vectors(self, spans: Ints) -> NDArray[np.int8]:
        """Returns the vectors (n, D) of spans (n,)."""
        return gather_rows(self.vectors, spans)

    @cached_property
    def _first_spans(self) -> Ints:
        """The first span of each segment (segments + 1,)."""
        return np.cumsum([0, *map(len, self.tables)])

    def region_frames(self, region: int, start: int, stop: int) -> NDArray[np.int8]:
        """Returns the frame features (T', H) of ticks [start, stop) of the recording, clipped to the
        region."""
        step = self.encoder.ticks_per_frame
        origin = int(self.region_start[region])
        end = min(stop, int(self.region_stop[region])) - origin
        first = max(start - origin, 0) // step
        last = -(-max(end, 0) // step)
        row = int(self.region_frame[region])
        return unpacked(self.frames[int(self.region_segment[region])][row + first : row + max(last, first)])
