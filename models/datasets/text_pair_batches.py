"""Batches of texts with their answers, as rows of a vocabulary, for the trainer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.datasets.text_pairs import Pair
from wordspot.models.vocabulary import END, LANGUAGES, Vocabulary, padded

TOGETHER = 100  # of those that validate
ALIKE = 50  # batches that are ordered by length together, lest short texts be padded

TURN = "¶"  # between two lines

Numbers = NDArray[np.int32]


@dataclass(frozen=True)
class PairBatch:
    """Texts and their answers as rows of a vocabulary, beyond which are the given text's own tokens.

    Attributes:
        given: int64 (B, S).
        answers: int64 (B, T), with END; PAD stands behind the shorter rows of both.
    """

    given: Tensor
    answers: Tensor

    def to(self, device: str) -> PairBatch:
        """Returns the batch on a device."""
        return PairBatch(self.given.to(device), self.answers.to(device))


@dataclass(frozen=True)
class Reading:
    """How texts become rows.

    Attributes:
        vocabulary: Whose rows they become.
        most: Tokens of a given text at most.
        longest: Tokens of an answer at most.
        copies: Whether tokens that the vocabulary lacks have rows of their own.
        last: Whether the end of a longer text is used, not the beginning.
    """

    vocabulary: Vocabulary
    most: int
    longest: int
    copies: bool
    last: bool

    def given(self, text: str) -> tuple[list[int], list[str]]:
        """Returns the rows, and the text's own tokens."""
        tokens = self.tokens(text)
        own = self.vocabulary.own(tokens) if self.copies else []
        return self.vocabulary.rows(tokens, own), own

    def tokens(self, text: str) -> list[str]:
        """Returns the tokens of a text; of its lines, each but the last is followed by TURN."""
        tokens = self.vocabulary.split(f" {TURN} ".join(text.strip().splitlines()))
        return tokens[-self.most :] if self.last else tokens[: self.most]

    def answer(self, text: str, own: Sequence[str]) -> list[int]:
        """Returns the rows of an answer, with its end. own: of the given text."""
        return [*self.vocabulary.rows(self.vocabulary.split(text)[: self.longest], own), END]


class PairData:
    """Every epoch shows every pair once, in an order of its own; the rest of an epoch is left out."""

    def __init__(
        self,
        train: Sequence[Pair],
        validation: Sequence[Pair],
        reading: Reading,
        batch_size: int,
        seed: int,
    ) -> None:
        """Raises ValueError if there are fewer than a batch takes."""
        if len(train) < batch_size:
            raise ValueError(f"{len(train)} pairs; a batch takes {batch_size}")
        self.vocabulary = reading.vocabulary
        self._train, self._validation = (_numbers(split, reading) for split in (train, validation))
        self._lengths = np.array([len(given) for given, _ in self._train])
        self._size, self._seed = batch_size, seed
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def batch(self, step: int) -> PairBatch:
        """Returns the batch of a step, of texts of similar length; every epoch has an order of its own."""
        epoch, place = divmod(step, len(self._train) // self._size)
        return _batch([self._train[row] for row in self._order(epoch)[place]])

    def validation(self) -> Sequence[PairBatch]:
        """Returns all pairs of the validation part by length."""
        by_length = sorted(self._validation, key=lambda pair: len(pair[0]))
        return [_batch(by_length[n : n + TOGETHER]) for n in range(0, len(by_length), TOGETHER)]

    def counts(self) -> list[int]:
        """Returns how often each row is written in training, once an epoch."""
        counter = Counter(row for _, answer in self._train for row in answer.tolist())
        return [counter[row] for row in range(len(self.vocabulary))]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        """Returns rows in the epoch's order, (batches, batch size)."""
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._train))
        chunk = ALIKE * self._size
        parts = [order[start : start + chunk] for start in range(0, len(order), chunk)]
        rows = np.concatenate([part[np.argsort(self._lengths[part], kind="stable")] for part in parts])
        batches = rows[: len(rows) // self._size * self._size].reshape(-1, self._size)
        return np.asarray(batches[rng.permutation(len(batches))])


def counted(pairs: Sequence[Pair], language: str) -> Counter[str]:
    """Returns how often each token is in given texts and answers."""
    split = LANGUAGES[language].split
    counter: Counter[str] = Counter()
    for pair in pairs:
        counter.update(split(pair.answer))
        for line in pair.given.splitlines():
            counter.update(split(line))
        counter[TURN] += pair.given.count("\n")
    return +counter


def _numbers(pairs: Sequence[Pair], reading: Reading) -> list[tuple[Numbers, Numbers]]:
    rows = []
    for pair in pairs:
        source, source_tokens = reading.given(pair.given)
        answer = reading.answer(pair.answer, source_tokens)
        rows.append((np.array(source, np.int32), np.array(answer, np.int32)))
    return rows


def _batch(pairs: Sequence[tuple[Numbers, Numbers]]) -> PairBatch:
    given, answers = (padded([part.tolist() for part in parts]) for parts in zip(*pairs, strict=True))
    return PairBatch(given, answers)
