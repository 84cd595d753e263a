"""The catalogue: the database of archives, recordings, segments and operations.

With the segments it is the truth; indexes are rebuilt from both. One process owns a catalogue. SQLite by
default, any SQLAlchemy URL otherwise; spans have no rows.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from wordspot.indexer.archive import files, permissions
from wordspot.indexer.archive.tables import Base
from wordspot.indexer.errors import DataLoss, Exhausted, FailedPrecondition, StorageFailed

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA = "0007"  # the newest of migrations/versions
_BUSY_TIMEOUT_MS = 30_000
_MAGIC = b"SQLite format 3\0"
RESTORING_ADVICE = (
    "`wordspot restore FILE` puts a backup in its place, `wordspot restore --segments` makes a new one"
)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNUSABLE = (
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
)
_DISK_FULL_SQLSTATE, _IO_ERROR_SQLSTATE = "53100", "58030"


class Catalogue:
    """An open database, with its schema brought up to date."""

    def __init__(
        self,
        url: str | URL,
        *,
        segments: Path | None = None,
        durable: bool = True,
        before_writing: Callable[[], None] = lambda: None,
        read_only: bool = False,
    ) -> None:
        """Opens the database.

        Args:
            url: of SQLAlchemy.
            segments: directory of the segments that the database lists, from which a migration reads what an
                older schema lacks. None if there are none yet.
            durable: whether SQLite syncs at every commit.
            before_writing: called before the first change.
            read_only: whether another process may be writing to it; nothing is changed then.

        Raises:
            FailedPrecondition: if the database cannot be used, or is of a newer version; if it is to be read
                only, also if it is missing or of an older one.
            DataLoss: if it is damaged.
            Exhausted: if it cannot grow.
            StorageFailed: if its disk fails.
        """
        try:
            self._engine = _reading_engine(url) if read_only else _engine(url, durable)
        except (ArgumentError, ImportError) as error:
            raise FailedPrecondition(f"the URL of the catalogue cannot be used: {error}") from error
        self._url = url
        self._write_lock = threading.Lock()
        self._before_writing = before_writing
        self._read_only = read_only
        self._file: _OpenFile | None = None
        if read_only:
            self._check_readable()
            self._file = _open_file(self._engine)
            return
        try:
            with _reporting_unusable(), _reporting_disk_errors(), self._engine.begin() as connection:
                schema = _schema(connection)
                if schema != SCHEMA:
                    before_writing()
                if schema is None and connection.dialect.name == "sqlite":
                    _create(connection)
                elif schema != SCHEMA:
                    check_schema(schema)
                    _migrate(connection, segments)
        except BaseException:
            self.close()
            raise
        self._file = _open_file(self._engine)

    def _check_readable(self) -> None:
        """Raises FailedPrecondition, DataLoss, Exhausted, StorageFailed."""
        try:
            with _reporting_unusable(), _reporting_disk_errors(), self._engine.connect() as connection:
                schema = _schema(connection)
        except BaseException:
            self.close()
            raise
        if schema != SCHEMA:
            self.close()
            raise FailedPrecondition(f"the catalogue is of version {schema}; this one reads {SCHEMA}")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Gives a session over one consistent state. Raises DataLoss, StorageFailed."""
        self._check_file()
        with (
            _reporting_unusable(),
            _reporting_disk_errors(),
            Session(self._engine, expire_on_commit=False) as session,
        ):
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Gives a session in a transaction, one at a time: committed at the end, rolled back on an exception.

        Raises:
            Exhausted: if the database cannot grow; the transaction is rolled back.
            StorageFailed: if the disk fails; after the next start the transaction may be there or not.
            DataLoss: if the database is damaged.
            FailedPrecondition: if it was opened for reading only.
        """
        if self._read_only:
            raise FailedPrecondition("the home was opened for reading only")
        self._check_file()
        with (
            self._write_lock,
            _reporting_unusable(),
            _reporting_disk_errors(),
            self._announced(),
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def _announced(self) -> Iterator[None]:
        with files.reporting_disk_errors("changing the catalogue"):
            self._before_writing()
        yield

    def integrity_problem(self) -> str:
        """Returns what SQLite finds wrong with its file; empty where nothing is, and for other databases."""
        if self._file is None:
            return ""
        fresh = _reading_engine(self._url)  # what a connection has read before, it does not read again
        try:
            self._check_file()
            with _reporting_unusable(), _reporting_disk_errors(), fresh.connect() as connection:
                result = connection.scalar(text("PRAGMA integrity_check(1)"))
        except DataLoss as error:
            return str(error)
        finally:
            fresh.dispose()
        if result == "ok":
            return ""
        return f"the catalogue is damaged: {result}. {RESTORING_ADVICE}"

    def _check_file(self) -> None:
        """Looks whether SQLite's file is still the one that was opened: SQLite itself does not look again at
        what it holds in memory.

        Raises:
            DataLoss: if it is not.
        """
        if self._file is not None and (problem := self._file.problem()):
            raise DataLoss(f"the catalogue is damaged: {problem}. {RESTORING_ADVICE}")

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()


@dataclass(frozen=True)
class _OpenFile:
    """SQLite's file, as it was when it was opened.

    Attributes:
        path: of it.
        device, inode: by which another one of that name is told.
        changed_ns: when it was last written to, if it must not be, as SQLite does not look; else None.
    """

    path: Path
    device: int
    inode: int
    changed_ns: int | None

    def problem(self) -> str:
        """Returns what somebody else has done to it; "" for nothing that shows at once."""
        try:
            with self.path.open("rb", buffering=0) as file:
                state = os.fstat(file.fileno())
                header = file.read(len(_MAGIC))
        except FileNotFoundError:
            return f"{self.path.name} was removed while it was open"
        except OSError as error:
            raise StorageFailed(f"the disk of the catalogue failed: {error.strerror}") from error
        if (state.st_dev, state.st_ino) != (self.device, self.inode):
            return f"{self.path.name} was replaced while it was open"
        if self.changed_ns is not None and (self.changed_ns != state.st_mtime_ns or has_log(self.path)):
            raise FailedPrecondition(
                f"the home {self.path.parent} cannot be written here, and another process has changed it "
                "meanwhile: open it again once that has ended"
            )
        return "" if header == _MAGIC else f"{self.path.name} was overwritten while it was open"


def _open_file(engine: Engine) -> _OpenFile | None:
    """Returns the file of a SQLite database; None for another database, or one in memory."""
    name = (engine.url.database or "").removeprefix("file:")
    if engine.dialect.name != "sqlite" or name in ("", ":memory:"):
        return None
    path = Path(unquote(name) if engine.url.query.get("uri") else name)
    try:
        state = path.stat()
    except OSError:
        return None
    changed_ns = state.st_mtime_ns if engine.url.query.get("immutable") else None
    return _OpenFile(path, state.st_dev, state.st_ino, changed_ns)


def is_immutable(path: Path) -> bool:
    """Returns whether a SQLite file is at rest where nothing can be written, not even what readers need."""
    return not os.access(path.parent, os.W_OK) and not has_log(path)


def has_log(path: Path) -> bool:
    """Returns whether the write-ahead log of a SQLite file holds anything."""
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def check_schema(schema: str | None) -> None:
    """Raises FailedPrecondition for a version of the schema that none of the migrations knows."""
    known = [path.name.split("_")[0].removeprefix("v") for path in (MIGRATIONS / "versions").glob("v*.py")]
    if schema is not None and schema not in known:
        raise FailedPrecondition(
            f"the catalogue must be of version {min(known)} to {SCHEMA}, got {schema}: "
            "a newer wordspot wrote it; install that"
        )


def _schema(connection: Connection) -> str | None:
    """Returns the version of the database's schema; None if it has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _create(connection: Connection) -> None:
    """Creates the tables of an empty database, as all migrations together do."""
    Base.metadata.create_all(connection)
    version = Table("alembic_version", MetaData(), Column("version_num", String(32), nullable=False))
    version.append_constraint(PrimaryKeyConstraint("version_num", name="alembic_version_pkc"))
    version.create(connection)
    connection.execute(version.insert().values(version_num=SCHEMA))


def _migrate(connection: Connection, segments: Path | None) -> None:
    from alembic import command  # takes as long to import as the rest of a catalogue to open
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "segments": segments})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")


def _engine(url: str | URL, durable: bool) -> Engine:
    engine = create_engine(url)
    if engine.url.get_backend_name() == "sqlite":
        _create_file(engine.url.database or "")

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


def _reading_engine(url: str | URL) -> Engine:
    """Returns an engine that changes nothing, on SQLite also not beside a writer."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url)
    query = {"mode": "ro", "uri": "true"}
    if parsed.database and is_immutable(Path(parsed.database)):
        query["immutable"] = "1"
    engine = create_engine(parsed.set(database=f"file:{quote(parsed.database or '')}", query=query))

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _create_file(name: str) -> None:
    """Creates a database that only this user may read; SQLite gives -wal and -shm beside it the same
    permissions."""
    if name and not name.startswith((":", "file:")):
        with suppress(OSError):  # which SQLite reports
            permissions.create(Path(name))


@contextmanager
def _reporting_unusable() -> Iterator[None]:
    """Raises DataLoss for a damaged SQLite database, FailedPrecondition for one that cannot be used."""
    try:
        yield
    except DBAPIError as error:
        # The lowest byte of an extended code is the code.
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise DataLoss(f"the catalogue is damaged: {error.orig}. {RESTORING_ADVICE}") from error
        if code in _UNUSABLE or error.connection_invalidated or _cannot_connect(error):
            raise FailedPrecondition(f"the catalogue cannot be used: {error.orig}") from error
        raise


def _cannot_connect(error: DBAPIError) -> bool:
    """Returns whether a server of databases could not be reached: nothing was executed."""
    of_sqlite = isinstance(error.orig, sqlite3.Error)
    return isinstance(error, OperationalError) and error.statement is None and not of_sqlite


@contextmanager
def _reporting_disk_errors() -> Iterator[None]:
    """Raises Exhausted for a full disk, StorageFailed for one that cannot be read or written."""
    try:
        yield
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        state = getattr(error.orig, "sqlstate", None)
        if code == sqlite3.SQLITE_FULL or state == _DISK_FULL_SQLSTATE:
            raise Exhausted("no space left on the disk for the catalogue") from error
        if code == sqlite3.SQLITE_IOERR or state == _IO_ERROR_SQLSTATE:
            raise StorageFailed(f"the disk of the catalogue failed: {error.orig}") from error
        raise
