"""Insertions: inspected files become recordings, and requests are remembered, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.originals import Original, Originals
from wordspot.indexer.archive.succession import displace, note_change, supersede
from wordspot.indexer.archive.summaries import FileChange, FileStatus
from wordspot.indexer.archive.tables import Archive, Recording, Request, now
from wordspot.indexer.archive.tagging import add_tags
from wordspot.indexer.errors import InvalidInput

if TYPE_CHECKING:
    from wordspot.indexer.sound.reader import AudioInfo

AddResult = FileChange
_Insertion = tuple[Recording, FileStatus, str]  # and the path that the recording had before


# Of paths and states that views hold.
CHANGES = (FileStatus.CHANGED, FileStatus.RENAMED, FileStatus.FOUND)


@dataclass(frozen=True)
class InspectedFile:
    """A file about to become a recording.

    Attributes:
        path: for people.
        location: as in the catalogue.
        sha256: of the content, hexadecimal.
        size: in bytes.
        info: of its audio.
        request_id: of the request, or empty.
        fingerprint: of the request.
        tags: that the recording gets, checked.
        stamp: of the file when it was read; None if it is not settled.
    """

    path: str
    location: str
    sha256: str
    size: int
    info: AudioInfo
    request_id: str
    fingerprint: str
    tags: Mapping[str, str] = field(default_factory=dict)
    stamp: str | None = None


def insert_files(
    catalogue: Catalogue, originals: Originals, archive: str, contents: Sequence[InspectedFile]
) -> list[AddResult | InvalidInput]:
    """Inserts files as recordings of an archive in one transaction.

    Returns:
        The result of each, in order; InvalidInput for a request id that was used with another fingerprint.

    Raises:
        NotFound: if there is no such archive.
    """
    with catalogue.writing() as session:
        row = lookups.archive_by_name(session, archive)
        recordings_by_sha256 = lookups.live_recordings_by_sha256(
            session, row, [content.sha256 for content in contents]
        )
        fingerprints, insertions = _earlier_requests(session, row, contents)
        new_requests: list[InspectedFile] = []
        outcomes: list[_Insertion | InvalidInput] = []
        for content in contents:
            request_id = content.request_id
            try:
                lookups.check_fingerprint(
                    request_id, fingerprints.get(request_id, content.fingerprint), content.fingerprint
                )
            except InvalidInput as error:
                outcomes.append(error)
                continue
            insertion = insertions.get(request_id) or _find_or_insert(
                session, originals, row, content, recordings_by_sha256
            )
            outcomes.append(insertion)
            if request_id and request_id not in insertions:
                insertions[request_id], fingerprints[request_id] = insertion, content.fingerprint
                new_requests.append(content)
        session.flush()
        outcomes = [
            _tagged(session, content, outcome) for content, outcome in zip(contents, outcomes, strict=True)
        ]
        session.add_all(
            _request_row(row, content, insertions[content.request_id]) for content in new_requests
        )
        recordings = [outcome[0] for outcome in outcomes if not isinstance(outcome, InvalidInput)]
        summaries = iter(lookups.summaries_of_recordings(session, row, recordings))
        if any(not isinstance(outcome, InvalidInput) and outcome[1] in CHANGES for outcome in outcomes):
            note_change(session, row.id)
        return [
            outcome if isinstance(outcome, InvalidInput) else FileChange(next(summaries), *outcome[1:])
            for outcome in outcomes
        ]


def _tagged(
    session: Session, content: InspectedFile, outcome: _Insertion | InvalidInput
) -> _Insertion | InvalidInput:
    """Adds a file's tags to its recording; returns the outcome, or InvalidInput for too many tags."""
    if isinstance(outcome, InvalidInput):
        return outcome
    try:
        add_tags(session, outcome[0].number, content.tags)
    except InvalidInput as error:
        return error
    return outcome


def _find_or_insert(
    session: Session,
    originals: Originals,
    archive: Archive,
    content: InspectedFile,
    recordings_by_sha256: dict[str, Recording],
) -> _Insertion:
    """Returns the recording of a content; a new one is inserted and added to recordings_by_sha256.

    What was added from the same file before is superseded. It is only missing where a recording was moved
    onto its file: it may have verdicts, and its sound may be found elsewhere.
    """
    recording = recordings_by_sha256.get(content.sha256)
    if recording is None:
        recording = recordings_by_sha256[content.sha256] = _recording_row(archive, content)
        session.add(recording)
        changed = _supersedes(session, archive, recording, content)
        return recording, FileStatus.CHANGED if changed else FileStatus.ADDED, ""
    status, previous_path = FileStatus.PRESENT, ""
    if recording.location == content.location:
        status = FileStatus.PRESENT if recording.missing_since is None else FileStatus.FOUND
        _settle(recording, content)
    elif not originals.holds(Original.of(recording), recording.stamp):
        # From now on the same content is read from the new file.
        status, previous_path = FileStatus.RENAMED, recording.path
        recording.path, recording.location = content.path, content.location
        _settle(recording, content)
    if status is FileStatus.RENAMED:
        displace(session, archive, recording, content.location)
    elif _supersedes(session, archive, recording, content) and status is FileStatus.PRESENT:
        status = FileStatus.CHANGED
    return recording, status, previous_path


def _settle(recording: Recording, content: InspectedFile) -> None:
    """Notes that the recording's file is there."""
    recording.stamp = content.stamp
    recording.missing_since = recording.superseded_by = None


def _supersedes(session: Session, archive: Archive, recording: Recording, content: InspectedFile) -> bool:
    """Has a recording succeed those that were added from the content's file; returns whether there are any.
    Uploads are files of their own."""
    absolute = Path(content.location).is_absolute()
    return absolute and bool(supersede(session, archive, recording, content.location))


def _earlier_requests(
    session: Session, archive: Archive, contents: Sequence[InspectedFile]
) -> tuple[dict[str, str], dict[str, _Insertion]]:
    """Returns the fingerprints of earlier requests with the same ids, and what they inserted, by request
    id."""
    requests = lookups.answered_requests(session, archive, [content.request_id for content in contents])
    fingerprints = {request_id: request.fingerprint for request_id, request in requests.items()}
    insertions = {
        request_id: (
            session.get_one(Recording, request.recording_number),
            FileStatus.PRESENT if request.already_present else FileStatus.ADDED,
            "",
        )
        for request_id, request in requests.items()
        if request.recording_number is not None
    }
    return fingerprints, insertions


def _recording_row(archive: Archive, content: InspectedFile) -> Recording:
    return Recording(
        id=uuid.uuid4().hex[:16],
        archive_id=archive.id,
        path=content.path,
        location=content.location,
        sha256=content.sha256,
        size=content.size,
        seconds=content.info.seconds,
        sample_rate=content.info.sample_rate,
        channels=content.info.channels,
        format=content.info.format,
        stamp=content.stamp,
        created=now(),
    )


def _request_row(archive: Archive, content: InspectedFile, insertion: _Insertion) -> Request:
    """Returns the row of an answered request; the recording must have its number."""
    return Request(
        archive_id=archive.id,
        request_id=content.request_id,
        fingerprint=content.fingerprint,
        recording_number=insertion[0].number,
        already_present=insertion[1] not in (FileStatus.ADDED, FileStatus.CHANGED),
    )
