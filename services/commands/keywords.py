"""Lists of keywords: text files, one a line, and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.files import AUDIO_SUFFIXES
from wordspot.services.client.tables import read_table
from wordspot.services.commands.batch import numbered_lines
from wordspot.services.examples import FileQuery, TypedQuery
from wordspot.services.limits import MAX_EXAMPLES

LABELS, FILES, TEXTS = ("label", "keyword", "query"), ("file", "path", "example"), ("text", "word", "say")
LANGUAGES, STARTS, ENDS = ("language", "lang"), ("start",), ("end",)
SAY = "say"


@dataclass(frozen=True)
class Keyword:
    """An example of a keyword.

    Attributes:
        name: as it was given.
        label: that the list gives it; empty where it gives none.
        example: of it.
    """

    name: str
    label: str
    example: FileQuery | TypedQuery


def read_keywords(path: Path, typed: Callable[[str], TypedQuery]) -> Iterator[Keyword]:
    """Yields what a list holds. A table is told by its ending, .csv.

    typed: the query of a text. Raises InvalidInput.
    """
    if path.suffix.lower() == ".csv":
        yield from _of_table(path, typed)
        return
    yield from keywords_of_lines(numbered_lines(path), str(path), typed)


def keywords_of_lines(
    lines: Iterable[tuple[int, str]], name: str, typed: Callable[[str], TypedQuery]
) -> Iterator[Keyword]:
    """Yields the keyword of each line, which has its number. name: of where they come from.

    Raises InvalidInput.
    """
    for number, line in lines:
        try:
            yield _of_line(line, typed)
        except InvalidInput as error:
            raise InvalidInput(f"{name}, line {number} {error}, got {line!r}") from None


def grouped(keywords: Iterator[Keyword]) -> list[list[Keyword]]:
    """Returns the keywords in order, those of one label together: they are examples of one query.

    Raises InvalidInput for too many.
    """
    groups: dict[object, list[Keyword]] = {}
    for number, keyword in enumerate(keywords):
        groups.setdefault(keyword.label or number, []).append(keyword)
    for label, group in groups.items():
        if len(group) > MAX_EXAMPLES:
            raise InvalidInput(
                f"keyword {label!r} must have at most {MAX_EXAMPLES} examples, got {len(group)}"
            )
    return list(groups.values())


def _of_line(line: str, typed: Callable[[str], TypedQuery]) -> Keyword:
    """Raises InvalidInput, whose message goes on after the number of the line."""
    cells = line.split("\t")
    if len(cells) == 1:
        if _names_file(line):
            return Keyword(line, "", FileQuery(Path(line)))
        return Keyword(line, "", typed(line.strip()))
    if len(cells) == 2 and cells[0] == SAY:
        return Keyword(line, "", typed(cells[1]))
    if len(cells) == 2 and _names_file(cells[1]):
        return Keyword(line, cells[0].strip(), FileQuery(Path(cells[1])))
    times = _times(*cells[-2:]) if len(cells) in (3, 4) else None
    if times is None or (len(cells) == 4 and not _names_file(cells[1])):
        raise InvalidInput(
            "must be a word, a path, path<TAB>start<TAB>end, label<TAB>path, with start and end or without, "
            "or say<TAB>text"
        )
    label = cells[0].strip() if len(cells) == 4 else ""
    return Keyword(line, label, FileQuery(Path(cells[-3]), *times))


def _of_table(path: Path, typed: Callable[[str], TypedQuery]) -> Iterator[Keyword]:
    """Raises InvalidInput."""
    for number, row in read_table(path, (*FILES, *TEXTS)):
        label, file, text = (_cell(row, names) for names in (LABELS, FILES, TEXTS))
        if bool(file) == bool(text):
            raise InvalidInput(
                f"{path}, line {number} must have either a file or a text, got {file!r} and {text!r}"
            )
        if text:
            query = typed(text)
            language = _cell(row, LANGUAGES)
            query = TypedQuery(text, language, query.speakers) if language else query
            yield Keyword(label or text, label, query)
            continue
        start, end = _cell(row, STARTS), _cell(row, ENDS)
        times = _times(start, end) if start or end else (None, None)
        if times is None:
            raise InvalidInput(
                f"{path}, line {number}: start and end must be seconds, got {start!r} and {end!r}"
            )
        yield Keyword(label or file, label, FileQuery(Path(file), *times))


def _cell(row: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((row[name].strip() for name in names if row.get(name, "").strip()), "")


def _times(start: str, end: str) -> tuple[float, float] | None:
    try:
        return float(start), float(end)
    except ValueError:
        return None


def _names_file(line: str) -> bool:
    """Returns whether a line is a path, rather than a word."""
    return "/" in line or Path(line).suffix.lower() in AUDIO_SUFFIXES or Path(line).is_file()
