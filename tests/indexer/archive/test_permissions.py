from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.indexer.archive.conftest import upload
from wordspot.indexer.archive import permissions
from wordspot.indexer.archive.catalogue_file import back_up, restore
from wordspot.indexer.archive.library import Library
from wordspot.indexer.vectors.policy import IndexPolicy

Open = Callable[..., Library]


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that lets everybody do everything."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, str]:
    """What others may reach, by path."""
    return {
        str(path): f"{path.lstat().st_mode:o}"
        for path in (root, *root.rglob("*"))
        if path.lstat().st_mode & 0o077
    }


@pytest.mark.usefixtures("careless")
def test_whatever_lies_in_a_home_is_its_users_alone(
    open_library: Open, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    library = open_library(index=IndexPolicy("ivf-sq8"))
    library.create_archive("words")
    for name in "abefghij":  # enough for a trained index
        library.add_path("words", noise(name, seconds=8.0))
    upload(library, noise("c"))
    assert fakes.index(library, "words").recordings_done == 9
    home = tmp_path / "home"
    with library.begin_upload("words", "d.wav", "0" * 64, 9) as receiving:
        receiving.write(b"half")
        back_up(home, tmp_path / "backup.db")
        found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
        assert {"catalogue.db", "catalogue.db-wal", "catalogue.db-shm", "identity", "lock"} <= found
        assert {"audio", "cache", "segments", "uploads"} <= {name.split("/")[0] for name in found}
        assert modes(home) == {}
    assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600
    library.close()
    restore(home, tmp_path / "backup.db")
    assert modes(home) == {}


def test_a_home_that_others_could_enter_is_closed_to_them(
    library: Library, open_library: Open, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    library.close()
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    outside = tmp_path / "outside"
    outside.touch(0o644)
    (home / "link").symlink_to(outside)
    assert "every user of this machine may enter it, its mode is 0777" in permissions.exposure(home)
    open_library()
    assert permissions.exposure(home) == ""
    (home / "link").unlink()
    assert modes(home) == {}
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_a_group_that_may_enter_is_told() -> None:
    """Of a folder that belongs to the system and lets everybody in."""
    assert "may enter it" in permissions.exposure(Path("/usr"))
