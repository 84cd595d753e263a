"""Audio files that are read by their descriptors, whatever their names stand for by then."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.reader import line_of

# A pipe must not make its opener wait, nor a terminal become that of this process.
READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class OpenFile:
    """A regular file that is open for reading. Whoever opened it closes it.

    descriptor: its position is shared by all who read it, one at a time.
    name: for messages.
    suffix: of the file's own name, which hints at the format.
    """

    descriptor: int
    name: str
    suffix: str = ""


AudioFile = Path | OpenFile


@contextmanager
def opened(file: AudioFile) -> Iterator[OpenFile]:
    """Gives the file, opened if it is a path. Raises InvalidInput."""
    if isinstance(file, OpenFile):
        yield file
        return
    try:
        descriptor = os.open(file, READING)
    except (OSError, ValueError) as error:
        reason = line_of(getattr(error, "strerror", None) or error)
        raise InvalidInput(f"cannot open {file}: {reason}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidInput(f"{file} is not a regular file")
        yield OpenFile(descriptor, str(file), Path(file).suffix)
    finally:
        os.close(descriptor)
