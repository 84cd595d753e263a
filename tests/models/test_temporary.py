from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wordspot.models import temporary
from wordspot.models.temporary import OWNER, sweep, temporary_folder

OWNING = """
import sys, time
from pathlib import Path
from wordspot.models.temporary import temporary_folder

with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "work").mkdir()
    (folder / "work" / "half.bin").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(600)
"""

Owner = Callable[[], tuple[subprocess.Popen[str], Path]]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    """Starts a process that has a folder with files in it; returns both."""
    processes: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], Path]:
        command = [sys.executable, "-c", OWNING, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in processes:
        with process:
            process.kill()


def test_a_folder_is_its_user_s_alone_and_gone_with_its_content_afterwards(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("wordspot-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("x")
        (folder / "link").symlink_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_what_used_it_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next(owner: Owner, tmp_path: Path) -> None:
    process, folder = owner()
    process.kill()
    process.wait()
    assert (folder / "work" / "half.bin").exists()
    with temporary_folder(tmp_path) as mine:
        assert [path.name for path in tmp_path.iterdir()] == [mine.name]


def test_the_folder_of_a_process_at_work_is_left_alone(owner: Owner, tmp_path: Path) -> None:
    process, folder = owner()
    process.send_signal(signal.SIGSTOP)  # not even one that is stopped
    sweep(tmp_path)
    assert (folder / "work" / "half.bin").read_bytes() == b"half"


def test_folders_of_this_process_do_not_sweep_each_other(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert second.is_dir()


def test_what_was_not_made_here_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "wordspot-notes").mkdir()
    (tmp_path / "wordspot-notes" / "thesis.txt").write_text("years of work")
    os.utime(tmp_path / "wordspot-notes", (0, 0))
    (tmp_path / "wordspot-file").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / OWNER).touch()
    (tmp_path / "wordspot-link").symlink_to(outside)
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_goes_only_once_it_is_old(tmp_path: Path) -> None:
    """A process was killed, or is just about to lock it."""
    new, old = tmp_path / "wordspot-new", tmp_path / "wordspot-old"
    for folder in (new, old):
        folder.mkdir()
    os.utime(old, (time.time() - temporary.MAX_UNOWNED_S - 60,) * 2)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_a_removal_that_was_cut_off_is_taken_up_again(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    process, folder = owner()
    process.kill()
    process.wait()
    with monkeypatch.context() as patch:
        patch.setattr(temporary.shutil, "rmtree", fail)
        sweep(tmp_path)
    assert (folder / OWNER).exists()
    sweep(tmp_path)
    assert not folder.exists()


def test_one_that_was_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def sweep_first(descriptor: int, operation: int) -> None:
        if not swept:
            (path,) = tmp_path.glob("wordspot-*")
            swept.append(path)
            (path / OWNER).unlink()
            path.rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(temporary.fcntl, "flock", sweep_first)
    with temporary_folder(tmp_path) as folder:
        assert (folder / OWNER).exists()
        assert folder not in swept


def test_where_files_cannot_be_locked_folders_are_made_and_none_is_swept(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    process, other = owner()
    process.kill()
    process.wait()
    monkeypatch.setattr(temporary.fcntl, "flock", refuse)
    with temporary_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert other.is_dir()
    assert not folder.exists()
