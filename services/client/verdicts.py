"""What people say of hits, as a client stores, lists and deletes it."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from wordspot.indexer.records import Hit
from wordspot.indexer.verdicts import Verdict
from wordspot.services.client.connection import Connection
from wordspot.services.errors import translated
from wordspot.services.limits import MAX_VERDICTS_PER_CALL
from wordspot.services.verdict_messages import from_verdict_message, to_verdict_message
from wordspot.v1 import archive_pb2

ItemT = TypeVar("ItemT")


class VerdictCalls(Connection):
    """What a client does with verdicts."""

    def judge(
        self,
        hits: Hit | Iterable[Hit],
        query: str,
        *,
        correct: bool,
        author: str | None = None,
        archive: str = "default",
    ) -> list[Verdict]:
        """Stores whether hits are right, and returns that as it is stored.

        Args:
            hits: one, or several.
            query: what was looked for: a later search with this label can use the verdicts.
            correct: whether it is said there.
            author: whose verdict it is; None for the name of the user of this system.
            archive: its name.

        Raises:
            NotFound: there is no such archive or recording.
            InvalidInput: a hit or a text cannot be one of a verdict.
        """
        return self.set_verdicts(verdicts_on(hits, query, correct=correct, author=author), archive)

    def set_verdicts(self, verdicts: Iterable[Verdict], archive: str = "default") -> list[Verdict]:
        """Stores verdicts, up to 1,000 a transaction, and returns them as they are stored.

        One verdict a place and query: a later one replaces an earlier one of the same recording, query and
        channel whose stretch it shares to at least half of the shorter one. For what is raised see `judge`.
        """
        stored: list[Verdict] = []
        for request in set_requests(verdicts, archive):
            with translated(self.address):
                response: archive_pb2.SetVerdictsResponse = self._archives.SetVerdicts(request)
            stored += [from_verdict_message(verdict) for verdict in response.verdicts]
        return stored

    def verdicts(
        self,
        archive: str = "default",
        *,
        query: str = "",
        recording: str = "",
        correct: bool | None = None,
        author: str = "",
    ) -> Iterator[Verdict]:
        """Yields verdicts in order of their first being set.

        Args:
            archive: its name.
            query: only those of this label; empty for all.
            recording: only those of this id; empty for all.
            correct: only those that say so; None for both.
            author: only theirs; empty for everybody's.

        Raises:
            NotFound: there is no such archive.
        """
        request = archive_pb2.ListVerdictsRequest(
            archive=archive, query=query, recording=recording, correct=correct, author=author
        )
        for page in self._pages(self._archives.ListVerdicts, request):
            yield from map(from_verdict_message, page.verdicts)

    def delete_verdicts(self, ids: Iterable[str], archive: str = "default") -> None:
        """Deletes verdicts by their ids, up to 1,000 a transaction. Raises NotFound."""
        for batch in batches(list(ids)):
            with translated(self.address):
                self._archives.DeleteVerdicts(archive_pb2.DeleteVerdictsRequest(archive=archive, ids=batch))


def system_user() -> str:
    """Returns the name of the user of this system; empty where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def verdicts_on(
    hits: Hit | Iterable[Hit], query: str, *, correct: bool, author: str | None
) -> Iterator[Verdict]:
    """Yields the verdicts on hits. Arguments are those of `VerdictCalls.judge`."""
    name = system_user() if author is None else author
    for hit in [hits] if isinstance(hits, Hit) else hits:
        yield Verdict(hit.recording, hit.start, hit.end, query, correct, name, hit.score, hit.p_correct)


def set_requests(verdicts: Iterable[Verdict], archive: str) -> Iterator[archive_pb2.SetVerdictsRequest]:
    """Yields the messages that store verdicts. Raises InvalidInput before the first."""
    for batch in batches([verdict.checked() for verdict in verdicts]):
        yield archive_pb2.SetVerdictsRequest(archive=archive, verdicts=map(to_verdict_message, batch))


def batches(items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    """Yields items, MAX_VERDICTS_PER_CALL at a time."""
    for first in range(0, len(items), MAX_VERDICTS_PER_CALL):
        yield items[first : first + MAX_VERDICTS_PER_CALL]
