"""Lengths of the sound in headers of uncompressed files: put right where the file shows that they are stale.

A recorder that died, a stream to disk and a file of more than 4 GiB leave a length that ends before the
sound does. It is stale where what follows is no sequence of chunks up to the end of the file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

MAX_CHUNKS = 1_000
LARGEST_32 = 2**32 - 1


@dataclass(frozen=True)
class _SoundChunk:
    """start, stop: of the sound in the file, by its header. length_at: where the header has the length."""

    start: int
    stop: int
    length_at: int
    length_format: str
    added: int = 0  # to the bytes of sound, in the header's length


class PatchedFile(io.RawIOBase):
    """A file of which a few bytes read differently. patches: by place."""

    def __init__(self, stream: BinaryIO, patches: Mapping[int, bytes]) -> None:
        self._stream, self._patches = stream, dict(patches)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        at = self._stream.tell()
        data = bytearray(self._stream.read(len(buffer)))
        for place, patch in self._patches.items():
            for i, byte in enumerate(patch, place - at):
                if 0 <= i < len(data):
                    data[i] = byte
        buffer[: len(data)] = data
        return len(data)


def with_true_length(stream: BinaryIO) -> tuple[BinaryIO, str]:
    """The file, read from its start, with the length of its sound put right, and what was wrong with it."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    chunk = _sound_chunk(stream, size)
    stale = (
        chunk is not None and chunk.start < chunk.stop < size and not _is_chunked(stream, chunk.stop, size)
    )
    stream.seek(0)
    if not stale or chunk is None:
        return stream, ""
    length = size - chunk.start + chunk.added
    if chunk.length_format[1] == "I" and length > LARGEST_32:
        length = 0 if chunk.length_format[0] == "<" else LARGEST_32
    patched = PatchedFile(stream, {chunk.length_at: struct.pack(chunk.length_format, length)})
    return (
        patched,  # type: ignore[return-value]
        f"its header claims {chunk.stop - chunk.start:,} bytes of sound, {size - chunk.start:,} are there",
    )


def _sound_chunk(stream: BinaryIO, size: int) -> _SoundChunk | None:
    """Of WAV, AIFF and Wave64; None for everything else."""
    head = stream.read(40)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _riff_chunk(stream, size, b"data", "<I", 0)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _riff_chunk(stream, size, b"SSND", ">I", 8)
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return _wave64_chunk(stream, size)
    return None


def _riff_chunk(
    stream: BinaryIO, size: int, wanted: bytes, length_format: str, lead: int
) -> _SoundChunk | None:
    """lead: bytes of the chunk before the sound."""
    at = 12
    for _ in range(MAX_CHUNKS):
        stream.seek(at)
        header = stream.read(8)
        if len(header) < 8:
            return None
        (length,) = struct.unpack(length_format, header[4:])
        if header[:4] == wanted:
            if length in (0, LARGEST_32):
                return None  # unknown to its writer, and read to the end
            return _SoundChunk(at + 8 + lead, at + 8 + length, at + 4, length_format, lead)
        at += 8 + length + length % 2
        if at >= size:
            return None
    return None


def _wave64_chunk(stream: BinaryIO, size: int) -> _SoundChunk | None:
    at = 40
    for _ in range(MAX_CHUNKS):
        stream.seek(at)
        header = stream.read(24)
        if len(header) < 24:
            return None
        (length,) = struct.unpack("<Q", header[16:])
        if header[:4] == b"data":
            return _SoundChunk(at + 24, at + length, at + 16, "<Q", 24)
        if length < 24:
            return None
        at += -(-length // 8) * 8
        if at >= size:
            return None
    return None


def _is_chunked(stream: BinaryIO, at: int, size: int) -> bool:
    """Whether chunks follow one another from here to the end; a few bytes of padding are allowed."""
    stream.seek(0)
    wide = stream.read(4) == b"riff"
    step = 24 if wide else 8
    order = ">I" if _starts_with(stream, b"FORM") else "<I"
    at += at % 2 if not wide else -at % 8
    for _ in range(MAX_CHUNKS):
        if size - at < step:
            return True
        stream.seek(at)
        header = stream.read(step)
        if not all(32 <= byte < 127 for byte in header[:4]):
            return False
        (length,) = struct.unpack("<Q", header[16:]) if wide else struct.unpack(order, header[4:])
        if header[:4] == b"RIFF" or not 0 <= length <= size - at:
            return False
        at += max(-(-length // 8) * 8, 24) if wide else 8 + length + length % 2
    return True


def _starts_with(stream: BinaryIO, mark: bytes) -> bool:
    stream.seek(0)
    return stream.read(len(mark)) == mark
