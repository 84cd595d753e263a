"""Listening: which streams of a file are to be indexed, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.limits import MAX_STREAMS
from wordspot.indexer.records import Samples
from wordspot.indexer.sound.reader import check_channel
from wordspot.indexer.streams import ALL, EACH, Layout, Selection, Stream, everything

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder
    from wordspot.indexer.sound.opened import AudioFile
    from wordspot.indexer.sound.survey import HeardTrack


@dataclass
class Listening:
    """The streams of a file, read one after the other.

    Attributes:
        decoder: of the file.
        file: that is open.
        selection: of channels and tracks.
        max_seconds: a longer file is refused.
        warnings: what was noticed of the sound so far, each once.
    """

    decoder: Decoder
    file: AudioFile
    selection: Selection
    max_seconds: float
    warnings: list[str] = field(default_factory=list)
    _streams: list[Stream] = field(default_factory=list)
    _tracks: int = 0
    _channels: int = 0

    def streams(self) -> Iterator[Iterator[Samples]]:
        """Yields the sound of each stream, in blocks. Raises InvalidInput."""
        for track in self._wanted_tracks():
            for channel, channels in self._wanted_channels(track):
                warnings: list[str] = []
                heard: list[HeardTrack] = []
                yield self.decoder.read_blocks(
                    self.file,
                    max_seconds=self.max_seconds,
                    warnings=warnings,
                    heard=heard,
                    track=track,
                    channel=channel,
                )
                self._note(warnings)
                self._streams += [self._stream(track, channel, channels, each) for each in heard]

    def layout(self) -> Layout:
        """Returns what the file consists of, once all streams are read to the end."""
        return Layout(self._tracks, self._channels, tuple(self._streams))

    def _wanted_tracks(self) -> Iterator[int]:
        """Yields numbers of tracks, 0 for the one that a player would choose. Raises InvalidInput."""
        if self.selection.tracks != ALL:
            yield self.selection.track
            return
        tracks = self.decoder.probe(self.file).tracks
        check_streams(tracks, "audio tracks", self.file)
        if tracks == 1:
            yield 0
            return
        problems = []
        for track in range(1, tracks + 1):
            try:
                self.decoder.probe(self.file, track=track)
            except InvalidInput as error:
                problems.append(str(error))
                continue
            yield track
        if len(problems) == tracks:
            raise InvalidInput(problems[0])
        self._note([f"audio track is not searched: {problem}" for problem in problems])

    def _wanted_channels(self, track: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yields numbers of channels, 0 for the mix, each with those that are identical. Raises
        InvalidInput."""
        if self.selection.channels != EACH:
            channel = self.selection.channel
            if channel > 1:  # before the whole file is read in vain
                info = self.decoder.probe(self.file, track=track)
                check_channel(channel, info.channels, name_of(self.file))
            yield channel, ()
            return
        survey = self.decoder.survey(self.file, max_seconds=self.max_seconds, track=track)
        if survey.channels == 1:
            yield 0, ()
            return
        check_streams(len(survey.groups), "different channels", self.file)
        self._note(survey.lines())
        for group in survey.groups:
            yield group[0], group

    def _stream(self, track: int, channel: int, channels: tuple[int, ...], heard: HeardTrack) -> Stream:
        self._tracks, self._channels = heard.tracks, max(self._channels, heard.channels)
        named = heard.track if track and heard.tracks > 1 else 0
        if heard.channels == 1:
            return Stream(named)
        if channel:
            return Stream(named, channel, tuple(sorted(channels)) or (channel,))
        return Stream(named, 0, heard.sounding or everything(heard.channels))

    def _note(self, lines: list[str]) -> None:
        self.warnings += [line for line in lines if line not in self.warnings]


def check_streams(count: int, what: str, file: AudioFile) -> None:
    """Raises InvalidInput where a recording would have too many streams."""
    if count > MAX_STREAMS:
        raise InvalidInput(
            f"{name_of(file)} has {count} {what}, at most {MAX_STREAMS} can be searched by themselves"
        )


def name_of(file: AudioFile) -> str:
    """Returns the name of a file, for messages."""
    return getattr(file, "name", str(file))
