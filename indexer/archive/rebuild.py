"""Rebuilding a catalogue that is damaged or lost, from what segments store of their recordings."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.orm import Session

from wordspot.indexer.archive import files, origins
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.catalogue_file import NAME, CatalogueSummary, replace_catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.origins import Origin
from wordspot.indexer.archive.segments import MANIFEST, TEMPORARY, SegmentReader, verify
from wordspot.indexer.archive.tables import (
    Archive,
    Generation,
    GenerationState,
    HomeIdentity,
    IndexedRecording,
    Recording,
    Segment,
    now,
)
from wordspot.indexer.errors import DataLoss
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import Selection


@dataclass(frozen=True)
class RebuildSummary:
    """What rebuilding a catalogue did.

    Attributes:
        catalogue: what the new one lists.
        deleted: recordings that the former catalogue still said to be deleted.
        unusable: segments that cannot be listed, each with the reason; they are set aside.
        uploads: names of uploads that no segment knows; they are set aside.
        unlisted: where these lie; None if there are none.
        replaced: where the former catalogue lies; None if there was none.
    """

    catalogue: CatalogueSummary
    deleted: int
    unusable: tuple[str, ...]
    uploads: tuple[str, ...]
    unlisted: Path | None
    replaced: Path | None


@dataclass(frozen=True)
class _Found:
    """A whole segment. size: in bytes. written: seconds since the epoch."""

    reader: SegmentReader
    manifest_sha256: str
    origins: Sequence[Origin]
    size: int
    written: float


def rebuild(root: Path) -> RebuildSummary:
    """Puts a new catalogue, made from the segments, in the place of a home's. Nothing is deleted.

    What it cannot know: recordings that were not indexed, deletions where the former catalogue cannot be
    read, operations, and requests that were answered. Where an archive was being indexed with another
    encoder, the one that has more recordings serves.

    Raises:
        FailedPrecondition: if the home is in use.
        Exhausted: on a full disk.
        StorageFailed: on a disk that fails.
    """
    with files.reporting_disk_errors("rebuilding the catalogue"), closing(Home(root)) as home:
        found, unusable = _whole_segments(home)
        deleted = _deleted_ids(home.root / NAME)
        prepared = home.root / f"tmp-{uuid.uuid4().hex}.db"
        identity = home.stored_identity() or uuid.uuid4().hex
        try:
            with closing(Catalogue(URL.create("sqlite", database=str(prepared)))) as catalogue:
                listed, left_out = _fill(catalogue, identity, found, deleted)
        except BaseException:
            files.remove(prepared)
            raise
        uploads = {
            Path(origin.location).name
            for each in listed
            for origin in each.origins
            if not Path(origin.location).is_absolute()
        }
        unknown = sorted(path.name for path in home.audio.iterdir() if path.name not in uploads)
        replaced = replace_catalogue(home, prepared)
        home.write_identity(identity)
        recordings = {origin.id for each in listed for origin in each.origins}
        return RebuildSummary(
            CatalogueSummary(
                len({origin.archive for each in listed for origin in each.origins}),
                len(recordings - deleted),
                len(listed),
            ),
            len(recordings & deleted),
            (*unusable, *left_out),
            tuple(unknown),
            home.set_aside({each.reader.name for each in listed}, uploads),
            replaced,
        )


def _whole_segments(home: Home) -> tuple[list[_Found], list[str]]:
    """Returns the segments that can be listed, the newest first, and what is wrong with the others."""
    found, unusable = [], []
    for path in home.segments.iterdir():
        if path.name.startswith(TEMPORARY):
            continue
        try:
            found.append(_examined(path))
        except (DataLoss, OSError, ValueError, KeyError, TypeError) as error:
            unusable.append(str(error) if isinstance(error, DataLoss) else f"segment {path.name}: {error}")
    return sorted(found, key=lambda each: each.written, reverse=True), unusable


def _examined(path: Path) -> _Found:
    """Returns a segment that is whole. Raises DataLoss."""
    try:
        data = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise DataLoss(f"segment {path.name} has no manifest") from None
    sha256 = hashlib.sha256(data).hexdigest()
    verify(path, sha256)
    reader = SegmentReader.open(path, sha256)
    known = [origin for origin in origins.read(path) if origin is not None]
    if not known or [origin.id for origin in known] != list(reader.recordings):
        raise DataLoss(f"segment {path.name} does not say which files its recordings are: index them again")
    size = sum(each.stat().st_size for each in path.iterdir())
    return _Found(reader, sha256, known, size, (path / MANIFEST).stat().st_mtime)


def _deleted_ids(catalogue: Path) -> set[str]:
    """Returns the recordings that a damaged catalogue says to be deleted, as far as it can be read."""
    ids: set[str] = set()
    if not catalogue.is_file():
        return ids
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(catalogue)) as connection:
        for (identity,) in connection.execute("SELECT id FROM recordings WHERE deleted_at IS NOT NULL"):
            ids.add(identity)
    return ids


def _fill(
    catalogue: Catalogue, identity: str, found: Sequence[_Found], deleted: set[str]
) -> tuple[list[_Found], list[str]]:
    """Lists segments in an empty catalogue; returns those listed, and why others were left out."""
    listed: list[_Found] = []
    left_out: list[str] = []
    with catalogue.writing() as session:
        session.add(HomeIdentity(identity=identity))
        for archive, (encoder, selection) in _served(found).items():
            row = Archive(name=archive, created=now())
            session.add(row)
            session.flush()
            generation = Generation(
                archive_id=row.id,
                encoder_info=encoder,
                selection=selection,
                state=GenerationState.SERVING,
            )
            session.add(generation)
            session.flush()
            live: dict[str, Recording] = {}
            chosen, others = _chosen(found, archive, encoder, selection)
            for each in reversed(chosen):
                _list(session, row.id, generation.id, each, deleted, live)
            listed += chosen
            left_out += others
    return listed, left_out


def _served(found: Sequence[_Found]) -> dict[str, tuple[EncoderInfo, Selection]]:
    """Returns encoder and selection of each archive: those that have most of its recordings."""
    recordings: dict[tuple[str, EncoderInfo, Selection], set[str]] = {}
    for each in found:
        for origin in each.origins:
            key = origin.archive, each.reader.encoder, each.reader.selection
            recordings.setdefault(key, set()).add(origin.id)
    best: dict[str, tuple[int, EncoderInfo, Selection]] = {}
    for (archive, encoder, selection), ids in recordings.items():
        if archive not in best or len(ids) > best[archive][0]:
            best[archive] = (len(ids), encoder, selection)
    return {archive: (encoder, selection) for archive, (_, encoder, selection) in sorted(best.items())}


def _chosen(
    found: Sequence[_Found], archive: str, encoder: EncoderInfo, selection: Selection
) -> tuple[list[_Found], list[str]]:
    """Returns an archive's segments without those that a newer one has replaced, and why others are left
    out."""
    taken: set[str] = set()
    chosen, others = [], []
    for each in found:
        if each.origins[0].archive != archive:
            continue
        ids = {origin.id for origin in each.origins}
        if each.reader.encoder != encoder:
            others.append(f"segment {each.reader.name} is of encoder {each.reader.encoder.name!r}")
        elif each.reader.selection != selection:
            others.append(
                f"segment {each.reader.name} is of channels {each.reader.selection.channels}, "
                f"tracks {each.reader.selection.tracks}"
            )
        elif ids & taken:
            others.append(f"segment {each.reader.name} has recordings that a newer one has as well")
        else:
            taken |= ids
            chosen.append(each)
    return chosen, others


def _list(
    session: Session,
    archive: int,
    generation: int,
    found: _Found,
    deleted: set[str],
    live: dict[str, Recording],
) -> None:
    """Lists a segment. live: recordings that are not deleted, by content; the newest of a content stays."""
    segment = Segment(
        generation_id=generation,
        name=found.reader.name,
        manifest_sha256=found.manifest_sha256,
        size=found.size,
        created=now(),
    )
    session.add(segment)
    for ordinal, origin in enumerate(found.origins):
        row: Recording = origin.row(archive)
        if origin.id in deleted:
            row.deleted_at = now()
        elif origin.sha256 in live:
            live[origin.sha256].deleted_at = now()
            session.flush()
        if row.deleted_at is None:
            live[origin.sha256] = row
        session.add(row)
        session.flush()
        spans, _, _ = found.reader.extent(ordinal)
        session.add(
            IndexedRecording(
                segment_id=segment.id,
                ordinal=ordinal,
                generation_id=generation,
                recording_number=row.number,
                spans=spans.stop - spans.start,
                layout=origin.layout,
            )
        )
