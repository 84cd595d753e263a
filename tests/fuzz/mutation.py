"""Mutations of bytes: those that any parser must bear, and forged fields of headers."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from random import Random

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000)
INTERESTING_WIDE = (*INTERESTING, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
HEADER_BYTES = 512
MAX_MUTATIONS = 6
MAX_GROWTH_BYTES = 1 << 16

_TAG = re.compile(rb"[A-Za-z0-9 ]{4}")
_OGG_CAPTURE = b"OggS"

Mutation = Callable[[bytearray, Random], None]


def mutated(data: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """Returns data with one to MAX_MUTATIONS mutations. others: what may be spliced in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, MAX_MUTATIONS))):
        if others and rng.random() < 0.08:
            _splice(changed, rng, rng.choice(others))
        else:
            rng.choice(MUTATIONS)(changed, rng)
    if _OGG_CAPTURE in changed[:4] and rng.random() < 0.8:
        seal_ogg(changed)
    return bytes(changed)


def flip_bit(data: bytearray, rng: Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_byte(data: bytearray, rng: Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def scramble(data: bytearray, rng: Random) -> None:
    """Damages one stretch."""
    start, stop = _stretch(data, rng, 256)
    data[start:stop] = rng.randbytes(stop - start)


def blank(data: bytearray, rng: Random) -> None:
    start, stop = _stretch(data, rng, 4096)
    data[start:stop] = bytes([rng.choice((0, 0xFF))]) * (stop - start)


def delete(data: bytearray, rng: Random) -> None:
    start, stop = _stretch(data, rng, 4096)
    del data[start:stop]


def duplicate(data: bytearray, rng: Random) -> None:
    start, stop = _stretch(data, rng, 4096)
    data[start:start] = bytes(data[start:stop]) * rng.choice((1, 1, 2, 8))


def truncate(data: bytearray, rng: Random) -> None:
    del data[rng.choice((rng.randrange(len(data) + 1), rng.randrange(min(len(data), HEADER_BYTES) + 1))) :]


def extend(data: bytearray, rng: Random) -> None:
    data += rng.choice((bytes, rng.randbytes))(rng.choice((1, 3, 100, 5000, MAX_GROWTH_BYTES)))


def prepend(data: bytearray, rng: Random) -> None:
    """A foreign head, such as that of an ID3 tag or a mark of byte order."""
    heads = (b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"\xef\xbb\xbf", b"RIFF\xff\xff\xff\xffWAVE", b"\x00" * 64)
    data[0:0] = rng.choice(heads)


def forge_number(data: bytearray, rng: Random) -> None:
    """Sets a number of the header to an interesting value."""
    code = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    number = struct.Struct(code)
    if len(data) < number.size:
        return
    at = rng.randrange(min(len(data), HEADER_BYTES) - number.size + 1)
    number.pack_into(data, at, rng.choice(INTERESTING_WIDE) & ((1 << (8 * number.size)) - 1))


def forge_chunk(data: bytearray, rng: Random) -> None:
    """Sets the size before or after a four-letter tag, as RIFF, AIFF, CAF and MP4 have them."""
    tags = [match.start() for match in _TAG.finditer(bytes(data[:4096]))]
    tags += [match.start() for match in _TAG.finditer(bytes(data[-4096:]))] if len(data) > 8192 else []
    if not tags:
        return
    at = rng.choice(tags) + rng.choice((-4, 4, 8))
    if 0 <= at <= len(data) - 4:
        value = rng.choice((*INTERESTING_WIDE, len(data), len(data) + 1, rng.randrange(1 << 32)))
        struct.pack_into(rng.choice(("<I", ">I")), data, at, value)


def rename_chunk(data: bytearray, rng: Random) -> None:
    """Puts one four-letter tag in the place of another."""
    tags = [match.start() for match in _TAG.finditer(bytes(data[:4096]))]
    if len(tags) > 1:
        one, other = rng.sample(tags, 2)
        data[one : one + 4] = data[other : other + 4]


def swap(data: bytearray, rng: Random) -> None:
    """Exchanges two stretches, as packets out of order."""
    size = rng.choice((4, 64, 188, 1024))
    if len(data) < 2 * size:
        return
    one, other = rng.randrange(len(data) - size), rng.randrange(len(data) - size)
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bit,
    set_byte,
    scramble,
    blank,
    delete,
    duplicate,
    truncate,
    extend,
    prepend,
    forge_number,
    forge_number,
    forge_chunk,
    forge_chunk,
    rename_chunk,
    swap,
)


def seal_ogg(data: bytearray) -> None:
    """Makes the checksums of all pages right, so that a decoder looks at what they hold."""
    at = data.find(_OGG_CAPTURE)
    while at >= 0 and at + 27 <= len(data):
        segments = data[at + 26]
        stop = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        if stop <= len(data):
            data[at + 22 : at + 26] = bytes(4)
            struct.pack_into("<I", data, at + 22, _ogg_checksum(data[at:stop]))
        at = data.find(_OGG_CAPTURE, at + 4)


def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        value = number << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        rows.append(value & 0xFFFFFFFF)
    return tuple(rows)


_OGG_TABLE = _table()


def _ogg_checksum(page: bytearray) -> int:
    """RFC 3533: polynomial 0x04C11DB7, neither reflected nor inverted."""
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _OGG_TABLE[(value >> 24) ^ byte]
    return value


def _stretch(data: bytearray, rng: Random, longest: int) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + 1 + rng.randrange(longest))


def _splice(data: bytearray, rng: Random, other: bytes) -> None:
    """Goes on with another file, or begins with one."""
    at, behind = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    if rng.random() < 0.5:
        data[at:] = other[behind:]
    else:
        data[:at] = other[:behind]
