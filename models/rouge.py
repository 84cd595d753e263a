"""ROUGE-L: the F-measure of the longest common subsequence of two texts (Lin 2004).

rouge_l("the cat sat".split(), "the cat".split())   # 0.8, of 1
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def rouge_l(candidate: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """Returns the harmonic mean of the shares of both that are their longest common subsequence, 0 to 1.

    Strings are compared by characters. 0 if either is empty.
    """
    if not candidate or not reference:
        return 0.0
    return 2 * common_length(candidate, reference) / (len(candidate) + len(reference))


def common_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Returns the length of the longest common subsequence (Hyyrö 2004, bit-parallel)."""
    positions: dict[Hashable, int] = {}
    for n, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << n
    mask = (1 << len(first)) - 1
    unmatched = mask
    for token in second:
        matches = unmatched & positions.get(token, 0)
        unmatched = (unmatched + matches | unmatched - matches) & mask
    return len(first) - unmatched.bit_count()
