"""The archives of a home: creating, listing and deleting them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from wordspot.indexer.archive import files, lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.locks import ArchiveLocks
from wordspot.indexer.archive.quarantine import quarantined_segments
from wordspot.indexer.archive.serving import ServedArchives
from wordspot.indexer.archive.summaries import ArchiveSummary, Page
from wordspot.indexer.archive.tables import Archive, Generation, GenerationState, Recording, Segment, now
from wordspot.indexer.archive.uploads import StoredAudio
from wordspot.indexer.errors import AlreadyExists, InvalidInput
from wordspot.indexer.faults import reach
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS, MAX_ARCHIVE_NAME_CHARACTERS, TENANT_SEPARATOR

_ARCHIVE_NAME = re.compile(rf"([a-z0-9][a-z0-9-]*{TENANT_SEPARATOR})?[A-Za-z0-9][A-Za-z0-9._-]*")


class Archives:
    """Creates, lists and deletes archives.

    Args:
        catalogue: of the home.
        home: where segments and cached indexes lie.
        locks: of archives that are busy.
        audio: the uploaded files.
        served: the generations that serve searches.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        home: Home,
        locks: ArchiveLocks,
        audio: StoredAudio,
        served: ServedArchives,
    ) -> None:
        self._catalogue = catalogue
        self._home = home
        self._locks = locks
        self._audio = audio
        self._served = served

    def create(self, name: str) -> ArchiveSummary:
        """Creates an archive. Raises InvalidInput for a name that is not allowed, AlreadyExists."""
        if len(name) > MAX_ARCHIVE_NAME_CHARACTERS or not _ARCHIVE_NAME.fullmatch(name):
            raise InvalidInput(
                f"an archive name must have 1 to {MAX_ARCHIVE_NAME_CHARACTERS} letters, digits and ._- and "
                f"begin with a letter or digit, got {name!r}"
            )
        with self._catalogue.writing() as session:
            if session.scalars(select(Archive).where(Archive.name == name)).one_or_none() is not None:
                raise AlreadyExists(f"archive {name!r} exists")
            archive = Archive(name=name, created=now())
            session.add(archive)
            session.flush()
            return self._summary(session, archive)

    def get(self, name: str) -> ArchiveSummary:
        """Returns an archive. Raises NotFound."""
        with self._catalogue.reading() as session:
            return self._summary(session, lookups.archive_by_name(session, name))

    def page(
        self, after: str = "", limit: int = DEFAULT_PAGE_ITEMS, *, tenant: str | None = None
    ) -> Page[ArchiveSummary]:
        """Returns a page of the archives in order of name.

        Args:
            after: the `next` of the page before.
            limit: archives a page, 1 to MAX_PAGE_ITEMS.
            tenant: only archives that are named `tenant:name`; "" for those without a tenant, None for all.
        """
        with self._catalogue.reading() as session:
            rows = session.scalars(
                select(Archive)
                .where(Archive.name > after, *_of_tenant(tenant))
                .order_by(Archive.name)
                .limit(lookups.checked_page_limit(limit) + 1)
            ).all()
            items = tuple(self._summary(session, row) for row in rows[:limit])
        return Page(items, items[-1].name if len(rows) > limit else "")

    def delete(self, name: str) -> None:
        """Deletes an archive.

        Raises:
            NotFound: if there is no such archive.
            FailedPrecondition: if it is being indexed or compacted.
        """
        with self._locks.holding(name, "deletion"), self._audio.lock:
            with self._catalogue.writing() as session:
                archive = lookups.archive_by_name(session, name)
                generation_ids = session.scalars(
                    select(Generation.id).where(Generation.archive_id == archive.id)
                ).all()
                segments = session.scalars(
                    select(Segment.name).where(Segment.generation_id.in_(generation_ids))
                ).all()
                locations = session.scalars(
                    select(Recording.location).where(Recording.archive_id == archive.id)
                ).all()
                session.execute(delete(Archive).where(Archive.id == archive.id))
            reach("archive-deleted")
            self._served.drop(name)
            for segment in segments:
                files.remove(self._home.segments / segment)
            for generation in generation_ids:
                files.remove(self._home.cache_of(generation))
            for location in locations:
                self._audio.remove_unreferenced(location)

    def _summary(self, session: Session, archive: Archive) -> ArchiveSummary:
        summary = lookups.summary_of_archive(session, archive)
        generation = lookups.generation_in_state(session, archive, GenerationState.SERVING)
        if generation is None:
            return summary
        cached = sum(map(_size, self._home.cache_of(generation.id).glob("index.*")))
        quarantined = quarantined_segments(session, generation.id)
        return replace(summary, size=summary.size + cached, quarantined=quarantined)


def _of_tenant(tenant: str | None) -> tuple[ColumnElement[bool], ...]:
    if tenant is None:
        return ()
    if tenant:
        return (Archive.name.startswith(f"{tenant}{TENANT_SEPARATOR}", autoescape=True),)
    return (~Archive.name.contains(TENANT_SEPARATOR, autoescape=True),)


def _size(path: Path) -> int:
    """Returns the size of a file in bytes, 0 once a writer has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
