"""The background scrub: stored bytes are compared with their checksums while the server runs.

Rarely read disks decay unnoticed; a scrub finds the damage while the original recordings can still be read
(Schwarz et al., "Disk scrubbing in large archival storage systems", 2004).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wordspot.indexer.archive.library import Library
from wordspot.indexer.errors import ArchiveError, NotFound

RECORD = "scrubbed"  # a file below the home whose time of change is the end of the last scrub
BYTES_PER_S = 32 * 2**20  # on average, to leave the disk to others
ENDING_S = 0.1  # that the end of the context waits for a file that is being read

_LOGGER = logging.getLogger("wordspot.services")


@contextmanager
def scrubbing(library: Library, record: Path, interval_s: float) -> Iterator[None]:
    """Scrubs every archive, in a thread, whenever the last scrub is so long ago; stops at the end of the
    context.

    Args:
        library: of the archives.
        record: the file that keeps the end of the last scrub; where there is none, the interval begins now.
        interval_s: seconds from the end of one scrub to the beginning of the next.
    """
    stopped = threading.Event()
    thread = threading.Thread(
        target=_scrub_repeatedly, args=(library, record, interval_s, stopped), name="scrubbing", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(ENDING_S)


def _scrub_repeatedly(library: Library, record: Path, interval_s: float, stopped: threading.Event) -> None:
    if not record.exists():
        _mark(record)
    while not stopped.wait(_seconds_left(record, interval_s)):
        _scrub(library, stopped)
        if not stopped.is_set() and not _mark(record) and stopped.wait(interval_s):
            return


def _scrub(library: Library, stopped: threading.Event) -> None:
    """Checks every archive; what is wrong is logged, and damaged segments are in quarantine afterwards."""
    problems = checked_bytes = 0
    for archive in _archive_names(library):
        try:
            for result in library.check(archive):
                checked_bytes += result.size
                if result.problem:
                    problems += 1
                    _LOGGER.error("archive %r is damaged: %s", archive, result.problem)
                if stopped.wait(result.size / BYTES_PER_S):
                    return
        except NotFound:
            continue  # deleted meanwhile
        except Exception as error:
            if stopped.is_set():
                return
            problems += 1
            told = None if isinstance(error, ArchiveError) else error
            _LOGGER.warning("archive %r could not be checked: %s", archive, error, exc_info=told)
    _LOGGER.info("scrubbed %d bytes: %d problems", checked_bytes, problems)


def _archive_names(library: Library) -> Iterator[str]:
    """Yields the names of all archives; logs where they cannot be listed."""
    after = ""
    while True:
        try:
            page = library.list_archives(after=after)
        except ArchiveError as error:
            _LOGGER.warning("archives could not be listed: %s", error)
            return
        yield from (archive.name for archive in page.items)
        if not page.next:
            return
        after = page.next


def _seconds_left(record: Path, interval_s: float) -> float:
    """Returns the seconds until the next scrub."""
    changed = time.time()
    with suppress(OSError):
        changed = min(record.stat().st_mtime, changed)  # a clock that was wrong must not put it off for ever
    return max(changed + interval_s - time.time(), 0.0)


def _mark(record: Path) -> bool:
    """Makes now the end of the last scrub. Returns whether that could be written."""
    try:
        record.touch(mode=0o600)
    except OSError as error:
        _LOGGER.warning("the end of the scrub is not recorded: %s", error.strerror)
        return False
    return True
