"""The tables of the catalogue.

migrations/ brings the tables of an older version up to date.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column

from wordspot.indexer.limits import MAX_TAG_KEY_CHARACTERS, MAX_TAG_VALUE_CHARACTERS
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import Selection


class GenerationState(StrEnum):
    """The state of a generation.

    Attributes:
        BUILDING: replaces the serving one once it is complete.
        SERVING: is searched.
    """

    BUILDING = "building"
    SERVING = "serving"


class OperationState(StrEnum):
    """The state of an operation. Interrupted: its process ended before it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone, on databases that store none as well."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Returns the time in UTC, as the database stores it."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Returns a stored time with its zone, UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class HomeIdentity(Base):
    """The table of one row that identifies the home directory of the catalogue.

    Attributes:
        identity: that the home directory stores too.
    """

    __tablename__ = "homes"

    identity: Mapped[str] = mapped_column(String(32), primary_key=True)


class Archive(Base):
    """An archive.

    Attributes:
        id: of the row.
        name: unique.
        created: when.
        revision: counts changes of its recordings' paths and states.
    """

    __tablename__ = "archives"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime] = mapped_column(UtcTime)
    revision: Mapped[int] = mapped_column(default=0, server_default="0")


class Recording(Base):
    """A recording of an archive.

    Attributes:
        number: of the row, in order of adding.
        id: public.
        archive_id: its archive.
        path: as the client specified it, for people.
        location: the resolved absolute path, or for an upload the path below the home directory.
        sha256: of the file, hexadecimal.
        size: of the file in bytes.
        seconds: duration, None until known.
        sample_rate: of the file, in Hz.
        channels: of the file.
        format: of the file.
        problem: why indexing failed, None if it did not.
        warnings: of its last indexing, one a line, None if there are none.
        created: when it was added.
        deleted_at: set once deleted (tombstone); compaction removes the row.
        stamp: by which the file at the location is known to be unchanged, None if it is not known.
        missing_since: when the content was found not to be at the location any more, None while it is.
        superseded_by: number of the recording that has taken its place there, None if none has.
    """

    __tablename__ = "recordings"
    __table_args__ = (
        Index(
            "uq_recordings_live_content",
            "archive_id",
            "sha256",
            unique=True,
            # The migration makes it on PostgreSQL too; here that would import its drivers whenever a
            # catalogue is opened.
            sqlite_where=text("deleted_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"), index=True)
    path: Mapped[str]
    location: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float | None] = mapped_column(Double)
    sample_rate: Mapped[int]
    channels: Mapped[int]
    format: Mapped[str]
    problem: Mapped[str | None]
    warnings: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(UtcTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcTime)
    stamp: Mapped[str | None] = mapped_column(String(100))
    missing_since: Mapped[datetime | None] = mapped_column(UtcTime)
    superseded_by: Mapped[int | None] = mapped_column(index=True)


class RecordingTag(Base):
    """A tag of a recording.

    Attributes:
        recording_number: the recording.
        key: unique within the recording.
        value: what the recording has under it.
    """

    __tablename__ = "recording_tags"
    __table_args__ = (Index("ix_recording_tags_key_value", "key", "value"),)

    recording_number: Mapped[int] = mapped_column(
        ForeignKey("recordings.number", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(MAX_TAG_KEY_CHARACTERS), primary_key=True)
    value: Mapped[str] = mapped_column(String(MAX_TAG_VALUE_CHARACTERS))


class RecordingVerdict(Base):
    """What somebody says of a place that a query found.

    Attributes:
        number: of the row, in order of setting.
        id: public.
        recording_number: the recording.
        query: what was looked for.
        start: in seconds from the start of the recording.
        end: in seconds from the start of the recording.
        channel: of the hit, 0 for none in particular.
        correct: whether it is said there.
        author: whose verdict it is, empty if nobody said so.
        score: of the hit.
        p_correct: of the hit.
        created: when it was set, for the last time.
    """

    __tablename__ = "verdicts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    recording_number: Mapped[int] = mapped_column(
        ForeignKey("recordings.number", ondelete="CASCADE"), index=True
    )
    query: Mapped[str]
    start: Mapped[float] = mapped_column(Double)
    end: Mapped[float] = mapped_column(Double)
    channel: Mapped[int]
    correct: Mapped[bool]
    author: Mapped[str]
    score: Mapped[float] = mapped_column(Double)
    p_correct: Mapped[float] = mapped_column(Double)
    created: Mapped[datetime] = mapped_column(UtcTime)


class Generation(Base):
    """All segments of an archive under one encoder and selection; an archive has at most one a state.

    Attributes:
        id: of the row.
        archive_id: its archive.
        encoder: name of the encoder.
        encoder_hash: and the other columns of the encoder, as in EncoderInfo.
        encoder_info: these columns as a record.
        channels: and `tracks`, as in Selection.
        selection: these two as a record.
        state: a GenerationState.
    """

    __tablename__ = "generations"
    __table_args__ = (UniqueConstraint("archive_id", "state"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"))
    encoder: Mapped[str]
    encoder_hash: Mapped[str] = mapped_column(String(64))
    dimension: Mapped[int]
    frame_dimension: Mapped[int]
    ticks_per_frame: Mapped[int]
    semantic_dimensions: Mapped[int] = mapped_column(server_default="0")
    encoder_info: Mapped[EncoderInfo] = composite(
        "encoder", "encoder_hash", "dimension", "frame_dimension", "ticks_per_frame", "semantic_dimensions"
    )
    channels: Mapped[str] = mapped_column(String(16), server_default="mix")
    tracks: Mapped[str] = mapped_column(String(16), server_default="default")
    selection: Mapped[Selection] = composite("channels", "tracks")
    state: Mapped[str] = mapped_column(String(16))


class Segment(Base):
    """A segment.

    Attributes:
        id: of the row.
        generation_id: its generation.
        name: of its directory.
        manifest_sha256: of its manifest, hexadecimal.
        size: in bytes.
        created: when.
        damage: what is wrong with its files, None while nothing is known; a damaged segment is in quarantine.
    """

    __tablename__ = "segments"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    generation_id: Mapped[int] = mapped_column(ForeignKey("generations.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(UtcTime)
    damage: Mapped[str | None]


class IndexedRecording(Base):
    """A recording's position in a segment; at most one a generation.

    Attributes:
        segment_id: its segment.
        ordinal: of the recording within the segment.
        generation_id: the segment's generation.
        recording_number: the recording.
        spans: of the recording.
        layout: a Layout as text; None in what an older version has indexed.
    """

    __tablename__ = "segment_recordings"
    __table_args__ = (UniqueConstraint("generation_id", "recording_number"),)

    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    generation_id: Mapped[int] = mapped_column(ForeignKey("generations.id", ondelete="CASCADE"))
    recording_number: Mapped[int] = mapped_column(
        ForeignKey("recordings.number", ondelete="CASCADE"), index=True
    )
    spans: Mapped[int]
    layout: Mapped[str | None]


class Operation(Base):
    """An indexing operation. Counts are of what is committed.

    Attributes:
        number: of the row, in order of starting.
        id: public.
        archive_id: its archive.
        encoder: name of the encoder.
        channels: and `tracks`, as in Selection.
        selection: these two as a record.
        state: an OperationState.
        recordings_total: to be indexed.
        recordings_done: indexed.
        recordings_failed: that could not be indexed.
        audio_seconds_done: of audio indexed.
        spans_done: indexed.
        problem: why it failed, None if it did not.
        created: when it was started.
        updated: when it last changed.
    """

    __tablename__ = "operations"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"), index=True)
    encoder: Mapped[str]
    channels: Mapped[str] = mapped_column(String(16), server_default="mix")
    tracks: Mapped[str] = mapped_column(String(16), server_default="default")
    selection: Mapped[Selection] = composite("channels", "tracks")
    state: Mapped[str] = mapped_column(String(16))
    recordings_total: Mapped[int]
    recordings_done: Mapped[int] = mapped_column(default=0)
    recordings_failed: Mapped[int] = mapped_column(default=0)
    audio_seconds_done: Mapped[float] = mapped_column(Double, default=0.0)
    spans_done: Mapped[int] = mapped_column(BigInteger, default=0)
    problem: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(UtcTime)
    updated: Mapped[datetime] = mapped_column(UtcTime)


class Request(Base):
    """A request that was answered, so that a retry gets the same response (idempotency key).

    Attributes:
        archive_id: its archive.
        request_id: chosen by the client.
        fingerprint: what was requested; the same id with another fingerprint is an error of the client.
        recording_number: that was added, None for an operation.
        operation_number: that was started, None for a recording.
        already_present: whether the recording's content was in the archive before.
    """

    __tablename__ = "requests"

    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    fingerprint: Mapped[str] = mapped_column("meaning")
    recording_number: Mapped[int | None] = mapped_column(
        ForeignKey("recordings.number", ondelete="CASCADE"), index=True
    )
    operation_number: Mapped[int | None] = mapped_column(
        ForeignKey("operations.number", ondelete="CASCADE"), index=True
    )
    already_present: Mapped[bool]


def now() -> datetime:
    """Returns the current time in UTC."""
    return datetime.now(UTC)
