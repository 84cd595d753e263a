"""The tags of recordings in the catalogue."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, func, insert, select, tuple_
from sqlalchemy.orm import Session

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.summaries import Page, RecordingSummary, TagCount
from wordspot.indexer.archive.tables import Archive, Recording, RecordingTag
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS
from wordspot.indexer.paths import readable_path
from wordspot.indexer.tags import check_count, checked_key, checked_tags

MAX_NAMED_PATHS = 3  # of those that a path may mean
_BETWEEN = "\t"  # a key and a value in a page token; neither holds one


@dataclass(frozen=True)
class TagUpdate:
    """A change of the tags of one recording, which is named by its id or by its path.

    Attributes:
        recording: its id, or empty.
        path: the whole path, or the end of it from a name on, where that is the path of one recording only.
        tags: that it has afterwards, with these values.
        removed: keys of tags that it has no longer.
        replace: whether it has no others than `tags` afterwards.
    """

    recording: str = ""
    path: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    removed: Collection[str] = ()
    replace: bool = False


class Tags:
    """Changes and counts the tags of recordings."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def update(
        self, archive: str, updates: Sequence[TagUpdate]
    ) -> list[RecordingSummary | InvalidInput | NotFound]:
        """Changes the tags of recordings, in one transaction.

        Returns:
            For each update the recording as it is afterwards, or why nothing of it was changed: NotFound for
            a recording that is not there, InvalidInput for one that is not named clearly or for tags that are
            not valid.

        Raises:
            NotFound: if there is no such archive.
        """
        with self._catalogue.writing() as session:
            row = lookups.archive_by_name(session, archive)
            names = _Names(session, row, updates)
            outcomes = [names.outcome(update) for update in updates]
            numbers = {outcome.number for outcome in outcomes if isinstance(outcome, Recording)}
            tags = lookups.tags_by_recording(session, numbers)
            for position, (update, outcome) in enumerate(zip(updates, outcomes, strict=True)):
                if isinstance(outcome, Recording):
                    try:
                        tags[outcome.number] = _changed(tags[outcome.number], update)
                    except InvalidInput as error:
                        outcomes[position] = error
            _store(session, {number: tags[number] for number in numbers})
            recordings = [outcome for outcome in outcomes if isinstance(outcome, Recording)]
            summaries = iter(lookups.summaries_of_recordings(session, row, recordings))
            return [next(summaries) if isinstance(outcome, Recording) else outcome for outcome in outcomes]

    def page(self, archive: str, after: str = "", limit: int = DEFAULT_PAGE_ITEMS) -> Page[TagCount]:
        """Returns a page of the tags that an archive's recordings have, in order of key and value.

        Args:
            archive: its name.
            after: the `next` of the page before.
            limit: tags a page, 1 to MAX_PAGE_ITEMS.

        Raises:
            NotFound: if there is no such archive.
            InvalidInput: if `after` or `limit` is not valid.
        """
        lookups.checked_page_limit(limit)
        if after and _BETWEEN not in after:
            raise InvalidInput(f"{after!r} is not a page token")
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            later = [tuple_(RecordingTag.key, RecordingTag.value) > tuple(after.split(_BETWEEN, 1))] * bool(
                after
            )
            counts = [
                TagCount(*count)
                for count in session.execute(
                    select(RecordingTag.key, RecordingTag.value, func.count())
                    .join(Recording, Recording.number == RecordingTag.recording_number)
                    .where(Recording.archive_id == row.id, Recording.deleted_at.is_(None), *later)
                    .group_by(RecordingTag.key, RecordingTag.value)
                    .order_by(RecordingTag.key, RecordingTag.value)
                    .limit(limit + 1)
                )
            ]
        last = counts[limit - 1] if len(counts) > limit else None
        return Page(tuple(counts[:limit]), f"{last.key}{_BETWEEN}{last.value}" if last else "")


def add_tags(session: Session, recording: int, tags: Mapping[str, str]) -> None:
    """Adds tags, checked before, to those of a recording, by its number. Raises InvalidInput for too many."""
    if tags:
        present = lookups.tags_by_recording(session, [recording])[recording]
        after = present | dict(tags)
        check_count(len(after))
        _store(session, {recording: after})


def copy_tags(session: Session, source: int, target: int) -> None:
    """Adds the tags of a recording to those of another one that takes its place, both by their numbers."""
    tags = lookups.tags_by_recording(session, [source, target])
    add_tags(session, target, tags[source] | tags[target])


def _changed(present: Mapping[str, str], update: TagUpdate) -> dict[str, str]:
    """Returns the tags of a recording after an update. Raises InvalidInput."""
    tags = checked_tags(update.tags)
    removed = {checked_key(key) for key in update.removed}
    if both := sorted(removed & tags.keys()):
        raise InvalidInput(f"a tag must be either set or removed, got both for {both[0]!r}")
    kept = {} if update.replace else {key: value for key, value in present.items() if key not in removed}
    check_count(len(kept | tags))
    return kept | tags


def _store(session: Session, tags: Mapping[int, Mapping[str, str]]) -> None:
    """Gives recordings, by their numbers, these tags and no others."""
    session.execute(delete(RecordingTag).where(RecordingTag.recording_number.in_(list(tags))))
    rows = [
        {"recording_number": number, "key": key, "value": value}
        for number, each in tags.items()
        for key, value in each.items()
    ]
    if rows:
        session.execute(insert(RecordingTag), rows)


class _Names:
    """The recordings of an archive that updates name."""

    def __init__(self, session: Session, archive: Archive, updates: Sequence[TagUpdate]) -> None:
        self._archive = archive.name
        live = Recording.archive_id == archive.id, Recording.deleted_at.is_(None)
        ids = [update.recording for update in updates if update.recording]
        self._by_id = {
            row.id: row for row in session.scalars(select(Recording).where(*live, Recording.id.in_(ids)))
        }
        self._session = session
        self._numbers: dict[str, list[tuple[int, str]]] = defaultdict(list)
        if any(update.path for update in updates):
            for number, path in session.execute(
                select(Recording.number, Recording.path).where(*live).order_by(Recording.number)
            ):
                composed = unicodedata.normalize("NFC", path)
                self._numbers[composed.rpartition("/")[2]].append((number, composed))

    def outcome(self, update: TagUpdate) -> Recording | InvalidInput | NotFound:
        """Returns the recording of an update, or why there is none."""
        try:
            return self._recording(update)
        except (InvalidInput, NotFound) as error:
            return error

    def _recording(self, update: TagUpdate) -> Recording:
        """Raises NotFound, InvalidInput."""
        if bool(update.recording) == bool(update.path):
            raise InvalidInput("an update must name its recording either by id or by path")
        if update.recording:
            if update.recording not in self._by_id:
                raise NotFound(f"no recording {update.recording!r} in archive {self._archive!r}")
            return self._by_id[update.recording]
        return self._session.get_one(Recording, self._number(update.path))

    def _number(self, path: str) -> int:
        """Raises NotFound, InvalidInput."""
        wanted = unicodedata.normalize("NFC", path).removeprefix("./")
        same_name = self._numbers.get(wanted.rpartition("/")[2], [])
        exact = [(number, other) for number, other in same_name if other == wanted]
        found = exact or [(number, other) for number, other in same_name if other.endswith(f"/{wanted}")]
        if not found:
            raise NotFound(f"no recording of archive {self._archive!r} has the path {readable_path(path)!r}")
        if len(found) > 1:
            paths = ", ".join(readable_path(other) for _, other in found[:MAX_NAMED_PATHS])
            more = ", ..." if len(found) > MAX_NAMED_PATHS else ""
            raise InvalidInput(
                f"{readable_path(path)!r} must be the path of one recording, got {len(found)}: {paths}{more}"
            )
        return found[0][0]
