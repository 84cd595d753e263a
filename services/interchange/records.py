"""What is exported and imported, whatever the format.

Times are seconds from the start of the recording; paths are as Python has names of files, which may hold
surrogates for bytes that are not UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MS_PER_SECOND = 1_000


@dataclass(frozen=True)
class Occurrence:
    """A place where something was said, or may have been.

    Attributes:
        query: what was looked for, for people: a tier has this name.
        recording: id of the recording.
        path: of the recording.
        start: in seconds.
        end: in seconds.
        score: of the hit; None where somebody marked the place by hand.
        p_correct: probability that the query is said there; None likewise.
        detected: whether the hit counts as detected.
        channel: of the recording, from 1; 0 for all of them mixed.
        tags: of the recording.
        verdict: whether somebody found it correct; None where nobody judged.
        author: of the verdict.
    """

    query: str
    recording: str
    path: str
    start: float
    end: float
    score: float | None = None
    p_correct: float | None = None
    detected: bool = True
    channel: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    verdict: bool | None = None
    author: str = ""

    @property
    def uncertain(self) -> bool:
        """Whether neither the search nor a person is sure of it."""
        return not self.detected and self.verdict is None


@dataclass(frozen=True)
class Annotation:
    """A stretch of a recording with a text.

    Attributes:
        start: in seconds.
        end: in seconds; that of a point is its start.
        text: of the annotation, which may be empty.
        number: within its tier, from 1, as the program that wrote the file counts.
    """

    start: float
    end: float
    text: str
    number: int = 0


@dataclass(frozen=True)
class Tier:
    """Annotations of one kind, in order of the file.

    Attributes:
        name: unique within a file.
        annotations: those that were read, or are to be written.
    """

    name: str
    annotations: Sequence[Annotation]


@dataclass(frozen=True)
class AnnotatedRecording:
    """What an annotation file holds.

    Attributes:
        recording: id of the recording.
        path: of the recording.
        tiers: in each, annotations are in order of time and do not overlap, and last 1 ms at least.
        seconds: how long the recording is; None where nobody knows.
        folder: where the file will lie, absolute, for links relative to it; None where nobody knows.
    """

    recording: str
    path: str
    tiers: Sequence[Tier]
    seconds: float | None = None
    folder: str | None = None


@dataclass(frozen=True)
class MediaLink:
    """A recording that an annotation file names.

    Attributes:
        url: of the file: a file URL, a path, or an address.
        relative: the same, from the folder of the annotation file; may be empty.
        origin: second of the recording at which the annotations' time begins.
    """

    url: str
    relative: str = ""
    origin: float = 0.0


@dataclass(frozen=True)
class TierFile:
    """An annotation file that was read.

    Attributes:
        tiers: in order of the file.
        media: recordings that it names, the first is the one annotated.
    """

    tiers: Sequence[Tier]
    media: Sequence[MediaLink] = ()


def to_ms(seconds: float) -> int:
    """Returns the millisecond nearest to a time, halves to even."""
    return round(seconds * MS_PER_SECOND)
