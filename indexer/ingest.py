"""Indexing: recordings in, durable segments out.

recording -> blocks -> sections (speech regions, spans) -> vectors and frames -> segment -> commit
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordspot.indexer import files
from wordspot.indexer.errors import Exhausted, InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, SAMPLES_PER_TICK, Embedder, Region, Samples, Segmenter
from wordspot.indexer.segments import SealedSegment, SegmentWriter

if TYPE_CHECKING:
    from wordspot.indexer.audio import Decoder


@dataclass(frozen=True)
class Source:
    """A recording to be indexed. size: bytes of the file when it was added."""

    recording: str
    path: Path
    size: int


@dataclass(frozen=True)
class Batch:
    """What one commit makes visible.

    segment: None where every recording of the batch failed. seconds: decoded, by recording of the
    segment in its order. problems: why the failed recordings did, by id.
    """

    segment: SealedSegment | None
    seconds: tuple[float, ...]
    problems: dict[str, str]


@dataclass(frozen=True)
class BatchLimits:
    """A batch is committed as soon as it reaches one of these; a recording is never divided."""

    recordings: int = 256
    bytes: int = 128 * 2**20
    seconds: float = 30.0


@dataclass(frozen=True)
class Ingest:
    """The tools of indexing.

    segments: the directory for segments. max_seconds: longer recordings fail. workers: threads, each
    with a recording and a segment of its own.
    """

    decoder: Decoder
    segmenter: Segmenter
    embedder: Embedder
    segments: Path
    max_seconds: float
    workers: int = 2
    limits: BatchLimits = field(default_factory=BatchLimits)

    def run(
        self, sources: Iterable[Source], commit: Callable[[Batch], None], cancelled: threading.Event
    ) -> None:
        """Indexes the sources and returns once everything finished is committed.

        commit: called from several threads, one call at a time. A recording that raises InvalidInput
        becomes a problem of its batch and the rest goes on; anything else ends the run and is raised
        once all threads have stopped, batches committed before being kept. After `cancelled` is set,
        recordings under way are dropped and finished ones committed.
        """
        pending = deque(sources)
        stop = _Stop(cancelled)
        turn = threading.Lock()

        def commit_in_turn(batch: Batch) -> None:
            with turn:
                commit(batch)

        def work() -> None:
            try:
                _Worker(self, commit_in_turn, stop).run(pending)
            except BaseException:
                stop.failed.set()
                raise

        with ThreadPoolExecutor(self.workers, thread_name_prefix="ingest") as pool:
            futures = [pool.submit(work) for _ in range(self.workers)]
        for future in futures:
            future.result()


@dataclass(frozen=True)
class _Stop:
    cancelled: threading.Event
    failed: threading.Event = field(default_factory=threading.Event)

    def __bool__(self) -> bool:
        return self.cancelled.is_set() or self.failed.is_set()


class _Worker:
    """Fills a segment, commits it, begins another."""

    def __init__(self, ingest: Ingest, commit: Callable[[Batch], None], stop: _Stop) -> None:
        self._ingest = ingest
        self._commit = commit
        self._stop = stop
        self._begin_batch()

    def run(self, pending: deque[Source]) -> None:
        try:
            while not self._stop:
                try:
                    source = pending.popleft()
                except IndexError:
                    break
                self._take(source)
                if self._full():
                    self._finish_batch()
            self._finish_batch()
        except BaseException:
            if self._writer is not None:
                self._writer.abort()
            raise

    def _begin_batch(self) -> None:
        self._writer: SegmentWriter | None = None
        self._seconds: list[float] = []
        self._problems: dict[str, str] = {}
        self._began = time.monotonic()

    def _full(self) -> bool:
        limits = self._ingest.limits
        return (
            len(self._seconds) + len(self._problems) >= limits.recordings
            or (self._writer is not None and self._writer.size >= limits.bytes)
            or time.monotonic() - self._began >= limits.seconds
        )

    def _take(self, source: Source) -> None:
        if self._writer is None:
            self._writer = SegmentWriter(self._ingest.segments, self._ingest.embedder.info)
        writer = self._writer
        writer.begin_recording()
        try:
            seconds = self._index(source, writer)
        except InvalidInput as error:
            writer.rollback_recording()
            self._problems[source.recording] = str(error)
            return
        if seconds is None:
            writer.rollback_recording()
            return
        writer.end_recording(source.recording)
        self._seconds.append(seconds)

    def _index(self, source: Source, writer: SegmentWriter) -> float | None:
        """Writes the recording's sections. Returns its length in seconds, None if stopped half-way."""
        ingest = self._ingest
        problem = changed(source.path, source.size)
        if problem is not None:
            raise InvalidInput(problem)
        with released(ingest.decoder.read_blocks(source.path, max_seconds=ingest.max_seconds)) as blocks:
            tape = Tape(blocks)
            for section in ingest.segmenter.segment(tape):
                if self._stop:
                    return None
                regions = [tape.cut(region) for region in section.regions]
                tape.forget(section.stop)
                if regions:
                    writer.append(section, ingest.embedder.embed(regions, section.spans))
        return tape.samples / SAMPLE_RATE

    def _finish_batch(self) -> None:
        writer, seconds, problems = self._writer, tuple(self._seconds), self._problems
        segment = None
        if writer is not None and writer.recordings:
            segment = writer.seal()
        elif writer is not None:
            writer.abort()
        self._begin_batch()
        if segment is None and not problems:
            return
        try:
            self._commit(Batch(segment, seconds, problems))
        except Exhausted:
            # Certainly not committed: the space is needed. After any other failure the next start decides.
            if segment is not None:
                files.remove(self._ingest.segments / segment.name)
            raise


class Tape:
    """Passes blocks of audio on and keeps what has not been forgotten."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self.samples = 0
        self._blocks = blocks
        self._kept: deque[Samples] = deque()
        self._start = 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self._kept.append(block)
            self.samples += len(block)
            yield block

    def cut(self, region: Region) -> Samples:
        """The audio of a region (region.ticks * SAMPLES_PER_TICK,), zeros beyond the end of the tape."""
        start, stop = region.start * SAMPLES_PER_TICK, region.stop * SAMPLES_PER_TICK
        if start < self._start:
            raise ValueError(f"region at sample {start} reaches back before {self._start}")
        audio = np.zeros(stop - start, dtype=np.float32)
        position = self._start
        for block in self._kept:
            first, last = max(start, position), min(stop, position + len(block))
            if first < last:
                audio[first - start : last - start] = block[first - position : last - position]
            position += len(block)
        return audio

    def forget(self, tick: int) -> None:
        """Drops whole blocks that end at or before the tick."""
        limit = tick * SAMPLES_PER_TICK
        while self._kept and self._start + len(self._kept[0]) <= limit:
            self._start += len(self._kept.popleft())


@contextmanager
def released(blocks: Iterator[Samples]) -> Iterator[Iterator[Samples]]:
    """Lets go of the file, or of the process that decodes it, however reading ends."""
    try:
        yield blocks
    finally:
        if isinstance(blocks, Generator):
            blocks.close()


def changed(path: Path, size: int) -> str | None:
    """What happened to the file since it was added with this size in bytes; None if nothing visible."""
    try:
        found = path.stat().st_size
    except OSError as error:
        return f"{path} cannot be read any more: {error.strerror}"
    if path.resolve() != path:
        return f"{path} has been replaced by a link to {path.resolve()}"
    if found != size:
        return f"{path} has {found} bytes; it had {size} when it was added"
    return None
