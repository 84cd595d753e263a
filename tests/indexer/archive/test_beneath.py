from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wordspot.indexer.archive import beneath
from wordspot.indexer.archive.beneath import open_beneath


@pytest.fixture(params=["openat2", "openat"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel with the system call, and one without."""
    if request.param == "openat":

        def missing(folder: int, path: Path, flags: int) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(beneath, "_openat2", missing)


def content(root: Path, path: Path) -> bytes:
    descriptor = open_beneath(root, path)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "one/two").mkdir(parents=True)
    (folder / "one/two/file").write_bytes(b"inside")
    (tmp_path / "file").write_bytes(b"outside")
    return folder


@pytest.mark.usefixtures("system")
def test_a_file_below_the_root_is_opened(root: Path) -> None:
    assert content(root, root / "one/two/file") == b"inside"
    assert content(Path("/"), root / "one/two/file") == b"inside"


Exchange = Callable[[Path], None]


def link_the_file(root: Path) -> None:
    (root / "one/two/file").unlink()
    (root / "one/two/file").symlink_to(root.parent / "file")


def link_a_folder(root: Path) -> None:
    (root / "one/two").rename(root / "moved")
    (root / "one/two").symlink_to(root / "moved")


def link_the_root(root: Path) -> None:
    root.rename(root.with_name("moved"))
    root.symlink_to(root.with_name("moved"))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("exchange", [link_the_file, link_a_folder, link_the_root])
def test_no_link_is_followed_wherever_it_stands(root: Path, exchange: Exchange) -> None:
    exchange(root)
    with pytest.raises(OSError, match=r"\[Errno") as raised:
        content(root, root / "one/two/file")
    assert raised.value.errno in (errno.ELOOP, errno.ENOTDIR)


@pytest.mark.usefixtures("system")
def test_a_path_that_leads_out_is_refused_without_a_look(root: Path) -> None:
    for path in (root / "../file", root / "one/../../file", root.parent / "file", root.parent / "absent"):
        with pytest.raises(OSError, match=r"\[Errno") as raised:
            content(root, path)
        assert raised.value.errno == errno.EXDEV


@pytest.mark.usefixtures("system")
def test_what_is_not_there_says_so_and_no_descriptor_is_left(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("absent", "one/absent/file", "one/two/file/below"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            content(root, root / path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_pipe_does_not_make_its_opener_wait(root: Path) -> None:
    os.mkfifo(root / "pipe")
    os.close(open_beneath(root, root / "pipe"))
