"""Vocabularies, and the tokenisation of texts.

    tokens = LANGUAGES["en"].split("Hello, world!")    # hello , world !
    vocabulary = Vocabulary.of(Counter(tokens), 1_000, "en")
    vocabulary.text(vocabulary.rows(tokens))           # hello, world!

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
    """The tokenisation of a language.

    Attributes:
        split: splits a text into tokens.
        pieces: detokenises token by token: pieces that one after another are the text, each independent of
            later tokens.
    """

    split: Callable[[str], list[str]]
    pieces: Callable[[Iterable[str]], Iterator[str]]

    def join(self, tokens: Iterable[str]) -> str:
        """Detokenises tokens."""
        return "".join(self.pieces(tokens))


def _split_english(text: str) -> list[str]:
    return _ENGLISH.findall(text.lower().translate(_APART))


def _english_pieces(tokens: Iterable[str]) -> Iterator[str]:
    """Yields tokens with spaces between words, none beside punctuation. Quotes open and close in turn."""
    attached_next, open_quotes = True, set[str]()  # whether no space follows
    for token in tokens:
        closes = token in open_quotes
        attached = attached_next or closes or token in _NOTHING_BEFORE
        yield token if attached else f" {token}"
        attached_next = token in _NOTHING_AFTER
        if token in _QUOTES:
            open_quotes ^= {token}
            attached_next = not closes


def _split_chinese(text: str) -> list[str]:
    return _CHINESE.findall(text.lower())


def _chinese_pieces(tokens: Iterable[str]) -> Iterator[str]:
    """Yields tokens with a space only between two Latin words."""
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
    """Tokens and their rows.

    Rows from len(self) on are a source's own tokens: those that the vocabulary lacks, in their order.

    Attributes:
        tokens: of rows SPECIAL and up, the most frequent first.
        language: one of LANGUAGES.
    """

    tokens: tuple[str, ...]
    language: str

    @classmethod
    def of(cls, counts: Mapping[str, int], size: int, language: str) -> Vocabulary:
        """Returns the vocabulary of the most frequent tokens.

        Args:
            counts: frequencies of tokens.
            size: rows, at most, the special ones among them.
            language: one of LANGUAGES.
        """
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(tuple(ranked[: size - SPECIAL]), language)

    @classmethod
    def read(cls, letters: Tensor, language: str) -> Vocabulary:
        """Reads a vocabulary from bytes, uint8 (N,): UTF-8, a line a token, zeros behind the last."""
        text = letters.cpu().numpy().tobytes().rstrip(b"\0").decode()
        return cls(tuple(text.split("\n")[:-1]), language)

    def letters(self, size: int) -> Tensor:
        """Returns the tokens as bytes for `read`, uint8 (size,). Raises BadInput if they take more."""
        content = "".join(f"{token}\n" for token in self.tokens).encode()
        if len(content) > size:
            raise BadInput(f"tokens must take at most {size:,} bytes, got {len(content):,}")
        return torch.frombuffer(bytearray(content.ljust(size, b"\0")), dtype=torch.uint8)

    def __len__(self) -> int:
        """Returns the number of rows, the special ones among them."""
        return SPECIAL + len(self.tokens)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self.tokens, SPECIAL)}

    def split(self, text: str) -> list[str]:
        """Returns the tokens of a text."""
        return LANGUAGES[self.language].split(text)

    def rows(self, tokens: Iterable[str], own: Sequence[str] = ()) -> list[int]:
        """Returns the rows of tokens; UNKNOWN for one neither in the vocabulary nor in `own`."""
        others = {token: row for row, token in enumerate(own, len(self))}
        return [self._row.get(token, others.get(token, UNKNOWN)) for token in tokens]

    def own(self, tokens: Iterable[str]) -> list[str]:
        """Returns the tokens of a source that the vocabulary lacks, each once."""
        return list(dict.fromkeys(token for token in tokens if token not in self._row))

    def spelled(self, rows: Iterable[int], own: Sequence[str] = ()) -> Iterator[str]:
        """Yields the token of each row that is no special one."""
        for row in rows:
            if row >= SPECIAL:
                yield self.tokens[row - SPECIAL] if row < len(self) else own[row - len(self)]

    def pieces(self, rows: Iterable[int], own: Sequence[str] = ()) -> Iterator[str]:
        """Yields a piece of text for each row that is no special one."""
        return LANGUAGES[self.language].pieces(self.spelled(rows, own))

    def text(self, rows: Iterable[int], own: Sequence[str] = ()) -> str:
        """Returns the text of rows; own: the source's own tokens."""
        return "".join(self.pieces(rows, own))


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Returns sequences as int64 (B, T), PAD behind the shorter ones; T is at least 1."""
    matrix = torch.full((len(rows), max([1, *map(len, rows)])), PAD)
    for n, row in enumerate(rows):
        matrix[n, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return matrix
