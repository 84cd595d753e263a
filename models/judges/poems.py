"""Judges of models that write regulated poems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from wordspot.models.artifact import Metric
from wordspot.models.datasets.poems import FORMS, NAME, Form, Poems, divergence, poems, read, runs
from wordspot.models.errors import BadInput
from wordspot.models.evaluation import Subject, judges

COPIED = 5  # characters in a row
OFTEN = 3  # times a character is not to stand in one line

Verses = Mapping[str, NDArray[np.int64]]


@judges("sample", "text")
def writing(subject: Subject) -> list[Metric]:
    """As many poems of every form as are held out, and how they compare with these:

    form_right: how many keep the form (`right`). bigram_js: Jensen-Shannon divergence of the neighbours in
    their lines, bits; character_js: of the characters. ordered: by how much the former would be larger with
    each poem's characters shuffled. copied_5grams: how many runs of five characters stand in a training poem.
    distinct: how many pairs of neighbours are different ones.

    floor: of the held-out poems, and for divergences of as many training poems; baseline: of these with the
    characters of each poem shuffled. What has not the form counts in the first figure only.
    """
    if subject.source != NAME:
        return []
    train, test = (poems(split, subject.home) for split in ("train", "test"))
    rng, order = subject.rng(), np.random.default_rng(0)
    texts = {name: subject.model.sample(len(rows), rng, condition=name) for name, rows in test.verses.items()}
    written = {name: numbers(some, FORMS[name], test.characters) for name, some in texts.items()}
    others = {
        name: rows[order.permutation(len(rows))[: len(test.verses[name])]]
        for name, rows in train.verses.items()
    }
    mixed = _mixed(others, order)
    known = _runs(train.verses, COPIED)

    def copied(verses: Verses) -> float:
        return float(np.isin(_runs(verses, COPIED), known).mean())

    def distance(verses: Verses, length: int) -> float:
        return divergence(_runs(verses, length), _runs(test.verses, length))

    def ordered(verses: Verses) -> float:
        return distance(_mixed(verses, order), 2) - distance(verses, 2)

    found = sum(right(text, FORMS[name], test.characters) for name, some in texts.items() for text in some)
    form_right = Metric(
        "form_right",
        found / len(test),
        floor=_rightness(Poems(test.characters, test.verses)),
        baseline=_rightness(Poems(test.characters, mixed)),
    )
    if not any(map(len, written.values())):
        return [form_right]
    return [
        form_right,
        *(
            Metric(
                name,
                distance(written, length),
                floor=distance(others, length),
                baseline=distance(mixed, length),
                lower_is_better=True,
            )
            for name, length in (("bigram_js", 2), ("character_js", 1))
        ),
        Metric("ordered", ordered(written), floor=ordered(others), baseline=0.0),
        Metric(
            "copied_5grams",
            copied(written),
            floor=copied(test.verses),
            baseline=copied(mixed),
            lower_is_better=True,
        ),
        Metric("distinct", _distinct(written), floor=_distinct(test.verses), baseline=_distinct(mixed)),
    ]


@judges("nll", "text")
def likelihood(subject: Subject) -> list[Metric]:
    """Nats a character of the held-out poems. floor: each character by itself, as often as in training;
    baseline: after the one before it in the line (`Bigrams`)."""
    if subject.source != NAME:
        return []
    train, test = (poems(split, subject.home) for split in ("train", "test"))
    count = sum(rows.size for rows in test.verses.values())
    nats = float(subject.model.nll(test.texts(), subject.rng()).sum()) / count
    bigrams = Bigrams(train)
    floor, baseline = (bigrams.nats(test.verses, alone=alone) / count for alone in (True, False))
    return [Metric("nats_a_character", nats, floor=floor, baseline=baseline, lower_is_better=True)]


def right(text: str, form: Form, characters: str) -> bool:
    """Whether it has the form's lines, lengths and punctuation, known characters only, no line twice and no
    character three times in a line."""
    try:
        found, letters = read(text)
    except BadInput:
        return False
    lines = [letters[n : n + form.width] for n in range(0, len(letters), form.width)]
    return (
        found == form
        and text == form.printed(letters)
        and set(letters) <= set(characters)
        and len(set(lines)) == len(lines)
        and all(max(Counter(line).values()) < OFTEN for line in lines)
    )


def numbers(texts: list[str], form: Form, characters: str) -> NDArray[np.int64]:
    """Poems as places in `characters`, (poems, form.places); len(characters) for one that is not there. What
    has not the form is left out."""
    place = {character: n for n, character in enumerate(characters)}
    rows = []
    for text in texts:
        try:
            found, letters = read(text)
        except BadInput:
            continue
        if found == form:
            rows.append([place.get(letter, len(characters)) for letter in letters])
    return np.array(rows, np.int64).reshape(-1, form.places)


class Bigrams:
    """The chance of a character after the one before it in the line, or at its beginning: interpolated
    Kneser-Ney (Chen and Goodman 1999), the discount from the pairs seen once and twice."""

    def __init__(self, train: Poems) -> None:
        size = len(train.characters)
        before, after = self._pairs(train.verses, size)
        counts = csr_matrix((np.ones(len(before)), (before, after)), (size + 1, size))
        counts.sum_duplicates()
        once, twice = ((counts.data == n).sum() for n in (1, 2))
        discount = (once + 1) / (once + 2 * twice + 2)  # one more of both, lest there be none
        self._size = size
        # One more of everything, as there may be a character whose poems were all left out.
        often = np.asarray(counts.sum(axis=0)).ravel() + 1
        self._often = often / often.sum()
        total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
        kinds = np.diff(counts.indptr)
        ways = np.bincount(counts.indices, minlength=size) + 1
        self._rest = np.where(kinds > 0, discount * kinds / total, 1.0)  # left for what was not seen there
        self._general = ways / ways.sum()
        row = np.repeat(np.arange(size + 1), kinds)
        self._seen = csr_matrix(
            ((counts.data - discount) / total[row], counts.indices, counts.indptr), counts.shape
        )

    def nats(self, verses: Verses, *, alone: bool) -> float:
        """Of all characters. alone: each by itself."""
        before, after = self._pairs(verses, self._size)
        if alone:
            return float(-np.log(self._often[after]).sum())
        seen = np.asarray(self._seen[before, after]).ravel()
        return float(-np.log(seen + self._rest[before] * self._general[after]).sum())

    @staticmethod
    def _pairs(verses: Verses, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All characters and what stands before them: `size` at the beginning of a line."""
        lines = [rows.reshape(-1, FORMS[name].width) for name, rows in verses.items()]
        before = [np.pad(some[:, :-1], ((0, 0), (1, 0)), constant_values=size) for some in lines]
        return tuple(np.concatenate([part.ravel() for part in parts]) for parts in (before, lines))  # type: ignore[return-value]


def _mixed(verses: Verses, order: np.random.Generator) -> Verses:
    """With the characters of each poem shuffled."""
    return {name: order.permuted(rows, axis=1) for name, rows in verses.items()}


def _runs(verses: Verses, length: int) -> NDArray[np.int64]:
    return np.concatenate([runs(rows, FORMS[name].width, length) for name, rows in verses.items()])


def _rightness(some: Poems) -> float:
    return sum(
        right(FORMS[name].printed(some.spell(row)), FORMS[name], some.characters)
        for name, rows in some.verses.items()
        for row in rows.tolist()
    ) / len(some)


def _distinct(verses: Verses) -> float:
    pairs = _runs(verses, 2)
    return len(np.unique(pairs)) / max(1, len(pairs))
