"""Queries as a caller states them, and what the client tells of indexing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wordspot.services.limits import DEFAULT_SPEAKERS
from wordspot.v1 import archive_pb2


@dataclass(frozen=True)
class FileQuery:
    """A local file, or the seconds [start, end) of it: the rest then serves as context.

    path: of the file.
    start, end: in seconds; None for the whole file.
    """

    path: Path
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class StoredQuery:
    """The seconds [start, end) of a recording in the archive.

    recording: its id.
    start, end: in seconds from the start of the recording.
    """

    recording: str
    start: float
    end: float


@dataclass(frozen=True)
class TypedQuery:
    """Words that a synthesiser speaks, for want of a recording.

    text: the words, at most 100 characters.
    language: as espeak-ng names it, `en-us`.
    speakers: how many of the synthesiser's voices speak it, 1 to 8.
    """

    text: str
    language: str = "en"
    speakers: int = DEFAULT_SPEAKERS


QueryExample = str | Path | bytes | FileQuery | StoredQuery | TypedQuery
Query = QueryExample | Sequence[QueryExample]


@dataclass(frozen=True)
class IndexProgress:
    """How far indexing has come.

    stage: "adding" counts files, "indexing" recordings.
    done, total: so many of so many.
    """

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class IndexReport:
    """What an indexing did.

    added, present: files new to the archive, and already in it.
    ignored: files in folders that are not audio by their names.
    skipped: why other files and folders in folders were left out, by path.
    problems: message by path.
    operation, archive: as they were at the end.
    seconds: spent.
    warnings: what was noticed of the sound of files that were indexed, by path.
    encoder_reason: why `auto` chose the encoder that it chose, where it did so in this process.
    """

    added: int
    present: int
    ignored: int
    problems: dict[str, str]
    operation: archive_pb2.Operation
    archive: archive_pb2.Archive
    seconds: float
    encoder_reason: str = ""
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
