"""A trigram language model with interpolated Kneser-Ney smoothing (Chen and Goodman 1999).

model = Trigrams([[5, 6, 3], [5, 7, 3]], size=10)
model.nats([5, 6, 3])
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

ORDER = 3
BEGINNING = -1  # token before the first
Ngram = tuple[int, ...]


class Trigrams:
    """A trigram model, with a discount for each n from the n-grams counted once and twice."""

    def __init__(self, texts: Iterable[Sequence[int]], size: int) -> None:
        """texts: training texts, each with its end token. size: tokens of the vocabulary."""
        counts: list[Counter[Ngram]] = [Counter() for _ in range(ORDER)]  # by n; trigrams by occurrences
        for text in texts:
            tokens = (*[BEGINNING] * (ORDER - 1), *text)
            counts[-1].update(zip(*(tokens[n:] for n in range(ORDER)), strict=False))
        # Shorter n-grams are counted by their distinct contexts: Francisco only ever follows San.
        for length in range(ORDER - 1, 0, -1):
            counts[length - 1].update(ngram[1:] for ngram in counts[length])
        self._size = size
        self._counts = counts
        self._discounts = [_discount(ngrams) for ngrams in counts]
        self._totals: list[Counter[Ngram]] = [Counter() for _ in counts]
        self._kinds: list[Counter[Ngram]] = [Counter() for _ in counts]
        for length, ngrams in enumerate(counts):
            for ngram, count in ngrams.items():
                self._totals[length][ngram[:-1]] += count
                self._kinds[length][ngram[:-1]] += 1

    def nats(self, text: Sequence[int]) -> float:
        """Returns the negative log-likelihood of a text, nats."""
        tokens = (*[BEGINNING] * (ORDER - 1), *text)
        ngrams = zip(*(tokens[n:] for n in range(ORDER)), strict=False)
        return -sum(math.log(self.probability(ngram)) for ngram in ngrams)

    def probability(self, ngram: Ngram) -> float:
        """Returns the probability of the last token of a trigram given the others."""
        probability = 1 / self._size
        for length in range(ORDER):
            part = ngram[ORDER - 1 - length :]
            total = self._totals[length][part[:-1]]
            if total:
                discount = self._discounts[length]
                backoff = discount * self._kinds[length][part[:-1]] / total
                probability = max(self._counts[length][part] - discount, 0.0) / total + backoff * probability
        return probability


def _discount(counts: Counter[Ngram]) -> float:
    frequencies = Counter(counts.values())
    # One more of both, so that none is 0.
    return (frequencies[1] + 1) / (frequencies[1] + 2 * frequencies[2] + 2)
