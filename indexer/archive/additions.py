"""Adding recordings, by path and by upload, idempotently.

    inspect (checksum, probe) -> one transaction for many files: recordings and requests

A retry with the request id of a request that was answered gets the same response and adds nothing
(idempotency keys). A recording is identified by the SHA-256 of its content.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.orm import Session

from wordspot.indexer.archive import files, lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.insertions import CHANGES, AddResult, InspectedFile, insert_files
from wordspot.indexer.archive.originals import Originals, settled_stamp
from wordspot.indexer.archive.summaries import FileChange, FileStatus, RecordingSummary
from wordspot.indexer.archive.tables import Archive, Recording, Request
from wordspot.indexer.archive.uploads import StoredAudio, Upload, safe_suffix
from wordspot.indexer.errors import ArchiveError, InvalidInput, NotAllowed, NotFound, StorageFailed
from wordspot.indexer.faults import reach
from wordspot.indexer.paths import path_text
from wordspot.indexer.sound.opened import OpenFile, opened
from wordspot.indexer.sound.reader import AudioInfo
from wordspot.indexer.tags import checked_tags

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder

INSPECTION_THREADS, MAX_PENDING_INSPECTIONS = 4, 8  # of files
MAX_TRANSACTION_FILES, MAX_TRANSACTION_SECONDS = 256, 1.0  # whichever comes first
InspectionT = TypeVar("InspectionT")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Unseen(NotFound):
    """There is no file of the expected content below the roots; nothing was added."""


@dataclass(frozen=True)
class Addition:
    """A file to be added.

    Attributes:
        path: absolute, or below one of the roots.
        request_id: a retry with the same id gets the first response; empty for none.
        tags: that the recording gets, besides those that it has.
        sha256: of the content that it must have, hexadecimal; empty for any.
    """

    path: Path
    request_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    @property
    def fingerprint(self) -> str:
        """Identifies what is requested."""
        return f"add {path_text(self.path)}"


@dataclass(frozen=True)
class _UploadRequest:
    """What `begin_upload` takes, checked."""

    filename: str
    sha256: str
    size: int
    request_id: str
    tags: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Identifies what is requested."""
        return f"upload {self.sha256}"


class Additions:
    """Adds recordings to archives."""

    def __init__(
        self,
        catalogue: Catalogue,
        home: Home,
        audio: StoredAudio,
        originals: Originals,
        decoder: Decoder,
        *,
        max_upload_bytes: int,
        changed: Callable[[str], None] = lambda archive: None,
    ) -> None:
        """Takes what additions need.

        Args:
            catalogue: of the home.
            home: where uploads are stored.
            audio: the uploaded files.
            originals: where files that are added by path are opened.
            decoder: of files, those that clients send included.
            max_upload_bytes: of one file.
            changed: called with the name of an archive whose recordings have other paths or states now.
        """
        self._catalogue, self._home, self._audio, self._decoder = catalogue, home, audio, decoder
        self._originals = originals
        self._max_upload, self._changed = max_upload_bytes, changed

    def add_paths(
        self, archive: str, additions: Sequence[Addition]
    ) -> Iterator[Sequence[AddResult | InvalidInput | NotFound]]:
        """Adds files by path, several a transaction.

        Yields:
            The results of each transaction once it is committed, in order: the recording and whether its
            content was in the archive before, or InvalidInput, or NotFound for a file that does not exist.

        Raises:
            NotFound: if there is no such archive.
            NotAllowed: if a file is outside the roots, once earlier files are committed and yielded.
        """
        for batch in self._inspected_batches(archive, additions):
            results: Iterator[AddResult | InvalidInput] = iter(())
            if contents := [inspection for inspection in batch if isinstance(inspection, InspectedFile)]:
                with self._audio.lock:
                    inserted = insert_files(self._catalogue, self._originals, archive, contents)
                reach("add-committed")
                self._note(archive, inserted)
                results = iter(inserted)
            yield [
                next(results) if isinstance(inspection, InspectedFile) else inspection for inspection in batch
            ]

    def begin_upload(
        self,
        archive: str,
        filename: str,
        sha256: str,
        size: int,
        request_id: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Upload:
        """Begins an upload: write the chunks, then `finish`, or `abort`.

        Args:
            archive: its name.
            filename: for people; its suffix hints at the format.
            sha256: of the content, hexadecimal.
            size: in bytes.
            request_id: a retry with the same id gets the first response; empty for none.
            tags: that the recording gets, besides those that it has.

        Raises:
            NotFound: if there is no such archive.
            InvalidInput: if an argument is not valid.
            Exhausted: on a full disk.
        """
        if not _SHA256.fullmatch(sha256.lower()):
            raise InvalidInput(f"SHA-256 must have 64 hexadecimal digits, got {sha256!r}")
        if not 0 < size <= self._max_upload:
            raise InvalidInput(f"size must be between 1 and {self._max_upload:,} bytes, got {size}")
        sha256 = sha256.lower()
        name = _storable_text(filename, "file name")
        request = _UploadRequest(name, sha256, size, request_id, checked_tags(tags or {}))
        with self._catalogue.reading() as session:
            lookups.answered_request(
                session, lookups.archive_by_name(session, archive), request_id, request.fingerprint
            )
        return Upload(self._home.uploads, name, sha256, size, partial(self._accept, archive, request))

    def _inspected_batches(
        self, archive: str, additions: Sequence[Addition]
    ) -> Iterator[list[InspectedFile | AddResult | InvalidInput | NotFound]]:
        """Yields batches for a transaction each: files, responses of earlier requests, and exceptions."""
        earlier_results = self._earlier_results(archive, additions)
        batch: list[InspectedFile | AddResult | InvalidInput | NotFound] = []
        start = time.monotonic()

        def inspect(addition: Addition) -> InspectedFile | AddResult:
            return _previous_result(earlier_results, addition) or self._content(archive, addition)

        with ThreadPoolExecutor(INSPECTION_THREADS, thread_name_prefix="adding") as pool:
            for inspection in _inspections(pool, inspect, additions):
                try:
                    batch.append(inspection.result())
                except (InvalidInput, NotFound) as error:
                    batch.append(error)
                except ArchiveError:
                    if batch:
                        yield batch
                    raise
                if len(batch) >= MAX_TRANSACTION_FILES or time.monotonic() - start >= MAX_TRANSACTION_SECONDS:
                    yield batch
                    batch, start = [], time.monotonic()
        if batch:
            yield batch

    def _earlier_results(
        self, archive: str, additions: Sequence[Addition]
    ) -> dict[str, tuple[str, AddResult | None]]:
        """Returns fingerprint and result of earlier requests, by request id. None for other than
        additions."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            requests = lookups.answered_requests(
                session, row, [addition.request_id for addition in additions]
            )
            return {
                request_id: (
                    request.fingerprint,
                    None if request.recording_number is None else self._earlier_result(session, row, request),
                )
                for request_id, request in requests.items()
            }

    def _note(self, archive: str, results: Sequence[AddResult | InvalidInput]) -> None:
        if any(not isinstance(each, InvalidInput) and each.status in CHANGES for each in results):
            self._changed(archive)

    def inspected(
        self, archive: str, file: OpenFile, path: str, location: str, expected: str = ""
    ) -> InspectedFile:
        """Returns what is to be known of a file, which is read unless it is known by its stamp.

        Args:
            archive: name of the one that is to have it.
            file: open.
            path: for people.
            location: where it lies.
            expected: SHA-256 of its content; empty for any.

        Raises:
            NotFound: if there is no such archive.
            Unseen: if its content is not the expected one.
            InvalidInput: if it cannot be read or is not audio.
        """
        stamp = settled_stamp(file)
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            known = lookups.recording_by_stamp(session, row, location, stamp)
        if known is not None and expected in ("", known.sha256):
            info = AudioInfo(known.seconds, known.sample_rate, known.channels, known.format)
            return InspectedFile(path, location, known.sha256, known.size, info, "", "", stamp=stamp)
        try:
            sha256, size = self._originals.content_of(file)
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
        if expected not in ("", sha256):
            raise Unseen(f"{path} has another content here")
        info = self._decoder.probe(file)
        if settled_stamp(file) != stamp:
            stamp = None
        return InspectedFile(path, location, sha256, size, info, "", "", stamp=stamp)

    def _content(self, archive: str, addition: Addition) -> InspectedFile:
        """Inspects the whole file. Raises what `add_paths` raises, and InvalidInput."""
        path = _storable_text(path_text(addition.path), "path")
        tags = checked_tags(addition.tags)
        try:
            with self._originals.named(addition.path) as (file, location):
                stored = _storable_text(path_text(location), "path")
                content = self.inspected(archive, file, path, stored, addition.sha256)
        except (NotAllowed, NotFound, InvalidInput) as error:
            if addition.sha256 and not isinstance(error, Unseen):
                raise Unseen(str(error)) from error
            raise
        content = replace(
            content, request_id=addition.request_id, fingerprint=addition.fingerprint, tags=tags
        )
        reach("add-inspected")
        return content

    def _accept(self, archive: str, request: _UploadRequest, path: Path) -> tuple[RecordingSummary, bool]:
        """Stores a complete upload: first the file, then the catalogue."""
        with opened(path) as file:
            info = self._decoder.probe(replace(file, name=request.filename))
        name = f"{request.sha256}{safe_suffix(request.filename)}"
        location = self._home.upload_location(name)
        content = InspectedFile(
            path=request.filename,
            location=location,
            sha256=request.sha256,
            size=request.size,
            info=info,
            request_id=request.request_id,
            fingerprint=request.fingerprint,
            tags=request.tags,
        )
        with self._audio.lock:
            try:
                with files.reporting_disk_errors("keeping an upload"):
                    files.replace_durably(path, self._home.audio / name)
                    reach("upload-renamed")
                (result,) = insert_files(self._catalogue, self._originals, archive, [content])
                if isinstance(result, InvalidInput):
                    raise result
            except StorageFailed:
                raise  # it may be in the catalogue; if it is not, the next start removes the file
            except ArchiveError:
                self._audio.remove_unreferenced(location)
                raise
            self._audio.remove_unreferenced(location)
        reach("upload-committed")
        self._note(archive, [result])
        return result.recording, result.present

    def _earlier_result(self, session: Session, archive: Archive, request: Request) -> AddResult:
        recording = session.get_one(Recording, request.recording_number)
        status = FileStatus.PRESENT if request.already_present else FileStatus.ADDED
        return FileChange(lookups.summary_of_recording(session, archive, recording), status)


def _inspections(
    pool: ThreadPoolExecutor, inspect: Callable[[Addition], InspectionT], additions: Iterable[Addition]
) -> Iterator[Future[InspectionT]]:
    """Yields inspections in order; a few are submitted in advance."""
    pending: deque[Future[InspectionT]] = deque()
    for addition in additions:
        pending.append(pool.submit(inspect, addition))
        if len(pending) > MAX_PENDING_INSPECTIONS:
            yield pending.popleft()
    yield from pending


def _previous_result(
    earlier_results: dict[str, tuple[str, AddResult | None]], addition: Addition
) -> AddResult | None:
    """Returns the result of an earlier request. Raises InvalidInput for an invalid request id."""
    lookups.check_request_id(addition.request_id)
    fingerprint, result = earlier_results.get(addition.request_id, (addition.fingerprint, None))
    lookups.check_fingerprint(addition.request_id, fingerprint, addition.fingerprint)
    return result


def _storable_text(value: str, what: str) -> str:
    """Returns the value. Raises InvalidInput unless every database can store it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} must be valid UTF-8, got {value!r}") from None
    if "\0" in value:
        raise InvalidInput(f"{what} must have no NUL character, got {value!r}")
    return value
