"""Merging segments: small ones become large ones, and what was deleted goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from wordspot.indexer import files, queries
from wordspot.indexer.catalogue import Catalogue, Generation, IndexedRecording, Recording, Segment
from wordspot.indexer.errors import Exhausted
from wordspot.indexer.faults import reach
from wordspot.indexer.home import Home
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.segments import SealedSegment, SegmentReader, SegmentWriter, verify
from wordspot.indexer.serving import ServedGeneration
from wordspot.indexer.summaries import CompactionSummary

SEGMENT_BYTES = 512 * 2**20
SEGMENT_RECORDINGS = 10_000


@dataclass(frozen=True)
class _Old:
    """live: ordinals of recordings that are not deleted."""

    segment: Segment
    recordings: int
    live: tuple[int, ...]


def compact(
    catalogue: Catalogue, home: Home, served: ServedGeneration, *, segment_bytes: int = SEGMENT_BYTES
) -> CompactionSummary:
    """Rewrites segments that hold deleted recordings or less than half of segment_bytes.

    Views made before stay valid. Raises DataLoss if a segment is damaged and Exhausted on a full disk;
    nothing has changed then.
    """
    present = _present(catalogue, served.generation)
    old = [
        each for each in present if len(each.live) < each.recordings or each.segment.size < segment_bytes // 2
    ]
    if len(old) == 1 and len(old[0].live) == old[0].recordings:
        old = []
    merged = _merged(home, served.encoder, old, segment_bytes)
    reach("compaction-sealed")
    with served.changing():
        try:
            _swap(catalogue, served.generation, old, merged)
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


def _present(catalogue: Catalogue, generation: int) -> list[_Old]:
    with catalogue.reading() as session:
        segments = session.scalars(
            select(Segment).where(Segment.generation_id == generation).order_by(Segment.id)
        ).all()
        places = session.execute(
            select(IndexedRecording.segment_id, IndexedRecording.ordinal, Recording.deleted_at)
            .join(Recording, Recording.number == IndexedRecording.recording_number)
            .where(IndexedRecording.generation_id == generation)
            .order_by(IndexedRecording.segment_id, IndexedRecording.ordinal)
        ).all()
    live: dict[int, list[int]] = {segment.id: [] for segment in segments}
    count = dict.fromkeys(live, 0)
    for segment_id, ordinal, deleted_at in places:
        count[segment_id] += 1
        if deleted_at is None:
            live[segment_id].append(ordinal)
    return [_Old(segment, count[segment.id], tuple(live[segment.id])) for segment in segments]


def _merged(home: Home, encoder: EncoderInfo, old: Sequence[_Old], segment_bytes: int) -> list[SealedSegment]:
    sealed: list[SealedSegment] = []
    writer: SegmentWriter | None = None
    try:
        for each in old:
            path = home.segments / each.segment.name
            # New checksums must not be put on damaged data.
            verify(path, each.segment.manifest_sha256)
            reader = SegmentReader.open(path, each.segment.manifest_sha256)
            for ordinal in each.live:
                if writer is None:
                    writer = SegmentWriter(home.segments, encoder)
                writer.copy(reader, ordinal)
                if writer.size >= segment_bytes or writer.recordings >= SEGMENT_RECORDINGS:
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


def _swap(
    catalogue: Catalogue, generation: int, old: Sequence[_Old], merged: Sequence[SealedSegment]
) -> None:
    """One transaction, which also drops the rows of deleted recordings that no segment holds any more."""
    with catalogue.writing() as session:
        archive = select(Generation.archive_id).where(Generation.id == generation).scalar_subquery()
        session.execute(delete(Segment).where(Segment.id.in_([each.segment.id for each in old])))
        for segment in merged:
            queries.enter_segment(session, generation, segment)
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
