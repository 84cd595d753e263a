"""The sound of recordings: WAV files that exist only while they are read, made piece by piece from clips, and
the files as they were added.

The length of such a WAV file is known from that of the recording. Its second is the second of hits.
"""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass

from wordspot.services.answers import to_interval
from wordspot.services.gateway.peers import Peers
from wordspot.services.limits import MAX_CLIP_VALUES
from wordspot.v1 import archive_pb2

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
HEADER_BYTES = 44
FIRST_SECONDS, PIECE_SECONDS = 10, 60  # of sound, of the first clip and of later ones
PIECE_BYTES = 4 << 20  # of a file, read in one call: none is under way while a caller is slow
_MAX_UINT32 = (1 << 32) - 1


@dataclass(frozen=True)
class VirtualWav:
    """The WAV file of a recording, 16 bits a sample.

    samples: so many of each channel.
    rate: samples a second.
    channels: so many.
    original: whether it is as the file has it, not as it is searched.
    """

    samples: int
    rate: int = SAMPLE_RATE
    channels: int = 1
    original: bool = False

    @classmethod
    def of(cls, recording: archive_pb2.Recording) -> VirtualWav:
        """Returns that of a recording whose length is known, as it is searched."""
        return cls(round(recording.duration_seconds * SAMPLE_RATE))

    @property
    def frame_bytes(self) -> int:
        """Of one sample of every channel."""
        return BYTES_PER_SAMPLE * self.channels

    @property
    def bytes_per_second(self) -> int:
        """Of sound."""
        return self.rate * self.frame_bytes

    @property
    def piece_seconds(self) -> int:
        """Of the longest clip that may be asked for."""
        if not self.original:
            return PIECE_SECONDS
        return max(1, min(PIECE_SECONDS, MAX_CLIP_VALUES // (self.rate * self.channels)))

    @property
    def size(self) -> int:
        """In bytes."""
        return HEADER_BYTES + self.frame_bytes * self.samples

    @property
    def header(self) -> bytes:
        """The bytes before the samples."""
        data = min(self.frame_bytes * self.samples, _MAX_UINT32 - HEADER_BYTES)
        riff = struct.pack("<4sI4s", b"RIFF", data + HEADER_BYTES - 8, b"WAVE")
        sizes = (self.channels, self.rate, self.bytes_per_second, self.frame_bytes, 8 * BYTES_PER_SAMPLE)
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, *sizes)
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
    header = wav.header[start:stop]
    if stop <= HEADER_BYTES:
        yield header
    position = max(start, HEADER_BYTES) - HEADER_BYTES
    end = stop - HEADER_BYTES
    a_second = wav.bytes_per_second
    seconds = min(FIRST_SECONDS, wav.piece_seconds)
    while position < end:
        first = position // a_second  # a whole second: samples lie where they should
        last = min(first + seconds, -(-end // a_second))
        pcm = await _samples(peers, recording, wav, first, last, place)
        base = first * a_second
        wanted = min(end, base + seconds * a_second) - position
        data = pcm[position - base : position - base + wanted]
        yield header + data + bytes(wanted - len(data))  # not before there is sound: it may be refused
        header = b""
        position += wanted
        seconds = wav.piece_seconds


async def original_wav(
    peers: Peers, recording: archive_pb2.Recording, place: tuple[int, int] = (0, 0)
) -> VirtualWav:
    """Returns the WAV file of a recording at the rate of its file, with all channels where none is named."""
    start = await clip(peers, recording.archive, recording.id, 0, 1, place, original=True)
    with wave.open(io.BytesIO(start)) as reader:
        rate, channels = reader.getframerate(), reader.getnchannels()
    return VirtualWav(round(recording.duration_seconds * rate), rate, channels, original=True)


async def file_bytes(
    peers: Peers, archive: str, recording: str, start: int = 0, stop: int = 0
) -> AsyncIterator[tuple[bytes, int]]:
    """Yields the bytes [start, stop) of a recording's file, each time with the size of the whole.

    stop: 0 for the end.
    """
    while True:
        request = archive_pb2.ReadRecordingRequest(
            archive=archive,
            recording=recording,
            offset=start,
            length=min(stop - start, PIECE_BYTES) if stop else PIECE_BYTES,
        )
        parts = [part async for part in peers.archives.ReadRecording(request)]
        data, size = b"".join(part.chunk for part in parts), parts[0].size_bytes
        yield data, size
        start += len(data)
        if start >= (stop or size):
            return


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
    peers: Peers,
    recording: archive_pb2.Recording,
    wav: VirtualWav,
    first: int,
    last: int,
    place: tuple[int, int],
) -> bytes:
    data = await clip(peers, recording.archive, recording.id, first, last, place, original=wav.original)
    with wave.open(io.BytesIO(data)) as reader:
        pcm: bytes = reader.readframes(reader.getnframes())
        return pcm
