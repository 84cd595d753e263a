"""The home directory: who may use it, what lies where, and what is left over.

home/
    lock            held by the one process that has the home open
    identity        ties the directory to its catalogue
    catalogue.db    unless another database is given
    audio/          uploaded recordings, named by content
    uploads/        uploads under way
    segments/       see segments.py
    cache/          index files, one directory a generation
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from sqlalchemy import URL, select

from wordspot.indexer import catalogue as tables
from wordspot.indexer import files
from wordspot.indexer.catalogue import Catalogue
from wordspot.indexer.errors import FailedPrecondition

_AUDIO = "audio"


class Home:
    """Makes the directory where needed and locks it until `close`.

    Raises FailedPrecondition if another process, or another Home, has it open, or it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.audio = self.root / _AUDIO
        self.uploads = self.root / "uploads"
        self.segments = self.root / "segments"
        self.cache = self.root / "cache"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = (self.root / "lock").open("a+")
        except OSError as error:
            raise FailedPrecondition(
                f"archives cannot be kept in {root}: {error.strerror}; a folder that can be written is needed"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise FailedPrecondition(
                f"{self.root} is in use by process {holder}; one process at a time may open it"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        for directory in (self.audio, self.uploads, self.segments, self.cache):
            directory.mkdir(exist_ok=True)
        files.sync_directory(self.root)

    @property
    def database_url(self) -> URL:
        return URL.create("sqlite", database=str(self.root / "catalogue.db"))

    def close(self) -> None:
        self._lock.close()

    def locate(self, location: str) -> Path:
        """The file of a recording by its location: absolute, or below the home."""
        return self.root / location

    def uploaded(self, name: str) -> str:
        """The location of an uploaded file."""
        return f"{_AUDIO}/{name}"

    def cache_of(self, generation: int) -> Path:
        return self.cache / str(generation)

    def bind(self, catalogue: Catalogue) -> None:
        """Checks that directory and catalogue belong together; ties them on first use.

        Raises FailedPrecondition otherwise: sweeping with a foreign catalogue would remove everything.
        """
        path = self.root / "identity"
        found = path.read_text().strip() if path.exists() else None
        with catalogue.writing() as session:
            home = session.scalars(select(tables.Home)).one_or_none()
            if home is None and found is None:
                home = tables.Home(identity=uuid.uuid4().hex)
                session.add(home)
            expected = None if home is None else home.identity
        empty = not any((*self.segments.iterdir(), *self.audio.iterdir()))
        if found is None and expected is not None and empty:
            files.write_durably(path, expected.encode())
        elif found != expected:
            raise FailedPrecondition(
                f"{self.root} has identity {found}, its catalogue {expected}: they do not belong together"
            )

    def sweep(self, catalogue: Catalogue) -> None:
        """Removes what a crash left behind: whatever the catalogue does not know."""
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
        _keep(self.segments, segments)
        _keep(self.cache, generations)
        _keep(self.audio, {Path(location).name for location in uploaded})
        _keep(self.uploads, set())
        for generation in generations:
            for path in self.cache_of(generation=int(generation)).glob("tmp-*"):
                files.remove(path)


def _keep(directory: Path, names: set[str]) -> None:
    for path in directory.iterdir():
        if path.name not in names:
            files.remove(path)
