"""The home directory: its lock, its layout and the removal of orphans.

home/               of this user alone, as is everything in it
    lock            held by the one process that may write, see home_lock.py
    identity        ties the directory to its catalogue
    reserve         space that is given up on a full disk, so that something can be deleted
    catalogue.db    unless another database is given
    catalogue.sha256  its checksum while it is closed, see seal.py
    audio/          uploaded recordings, named by content
    uploads/        uploads under way
    segments/       see segments.py
    attempts/       see attempts.py
    scrubbed        its time of change is the end of the last scrub, see services/searcher/scrubbing.py
    cache/          index files, one directory a generation
    page            where the page is, while a process serves it
    peaks/          waveforms of recordings, see peaks.py
    spool/          uploads over HTTP that are not complete, see services/gateway/spool.py
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, select

from wordspot.indexer.archive import files, permissions, tables
from wordspot.indexer.archive.catalogue import RESTORING_ADVICE, Catalogue
from wordspot.indexer.archive.home_lock import HomeLock
from wordspot.indexer.errors import DataLoss, Exhausted, FailedPrecondition
from wordspot.indexer.paths import text_path

CATALOGUE = "catalogue.db"
_AUDIO = "audio"
_RESERVE = "reserve"
_IDENTITY = re.compile(r"[0-9a-f]{32}")
RESERVE_BYTES = 4 * 2**20
MIN_FREE_BYTES = 2**20

ResultT = TypeVar("ResultT")
_log = logging.getLogger(__name__)


class Home:
    """A home directory that this process has locked, or only reads.

    Attributes:
        root: the directory.
        audio: of uploaded recordings.
        uploads: of uploads in progress.
        segments: of all archives.
        attempts: to index recordings.
        cache: of index files.
    """

    def __init__(self, root: Path, wait_seconds: float = 0.0, *, read_only: bool = False) -> None:
        """Creates the directory if needed and locks it until `close`; nobody but this user may enter it.

        Args:
            root: the directory.
            wait_seconds: how long to wait for another process that has it open.
            read_only: neither create nor lock it, nor write to it.

        Raises:
            FailedPrecondition: if another process, or another Home, has it open, it cannot be written, or its
                file system has no locks.
        """
        try:
            self.root = root.resolve()
        except (OSError, RuntimeError) as error:  # a loop of links
            raise _unusable(root, error) from error
        self.audio = self.root / _AUDIO
        self.uploads = self.root / "uploads"
        self.segments = self.root / "segments"
        self.attempts = self.root / "attempts"
        self.cache = self.root / "cache"
        self.peaks = self.root / "peaks"
        self._lock: HomeLock | None = None
        if read_only:
            return
        try:
            permissions.make_folder(self.root)
            self._lock = HomeLock(self.root, wait_seconds)
            self._prepare()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise _unusable(root, error) from error
            raise

    def _prepare(self) -> None:
        """Raises OSError."""
        permissions.tighten(self.root)
        if shutil.disk_usage(self.root).free < MIN_FREE_BYTES:
            self.release_reserve()
        for directory in (self.audio, self.uploads, self.segments, self.attempts, self.cache):
            permissions.make_folder(directory)
        files.sync_directory(self.root)
        self.renew_reserve()

    @property
    def database_url(self) -> URL:
        """URL of the SQLite database in the directory."""
        return URL.create("sqlite", database=str(self.root / CATALOGUE))

    def close(self) -> None:
        """Unlocks the directory."""
        if self._lock is not None:
            with suppress(OSError):  # it is closed, whatever the disk says
                self._lock.release()

    def ensure_writable(self) -> None:
        """Raises FailedPrecondition if it was opened for reading only."""
        if self._lock is None:
            raise FailedPrecondition("the home was opened for reading only")

    def ensure_room(self) -> None:
        """Checks that something may be added: what was given up of the reserve is for deleting alone.

        Raises:
            Exhausted: if the disk is too full to take the reserve up again.
            FailedPrecondition: if it was opened for reading only.
        """
        self.ensure_writable()
        self.renew_reserve()
        if not (self.root / _RESERVE).exists():
            free = shutil.disk_usage(self.root).free
            raise Exhausted(
                f"no space left on the disk: {free / 2**20:.1f} MiB are free, "
                f"{2 * RESERVE_BYTES >> 20} MiB must be: delete something"
            )

    def locate(self, location: str) -> Path:
        """Returns the file at the location of a recording: absolute, or below the home."""
        return self.root / text_path(location)

    def upload_location(self, name: str) -> str:
        """Returns the location of an uploaded file."""
        return f"{_AUDIO}/{name}"

    def cache_of(self, generation: int) -> Path:
        """Returns the directory of a generation's cached index."""
        return self.cache / str(generation)

    def deleting(self, delete: Callable[[], ResultT]) -> ResultT:
        """Returns what `delete` returns; on a full disk it is called again with the space of the reserve.

        Raises:
            Exhausted: if that does not suffice.
            FailedPrecondition: if it was opened for reading only.
        """
        self.ensure_writable()
        try:
            return delete()
        except Exhausted:
            if not self.release_reserve():
                raise
            return delete()
        finally:
            self.renew_reserve()

    def release_reserve(self) -> bool:
        """Gives up the reserve; returns false if there is none."""
        try:
            (self.root / _RESERVE).unlink()
        except FileNotFoundError:
            return False
        files.sync_directory(self.root)
        return True

    def renew_reserve(self) -> None:
        """Takes the reserve up again where there is space for it and for as much besides."""
        path = self.root / _RESERVE
        if path.exists() or shutil.disk_usage(self.root).free < 2 * RESERVE_BYTES:
            return
        try:
            with permissions.open_private(path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            files.remove(path)

    def check_catalogue_file(self) -> None:
        """Checks that the catalogue is there if the directory was ever tied to one.

        Raises:
            DataLoss: if it is not: a new one would make orphans of all segments.
        """
        path = self.root / CATALOGUE
        if self.stored_identity() is not None and not (path.exists() and path.stat().st_size):
            state = "is empty" if path.exists() else "is missing"
            raise DataLoss(f"the catalogue {path} {state}. {RESTORING_ADVICE}")

    def set_aside(self, segments: Collection[str], uploads: Collection[str]) -> Path | None:
        """Moves all other segments and uploads into a folder of their own; returns it, None without any.

        Segments that were never finished stay where they are.
        """
        unlisted = [
            path
            for path in (*_others(self.segments, segments), *_others(self.audio, uploads))
            if not path.name.startswith("tmp-")
        ]
        if not unlisted:
            return None
        folder = self.root / f"unlisted-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:4]}"
        for path in unlisted:
            target = folder / path.parent.name
            target.mkdir(parents=True, exist_ok=True)
            files.replace_durably(path, target / path.name)
        return folder

    def is_empty(self) -> bool:
        """Returns whether it has neither segments nor uploads."""
        return not any((*self.segments.iterdir(), *self.audio.iterdir()))

    def stored_identity(self) -> str | None:
        """Returns the identity in its file; None if there is none or it is damaged."""
        try:
            text = (self.root / "identity").read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        return text if _IDENTITY.fullmatch(text) else None

    def write_identity(self, identity: str) -> None:
        """Ties the directory to the catalogue of this identity."""
        files.write_durably(self.root / "identity", identity.encode())

    def check_identity(self, catalogue: Catalogue) -> None:
        """Checks that directory and catalogue belong together; the first use records that they do.

        A missing or damaged identity is written anew if a segment or an upload shows that they do.

        Raises:
            FailedPrecondition: if they do not; by a foreign catalogue everything would be an orphan.
        """
        stored_identity = self.stored_identity()
        with catalogue.reading() as session:
            expected = session.scalars(select(tables.HomeIdentity.identity)).one_or_none()
        if expected is None and stored_identity is None:
            if not self.is_empty():
                raise FailedPrecondition(
                    f"{self.root} has segments or uploads, its catalogue lists none: they do not belong "
                    f"together. If the catalogue is lost, {RESTORING_ADVICE}"
                )
            expected = uuid.uuid4().hex
            with catalogue.writing() as session:
                session.add(tables.HomeIdentity(identity=expected))
        if stored_identity is None and expected is not None and (self.is_empty() or self._owns(catalogue)):
            _log.info("%s belongs to the catalogue of identity %s", self.root, expected)
            self.write_identity(expected)
        elif stored_identity != expected:
            raise FailedPrecondition(
                f"{self.root} has identity {stored_identity}, its catalogue {expected}: they do not belong "
                "together. If they do, `wordspot restore --identity`; if the catalogue is damaged, "
                f"{RESTORING_ADVICE}"
            )

    def _owns(self, catalogue: Catalogue) -> bool:
        """Returns whether a segment or an upload of the directory is what the catalogue lists."""
        with catalogue.reading() as session:
            segments = session.execute(select(tables.Segment.name, tables.Segment.manifest_sha256)).all()
            locations = session.scalars(
                select(tables.Recording.location).where(tables.Recording.location.startswith(f"{_AUDIO}/"))
            ).all()
        manifests = ((self.segments / name / "manifest.json", sha256) for name, sha256 in segments)
        return any(path.is_file() and files.sha256_of(path) == sha256 for path, sha256 in manifests) or any(
            self.locate(location).is_file() for location in locations
        )

    def remove_orphans(self, catalogue: Catalogue, *, aside: bool = False) -> None:
        """Removes orphans of a crash: files and segments that the catalogue does not list.

        Args:
            catalogue: of the home.
            aside: whether segments and uploads are set aside instead: the catalogue has lost what it listed.

        Raises:
            DataLoss: if the catalogue is damaged, so that what it does not list may be no orphan.
        """
        with catalogue.reading() as session:
            segments = set(session.scalars(select(tables.Segment.name)))
            generations = {str(number) for number in session.scalars(select(tables.Generation.id))}
            uploaded = set(
                session.scalars(
                    select(tables.Recording.location).where(
                        tables.Recording.deleted_at.is_(None),
                        tables.Recording.location.startswith(f"{_AUDIO}/"),
                    )
                )
            )
        uploads = {Path(location).name for location in uploaded}
        if (_others(self.segments, segments) or _others(self.audio, uploads)) and (
            problem := catalogue.integrity_problem()
        ):
            raise DataLoss(problem)
        if aside and (folder := self.set_aside(segments, uploads)):
            _log.error("segments and uploads that the catalogue does not list lie in %s", folder)
        _remove_others(self.segments, segments)
        _remove_others(self.cache, generations)
        _remove_others(self.audio, uploads)
        _remove_others(self.uploads, set())
        for generation in generations:
            for path in self.cache_of(generation=int(generation)).glob("tmp-*"):
                files.remove(path)


def _unusable(root: Path, error: OSError | RuntimeError) -> FailedPrecondition:
    reason = getattr(error, "strerror", None) or error
    return FailedPrecondition(f"the home must be a folder that can be written, got {root}: {reason}")


def _remove_others(directory: Path, names: Collection[str]) -> None:
    for path in _others(directory, names):
        files.remove(path)


def _others(directory: Path, names: Collection[str]) -> list[Path]:
    return [path for path in directory.iterdir() if path.name not in names]
