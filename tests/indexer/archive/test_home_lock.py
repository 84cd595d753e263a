from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wordspot.indexer.archive import home_lock
from wordspot.indexer.archive.home_lock import HomeLock, holder_of
from wordspot.indexer.errors import FailedPrecondition

HOLD = (
    "import sys; from pathlib import Path; from wordspot.indexer.archive.home_lock import HomeLock;"
    "lock = HomeLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.readline()"
)


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_the_home(tmp_path: Path, holding: subprocess.Popen[str]) -> None:
    with pytest.raises(FailedPrecondition) as raised:
        HomeLock(tmp_path)
    assert f"is in use by process {holding.pid} since 2" in str(raised.value)
    assert f"(-c {tmp_path})" in str(raised.value)
    assert "--wait SECONDS" in str(raised.value)


def test_one_who_waits_says_for_whom_and_goes_on_at_its_end(
    tmp_path: Path, holding: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    class EndsTheHolder(logging.Handler):
        """Ends the other process as soon as somebody is told to wait for it."""

        def emit(self, record: logging.LogRecord) -> None:
            assert holding.stdin is not None
            holding.stdin.write("\n")
            holding.stdin.flush()

    logger, handler = logging.getLogger(home_lock.__name__), EndsTheHolder()
    logger.addHandler(handler)
    try:
        lock = HomeLock(tmp_path, wait_seconds=60.0)
    finally:
        logger.removeHandler(handler)
    assert f"waiting up to 60 s: {tmp_path} is in use by process {holding.pid} since" in caplog.text
    holder = holder_of(tmp_path)
    assert holder is not None
    assert holder.pid == str(os.getpid())
    lock.release()
    assert holder_of(tmp_path) is None


def test_the_lock_of_a_process_that_was_killed_is_free(
    tmp_path: Path, holding: subprocess.Popen[str]
) -> None:
    holding.kill()
    holding.wait()
    HomeLock(tmp_path).release()


def test_one_who_only_looks_does_not_keep_a_writer_out(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    assert holder_of(tmp_path) is None
    HomeLock(tmp_path).release()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "target").write_text("keep")
    (tmp_path / "home" / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        HomeLock(tmp_path / "home")
    assert (tmp_path / "target").read_text() == "keep"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    os.chown(tmp_path / "lock", 12_345, -1)
    with pytest.raises(FailedPrecondition, match="must be a file of this user, got one of user 12345"):
        HomeLock(tmp_path)


def test_nobody_else_can_open_the_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o666)
    (tmp_path / "lock").chmod(0o666)
    HomeLock(tmp_path).release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
