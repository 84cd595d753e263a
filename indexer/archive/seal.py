"""The seal of a catalogue: the checksum of its SQLite file, which SQLite itself does not keep.

    last connection closed -> catalogue.sha256 is written
    home opened            -> the file is compared with it
    first write            -> it is removed, durably, before the file changes

A process that was killed leaves none; the next start then has SQLite check its own structure, and looks for
transactions in the write-ahead log that its checksums exclude.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
from contextlib import closing, suppress
from pathlib import Path

from wordspot.indexer.archive import files
from wordspot.indexer.archive.catalogue import RESTORING_ADVICE, has_log
from wordspot.indexer.errors import DataLoss

SEAL = "catalogue.sha256"
MAX_CHECKED_BYTES = 32 << 20  # whose structure is checked before it is sealed: at most .1 s
_WAL_HEADER = struct.Struct(">8I")  # magic, version, page size, sequence number, salts, checksums
_FRAME_HEADER = struct.Struct(">6I")  # page, pages after a commit or 0, salts, checksums
_LITTLE_ENDIAN = 0x377F0682
_MAGICS = (_LITTLE_ENDIAN, _LITTLE_ENDIAN + 1)
_HEADER_CHECKED_BYTES = 24
# In the header of the database: versions of the format for writing and reading.
_JOURNAL_MODE, _WAL_MODE = slice(18, 20), b"\2\2"
_ADVICE = (
    f"{RESTORING_ADVICE}; where another program has changed it, `wordspot restore --identity` accepts it"
)
_log = logging.getLogger(__name__)


class Seal:
    """Of the catalogue in a folder. The home must be locked."""

    def __init__(self, catalogue: Path) -> None:
        self._catalogue = catalogue
        self._path = catalogue.with_name(SEAL)
        self._log_path = catalogue.with_name(f"{catalogue.name}-wal")
        self._present = False
        self.lost_transactions = False
        """Whether the log had transactions that cannot be read any more: what the catalogue does not list may
        be no orphan."""

    def check(self) -> None:
        """Compares the catalogue with its seal; to be called before it is opened.

        Raises:
            DataLoss: if it differs.
        """
        if not self._catalogue.is_file():
            if self._path.is_file() and not self._catalogue.exists():
                raise DataLoss(f"the catalogue {self._catalogue.name} is missing. {RESTORING_ADVICE}")
            return
        self._present = self._path.is_file()
        if not self._present:
            self._check_unsealed()
        if problem := sealed_problem(self._catalogue):
            raise DataLoss(problem)
        with self._catalogue.open("rb") as file:
            if file.read(_JOURNAL_MODE.stop)[_JOURNAL_MODE] != _WAL_MODE:
                self.remove()  # opening it changes the mode

    def remove(self) -> None:
        """To be called before the catalogue changes."""
        if self._present:
            self._path.unlink(missing_ok=True)
            files.sync_directory(self._path.parent)
            self._present = False

    def renew(self) -> None:
        """Seals the catalogue as it is now; nobody has it open."""
        self._path.unlink(missing_ok=True)
        self._present = False
        self.write()

    def write(self) -> None:
        """Seals the catalogue, which nobody has open; does nothing where a log is left, on a disk that fails,
        or where somebody has damaged it meanwhile, which the next start then says."""
        if self._present or has_log(self._catalogue) or not self._catalogue.is_file():
            return
        with suppress(OSError, sqlite3.DatabaseError):
            if self._catalogue.stat().st_size <= MAX_CHECKED_BYTES and (problem := self._problem()):
                _log.error("the catalogue is damaged: %s. %s", problem, RESTORING_ADVICE)
                return
            files.write_durably(self._path, files.sha256_of(self._catalogue).encode())

    def _problem(self) -> str:
        """Returns what SQLite finds wrong with the structure. Raises sqlite3.DatabaseError."""
        uri = f"{self._catalogue.absolute().as_uri()}?immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        return "" if problem == "ok" else str(problem)

    def _check_unsealed(self) -> None:
        """Has SQLite check the catalogue after a process was killed, and notes which transactions of the
        write-ahead log it will not read.

        Raises:
            DataLoss: if the catalogue is damaged.
        """
        present = _transactions(self._log_path.read_bytes()) if has_log(self._catalogue) else []
        try:
            with closing(sqlite3.connect(self._catalogue)) as connection:
                (_, readable, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError:
            return  # whoever opens it next reports it
        if problem != "ok":
            raise DataLoss(f"the catalogue is damaged: {problem}. {RESTORING_ADVICE}")
        self.lost_transactions = any(number >= readable for number in present)
        if self.lost_transactions:
            _log.error(
                "the log of the catalogue ends in transactions that differ from their checksums: they are "
                "lost, unless they were never complete. What they listed is set aside; index again what "
                "is missing"
            )


def sealed_problem(catalogue: Path) -> str:
    """Returns how a catalogue differs from its seal; empty if it does not, or has none. It may be in use."""
    path = catalogue.with_name(SEAL)
    try:
        expected = path.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""
    if not catalogue.is_file() or files.sha256_of(catalogue) == expected or has_log(catalogue):
        return ""
    # Whoever changes the catalogue removes the seal first.
    return f"the catalogue is damaged: it differs from its checksum. {_ADVICE}" if path.is_file() else ""


def _transactions(log: bytes) -> list[int]:
    """Returns the numbers of the frames that end a transaction, whether or not their checksums are right."""
    if len(log) < _WAL_HEADER.size:
        return []
    magic, _, page_size, _, *salts, sum_1, sum_2 = _WAL_HEADER.unpack_from(log)
    if magic not in _MAGICS or _checksum(log[:_HEADER_CHECKED_BYTES], magic) != (sum_1, sum_2):
        return [0]
    ends = []
    step = _FRAME_HEADER.size + page_size
    for number, place in enumerate(range(_WAL_HEADER.size, len(log) - step + 1, step)):
        _, pages, *own = _FRAME_HEADER.unpack_from(log, place)[:4]
        # One salt alone can be of a damaged frame, none is of an earlier round of the log.
        if pages and (own[0] == salts[0] or own[1] == salts[1]):
            ends.append(number)
    return ends


def _checksum(data: bytes, magic: int) -> tuple[int, int]:
    """Returns the checksums of SQLite's file format, section 4.2, of data that begins a log."""
    order = "<" if magic == _LITTLE_ENDIAN else ">"
    first = second = 0
    for one, two in struct.iter_unpack(f"{order}2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
