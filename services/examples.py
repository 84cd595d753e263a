"""Examples of a query: as a caller states them, and as the searcher reads them from messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import TICKS_PER_SECOND
from wordspot.services.answers import Interval
from wordspot.services.limits import DEFAULT_SPEAKERS


@dataclass(frozen=True)
class FileQuery:
    """A local file of the caller, or the seconds [start, end) of it: the rest then serves as context.

    Attributes:
        path: of the file.
        start: in seconds; None for the whole file.
        end: in seconds; None for the whole file.
        label: for messages and verdicts; empty for the path.
        channel: of the file, from 1; 0 for the mix of all.
    """

    path: Path
    start: float | None = None
    end: float | None = None
    label: str = ""
    channel: int = 0


@dataclass(frozen=True)
class RecordedQuery:
    """A recording as the bytes of a file.

    Attributes:
        data: of the file.
        interval: the stretch that is meant, None for all of it.
        label: for messages.
        channel: of the file, from 1; 0 for the mix of all.
    """

    data: bytes
    interval: Interval | None = None
    label: str = ""
    channel: int = 0


@dataclass(frozen=True)
class StoredQuery:
    """The seconds [start, end) of a recording in the archive that is searched.

    Attributes:
        recording: its id.
        start: in seconds from the start of the recording.
        end: in seconds from the start of the recording.
        label: for messages.
        channel: from 1; 0 as the recording is indexed, which is the mix where there are several.
        track: of audio, from 1; 0 for the one that a player would choose.
    """

    recording: str
    start: float
    end: float
    label: str = ""
    channel: int = 0
    track: int = 0


@dataclass(frozen=True)
class TypedQuery:
    """Words that a synthesiser speaks, for want of a recording.

    Attributes:
        text: the words, at most 100 characters.
        language: as espeak-ng names it, `en-us`.
        speakers: how many of the synthesiser's voices speak it, 1 to 8.
        label: for messages; empty for the text.
    """

    text: str
    language: str = "en"
    speakers: int = DEFAULT_SPEAKERS
    label: str = ""


def check_stretch_inside(stretch: Interval, length: float, name: str) -> None:
    """Raises InvalidInput for a stretch that does not lie within the sound it was cut from.

    Args:
        stretch: start and end in seconds.
        length: in seconds, of what was read: to the end of the sound, or further than the stretch.
        name: of what holds the sound.
    """
    start, end = stretch
    if end > length + 1 / TICKS_PER_SECOND:  # seconds may be rounded up
        raise InvalidInput(
            f"the stretch must lie within {name}, which ends at {length:.2f} s, got {start:g} to {end:g} s"
        )


AudioQuery = RecordedQuery | StoredQuery
Example = AudioQuery | TypedQuery
"""What the searcher answers."""
QueryExample = str | Path | bytes | FileQuery | StoredQuery | TypedQuery
"""What a caller may state."""
Query = QueryExample | Sequence[QueryExample]
