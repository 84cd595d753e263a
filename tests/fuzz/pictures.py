"""PNG files that are right, wrong, damaged beneath right checksums, or larger than they look."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from tests.fuzz.mutation import INTERESTING_WIDE, mutated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = (1, 2, 4, 8, 16)
MAX_BOMB_BYTES = 64 << 20

Chunk = tuple[bytes, bytes]


def draw(rng: Random, channels: int, height: int, width: int) -> bytes:
    """Returns a PNG file for a model that knows pictures of that size; half of them are right."""
    if rng.random() < 0.5:
        return encoded(_chunks(rng, width, height, 8, GREY if channels == 1 else COLOUR))
    kind = rng.choice(tuple(SAMPLES))
    depth = rng.choice(DEPTHS)
    size = (width, height) if rng.random() < 0.8 else (rng.choice((0, 1, width + 1, 300)), height)
    chunks = _chunks(rng, *size, depth, kind)
    if rng.random() < 0.7:
        rng.choice(_DAMAGES)(chunks, rng)
    file = encoded(chunks)
    return mutated(file, rng) if rng.random() < 0.3 else file


def encoded(chunks: Sequence[Chunk]) -> bytes:
    """Returns the file with the checksums right."""
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _chunks(rng: Random, width: int, height: int, depth: int, kind: int) -> list[Chunk]:
    interlaced = rng.random() < 0.05
    row = 1 + -(-width * SAMPLES[kind] * depth // 8)
    pixels = b"".join(bytes([rng.randrange(5)]) + rng.randbytes(row - 1) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    if kind == PALETTE:
        chunks.insert(1, (b"PLTE", rng.randbytes(3 * rng.choice((1, 4, 256)))))
    return chunks


def _forge_header(chunks: list[Chunk], rng: Random) -> None:
    """A size, depth, kind or method that the pixels do not have."""
    fields = list(struct.unpack(">IIBBBBB", chunks[0][1]))
    at = rng.randrange(len(fields))
    fields[at] = rng.choice(INTERESTING_WIDE) & (0xFFFFFFFF if at < 2 else 0xFF)
    chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", *fields))


def _bomb(chunks: list[Chunk], rng: Random) -> None:
    """Pixels, or text, that are a thousand times what they take."""
    size = rng.choice((1 << 16, 1 << 20, MAX_BOMB_BYTES))
    packed = _packed_zeros(size)
    if rng.random() < 0.5:
        side = int(size**0.5)
        chunks[:] = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, GREY, 0, 0, 0))]
        chunks += [(b"IDAT", packed), (b"IEND", b"")]
    else:
        text = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}
        name = rng.choice(tuple(text))
        chunks.insert(1, (name, text[name] + packed))


@cache
def _packed_zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def _break_pixels(chunks: list[Chunk], rng: Random) -> None:
    """Damages what is compressed, or compresses less or more than the header says."""
    at = next(number for number, (name, _) in enumerate(chunks) if name == b"IDAT")
    body = chunks[at][1]
    choices: tuple[Callable[[], bytes], ...] = (
        lambda: mutated(body, rng),
        lambda: zlib.compress(mutated(zlib.decompress(body), rng)),
        lambda: body[: len(body) // 2],
        lambda: b"",
        lambda: zlib.compress(b"\xff" * len(body)),
    )
    chunks[at] = (b"IDAT", rng.choice(choices)())


def _add_chunk(chunks: list[Chunk], rng: Random) -> None:
    """One that says something besides, well or badly."""
    exif = b"MM\0*\0\0\0\x08" + struct.pack(
        ">HHHII", 1, rng.choice((0x0112, 0x8769)), 3, 1, rng.randrange(1 << 32)
    )
    bodies = {
        b"eXIf": mutated(exif, rng),
        b"tRNS": rng.randbytes(rng.choice((0, 1, 2, 6, 256))),
        b"gAMA": rng.randbytes(rng.choice((0, 4))),
        b"cHRM": rng.randbytes(rng.choice((3, 32))),
        b"pHYs": rng.randbytes(rng.choice((0, 8, 9))),
        b"sRGB": rng.randbytes(rng.choice((0, 1))),
        b"iCCP": b"profile\0" + rng.randbytes(20),
        b"tEXt": b"\xff" * rng.choice((0, 1, 100_000)),
        b"zTXt": b"key\0\7" + rng.randbytes(8),
        b"iTXt": b"key\0\1\0\0\0" + rng.randbytes(8),
        b"acTL": struct.pack(">II", rng.choice(INTERESTING_WIDE), 0),
        b"fcTL": rng.randbytes(rng.choice((0, 26))),
        b"fdAT": rng.randbytes(rng.choice((0, 3, 40))),
        b"PLTE": rng.randbytes(rng.choice((0, 3, 4, 900))),
        b"ABCD": b"",
        b"\xff\xff\xff\xff": b"?",
    }
    name = rng.choice(tuple(bodies))
    chunks.insert(rng.randrange(len(chunks) + 1), (name, bodies[name]))


def _disorder(chunks: list[Chunk], rng: Random) -> None:
    """Out of order, twice, or missing."""
    choice = rng.randrange(3)
    if choice == 0:
        rng.shuffle(chunks)
    elif choice == 1:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    else:
        del chunks[rng.randrange(len(chunks))]


_DAMAGES: tuple[Callable[[list[Chunk], Random], None], ...] = (
    _forge_header,
    _bomb,
    _break_pixels,
    _add_chunk,
    _add_chunk,
    _disorder,
)
