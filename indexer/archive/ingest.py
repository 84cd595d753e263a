"""Indexing: recordings in, durable segments out.

recording -> blocks -> sections (speech regions, spans) -> vectors and frames -> segment -> commit

Sections of several recordings are embedded together, so that many short files take as long as a few long
ones.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.indexer.archive import files
from wordspot.indexer.archive.attempts import MAX_ATTEMPTS, Attempts
from wordspot.indexer.archive.audio_files import SampleBuffer, closing_blocks, decodable_blocks
from wordspot.indexer.archive.batches import Batch, BatchLimits, PendingRecording
from wordspot.indexer.archive.listening import Listening
from wordspot.indexer.archive.originals import ChangedFile, Originals
from wordspot.indexer.archive.origins import Origin
from wordspot.indexer.archive.peaks import PeakStore
from wordspot.indexer.archive.segment_writer import SegmentWriter
from wordspot.indexer.errors import Exhausted, InvalidInput
from wordspot.indexer.records import (
    SAMPLE_RATE,
    Embedder,
    Samples,
    Section,
    SectionEmbeddings,
    Segmenter,
)
from wordspot.indexer.sound.peaks import PeakMeter, united
from wordspot.indexer.streams import DEFAULT_SELECTION, Layout, Selection

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder

MIN_KEPT_PEAKS_SECONDS = 20.0  # the waveform of less is drawn from the sound as fast


@dataclass(frozen=True)
class Ingest:
    """Indexes recordings into segments.

    Attributes:
        originals: where the files are opened.
        attempts: where recordings are noted while they are indexed.
        decoder: of the files.
        segmenter: that finds speech and proposes spans.
        embedder: that embeds the spans.
        segments: directory of segments.
        selection: which channels and tracks are searched.
        max_seconds: longer recordings fail.
        workers: threads, each with a recording and a segment of its own.
        limits: of a batch.
        peaks: where the waveforms of recordings are kept; None for nowhere.
    """

    originals: Originals
    attempts: Attempts
    decoder: Decoder
    segmenter: Segmenter
    embedder: Embedder
    segments: Path
    max_seconds: float
    selection: Selection = DEFAULT_SELECTION
    workers: int = 2
    limits: BatchLimits = field(default_factory=BatchLimits)
    peaks: PeakStore | None = None

    def run(
        self, sources: Iterable[PendingRecording], commit: Callable[[Batch], None], cancelled: threading.Event
    ) -> None:
        """Indexes recordings and returns once everything finished is committed.

        Recordings that an earlier process did not survive come last, one at a time.

        A recording that raises InvalidInput becomes a problem of its batch. Any other exception ends the run
        and is raised once all threads have stopped; earlier commits remain.

        Args:
            sources: the recordings.
            commit: called from several threads, one call at a time.
            cancelled: once it is set, unfinished recordings are dropped and finished ones committed.
        """
        sources = tuple(sources)
        suspects = self.attempts.counts()
        try:
            self._run([each for each in sources if each.recording not in suspects], commit, cancelled)
            # One of these may have ended the process: alone, it takes no other with it.
            alone = replace(self, workers=1, limits=replace(self.limits, recordings=1))
            suspected = [each for each in sources if each.recording in suspects]
            spent = {
                each.recording: f"the process died {suspects[each.recording]} times while indexing it"
                for each in suspected
                if suspects[each.recording] >= MAX_ATTEMPTS
            }
            if spent and not cancelled.is_set():
                commit(Batch(None, (), spent))
            alone._run([each for each in suspected if each.recording not in spent], commit, cancelled)
        finally:
            self.attempts.end(each.recording for each in sources)

    def _run(
        self, sources: Iterable[PendingRecording], commit: Callable[[Batch], None], cancelled: threading.Event
    ) -> None:
        pending = deque(sources)
        stop = _StopSignal(cancelled)
        commit_lock = threading.Lock()

        def commit_alone(batch: Batch) -> None:
            with commit_lock:
                commit(batch)

        def work() -> None:
            try:
                _IndexingWorker(self, commit_alone, stop).run(pending)
            except BaseException:
                stop.failed.set()
                raise

        with ThreadPoolExecutor(self.workers, thread_name_prefix="ingest") as pool:
            futures = [pool.submit(work) for _ in range(self.workers)]
        for future in futures:
            future.result()


@dataclass(frozen=True)
class _StopSignal:
    """True once the run is cancelled or a worker has failed."""

    cancelled: threading.Event
    failed: threading.Event = field(default_factory=threading.Event)

    def __bool__(self) -> bool:
        return self.cancelled.is_set() or self.failed.is_set()


@dataclass(frozen=True)
class _ReadSection:
    """The next section of a recording.

    Attributes:
        recording: its id.
        section: that was segmented.
        stream: ordinal of the stream that it belongs to.
        regions: audio (samples,) of the section's regions.
    """

    recording: str
    section: Section
    stream: int
    regions: tuple[Samples, ...]


@dataclass(frozen=True)
class _RecordingEnd:
    """The end of a recording.

    Attributes:
        recording: its id.
        seconds: of audio decoded.
        problem: why it cannot be indexed, None if it can.
        warnings: of the decoder.
        origin: of the recording.
        layout: its streams.
    """

    recording: str
    seconds: float = 0.0
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    origin: Origin | None = None
    layout: Layout | None = None


def _heard(end: _RecordingEnd) -> Origin | None:
    """Returns the origin of a recording with what indexing has found out."""
    if end.origin is None:
        return None
    return dataclasses.replace(end.origin, seconds=end.seconds, warnings="\n".join(end.warnings) or None)


class _IndexingWorker:
    """Reads recordings, embeds their sections in groups, writes them to a segment in order, and commits
    it."""

    def __init__(self, ingest: Ingest, commit: Callable[[Batch], None], stop: _StopSignal) -> None:
        self._ingest = ingest
        self._commit = commit
        self._stop = stop
        self._pending: list[_ReadSection | _RecordingEnd] = []
        self._samples = 0  # of speech to be embedded
        self._current: str | None = None  # the recording that the segment has in part
        self._problem: str | None = None  # why the encoder refuses it
        self._batch_seconds = min(ingest.limits.first_seconds, ingest.limits.seconds)
        self._begin_batch()

    def run(self, pending: deque[PendingRecording]) -> None:
        """Indexes recordings until none is left or the run stops."""
        try:
            while not self._stop:
                try:
                    source = pending.popleft()
                except IndexError:
                    self._write()
                    break
                self._read(source)
            self._finish_batch()
        except BaseException:
            if self._writer is not None:
                self._writer.abort()
            raise

    def _begin_batch(self) -> None:
        self._writer: SegmentWriter | None = None
        self._seconds: list[float] = []
        self._problems: dict[str, str] = {}
        self._warnings: dict[str, tuple[str, ...]] = {}
        self._batch_start = time.monotonic()

    def _batch_is_full(self) -> bool:
        limits = self._ingest.limits
        return (
            len(self._seconds) + len(self._problems) >= limits.recordings
            or (self._writer is not None and self._writer.size >= limits.bytes)
            or self._batch_is_old()
        )

    def _batch_is_old(self) -> bool:
        return time.monotonic() - self._batch_start >= self._batch_seconds

    def _read(self, source: PendingRecording) -> None:
        """Reads the recording's sections; ends early if the run has stopped."""
        ingest = self._ingest
        ingest.attempts.begin(source.recording)
        samples = 0
        try:
            with ingest.originals.opened(source.original) as file:
                listening = Listening(ingest.decoder, file, ingest.selection, ingest.max_seconds)
                meters: list[PeakMeter] = []
                for stream, reading in enumerate(listening.streams()):
                    meters.append(PeakMeter())
                    with closing_blocks(reading) as blocks:
                        buffer = SampleBuffer(meters[-1].passing(decodable_blocks(blocks, file.name)))
                        self._listen(source.recording, stream, buffer)
                    samples = max(samples, buffer.samples)
                    if self._stop:
                        return
                    if self._problem is not None:
                        break
            long_enough = samples >= MIN_KEPT_PEAKS_SECONDS * SAMPLE_RATE
            if ingest.peaks is not None and ingest.selection.covers_default and long_enough:
                ingest.peaks.save(source.original.sha256, united([meter.peaks() for meter in meters]))
            end = _RecordingEnd(
                source.recording,
                samples / SAMPLE_RATE,
                warnings=tuple(listening.warnings),
                origin=source.origin,
                layout=listening.layout(),
            )
        except (InvalidInput, ChangedFile) as error:
            end = _RecordingEnd(source.recording, problem=str(error))
        self._pending.append(end)
        self._write_if_full()

    def _listen(self, recording: str, stream: int, buffer: SampleBuffer) -> None:
        """Reads the sections of a stream; ends early if the run has stopped or the encoder refuses one."""
        for section in self._ingest.segmenter.segment(buffer):
            if self._stop:
                return
            self._take(recording, stream, section, buffer)
            if self._problem is not None:
                return

    def _take(self, recording: str, stream: int, section: Section, buffer: SampleBuffer) -> None:
        """Takes the audio of a section's regions from the buffer, to be embedded."""
        regions = tuple(buffer.cut(region) for region in section.regions)
        buffer.discard_before(section.stop)
        if regions:
            self._pending.append(_ReadSection(recording, section, stream, regions))
            self._samples += sum(map(len, regions))
            self._write_if_full()

    def _write_if_full(self) -> None:
        limits = self._ingest.limits
        sections = sum(isinstance(entry, _ReadSection) for entry in self._pending)
        complete = len(self._pending) - sections
        if (
            not sections  # nothing to embed: complete recordings can be committed
            or len(self._seconds) + len(self._problems) + complete >= limits.recordings
            or sections >= limits.sections
            or self._samples >= limits.speech_seconds * SAMPLE_RATE
            or len(self._pending) >= 2 * limits.sections  # most are ends of recordings without speech
            or (complete and self._batch_is_old())
        ):
            self._write()

    def _write(self) -> None:
        """Embeds the pending sections and writes them to the segment; commits whenever the batch is full."""
        entries, self._pending, self._samples = self._pending, [], 0
        embeddings = iter(self._embed([entry for entry in entries if isinstance(entry, _ReadSection)]))
        for entry in entries:
            writer = self._writer_for(entry.recording)
            if isinstance(entry, _ReadSection):
                self._append(writer, entry, next(embeddings))
                continue
            problem = self._problem or entry.problem
            if problem is None:
                writer.end_recording(entry.recording, _heard(entry), entry.layout)
                self._seconds.append(entry.seconds)
                if entry.warnings:
                    self._warnings[entry.recording] = entry.warnings
            else:
                writer.rollback_recording()
                self._problems[entry.recording] = problem
            self._current = self._problem = None
            self._ingest.attempts.end([entry.recording])
            if self._batch_is_full():
                self._finish_batch()

    def _writer_for(self, recording: str) -> SegmentWriter:
        """Returns the writer of the segment, in which this recording has begun."""
        if self._writer is None:
            ingest = self._ingest
            self._writer = SegmentWriter(ingest.segments, ingest.embedder.info, ingest.selection)
        if self._current is None:
            self._current = recording
            self._writer.begin_recording()
        return self._writer

    def _append(
        self, writer: SegmentWriter, entry: _ReadSection, embeddings: SectionEmbeddings | InvalidInput
    ) -> None:
        try:
            if isinstance(embeddings, InvalidInput):
                raise embeddings
            if self._problem is None:
                writer.append(entry.section, embeddings, entry.stream)
        except InvalidInput as error:
            self._problem = self._problem or str(error)

    def _embed(self, sections: Sequence[_ReadSection]) -> list[SectionEmbeddings | InvalidInput]:
        """Returns the embeddings of each section, or the exception of those that the encoder refuses."""
        if not sections:
            return []
        try:
            return list(
                self._ingest.embedder.embed_all(
                    [(section.regions, section.section.spans) for section in sections]
                )
            )
        except InvalidInput as error:
            if len(sections) == 1:
                return [error]
            return [result for section in sections for result in self._embed([section])]

    def _finish_batch(self) -> None:
        writer, seconds, problems = self._writer, tuple(self._seconds), self._problems
        warnings = self._warnings
        segment = None
        if writer is not None and self._current is not None:
            writer.rollback_recording()
            self._current = self._problem = None
        if writer is not None and writer.recordings:
            segment = writer.seal()
        elif writer is not None:
            writer.abort()
        self._begin_batch()
        self._batch_seconds = min(2 * self._batch_seconds, self._ingest.limits.seconds)
        if segment is None and not problems:
            return
        try:
            self._commit(Batch(segment, seconds, problems, warnings))
        except Exhausted:
            # The segment is certainly not committed, and its space is needed. After any other failure the
            # next start removes it if it is an orphan.
            if segment is not None:
                files.remove(self._ingest.segments / segment.name)
            raise
