"""A recording as a WAV file that exists only while it is read: made piece by piece from clips.

Its length is known from that of the recording. The second of the file is the second of hits.
"""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass

from wordspot.services.answers import to_interval
from wordspot.services.gateway.peers import Peers
from wordspot.v1 import archive_pb2

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
HEADER_BYTES = 44
FIRST_SECONDS, PIECE_SECONDS = 10, 60  # of sound, of the first clip and of later ones
_MAX_UINT32 = (1 << 32) - 1


@dataclass(frozen=True)
class VirtualWav:
    """The WAV file of a recording, mono, 16 bits a sample.

    samples: so many.
    rate: samples a second.
    """

    samples: int
    rate: int = SAMPLE_RATE

    @classmethod
    def of(cls, recording: archive_pb2.Recording) -> VirtualWav:
        """Returns that of a recording whose length is known."""
        return cls(round(recording.duration_seconds * SAMPLE_RATE))

    @property
    def size(self) -> int:
        """In bytes."""
        return HEADER_BYTES + BYTES_PER_SAMPLE * self.samples

    @property
    def header(self) -> bytes:
        """The bytes before the samples."""
        data = min(BYTES_PER_SAMPLE * self.samples, _MAX_UINT32 - HEADER_BYTES)
        riff = struct.pack("<4sI4s", b"RIFF", data + HEADER_BYTES - 8, b"WAVE")
        form = struct.pack(
            "<4sIHHIIHH", b"fmt ", 16, 1, 1, self.rate, self.rate * BYTES_PER_SAMPLE, BYTES_PER_SAMPLE, 16
        )
        return riff + form + struct.pack("<4sI", b"data", data)


async def wav_bytes(
    peers: Peers,
    recording: archive_pb2.Recording,
    wav: VirtualWav,
    start: int,
    stop: int,
    place: tuple[int, int] = (0, 0),
) -> AsyncIterator[bytes]:
    """Yields the bytes [start, stop) of a recording's file. What is shorter than expected ends in silence.

    place: as `clip` takes it.
    """
    if start < HEADER_BYTES:
        yield wav.header[start:stop]
    position = max(start, HEADER_BYTES) - HEADER_BYTES
    end = stop - HEADER_BYTES
    seconds = FIRST_SECONDS
    while position < end:
        first = position // (wav.rate * BYTES_PER_SAMPLE)  # a whole second: samples lie where they should
        last = min(first + seconds, -(-end // (wav.rate * BYTES_PER_SAMPLE)))
        pcm = await _samples(peers, recording, first, last, place)
        base = first * wav.rate * BYTES_PER_SAMPLE
        wanted = min(end, base + seconds * wav.rate * BYTES_PER_SAMPLE) - position
        data = pcm[position - base : position - base + wanted]
        yield data + bytes(wanted - len(data))
        position += wanted
        seconds = PIECE_SECONDS


async def clip(
    peers: Peers,
    archive: str,
    recording: str,
    start: float,
    end: float,
    place: tuple[int, int] = (0, 0),
    *,
    original: bool = False,
) -> bytes:
    """Returns the seconds [start, end) of a recording as a WAV file.

    place: channel and track, 0 for the mix and for the default. original: at the rate of the file.
    """
    channel, track = place
    request = archive_pb2.GetClipRequest(
        archive=archive,
        recording=recording,
        interval=to_interval(start, end),
        channel=channel,
        track=track,
        original_rate=original,
    )
    return b"".join([response.chunk async for response in peers.archives.GetClip(request)])


async def _samples(
    peers: Peers, recording: archive_pb2.Recording, first: int, last: int, place: tuple[int, int]
) -> bytes:
    data = await clip(peers, recording.archive, recording.id, first, last, place)
    with wave.open(io.BytesIO(data)) as reader:
        pcm: bytes = reader.readframes(reader.getnframes())
        return pcm
