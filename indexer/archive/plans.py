"""Plans: what an operation indexes, and what a change of selection leaves as it is.

An archive's segments are of one encoder and one selection of channels and tracks. Under another selection a
new generation is built, which replaces the old one once it is complete; recordings that have the same streams
under both are copied into it and not read again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from wordspot.indexer.archive import generations, lookups
from wordspot.indexer.archive.batches import PendingRecording
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.compaction import (
    MAX_SEGMENT_BYTES,
    MergingCancelled,
    SegmentContent,
    merge_segments,
    segment_contents,
)
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.serving import ServedGeneration
from wordspot.indexer.archive.tables import (
    Archive,
    Generation,
    GenerationState,
    IndexedRecording,
    Operation,
    Recording,
    Segment,
)
from wordspot.indexer.errors import DataLoss
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import decoded

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexingTask:
    """An operation that a thread runs.

    Attributes:
        operation: its id.
        archive: name of the archive.
        generation: that is indexed into.
        sources: recordings to index.
        reuses: whether other recordings are copied from the generation that serves, before.
        drop_missing: whether recordings are dropped that cannot be read again.
        cancelled: set to stop the thread.
    """

    operation: str
    archive: str
    generation: Generation
    sources: tuple[PendingRecording, ...]
    reuses: bool = False
    drop_missing: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)


def planned(
    session: Session,
    home: Home,
    archive: Archive,
    operation: Operation,
    encoder: EncoderInfo,
    abandoned: list[str],
    *,
    repair: bool,
    everything: bool,
) -> IndexingTask:
    """Returns what an operation has to do, and counts that in its row.

    Args:
        session: of a transaction that writes.
        home: where the segments lie.
        archive: to index.
        operation: with the selection to index.
        encoder: to index with.
        abandoned: receives the names of segments that no generation has any more.
        repair: whether damaged segments are taken out even where recordings are lost.
        everything: whether to index all that the generation lacks; if not, what damaged segments held.
    """
    generation, damaged = generations.target_generation(
        session, home, archive, encoder, operation.selection, abandoned, lossy=repair
    )
    sources = generations.unindexed_recordings(session, archive, generation, None if everything else damaged)
    serving = lookups.generation_in_state(session, archive, GenerationState.SERVING)
    reusable = _reusable(session, serving, generation)
    left = tuple(source for source in sources if source.recording not in reusable)
    operation.recordings_total = operation.recordings_done + len(left)
    return IndexingTask(operation.id, archive.name, generation, left, reuses=bool(reusable))


def reuse(
    catalogue: Catalogue, home: Home, served: ServedGeneration, task: IndexingTask
) -> tuple[PendingRecording, ...]:
    """Copies what has the same streams under the selection of the task, and returns what is left to index.

    A segment that turns out to be damaged is put in quarantine; its recordings are left to index.

    Args:
        catalogue: of the home.
        home: where the segments lie.
        served: the generation that serves.
        task: whose generation takes the recordings.
    """
    while not task.cancelled.is_set():
        try:
            _copy(catalogue, home, served, task)
            break
        except MergingCancelled:
            break
        except DataLoss as error:  # of a segment that is in quarantine now
            _log.warning("indexing anew what a damaged segment held: %s", error)
    with catalogue.writing() as session:
        operation = lookups.operation_by_id(session, task.operation)
        archive = lookups.archive_by_name(session, task.archive)
        left = generations.unindexed_recordings(session, archive, task.generation)
        operation.recordings_total = operation.recordings_done + len(left)
    return left


def _copy(catalogue: Catalogue, home: Home, served: ServedGeneration, task: IndexingTask) -> None:
    """Copies what the task's generation lacks and can have. Raises DataLoss, Exhausted, MergingCancelled."""
    with catalogue.reading() as session:
        serving = session.get_one(Generation, served.generation)
        reusable = _reusable(session, serving, task.generation)
    for group in _groups(segment_contents(catalogue, served.generation), reusable):
        segments = merge_segments(
            catalogue,
            home,
            served,
            group,
            MAX_SEGMENT_BYTES,
            task.cancelled.is_set,
            selection=task.generation.selection,
        )
        with catalogue.writing() as session:
            for segment in segments:
                lookups.insert_segment(session, task.generation.id, segment)


def _reusable(session: Session, serving: Generation | None, target: Generation) -> dict[str, tuple[int, int]]:
    """Returns segment and ordinal of recordings that one generation has as another is to have them, by id."""
    if serving is None or serving.id == target.id or serving.encoder_info != target.encoder_info:
        return {}
    present = select(IndexedRecording.recording_number).where(IndexedRecording.generation_id == target.id)
    rows = session.execute(
        select(
            Recording.id,
            IndexedRecording.segment_id,
            IndexedRecording.ordinal,
            IndexedRecording.layout,
            Recording.channels,
        )
        .join(Recording, Recording.number == IndexedRecording.recording_number)
        .join(Segment, Segment.id == IndexedRecording.segment_id)
        .where(
            IndexedRecording.generation_id == serving.id,
            Recording.deleted_at.is_(None),
            Segment.damage.is_(None),
            IndexedRecording.recording_number.not_in(present),
        )
    )
    return {
        identity: (segment, ordinal)
        for identity, segment, ordinal, layout, channels in rows
        if decoded(layout, channels).same_under(serving.selection, target.selection)
    }


def _groups(
    contents: Sequence[SegmentContent], reusable: dict[str, tuple[int, int]]
) -> Iterator[list[SegmentContent]]:
    """Yields segments with the ordinals that are reusable, so many together as make a large segment."""
    places: Collection[tuple[int, int]] = set(reusable.values())
    group: list[SegmentContent] = []
    for each in contents:
        live = tuple(n for n in each.live if (each.segment.id, n) in places)
        if not live:
            continue
        if group and sum(one.segment.size for one in group) + each.segment.size > MAX_SEGMENT_BYTES:
            yield group
            group = []
        group.append(replace(each, live=live))
    if group:
        yield group
