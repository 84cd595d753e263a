"""The walk of a query: decode, trim to speech, embed, find."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from wordspot.indexer.audio import Decoder
from wordspot.indexer.errors import ArchiveError, FailedPrecondition, InvalidInput
from wordspot.indexer.library import LONGEST_CLIP_SECONDS, Library
from wordspot.indexer.records import Embedder, Hit, Samples, SearchOptions, Segmenter
from wordspot.indexer.view import ArchiveView
from wordspot.services.runtime import ensure_wanted
from wordspot.services.searcher.peers import RemoteEncoders

if TYPE_CHECKING:
    from wordspot.indexer.search import Finder

CONTEXT_SECONDS = 5.0  # heard on either side of a stretch, for normalisation

MAX_STORED_SECONDS = LONGEST_CLIP_SECONDS - 2 * CONTEXT_SECONDS

Interval = tuple[float, float]  # seconds


@dataclass(frozen=True)
class SpokenQuery:
    """data: a file's bytes. interval: the stretch that is meant, None for all of it."""

    label: str
    data: bytes
    interval: Interval | None


@dataclass(frozen=True)
class StoredQuery:
    """A stretch of a recording of the archive that is searched."""

    label: str
    recording: str
    interval: Interval


@dataclass(frozen=True)
class Answer:
    """compared: the stretch of the query's audio that was compared. seconds: spent. threshold: the score
    from which a hit counts as detected."""

    label: str
    hits: tuple[Hit, ...]
    compared: Interval
    seconds: float
    threshold: float


@dataclass(frozen=True)
class Tools:
    """max_seconds: of a spoken query's audio."""

    library: Library
    decoder: Decoder
    segmenter: Segmenter
    encoders: RemoteEncoders
    max_seconds: float

    @cached_property
    def finder(self) -> Finder:
        # Brings numba, which only searches need to wait for.
        from wordspot.indexer.search import Finder

        return Finder()


@dataclass(frozen=True)
class Search:
    """One archive, as it was when the call came, ready to be asked."""

    tools: Tools
    archive: str
    view: ArchiveView
    embedder: Embedder
    options: SearchOptions

    @classmethod
    def begin(cls, tools: Tools, archive: str, encoder: str, options: SearchOptions) -> Search:
        """encoder: what the caller expects, empty for any.

        Raises NotFound, FailedPrecondition, PeerUnavailable.
        """
        view = tools.library.view(archive)
        if encoder and encoder != view.encoder.name:
            raise FailedPrecondition(
                f"archive {archive!r} is indexed with encoder {view.encoder.name!r}, not {encoder!r}"
            )
        embedder = tools.encoders.get(view.encoder.name)
        if embedder.info.hash != view.encoder.hash:
            raise FailedPrecondition(
                f"archive {archive!r} was indexed with encoder {view.encoder.name!r} of hash "
                f"{view.encoder.hash[:12]}; the one at hand has {embedder.info.hash[:12]}: index it again"
            )
        return cls(tools, archive, view, embedder, options)

    def answer(self, query: SpokenQuery | StoredQuery) -> Answer:
        """Raises InvalidInput, NotFound and what the peers raise, with the query's label in the message."""
        from wordspot.indexer import search

        began = time.perf_counter()
        with _labelled(query.label):
            ensure_wanted()
            samples, interval, offset = self._heard(query)
            meant = search.trim(samples, self.tools.segmenter, interval)
            embedded = search.embed_query(meant, self.embedder)
            ensure_wanted()
            outcome = self.tools.finder.find(self.view, embedded, self.options)
        return Answer(
            label=query.label,
            hits=outcome.hits,
            compared=(offset + outcome.compared[0], offset + outcome.compared[1]),
            seconds=time.perf_counter() - began,
            threshold=outcome.threshold,
        )

    def _heard(self, query: SpokenQuery | StoredQuery) -> tuple[Samples, Interval | None, float]:
        """Samples with context, the meant stretch within them, and where they begin in the query's audio."""
        if isinstance(query, SpokenQuery):
            samples = self.tools.decoder.decode_bytes(query.data, max_seconds=self.tools.max_seconds)
            return samples, query.interval, 0.0
        start, end = query.interval
        if not 0 <= start < end <= start + MAX_STORED_SECONDS:
            raise InvalidInput(
                f"the stretch is {start:g} to {end:g} s; 0 <= start < end and at most "
                f"{MAX_STORED_SECONDS:g} s are allowed"
            )
        offset = max(start - CONTEXT_SECONDS, 0.0)
        samples = self.tools.library.clip(self.archive, query.recording, offset, end + CONTEXT_SECONDS)
        return samples, (start - offset, end - offset), offset


@contextmanager
def _labelled(label: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        if not label:
            raise
        raise type(error)(f"query {label!r}: {error}") from error
