"""Lengths of the sound in headers of uncompressed files: put right where the file shows that they are stale.

A recorder that died, a stream to disk and a file of more than 4 GiB leave a length that ends before the
sound does. It is stale where what follows is no sequence of chunks up to the end of the file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

MAX_CHUNKS = 1_000
LARGEST_32 = 2**32 - 1
UNKNOWN_64 = -1  # of CAF
FILE_MARKS = frozenset({b"RIFF", b"RF64", b"BW64", b"riff", b"FORM", b"caff"})  # of a file joined to another
DS64_LENGTH_AT = 28  # where RF64 has the length of the sound


@dataclass(frozen=True)
class _Layout:
    """How a container's chunks lie in a file.

    first: place of the first. header: its bytes, which end in the length. length_format: of that.
    aligned: what each begins at a multiple of. inclusive: whether the length counts the header.
    """

    first: int
    header: int
    length_format: str
    aligned: int = 2
    inclusive: bool = False

    def next(self, at: int, length: int) -> int:
        """Returns where the chunk after one of this length begins."""
        end = at + length + (0 if self.inclusive else self.header)
        return end + -end % self.aligned


RIFF = _Layout(12, 8, "<I")
AIFF = _Layout(12, 8, ">I")
WAVE64 = _Layout(40, 24, "<Q", aligned=8, inclusive=True)
CAF = _Layout(8, 12, ">q", aligned=1)


@dataclass(frozen=True)
class _Sound:
    """The sound of a file by its header.

    start, stop: place in the file. length_at: of the length in the header. added: to the bytes of sound, in
    that length. layout: of the chunks behind the sound, None where there can be none.
    """

    start: int
    stop: int
    length_at: int
    length_format: str
    added: int = 0
    layout: _Layout | None = None


class PatchedFile(io.RawIOBase):
    """A file of which a few bytes read differently. patches: by place."""

    def __init__(self, stream: BinaryIO, patches: Mapping[int, bytes]) -> None:
        self._stream, self._patches = stream, dict(patches)

    def readable(self) -> bool:
        """Returns whether it can be read, which it can."""
        return True

    def seekable(self) -> bool:
        """Returns whether it can be sought in, which it can."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place of the stream and returns it."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Returns the place in the stream."""
        return self._stream.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Reads bytes of the stream, with the patches in their places, and returns how many."""
        at = self._stream.tell()
        data = bytearray(self._stream.read(len(buffer)))
        for place, patch in self._patches.items():
            for i, byte in enumerate(patch, place - at):
                if 0 <= i < len(data):
                    data[i] = byte
        buffer[: len(data)] = data
        return len(data)


def with_true_length(stream: BinaryIO) -> tuple[BinaryIO, str]:
    """Returns the file, read from its start, with the length of its sound put right, and what was wrong
    with it."""
    size = stream.seek(0, io.SEEK_END)
    sound = _sound(stream, size)
    stale = sound is not None and sound.start <= sound.stop < size and not _is_followed(stream, sound, size)
    stream.seek(0)
    if not stale or sound is None:
        return stream, ""
    length = size - sound.start + sound.added
    if sound.length_format[1] == "I" and length > LARGEST_32:
        length = 0 if sound.length_format[0] == "<" else LARGEST_32
    patched = PatchedFile(stream, {sound.length_at: struct.pack(sound.length_format, length)})
    return (
        patched,  # type: ignore[return-value]
        f"its header claims {sound.stop - sound.start:,} bytes of sound, {size - sound.start:,} are there",
    )


def _sound(stream: BinaryIO, size: int) -> _Sound | None:
    """Returns where the sound of WAV, RF64, AIFF, Wave64, CAF and AU lies.

    None for everything else, and where the length is unknown to its writer, so that it is read to the end.
    """
    stream.seek(0)
    head = stream.read(40)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _in_chunk(stream, size, RIFF, b"data", unknown=(0, LARGEST_32))
    if head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        return _of_rf64(stream, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _in_chunk(stream, size, AIFF, b"SSND", lead=8, unknown=(LARGEST_32,))
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return _in_chunk(stream, size, WAVE64, b"data")
    if head[:8] == b"caff\x00\x01\x00\x00" and head[36:40] != bytes(4):  # packets of constant size
        return _in_chunk(stream, size, CAF, b"data", lead=4, unknown=(UNKNOWN_64,))
    if head[:4] == b".snd":
        start, length = struct.unpack(">II", head[4:12].ljust(8, b"\0"))
        return None if length == LARGEST_32 else _Sound(start, start + length, 8, ">I")
    return None


def _in_chunk(
    stream: BinaryIO, size: int, layout: _Layout, name: bytes, *, lead: int = 0, unknown: tuple[int, ...] = ()
) -> _Sound | None:
    """Returns where the sound lies in the chunk of this name; None where there is no such chunk.

    lead: bytes of the chunk before the sound. unknown: lengths that say nothing.
    """
    for at, found, length in _chunks(stream, layout.first, size, layout):
        if found != name:
            continue
        if length in unknown:
            return None
        start = at + layout.header + lead
        added = lead + (layout.header if layout.inclusive else 0)
        length_at = at + layout.header - struct.calcsize(layout.length_format)
        return _Sound(start, start + max(length - added, 0), length_at, layout.length_format, added, layout)
    return None


def _of_rf64(stream: BinaryIO, size: int) -> _Sound | None:
    sound = _in_chunk(stream, size, RIFF, b"data")
    if sound is None:
        return None
    stream.seek(DS64_LENGTH_AT)
    length = int.from_bytes(stream.read(8), "little")
    return _Sound(sound.start, sound.start + length, DS64_LENGTH_AT, "<Q", 0, RIFF)


def _chunks(stream: BinaryIO, at: int, size: int, layout: _Layout) -> Iterator[tuple[int, bytes, int]]:
    """Yields place, name and length of each chunk from a place on."""
    for _ in range(MAX_CHUNKS):
        if size - at < layout.header:
            return
        stream.seek(at)
        header = stream.read(layout.header)
        length_bytes = header[-struct.calcsize(layout.length_format) :]
        (length,) = struct.unpack(layout.length_format, length_bytes)
        yield at, header[:4], length
        if length < (layout.header if layout.inclusive else 0):
            return
        at = layout.next(at, length)


def _is_followed(stream: BinaryIO, sound: _Sound, size: int) -> bool:
    """Returns whether chunks follow the sound, one after another to the end.

    A few bytes of padding are allowed.
    """
    layout = sound.layout
    if layout is None:
        return False
    at = sound.stop + -sound.stop % layout.aligned
    least = layout.header if layout.inclusive else 0
    for place, name, length in _chunks(stream, at, size, layout):
        named = all(32 <= byte < 127 for byte in name) and name not in FILE_MARKS
        if not named or not least <= length <= size - place:
            return False
    return True
