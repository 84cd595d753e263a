from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from wordspot.indexer.archive.catalogue import SCHEMA
from wordspot.indexer.archive.catalogue_file import catalogue_problem
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import StoredKind
from wordspot.indexer.errors import ArchiveError, DataLoss, FailedPrecondition

Open = Callable[..., Library]


@pytest.fixture
def home(filled: Library, tmp_path: Path) -> Path:
    """The home of a closed library."""
    filled.close()
    return tmp_path / "home"


def without_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def set_version(home: Path, version: str) -> None:
    with closing(sqlite3.connect(home / "catalogue.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    (home / "catalogue.sha256").unlink(missing_ok=True)  # as that version would


def test_a_home_whose_files_cannot_be_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", without_locks)
        with pytest.raises(FailedPrecondition, match=r"No locks available; set WORDSPOT_HOME to a folder"):
            Home(tmp_path)
    Home(tmp_path).close()


def test_a_home_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "odd" / "lock").mkdir(parents=True)
    (tmp_path / "uploads").touch()
    for name in ("file", "file/home", "loop", "odd", "."):
        with pytest.raises(FailedPrecondition, match="must be a folder that can be written, got"):
            Home(tmp_path / name)
    (tmp_path / "uploads").unlink()
    Home(tmp_path).close()


@pytest.mark.parametrize("version", [f"{int(SCHEMA) + 1:04}", "9999", "ae1027a6acf"])
def test_a_home_of_a_newer_version_is_refused_and_stays_as_it_is(
    home: Path, open_library: Open, version: str
) -> None:
    set_version(home, version)
    told = rf"must be of version 0001 to {SCHEMA}, got {version}: a newer wordspot wrote it"
    with pytest.raises(FailedPrecondition, match=told):
        open_library()
    assert version in catalogue_problem(home)
    set_version(home, SCHEMA)
    assert open_library().verify("words") == ()


def zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def zero_second_page(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(bytes(4096))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 7)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def text(path: Path) -> None:
    path.write_text("not a database\n" * 1_000)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [zero_header, zero_second_page, cut, empty, text, remove])
def test_a_damaged_catalogue_is_one_error_that_says_what_to_do(
    home: Path, open_library: Open, damage: Callable[[Path], None]
) -> None:
    damage(home / "catalogue.db")
    segments = sorted((home / "segments").iterdir())
    for problem in (_opening_problem(open_library), catalogue_problem(home)):
        assert "wordspot restore" in problem
        assert "\n" not in problem
    assert sorted((home / "segments").iterdir()) == segments


def _opening_problem(open_library: Open) -> str:
    with pytest.raises(DataLoss) as raised:
        open_library().list_archives()
    return str(raised.value)


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("damage", [zero_header, empty, text, remove, replace])
def test_damage_to_the_catalogue_of_an_open_home_is_noticed_at_its_next_use(
    filled: Library, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    filled.list_archives()
    damage(tmp_path / "home" / "catalogue.db")
    for use in (filled.list_archives, lambda: filled.create_archive("other")):
        with pytest.raises(DataLoss, match=r"catalogue.* while it was open\. `wordspot restore FILE`"):
            use()


@pytest.mark.parametrize("damage", [zero_second_page, cut])
def test_damage_within_the_catalogue_of_an_open_home_is_noticed_by_a_check_and_by_the_next_start(
    home: Path, open_library: Open, damage: Callable[[Path], None]
) -> None:
    library = open_library()
    library.list_archives()
    damage(home / "catalogue.db")
    try:
        first = next(iter(library.check("words")))
        assert first.kind is StoredKind.CATALOGUE
        problem = first.problem
    except DataLoss as error:  # SQLite has read what is damaged
        problem = str(error)
    assert "the catalogue is damaged" in problem
    library.close()
    assert "wordspot restore" in _opening_problem(open_library)


def test_a_catalogue_that_cannot_be_opened_is_refused(home: Path, open_library: Open) -> None:
    (home / "catalogue.db").rename(home / "saved")
    (home / "catalogue.db").mkdir()
    (home / "catalogue.db" / "inside").touch()
    with pytest.raises(ArchiveError, match="cannot be used: unable to open database file"):
        open_library()


def test_a_catalogue_that_another_program_holds_is_refused(
    home: Path, open_library: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordspot.indexer.archive.catalogue._BUSY_TIMEOUT_MS", 10)
    with closing(sqlite3.connect(home / "catalogue.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        library = open_library()
        with pytest.raises(FailedPrecondition, match="cannot be used: database is locked"):
            library.create_archive("another")
        library.close()
    assert open_library().verify("words") == ()


@pytest.mark.parametrize("url", ["nonsense", "unknown+driver://host/name", "postgresql://127.0.0.1:1/none"])
def test_a_database_that_cannot_be_reached_is_refused(open_library: Open, url: str) -> None:
    with pytest.raises(FailedPrecondition, match="catalogue"):
        open_library(database_url=url)


def test_a_sound_catalogue_has_no_problem(home: Path, tmp_path: Path) -> None:
    assert catalogue_problem(home) == ""
    assert catalogue_problem(tmp_path / "new") == ""
