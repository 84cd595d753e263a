"""The sound of hits as WAV files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.indexer.records import Hit
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.errors import ServiceError

MAX_FILE_NAME_BYTES = 255  # of the usual file systems
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def save_clips(client: Client, archive: str, hits: Iterable[Hit], folder: Path) -> int:
    """Writes the sound of each hit into the folder as a WAV file; a hit whose sound cannot be had is named.

    Returns:
        How many clips could not be saved.

    Raises:
        InvalidInput: nothing can be written to the folder.
        ServiceError: the service cannot be reached.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot write clips to {folder}: {error.strerror}") from error
    failed = 0
    for rank, hit in enumerate(hits, 1):
        path = folder / clip_name(rank, hit, _max_name_bytes(folder))
        if problem := _save(partial(client.clip, hit.recording, hit.start, hit.end, archive), path):
            failed += 1
            console.warn(
                f"wordspot: no clip of hit {rank}, {hit.path} {hit.start:.2f}-{hit.end:.2f}: {problem}"
            )
    return failed


def clip_name(rank: int, hit: Hit, max_bytes: int = MAX_FILE_NAME_BYTES) -> str:
    """Returns the name of a hit's file, in which the recording's name is shortened where it is too long.

    rank: of the hit; no two names of an answer are the same.
    """
    start, end = f"{rank:03}_", f"_{hit.start:.2f}-{hit.end:.2f}.wav"
    return f"{start}{_shortened(Path(hit.path).stem, max_bytes - len(start) - len(end))}{end}"


def _save(sound: Callable[[], bytes], path: Path) -> str:
    """Writes a sound to a file. Returns why it could not be had or written, "" if it was.

    Raises:
        InvalidInput: no other file could be written there either.
        ServiceError: the service cannot be reached.
    """
    try:
        data = sound()
    except ServiceError:
        raise
    except ArchiveError as error:
        return str(error)
    try:
        path.write_bytes(data)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise InvalidInput(f"cannot write clips to {path.parent}: {error.strerror}") from error
        return f"{path.name} cannot be written: {error.strerror}"
    return ""


def _shortened(name: str, max_bytes: int) -> str:
    """Returns as many characters from the start as fit into so many bytes."""
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


def _max_name_bytes(folder: Path) -> int:
    with suppress(OSError, ValueError):
        return min(os.pathconf(folder, "PC_NAME_MAX"), MAX_FILE_NAME_BYTES)
    return MAX_FILE_NAME_BYTES
