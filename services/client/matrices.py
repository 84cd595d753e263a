"""Keywords by recordings: how often each of a list was found in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wordspot.indexer.records import Hit
from wordspot.services.answers import SearchAnswer
from wordspot.services.examples import FileQuery, Query, QueryExample, StoredQuery, TypedQuery

MATRIX_HITS = 1_000  # of a keyword, unless more are asked for
MIN_UNCERTAIN_P = 0.1  # from which an undetected hit counts as uncertain

Counts = tuple[int, int]  # detected, uncertain


@dataclass(frozen=True)
class KeywordMatrix:
    """How often each keyword was found in each recording.

    Attributes:
        keywords: the labels, in the order of the queries.
        problems: why a keyword could not be searched for, by label.
        recordings: id and path of those in which something was found, in order of their paths.
        counts: detected and uncertain places, a row a keyword, a column a recording.
    """

    keywords: tuple[str, ...]
    problems: dict[str, str]
    recordings: tuple[tuple[str, str], ...]
    counts: tuple[tuple[Counts, ...], ...]

    def rows(self) -> Iterator[list[str | int]]:
        """Yields the names of columns, then a row a recording: id, path, and for each keyword how many places
        are detected and how many uncertain, nothing where it could not be searched for.

        A name that another column has gets a number.
        """
        header: list[str] = ["recording", "path"]
        for keyword in self.keywords:
            name, number = keyword, 1
            while name in header or f"{name} uncertain" in header:
                number += 1
                name = f"{keyword} ({number})"
            header += [name, f"{name} uncertain"]
        yield [*header]
        for column, (identity, path) in enumerate(self.recordings):
            row: list[str | int] = [identity, path]
            for keyword, counts in zip(self.keywords, self.counts, strict=True):
                row += ("", "") if keyword in self.problems else counts[column]
            yield row


@dataclass
class MatrixBuilder:
    """A matrix while its answers come.

    Attributes:
        min_p: an undetected hit counts as uncertain from this p_correct.
    """

    min_p: float = MIN_UNCERTAIN_P
    _keywords: list[str] = field(default_factory=list)
    _problems: dict[str, str] = field(default_factory=dict)
    _paths: dict[str, str] = field(default_factory=dict)
    _rows: list[dict[str, list[int]]] = field(default_factory=list)

    def add(self, label: str, answer: SearchAnswer) -> None:
        """Adds the answer to a keyword."""
        if answer.problem:
            self._problems[label] = answer.problem
        self._keywords.append(label)
        self._rows.append(self._counted(answer.hits))

    def matrix(self) -> KeywordMatrix:
        """Returns what was added."""
        recordings = sorted(self._paths.items(), key=lambda item: (item[1], item[0]))
        counts = [
            tuple((row[name][0], row[name][1]) if name in row else (0, 0) for name, _ in recordings)
            for row in self._rows
        ]
        return KeywordMatrix(tuple(self._keywords), self._problems, tuple(recordings), tuple(counts))

    def _counted(self, hits: Sequence[Hit]) -> dict[str, list[int]]:
        row: dict[str, list[int]] = {}
        for hit in hits:
            if hit.detected or hit.p_correct >= self.min_p:
                self._paths.setdefault(hit.recording, hit.path)
                row.setdefault(hit.recording, [0, 0])[not hit.detected] += 1
        return row


def keyword_of(query: Query) -> str:
    """Returns the label of a query, or what it is named after: its text, its file, its stretch."""
    first = query if isinstance(query, QueryExample) else query[0]
    if isinstance(first, TypedQuery):
        return first.label or first.text
    if isinstance(first, FileQuery):
        return first.label or first.path.stem
    if isinstance(first, StoredQuery):
        return first.label or f"{first.recording} {first.start:g}-{first.end:g}"
    return "" if isinstance(first, bytes) else Path(first).stem
