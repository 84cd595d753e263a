"""The chance of a token after the two before it, counted: interpolated Kneser-Ney (Chen and Goodman 1999).

model = Trigrams([[5, 6, 3], [5, 7, 3]], size=10)
model.nats([5, 6, 3])  # of all three
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

ORDER = 3
NOTHING = -1  # stands before the first token
Row = tuple[int, ...]


class Trigrams:
    """A discount for each length of run, from the runs that were counted once and twice."""

    def __init__(self, texts: Iterable[Sequence[int]], size: int) -> None:
        """texts: each ends with a token that ends it. size: tokens that there may be."""
        counts: list[Counter[Row]] = [Counter() for _ in range(ORDER)]  # by length, the longest as they are
        for text in texts:
            tokens = (*[NOTHING] * (ORDER - 1), *text)
            counts[-1].update(zip(*(tokens[n:] for n in range(ORDER)), strict=False))
        # Shorter runs count by how many tokens they stand behind: Francisco only ever follows San.
        for length in range(ORDER - 1, 0, -1):
            counts[length - 1].update(run[1:] for run in counts[length])
        self._size = size
        self._counts = counts
        self._discounts = [_discount(some) for some in counts]
        self._totals: list[Counter[Row]] = [Counter() for _ in counts]
        self._kinds: list[Counter[Row]] = [Counter() for _ in counts]
        for length, some in enumerate(counts):
            for run, count in some.items():
                self._totals[length][run[:-1]] += count
                self._kinds[length][run[:-1]] += 1

    def nats(self, text: Sequence[int]) -> float:
        """Of the whole."""
        tokens = (*[NOTHING] * (ORDER - 1), *text)
        runs = zip(*(tokens[n:] for n in range(ORDER)), strict=False)
        return -sum(math.log(self.chance(run)) for run in runs)

    def chance(self, run: Row) -> float:
        """Of the last token behind the others."""
        found = 1 / self._size
        for length in range(ORDER):
            part = run[ORDER - 1 - length :]
            total = self._totals[length][part[:-1]]
            if total:
                discount = self._discounts[length]
                left = discount * self._kinds[length][part[:-1]] / total
                found = max(self._counts[length][part] - discount, 0.0) / total + left * found
        return found


def _discount(counts: Counter[Row]) -> float:
    times = Counter(counts.values())
    # One more of both, lest there be none.
    return (times[1] + 1) / (times[1] + 2 * times[2] + 2)
