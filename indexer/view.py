"""What a search sees: one consistent state of an archive under one encoder.

A view never changes; indexing and deleting make a new one. Spans are numbered over all segments in
order, recordings and regions likewise, so that a row number is an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.vectors.protocol import VectorIndex


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
    span_recording, span_region, span_start, span_stop: int32 (N,), ordinals and ticks from the
        recording's start.
    region_recording, region_start, region_stop: int32 (R,), ordinal and ticks from the recording's start.
    region_segment: int32 (R,), which of `frames` holds the region; region_frame: int64 (R,), its first row.
    vectors: one float16 (n_i, D) a segment; frames: one float16 (f_i, H) a segment; both may be memory maps.
    index: ids are span numbers.
    version: changes whenever the content does.
    """

    encoder: EncoderInfo
    recordings: tuple[RecordingEntry, ...]
    span_recording: NDArray[np.int32]
    span_region: NDArray[np.int32]
    span_start: NDArray[np.int32]
    span_stop: NDArray[np.int32]
    region_recording: NDArray[np.int32]
    region_start: NDArray[np.int32]
    region_stop: NDArray[np.int32]
    region_segment: NDArray[np.int32]
    region_frame: NDArray[np.int64]
    vectors: Sequence[NDArray[np.float16]]
    frames: Sequence[NDArray[np.float16]]
    index: VectorIndex
    version: str

    @property
    def spans(self) -> int:
        return len(self.span_start)

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """(recordings,): which may be ranked."""
        return np.array([entry.alive for entry in self.recordings], dtype=np.bool_)

    def frames_of(self, region: int, start: int, stop: int) -> NDArray[np.float16]:
        """Frame features (T', H) of ticks [start, stop) of the recording, clipped to the region."""
        step = self.encoder.ticks_per_frame
        origin = int(self.region_start[region])
        end = min(stop, int(self.region_stop[region])) - origin
        first = max(start - origin, 0) // step
        last = -(-max(end, 0) // step)
        row = int(self.region_frame[region])
        return self.frames[int(self.region_segment[region])][row + first : row + max(last, first)]
