"""Compaction: merges small segments and removes what was deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from wordspot.indexer.archive import files, lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.segment_writer import SegmentWriter
from wordspot.indexer.archive.segments import SealedSegment, SegmentReader, verify
from wordspot.indexer.archive.serving import ServedGeneration
from wordspot.indexer.archive.summaries import CompactionSummary
from wordspot.indexer.archive.tables import Generation, IndexedRecording, Recording, Segment
from wordspot.indexer.errors import DataLoss, Exhausted
from wordspot.indexer.faults import reach

MAX_SEGMENT_BYTES = 512 * 2**20
MAX_SEGMENT_RECORDINGS = 10_000


@dataclass(frozen=True)
class _SegmentContent:
    """What a segment contains.

    Attributes:
        segment: row of the catalogue.
        recordings: number of recordings.
        live: ordinals of recordings that are not deleted.
    """

    segment: Segment
    recordings: int
    live: tuple[int, ...]


def compact(
    catalogue: Catalogue, home: Home, served: ServedGeneration, *, segment_bytes: int = MAX_SEGMENT_BYTES
) -> CompactionSummary:
    """Rewrites segments with deleted recordings or with less than half of segment_bytes.

    Segments in quarantine stay as they are.

    Earlier views stay valid.

    Args:
        catalogue: of the home.
        home: where the segments lie.
        served: the generation to compact.
        segment_bytes: size at which a merged segment ends.

    Raises:
        DataLoss: if a segment is damaged; it is in quarantine, and nothing else has changed.
        Exhausted: on a full disk; nothing has changed.
    """
    present = _segment_contents(catalogue, served.generation)
    old = [
        each for each in present if len(each.live) < each.recordings or each.segment.size < segment_bytes // 2
    ]
    if len(old) == 1 and len(old[0].live) == old[0].recordings:
        old = []
    merged = _merge(home, served, old, segment_bytes)
    reach("compaction-sealed")
    with served.refresh_blocked():
        try:
            _replace_segments(catalogue, served.generation, old, merged)
        except Exhausted:
            _discard(home, [segment.name for segment in merged])
            raise
        reach("compaction-committed")
        if old:
            served.refresh()
            _discard(home, [each.segment.name for each in old])
            reach("compaction-cleaned")
            served.save()
    return CompactionSummary(
        segments_before=len(present),
        segments_after=len(present) - len(old) + len(merged),
        freed=sum(each.segment.size for each in old) - sum(segment.size for segment in merged),
    )


def _segment_contents(catalogue: Catalogue, generation: int) -> list[_SegmentContent]:
    with catalogue.reading() as session:
        segments = session.scalars(
            select(Segment)
            .where(Segment.generation_id == generation, Segment.damage.is_(None))
            .order_by(Segment.id)
        ).all()
        places = session.execute(
            select(IndexedRecording.segment_id, IndexedRecording.ordinal, Recording.deleted_at)
            .join(Recording, Recording.number == IndexedRecording.recording_number)
            .where(IndexedRecording.segment_id.in_([segment.id for segment in segments]))
            .order_by(IndexedRecording.segment_id, IndexedRecording.ordinal)
        ).all()
    live: dict[int, list[int]] = {segment.id: [] for segment in segments}
    count = dict.fromkeys(live, 0)
    for segment_id, ordinal, deleted_at in places:
        count[segment_id] += 1
        if deleted_at is None:
            live[segment_id].append(ordinal)
    return [_SegmentContent(segment, count[segment.id], tuple(live[segment.id])) for segment in segments]


def _merge(
    home: Home, served: ServedGeneration, old: Sequence[_SegmentContent], segment_bytes: int
) -> list[SealedSegment]:
    sealed: list[SealedSegment] = []
    writer: SegmentWriter | None = None
    try:
        for each in old:
            path = home.segments / each.segment.name
            # Damaged data must not get new checksums.
            try:
                verify(path, each.segment.manifest_sha256)
            except DataLoss as error:
                served.quarantine(each.segment.name, str(error))
                raise
            reader = SegmentReader.open(path, each.segment.manifest_sha256)
            for ordinal in each.live:
                if writer is None:
                    writer = SegmentWriter(home.segments, served.encoder)
                writer.copy(reader, ordinal)
                if writer.size >= segment_bytes or writer.recordings >= MAX_SEGMENT_RECORDINGS:
                    sealed.append(writer.seal())
                    writer = None
        if writer is not None:
            sealed.append(writer.seal())
    except BaseException:
        if writer is not None:
            writer.abort()
        _discard(home, [segment.name for segment in sealed])
        raise
    return sealed


def _replace_segments(
    catalogue: Catalogue, generation: int, old: Sequence[_SegmentContent], merged: Sequence[SealedSegment]
) -> None:
    """Replaces segments in one transaction, and deletes rows of deleted recordings that no segment
    contains."""
    with catalogue.writing() as session:
        archive = select(Generation.archive_id).where(Generation.id == generation).scalar_subquery()
        session.execute(delete(Segment).where(Segment.id.in_([each.segment.id for each in old])))
        for segment in merged:
            lookups.insert_segment(session, generation, segment)
        session.execute(
            delete(Recording).where(
                Recording.archive_id == archive,
                Recording.deleted_at.is_not(None),
                Recording.number.not_in(select(IndexedRecording.recording_number)),
            )
        )


def _discard(home: Home, names: Sequence[str]) -> None:
    for name in names:
        files.remove(home.segments / name)
