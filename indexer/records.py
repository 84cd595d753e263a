"""The words the archive speaks: what segmentation, embedding, storage and search hand to one another.

Times on the inside are ticks of 10 ms, counted from the start of the recording or region; seconds only
appear at the edges. Audio is mono float32 at 16 kHz, shape (samples,).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
TICKS_PER_SECOND = 100
SAMPLES_PER_TICK, _remainder = divmod(SAMPLE_RATE, TICKS_PER_SECOND)
assert _remainder == 0

Samples = NDArray[np.float32]


def to_tick(seconds: float) -> int:
    """Nearest tick, halves to even."""
    return round(seconds * TICKS_PER_SECOND)


def to_seconds(tick: int) -> float:
    return tick / TICKS_PER_SECOND


@dataclass(frozen=True)
class Region:
    """A stretch of speech, [start, stop) in ticks from the start of the recording."""

    start: int
    stop: int

    @property
    def ticks(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Section:
    """A bounded part of a recording (at most about two minutes) with all the speech in it.

    regions: in order of time, disjoint.
    spans: int32 (N, 3), rows (region, start, stop), in the order of regions: region counts within this
        section, start and stop are ticks from that region's start, 0 <= start < stop <= region.ticks.
    stop: tick up to which the recording has been looked at; no later section reaches back of it.
    """

    regions: tuple[Region, ...]
    spans: NDArray[np.int32]
    stop: int


@dataclass(frozen=True)
class EncoderInfo:
    """What the archive must know of an encoder.

    hash: SHA-256 of its artifact, hexadecimal. Vectors are comparable only under one hash.
    ticks_per_frame: distance of two frame features.
    meaning: the last so many numbers of a vector say what is meant, those before them how it sounds; 0 where
        all say how it sounds.
    """

    name: str
    hash: str
    dimension: int
    frame_dimension: int
    ticks_per_frame: int
    meaning: int = 0


@dataclass(frozen=True)
class Embedded:
    """A section, embedded.

    vectors: float32 (N, dimension), unit rows in the order of the section's spans.
    frames: one float32 (T', frame_dimension) a region, T' = ceil(region.ticks / ticks_per_frame).
    """

    vectors: NDArray[np.float32]
    frames: tuple[NDArray[np.float32], ...]


class Segmenter(Protocol):
    """Finds speech and proposes spans."""

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Reads blocks of any length in order, yields sections in order while reading.

        Keeps at most one section's worth of audio. Silence yields sections without regions.
        """
        ...

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        """The speech in a short piece of audio (a query), without spans."""
        ...


class Embedder(Protocol):
    """Turns the spans of one section into vectors. Safe to call from several threads."""

    @property
    def info(self) -> EncoderInfo: ...

    @property
    def threshold(self) -> float | None:
        """Score from which a hit found with this encoder is detected; None where nobody measured it."""
        ...

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> Embedded:
        """regions: the audio of each region of the section; spans as in Section."""
        ...


@dataclass(frozen=True)
class Hit:
    """One place where the query was heard.

    score: standard deviations above random places of the same archive.
    start, end: seconds from the start of the recording.
    """

    recording: str
    path: str
    start: float
    end: float
    score: float
    detected: bool


class Mode(StrEnum):
    """What places have in common with a query: how they sound, what is meant, or both."""

    SOUND = "sound"
    MEANING = "meaning"
    BOTH = "both"


VOICES = (1, 3, 5, 7, 9)  # that an example may be asked in


@dataclass(frozen=True)
class SearchOptions:
    """top: hits at most, 1 to 10,000. recordings: None means all. excluded: never ranked. mode: what queries
    and places have in common."""

    top: int = 10
    min_score: float | None = None
    include_undetected: bool = False
    recordings: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    mode: Mode = Mode.SOUND


@dataclass(frozen=True)
class QueryAudio:
    """A spoken example: audio with the meant stretch, [start, stop) in ticks.

    samples may hold more than the word: the rest is context for normalisation.
    """

    samples: Samples
    start: int
    stop: int
