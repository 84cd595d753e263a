"""The catalogue on a PostgreSQL server of its own: migration from the first schema, and the partial index.

Skipped where the server (Debian's package postgresql) or the driver (the extra postgres) is missing.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, inspect, select, text
from sqlalchemy.exc import IntegrityError

from wordspot.indexer.archive.catalogue import MIGRATIONS, SCHEMA, Catalogue
from wordspot.indexer.archive.tables import Archive, Generation, Recording, now
from wordspot.indexer.records import EncoderInfo

ENCODERS = {"sound": 0, "meaning": 5}  # semantic dimensions by name


def server_command(name: str) -> str:
    """The newest of the command's versions."""
    paths = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(paths[-1]) if paths else shutil.which(name)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not installed")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The folder of the socket of a running server. Root must not run one: the user postgres does."""
    pytest.importorskip("psycopg", reason="the driver of the extra postgres is not installed")
    initdb, pg_ctl = server_command("initdb"), server_command("pg_ctl")
    user = None
    if os.geteuid() == 0:
        user = next((entry.pw_name for entry in pwd.getpwall() if entry.pw_name == "postgres"), None)
        if user is None:
            pytest.skip("root may not run PostgreSQL, and there is no user postgres")
    # Not below pytest's folder: its name is too long for a socket, and others may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="wordspot-"))
    if user is not None:
        shutil.chown(folder, user)

    def run(*arguments: str) -> None:
        subprocess.run(arguments, user=user, check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=240)

    data, log = str(folder / "data"), str(folder / "log")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    try:
        run(initdb, "-D", data, "-U", "wordspot", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        run(pg_ctl, "-D", data, "-l", log, "-o", options, "-w", "-t", "200", "start")
        try:
            yield folder
        finally:
            run(pg_ctl, "-D", data, "-m", "immediate", "-w", "-t", "200", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def url(server: Path, request: pytest.FixtureRequest) -> str:
    """A new database."""
    name = f"test_{abs(hash(request.node.name)):x}"
    engine = create_engine(f"postgresql+psycopg://wordspot@/postgres?host={server}")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"postgresql+psycopg://wordspot@/{name}?host={server}"


def migrate_to_first_schema(connection: Connection) -> None:
    config = Config(attributes={"connection": connection, "segments": None})
    config.set_main_option("script_location", str(MIGRATIONS))
    command.upgrade(config, "0001")


def fill_first_schema(connection: Connection, segments: Path) -> None:
    """An archive an encoder, each with a generation and a segment whose manifest is as it was then."""
    for name, semantic_dimensions in ENCODERS.items():
        values: dict[str, object] = {"name": name, "time": now(), "sha256": "a" * 64}
        for statement in (
            "INSERT INTO archives (name, created) VALUES (:name, :time) RETURNING id",
            "INSERT INTO recordings (id, archive_id, path, location, sha256, size, sample_rate, channels,"
            " format, created) VALUES (:name, :parent, '/a', '/a', :sha256, 1, 16000, 1, 'WAV', :time)"
            " RETURNING archive_id",
            "INSERT INTO generations (archive_id, encoder, encoder_hash, dimension, frame_dimension,"
            " ticks_per_frame, state) VALUES (:parent, :name, :sha256, 7, 3, 2, 'serving') RETURNING id",
            "INSERT INTO segments (generation_id, name, manifest_sha256, size, created)"
            " VALUES (:parent, :name, :sha256, 1, :time) RETURNING id",
        ):
            values["parent"] = connection.scalar(text(statement), values)
        (segments / name).mkdir(parents=True)
        manifest = {"encoder": {"name": name, "meaning": semantic_dimensions}}
        (segments / name / "manifest.json").write_text(json.dumps(manifest))


def test_the_first_schema_is_migrated_and_keeps_its_rows(url: str, tmp_path: Path) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate_to_first_schema(connection)
        fill_first_schema(connection, tmp_path)
        columns = {column["name"] for column in inspect(connection).get_columns("generations")}
        assert "semantic_dimensions" not in columns
    catalogue = Catalogue(url, segments=tmp_path)
    with catalogue.reading() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == SCHEMA
        assert {
            generation.encoder: generation.encoder_info for generation in session.scalars(select(Generation))
        } == {
            name: EncoderInfo(name, "a" * 64, 7, 3, 2, semantic_dimensions)
            for name, semantic_dimensions in ENCODERS.items()
        }
        assert sorted(session.scalars(select(Archive.name))) == sorted(ENCODERS)
        assert sorted(session.scalars(select(Recording.id))) == sorted(ENCODERS)
    catalogue.close()
    engine.dispose()


def test_a_migrated_database_has_the_tables_and_columns_of_a_new_one(url: str) -> None:
    """SQLite creates its tables from their classes; PostgreSQL gets those of the migrations."""
    Catalogue(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = inspect(connection)
        for name, table in Archive.metadata.tables.items():
            columns = {column["name"]: column["nullable"] for column in tables.get_columns(name)}
            assert columns == {column.name: column.nullable for column in table.columns}
    engine.dispose()


def test_live_content_is_unique_and_deleted_content_is_not(url: str) -> None:
    catalogue = Catalogue(url)

    def add(identity: str, **columns: object) -> None:
        with catalogue.writing() as session:
            session.add(
                Recording(
                    **{
                        "id": identity, "archive_id": archive, "path": "/a", "location": "/a",
                        "sha256": "0" * 64, "size": 1, "sample_rate": 16_000, "channels": 1, "format": "WAV",
                        "created": now(),
                    } | columns
                )
            )  # fmt: skip

    with catalogue.writing() as session:
        row = Archive(name="words", created=now())
        session.add(row)
        session.flush()
        archive = row.id
    add("a", deleted_at=now())
    add("b", deleted_at=now())
    add("c")
    with pytest.raises(IntegrityError):
        add("d")
    catalogue.close()
