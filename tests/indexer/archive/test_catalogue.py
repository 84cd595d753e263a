from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, select, text
from sqlalchemy.exc import IntegrityError

from wordspot.indexer.archive.catalogue import MIGRATIONS, SCHEMA, Catalogue, _migrate
from wordspot.indexer.archive.tables import Archive, Base, Generation, GenerationState, Recording, now
from wordspot.indexer.errors import Exhausted
from wordspot.indexer.records import EncoderInfo


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


@pytest.fixture
def catalogue(url: str) -> Catalogue:
    return Catalogue(url)


def test_a_database_of_the_newest_schema_is_not_migrated(
    url: str, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA
    monkeypatch.setattr("wordspot.indexer.archive.catalogue._migrate", None)
    Catalogue(url).close()


def recording(identity: str, **columns: object) -> Recording:
    return Recording(
        **{
            "id": identity, "archive_id": 1, "path": "/a.wav", "location": "/a.wav", "sha256": "0" * 64,
            "size": 1, "sample_rate": 16_000, "channels": 1, "format": "WAV", "created": now(),
        } | columns
    )  # fmt: skip


def encoder(name: str) -> EncoderInfo:
    """Each number is another, so that none can stand for its neighbour."""
    return EncoderInfo(
        name, "0" * 64, dimension=7, frame_dimension=3, ticks_per_frame=2, semantic_dimensions=5
    )


def with_archive(catalogue: Catalogue) -> None:
    with catalogue.writing() as session:
        session.add(Archive(name="words", created=now()))


def test_models_and_migrations_agree(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        _migrate(connection, None)
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_a_new_database_is_as_migrations_would_have_made_it(catalogue: Catalogue, tmp_path: Path) -> None:
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with migrated.begin() as connection, catalogue.reading() as session:
        _migrate(connection, None)
        made, expected = described(session.connection()), described(connection)
    assert made == expected
    migrated.dispose()


def described(connection: Connection) -> dict[str, Any]:
    """Everything that the database says of its tables, and the version of its schema."""
    tables = inspect(connection)
    told: dict[str, Any] = {"version": connection.scalar(text("SELECT version_num FROM alembic_version"))}
    for name in tables.get_table_names():
        statements = dict(
            connection.execute(text(f"SELECT name, sql FROM sqlite_master WHERE tbl_name = '{name}'")).all()
        )
        told[name] = (
            {column["name"]: str(column) for column in tables.get_columns(name)},
            str(tables.get_pk_constraint(name)),
            sorted(str(key) for key in tables.get_foreign_keys(name)),
            {index: sql for index, sql in statements.items() if index != name},
            sorted(str(constraint) for constraint in tables.get_unique_constraints(name)),
            "AUTOINCREMENT" in statements[name],
        )
    return told


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
        session.add(Generation(archive_id=1, encoder_info=encoder("e"), state=GenerationState.SERVING))
    with catalogue.writing() as session:
        session.delete(session.get_one(Archive, 1))
    with catalogue.reading() as session:
        assert session.scalars(select(Recording)).all() == []
        assert session.scalars(select(Generation)).all() == []


def test_what_is_known_of_an_encoder_comes_back_whole(catalogue: Catalogue) -> None:
    with_archive(catalogue)
    with catalogue.writing() as session:
        session.add(Generation(archive_id=1, encoder_info=encoder("e"), state=GenerationState.SERVING))
    with catalogue.reading() as session:
        assert session.scalars(select(Generation)).one().encoder_info == encoder("e")


def test_an_archive_has_one_serving_generation(catalogue: Catalogue) -> None:
    with_archive(catalogue)
    with pytest.raises(IntegrityError), catalogue.writing() as session:
        session.add_all(
            Generation(archive_id=1, encoder_info=encoder(name), state=GenerationState.SERVING)
            for name in "ab"
        )


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
