"""Homes that cannot be used are told in one line, and nothing in them changes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Wordspot


def newer(catalogue: Path) -> None:
    with closing(sqlite3.connect(catalogue)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    catalogue.with_name("catalogue.sha256").unlink(missing_ok=True)


def zero_header(catalogue: Path) -> None:
    with catalogue.open("r+b") as file:
        file.write(bytes(100))


def cut(catalogue: Path) -> None:
    os.truncate(catalogue, 5_000)


def empty(catalogue: Path) -> None:
    os.truncate(catalogue, 0)


def text(catalogue: Path) -> None:
    catalogue.write_text("not a database\n")


CATALOGUES = {
    newer: "of version 0001 to 0007, got 9999: a newer wordspot wrote it",
    zero_header: "the catalogue is damaged: it differs from its checksum",
    cut: "the catalogue is damaged: it differs from its checksum",
    empty: "is empty",
    text: "the catalogue is damaged: it differs from its checksum",
    Path.unlink: "is missing",
}


@pytest.mark.parametrize("change", CATALOGUES)
def test_a_catalogue_that_cannot_be_used_is_one_line_for_every_command(
    change: Callable[[Path], None], few: Wordspot
) -> None:
    change(few.home / "catalogue.db")
    segments = sorted((few.home / "segments").rglob("*"))
    for command in (("archive", "list"), ("index", few.home), ("search", "a.wav"), ("serve", "--port", "0")):
        assert CATALOGUES[change] in few.refuse(*command)
    assert sorted((few.home / "segments").rglob("*")) == segments


def test_folders_that_cannot_be_had_are_one_line(few: Wordspot, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        line = few.refuse("archive", "list", WORDSPOT_HOME=str(tmp_path / name))
        assert "must be a folder that can be written" in line
    assert "no_such_user" in few.refuse("archive", "list", WORDSPOT_HOME="~no_such_user/home")
