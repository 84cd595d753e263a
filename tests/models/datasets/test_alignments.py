from __future__ import annotations

from itertools import pairwise

from wordspot.models.datasets import alignments


def test_words_are_in_order_and_lower_case() -> None:
    table = alignments.words()
    assert table["queen/020006P1"][-1] == ("king", 1.54, 2.03)
    for spans in table.values():
        starts = [start for _, start, _ in spans]
        assert starts == sorted(starts)
        assert all(0 <= start < end and word == word.lower() for word, start, end in spans)


def test_phones_follow_one_another_without_gaps() -> None:
    for spans in alignments.phones().values():
        assert all(0 <= start < end for _, start, end in spans)
        for (_, _, end), (_, start, _) in pairwise(spans):
            assert abs(start - end) < 0.011


def test_words_and_phones_are_known_of_the_same_clips_nearly_all() -> None:
    words, phones = set(alignments.words()), set(alignments.phones())
    assert len(words & phones) > 0.98 * len(words | phones)


def test_the_clips_of_queries_are_among_those_with_words() -> None:
    asked = alignments.query_clips()
    assert len(asked) == 271
    assert asked <= set(alignments.words())
