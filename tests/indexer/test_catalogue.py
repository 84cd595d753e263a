from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError

from wordspot.indexer.catalogue import (
    Archive,
    Base,
    Catalogue,
    Generation,
    GenerationState,
    Recording,
    now,
)
from wordspot.indexer.errors import Exhausted


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


@pytest.fixture
def catalogue(url: str) -> Catalogue:
    return Catalogue(url)


def recording(identity: str, **columns: object) -> Recording:
    return Recording(
        **{
            "id": identity, "archive_id": 1, "path": "/a.wav", "location": "/a.wav", "sha256": "0" * 64,
            "size": 1, "sample_rate": 16_000, "channels": 1, "format": "WAV", "created": now(),
        } | columns
    )  # fmt: skip


def with_archive(catalogue: Catalogue) -> None:
    with catalogue.writing() as session:
        session.add(Archive(name="words", created=now()))


def test_models_and_migrations_agree(catalogue: Catalogue, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_opening_again_keeps_what_is_there(catalogue: Catalogue, url: str) -> None:
    with_archive(catalogue)
    catalogue.close()
    with Catalogue(url).reading() as session:
        assert session.scalars(select(Archive.name)).all() == ["words"]


def test_sqlite_syncs_every_commit_logs_ahead_and_checks_references(catalogue: Catalogue) -> None:
    with catalogue.reading() as session:
        pragmas = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_transaction_that_raises_leaves_nothing(catalogue: Catalogue) -> None:
    def half() -> None:
        with catalogue.writing() as session:
            session.add(Archive(name="words", created=now()))
            session.flush()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        half()
    with catalogue.reading() as session:
        assert session.scalars(select(Archive)).all() == []


def test_a_reader_sees_one_state_while_another_writes(catalogue: Catalogue) -> None:
    with catalogue.reading() as reading:
        assert reading.scalars(select(Archive)).all() == []
        with_archive(catalogue)
        assert reading.scalars(select(Archive)).all() == []
    with catalogue.reading() as reading:
        assert len(reading.scalars(select(Archive)).all()) == 1


def test_live_content_is_unique_and_deleted_content_is_not(catalogue: Catalogue) -> None:
    with_archive(catalogue)
    with catalogue.writing() as session:
        session.add_all([recording("a", deleted_at=now()), recording("b", deleted_at=now()), recording("c")])
    with pytest.raises(IntegrityError), catalogue.writing() as session:
        session.add(recording("d"))


def test_an_archive_takes_everything_of_it_along(catalogue: Catalogue) -> None:
    with_archive(catalogue)
    with catalogue.writing() as session:
        session.add(recording("a"))
        session.add(
            Generation(
                archive_id=1, encoder="e", encoder_hash="0" * 64, dimension=1, frame_dimension=1,
                ticks_per_frame=1, state=GenerationState.SERVING,
            )
        )  # fmt: skip
    with catalogue.writing() as session:
        session.delete(session.get_one(Archive, 1))
    with catalogue.reading() as session:
        assert session.scalars(select(Recording)).all() == []
        assert session.scalars(select(Generation)).all() == []


def test_an_archive_has_one_serving_generation(catalogue: Catalogue) -> None:
    with_archive(catalogue)
    with pytest.raises(IntegrityError), catalogue.writing() as session:
        session.add_all(
            Generation(
                archive_id=1, encoder=name, encoder_hash="0" * 64, dimension=1, frame_dimension=1,
                ticks_per_frame=1, state=GenerationState.SERVING,
            )
            for name in "ab"
        )  # fmt: skip


def test_times_come_back_aware_and_in_utc(catalogue: Catalogue) -> None:
    at = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    with catalogue.writing() as session:
        session.add(Archive(name="words", created=at))
    with catalogue.reading() as session:
        found = session.scalars(select(Archive.created)).one()
    assert found == at
    assert found.tzinfo is UTC


def test_a_database_that_cannot_grow_is_said_so_and_keeps_what_it_had(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    with_archive(catalogue)

    def fill() -> None:
        with catalogue.writing() as session:
            session.connection().exec_driver_sql("PRAGMA max_page_count = 1")
            session.add_all(recording(str(n), sha256=str(n), path="x" * 5_000) for n in range(100))

    with pytest.raises(Exhausted, match="no space left on the disk for the catalogue"):
        fill()
    catalogue.close()
    with sqlite3.connect(tmp_path / "catalogue.db") as database:
        assert database.execute("SELECT count(*) FROM recordings").fetchone() == (0,)
        assert database.execute("SELECT name FROM archives").fetchall() == [("words",)]
    database.close()
