"""What can go wrong in an archive, by what the caller can do about it.

Each message names what was received and what is allowed.
"""

from __future__ import annotations


class ArchiveError(Exception):
    """Base of everything the archive raises on purpose."""


class InvalidInput(ArchiveError, ValueError):  # noqa: N818
    """The caller's data or argument cannot be used, whatever the archive's state."""


class NotFound(ArchiveError, LookupError):  # noqa: N818
    """No such archive, recording, operation or encoder."""


class AlreadyExists(ArchiveError):  # noqa: N818
    """The name is taken."""


class FailedPrecondition(ArchiveError):  # noqa: N818
    """Right call, wrong state: not indexed yet, another encoder, an operation under way."""


class NotAllowed(ArchiveError, PermissionError):  # noqa: N818
    """Outside what the server may touch."""


class Exhausted(ArchiveError):  # noqa: N818
    """A full disk or a limit reached; nothing was kept of the attempt."""


class DataLoss(ArchiveError):  # noqa: N818
    """A stored file is missing or does not match its checksum."""
