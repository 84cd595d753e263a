"""Files that are mapped into memory and hold no descriptor, so that their number has no low limit.

The mmap module of Python keeps a duplicate of the descriptor for as long as the map lives: four files a
segment would exhaust the usual 1,024 with 250 segments.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import weakref
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_FAILED = ctypes.c_void_p(-1).value
_MADV_POPULATE_READ = 22
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class FileMap:
    """The bytes of a file, read-only. They stay valid for as long as anything refers to them, also when the
    file is removed."""

    def __init__(self, file: BinaryIO) -> None:
        """Maps a file, which may be closed afterwards.

        Raises:
            ValueError: if it is empty.
            OSError: if it cannot be mapped.
        """
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("a file must have at least one byte to be mapped")
        address = _libc().mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        bytes_ = (ctypes.c_ubyte * size).from_address(address)
        weakref.finalize(bytes_, _libc().munmap, address, size).atexit = False
        self._address, self._size = address, size
        self.data = memoryview(bytes_).toreadonly().cast("B")

    def is_readable(self, first: int, size: int) -> bool:
        """Reads bytes from the disk; returns false where that fails, or where the file has become shorter.

        Otherwise the process would end with SIGBUS at their first use. `first` must be a multiple of the size
        of a page.
        """
        if not _libc().madvise(self._address + first, size, _MADV_POPULATE_READ):
            return True
        return ctypes.get_errno() == errno.EINVAL  # a kernel before 5.14 does not know the advice

    def release_pages(self) -> None:
        """Takes the pages out of this process's memory; they are read again when they are next needed."""
        _libc().madvise(self._address, self._size, mmap.MADV_DONTNEED)


@dataclass(frozen=True, eq=False)
class MappedArray:
    """A mapped .npy file.

    Attributes:
        array: read-only.
        file: the whole of it.
        header_bytes: before the array.
    """

    array: NDArray[Any]
    file: FileMap
    header_bytes: int


def map_array(path: Path) -> MappedArray:
    """Returns the array of a .npy file.

    Raises:
        OSError: if the file cannot be read.
        Exception: of another kind, as numpy raises them, if its header is damaged.
    """
    with path.open("rb") as file:
        read_header = _HEADER_READERS[np.lib.format.read_magic(file)]
        shape, fortran_order, dtype = read_header(file)
        if fortran_order or dtype.hasobject:
            raise ValueError("an array must be in C order and hold no objects")
        header_bytes = file.tell()
        mapped = FileMap(file)
    count = int(np.prod(shape, dtype=object))
    array = np.frombuffer(mapped.data[header_bytes:], dtype, count).reshape(shape)
    return MappedArray(array, mapped, header_bytes)


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,  # off_t
    )
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return libc
