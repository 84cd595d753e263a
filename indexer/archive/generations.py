"""Generations: which segments an archive has under an encoder, and how one generation replaces another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from wordspot.indexer.archive import compaction, files, lookups
from wordspot.indexer.archive.batches import Batch, PendingRecording
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.originals import Original, Originals
from wordspot.indexer.archive.origins import Origin
from wordspot.indexer.archive.segments import SegmentReader, verify
from wordspot.indexer.archive.serving import ServedArchives, ServedGeneration
from wordspot.indexer.archive.succession import retire
from wordspot.indexer.archive.tables import (
    Archive,
    Generation,
    GenerationState,
    IndexedRecording,
    Recording,
    Segment,
    now,
)
from wordspot.indexer.errors import DataLoss, FailedPrecondition
from wordspot.indexer.faults import reach
from wordspot.indexer.paths import readable, readable_path
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import Selection

NAMED_PATHS = 3  # in a message

_log = logging.getLogger(__name__)


def target_generation(
    session: Session,
    home: Home,
    archive: Archive,
    encoder: EncoderInfo,
    selection: Selection,
    abandoned: list[str],
    *,
    lossy: bool = False,
) -> tuple[Generation, frozenset[int]]:
    """Returns the generation of the encoder and selection to index into; a new one if the archive has none.

    Damaged segments are taken out of it, so that their recordings are indexed again: the numbers of these are
    returned as well.

    Args:
        session: of a transaction that writes.
        home: where the segments lie.
        archive: to index.
        encoder: to index with.
        selection: of channels and tracks.
        abandoned: receives the names of segments that no generation has any more.
        lossy: whether damaged segments are taken out also where the files of their recordings are gone.
    """
    serving = lookups.generation_in_state(session, archive, GenerationState.SERVING)
    building = lookups.generation_in_state(session, archive, GenerationState.BUILDING)
    for generation in (serving, building):
        if generation is not None and (generation.encoder_info, generation.selection) == (encoder, selection):
            damaged = _damaged_segments(session, home, generation, lossy)
            numbers = frozenset(
                session.scalars(
                    select(IndexedRecording.recording_number)
                    .join(Segment, Segment.id == IndexedRecording.segment_id)
                    .where(Segment.name.in_(damaged))
                )
            )
            session.execute(delete(Segment).where(Segment.name.in_(damaged)))
            abandoned.extend(damaged)
            return generation, numbers
    if building is not None:
        abandoned.extend(session.scalars(select(Segment.name).where(Segment.generation_id == building.id)))
        session.execute(delete(Generation).where(Generation.id == building.id))
    state = GenerationState.SERVING if serving is None else GenerationState.BUILDING
    generation = Generation(archive_id=archive.id, encoder_info=encoder, selection=selection, state=state)
    session.add(generation)
    session.flush()
    return generation, frozenset()


def _damaged_segments(session: Session, home: Home, generation: Generation, lossy: bool) -> list[str]:
    """Returns the names of the damaged segments that are to be indexed anew.

    Those in quarantine that are whole, since a disk had failed for a while, are released. Unless `lossy`,
    those are left in quarantine whose recordings cannot be read again.
    """
    damaged = []
    for segment in session.scalars(select(Segment).where(Segment.generation_id == generation.id)):
        path = home.segments / segment.name
        try:
            if segment.damage is None:
                SegmentReader.open(path, segment.manifest_sha256)
                continue
        except DataLoss:
            pass
        try:
            verify(path, segment.manifest_sha256)
            segment.damage = None
            continue
        except DataLoss as error:
            segment.damage = str(error)
        if not lossy and (lost := _unreadable_recordings(session, home, segment)):
            _log.warning("%s: it stays in quarantine, for %d recordings are gone", segment.damage, lost)
            continue
        _log.warning("indexing anew what a damaged segment held: %s", segment.damage)
        damaged.append(segment.name)
    return damaged


def _unreadable_recordings(session: Session, home: Home, segment: Segment) -> int:
    """Returns how many recordings of a segment have lost their files."""
    recordings = session.scalars(
        select(Recording)
        .join(IndexedRecording, IndexedRecording.recording_number == Recording.number)
        .where(IndexedRecording.segment_id == segment.id, Recording.deleted_at.is_(None))
    )
    originals = Originals(home.root, ())
    return sum(originals.problem(Original.of(row)) is not None for row in recordings)


def unindexed_recordings(
    session: Session,
    archive: Archive,
    generation: Generation,
    damaged: frozenset[int] | None = None,
) -> tuple[PendingRecording, ...]:
    """Returns the archive's recordings that the generation lacks, in order of adding.

    Args:
        session: of a transaction.
        archive: of the recordings.
        generation: of the archive.
        damaged: only these, by number; None for all.
    """
    indexed = select(IndexedRecording.recording_number).where(IndexedRecording.generation_id == generation.id)
    rows = session.scalars(
        select(Recording)
        .where(
            Recording.archive_id == archive.id,
            Recording.deleted_at.is_(None),
            Recording.superseded_by.is_(None),
            Recording.number.not_in(indexed),
        )
        .order_by(Recording.number)
    )
    return tuple(
        PendingRecording(row.id, Original.of(row), Origin.of(archive.name, row))
        for row in rows
        if damaged is None or row.number in damaged
    )


def commit_batch(catalogue: Catalogue, operation_id: str, generation: int, batch: Batch) -> tuple[str, ...]:
    """Makes a batch part of the generation and counts it in the operation, in one transaction.

    Returns:
        The ids of recordings whose successors have become searchable: these are deleted.
    """
    retired: tuple[str, ...] = ()
    with catalogue.writing() as session:
        operation = lookups.operation_by_id(session, operation_id)
        if batch.segment is not None:
            lookups.insert_segment(session, generation, batch.segment)
            session.connection().execute(
                update(Recording)
                .where(Recording.id == bindparam("recording"))
                .values(seconds=bindparam("decoded"), problem=None, warnings=bindparam("noticed")),
                [
                    {
                        "recording": recording,
                        "decoded": seconds,
                        "noticed": readable("\n".join(batch.warnings.get(recording, ()))) or None,
                    }
                    for recording, seconds in zip(batch.segment.recordings, batch.seconds, strict=True)
                ],
            )
            row = session.get_one(Generation, generation)
            if row.state == GenerationState.SERVING:
                retired = retire(session, row.archive_id, generation)
            operation.recordings_done += len(batch.segment.recordings)
            operation.spans_done += sum(batch.segment.spans)
        for recording, problem in batch.problems.items():
            failed = session.scalars(select(Recording).where(Recording.id == recording)).one()
            failed.problem = readable(problem)
        operation.audio_seconds_done += sum(batch.seconds)
        operation.recordings_failed += len(batch.problems)
        operation.updated = now()
    return retired


def complete(
    catalogue: Catalogue,
    home: Home,
    served: ServedArchives,
    archive_name: str,
    generation: Generation,
    cancelled: threading.Event,
    *,
    drop_missing: bool = False,
) -> None:
    """Brings the index up to date; a generation that was built replaces the one that serves.

    Args:
        catalogue: of the home.
        home: where the segments lie.
        served: the generations that serve searches.
        archive_name: of the archive.
        generation: that was indexed into.
        cancelled: once it is set, small segments stay as they are.
        drop_missing: whether it replaces one that has recordings which it lacks.

    Raises:
        FailedPrecondition: if it lacks recordings that are searchable now.
    """
    if generation.state == GenerationState.SERVING:
        _bring_up_to_date(catalogue, home, served.of(archive_name), cancelled)
        return
    _bring_up_to_date(catalogue, home, served.prepare(archive_name, generation), cancelled)
    reach("generation-ready")
    with served.promotion(archive_name), catalogue.writing() as session:
        archive = lookups.archive_by_name(session, archive_name)
        old = lookups.generation_in_state(session, archive, GenerationState.SERVING)
        assert old is not None
        if not drop_missing:
            check_nothing_lost(session, old, generation)
        names = session.scalars(select(Segment.name).where(Segment.generation_id == old.id)).all()
        session.execute(delete(Generation).where(Generation.id == old.id))
        session.execute(
            update(Generation).where(Generation.id == generation.id).values(state=GenerationState.SERVING)
        )
        retired = retire(session, archive.id, generation.id)
    for recording in retired:
        served.hide_recording(archive_name, recording)
    reach("generation-swapped")
    for name in names:
        files.remove(home.segments / name)
    files.remove(home.cache_of(old.id))


def check_nothing_lost(session: Session, serving: Generation, successor: Generation) -> None:
    """Raises FailedPrecondition if a generation has recordings that its successor lacks."""
    indexed = select(IndexedRecording.recording_number)
    there = indexed.where(IndexedRecording.generation_id == successor.id)
    lost = session.scalars(
        select(Recording.path)
        .where(
            Recording.deleted_at.is_(None),
            Recording.number.in_(indexed.where(IndexedRecording.generation_id == serving.id)),
            Recording.number.not_in(there),
            Recording.superseded_by.is_(None) | Recording.superseded_by.not_in(there),
        )
        .order_by(Recording.number)
    ).all()
    if lost:
        raise losing(lost, serving.encoder)


def check_readable(catalogue: Catalogue, home: Home, serving: Generation) -> None:
    """Raises FailedPrecondition if recordings of a generation cannot be read again."""
    originals = Originals(home.root, ())
    with catalogue.reading() as session:
        rows = session.scalars(
            select(Recording)
            .join(IndexedRecording, IndexedRecording.recording_number == Recording.number)
            .where(
                IndexedRecording.generation_id == serving.id,
                Recording.deleted_at.is_(None),
                Recording.superseded_by.is_(None),
            )
            .order_by(Recording.number)
        ).all()
    lost = [row.path for row in rows if originals.problem(Original.of(row)) is not None]
    if lost:
        raise losing(lost, serving.encoder)


def losing(paths: Sequence[str], encoder: str) -> FailedPrecondition:
    """Returns the refusal to drop recordings that cannot be read again. encoder: that they have."""
    count = "1 recording" if len(paths) == 1 else f"{len(paths)} recordings"
    names = ", ".join(map(readable_path, paths[:NAMED_PATHS])) + ", ..." * (len(paths) > NAMED_PATHS)
    return FailedPrecondition(
        f"{count} cannot be read again and would be lost, {names}: bring the files back, prune the archive, "
        f"or index with --drop-missing; until then it is searched with encoder {encoder!r}"
    )


def _bring_up_to_date(
    catalogue: Catalogue, home: Home, served: ServedGeneration, cancelled: threading.Event
) -> None:
    served.refresh()
    compaction.merge_newest(catalogue, home, served, cancelled)
    served.save()
