"""Filters: which recordings of an archive are meant, by path, tag and date."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import translate
from functools import cached_property

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.tags import checked_key, checked_value, days_of

ANY_FOLDERS = "**"

_Component = Callable[[str], object]


@dataclass(frozen=True)
class RecordingFilter:
    """Which recordings are meant: those that match every attribute that is not empty.

    Where several values may be given, a lone string is one value. All are kept as tuples.

    Attributes:
        paths: globs, one of which matches the path: `*` and `?` within a name, `[...]`, and `**` for any
            number of folders. One that does not begin with `/` is compared with the end of the path.
        folders: in one of which the path lies, however deep. One that does not begin with `/` may lie
            anywhere.
        tags: of each key, one of these values.
        date_from: the first day of the tag `date`: YYYY, YYYY-MM or YYYY-MM-DD.
        date_to: the last day. A recording whose date is a year or a month matches if it may lie between them.
    """

    paths: Sequence[str] = ()
    folders: Sequence[str] = ()
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    date_from: str = ""
    date_to: str = ""

    def __post_init__(self) -> None:
        """Takes a lone string for one value, not for its letters."""
        object.__setattr__(self, "paths", _values(self.paths))
        object.__setattr__(self, "folders", _values(self.folders))
        object.__setattr__(self, "tags", {key: _values(values) for key, values in self.tags.items()})

    def __bool__(self) -> bool:
        return self != RecordingFilter()

    def checked(self) -> RecordingFilter:
        """Returns the filter with values of tags as they are stored. Raises InvalidInput."""
        for text in (*self.paths, *self.folders):
            if not text or "\0" in text:
                raise InvalidInput(f"a path or folder to filter by must not be empty, got {text!r}")
        first, last = self.days
        if first > last:
            raise InvalidInput(
                f"date_from must not be after date_to, got {self.date_from} and {self.date_to}"
            )
        tags = {
            checked_key(key): tuple(checked_value(key, value) for value in values)
            for key, values in self.tags.items()
        }
        return RecordingFilter(self.paths, self.folders, tags, self.date_from, self.date_to)

    @cached_property
    def days(self) -> tuple[date, date]:
        """The first and the last day. Raises InvalidInput."""
        first = days_of(self.date_from, "date_from")[0] if self.date_from else date.min
        return first, days_of(self.date_to, "date_to")[1] if self.date_to else date.max

    def matches_date(self, text: str) -> bool:
        """Returns whether a value of the tag `date` may lie between the days."""
        first, last = days_of(text)
        return first <= self.days[1] and last >= self.days[0]

    def matches_path(self, path: str) -> bool:
        """Returns whether a path matches one of the globs and lies in one of the folders."""
        parts = _composed(path).split("/")
        return (not self.paths or any(matches(parts) for matches in self._globs)) and (
            not self.folders or any(_lies_in(parts, folder) for folder in self._folders)
        )

    @cached_property
    def _globs(self) -> list[Callable[[Sequence[str]], bool]]:
        return [_matcher(glob) for glob in self.paths]

    @cached_property
    def _folders(self) -> list[list[str]]:
        return [_composed(folder).removeprefix("./").rstrip("/").split("/") for folder in self.folders]

    def __str__(self) -> str:
        """Returns the filter as an error names it."""
        told = [f"path {glob}" for glob in self.paths] + [f"folder {folder}" for folder in self.folders]
        told += [f"tag {key}={' or '.join(values)}" for key, values in self.tags.items()]
        told += [f"date from {self.date_from}"] * bool(self.date_from)
        told += [f"date to {self.date_to}"] * bool(self.date_to)
        return ", ".join(told)


def _values(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _matcher(glob: str) -> Callable[[Sequence[str]], bool]:
    """Returns a function of a path's parts."""
    names = _composed(glob).removeprefix("./").split("/")
    if names[0]:
        names.insert(0, ANY_FOLDERS)
    patterns = [None if name == ANY_FOLDERS else re.compile(translate(name)).match for name in names]
    return lambda parts: _match(parts, patterns)


def _match(parts: Sequence[str], patterns: Sequence[_Component | None]) -> bool:
    """Returns whether each part matches its pattern; None stands for any number of parts.

    As in a comparison of strings with `*`, it suffices to go back to the last None.
    """
    part = pattern = 0
    retry: tuple[int, int] | None = None
    while part < len(parts):
        if pattern < len(patterns) and patterns[pattern] is None:
            pattern += 1
            retry = part, pattern
        elif pattern < len(patterns) and (matches := patterns[pattern]) and matches(parts[part]):
            part, pattern = part + 1, pattern + 1
        elif retry is not None:
            retry = retry[0] + 1, retry[1]
            part, pattern = retry
        else:
            return False
    return all(rest is None for rest in patterns[pattern:])


def _lies_in(parts: Sequence[str], folder: Sequence[str]) -> bool:
    """Returns whether a path lies in a folder. An absolute one begins with an empty part."""
    length = len(folder)
    if not folder[0]:
        return len(parts) > length and list(parts[:length]) == list(folder)
    return any(list(parts[n : n + length]) == list(folder) for n in range(len(parts) - length))


def _composed(text: str) -> str:
    """Returns the text in Unicode's composed form: some systems store names of files decomposed."""
    return unicodedata.normalize("NFC", text)
