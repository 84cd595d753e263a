"""Goes on at the start of a server with indexing that the end of an earlier process has interrupted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wordspot.indexer.archive.library import Library
from wordspot.indexer.errors import ArchiveError, Overloaded
from wordspot.services.errors import DeadlinePassed, PeerUnavailable

RETRY_INTERVAL_S = 2.0  # while the model host is not there yet

_LOGGER = logging.getLogger("wordspot.services")


@contextmanager
def resuming(library: Library) -> Iterator[None]:
    """Resumes, in a thread, the operations of an earlier process; stops trying at the end of the context."""
    stopped = threading.Event()
    operations = library.interrupted_operations()
    thread = threading.Thread(
        target=_resume_all, args=(library, operations, stopped), name="resuming", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _resume_all(library: Library, operations: tuple[str, ...], stopped: threading.Event) -> None:
    for operation in operations:
        while not stopped.is_set() and not _is_settled(library, operation):
            stopped.wait(RETRY_INTERVAL_S)


def _is_settled(library: Library, operation: str) -> bool:
    """Returns whether it is resumed or cannot be, and need not be tried again."""
    try:
        summary = library.resume_operation(operation)
    except (PeerUnavailable, DeadlinePassed, Overloaded):
        return False
    except ArchiveError as error:
        _LOGGER.warning("operation %s is not resumed: %s", operation, error)
    except Exception:
        _LOGGER.exception("operation %s is not resumed", operation)
    else:
        _LOGGER.info("operation %s of archive %r is resumed", operation, summary.archive)
    return True
