"""Opens the catalogue of a home, sealed as its last writer left it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from wordspot.indexer.archive import catalogue_file
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.seal import Seal


@contextmanager
def opened_catalogue(
    home: Home, database_url: str | None, *, read_only: bool
) -> Iterator[tuple[Seal, Catalogue]]:
    """Gives the seal of the catalogue's file and the catalogue, which it closes; removes the orphans of a
    crash unless read-only.

    Args:
        home: that it belongs to.
        database_url: of SQLAlchemy; None for the file in the home.
        read_only: whether another process may be writing to it.

    Raises:
        FailedPrecondition: if it is of another home or of a newer version.
        DataLoss: if it is damaged.
    """
    seal = Seal(home.root / catalogue_file.NAME)
    if not (database_url or read_only):
        home.check_catalogue_file()
        seal.check()
    catalogue = Catalogue(
        database_url or home.database_url,
        segments=home.segments,
        before_writing=seal.remove,
        read_only=read_only,
    )
    with closing(catalogue):
        if not read_only:
            home.check_identity(catalogue)
            home.remove_orphans(catalogue, aside=seal.lost_transactions)
        yield seal, catalogue
