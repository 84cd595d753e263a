"""ROUGE-L: how much of a text's tokens another has in the same order (Lin 2004).

rouge_l("the cat sat".split(), "the cat".split())   # 0.8, of 1
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def rouge_l(said: Sequence[Hashable], wanted: Sequence[Hashable]) -> float:
    """Of the longest common subsequence, the harmonic mean of its shares of both; strings count by
    characters. 0 if either is empty."""
    if not said or not wanted:
        return 0.0
    return 2 * common(said, wanted) / (len(said) + len(wanted))


def common(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence (Hyyrö 2004: a bit a place, all at once)."""
    places: dict[Hashable, int] = {}
    for n, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << n
    whole = (1 << len(one)) - 1
    free = whole
    for token in other:
        taken = free & places.get(token, 0)
        free = (free + taken | free - taken) & whole
    return len(one) - free.bit_count()
