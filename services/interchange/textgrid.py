"""Praat TextGrids, written through pympi in the long text format.

They are read as Praat reads them (manual, "TextGrid file formats"): numbers, quoted texts and flags that
stand free count, everything else is comment. So the long and the short format are one, and labels may hold
anything.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange.records import AnnotatedRecording, Annotation, Tier, TierFile
from wordspot.services.interchange.text import decoded, unique

BINARY_MARK = b"ooBinaryFile"
INTERVALS, POINTS = "IntervalTier", "TextTier"
# Possessive, so that no file takes longer than its length allows.
_TOKEN = re.compile(
    r"""
    "(?P<text>(?:[^"]++|"")*+)"
    | (?P<number>(?<!\S)[+-]?+(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?+\d++)?+(?!\S))
    | (?P<flag><\w++>)
    | ![^\n]*+  # a comment to the end of the line
    | (?P<open>")
    """,
    re.VERBOSE,
)
_Token = str | float


def write(annotated: AnnotatedRecording) -> bytes:
    """Returns a TextGrid in UTF-8, as long as the recording, or as its annotations where that is unknown."""
    from pympi.Praat import TextGrid

    ends = [tier.annotations[-1].end for tier in annotated.tiers if tier.annotations]
    grid = TextGrid(xmin=0.0, xmax=max([annotated.seconds or 0.0, *ends]))
    for tier in annotated.tiers:
        written = grid.add_tier(tier.name.replace('"', '""'))
        for annotation in tier.annotations:
            written.add_interval(annotation.start, annotation.end, annotation.text, check=False)
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        path = Path(folder) / "written.TextGrid"
        grid.to_file(path)
        return path.read_bytes()


def read(data: bytes, name: str, encoding: str = "") -> TierFile:
    """Returns the tiers of a TextGrid in one of the text formats; empty intervals are left out.

    Raises InvalidInput.
    """
    if data.startswith(BINARY_MARK):
        raise InvalidInput(f"{name} must be a TextGrid saved as text, got a binary one")
    text = decoded(data, name, encoding)
    if "TextGrid" not in text[:200]:
        raise InvalidInput(f'{name} must be a TextGrid, which begins with File type = "ooTextFile"')
    reader = _Reader(text, name)
    reader.header()
    taken: set[str] = set()
    return TierFile([reader.tier(taken) for _ in range(reader.count("the number of tiers"))])


class _Reader:
    """The values of a TextGrid, one after another. Each method raises InvalidInput at another one."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._place = "its header"
        self._text = text
        self._tokens = self._read(text)

    def header(self) -> None:
        """Passes over what stands before the number of tiers."""
        while not isinstance(self._next("a time"), float):
            pass
        self.number("the end")
        if self._next("<exists>") != "<exists>":
            raise InvalidInput(f"{self._name} has no tiers")

    def tier(self, taken: set[str]) -> Tier:
        """Returns the next tier. taken: names of tiers."""
        kind = self.text("the class of a tier")
        if kind not in (INTERVALS, POINTS):
            raise InvalidInput(
                f"the class of a tier of {self._name} must be {INTERVALS} or {POINTS}, got {kind[:80]!r}"
            )
        name = unique(self.text("the name of a tier"), taken)
        self._place = f"tier {name!r}"
        self.number("the start")
        self.number("the end")
        annotations = []
        for number in range(1, self.count("the number of annotations") + 1):
            self._place = f"annotation {number} of tier {name!r}"
            start = self.number("a time")
            end = self.number("a time") if kind == INTERVALS else start
            if text := self.text("a text").strip():
                annotations.append(Annotation(start, end, text, number))
        return Tier(name, annotations)

    def text(self, what: str) -> str:
        """Returns the text that comes next."""
        token = self._next(what)
        if isinstance(token, float):
            raise InvalidInput(f"{self._name}, {self._place}: expected {what}, got {token:g}")
        return token

    def number(self, what: str) -> float:
        """Returns the number that comes next."""
        token = self._next(what)
        if not isinstance(token, float):
            raise InvalidInput(f"{self._name}, {self._place}: expected {what}, got {token[:80]!r}")
        return token

    def count(self, what: str) -> int:
        """Returns the number that comes next, of things that follow."""
        number = self.number(what)
        if not 0 <= number <= len(self._text):
            raise InvalidInput(f"{self._name}, {self._place}: {what} cannot be {number:g}")
        return int(number)

    def _next(self, what: str) -> _Token:
        token = next(self._tokens, None)
        if token is None:
            raise InvalidInput(f"{self._name} ends in {self._place}, where {what} is missing")
        return token

    def _read(self, text: str) -> Iterator[_Token]:
        for match in _TOKEN.finditer(text):
            if match["text"] is not None:
                yield match["text"].replace('""', '"')
            elif match["number"]:
                yield float(match["number"])
            elif match["flag"]:
                yield match["flag"]
            elif match["open"]:
                raise InvalidInput(f"{self._name}, {self._place}: a text begins with a quote and never ends")
