"""What people said of the places of a query: examples for its next search, and places to leave out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wordspot.indexer.archive.library import Library
from wordspot.indexer.limits import MAX_HITS
from wordspot.indexer.records import Hit, SearchOptions
from wordspot.indexer.verdicts import Verdict
from wordspot.services.examples import Example, StoredQuery


@dataclass(frozen=True)
class JudgedPlaces:
    """The verdicts of one query.

    confirmed: places where it is said, the latest verdict first.
    rejected: places where it is not said.
    """

    confirmed: tuple[Verdict, ...] = ()
    rejected: tuple[Verdict, ...] = ()

    @classmethod
    def of(cls, library: Library, archive: str, label: str) -> JudgedPlaces:
        """Returns those of a label; none of an empty one. Raises NotFound if there is no such archive."""
        verdicts = library.verdicts.of_query(archive, label) if label else []
        return cls(
            tuple(verdict for verdict in reversed(verdicts) if verdict.correct),
            tuple(verdict for verdict in verdicts if not verdict.correct),
        )

    def examples(self, given: Iterable[Example]) -> list[StoredQuery]:
        """Returns the confirmed places that are not among the examples already."""
        stored = [example for example in given if isinstance(example, StoredQuery)]
        return [
            StoredQuery(verdict.recording, verdict.start, verdict.end, channel=verdict.channel)
            for verdict in self.confirmed
            if not any(verdict.is_of(example.recording, example.start, example.end) for example in stored)
        ]

    def widened(self, options: SearchOptions) -> SearchOptions:
        """Returns options with which enough hits are left when the rejected ones are left out."""
        return replace(options, top=min(options.top + len(self.rejected), max(options.top, MAX_HITS)))

    def kept(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """Returns the hits that are not rejected."""
        return tuple(
            hit
            for hit in hits
            if not any(verdict.is_of(hit.recording, hit.start, hit.end) for verdict in self.rejected)
        )
