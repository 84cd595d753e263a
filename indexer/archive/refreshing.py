"""Refreshing: what has become of the files that recordings were added from.

the same content       -> nothing, or there again
another content        -> a new recording, successor of the old one
gone, found elsewhere  -> renamed
gone                   -> missing
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.additions import Additions
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.insertions import InspectedFile, insert_files
from wordspot.indexer.archive.originals import ChangedFile, Original, Originals, settled_stamp
from wordspot.indexer.archive.serving import ServedArchives
from wordspot.indexer.archive.succession import mark_deleted, note_change
from wordspot.indexer.archive.summaries import FileChange, FileStatus, RecordingSummary
from wordspot.indexer.archive.tables import Recording, now
from wordspot.indexer.archive.uploads import StoredAudio
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.faults import reach
from wordspot.indexer.paths import path_text, text_path
from wordspot.indexer.sound.opened import opened

BATCH_FILES = 256
LOOKING_THREADS = 4
MAX_SEARCHED_ENTRIES = 100_000  # of folders in which renamed files are looked for


@dataclass(frozen=True)
class RefreshStep:
    """What has become durable together.

    Attributes:
        changes: of files.
        done: files looked at so far.
        total: files to look at.
    """

    changes: tuple[FileChange, ...]
    done: int
    total: int


@dataclass(frozen=True)
class _Look:
    """What lies where a recording was added from.

    Attributes:
        same: whether it is what was added.
        stamp: of the file, if it is the same and settled.
        content: of the file that is there now, None if none is or it cannot be used.
        problem: why it cannot be used.
    """

    same: bool = False
    stamp: str | None = None
    content: InspectedFile | None = None
    problem: str = ""


class Refreshing:
    """Compares the recordings of archives with their files.

    Args:
        catalogue: of the home.
        originals: where files are opened.
        additions: by which other contents are added.
        audio: the uploaded files, which never change.
        served: the generations that serve searches.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        originals: Originals,
        additions: Additions,
        audio: StoredAudio,
        served: ServedArchives,
    ) -> None:
        self._catalogue, self._originals, self._additions = catalogue, originals, additions
        self._audio, self._served = audio, served

    def refresh(self, archive: str, folders: Sequence[Path] = ()) -> Iterator[RefreshStep]:
        """Looks at every file that was added by path; yields what has changed, batch by batch.

        Args:
            archive: its name.
            folders: only files in these, however deep; empty for all.

        Raises:
            NotFound: if there is no such archive.
        """
        rows = self._rows(archive, folders)
        gone: list[Recording] = []
        done = 0
        yield RefreshStep((), 0, len(rows))
        with ThreadPoolExecutor(LOOKING_THREADS, thread_name_prefix="refresh") as pool:
            for batch in _batches(rows):
                looks = list(pool.map(lambda row: self._look(archive, row), batch))
                gone += [
                    row
                    for row, look in zip(batch, looks, strict=True)
                    if not look.same and row.superseded_by is None
                ]
                done += len(batch)
                yield RefreshStep(self._settle(archive, batch, looks), done, len(rows))
        if gone and (renamed := self._renamed(archive, gone)):
            yield RefreshStep(renamed, done, len(rows))

    def prune(self, archive: str, folders: Sequence[Path] = ()) -> Iterator[tuple[RecordingSummary, ...]]:
        """Deletes the recordings whose files are missing; yields them, batch by batch.

        One whose file is there again stays, and one whose successor is not indexed yet. Arguments and errors
        are those of `refresh`.
        """
        rows = self._rows(archive, folders)
        awaited = {row.number for row in self._rows(archive, ()) if row.problem is None}
        rows = [row for row in rows if row.missing_since is not None and row.superseded_by not in awaited]
        for batch in _batches(rows):
            missing = [row.number for row in batch if not self._is_there(row)]
            with self._audio.lock, self._catalogue.writing() as session:
                archive_row = lookups.archive_by_name(session, archive)
                live = session.scalars(
                    select(Recording).where(
                        Recording.number.in_(missing),
                        Recording.deleted_at.is_(None),
                        Recording.missing_since.is_not(None),
                    )
                ).all()
                pruned = lookups.summaries_of_recordings(session, archive_row, live)
                mark_deleted(session, [row.number for row in live])
                note_change(session, archive_row.id)
            reach("recording-deleted")
            for recording in pruned:
                self._served.hide_recording(archive, recording.id)
            yield pruned

    def _rows(self, archive: str, folders: Sequence[Path]) -> list[Recording]:
        """Returns the recordings that were added by path from folders, in order of adding."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            rows = session.scalars(
                select(Recording)
                .where(
                    Recording.archive_id == row.id,
                    Recording.deleted_at.is_(None),
                    Recording.location.like("/%"),
                )
                .order_by(Recording.number)
            ).all()
        if not folders:
            return list(rows)
        tops = {top for folder in folders for top in (folder, _resolved(folder))}
        return [row for row in rows if _lies_in(row.location, tops) or _lies_in(row.path, tops)]

    def _is_there(self, row: Recording) -> bool:
        return row.superseded_by is None and self._originals.holds(Original.of(row), row.stamp)

    def _look(self, archive: str, row: Recording) -> _Look:
        original = Original.of(row)
        try:
            with self._originals.current(original) as file:
                stamp = settled_stamp(file)
                if stamp is not None and stamp == row.stamp:
                    return _Look(same=True, stamp=stamp)
                content = self._additions.inspected(archive, file, row.path, row.location)
        except ChangedFile:
            return _Look()
        except InvalidInput as error:
            return _Look(problem=str(error))
        if content.sha256 == row.sha256:
            return _Look(same=True, stamp=content.stamp)
        return _Look(content=content)

    def _settle(
        self, archive: str, rows: Sequence[Recording], looks: Sequence[_Look]
    ) -> tuple[FileChange, ...]:
        """Stores what has become of files, in one transaction for states and one for other contents."""
        contents = [
            look.content
            for row, look in zip(rows, looks, strict=True)
            if look.content is not None and row.superseded_by is None
        ]
        changes: list[FileChange] = []
        numbers: dict[int, tuple[FileStatus, str]] = {}
        for row, look in zip(rows, looks, strict=True):
            if look.same and row.missing_since is not None:
                numbers[row.number] = FileStatus.FOUND, ""
            elif not look.same and look.content is None and row.missing_since is None:
                numbers[row.number] = FileStatus.MISSING, look.problem
        stamps = {
            row.number: look.stamp
            for row, look in zip(rows, looks, strict=True)
            if look.same and look.stamp != row.stamp
        }
        if numbers or stamps:
            changes += self._store_states(archive, numbers, stamps)
        if contents:
            with self._audio.lock:
                results = insert_files(self._catalogue, self._originals, archive, contents)
            changes += [result for result in results if not isinstance(result, InvalidInput)]
        if changes:
            self._served.reread_recordings(archive)
        return tuple(changes)

    def _store_states(
        self,
        archive: str,
        states: dict[int, tuple[FileStatus, str]],
        stamps: dict[int, str | None],
    ) -> list[FileChange]:
        with self._catalogue.writing() as session:
            archive_row = lookups.archive_by_name(session, archive)
            rows = session.scalars(
                select(Recording).where(
                    Recording.number.in_([*states, *stamps]), Recording.deleted_at.is_(None)
                )
            ).all()
            for row in rows:
                if row.number in stamps:
                    row.stamp = stamps[row.number]
                if row.number in states:
                    missing = states[row.number][0] is FileStatus.MISSING
                    row.missing_since = now() if missing else None
                    row.superseded_by = row.superseded_by if missing else None
            changed = [row for row in rows if row.number in states]
            if changed:
                note_change(session, archive_row.id)
            summaries = lookups.summaries_of_recordings(session, archive_row, changed)
        reach("refresh-committed")
        return [
            FileChange(summary, states[row.number][0], problem=states[row.number][1])
            for row, summary in zip(changed, summaries, strict=True)
        ]

    def _renamed(self, archive: str, gone: Sequence[Recording]) -> tuple[FileChange, ...]:
        """Finds the contents of missing files under other names, in the folders that recordings came from."""
        wanted = {row.sha256 for row in gone}
        sizes = {row.size for row in gone}
        rows = self._rows(archive, ())
        known = {row.location for row in rows if row.missing_since is None} | {row.location for row in gone}
        found: dict[str, InspectedFile] = {}
        for path in _files_near(rows, gone, sizes):
            location = path_text(path)
            if location in known or len(found) == len(wanted):
                continue
            with suppress(InvalidInput, NotFound, OSError), opened(path) as file:
                content = self._additions.inspected(archive, file, location, location)
                if content.sha256 in wanted:
                    found.setdefault(content.sha256, content)
        if not found:
            return ()
        with self._audio.lock:
            results = insert_files(self._catalogue, self._originals, archive, list(found.values()))
        self._served.reread_recordings(archive)
        return tuple(
            result
            for result in results
            if not isinstance(result, InvalidInput) and result.status is FileStatus.RENAMED
        )


def _files_near(rows: Sequence[Recording], gone: Sequence[Recording], sizes: set[int]) -> Iterator[Path]:
    """Yields regular files of some sizes in the folders of recordings, and below what is left of the folders
    of those that are gone."""
    folders = {text_path(row.location).parent for row in rows}
    trees = {
        _existing(folder.parent)
        for folder in {text_path(row.location).parent for row in gone}
        if not folder.is_dir()
    } - {Path("/")}
    entries = 0
    for folder in sorted({*folders, *(below for tree in trees for below in _folders_below(tree))}):
        with suppress(OSError), os.scandir(folder) as listing:
            for entry in sorted(listing, key=lambda entry: entry.name):
                entries += 1
                if entries > MAX_SEARCHED_ENTRIES:
                    return
                with suppress(OSError):
                    if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                        continue
                    if entry.stat(follow_symlinks=False).st_size in sizes:
                        yield Path(entry.path)


def _folders_below(tree: Path) -> Iterator[Path]:
    """Yields a folder and those in it, a bounded number, without hidden ones and links."""
    waiting, entries = [tree], 0
    while waiting and entries < MAX_SEARCHED_ENTRIES:
        folder = waiting.pop()
        yield folder
        with suppress(OSError), os.scandir(folder) as listing:
            for entry in listing:
                entries += 1
                with suppress(OSError):
                    if not entry.name.startswith((".", "$", "#", "@")) and entry.is_dir(
                        follow_symlinks=False
                    ):
                        waiting.append(Path(entry.path))


def _batches(rows: Sequence[Recording]) -> Iterator[Sequence[Recording]]:
    for first in range(0, len(rows), BATCH_FILES):
        yield rows[first : first + BATCH_FILES]


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _resolved(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError):
        return folder


def _lies_in(text: str, folders: Iterable[Path]) -> bool:
    path = text_path(text)
    return any(path.is_relative_to(folder) for folder in folders)
