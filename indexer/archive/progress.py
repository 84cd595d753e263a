"""How far operations are, as the catalogue has them."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.home_lock import holder_of
from wordspot.indexer.archive.summaries import OperationSummary, Page
from wordspot.indexer.archive.tables import Archive, Operation, OperationState


def summary(session: Session, row: Operation, running: frozenset[str]) -> OperationSummary:
    """Returns an operation. running: the ids of those that run."""
    archive = session.get_one(Archive, row.archive_id)
    return lookups.summary_of_operation(archive.name, row, row.id in running)


def page(
    catalogue: Catalogue, archive: str, after: str, limit: int, running: frozenset[str]
) -> Page[OperationSummary]:
    """See Operations.page. running: the ids of those that run."""
    with catalogue.reading() as session:
        row = lookups.archive_by_name(session, archive)
        rows = session.scalars(
            select(Operation)
            .where(Operation.archive_id == row.id, Operation.number > lookups.parsed_page_token(after))
            .order_by(Operation.number)
            .limit(lookups.checked_page_limit(limit) + 1)
        ).all()
        items = tuple(summary(session, each, running) for each in rows[:limit])
    return Page(items, str(rows[limit - 1].number) if len(rows) > limit else "")


def interrupted(catalogue: Catalogue) -> tuple[str, ...]:
    """Returns the last operation of each archive, by id, if its process ended before it."""
    last = select(func.max(Operation.number)).group_by(Operation.archive_id)
    with catalogue.reading() as session:
        return tuple(
            session.scalars(
                select(Operation.id)
                .where(Operation.number.in_(last), Operation.state == OperationState.INTERRUPTED)
                .order_by(Operation.number)
            )
        )


def running_elsewhere(catalogue: Catalogue, home: Home) -> frozenset[str]:
    """Returns the ids of the operations that the process runs that holds the home."""
    if holder_of(home.root) is None:
        return frozenset()
    with catalogue.reading() as session:
        running = select(Operation.id).where(Operation.state == OperationState.RUNNING)
        return frozenset(session.scalars(running))
