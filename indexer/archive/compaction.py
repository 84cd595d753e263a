"""Compaction: merges small segments and removes what was deleted.

Every addition makes a segment, so that small ones are merged without being told as well: by size-tiered
compaction, as log-structured merge-trees do it (O'Neil et al. 1996). That takes the newest segments only and
keeps their rows as they are, deleted ones too: spans keep their numbers, and the index stays valid.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import delete, select

from wordspot.indexer.archive import files, lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.origins import stored_origins
from wordspot.indexer.archive.segment_writer import SegmentWriter
from wordspot.indexer.archive.segments import SealedSegment, SegmentReader, verify
from wordspot.indexer.archive.serving import ServedGeneration
from wordspot.indexer.archive.summaries import CompactionSummary
from wordspot.indexer.archive.tables import Generation, IndexedRecording, Recording, Segment
from wordspot.indexer.errors import DataLoss, Exhausted, StorageFailed
from wordspot.indexer.faults import reach
from wordspot.indexer.streams import Selection

MAX_SEGMENT_BYTES = 512 * 2**20
MAX_SEGMENT_RECORDINGS = 10_000

MERGED_SEGMENTS = 8  # of a tier or below, and the ratio of the sizes of two tiers
_TIER_BYTES = (2**20, 8 * 2**20, 64 * 2**20)
_TIER_RECORDINGS = (20, 160, MAX_SEGMENT_RECORDINGS // MERGED_SEGMENTS)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentContent:
    """What a segment contains.

    Attributes:
        segment: row of the catalogue.
        recordings: number of recordings.
        live: ordinals of recordings that are not deleted.
        layouts: of its recordings as text, by ordinal.
    """

    segment: Segment
    recordings: int
    live: tuple[int, ...]
    layouts: Mapping[int, str | None] = field(default_factory=dict)


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
    present = segment_contents(catalogue, served.generation)
    old = [
        each for each in present if len(each.live) < each.recordings or each.segment.size < segment_bytes // 2
    ]
    if len(old) == 1 and len(old[0].live) == old[0].recordings:
        old = []
    merged = merge_segments(catalogue, home, served, old, segment_bytes)
    with served.refresh_blocked():
        _replace(catalogue, home, served, old, merged)
        if old:
            served.save()
    return CompactionSummary(
        segments_before=len(present),
        segments_after=len(present) - len(old) + len(merged),
        freed=sum(each.segment.size for each in old) - sum(segment.size for segment in merged),
    )


def merge_newest(
    catalogue: Catalogue, home: Home, served: ServedGeneration, cancelled: threading.Event
) -> None:
    """Merges the newest segments while there are MERGED_SEGMENTS of a tier or below. The rows stay as they
    are: the index, which has to be up to date, is not rebuilt.

    What keeps it from merging (damage, which goes into quarantine, or a disk that is full or fails) is only
    logged.

    Args:
        catalogue: of the home.
        home: where the segments lie.
        served: the generation.
        cancelled: once it is set, what was not merged stays as it is.
    """
    try:
        while old := newest_of_a_tier(segment_contents(catalogue, served.generation)):
            everything = [replace(each, live=tuple(range(each.recordings))) for each in old]
            merged = merge_segments(catalogue, home, served, everything, MAX_SEGMENT_BYTES, cancelled.is_set)
            with served.refresh_blocked():
                _replace(catalogue, home, served, old, merged, same_rows=True)
    except MergingCancelled:
        _log.info("merging segments of generation %s was cancelled", served.generation)
    except (DataLoss, Exhausted, StorageFailed, OSError) as error:
        _log.warning("segments of generation %s were not merged: %s", served.generation, error)


def newest_of_a_tier(segments: Sequence[SegmentContent]) -> Sequence[SegmentContent]:
    """Returns the newest segments, all of a tier or below, if there are MERGED_SEGMENTS or more of them; of
    the highest tier of which this is true.

    Args:
        segments: of a generation, the oldest first.
    """
    tiers = [_tier(segment) for segment in segments]
    for tier in reversed(range(len(_TIER_BYTES))):
        count = next((number for number, other in enumerate(reversed(tiers)) if other > tier), len(tiers))
        if count >= MERGED_SEGMENTS:
            return segments[-count:]
    return ()


def _tier(content: SegmentContent) -> int:
    """Returns the tier of a segment; len(_TIER_BYTES) for one that is large enough to stay."""
    return max(
        bisect_right(_TIER_BYTES, content.segment.size), bisect_right(_TIER_RECORDINGS, content.recordings)
    )


def _replace(
    catalogue: Catalogue,
    home: Home,
    served: ServedGeneration,
    old: Sequence[SegmentContent],
    merged: Sequence[SealedSegment],
    *,
    same_rows: bool = False,
) -> None:
    """Replaces segments by what was merged from them, while refreshes are blocked.

    same_rows: the merged ones have all their rows, in order. Raises Exhausted; nothing has changed then.
    """
    reach("compaction-sealed")
    old_names, new_names = [each.segment.name for each in old], [segment.name for segment in merged]
    try:
        _replace_rows(catalogue, served.generation, old, merged)
    except Exhausted:
        _discard(home, new_names)
        raise
    reach("compaction-committed")
    if old:
        if same_rows:
            served.rename_indexed(old_names, new_names)
        served.refresh()
        _discard(home, old_names)
        reach("compaction-cleaned")


class MergingCancelled(Exception):
    """Merging was cancelled."""


def segment_contents(catalogue: Catalogue, generation: int) -> list[SegmentContent]:
    """Returns what the segments of a generation contain that are not in quarantine, the oldest first."""
    with catalogue.reading() as session:
        segments = session.scalars(
            select(Segment)
            .where(Segment.generation_id == generation, Segment.damage.is_(None))
            .order_by(Segment.id)
        ).all()
        places = session.execute(
            select(
                IndexedRecording.segment_id,
                IndexedRecording.ordinal,
                Recording.deleted_at,
                IndexedRecording.layout,
            )
            .join(Recording, Recording.number == IndexedRecording.recording_number)
            .where(IndexedRecording.segment_id.in_([segment.id for segment in segments]))
            .order_by(IndexedRecording.segment_id, IndexedRecording.ordinal)
        ).all()
    live: dict[int, list[int]] = {segment.id: [] for segment in segments}
    layouts: dict[int, dict[int, str | None]] = {segment.id: {} for segment in segments}
    for segment_id, ordinal, deleted_at, layout in places:
        layouts[segment_id][ordinal] = layout
        if deleted_at is None:
            live[segment_id].append(ordinal)
    return [
        SegmentContent(each, len(layouts[each.id]), tuple(live[each.id]), layouts[each.id])
        for each in segments
    ]


def merge_segments(
    catalogue: Catalogue,
    home: Home,
    served: ServedGeneration,
    old: Sequence[SegmentContent],
    segment_bytes: int,
    cancelled: Callable[[], bool] = lambda: False,
    selection: Selection | None = None,
) -> list[SealedSegment]:
    """Copies the live recordings into new segments. Raises DataLoss, Exhausted, MergingCancelled.

    selection: of the new segments; None for that of the generation.
    """
    selection = selection or served.selection
    sealed: list[SealedSegment] = []
    writer: SegmentWriter | None = None
    try:
        for each in old:
            if cancelled():
                raise MergingCancelled
            path = home.segments / each.segment.name
            # Damaged data must not get new checksums.
            try:
                verify(path, each.segment.manifest_sha256)
            except DataLoss as error:
                served.quarantine(each.segment.name, str(error))
                raise
            reader = SegmentReader.open(path, each.segment.manifest_sha256)
            with catalogue.reading() as session:
                origins = stored_origins(session, reader.recordings)
            for ordinal in each.live:
                if writer is None:
                    writer = SegmentWriter(home.segments, served.encoder, selection)
                origin = origins.get(reader.recordings[ordinal])
                writer.copy(reader, ordinal, origin, each.layouts.get(ordinal))
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


def _replace_rows(
    catalogue: Catalogue, generation: int, old: Sequence[SegmentContent], merged: Sequence[SealedSegment]
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
