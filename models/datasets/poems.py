"""Poems of the Tang in the four regulated shapes, as rows of characters.

A quatrain has four lines, a regulated verse eight, of five or seven characters each. Poems that are the
same or almost the same (many stand under several authors) are on one side of the split. The vocabulary are
the most frequent characters of the training poems; poems with any other are left out, in every split.

Package: `chinese-poetry` of the npm registry (MIT).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import rel_entr
from torch import Tensor

from wordspot.models.datasets import tang
from wordspot.models.datasets.source import Source, Split, register
from wordspot.models.errors import BadInput

CHARACTERS = 4_000
ALIKE = 0.25  # of the shorter poem's runs of RUN characters, from which on two are near-copies
RUN = 3
SHARES: Mapping[int, Split] = {0: "test", 1: "validation"}  # of 20; the others train

_MARKS = re.compile(r"[，。？！；：、\s]+")


@dataclass(frozen=True)
class Form:
    """A regulated shape of poems.

    Attributes:
        width: Characters a line.
        lines: Of a poem.
    """

    width: int
    lines: int

    @property
    def name(self) -> str:
        """Name of the form, such as `5x4`."""
        return f"{self.width}x{self.lines}"

    @property
    def places(self) -> int:
        """Number of characters of a poem."""
        return self.width * self.lines

    def printed(self, characters: str) -> str:
        """Returns a poem with a comma after odd lines and a full stop after even ones. characters:
        `places` of them."""
        lines = [characters[start : start + self.width] for start in range(0, self.places, self.width)]
        return "".join(line + "，。"[n % 2] for n, line in enumerate(lines))


FORMS: Mapping[str, Form] = {shape.name: shape for shape in (Form(5, 4), Form(7, 4), Form(5, 8), Form(7, 8))}


def form(name: str) -> Form:
    """Raises BadInput."""
    try:
        return FORMS[name]
    except KeyError:
        raise BadInput(f"no form {name!r}; there are {', '.join(FORMS)} (characters x lines)") from None


def read(text: str) -> tuple[Form, str]:
    """Returns the form of a poem with punctuation or line breaks, and its characters alone. Raises
    BadInput."""
    lines = [line for line in _MARKS.split(text) if line]
    widths = {len(line) for line in lines}
    poem_form = FORMS.get(f"{widths.pop()}x{len(lines)}") if len(widths) == 1 else None
    if poem_form is None:
        raise BadInput(f"{text!r} has none of the forms {', '.join(FORMS)} (characters x lines)")
    return poem_form, "".join(lines)


@dataclass(frozen=True)
class Poems:
    """Poems of one split.

    Attributes:
        characters: The vocabulary, the most frequent first.
        verses: By form, int64 (poems, places), places in `characters`.
    """

    characters: str
    verses: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return sum(map(len, self.verses.values()))

    def texts(self) -> list[str]:
        """Returns the poems with punctuation, in order of form."""
        return [
            FORMS[name].printed(self.spell(row))
            for name, rows in self.verses.items()
            for row in rows.tolist()
        ]

    def spell(self, places: Iterable[int]) -> str:
        """Returns the text of characters by their numbers in `characters`."""
        return "".join(self.characters[place] for place in places)


def poems(split: Split, home: Path, packages: Path | None = None) -> Poems:
    """Returns one split, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    with np.load(POEMS.fetch(home, packages) / f"{split}.npz", allow_pickle=False) as arrays:
        characters = "".join(map(chr, arrays["characters"]))
        return Poems(characters, {name: arrays[name].astype(np.int64) for name in FORMS})


@dataclass(frozen=True)
class PoemSource(Source):
    """Stored as `<split>.npz`: the code points of `characters`, and the verses by form."""

    kind = "text"

    def convert_into(self, folder: Path, root: Path) -> None:
        for split, poems in convert(tang.texts(root)).items():
            code_points = np.array([ord(character) for character in poems.characters], np.int32)
            verses = {name: rows.astype(np.int16) for name, rows in poems.verses.items()}
            arrays: dict[str, Any] = {"characters": code_points, **verses}
            np.savez_compressed(folder / f"{split}.npz", **arrays)


POEMS = register(
    PoemSource(
        "poems",
        (tang.PACKAGE,),
        "MIT",
        "18 of 20 train, 1 of 20 each for validation and test, by poem with its near-copies",
    )
)


def convert(texts: Iterable[str], most: int = CHARACTERS) -> dict[Split, Poems]:
    """Converts poems and divides them.

    texts: with punctuation; what has none of the forms is left out. most: characters in the vocabulary."""
    regulated = [_lines(text) for text in texts]
    distinct = list(dict.fromkeys(lines for lines in regulated if lines))
    splits: dict[Split, list[tuple[str, ...]]] = {"train": [], "validation": [], "test": []}
    for group in near_copies(distinct):
        # By the text, so that a poem stays on its side when others come or go.
        digest = hashlib.sha256(min("".join(lines) for lines in group).encode()).digest()
        splits[SHARES.get(int.from_bytes(digest[:8], "big") % 20, "train")] += group
    counts = Counter(character for lines in splits["train"] for line in lines for character in line)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    characters = "".join(ranked[:most])
    return {split: _poems(members, characters) for split, members in splits.items()}


def near_copies(poems: Sequence[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Returns groups of poems, given as lines, of which each shares at least ALIKE of the runs of three
    characters with another, counted by the shorter one."""
    runs = [sorted(within_lines(lines, RUN)) for lines in poems]
    number = {run: n for n, run in enumerate(sorted({run for poem_runs in runs for run in poem_runs}))}
    columns = np.array([number[run] for poem_runs in runs for run in poem_runs], np.int64)
    sizes = np.array([len(poem_runs) for poem_runs in runs])
    rows = np.repeat(np.arange(len(poems)), sizes)
    has = csr_matrix((np.ones(len(rows), np.int32), (rows, columns)), (len(poems), len(number)))
    shared = (has @ has.T).tocoo()
    near = shared.data >= ALIKE * np.minimum(sizes[shared.row], sizes[shared.col])
    pairs = csr_matrix((near[near], (shared.row[near], shared.col[near])), (len(poems), len(poems)))
    labels = connected_components(pairs, directed=False)[1]
    groups: dict[int, list[tuple[str, ...]]] = {}
    for lines, label in zip(poems, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(lines)
    return list(groups.values())


def within_lines(lines: Sequence[str], length: int) -> set[str]:
    """Returns the runs of so many characters that do not go beyond a line."""
    return {line[n : n + length] for line in lines for n in range(len(line) - length + 1)}


def runs(rows: NDArray[np.int64], width: int, length: int) -> NDArray[np.int64]:
    """Runs of characters within lines, a number each: (poems * lines * (width - length + 1),).

    rows: (poems, lines * width), below 2 ** (63 // length).
    """
    lines = rows.reshape(-1, width)
    starts = width - length + 1
    bits = 63 // length
    numbers = np.zeros((len(lines), starts), np.int64)
    for n in range(length):
        numbers = (numbers << bits) | lines[:, n : n + starts]
    return numbers.ravel()


def divergence(items: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Returns the Jensen-Shannon divergence of what is counted in two lists, bits: 0 to 1. It is larger for
    short lists, so that only those of equal lengths compare."""
    values, places = np.unique(np.concatenate([items, others]), return_inverse=True)
    shares = [
        np.bincount(part, minlength=len(values)) / len(part)
        for part in (places[: len(items)], places[len(items) :])
    ]
    middle = (shares[0] + shares[1]) / 2
    return float(sum((rel_entr(share, middle)).sum() for share in shares) / (2 * np.log(2)))


@dataclass(frozen=True)
class PoemBatch:
    """Poems of one form.

    Attributes:
        characters: int64 (B, places), places in the vocabulary.
        form: Its name.
    """

    characters: Tensor
    form: str

    def to(self, device: str) -> PoemBatch:
        """Returns the batch on a device."""
        return PoemBatch(self.characters.to(device), self.form)


class PoemData:
    """Batches of one form each, in an order of their own in every epoch, which shows every poem once; the
    rest of an epoch is left out. Validation: a batch a form."""

    def __init__(self, train: Poems, validation: Poems, batch_size: int, seed: int) -> None:
        """Raises ValueError if there are fewer poems of every form than a batch takes."""
        self.train = train
        self._validation, self._size, self._seed = validation, batch_size, seed
        self._epoch_size = sum(len(rows) // batch_size for rows in train.verses.values())
        if not self._epoch_size:
            raise ValueError(f"no form has as many poems as a batch takes, {batch_size}")
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def batch(self, step: int) -> PoemBatch:
        """Returns the batch of a step, all of one form; every epoch has an order of its own."""
        epoch, place = divmod(step, self._epoch_size)
        name, rows = self._order(epoch)[place]
        return PoemBatch(torch.from_numpy(self.train.verses[name][rows]), name)

    def validation(self) -> Sequence[PoemBatch]:
        """Returns the poems of the validation part, a batch for each form."""
        verses = self._validation.verses
        return [PoemBatch(torch.from_numpy(rows), name) for name, rows in verses.items() if len(rows)]

    def _shuffled(self, epoch: int) -> list[tuple[str, NDArray[np.int64]]]:
        rng = np.random.default_rng((self._seed, epoch))
        batches = []
        for name, rows in self.train.verses.items():
            order = rng.permutation(len(rows))
            whole = len(rows) - len(rows) % self._size
            batches += [(name, order[n : n + self._size]) for n in range(0, whole, self._size)]
        return [batches[n] for n in rng.permutation(len(batches))]


def _lines(text: str) -> tuple[str, ...]:
    """Returns the lines of a poem in one of the forms; none of any other."""
    try:
        shape, characters = read(text)
    except BadInput:
        return ()
    return tuple(characters[n : n + shape.width] for n in range(0, shape.places, shape.width))


def _poems(poems: Iterable[tuple[str, ...]], characters: str) -> Poems:
    place = {character: n for n, character in enumerate(characters)}
    rows: dict[str, list[list[int]]] = {name: [] for name in FORMS}
    for lines in sorted(poems):
        places = [place.get(character, -1) for line in lines for character in line]
        if min(places) >= 0:
            rows[f"{len(lines[0])}x{len(lines)}"].append(places)
    return Poems(
        characters,
        {name: np.array(verses, np.int64).reshape(-1, FORMS[name].places) for name, verses in rows.items()},
    )
