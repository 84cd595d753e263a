"""The queries of `wordspot search`: files, texts, stretches, batches."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.texts import decoded
from wordspot.services.commands.batch import lines_of
from wordspot.services.commands.keywords import Keyword, grouped, keywords_of_lines, read_keywords
from wordspot.services.examples import FileQuery, Query, QueryExample, StoredQuery, TypedQuery
from wordspot.services.limits import DEFAULT_SPEAKERS, MAX_BATCH_BYTES, MAX_QUERY_BYTES

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class NamedQuery:
    """A query with its names.

    Attributes:
        name: as it was given.
        label: for people: the words, or the name of the file without folder and ending.
        query: what is asked.
    """

    name: str
    label: str
    query: Query


@dataclass(frozen=True)
class SynthesisOptions:
    """How typed queries are spoken.

    language: a code of espeak-ng.
    speakers: how many voices speak them; None for the usual number.
    """

    language: str
    speakers: int | None

    def query(self, text: str) -> TypedQuery:
        """Returns the query of a text."""
        speakers = DEFAULT_SPEAKERS if self.speakers is None else self.speakers
        return TypedQuery(text, self.language, speakers)


@dataclass(frozen=True)
class GivenQuery:
    """A query as the options state it.

    files: spoken examples. text: to be synthesised. recording: by id. start, end: in seconds, of the
    recording or of one file. label: what is looked for; None for what the query is named after.
    channel: of the files and the recording, 0 for the mix.
    """

    files: Sequence[Path]
    text: str | None = None
    recording: str | None = None
    start: float | None = None
    end: float | None = None
    label: str | None = None
    channel: int = 0

    def named(self, synthesis: SynthesisOptions) -> NamedQuery:
        """Returns the query. Raises typer.BadParameter where options do not go together."""
        if not (self.files or self.text is not None or self.recording is not None) or (
            self.files and self.text is not None
        ):
            raise typer.BadParameter("give QUERY or --say, --recording or both, --batch or --from alone")
        if (self.start is None) != (self.end is None):
            raise typer.BadParameter("--start and --end go together")
        examples: list[tuple[str, str, QueryExample]] = []
        if self.text is not None:
            examples.append((self.text, self.text, synthesis.query(self.text)))
        if self.recording is None:
            if self.start is not None and len(self.files) != 1:
                raise typer.BadParameter("--start and --end go with one QUERY, or with --recording")
            examples += [self._example(file, self.start, self.end) for file in self.files]
        elif self.start is None or self.end is None:
            raise typer.BadParameter("--recording needs --start and --end")
        else:
            examples += [self._example(file) for file in self.files]
            name = f"{self.recording} {self.start:g}-{self.end:g}"
            stretch = StoredQuery(self.recording, self.start, self.end, channel=self.channel)
            examples.append((name, name, stretch))
        names, labels, queries = zip(*examples, strict=True)
        named = NamedQuery(", ".join(names), ", ".join(dict.fromkeys(labels)), list(queries))
        return named if self.label is None else labelled(named, self.label)

    def _example(
        self, file: Path, start: float | None = None, end: float | None = None
    ) -> tuple[str, str, QueryExample]:
        """Returns name, label and example. Raises typer.BadParameter, InvalidInput."""
        if str(file) != STANDARD_INPUT:
            return str(file), file_label(file, start, end), FileQuery(file, start, end, channel=self.channel)
        if start is not None:
            raise typer.BadParameter("--start and --end go with a file, not with the standard input")
        if [str(each) for each in self.files].count(STANDARD_INPUT) > 1:
            raise typer.BadParameter("the standard input is one example only")
        return STANDARD_INPUT, "standard input", standard_input(MAX_QUERY_BYTES)


def standard_input(limit: int) -> bytes:
    """Returns what is piped into the process. limit: in bytes. Raises InvalidInput beyond it."""
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise InvalidInput(f"the standard input must have at most {limit:,} bytes, got more")
    return data


def labelled(named: NamedQuery, label: str) -> NamedQuery:
    """Returns the query with a label, which comes back with its answer and names its verdicts."""
    query = named.query
    first, *others = [query] if isinstance(query, QueryExample) else query
    if isinstance(first, str | Path):
        first = FileQuery(Path(first))
    if not isinstance(first, bytes):
        first = replace(first, label=label)
    return NamedQuery(label, label, [first, *others])


def file_label(file: Path, start: float | None = None, end: float | None = None) -> str:
    """Returns the name of a file without folder and ending, with the stretch that is meant."""
    return file.stem if start is None or end is None else f"{file.stem} {start:g}-{end:g}"


def batch_queries(batch: Path, synthesis: SynthesisOptions) -> list[NamedQuery]:
    """Returns the queries of a list of keywords. Raises InvalidInput."""
    if str(batch) == STANDARD_INPUT:
        text = decoded(standard_input(MAX_BATCH_BYTES), "standard input")
        lines = lines_of(text, "standard input")
        keywords = keywords_of_lines(lines, "standard input", synthesis.query)
    else:
        keywords = read_keywords(batch, synthesis.query)
    if not (groups := grouped(keywords)):
        raise InvalidInput(f"{batch} holds no query")
    return [_keyword_query(group) for group in groups]


def _keyword_query(group: Sequence[Keyword]) -> NamedQuery:
    """Returns the query of one or more examples of a keyword."""
    first = group[0]
    if first.label:
        query = NamedQuery(first.label, first.label, [keyword.example for keyword in group])
        return labelled(query, first.label)
    example = first.example
    if isinstance(example, TypedQuery):
        return NamedQuery(first.name, example.text, example)
    return NamedQuery(first.name, file_label(example.path, example.start, example.end), example)
