"""Rows of a stored file that are compared with their checksums before they are first used.

A file is divided into blocks, each with a CRC-32. Reading rows checks the blocks they lie in, each once:
what a search does not touch costs nothing, and what it touches is never read past a damaged block.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import DataLoss
from wordspot.indexer.vectors.mapped import FileMap, MappedArray

BLOCK_BYTES = 32 * 1024

Bytes = bytes | memoryview
Ints = NDArray[np.int64]


def block_checksums(data: Bytes) -> list[int]:
    """Returns the CRC-32 of each block of a file, or of a part of it that begins at a block."""
    return [zlib.crc32(data[first : first + BLOCK_BYTES]) for first in range(0, len(data), BLOCK_BYTES)]


class CheckedRows:
    """The rows of a memory-mapped .npy file, indexed as an array is. Safe to use from several threads.

    Attributes:
        dtype: of the numbers.
        shape: of all rows.
    """

    def __init__(
        self,
        mapped: MappedArray,
        checksums: NDArray[np.uint32],
        damaged: Callable[[], DataLoss],
    ) -> None:
        """Takes the mapped rows and the checksums of their file.

        Args:
            mapped: rows (n, ...).
            checksums: (blocks,) of the whole file; none where it has no checksums.
            damaged: returns the exception to be raised for a block that differs.
        """
        rows = mapped.array
        self.dtype, self.shape = rows.dtype, rows.shape
        self._rows = rows
        self._file = mapped.file
        self._header_bytes = mapped.header_bytes
        self._row_bytes = rows.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
        self._checksums = checksums
        self._damaged = damaged
        self._checked = np.zeros(len(checksums), dtype=np.bool_)
        self._complete = not len(checksums)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Returns rows as an array does. Raises what `damaged` returns."""
        self._check_key(key[0] if isinstance(key, tuple) else key)
        rows: NDArray[Any] = self._rows[key]
        return rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.checked_array(), dtype=dtype, copy=copy)

    @property
    def mapped(self) -> FileMap:
        """The map of the whole file."""
        return self._file

    def checked_array(self, first: Ints | None = None, stop: Ints | None = None) -> NDArray[Any]:
        """Returns the array of all rows, of which only the checked ones may be read.

        Args:
            first: (m,), first rows of the ranges that will be read; None for all rows.
            stop: (m,), one past their last rows.

        Raises:
            DataLoss: what `damaged` returns.
        """
        if first is None or stop is None:
            first, stop = np.array([0]), np.array([len(self)])
        self._check_ranges(first, stop)
        return self._rows

    def _check_key(self, key: Any) -> None:
        if self._complete:
            return
        if isinstance(key, slice):
            first, stop, step = key.indices(len(self))
            if step == 1:
                self._check_ranges(np.array([first]), np.array([stop]))
                return
        numbers = np.atleast_1d(np.arange(len(self))[key])
        self._check_ranges(numbers, numbers + 1)

    def _check_ranges(self, first: Ints, stop: Ints) -> None:
        if self._complete:
            return
        present = stop > first
        begin = (self._header_bytes + first[present] * self._row_bytes) // BLOCK_BYTES
        end = (self._header_bytes + stop[present] * self._row_bytes - 1) // BLOCK_BYTES + 1
        counts = end - begin
        # All blocks of the ranges, one after the other.
        blocks = np.repeat(begin - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        pending = np.unique(blocks[~self._checked[blocks]])
        if len(pending):
            self._check_blocks(pending)

    def _check_blocks(self, blocks: Ints) -> None:
        for block in map(int, blocks):
            first = block * BLOCK_BYTES
            part = self._file.data[first : first + BLOCK_BYTES]
            if not self._file.is_readable(first, len(part)) or zlib.crc32(part) != self._checksums[block]:
                raise self._damaged()
            self._checked[block] = True
        self._complete = bool(self._checked.all())
