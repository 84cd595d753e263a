"""What the library says of archives, recordings and operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from wordspot.indexer.catalogue import OperationState

T = TypeVar("T")


class RecordingState(StrEnum):
    """added: not searchable yet. failed: could not be decoded or embedded."""

    ADDED = "added"
    INDEXED = "indexed"
    FAILED = "failed"


@dataclass(frozen=True)
class Page(Generic[T]):
    """next: hand it in as `after` for the following page; empty at the end."""

    items: tuple[T, ...]
    next: str


@dataclass(frozen=True)
class ArchiveSummary:
    """encoder, encoder_hash: empty before the first indexing. Counts are of what is not deleted.

    size: bytes of segments, cached index and uploaded audio.
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


@dataclass(frozen=True)
class RecordingSummary:
    """path: as given, or the uploaded file's name. seconds: None until known.

    problem: why indexing failed, empty where it did not.
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


@dataclass(frozen=True)
class OperationSummary:
    """Counts are of what is committed. recordings_failed: each has its problem."""

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
        return self.state is not OperationState.RUNNING


@dataclass(frozen=True)
class CompactionSummary:
    """freed: bytes."""

    segments_before: int
    segments_after: int
    freed: int
