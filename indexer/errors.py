"""The exceptions of an archive, by what the caller can do about them.

Each message names what was received and what is allowed.
"""

from __future__ import annotations


class ArchiveError(Exception):
    """The base of all exceptions that the archive raises intentionally."""


class InvalidInput(ArchiveError, ValueError):  # noqa: N818
    """The caller's data or argument is invalid, whatever the archive's state."""


class NotFound(ArchiveError, LookupError):  # noqa: N818
    """No such archive, recording, operation or encoder."""


class AlreadyExists(ArchiveError):  # noqa: N818
    """The name is taken."""


class FailedPrecondition(ArchiveError):  # noqa: N818
    """The call is valid, but not in this state: not indexed yet, another encoder, an operation in
    progress."""


class NotAllowed(ArchiveError, PermissionError):  # noqa: N818
    """Outside what the server may touch."""


class Exhausted(ArchiveError):  # noqa: N818
    """A full disk or a limit reached; the attempt changed nothing."""


class Overloaded(ArchiveError):  # noqa: N818
    """Too much work is waiting; the same call may succeed after `retry_seconds`."""

    def __init__(self, message: str, retry_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class DataLoss(ArchiveError):  # noqa: N818
    """A stored file is missing or does not match its checksum."""
