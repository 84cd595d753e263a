"""What a decoding library yields of a file: pieces of sound, each with its presentation time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import InvalidInput

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself.

    seconds: the container's claim, None where it makes none. Nothing may be allocated or bounded by it.
    sample_rate in Hz. format: FFmpeg's or libsndfile's name of the container. tracks: of audio, and track:
    the number of the one that is read, from 1.
    """

    seconds: float | None
    sample_rate: int
    channels: int
    format: str
    tracks: int = 1
    track: int = 1


@dataclass(frozen=True)
class Chunk:
    """Decoded sound. An empty one says that its reader is at work.

    time: presentation time of the first sample, in seconds. samples: float32 (n, channels).
    damaged: data before it could not be decoded.
    """

    time: float
    rate: int
    samples: NDArray[np.float32]
    damaged: bool = False


@dataclass
class Remarks:
    """What a user should know of a file beside its sound; grows while it is read."""

    lines: list[str] = field(default_factory=list)
    lost_packets: int = 0


class AudioReader(Protocol):
    """An open file."""

    @property
    def info(self) -> AudioInfo:
        """What the file says about itself."""

    @property
    def remarks(self) -> Remarks:
        """What was noticed so far."""

    def chunks(self, start: float) -> Iterator[Chunk]:
        """Yields chunks in order of time, from `start` seconds or earlier, with what a lossy decoder needs to
        settle.

        To be called once.
        """
        ...


def allowed_rate(rate: int, name: str) -> int:
    """Raises InvalidInput."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InvalidInput(
            f"{name} has a sample rate of {rate} Hz, allowed are {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        )
    return rate


def check_track(track: int, tracks: int, name: str) -> None:
    """Raises InvalidInput where a file has fewer audio tracks."""
    if track > tracks:
        raise InvalidInput(f"{name} has {tracks} audio track{'s' * (tracks != 1)}, there is no track {track}")


def check_channel(channel: int, channels: int, name: str) -> None:
    """Raises InvalidInput where a track has fewer channels."""
    if channel > channels:
        raise InvalidInput(
            f"{name} has {channels} channel{'s' * (channels != 1)}, there is no channel {channel}"
        )


def line_of(text: object) -> str:
    """Returns the text in one line, without a full stop."""
    return " ".join(str(text).split()).rstrip(".")
