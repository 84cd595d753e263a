"""The assembly of open segments into one view.

Ordinals of recordings, regions and spans are shifted, so that they number those of all segments in order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.segments import SegmentReader
from wordspot.indexer.archive.summaries import QuarantinedSegment
from wordspot.indexer.archive.view import ArchiveView, RecordingEntry
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.vectors.buckets import BucketedIndex, Snapshot


@dataclass(frozen=True)
class OpenSegment:
    """A segment and its recordings.

    Attributes:
        reader: of its files.
        entries: its recordings, by ordinal.
        stamps: of its files when they were opened, by which a change is noticed.
    """

    reader: SegmentReader
    entries: tuple[RecordingEntry, ...]
    stamps: tuple[tuple[int, int, int], ...]


def assembled(
    encoder: EncoderInfo,
    parts: Sequence[OpenSegment],
    index: BucketedIndex,
    quarantined: tuple[QuarantinedSegment, ...],
) -> ArchiveView:
    """Returns a view of segments.

    Args:
        encoder: that embedded them.
        parts: in the order in which recordings, regions and spans are numbered.
        index: of the spans of all of them.
        quarantined: damaged segments that are left out.
    """
    readers = [part.reader for part in parts]
    entries = tuple(entry for part in parts for entry in part.entries)
    recordings = _starts(len(part.entries) for part in parts)
    spans = _starts(len(reader.spans) for reader in readers)
    nothing = [0] * len(parts)
    tables = [reader.regions for reader in readers]
    vectors = tuple(reader.vectors for reader in readers)
    return ArchiveView(
        encoder=encoder,
        recordings=entries,
        region_recording=_column(tables, "recording", recordings, np.int32),
        region_start=_column(tables, "start", nothing, np.int32),
        region_stop=_column(tables, "stop", nothing, np.int32),
        region_segment=_read_only(
            np.repeat(np.arange(len(parts), dtype=np.int32), [len(table) for table in tables])
        ),
        region_frame=_column(tables, "frame", nothing, np.int64),
        region_span=_read_only(
            np.append(_column(tables, "span", spans, np.int64), sum(len(reader.spans) for reader in readers))
        ),
        tables=tuple(reader.spans for reader in readers),
        vectors=vectors,
        frames=tuple(reader.frames for reader in readers),
        index=Snapshot(index, vectors),
        quarantined=quarantined,
        region_stream=_streams(parts),
    )


def _streams(parts: Sequence[OpenSegment]) -> NDArray[np.uint8] | None:
    """Returns the ordinals of all regions' streams (R,); None where each recording has one."""
    if all(len(entry.layout.streams) == 1 for part in parts for entry in part.entries):
        return None
    streams = [np.zeros(len(part.reader.regions), np.uint8) for part in parts]
    for part, column in zip(parts, streams, strict=True):
        for ordinal, entry in enumerate(part.entries):
            if not entry.layout.regions:
                continue
            _, regions, _ = part.reader.extent(ordinal)
            for count in itertools.accumulate(entry.layout.regions):
                column[regions.start + count : regions.stop] += 1
    return _read_only(np.concatenate(streams))


def _column(
    tables: Sequence[NDArray[np.void]], name: str, shifts: Sequence[int], dtype: type[np.integer[Any]]
) -> NDArray[Any]:
    """Returns one field of all segments' tables, with each segment's shift added."""
    joined = np.empty(sum(map(len, tables)), dtype=dtype)
    position = 0
    for table, shift in zip(tables, shifts, strict=True):
        joined[position : position + len(table)] = table[name]
        joined[position : position + len(table)] += dtype(shift)
        position += len(table)
    return _read_only(joined)


def _starts(lengths: Iterable[int]) -> list[int]:
    return [0, *itertools.accumulate(lengths)][:-1]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
