"""Matroska and WebM files joined end to end, one heard after the other.

FFmpeg takes what follows the first for damage and looks for the next cluster, which loses the parts that its
index does not know.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, Protocol

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.reader import AudioInfo, AudioReader, Chunk, Remarks, line_of

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
DOCUMENT_TYPES = (b"matroska", b"webm")
MAX_HEADER_BYTES = 256  # of EBML, with its element's head
MAX_PARTS = 1_000
SCAN_BYTES = 1 << 20


class ClosableReader(AudioReader, Protocol):
    """A reader that holds something of its library's."""

    def close(self) -> None:
        """Closes the file."""


class Window(io.RawIOBase):
    """The bytes [start, stop) of a file, as a file."""

    def __init__(self, stream: BinaryIO, start: int, stop: int) -> None:
        self._stream, self._start, self._size, self._at = stream, start, stop - start, 0

    def readable(self) -> bool:
        """Returns whether it can be read, which it can."""
        return True

    def seekable(self) -> bool:
        """Returns whether it can be sought in, which it can."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place of the window and returns it. Raises ValueError before its beginning."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"a position must be 0 or more, got {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Returns the place in the window."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Reads bytes up to the end of the window and returns how many."""
        self._stream.seek(self._start + self._at)
        data = self._stream.read(max(min(len(buffer), self._size - self._at), 0))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class JoinedReader:
    """Several files as one; those behind the first begin where the one before ends.

    Args:
        parts: the files.
        opened: opens one. Raises InvalidInput.
    """

    def __init__(self, parts: Sequence[BinaryIO], opened: Callable[[BinaryIO], ClosableReader]) -> None:
        """Raises InvalidInput where the first cannot be opened."""
        self._parts, self._opened = parts, opened
        self._reader = opened(parts[0])
        self.info: AudioInfo = replace(self._reader.info, seconds=None)
        self.remarks = Remarks([f"{len(parts)} files joined end to end"])

    def close(self) -> None:
        """Closes the part that is open."""
        self._reader.close()

    def chunks(self, start: float) -> Iterator[Chunk]:
        """Yields everything from the beginning: where a part begins is known once those before it are
        decoded."""
        offset = 0.0
        for number, part in enumerate(self._parts, 1):
            if number > 1 and not self._open(part, number):
                continue
            end = 0.0
            for chunk in self._reader.chunks(0.0):
                end = max(end, chunk.time + len(chunk.samples) / chunk.rate)
                yield replace(chunk, time=chunk.time + offset)
            offset += end
            self.remarks.lines += self._reader.remarks.lines
            self.remarks.lost_packets += self._reader.remarks.lost_packets

    def _open(self, part: BinaryIO, number: int) -> bool:
        """Opens a later part. Returns whether it can be decoded."""
        self._reader.close()
        try:
            self._reader = self._opened(part)
        except InvalidInput as error:
            self.remarks.lines.append(f"part {number} of those joined is not heard: {line_of(error)}")
            return False
        return True


def matroska_parts(stream: BinaryIO) -> list[BinaryIO]:
    """Returns the files that a Matroska file is joined of; itself alone where it is one, or none of these."""
    starts = list(_document_starts(stream))
    stream.seek(0)
    if len(starts) < 2:
        return [stream]
    stops = [*starts[1:], stream.seek(0, io.SEEK_END)]
    return [
        Window(stream, start, stop)  # type: ignore[misc]
        for start, stop in zip(starts, stops, strict=True)
    ]


def _document_starts(stream: BinaryIO) -> Iterator[int]:
    size = stream.seek(0, io.SEEK_END)
    at: int | None = 0
    for _ in range(MAX_PARTS):
        if at is None or not _is_document(stream, at):
            return
        yield at
        at = _next_document(stream, at, size)


def _is_document(stream: BinaryIO, at: int) -> bool:
    stream.seek(at)
    return _is_header(stream.read(MAX_HEADER_BYTES))


def _next_document(stream: BinaryIO, at: int, size: int) -> int | None:
    """Returns where the document after the one at a place begins: behind its segment where that says how
    long it is, otherwise by search."""
    end = _element_end(stream, at, EBML)
    segment_end = None if end is None else _element_end(stream, end, SEGMENT)
    if segment_end is not None:
        if segment_end >= size:
            return None
        if _is_document(stream, segment_end):
            return segment_end
    return _searched(stream, at + 4, size)


def _element_end(stream: BinaryIO, at: int, identity: bytes) -> int | None:
    """Returns where an element ends; None where it is another, or of unknown length."""
    stream.seek(at)
    head = stream.read(12)
    if head[:4] != identity or len(head) < 5 or not head[4]:
        return None
    width = 9 - head[4].bit_length()
    length = int.from_bytes(head[4 : 4 + width]) & ((1 << 7 * width) - 1)
    unknown = length == (1 << 7 * width) - 1
    return None if unknown or len(head) < 4 + width else at + 4 + width + length


def _searched(stream: BinaryIO, at: int, size: int) -> int | None:
    while at < size:
        stream.seek(at)
        data = stream.read(SCAN_BYTES + MAX_HEADER_BYTES)
        found = data.find(EBML)
        while 0 <= found < SCAN_BYTES:
            if _is_header(data[found : found + MAX_HEADER_BYTES]):
                return at + found
            found = data.find(EBML, found + 1)
        at += SCAN_BYTES
    return None


def _is_header(head: bytes) -> bool:
    return head[:4] == EBML and any(kind in head for kind in DOCUMENT_TYPES)
