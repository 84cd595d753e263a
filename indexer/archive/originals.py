"""The audio files of recordings: opened once, compared with what was added, and read by their descriptors.

A path that a caller names may lead over links as long as they end below a root. Where they led is opened
beneath the root without following any, then and whenever the recording is read again: what somebody puts in
the place of a folder or of the file leads nowhere, and other content than was added is refused.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wordspot.indexer.archive.beneath import open_beneath
from wordspot.indexer.archive.tables import Recording
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotAllowed, NotFound
from wordspot.indexer.paths import readable_path, text_path
from wordspot.indexer.sound.opened import OpenFile

MAX_KNOWN_CONTENTS = 65_536
SETTLED_S = 2.0  # a file that was written to more recently may be so again with the same time stamp
_READ_BYTES = 1 << 20

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENXIO)
_Stamp = tuple[int, int, int, int, int]


class ChangedFile(FailedPrecondition):
    """The file of a recording is not what was added: missing, replaced, written to."""


@dataclass(frozen=True)
class Original:
    """The file of a recording as it was added.

    Attributes:
        name: for messages: as the client has it.
        location: a resolved absolute path, or for an upload the path below the home.
        size: in bytes.
        sha256: of its content, hexadecimal.
    """

    name: str
    location: str
    size: int
    sha256: str

    @classmethod
    def of(cls, recording: Recording) -> Original:
        """Returns the file of a row of the catalogue."""
        return cls(readable_path(recording.path), recording.location, recording.size, recording.sha256)


class Originals:
    """Opens originals and other files below the roots. Safe to use from several threads."""

    def __init__(self, home: Path, roots: Sequence[Path]) -> None:
        """Takes the home, whose uploads are read, and folders below which files may be added."""
        self._home = home.resolve()
        self._named_roots = tuple(Path(os.path.normpath(root.absolute())) for root in roots)
        self._roots = tuple(root.resolve() for root in roots)
        self._contents = _KnownContents()

    @contextmanager
    def named(self, path: Path) -> Iterator[tuple[OpenFile, Path]]:
        """Gives the file that a caller names, and where it lies with links resolved.

        Args:
            path: absolute, or below one of the roots. Links are followed as long as they end below a root.

        Raises:
            InvalidInput: if it cannot be read.
            NotAllowed: if it is outside the roots, whether or not there is such a file.
            NotFound: if it is no regular file.
        """
        location = self._resolved(path)
        root = self._root_of(location)
        if root is None:
            raise NotAllowed(f"{path} does not lie below a folder that this server may read")
        try:
            descriptor = open_beneath(root, location)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise NotFound(f"no file {path}") from error
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotFound(f"no file {path}")
            yield OpenFile(descriptor, str(path), location.suffix), location
        finally:
            os.close(descriptor)

    @contextmanager
    def opened(self, original: Original) -> Iterator[OpenFile]:
        """Gives the file of a recording, whose content is what was added, also at the end of the context.

        Raises:
            ChangedFile: if it is missing, or is or becomes another one.
        """
        with self._opened(original) as file:
            self._check(file, original)
            yield file
            self._check(file, original)

    def problem(self, original: Original) -> str | None:
        """Returns how the file differs, by its size, from what was added; None if it does not."""
        try:
            with self._opened(original):
                return None
        except ChangedFile as error:
            return str(error)

    def holds(self, original: Original, stamp: str | None) -> bool:
        """Returns whether the file is what was added. It is read unless its stamp is the same."""
        try:
            with self._opened(original) as file:
                if stamp is not None and stamp_of(file) == stamp:
                    return True
                self._check(file, original)
                return True
        except ChangedFile:
            return False

    @contextmanager
    def current(self, original: Original) -> Iterator[OpenFile]:
        """Gives what lies now where a recording was added from. Raises ChangedFile if there is no file."""
        with self._opened(original, any_size=True) as file:
            yield file

    def content_of(self, file: OpenFile) -> tuple[str, int]:
        """Returns SHA-256, hexadecimal, and size of an open file. Raises OSError."""
        sha256 = self._contents.sha256_of(file.descriptor)
        return sha256, os.fstat(file.descriptor).st_size

    def _resolved(self, path: Path) -> Path:
        """Raises InvalidInput, NotAllowed."""
        named = [path] if path.is_absolute() else [root / path for root in self._roots]
        try:
            resolved = [each.resolve() for each in named]
        except (OSError, RuntimeError) as error:  # a loop of links, a name longer than the file system has
            if not any(map(self._is_named_below, named)):
                raise NotAllowed(f"{path} does not lie below a folder that this server may read") from error
            reason = getattr(error, "strerror", None) or "a loop of links"
            raise InvalidInput(f"cannot read {path}: {reason}") from error
        if not resolved:
            raise NotAllowed(f"{path} does not lie below a folder that this server may read")
        return next((each for each in resolved if os.path.lexists(each)), resolved[0])

    def _is_named_below(self, path: Path) -> bool:
        """Returns whether an absolute path lies below a root by its name alone."""
        name = Path(os.path.normpath(path))
        return any(name.is_relative_to(root) for root in (*self._named_roots, *self._roots))

    def _root_of(self, location: Path) -> Path | None:
        """Returns the root that a resolved path lies below; None if there is none."""
        return next((root for root in self._roots if location.is_relative_to(root)), None)

    @contextmanager
    def _opened(self, original: Original, *, any_size: bool = False) -> Iterator[OpenFile]:
        """Raises ChangedFile, unless `any_size` also for another size."""
        path = self._home / text_path(original.location)
        upload = not Path(original.location).is_absolute()
        # What was added below a root that is none any more, or without a server, is still read.
        root = self._home if upload else self._root_of(path) or Path("/")
        try:
            descriptor = open_beneath(root, path)
        except OSError as error:
            if path.is_symlink():
                raise ChangedFile(f"{original.name} has been replaced by a link") from error
            raise ChangedFile(f"{original.name} cannot be read any more: {error.strerror}") from error
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise ChangedFile(f"{original.name} is not a file any more")
            if not any_size and state.st_size != original.size:
                raise ChangedFile(
                    f"{original.name} has {state.st_size} bytes; it had {original.size} when it was added"
                )
            yield OpenFile(descriptor, original.name, path.suffix)
        finally:
            os.close(descriptor)

    def _check(self, file: OpenFile, original: Original) -> None:
        """Raises ChangedFile."""
        try:
            sha256 = self._contents.sha256_of(file.descriptor)
        except OSError as error:
            raise ChangedFile(f"{original.name} cannot be read any more: {error.strerror}") from error
        if sha256 != original.sha256:
            raise ChangedFile(f"{original.name} has another content than when it was added")


def stamp_of(file: OpenFile) -> str:
    """Returns what the file system changes whenever somebody writes to a file or puts another in its
    place."""
    _, inode, *rest = _stamp(file.descriptor)
    return ".".join(map(str, (inode, *rest)))


def settled_stamp(file: OpenFile) -> str | None:
    """Returns the stamp of a file; None if it was written to so recently that it may be so again unseen."""
    settled = _stamp(file.descriptor)[-1] < time.time_ns() - round(SETTLED_S * 1e9)
    return stamp_of(file) if settled else None


class _KnownContents:
    """Hashes of files by what the kernel changes whenever somebody writes to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hashes: OrderedDict[_Stamp, str] = OrderedDict()

    def sha256_of(self, descriptor: int) -> str:
        """Returns the SHA-256 of an open file, hexadecimal, which is read unless it is known."""
        stamp = _stamp(descriptor)
        with self._lock:
            if stamp in self._hashes:
                self._hashes.move_to_end(stamp)
                return self._hashes[stamp]
        settled = stamp[-1] < time.time_ns() - round(SETTLED_S * 1e9)
        sha256 = _sha256_of(descriptor)
        if settled and _stamp(descriptor) == stamp:
            with self._lock:
                self._hashes[stamp] = sha256
                if len(self._hashes) > MAX_KNOWN_CONTENTS:
                    self._hashes.popitem(last=False)
        return sha256


def _stamp(descriptor: int) -> _Stamp:
    state = os.fstat(descriptor)
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _sha256_of(descriptor: int) -> str:
    """Reads without moving the descriptor's position. Raises OSError."""
    digest, position = hashlib.sha256(), 0
    while data := os.pread(descriptor, _READ_BYTES, position):
        digest.update(data)
        position += len(data)
    return digest.hexdigest()
