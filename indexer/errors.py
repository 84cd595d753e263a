"""The exceptions of an archive, by what the caller can do about them.

Each message names what was received and what is allowed.
"""

from __future__ import annotations


class ArchiveError(Exception):
    """The base of all exceptions that the archive raises intentionally."""


class InvalidInput(ArchiveError, ValueError):
    """The caller's data or argument is invalid, whatever the archive's state."""


class NotFound(ArchiveError, LookupError):
    """No such archive, recording, operation or encoder."""


class AlreadyExists(ArchiveError):
    """The name is taken."""


class FailedPrecondition(ArchiveError):
    """The call is valid, but not in this state: not indexed yet, another encoder, an operation in
    progress."""


class NotAllowed(ArchiveError, PermissionError):
    """Outside what the server may touch."""


class Exhausted(ArchiveError):
    """A full disk or a limit reached; the attempt changed nothing."""


class StorageFailed(ArchiveError):
    """The disk or the database has failed; what was asked for may or may not be done."""


class Overloaded(ArchiveError):
    """Too much work is waiting; the same call may succeed after `retry_seconds`."""

    def __init__(self, message: str, retry_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class DataLoss(ArchiveError):
    """A stored file is missing or does not match its checksum."""


class SegmentDamaged(DataLoss):
    """A segment is damaged: a repair indexes anew what it held."""
