"""Streams: what of a recording is searched as one.

By default that is the mix of the channels of the track that a player would choose. An archive may have each
channel as a stream of its own, or each track, or one of them: a selection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.limits import MAX_STREAMS

MIX, EACH = "mix", "each"
DEFAULT, ALL = "default", "all"


@dataclass(frozen=True)
class Selection:
    """Which channels and tracks of its recordings an archive has.

    Attributes:
        channels: "mix" of all, "each" by itself, or the number of one, from 1.
        tracks: "default" for the one that a player would choose, "all", or the number of one, from 1.
    """

    channels: str = MIX
    tracks: str = DEFAULT

    @classmethod
    def parse(cls, channels: str, tracks: str) -> Self:
        """Returns a selection. Raises InvalidInput for what is none."""
        return cls(
            _choice(channels, "channels", (MIX, EACH)),
            _choice(tracks, "tracks", (DEFAULT, ALL)),
        )

    def changed(self, channels: str, tracks: str) -> Selection:
        """Returns the selection with others in place; empty ones stay as they are. Raises InvalidInput."""
        return self.parse(channels or self.channels, tracks or self.tracks)

    @property
    def channel(self) -> int:
        """The number of the only channel; 0 where it is not one."""
        return 0 if self.channels in (MIX, EACH) else int(self.channels)

    @property
    def covers_default(self) -> bool:
        """Whether it has all channels of the track that a player would choose, and no other track."""
        return self.tracks == DEFAULT and self.channels in (MIX, EACH)

    @property
    def track(self) -> int:
        """The number of the only track; 0 where that is not said."""
        return 0 if self.tracks in (DEFAULT, ALL) else int(self.tracks)


DEFAULT_SELECTION = Selection()


def _choice(value: str, name: str, words: tuple[str, str]) -> str:
    """Returns the value, a number without leading zeros. Raises InvalidInput."""
    if value in words:
        return value
    if value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= MAX_STREAMS:
        return str(int(value))
    raise InvalidInput(
        f"{name} must be {words[0]}, {words[1]} or a number from 1 to {MAX_STREAMS}, got {value!r}"
    )


@dataclass(frozen=True)
class Stream:
    """What of a recording is searched as one: a channel of a track, or the mix of its channels.

    Attributes:
        track: its number, from 1; 0 for the one that a player would choose.
        channel: its number, from 1; 0 for the mix, and for the only one.
        channels: whose sound it has, where the track has several: those of a mix in which something is
            heard, or a channel and those that are identical with it.
    """

    track: int = 0
    channel: int = 0
    channels: tuple[int, ...] = ()

    @property
    def named_channel(self) -> int:
        """The channel on which its sound is; 0 where it is on several, or there is only one."""
        return self.channel or (self.channels[0] if len(self.channels) == 1 else 0)

    def holds(self, channel: int) -> bool:
        """Returns whether this is what the channel sounds like; 0 for any channel."""
        if not channel:
            return True
        if not self.channels:
            return channel == 1
        return channel in self.channels if self.channel else self.channels == (channel,)


_MONO = Stream()


@dataclass(frozen=True)
class Layout:
    """What a recording consists of, and which streams of it are searched.

    Attributes:
        tracks: of audio in the file; 0 where that is not known.
        channels: of the tracks that are searched, the most there are at any time.
        streams: with speech, or at least one. In a segment, their regions follow each other.
        regions: of each stream but the last, whose are all that are left.
    """

    tracks: int = 0
    channels: int = 1
    streams: tuple[Stream, ...] = (_MONO,)
    regions: tuple[int, ...] = ()

    def holding(self, regions: Sequence[int]) -> Layout:
        """Returns the layout without the streams that have no regions. regions: of each."""
        kept = [number for number, count in enumerate(regions) if count] or [0]
        return replace(
            self,
            streams=tuple(self.streams[number] for number in kept),
            regions=tuple(regions[number] for number in kept[:-1]),
        )

    def same_under(self, old: Selection, new: Selection) -> bool:
        """Returns whether another selection has the same streams for certain."""
        one_channel = self.channels == 1 and new.channels in (MIX, EACH, "1")
        one_track = self.tracks == 1 and new.tracks in (DEFAULT, ALL, "1")
        return (old.channels == new.channels or one_channel) and (old.tracks == new.tracks or one_track)

    def encoded(self) -> str:
        """Returns the layout as a text, which `decoded` reads."""
        streams = [[each.track, each.channel, *each.channels] for each in self.streams]
        return json.dumps([self.tracks, self.channels, streams, self.regions], separators=(",", ":"))


ONE_STREAM = Layout()


@lru_cache(maxsize=4_096)  # most recordings of an archive are alike
def decoded(text: str | None, channels: int) -> Layout:
    """Returns the layout of a text. channels: of the file, by its header, for an old segment that has
    none."""
    if text is None:
        return Layout(0, channels, (Stream(channels=everything(channels)),))
    tracks, most, streams, regions = json.loads(text)
    return Layout(
        tracks,
        most,
        tuple(Stream(track, channel, tuple(others)) for track, channel, *others in streams),
        tuple(regions),
    )


def everything(channels: int) -> tuple[int, ...]:
    """Returns the numbers of all channels where there are several."""
    return tuple(range(1, channels + 1)) if channels > 1 else ()
