"""The catalogue: which archives, recordings and segments there are. With the segments, the truth.

One process owns a catalogue. SQLite by default, any SQLAlchemy URL otherwise; no row a span.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    URL,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    Engine,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from wordspot.indexer.errors import Exhausted

_BUSY_TIMEOUT_MS = 30_000
_DISK_FULL_SQLSTATE = "53100"


class GenerationState(StrEnum):
    """serving answers searches; building will, once it is complete."""

    BUILDING = "building"
    SERVING = "serving"


class OperationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class UtcTime(TypeDecorator[datetime]):
    """An aware time, also on databases that forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Home(Base):
    """One row: the identity that the home directory must bear too."""

    __tablename__ = "homes"

    identity: Mapped[str] = mapped_column(String(32), primary_key=True)


class Archive(Base):
    __tablename__ = "archives"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime] = mapped_column(UtcTime)


class Recording(Base):
    """number orders by time of adding. size in bytes.

    path: as given, for people. location: the resolved absolute path, or for an upload the path below
    the home directory. deleted_at: set once deleted; the row goes with compaction.
    """

    __tablename__ = "recordings"
    __table_args__ = (
        Index(
            "uq_recordings_live_content",
            "archive_id",
            "sha256",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
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
    created: Mapped[datetime] = mapped_column(UtcTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcTime)


class Generation(Base):
    """All segments of an archive under one encoder; at most one a state."""

    __tablename__ = "generations"
    __table_args__ = (UniqueConstraint("archive_id", "state"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"))
    encoder: Mapped[str]
    encoder_hash: Mapped[str] = mapped_column(String(64))
    dimension: Mapped[int]
    frame_dimension: Mapped[int]
    ticks_per_frame: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))


class Segment(Base):
    """name: its directory. size in bytes."""

    __tablename__ = "segments"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    generation_id: Mapped[int] = mapped_column(ForeignKey("generations.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(UtcTime)


class IndexedRecording(Base):
    """A recording's place in a segment; once a generation."""

    __tablename__ = "segment_recordings"
    __table_args__ = (UniqueConstraint("generation_id", "recording_number"),)

    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    generation_id: Mapped[int] = mapped_column(ForeignKey("generations.id", ondelete="CASCADE"))
    recording_number: Mapped[int] = mapped_column(
        ForeignKey("recordings.number", ondelete="CASCADE"), index=True
    )
    spans: Mapped[int]


class Operation(Base):
    __tablename__ = "operations"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"), index=True)
    encoder: Mapped[str]
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
    """The first answer to a request id, so that a retry gets the same.

    meaning: what was asked for; the same id with another meaning is a mistake of the client.
    """

    __tablename__ = "requests"

    archive_id: Mapped[int] = mapped_column(ForeignKey("archives.id", ondelete="CASCADE"), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    meaning: Mapped[str]
    recording_number: Mapped[int | None] = mapped_column(
        ForeignKey("recordings.number", ondelete="CASCADE"), index=True
    )
    operation_number: Mapped[int | None] = mapped_column(
        ForeignKey("operations.number", ondelete="CASCADE"), index=True
    )
    already_present: Mapped[bool]


class Catalogue:
    """Opens the database at url and brings its schema up to date.

    durable: with SQLite, sync at every commit.
    """

    def __init__(self, url: str | URL, *, durable: bool = True) -> None:
        self._engine = _engine(url, durable)
        self._write_lock = threading.Lock()
        try:
            with _full_disk_named(), self._engine.begin() as connection:
                config = Config(attributes={"connection": connection})
                scripts = str(Path(__file__).parent / "migrations")
                config.set_main_option("script_location", scripts.replace("%", "%%"))
                command.upgrade(config, "head")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session over one consistent state."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, one at a time: committed at the end, rolled back if anything is raised.

        Raises Exhausted where the database cannot grow; nothing of the transaction is kept then.
        """
        with (
            self._write_lock,
            _full_disk_named(),
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        self._engine.dispose()


def now() -> datetime:
    return datetime.now(UTC)


def _engine(url: str | URL, durable: bool) -> Engine:
    engine = create_engine(url)
    if make_url(url).get_backend_name() == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, record: object) -> None:
            # The driver's own transaction handling leaves reads and DDL outside of transactions.
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")

        @event.listens_for(engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", None) == _DISK_FULL_SQLSTATE:
            raise Exhausted("no space left on the disk for the catalogue") from error
        raise
