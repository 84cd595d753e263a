"""The recordings of a view, and which of them a search covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import NotFound
from wordspot.indexer.records import SearchOptions
from wordspot.indexer.vectors.protocol import IdSet

Ints = NDArray[np.int64]


class RecordingTable:
    """What all searches derive from a view's recordings.

    Attributes:
        rank: (recordings,), by path, so that the order of equal hits does not depend on which recording was
            indexed first.
    """

    def __init__(self, view: ArchiveView) -> None:
        self._ordinals = {entry.id: n for n, entry in enumerate(view.recordings) if entry.alive}
        self._seconds = sum(entry.duration for entry in view.recordings if entry.alive)
        keys = [(entry.path, entry.id) for entry in view.recordings]
        self.rank: Ints = np.argsort(sorted(range(len(keys)), key=keys.__getitem__))
        ticks = (view.region_stop - view.region_start).astype(np.int64)
        ticks[~view.alive[view.region_recording]] = 0
        self._speech_ticks = np.bincount(view.region_recording, ticks, minlength=len(view.recordings))

    def allowed_spans(self, view: ArchiveView, options: SearchOptions) -> IdSet | None:
        """Returns the spans of the recordings to search; None means all.

        Raises:
            NotFound: if a recording to search is not in the view.
        """
        excluded = [self._ordinals[name] for name in options.excluded if name in self._ordinals]
        if options.recordings is not None:
            if unknown := sorted(options.recordings - self._ordinals.keys()):
                raise NotFound(f"no indexed recording {unknown[0]!r} to search in")
            searched = {self._ordinals[name] for name in options.recordings}.difference(excluded)
            return IdSet.none(view.spans).with_ranges(view.span_ranges(searched))
        if not excluded:
            return view.alive_spans
        return (view.alive_spans or IdSet.every(view.spans)).without_ranges(view.span_ranges(excluded))

    def searched_seconds(self, view: ArchiveView, options: SearchOptions) -> float:
        """Returns the seconds of audio to search, silence included."""

        def duration(name: str) -> float:
            return view.recordings[self._ordinals[name]].duration

        if options.recordings is not None:
            return sum(map(duration, options.recordings - options.excluded))
        return self._seconds - sum(map(duration, options.excluded & self._ordinals.keys()))

    def speech_ticks(self, options: SearchOptions | None = None) -> Ints:
        """Returns the ticks of speech (n,) of each recording to search, of all without options.

        Recordings that are excluded from the whole archive count, as they are taken to be few.
        """
        if options is None or options.recordings is None:
            return self._speech_ticks
        return self._speech_ticks[[self._ordinals[name] for name in options.recordings]]
