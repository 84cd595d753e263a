"""The interposer: a library that is loaded before the C library and meets every call on a file of a home."""

from __future__ import annotations

import errno
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).with_name("interposer.c")
_COUNTER = struct.Struct("=Q")
_HEAD = struct.Struct("=5Q")


class Op(IntEnum):
    """What is counted, in the order of interposer.c. CREATE: opening to write. MAP: mapping into memory."""

    OPEN = 0
    CREATE = 1
    READ = 2
    WRITE = 3
    SYNC = 4
    TRUNCATE = 5
    RENAME = 6
    UNLINK = 7
    MKDIR = 8
    MAP = 9
    CLOSE = 10
    LIST = 11


_ELIGIBLE, _FIRED, _COUNTERS = len(Op), len(Op) + 1, len(Op) + 2
EVERY = frozenset(Op)
GROWING = frozenset({Op.CREATE, Op.WRITE, Op.SYNC, Op.TRUNCATE, Op.RENAME, Op.MKDIR})


class Kind(StrEnum):
    """Of a fault. SHORT reads or writes half. TORN writes half and kills."""

    COUNT = "count"
    EIO = "EIO"
    ENOSPC = "ENOSPC"
    EDQUOT = "EDQUOT"
    SHORT = "short"
    SYNC = "fsync"
    KILL = "kill"
    TORN = "torn"


# Action of interposer.c, error number, calls that can go wrong so.
_MEANING = {
    Kind.COUNT: (0, 0, EVERY),
    Kind.EIO: (1, errno.EIO, EVERY),
    Kind.ENOSPC: (1, errno.ENOSPC, GROWING),
    Kind.EDQUOT: (1, errno.EDQUOT, GROWING),
    Kind.SHORT: (2, errno.EIO, frozenset({Op.READ, Op.WRITE})),
    Kind.SYNC: (1, errno.EIO, frozenset({Op.SYNC})),
    Kind.KILL: (3, 0, EVERY),
    Kind.TORN: (4, 0, frozenset({Op.WRITE})),
}


@dataclass(frozen=True)
class Fault:
    """at: number of the call that goes wrong among those that can, from 1. forever: so do all later ones."""

    kind: Kind
    at: int = 0
    forever: bool = False

    @classmethod
    def none(cls) -> Fault:
        """Nothing goes wrong."""
        return cls(Kind.COUNT)

    @property
    def calls(self) -> frozenset[Op]:
        return _MEANING[self.kind][2]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}{' and for ever' * self.forever}"


@dataclass(frozen=True)
class Counts:
    """calls: by op. fired: how many went wrong."""

    calls: dict[Op, int]
    fired: int

    def among(self, ops: frozenset[Op]) -> int:
        return sum(self.calls[op] for op in ops)


@dataclass(frozen=True)
class Interposition:
    """Of processes whose calls below a folder are met. counters: a file. log: a file of entries, or None."""

    folder: Path
    counters: Path
    log: Path | None = None

    def environment(self, fault: Fault) -> dict[str, str]:
        """Resets the counters; what a process needs in its environment."""
        self.counters.write_bytes(bytes(_COUNTERS * _COUNTER.size))
        action, number, calls = _MEANING[fault.kind]
        values = {
            "FOLDER": self.folder,
            "COUNTERS": self.counters,
            "ACTION": action,
            "ERRNO": number,
            "FOREVER": int(fault.forever),
            "AT": fault.at,
            "OPS": sum(1 << op for op in calls),
            "LOG": self.log or "",
        }
        return {f"WORDSPOT_FAULTS_{name}": str(value) for name, value in values.items()}

    def counts(self) -> Counts:
        data = self.counters.read_bytes()
        values = [value for (value,) in _COUNTER.iter_unpack(data)]
        return Counts({op: values[op] for op in Op}, values[_FIRED])


@dataclass(frozen=True)
class Entry:
    """Of a log: what a process did. kind: C created, T truncated to `offset`, W wrote `data` there, S synced,
    R renamed to `other`, U removed, D made a folder, N wrote `data` to its standard output."""

    kind: str
    path: str
    other: str
    offset: int
    data: bytes


def read_log(path: Path) -> Iterator[Entry]:
    """Yields the entries in order."""
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            kind, path_size, other_size, offset, size = _HEAD.unpack(head)
            name, other, data = file.read(path_size), file.read(other_size), file.read(size)
            yield Entry(chr(kind), name.decode(), other.decode(), offset, data)


@cache
def library() -> Path | None:
    """The built interposer; None on a machine without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    target = Path(tempfile.mkdtemp(prefix="interposer-")) / "interposer.so"
    options = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-U_FORTIFY_SOURCE")
    subprocess.run([compiler, *options, "-o", target, _SOURCE, "-ldl", "-lpthread"], check=True)
    return target
