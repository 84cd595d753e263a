"""The records that the library returns of archives, recordings and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.streams import DEFAULT_SELECTION, Selection, Stream

if TYPE_CHECKING:
    from wordspot.indexer.sound.peaks import Peaks

T = TypeVar("T")


class RecordingState(StrEnum):
    """The state of a recording.

    Attributes:
        ADDED: not indexed yet.
        INDEXED: searchable.
        FAILED: could not be decoded or embedded.
        MISSING: its file is not there any more, or has another content; searchable if it was indexed.
    """

    ADDED = "added"
    INDEXED = "indexed"
    FAILED = "failed"
    MISSING = "missing"


class FileStatus(StrEnum):
    """What became of a file.

    Attributes:
        ADDED: new to the archive.
        PRESENT: its content was there before.
        CHANGED: another content than the one that was added from the same place.
        RENAMED: content that lay elsewhere before.
        MISSING: not there any more.
        FOUND: there again.
    """

    ADDED = "added"
    PRESENT = "present"
    CHANGED = "changed"
    RENAMED = "renamed"
    MISSING = "missing"
    FOUND = "found"


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list.

    Attributes:
        items: of the page.
        next: `after` of the next page; empty at the end.
        total: items on all pages, of lists that count them.
    """

    items: tuple[T, ...]
    next: str
    total: int = 0


@dataclass(frozen=True)
class PeakSummary:
    """The waveform of a stretch.

    Attributes:
        start: in seconds.
        end: in seconds.
        peaks: int8 (buckets, 2), least and greatest sample of each.
    """

    start: float
    end: float
    peaks: Peaks


class StoredKind(StrEnum):
    """What is stored for an archive: the catalogue, segments, and files that clients have uploaded."""

    CATALOGUE = "catalogue"
    SEGMENT = "segment"
    UPLOAD = "upload"


@dataclass(frozen=True)
class CheckSummary:
    """The result of comparing something stored with its checksums.

    Attributes:
        kind: of what was checked.
        name: of the segment, or of the file as the client named it; empty for the catalogue.
        size: in bytes, 0 for the catalogue.
        recordings: that depend on it.
        problem: what is wrong, empty if nothing is.
    """

    kind: StoredKind
    name: str
    size: int
    recordings: int
    problem: str


@dataclass(frozen=True)
class QuarantinedSegment:
    """A damaged segment that searches leave out.

    Attributes:
        name: of the segment.
        problem: what is wrong.
        recordings: that are not searched, deleted ones not counted.
    """

    name: str
    problem: str
    recordings: int


@dataclass(frozen=True)
class ArchiveSummary:
    """An archive. Counts are of what is not deleted.

    Attributes:
        name: unique.
        encoder: name of the encoder, empty before the first indexing.
        encoder_hash: SHA-256 of its artifact, hexadecimal, empty before the first indexing.
        recordings: number of recordings.
        indexed_recordings: number of recordings that are searchable.
        audio_seconds: of all recordings whose duration is known.
        spans: of the searchable recordings.
        segments: of the generation that serves.
        quarantined: those of them that are damaged.
        size: bytes of segments, cached index and uploaded audio.
        created: when.
        selection: which channels and tracks it has.
    """

    name: str
    encoder: str
    encoder_hash: str
    recordings: int
    indexed_recordings: int
    audio_seconds: float
    spans: int
    segments: int
    size: int
    created: datetime
    quarantined: tuple[QuarantinedSegment, ...] = ()
    selection: Selection = DEFAULT_SELECTION


@dataclass(frozen=True)
class RecordingSummary:
    """A recording.

    Attributes:
        id: unique.
        archive: name of its archive.
        path: as the client specified it, or the uploaded file's name.
        sha256: of the file, hexadecimal.
        seconds: duration, None until known.
        sample_rate: of the file, in Hz.
        channels: of the file.
        format: of the file.
        state: whether it is searchable.
        problem: why indexing failed, empty if it did not.
        created: when it was added.
        warnings: of the decoder: damage, gaps, a wrong length in the header, which of several tracks or
            channels speech was taken from.
        tags: what its owner says of it.
        streams: that are searched; none until it is.
    """

    id: str
    archive: str
    path: str
    sha256: str
    seconds: float | None
    sample_rate: int
    channels: int
    format: str
    state: RecordingState
    problem: str
    created: datetime
    warnings: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()


@dataclass(frozen=True)
class FilePiece:
    """Bytes of a recording's file, which has `size` of them in all."""

    data: bytes
    size: int


@dataclass(frozen=True)
class TagCount:
    """A tag that recordings of an archive have.

    Attributes:
        key: of the tag.
        value: of the tag.
        recordings: that have it.
    """

    key: str
    value: str
    recordings: int


@dataclass(frozen=True)
class FileChange:
    """What became of a file.

    Attributes:
        recording: that stands for its content now.
        status: of the file.
        previous_path: of the recording, empty unless the file was renamed.
        problem: why what lies there now cannot be used, empty if nothing does or it can.
    """

    recording: RecordingSummary
    status: FileStatus
    previous_path: str = ""
    problem: str = ""

    @property
    def present(self) -> bool:
        """Whether the content was in the archive before."""
        return self.status not in (FileStatus.ADDED, FileStatus.CHANGED)


@dataclass(frozen=True)
class OperationSummary:
    """An indexing operation. Counts are of what is committed.

    Attributes:
        id: unique.
        archive: name of its archive.
        encoder: name of the encoder.
        state: of the operation.
        recordings_total: to be indexed.
        recordings_done: indexed.
        recordings_failed: that could not be indexed; each has its problem.
        audio_seconds_done: of audio indexed.
        spans_done: indexed.
        problem: why it failed, empty if it did not.
        created: when it was started.
        updated: when it last changed.
    """

    id: str
    archive: str
    encoder: str
    state: OperationState
    recordings_total: int
    recordings_done: int
    recordings_failed: int
    audio_seconds_done: float
    spans_done: int
    problem: str
    created: datetime
    updated: datetime

    @property
    def ended(self) -> bool:
        """Whether it no longer runs."""
        return self.state is not OperationState.RUNNING


@dataclass(frozen=True)
class CompactionSummary:
    """The result of a compaction.

    Attributes:
        segments_before: number of segments.
        segments_after: number of segments.
        freed: bytes.
    """

    segments_before: int
    segments_after: int
    freed: int
