"""Batches of recordings: what is indexed together, and what one commit makes visible."""

from __future__ import annotations

from dataclasses import dataclass, field

from wordspot.indexer.archive.originals import Original
from wordspot.indexer.archive.origins import Origin
from wordspot.indexer.archive.segments import SealedSegment


@dataclass(frozen=True)
class PendingRecording:
    """A recording to be indexed.

    Attributes:
        recording: its id.
        original: its file.
        origin: what its segment stores of it besides.
    """

    recording: str
    original: Original
    origin: Origin | None = None


@dataclass(frozen=True)
class Batch:
    """What one commit makes visible.

    Attributes:
        segment: None if every recording of the batch failed.
        seconds: of audio decoded, in the order of the segment's recordings.
        problems: why recordings failed, by id.
        warnings: of the decoder about the others, by id.
    """

    segment: SealedSegment | None
    seconds: tuple[float, ...]
    problems: dict[str, str]
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchLimits:
    """A batch is committed as soon as it reaches one limit; a recording is never divided.

    Attributes:
        recordings: of a batch.
        bytes: of its segment.
        seconds: since it was begun.
        first_seconds: the same of the first batch; each may take twice as long as the one before it. So a
            process that dies again and again gets on nevertheless.
        sections: that are embedded together.
        speech_seconds: that are embedded together.
    """

    recordings: int = 256
    bytes: int = 128 * 2**20
    seconds: float = 30.0
    first_seconds: float = 2.0
    sections: int = 12
    speech_seconds: float = 60.0
