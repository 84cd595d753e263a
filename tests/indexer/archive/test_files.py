from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.indexer.archive import files
from wordspot.indexer.errors import Exhausted


def test_a_full_disk_is_named_with_what_was_going_on() -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(Exhausted, match="no space left on the disk while drawing"),
        files.reporting_full_disk("drawing"),
    ):
        full.write(b"x")


def test_other_errors_of_the_system_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.reporting_full_disk("reading"):
        (tmp_path / "absent").read_bytes()


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    files.write_durably(path, b"old and long")
    files.write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_removing_takes_files_folders_links_and_what_is_not_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "kept").touch()
    link = tmp_path / "link"
    link.symlink_to(target)
    files.remove(link)
    assert (target / "kept").exists()
    files.remove(target / "kept")
    files.remove(target)
    files.remove(target)
    assert not list(tmp_path.iterdir())
