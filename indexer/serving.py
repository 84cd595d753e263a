"""What of an archive answers searches: the segments of one generation as a view, and their index.

The index is read from the cache, grown if the archive has grown, and rebuilt where that does not do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from wordspot.indexer import cache, files, queries
from wordspot.indexer.catalogue import (
    Catalogue,
    Generation,
    GenerationState,
    IndexedRecording,
    Recording,
    Segment,
)
from wordspot.indexer.errors import Exhausted, FailedPrecondition
from wordspot.indexer.home import Home
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.segments import SegmentReader
from wordspot.indexer.vectors.buckets import BucketedIndex, Snapshot
from wordspot.indexer.vectors.choice import IndexPolicy
from wordspot.indexer.vectors.stored import Stored
from wordspot.indexer.view import ArchiveView, RecordingEntry

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Part:
    reader: SegmentReader
    entries: tuple[RecordingEntry, ...]


class ServedArchives:
    """What answers searches, by archive. Opened at the first search, or by indexing."""

    def __init__(self, catalogue: Catalogue, home: Home, policy: IndexPolicy) -> None:
        self._catalogue = catalogue
        self._home = home
        self._policy = policy
        self._lock = threading.Lock()
        self._current: dict[str, ServedGeneration] = {}
        self._prepared: dict[str, ServedGeneration] = {}

    def of(self, archive: str) -> ServedGeneration:
        """Raises NotFound for an unknown archive, FailedPrecondition for one that was never indexed."""
        served = self._current.get(archive)
        if served is not None:
            return served
        with self._lock:
            if archive not in self._current:
                with self._catalogue.reading() as session:
                    row = queries.archive_named(session, archive)
                    generation = queries.generation_of(session, row, GenerationState.SERVING)
                if generation is None:
                    raise FailedPrecondition(f"archive {archive!r} is not indexed yet")
                self._current[archive] = self._serve(generation)
            return self._current[archive]

    def prepare(self, archive: str, generation: Generation) -> ServedGeneration:
        """The same for a generation that does not answer yet; `promotion` lets it."""
        served = self._serve(generation)
        with self._lock:
            self._prepared[archive] = served
        return served

    @contextmanager
    def promotion(self, archive: str) -> Iterator[None]:
        """Around the change of the catalogue: searches that begin afterwards see the prepared generation.

        Whoever holds the old one has a view of it, so that its files can go.
        """
        with self._lock:
            if archive in self._current:
                self._current[archive].view()
            yield
            self._current[archive] = self._prepared.pop(archive)

    def drop(self, archive: str) -> None:
        with self._lock:
            self._current.pop(archive, None)
            self._prepared.pop(archive, None)

    def forget(self, archive: str, recording: str) -> None:
        """Hides a deleted recording at once."""
        with self._lock:
            served = [group[archive] for group in (self._current, self._prepared) if archive in group]
        for generation in served:
            generation.forget(recording)

    def _serve(self, generation: Generation) -> ServedGeneration:
        return ServedGeneration(
            self._catalogue,
            generation.id,
            queries.encoder_of(generation),
            segments=self._home.segments,
            cache=self._home.cache_of(generation.id),
            policy=self._policy,
        )


class ServedGeneration:
    """Keeps the current view of a generation. Safe to use from several threads.

    `view` never waits once there is a view; `refresh` makes the next one from what is committed.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        generation: int,
        encoder: EncoderInfo,
        *,
        segments: Path,
        cache: Path,
        policy: IndexPolicy,
    ) -> None:
        self.generation = generation
        self.encoder = encoder
        self._catalogue = catalogue
        self._segments = segments
        self._cache = cache
        self._policy = policy
        self._refreshing = threading.RLock()
        self._parts: dict[str, _Part] = {}
        self._index: BucketedIndex | None = None
        self._indexed: list[str] = []
        self._saved: list[str] = []
        self._publishing = threading.Lock()
        self._deleted: set[str] = set()
        self._view: ArchiveView | None = None

    def view(self) -> ArchiveView:
        """The latest view; the first call makes it. Raises DataLoss where a segment is damaged."""
        if self._view is None:
            with self._refreshing:
                if self._view is None:
                    self.refresh()
        assert self._view is not None
        return self._view

    def refresh(self) -> None:
        """Opens segments committed since, adds them to the index and publishes a new view."""
        with self._refreshing:
            self._load_parts()
            index = self._grown_index()
            view = _assembled(self.generation, self.encoder, list(self._parts.values()), index)
            with self._publishing:
                self._view = _without(view, self.generation, self._deleted)

    def forget(self, recording: str) -> None:
        """Hides a deleted recording from every view from now on."""
        with self._publishing:
            self._deleted.add(recording)
            if self._view is not None:
                self._view = _without(self._view, self.generation, {recording})

    @contextmanager
    def changing(self) -> Iterator[None]:
        """No refresh by others meanwhile: for replacing segments under a generation."""
        with self._refreshing:
            yield

    def save(self) -> None:
        """Writes the index to the cache, unless it is exact or there already. A full disk only costs time."""
        with self._refreshing:
            if self._index is None or self._index.exact or self._saved == self._indexed:
                return
            try:
                with files.storing("caching an index"):
                    self._cache.mkdir(parents=True, exist_ok=True)
                    cache.save(self._index, self._cache, self._indexed, self.encoder.hash)
            except Exhausted as error:
                _log.warning("index of %s not cached: %s", self._cache.name, error)
                files.remove(self._cache)
                return
            self._saved = list(self._indexed)

    def _load_parts(self) -> None:
        with self._catalogue.reading() as session:
            rows = session.execute(
                select(Segment.name, Segment.manifest_sha256)
                .where(Segment.generation_id == self.generation)
                .order_by(Segment.id)
            ).all()
            fresh = [name for name, _ in rows if name not in self._parts]
            entries: dict[str, list[RecordingEntry]] = {name: [] for name in fresh}
            for name, identity, path, seconds, deleted_at in session.execute(
                select(Segment.name, Recording.id, Recording.path, Recording.seconds, Recording.deleted_at)
                .join(IndexedRecording, IndexedRecording.segment_id == Segment.id)
                .join(Recording, Recording.number == IndexedRecording.recording_number)
                .where(Segment.name.in_(fresh))
                .order_by(Segment.id, IndexedRecording.ordinal)
            ):
                entries[name].append(RecordingEntry(identity, path, seconds or 0.0, deleted_at is None))
        self._parts = {
            name: self._parts.get(name)
            or _Part(SegmentReader.open(self._segments / name, sha256), tuple(entries[name]))
            for name, sha256 in rows
        }

    def _grown_index(self) -> BucketedIndex:
        names = list(self._parts)
        stored = [Stored(reader.vectors, reader.spans["length"]) for reader in self._readers()]
        if self._index is None:
            self._index, self._indexed = cache.load(self._cache, self.encoder)
            self._saved = list(self._indexed)
        index, known = self._index, len(self._indexed)
        usable = (
            index is not None
            and self._indexed == names[:known]
            and index.size == sum(len(segment.vectors) for segment in stored[:known])
        )
        if index is None or not usable:
            index = BucketedIndex.build(self._policy, self.encoder.dimension, stored)
            self._saved = []
        else:
            index = index.grown(self._policy, stored, known)
        self._index, self._indexed = index, names
        return index

    def _readers(self) -> list[SegmentReader]:
        return [part.reader for part in self._parts.values()]


def _assembled(
    generation: int, encoder: EncoderInfo, parts: Sequence[_Part], index: BucketedIndex
) -> ArchiveView:
    readers = [part.reader for part in parts]
    entries = tuple(entry for part in parts for entry in part.entries)
    recordings = _starts(len(part.entries) for part in parts)
    spans = _starts(len(reader.spans) for reader in readers)
    nothing = [0] * len(parts)
    tables = [reader.regions for reader in readers]
    vectors = tuple(reader.vectors for reader in readers)
    return ArchiveView(
        encoder=encoder,
        recordings=entries,
        region_recording=_column(tables, "recording", recordings, np.int32),
        region_start=_column(tables, "start", nothing, np.int32),
        region_stop=_column(tables, "stop", nothing, np.int32),
        region_segment=_read_only(
            np.repeat(np.arange(len(parts), dtype=np.int32), [len(table) for table in tables])
        ),
        region_frame=_column(tables, "frame", nothing, np.int64),
        region_span=_read_only(
            np.append(_column(tables, "span", spans, np.int64), sum(len(reader.spans) for reader in readers))
        ),
        tables=tuple(reader.spans for reader in readers),
        vectors=vectors,
        frames=tuple(reader.frames for reader in readers),
        index=Snapshot(index, vectors),
        version=_version(generation, entries),
    )


def _column(
    tables: Sequence[NDArray[np.void]], name: str, shifts: Sequence[int], dtype: type[np.integer[Any]]
) -> NDArray[Any]:
    """One field of all segments' tables, numbers moved from the segment's count to the archive's."""
    joined = np.empty(sum(map(len, tables)), dtype=dtype)
    position = 0
    for table, shift in zip(tables, shifts, strict=True):
        joined[position : position + len(table)] = table[name]
        joined[position : position + len(table)] += dtype(shift)
        position += len(table)
    return _read_only(joined)


def _starts(lengths: Iterable[int]) -> list[int]:
    return [0, *itertools.accumulate(lengths)][:-1]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _without(view: ArchiveView, generation: int, deleted: set[str]) -> ArchiveView:
    if not any(entry.alive and entry.id in deleted for entry in view.recordings):
        return view
    entries = tuple(
        dataclasses.replace(entry, alive=entry.alive and entry.id not in deleted) for entry in view.recordings
    )
    return dataclasses.replace(view, recordings=entries, version=_version(generation, entries))


def _version(generation: int, entries: Iterable[RecordingEntry]) -> str:
    digest = hashlib.sha256(str(generation).encode())
    for entry in entries:
        digest.update(f"{entry.id}{'+' if entry.alive else '-'}".encode())
    return digest.hexdigest()[:32]
