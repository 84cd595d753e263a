"""The tokens that a writer knows, and how a text is told apart into them and put together again.

    tokens = LANGUAGES["en"].split("Hello, world!")    # hello , world !
    known = Vocabulary.of(Counter(tokens), 1_000, "en")
    known.text(known.rows(tokens))                     # hello, world!

English tokens are words in lower case and marks; Chinese ones are characters, and runs of Latin letters or
digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wordspot.models.errors import BadInput

PAD, BEGIN, END, UNKNOWN = range(4)
SPECIAL = 4  # rows before the first token's

# What stands within a word without spaces belongs to it: client-server, don't, x.org, c++.
_ENGLISH = re.compile(r"[^\W_]+(?:[-'./+_:@&][^\W_]+)*\+*|\.{2,}|[^\w\s]")
_CHINESE = re.compile(r"[a-z0-9]+(?:[-'./+_:@&][a-z0-9]+)*|[^\s]")
_LATIN = re.compile(r"[a-z0-9]")
_APART = str.maketrans({"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{LEFT SINGLE QUOTATION MARK}": "'"})
_NOTHING_BEFORE = frozenset(".,;:!?)]}%…") | {".." + "." * n for n in range(9)}
_NOTHING_AFTER = frozenset("([{$#")
_QUOTES = frozenset("\"'`")


@dataclass(frozen=True)
class Language:
    """split: a text to its tokens. pieces: tokens to pieces that, one after another, are the text; a piece
    depends on nothing that comes later."""

    split: Callable[[str], list[str]]
    pieces: Callable[[Iterable[str]], Iterator[str]]

    def join(self, tokens: Iterable[str]) -> str:
        return "".join(self.pieces(tokens))


def _split_english(text: str) -> list[str]:
    return _ENGLISH.findall(text.lower().translate(_APART))


def _english_pieces(tokens: Iterable[str]) -> Iterator[str]:
    """Spaces between words; none where a mark clings to its word. Quotes open and close in turn."""
    clings, open_quotes = True, set[str]()  # whether the next follows without a space
    for token in tokens:
        closes = token in open_quotes
        attached = clings or closes or token in _NOTHING_BEFORE
        yield token if attached else f" {token}"
        clings = token in _NOTHING_AFTER
        if token in _QUOTES:
            open_quotes ^= {token}
            clings = not closes


def _split_chinese(text: str) -> list[str]:
    return _CHINESE.findall(text.lower())


def _chinese_pieces(tokens: Iterable[str]) -> Iterator[str]:
    """A space only between two Latin words."""
    latin = False
    for token in tokens:
        starts = bool(_LATIN.match(token))
        yield f" {token}" if latin and starts else token
        latin = starts


LANGUAGES: Mapping[str, Language] = {
    "en": Language(_split_english, _english_pieces),
    "zh": Language(_split_chinese, _chinese_pieces),
}


@dataclass(frozen=True)
class Vocabulary:
    """tokens: those of rows SPECIAL and up, the most frequent first. language: one of LANGUAGES.

    Rows from len(self) on are a source's own: tokens of it that the vocabulary lacks, in their order.
    """

    tokens: tuple[str, ...]
    language: str

    @classmethod
    def of(cls, counts: Mapping[str, int], most: int, language: str) -> Vocabulary:
        """The most frequent tokens; with the special ones, at most so many rows."""
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(tuple(ranked[: most - SPECIAL]), language)

    @classmethod
    def read(cls, letters: Tensor, language: str) -> Vocabulary:
        """letters: uint8 (N,), UTF-8, a line a token, zeros behind the last."""
        text = letters.cpu().numpy().tobytes().rstrip(b"\0").decode()
        return cls(tuple(text.split("\n")[:-1]), language)

    def letters(self, size: int) -> Tensor:
        """As `read` takes them, uint8 (size,). Raises BadInput if they are more."""
        written = "".join(f"{token}\n" for token in self.tokens).encode()
        if len(written) > size:
            raise BadInput(f"the tokens take {len(written):,} bytes; {size:,} are allowed")
        return torch.frombuffer(bytearray(written.ljust(size, b"\0")), dtype=torch.uint8)

    def __len__(self) -> int:
        """Rows, the special ones among them."""
        return SPECIAL + len(self.tokens)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self.tokens, SPECIAL)}

    def split(self, text: str) -> list[str]:
        return LANGUAGES[self.language].split(text)

    def rows(self, tokens: Iterable[str], own: Sequence[str] = ()) -> list[int]:
        """UNKNOWN for a token that is neither in the vocabulary nor among the source's own."""
        others = {token: row for row, token in enumerate(own, len(self))}
        return [self._row.get(token, others.get(token, UNKNOWN)) for token in tokens]

    def own(self, tokens: Iterable[str]) -> list[str]:
        """The tokens of a source that the vocabulary lacks, each once."""
        return list(dict.fromkeys(token for token in tokens if token not in self._row))

    def spelled(self, rows: Iterable[int], own: Sequence[str] = ()) -> Iterator[str]:
        """The token of each row that is no special one."""
        for row in rows:
            if row >= SPECIAL:
                yield self.tokens[row - SPECIAL] if row < len(self) else own[row - len(self)]

    def pieces(self, rows: Iterable[int], own: Sequence[str] = ()) -> Iterator[str]:
        """A piece of text for each row, as it comes."""
        return LANGUAGES[self.language].pieces(self.spelled(rows, own))

    def text(self, rows: Iterable[int], own: Sequence[str] = ()) -> str:
        return "".join(self.pieces(rows, own))


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Sequences side by side, int64 (B, T), PAD behind the shorter ones; T is at least 1."""
    found = torch.full((len(rows), max([1, *map(len, rows)])), PAD)
    for n, row in enumerate(rows):
        found[n, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found
