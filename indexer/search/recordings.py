"""The recordings of a view, and which of them, and of their channels, a search covers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import NotFound
from wordspot.indexer.records import SearchOptions
from wordspot.indexer.vectors.protocol import IdSet

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class RecordingTable:
    """What all searches derive from a view's recordings.

    Attributes:
        rank: (recordings,), by path, so that the order of equal hits does not depend on which recording was
            indexed first.
    """

    def __init__(self, view: ArchiveView) -> None:
        self._entries = view.recordings
        self._ordinals = {entry.id: n for n, entry in enumerate(view.recordings) if entry.alive}
        self._seconds = sum(entry.duration for entry in view.recordings if entry.alive)
        keys = [(entry.path, entry.id) for entry in view.recordings]
        self.rank: Ints = np.argsort(sorted(range(len(keys)), key=keys.__getitem__))
        self._region_recording, self._region_stream = view.region_recording, view.region_stream
        self._region_ticks = (view.region_stop - view.region_start).astype(np.int64)
        self._region_ticks[~view.alive[view.region_recording]] = 0
        self._speech_ticks = self._summed(self._region_ticks)

    def allowed_spans(self, view: ArchiveView, options: SearchOptions) -> IdSet | None:
        """Returns the spans of the recordings and the channel to search; None means all.

        Raises:
            NotFound: if a recording to search is not in the view, or no recording has the channel by itself.
        """
        spans = self._spans_of_recordings(view, options)
        if not options.channel:
            return spans
        ranges = list(_span_ranges(view, self._regions_of(options.channel)))
        if not ranges:
            raise NotFound(self._missing(options.channel))
        return IdSet.none(view.spans).with_ranges(ranges).intersection(spans)

    def searched_seconds(self, view: ArchiveView, options: SearchOptions) -> float:
        """Returns the seconds of audio to search, silence included."""
        if options.channel:
            names = self._ordinals.keys() if options.recordings is None else options.recordings
            entries = [self._entries[self._ordinals[name]] for name in names - options.excluded]
            return sum(
                entry.duration
                for entry in entries
                if any(stream.holds(options.channel) for stream in entry.layout.streams)
            )

        def duration(name: str) -> float:
            return view.recordings[self._ordinals[name]].duration

        if options.recordings is not None:
            return sum(map(duration, options.recordings - options.excluded))
        return self._seconds - sum(map(duration, options.excluded & self._ordinals.keys()))

    def speech_ticks(self, options: SearchOptions | None = None) -> Ints:
        """Returns the ticks of speech (n,) of each recording to search, of all without options.

        Recordings that are excluded from the whole archive count, as they are taken to be few.
        """
        ticks = self._speech_ticks
        if options is not None and options.channel:
            ticks = self._summed(self._region_ticks * self._regions_of(options.channel))
        if options is None or options.recordings is None:
            return ticks
        return ticks[[self._ordinals[name] for name in options.recordings]]

    def _spans_of_recordings(self, view: ArchiveView, options: SearchOptions) -> IdSet | None:
        """Raises NotFound."""
        excluded = [self._ordinals[name] for name in options.excluded if name in self._ordinals]
        if options.recordings is not None:
            if unknown := sorted(options.recordings - self._ordinals.keys()):
                raise NotFound(f"no indexed recording {unknown[0]!r} to search in")
            searched = {self._ordinals[name] for name in options.recordings}.difference(excluded)
            return IdSet.none(view.spans).with_ranges(view.span_ranges(searched))
        if not excluded:
            return view.alive_spans
        return (view.alive_spans or IdSet.every(view.spans)).without_ranges(view.span_ranges(excluded))

    def _summed(self, ticks: Ints) -> Ints:
        """Returns the sums by recording (n,) of ticks by region (R,)."""
        return np.bincount(self._region_recording, ticks, minlength=len(self._entries))

    def _regions_of(self, channel: int) -> Flags:
        """Returns which regions (R,) hold a channel by itself."""
        streams = [entry.layout.streams for entry in self._entries]
        held = np.array([stream.holds(channel) for each in streams for stream in each], dtype=np.bool_)
        number = np.cumsum([0, *map(len, streams)])[self._region_recording]
        if self._region_stream is not None:
            number += self._region_stream
        regions: Flags = held[number] & (self._region_ticks > 0)
        return regions

    def _missing(self, channel: int) -> str:
        streams = {stream for entry in self._entries if entry.alive for stream in entry.layout.streams}
        if any(stream.channel for stream in streams):
            return f"no recording of the archive has speech on channel {channel}"
        return (
            f"no recording of the archive has channel {channel} by itself: it is indexed by the mix of its "
            "channels; `wordspot index --channels each` makes each of them searchable"
        )


def _span_ranges(view: ArchiveView, regions: Flags) -> Iterable[tuple[int, int]]:
    """Yields first and one past the last span of each run of regions (R,) that are true."""
    edges = np.flatnonzero(np.diff(np.pad(regions.astype(np.int8), 1)))
    bounds = view.region_span[edges].tolist()
    return zip(bounds[::2], bounds[1::2], strict=True)
