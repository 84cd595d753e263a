"""Judges of models of regulated poems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from wordspot.models.artifact import Metric
from wordspot.models.datasets.poems import FORMS, POEMS, Form, Poems, divergence, poems, read, runs
from wordspot.models.errors import BadInput
from wordspot.models.evaluation import Subject, judges

COPIED_NGRAM = 5  # characters
MAX_REPEATS = 3  # of a character in one line, exclusive

Verses = Mapping[str, NDArray[np.int64]]


@judges("sample", "text")
def writing(subject: Subject) -> list[Metric]:
    """Judges as many poems of every form as are held out.

    form_right: share that keep the form (`keeps_form`). bigram_js: Jensen-Shannon divergence of the bigrams
    in lines from those of the held-out poems, bits; character_js: of the characters. ordered: by how much
    bigram_js rises if each poem's characters are shuffled. copied_5grams: share of n-grams of five characters
    that occur in a training poem. distinct: share of distinct bigrams.

    floor: the held-out poems, for divergences as many training poems; baseline: these with the characters of
    each poem shuffled. Poems that do not keep the form count in the first figure only.
    """
    if subject.source != POEMS.name:
        return []
    train, test = (poems(split, subject.home) for split in ("train", "test"))
    rng, order = subject.rng(), np.random.default_rng(0)
    texts = {name: subject.model.sample(len(rows), rng, condition=name) for name, rows in test.verses.items()}
    generated = {
        name: numbers(poems_of_form, FORMS[name], test.characters) for name, poems_of_form in texts.items()
    }
    training = {
        name: rows[order.permutation(len(rows))[: len(test.verses[name])]]
        for name, rows in train.verses.items()
    }
    shuffled = _shuffled(training, order)
    correct = sum(
        keeps_form(text, FORMS[name], test.characters)
        for name, poems_of_form in texts.items()
        for text in poems_of_form
    )
    form_right = Metric(
        "form_right",
        correct / len(test),
        floor=_form_share(Poems(test.characters, test.verses)),
        baseline=_form_share(Poems(test.characters, shuffled)),
    )
    if not any(map(len, generated.values())):
        return [form_right]
    ngrams = _ngrams(train.verses, COPIED_NGRAM)

    def copied(verses: Verses) -> float:
        return float(np.isin(_ngrams(verses, COPIED_NGRAM), ngrams).mean())

    return [
        form_right,
        *_divergences(generated, training, shuffled, test.verses, order),
        Metric(
            "copied_5grams",
            copied(generated),
            floor=copied(test.verses),
            baseline=copied(shuffled),
            lower_is_better=True,
        ),
        Metric("distinct", _distinct(generated), floor=_distinct(test.verses), baseline=_distinct(shuffled)),
    ]


def _divergences(
    generated: Verses, training: Verses, shuffled: Verses, test: Verses, order: np.random.Generator
) -> list[Metric]:
    """Returns bigram_js, character_js and ordered."""

    def distance(verses: Verses, length: int) -> float:
        return divergence(_ngrams(verses, length), _ngrams(test, length))

    def ordered(verses: Verses) -> float:
        return distance(_shuffled(verses, order), 2) - distance(verses, 2)

    return [
        *(
            Metric(
                name,
                distance(generated, length),
                floor=distance(training, length),
                baseline=distance(shuffled, length),
                lower_is_better=True,
            )
            for name, length in (("bigram_js", 2), ("character_js", 1))
        ),
        Metric("ordered", ordered(generated), floor=ordered(training), baseline=0.0),
    ]


@judges("nll", "text")
def likelihood(subject: Subject) -> list[Metric]:
    """Judges nats a character of the held-out poems. floor: unigrams; baseline: `Bigrams`."""
    if subject.source != POEMS.name:
        return []
    train, test = (poems(split, subject.home) for split in ("train", "test"))
    count = sum(rows.size for rows in test.verses.values())
    nats = float(subject.model.nll(test.texts(), subject.rng()).sum()) / count
    bigrams = Bigrams(train)
    floor, baseline = (bigrams.nats(test.verses, unigram=unigram) / count for unigram in (True, False))
    return [Metric("nats_a_character", nats, floor=floor, baseline=baseline, lower_is_better=True)]


def keeps_form(text: str, form: Form, characters: str) -> bool:
    """Returns whether a text has the form's lines, lengths and punctuation, characters of the vocabulary
    only, no line twice and no character three times in a line."""
    try:
        parsed_form, letters = read(text)
    except BadInput:
        return False
    lines = [letters[n : n + form.width] for n in range(0, len(letters), form.width)]
    return (
        parsed_form == form
        and text == form.printed(letters)
        and set(letters) <= set(characters)
        and len(set(lines)) == len(lines)
        and all(max(Counter(line).values()) < MAX_REPEATS for line in lines)
    )


def numbers(texts: list[str], form: Form, characters: str) -> NDArray[np.int64]:
    """Returns poems as numbers of characters, int64 (poems, form.places), len(characters) for an unknown one.
    Texts of another form are left out."""
    place = {character: n for n, character in enumerate(characters)}
    rows = []
    for text in texts:
        try:
            parsed_form, letters = read(text)
        except BadInput:
            continue
        if parsed_form == form:
            rows.append([place.get(letter, len(characters)) for letter in letters])
    return np.array(rows, np.int64).reshape(-1, form.places)


class Bigrams:
    """A bigram model of characters in lines: interpolated Kneser-Ney (Chen and Goodman 1999), the discount
    from the bigrams counted once and twice."""

    def __init__(self, train: Poems) -> None:
        size = len(train.characters)
        before, after = self._pairs(train.verses, size)
        counts = csr_matrix((np.ones(len(before)), (before, after)), (size + 1, size))
        counts.sum_duplicates()
        once, twice = ((counts.data == n).sum() for n in (1, 2))
        discount = (once + 1) / (once + 2 * twice + 2)  # one more of both, so that none is 0
        self._size = size
        # One more of each, as all poems of a character may have been left out.
        frequencies = np.asarray(counts.sum(axis=0)).ravel() + 1
        self._unigram = frequencies / frequencies.sum()
        total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
        kinds = np.diff(counts.indptr)
        continuations = np.bincount(counts.indices, minlength=size) + 1
        self._backoff = np.where(kinds > 0, discount * kinds / total, 1.0)  # mass of unseen bigrams
        self._continuation = continuations / continuations.sum()
        row = np.repeat(np.arange(size + 1), kinds)
        self._discounted = csr_matrix(
            ((counts.data - discount) / total[row], counts.indices, counts.indptr), counts.shape
        )

    def nats(self, verses: Verses, *, unigram: bool) -> float:
        """Returns the negative log-likelihood of verses, nats; unigram: by frequencies alone."""
        before, after = self._pairs(verses, self._size)
        if unigram:
            return float(-np.log(self._unigram[after]).sum())
        discounted = np.asarray(self._discounted[before, after]).ravel()
        return float(-np.log(discounted + self._backoff[before] * self._continuation[after]).sum())

    @staticmethod
    def _pairs(verses: Verses, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the characters before (`size` at the beginning of a line) and the characters."""
        lines = [rows.reshape(-1, FORMS[name].width) for name, rows in verses.items()]
        before = [np.pad(line[:, :-1], ((0, 0), (1, 0)), constant_values=size) for line in lines]
        return tuple(np.concatenate([part.ravel() for part in parts]) for parts in (before, lines))  # type: ignore[return-value]


def _shuffled(verses: Verses, order: np.random.Generator) -> Verses:
    """Returns verses with the characters of each poem shuffled."""
    return {name: order.permuted(rows, axis=1) for name, rows in verses.items()}


def _ngrams(verses: Verses, length: int) -> NDArray[np.int64]:
    return np.concatenate([runs(rows, FORMS[name].width, length) for name, rows in verses.items()])


def _form_share(poems: Poems) -> float:
    return sum(
        keeps_form(FORMS[name].printed(poems.spell(row)), FORMS[name], poems.characters)
        for name, rows in poems.verses.items()
        for row in rows.tolist()
    ) / len(poems)


def _distinct(verses: Verses) -> float:
    pairs = _ngrams(verses, 2)
    return len(np.unique(pairs)) / max(1, len(pairs))
