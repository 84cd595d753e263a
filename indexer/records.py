"""The records that segmentation, embedding, storage and search hand to one another.

Times inside the indexer are ticks of 10 ms, counted from the start of the recording or region; seconds appear
only at its edges. Audio is mono float32 at 16 kHz, shape (samples,).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:  # a client of a server, which has hits and no sound, does not wait for it
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
TICKS_PER_SECOND = 100
SAMPLES_PER_TICK, _remainder = divmod(SAMPLE_RATE, TICKS_PER_SECOND)
assert _remainder == 0

Samples: TypeAlias = "NDArray[np.float32]"


def to_tick(seconds: float) -> int:
    """Returns the tick nearest to a time in seconds, halves to even."""
    return round(seconds * TICKS_PER_SECOND)


def to_seconds(tick: int) -> float:
    """Returns the time of a tick in seconds."""
    return tick / TICKS_PER_SECOND


@dataclass(frozen=True)
class Region:
    """A speech region: a stretch of a recording in which somebody speaks.

    Attributes:
        start: first tick, from the start of the recording.
        stop: one past the last tick.
    """

    start: int
    stop: int

    @property
    def ticks(self) -> int:
        """Duration in ticks."""
        return self.stop - self.start


@dataclass(frozen=True)
class Section:
    """A bounded part of a recording, at most about two minutes, with all the speech in it.

    Attributes:
        regions: in order of time, disjoint.
        spans: int32 (N, 3), rows (region, start, stop), in the order of regions: region counts within this
            section, start and stop are ticks from that region's start, 0 <= start < stop <= region.ticks.
        stop: tick up to which the recording has been segmented; no later section begins before it.
    """

    regions: tuple[Region, ...]
    spans: NDArray[np.int32]
    stop: int


@dataclass(frozen=True)
class EncoderInfo:
    """What the archive stores of an encoder.

    Attributes:
        name: of the encoder, for people.
        hash: SHA-256 of its artifact, hexadecimal. Vectors are comparable only under one hash.
        dimension: D, numbers in a span's vector.
        frame_dimension: H, numbers in a frame feature.
        ticks_per_frame: distance of two frame features in ticks.
        semantic_dimensions: how many of a vector's last numbers represent meaning; those before them
            represent sound. 0 where all represent sound.
    """

    name: str
    hash: str
    dimension: int
    frame_dimension: int
    ticks_per_frame: int
    semantic_dimensions: int = 0


@dataclass(frozen=True)
class SectionEmbeddings:
    """What an encoder yields for a section.

    Attributes:
        vectors: float32 (N, dimension), unit rows in the order of the section's spans.
        frames: one float32 (T', frame_dimension) a region, T' = ceil(region.ticks / ticks_per_frame).
    """

    vectors: NDArray[np.float32]
    frames: tuple[NDArray[np.float32], ...]


class Segmenter(Protocol):
    """Finds speech regions and proposes spans."""

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Yields the sections of a recording in order while it reads.

        Holds at most one section's audio. Silence yields sections without regions.

        Args:
            blocks: (samples,) of any length, in order.
        """
        ...

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        """Returns the speech regions of a query's audio (samples,), without spans."""
        ...


class Embedder(Protocol):
    """Embeds the spans of sections. Safe to call from several threads."""

    @property
    def info(self) -> EncoderInfo:
        """The encoder that embeds."""
        ...

    @property
    def threshold(self) -> float | None:
        """Score from which a hit counts as detected; None where it was never measured."""
        ...

    @property
    def query_padding(self) -> int:
        """Ticks of silence to put on either side of a query without context."""
        ...

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """Coefficients of P(correct), as search/calibration.py reads them; None where none were fitted."""
        ...

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        """Returns the embeddings of one section.

        Args:
            regions: audio (samples,) of each region of the section.
            spans: int32 (N, 3), as in Section.
        """
        ...

    def embed_all(
        self, sections: Sequence[tuple[Sequence[Samples], NDArray[np.int32]]]
    ) -> list[SectionEmbeddings]:
        """Returns what `embed` returns for each section, in order, in as few passes as the encoder allows."""
        ...


@dataclass(frozen=True)
class Hit:
    """One place where the query was found.

    Attributes:
        recording: id of the recording.
        path: of the recording, for people.
        start: seconds from the start of the recording.
        end: seconds from the start of the recording.
        score: standard deviations above random places of the same archive.
        detected: whether the hit is certain enough to be reported.
        p_correct: probability that the query is said there, 0 to 1; for an encoder without a calibration a
            guess from the score.
        channel: on which it was found, from 1; 0 for the mix of several, and where there is only one.
        track: of audio in which it was found, from 1; 0 for the one that a player would choose.
        missing: whether the recording's file is not there any more, so that there is no clip.
    """

    recording: str
    path: str
    start: float
    end: float
    score: float
    detected: bool
    p_correct: float = 0.0
    channel: int = 0
    track: int = 0
    missing: bool = False


class Mode(StrEnum):
    """What a query and its hits have in common: sound, meaning, or both."""

    SOUND = "sound"
    MEANING = "meaning"
    BOTH = "both"


SPEED_VARIANTS = (1, 3, 5, 7, 9)  # of an example, that are searched for at once; `voices` to users


@dataclass(frozen=True)
class SearchOptions:
    """What a search returns.

    Attributes:
        top: hits at most, 1 to limits.MAX_HITS.
        min_score: least score of a hit; None for no limit.
        include_undetected: whether hits that do not count as detected are returned too.
        recordings: ids of the recordings to search; None means all.
        excluded: ids of recordings that are never ranked.
        mode: what the query and its hits have in common.
        channel: number of the only channel to search, from 1; 0 for all.
    """

    top: int = 10
    min_score: float | None = None
    include_undetected: bool = False
    recordings: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    mode: Mode = Mode.SOUND
    channel: int = 0


@dataclass(frozen=True)
class QueryAudio:
    """A spoken example with its end points.

    Attributes:
        samples: (samples,), the word and what surrounds it.
        start: first tick of the word.
        stop: one past its last tick.
        isolated: whether the word was spoken in isolation, so that what surrounds it is no context.
        margin: ticks of sound on either side of start and stop that belong to an isolated word, or to the
            neighbours it was cut from: the encoder is given them, they are not compared.
    """

    samples: Samples
    start: int
    stop: int
    isolated: bool = False
    margin: int = 0
