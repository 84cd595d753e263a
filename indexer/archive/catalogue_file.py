"""The catalogue as a SQLite file: backing it up while it is in use, restoring it, reading it from outside.

A backup is one SQLite file that holds the catalogue and the identity of its home. Segments and uploads are
files that never change: any tool copies them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wordspot.indexer.archive import files, permissions
from wordspot.indexer.archive.catalogue import RESTORING_ADVICE, SCHEMA, check_schema, is_immutable
from wordspot.indexer.archive.home import CATALOGUE, Home
from wordspot.indexer.archive.seal import SEAL, Seal, sealed_problem
from wordspot.indexer.archive.segments import MANIFEST
from wordspot.indexer.errors import (
    AlreadyExists,
    DataLoss,
    Exhausted,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    StorageFailed,
)

NAME = CATALOGUE
_BUSY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class CatalogueSummary:
    """What a catalogue lists.

    Attributes:
        archives: number of archives.
        recordings: number of recordings that are not deleted.
        segments: number of segments.
    """

    archives: int
    recordings: int
    segments: int


@dataclass(frozen=True)
class RestoreSummary:
    """What restoring a catalogue did.

    Attributes:
        catalogue: what it lists.
        missing_segments: listed segments that are not in the home or differ from their checksum.
        missing_uploads: listed uploads that are not in the home.
        unlisted: where segments and uploads lie that it does not list; None if there are none.
        replaced: where the former catalogue lies; None if there was none.
    """

    catalogue: CatalogueSummary
    missing_segments: tuple[str, ...]
    missing_uploads: tuple[str, ...]
    unlisted: Path | None
    replaced: Path | None


def back_up(home: Path, target: Path) -> CatalogueSummary:
    """Writes a consistent copy of a home's catalogue, which may be in use, to a new file.

    Raises:
        NotFound: if the home has no catalogue.
        AlreadyExists: if the file exists.
        DataLoss: if the catalogue is damaged.
        InvalidInput: if the file cannot be written.
        Exhausted: on a full disk.
    """
    source = home / NAME
    if not source.is_file():
        raise NotFound(f"{home} has no catalogue")
    if target.exists():
        raise AlreadyExists(f"{target} exists")
    if problem := sealed_problem(source):
        raise DataLoss(problem)
    with _writing_to(target), _opened(source) as connection:
        _copy(connection, target)
        return _summary(connection)


def restore(root: Path, source: Path) -> RestoreSummary:
    """Puts a backup in the place of a home's catalogue. Nothing is deleted: what the backup does not list is
    set aside, the former catalogue too.

    Raises:
        InvalidInput: if the file is no backup of a catalogue.
        FailedPrecondition: if the home is in use, or the backup is that of another home.
    """
    if not source.is_file():
        raise InvalidInput(f"no file {source}")
    with files.reporting_disk_errors("restoring the catalogue"), closing(Home(root)) as home:
        try:
            with _opened(source) as connection:
                identity = _checked_identity(connection, source)
                _check_home(home, identity)
                prepared = home.root / f"tmp-{uuid.uuid4().hex}.db"
                with _writing_to(prepared):
                    _copy(connection, prepared)
                listed = _listed(connection)
                summary = _summary(connection)
        except DataLoss as error:
            raise InvalidInput(f"{source} is no backup of a catalogue: {error}") from error
        replaced = replace_catalogue(home, prepared)
        home.write_identity(identity)
        return RestoreSummary(
            summary,
            tuple(name for name, sha256 in listed.segments if not _has_segment(home, name, sha256)),
            tuple(name for name in listed.uploads if not (home.audio / name).is_file()),
            home.set_aside({name for name, _ in listed.segments}, listed.uploads),
            replaced,
        )


def restore_identity(root: Path) -> str:
    """Writes anew, from the catalogue, the file that ties a home to it and the one that seals it.

    Returns the identity.

    Raises:
        FailedPrecondition: if the home is in use.
        NotFound: if it has no catalogue.
        DataLoss: if the catalogue is damaged.
    """
    with files.reporting_disk_errors("restoring the identity"), closing(Home(root)) as home:
        if not (home.root / NAME).is_file():
            raise NotFound(f"{root} has no catalogue")
        with _opened(home.root / NAME) as connection:
            identity = _checked_identity(connection, home.root / NAME)
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if result != "ok":
            raise DataLoss(f"the catalogue is damaged: {result}")
        Seal(home.root / NAME).renew()
        home.write_identity(identity)
    return identity


def catalogue_problem(home: Path) -> str:
    """Returns what keeps the catalogue of a home, which may be in use, from being used; "" if nothing does.

    Raises OSError if the home cannot be read.
    """
    path = home / NAME
    if not path.is_file() or not path.stat().st_size:
        tied = (home / "identity").exists()
        return f"the catalogue {path} is {'empty' if path.exists() else 'missing'}: {RESTORING_ADVICE}" * tied
    try:
        with _opened(path) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                check_schema(*connection.execute("SELECT version_num FROM alembic_version").fetchone())
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except DataLoss as error:
        return f"{error}: {RESTORING_ADVICE}"
    except FailedPrecondition as error:
        return str(error)
    if problem := sealed_problem(path):
        return problem
    return "" if result == "ok" else f"the catalogue {path} is damaged: {result}: {RESTORING_ADVICE}"


def quarantined_in(home: Path) -> list[tuple[str, str]]:
    """Returns archive and problem of each damaged segment of a home, which may be in use.

    Raises DataLoss if the catalogue is damaged.
    """
    if not (home / NAME).is_file():
        return []
    with _opened(home / NAME) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(segments)")}
        if "damage" not in columns:
            return []
        return connection.execute(
            "SELECT archives.name, segments.damage FROM segments"
            " JOIN generations ON generations.id = segments.generation_id"
            " JOIN archives ON archives.id = generations.archive_id"
            " WHERE segments.damage IS NOT NULL ORDER BY archives.name, segments.id"
        ).fetchall()


@dataclass(frozen=True)
class _Listed:
    """What a catalogue lists: names and checksums of segments, file names of uploads."""

    segments: Sequence[tuple[str, str]]
    uploads: frozenset[str]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Gives a connection that only reads.

    Raises:
        DataLoss: if the file is damaged.
        Exhausted: on a full disk.
        FailedPrecondition: if it cannot be read for another reason.
    """
    try:
        uri = f"{path.absolute().as_uri()}?{'immutable=1' if is_immutable(path) else 'mode=ro'}"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DataLoss(f"the catalogue {path.name} is damaged: {error}") from error
        if code == sqlite3.SQLITE_FULL:
            raise Exhausted("no space left on the disk for a copy of the catalogue") from error
        if code == sqlite3.SQLITE_IOERR:
            raise StorageFailed(f"the disk of the catalogue {path.name} failed: {error}") from error
        raise FailedPrecondition(f"the catalogue {path.name} cannot be read: {error}") from error


@contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    """Removes the file if writing it fails. Raises InvalidInput, Exhausted."""
    try:
        with files.reporting_full_disk(f"writing {path.name}"):
            yield
    except OSError as error:
        files.remove(path)
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        files.remove(path)
        raise


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copies the database into a new file, durably. Raises DataLoss if the copy is damaged."""
    target.touch(permissions.FILE_MODE, exist_ok=False)
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        (result,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if result != "ok":
        raise DataLoss(f"the catalogue is damaged: {result}")
    with target.open("rb") as file:
        files.sync_file(file)
    files.sync_directory(target.absolute().parent)


def _checked_identity(connection: sqlite3.Connection, path: Path) -> str:
    """Returns the identity of the catalogue's home. Raises InvalidInput."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not {"alembic_version", "homes"} <= tables:
        raise InvalidInput(f"{path} is no backup of a catalogue")
    (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    if version > SCHEMA:
        raise InvalidInput(f"{path} is of a newer version ({version}); this one reads up to {SCHEMA}")
    row = connection.execute("SELECT identity FROM homes").fetchone()
    if row is None:
        raise InvalidInput(f"{path} belongs to no home")
    return str(row[0])


def _check_home(home: Home, identity: str) -> None:
    stored = home.stored_identity()
    if stored not in (None, identity) and not home.is_empty():
        raise FailedPrecondition(
            f"{home.root} has identity {stored}, the backup {identity}: it is that of another home"
        )


def _summary(connection: sqlite3.Connection) -> CatalogueSummary:
    queries = ("archives", "recordings WHERE deleted_at IS NULL", "segments")
    return CatalogueSummary(
        *(connection.execute(f"SELECT count(*) FROM {query}").fetchone()[0] for query in queries)
    )


def _listed(connection: sqlite3.Connection) -> _Listed:
    uploads = connection.execute(
        "SELECT location FROM recordings WHERE deleted_at IS NULL AND location NOT LIKE '/%'"
    )
    segments = connection.execute("SELECT name, manifest_sha256 FROM segments ORDER BY id").fetchall()
    return _Listed(segments, frozenset(Path(location).name for (location,) in uploads))


def _has_segment(home: Home, name: str, manifest_sha256: str) -> bool:
    try:
        data = (home.segments / name / MANIFEST).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == manifest_sha256


def replace_catalogue(home: Home, prepared: Path) -> Path | None:
    """Puts a file in the place of the catalogue and returns where the former one lies."""
    files.remove(home.root / SEAL)
    files.sync_directory(home.root)
    replaced = _set_aside_catalogue(home.root)
    files.replace_durably(prepared, home.root / NAME)
    Seal(home.root / NAME).write()
    return replaced


def _set_aside_catalogue(root: Path) -> Path | None:
    """Renames the catalogue with its journals and returns its new place."""
    replaced = root / f"replaced-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:4]}.db"
    for suffix in ("", "-wal", "-shm"):
        path = root / f"{NAME}{suffix}"
        if path.exists():
            files.replace_durably(path, replaced.with_name(replaced.name + suffix))
    return replaced if replaced.exists() else None
