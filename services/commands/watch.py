"""wordspot watch: keeps an archive in step with folders."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.services.client.archives import Client
from wordspot.services.client.files import audio_files
from wordspot.services.client.records import FileChanges
from wordspot.services.commands import console
from wordspot.services.commands.index import NAMED_PATHS, changed_lines
from wordspot.services.escapes import escaped

LOOK_MS = 1_000  # how often to look whether files that were written to have settled
SETTLED_S = 2.0  # since the last write to a file that is taken
PATIENCE_S = 60.0  # for files that are written to all the time
UNTOLD_S = 5.0  # between two looks where the system cannot tell of changes
MIN_POLL_S, MAX_POLL_S = 0.1, 86_400.0


def watch(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", parser=console.parsed_path, help="Folders of audio."),
    ],
    archive: console.Archive = "default",
    poll: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Look so often instead of waiting for the system to tell: for network shares.",
        ),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links to folders that lie in folders.")
    ] = False,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Keep an archive in step with folders until interrupted: what is added, changed, renamed or gone."""
    if poll is not None and not MIN_POLL_S <= poll <= MAX_POLL_S:
        raise InvalidInput(f"--poll must be between {MIN_POLL_S:g} and {MAX_POLL_S:,g} s, got {poll:g}")
    for folder in folders:
        if not folder.is_dir():
            raise InvalidInput(f"what is watched must be a folder, got {folder}")
    audio_files(folders)  # which can be read
    with Client(address, wait_seconds=wait) as client, _stopping() as stopping:
        watcher = _Watcher(client, folders, archive, follow_links, as_json, stopping)
        with suppress(KeyboardInterrupt):
            watcher.run(poll)
    watcher.print_summary()


@dataclass
class _Stopping:
    """Whether to end: SIGINT and SIGTERM set it, and interrupt indexing."""

    event: threading.Event = field(default_factory=threading.Event)
    interruptible: bool = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        self.event.set()
        if self.interruptible:
            self.interruptible = False
            raise KeyboardInterrupt


@contextmanager
def _stopping() -> Iterator[_Stopping]:
    stopping = _Stopping()
    before = {number: signal.signal(number, stopping.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watcher:
    """Indexes folders whenever something in them has changed."""

    def __init__(
        self,
        client: Client,
        folders: list[Path],
        archive: str,
        follow_links: bool,
        as_json: bool,
        stopping: _Stopping,
    ) -> None:
        self._client, self._folders, self._archive = client, folders, archive
        self._follow_links, self._as_json, self._stopping = follow_links, as_json, stopping
        self._start = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._missing: set[str] = set()

    def run(self, poll: float | None) -> None:
        """Returns once it is to stop. Raises KeyboardInterrupt where that interrupts indexing."""
        touched: set[Path] = set()
        since = time.monotonic()
        # Watching begins before the first look, so that nothing falls between the two.
        for batch in self._batches(poll):
            if not touched:
                since = time.monotonic()
            touched |= batch
            first = not self._counts
            patient = time.monotonic() - since < PATIENCE_S
            if not first and (not touched or (patient and any(map(_is_being_written, touched)))):
                continue
            touched.clear()
            self._index()

    def _batches(self, poll: float | None) -> Iterator[set[Path]]:
        """Yields what has changed, or nothing, every second at least; all folders where nobody tells."""
        from watchfiles import watch as changes
        from watchfiles._rust_notify import WatchfilesRustInternalError

        try:
            for batch in changes(
                *self._folders,
                watch_filter=None,
                stop_event=self._stopping.event,
                yield_on_timeout=True,
                rust_timeout=LOOK_MS,
                raise_interrupt=False,
                force_polling=poll is not None,
                poll_delay_ms=round(1_000 * (poll or 1.0)),
            ):
                yield {Path(path) for _, path in batch}
            return
        except WatchfilesRustInternalError:  # a name that is not UTF-8, which it cannot tell
            console.warn(
                f"wordspot: a file's name is not UTF-8: looking every {poll or UNTOLD_S:g} s from now on"
            )
        yield set(self._folders)
        while not self._stopping.event.wait(poll or UNTOLD_S):
            yield set(self._folders)

    def _index(self) -> None:
        self._stopping.interruptible = True
        try:
            report = self._client.index(self._folders, self._archive, follow_links=self._follow_links)
        except (ArchiveError, OSError) as error:
            console.warn(f"wordspot: {error}")
            self._counts["failed"] += 1
            return
        finally:
            self._stopping.interruptible = False
        self._counts["looked"] += 1
        for path, problem in report.problems.items():
            console.warn(f"wordspot: not indexed: {problem if path in problem else f'{path}: {problem}'}")
        self._print(report.files)

    def _print(self, files: FileChanges) -> None:
        """Prints what has changed since the last look."""
        gone = tuple(path for path in files.missing if path not in self._missing)
        self._missing = set(files.missing)
        changes = FileChanges(files.added, files.changed, files.renamed, files.found, (), gone, files.pruned)
        for each in fields(changes):
            self._counts[each.name] += len(getattr(changes, each.name))
        if self._as_json:
            console.print_json({"archive": self._archive, "files": vars(changes)})
        else:
            added = [f"{len(files.added)} added: {escaped(files.added[0])}"] if files.added else []
            for line in [*added, *changed_lines(changes, NAMED_PATHS)]:
                console.print_line(line)
            if self._counts["looked"] == 1:
                console.print_line(f"watching {', '.join(map(escaped, map(str, self._folders)))}")
        sys.stdout.flush()

    def print_summary(self) -> None:
        """Prints what was done."""
        kinds = ("added", "changed", "renamed", "found", "missing")
        if self._as_json:
            console.print_json({"archive": self._archive, "summary": {k: self._counts[k] for k in kinds}})
            return
        done = ", ".join(f"{self._counts[kind]} {kind}" for kind in kinds)
        seconds = console.hours(time.monotonic() - self._start)
        console.print_line(f"watched for {seconds}: {done}; archive {self._archive} is in step")


def _is_being_written(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < SETTLED_S
    except OSError:
        return False
