"""The library: the archives of one home directory, the interface of the archive to services.

What a method has returned survives a crash; what was in progress is absent or can be resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wordspot.indexer.archive import compaction, files
from wordspot.indexer.archive.additions import Addition, Additions
from wordspot.indexer.archive.archives import Archives
from wordspot.indexer.archive.attempts import Attempts
from wordspot.indexer.archive.batches import BatchLimits
from wordspot.indexer.archive.catalogue_opening import opened_catalogue
from wordspot.indexer.archive.following import FollowedArchives
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.ingest import Ingest
from wordspot.indexer.archive.insertions import AddResult
from wordspot.indexer.archive.locks import ArchiveLocks
from wordspot.indexer.archive.operations import Operations
from wordspot.indexer.archive.originals import Originals
from wordspot.indexer.archive.peaks import PeakStore
from wordspot.indexer.archive.quarantine import advising_repair, check_archive
from wordspot.indexer.archive.recordings import Recordings
from wordspot.indexer.archive.refreshing import Refreshing, RefreshStep
from wordspot.indexer.archive.serving import ServedArchives
from wordspot.indexer.archive.summaries import (
    ArchiveSummary,
    CheckSummary,
    CompactionSummary,
    FilePiece,
    OperationSummary,
    Page,
    PeakSummary,
    RecordingState,
    RecordingSummary,
)
from wordspot.indexer.archive.tagging import Tags
from wordspot.indexer.archive.uploads import StoredAudio, Upload
from wordspot.indexer.archive.verdicts import Verdicts
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS, MAX_RECORDING_SECONDS, MAX_UPLOAD_BYTES
from wordspot.indexer.records import Embedder, Region, Samples, Segmenter
from wordspot.indexer.streams import Stream
from wordspot.indexer.vectors.policy import IndexPolicy

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder
    from wordspot.indexer.sound.original import OriginalSound


class Library:
    """The archives of one home directory, which is created if needed; the orphans of a crash are removed.

    Args:
        home: the directory.
        database_url: of SQLAlchemy; None for a SQLite file in the home.
        decoder: of files, those that clients send included.
        indexing_decoder: of the recordings that are indexed; None for the same.
        segmenter: that finds speech and proposes spans.
        embedder_for: by encoder name; raises NotFound.
        default_encoder: name, for archives without one.
        roots: only files below these are added by path.
        index: policy of the vector indexes.
        max_recording_seconds: longer recordings cannot be indexed.
        max_upload_bytes: of one file.
        workers: threads of an indexing operation.
        limits: of a batch of recordings.
        wait_seconds: how long to wait for another process that has the home open.
        read_only: whether only to read a home that another process may be changing.

    Raises:
        FailedPrecondition: if the home is in use, cannot be used, is of a newer version or belongs to another
            catalogue.
        DataLoss: if the catalogue is damaged.
        Exhausted: on a full disk.
        StorageFailed: on a disk that fails.
    """

    def __init__(
        self,
        home: Path,
        *,
        database_url: str | None = None,
        decoder: Decoder,
        indexing_decoder: Decoder | None = None,
        segmenter: Segmenter,
        embedder_for: Callable[[str], Embedder],
        default_encoder: str,
        roots: Sequence[Path],
        index: IndexPolicy | None = None,
        max_recording_seconds: float = MAX_RECORDING_SECONDS,
        max_upload_bytes: int = MAX_UPLOAD_BYTES,
        workers: int = 2,
        limits: BatchLimits | None = None,
        wait_seconds: float = 0.0,
        read_only: bool = False,
    ) -> None:
        self._locks, self._read_only = ArchiveLocks(), read_only
        with files.reporting_disk_errors("opening the home"), ExitStack() as opening:
            self._home = opening.enter_context(closing(Home(home, wait_seconds, read_only=read_only)))
            self._seal, self._catalogue = opening.enter_context(
                opened_catalogue(self._home, database_url, read_only=read_only)
            )
            self._audio = StoredAudio(self._catalogue, self._home)
            originals = Originals(self._home.root, roots)
            self._additions = Additions(
                self._catalogue,
                self._home,
                self._audio,
                originals,
                decoder,
                max_upload_bytes=max_upload_bytes,
                changed=lambda archive: self._served.reread_recordings(archive),
            )
            served = FollowedArchives if read_only else ServedArchives
            self._served = served(self._catalogue, self._home, index or IndexPolicy())
            self._archives = Archives(self._catalogue, self._home, self._locks, self._audio, self._served)
            peaks = PeakStore(self._home.peaks, read_only=read_only)
            self._recordings = Recordings(
                self._catalogue, originals, self._audio, self._served, decoder, max_recording_seconds, peaks
            )
            self.tags, self.verdicts = Tags(self._catalogue), Verdicts(self._catalogue)
            self._refreshing = Refreshing(
                self._catalogue, originals, self._additions, self._audio, self._served
            )
            ingest = partial(
                Ingest,
                originals=originals,
                decoder=indexing_decoder or decoder,
                segmenter=segmenter,
                max_seconds=max_recording_seconds,
                workers=workers,
                limits=limits or BatchLimits(),
                peaks=peaks,
            )
            self.operations = self._started_operations(ingest, embedder_for, default_encoder)
            opening.pop_all()

    def _started_operations(
        self, ingest: Callable[..., Ingest], embedder_for: Callable[[str], Embedder], default_encoder: str
    ) -> Operations:
        attempts, segments = Attempts(self._home.attempts), self._home.segments
        return Operations(
            self._catalogue,
            self._home,
            self._served,
            self._locks,
            ingest=lambda embedder, selection: ingest(
                embedder=embedder, selection=selection, attempts=attempts, segments=segments
            ),
            embedder_for=embedder_for,
            default_encoder=default_encoder,
            read_only=self._read_only,
        )

    def close(self) -> None:
        """Interrupts operations, waits for them and unlocks the home."""
        self.operations.close()
        self._catalogue.close()
        if not self._read_only:
            self._seal.write()
        self._home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # Archives

    def create_archive(self, name: str) -> ArchiveSummary:
        """Creates an archive. Raises InvalidInput for a name that is not allowed, AlreadyExists."""
        return self._archives.create(name)

    def get_archive(self, name: str) -> ArchiveSummary:
        """Returns an archive. Raises NotFound."""
        return self._archives.get(name)

    def list_archives(
        self, after: str = "", limit: int = DEFAULT_PAGE_ITEMS, *, tenant: str | None = None
    ) -> Page[ArchiveSummary]:
        """See Archives.page."""
        return self._archives.page(after, limit, tenant=tenant)

    def delete_archive(self, name: str) -> None:
        """Deletes an archive, also on a full disk.

        Raises:
            NotFound: if there is no such archive.
            FailedPrecondition: if it is being indexed or compacted.
        """
        self._home.deleting(partial(self._archives.delete, name))

    def compact(self, name: str) -> CompactionSummary:
        """Merges segments and removes what was deleted.

        Raises:
            NotFound: if there is no such archive.
            FailedPrecondition: if it was never indexed or is busy.
            ArchiveError: what compaction.compact raises.
        """
        self._home.ensure_writable()
        with advising_repair(name), self._locks.holding(name, "compaction"):
            return compaction.compact(self._catalogue, self._home, self._served.of(name))

    def check(self, name: str) -> Iterator[CheckSummary]:
        """Compares every byte that is stored for an archive with its checksums. Damaged segments are in
        quarantine afterwards; those that are whole again are not. In a home that is only read they are named.

        Yields:
            The result of the catalogue, of each segment, then of each uploaded file, as soon as it is known.

        Raises:
            NotFound: if there is no such archive.
        """
        changed = partial(self._served.forget_view, name)
        return check_archive(self._catalogue, self._home, name, changed, read_only=self._read_only)

    def verify(self, name: str) -> tuple[str, ...]:
        """Returns what `check` finds wrong. Raises NotFound."""
        return tuple(result.problem for result in self.check(name) if result.problem)

    def view(self, archive: str) -> ArchiveView:
        """Returns the current searchable state. Does not block once the archive has been searched or indexed.

        Raises:
            NotFound: if there is no such archive.
            FailedPrecondition: if it was never indexed.
            DataLoss: if opening it has shown that a segment is damaged; later views leave that one out.
        """
        return self._served.view(archive)

    # Recordings

    def add_path(
        self, archive: str, path: Path, request_id: str = "", tags: Mapping[str, str] | None = None
    ) -> tuple[RecordingSummary, bool]:
        """Adds a file by path. Returns the recording, and whether its content was in the archive before.

        Args:
            archive: its name.
            path: absolute, or below one of the roots.
            request_id: a retry with the same id gets the first response; empty for none.
            tags: that the recording gets, besides those that it has.

        Raises:
            NotFound: if there is no such archive or file.
            InvalidInput: if the file cannot be read or is not audio.
            NotAllowed: if the path is outside the roots.
        """
        ((result,),) = self.add_paths(archive, [Addition(path, request_id, tags or {})])
        if isinstance(result, InvalidInput | NotFound):
            raise result
        return result.recording, result.present

    def add_paths(
        self, archive: str, additions: Sequence[Addition]
    ) -> Iterator[Sequence[AddResult | InvalidInput | NotFound]]:
        """See Additions.add_paths."""
        self._home.ensure_room()
        return self._additions.add_paths(archive, additions)

    def begin_upload(
        self,
        archive: str,
        filename: str,
        sha256: str,
        size: int,
        request_id: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Upload:
        """See Additions.begin_upload."""
        self._home.ensure_room()
        return self._additions.begin_upload(archive, filename, sha256, size, request_id, tags or {})

    def get_recording(self, archive: str, recording: str) -> RecordingSummary:
        """Returns a recording. Raises NotFound."""
        return self._recordings.get(archive, recording)

    def list_recordings(
        self,
        archive: str,
        after: str = "",
        limit: int = DEFAULT_PAGE_ITEMS,
        recording_filter: RecordingFilter | None = None,
        states: Collection[RecordingState] = (),
    ) -> Page[RecordingSummary]:
        """See Recordings.page."""
        return self._recordings.page(archive, after, limit, recording_filter, states)

    def matching_recordings(self, archive: str, recording_filter: RecordingFilter) -> frozenset[str]:
        """See Recordings.matching."""
        return self._recordings.matching(archive, recording_filter)

    def delete_recording(self, archive: str, recording: str) -> None:
        """Deletes a recording, also on a full disk: searches that begin afterwards exclude it. Raises
        NotFound."""
        self._home.deleting(partial(self._recordings.delete, archive, recording))

    def clip(
        self, archive: str, recording: str, start: float, end: float, *, track: int = 0, channel: int = 0
    ) -> Samples:
        """See Recordings.clip."""
        return self._recordings.clip(archive, recording, start, end, track=track, channel=channel)

    def original_clip(
        self, archive: str, recording: str, start: float, end: float, *, track: int = 0, channel: int = 0
    ) -> OriginalSound:
        """See Recordings.original_clip."""
        return self._recordings.original_clip(archive, recording, start, end, track=track, channel=channel)

    def content(
        self, archive: str, recording: str, offset: int = 0, length: int = 0
    ) -> Generator[FilePiece, None, None]:
        """See Recordings.content."""
        return self._recordings.content(archive, recording, offset, length)

    def peaks(self, archive: str, recording: str, start: float, end: float, buckets: int) -> PeakSummary:
        """See Recordings.peaks."""
        return self._recordings.peaks(archive, recording, start, end, buckets)

    def region_audio(
        self, archive: str, recording: str, regions: Sequence[Region], stream: Stream | None = None
    ) -> Iterator[Samples]:
        """See Recordings.region_audio."""
        return self._recordings.region_audio(archive, recording, regions, stream)

    def refresh(self, archive: str, folders: Sequence[Path] = ()) -> Iterator[RefreshStep]:
        """See Refreshing.refresh."""
        self._home.ensure_writable()
        return self._refreshing.refresh(archive, folders)

    def prune(self, archive: str, folders: Sequence[Path] = ()) -> tuple[RecordingSummary, ...]:
        """Deletes, also on a full disk, the recordings whose files are missing, and returns them. See
        Refreshing.prune."""
        pruned: list[RecordingSummary] = []
        prune = partial(self._refreshing.prune, archive, folders)
        self._home.deleting(lambda: pruned.extend(chain.from_iterable(prune())))
        return tuple(pruned)

    # Operations

    def start_index(
        self,
        archive: str,
        encoder: str = "",
        request_id: str = "",
        *,
        channels: str = "",
        tracks: str = "",
        drop_missing: bool = False,
    ) -> OperationSummary:
        """See Operations.start."""
        return self.operations.start(
            archive, encoder, request_id, channels=channels, tracks=tracks, drop_missing=drop_missing
        )

    def repair(self, archive: str) -> OperationSummary:
        """See Operations.repair."""
        return self.operations.repair(archive)

    def get_operation(self, operation: str) -> OperationSummary:
        """Returns an operation. Raises NotFound."""
        return self.operations.get(operation)

    def list_operations(
        self, archive: str, after: str = "", limit: int = DEFAULT_PAGE_ITEMS
    ) -> Page[OperationSummary]:
        """See Operations.page."""
        return self.operations.page(archive, after, limit)

    def watch_operation(
        self, operation: str, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[OperationSummary]:
        """See Operations.watch."""
        return self.operations.watch(operation, stopped)

    def cancel_operation(self, operation: str) -> OperationSummary:
        """See Operations.cancel."""
        return self.operations.cancel(operation)

    def resume_operation(self, operation: str) -> OperationSummary:
        """See Operations.resume."""
        return self.operations.resume(operation)

    def interrupted_operations(self) -> tuple[str, ...]:
        """See Operations.interrupted."""
        return self.operations.interrupted()
