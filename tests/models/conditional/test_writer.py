from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from wordspot.models.conditional.vocabulary import END, SPECIAL, Vocabulary
from wordspot.models.conditional.writer import Manner, Writer
from wordspot.models.errors import BadInput

WORDS = SPECIAL + 5
PLACES, MEMORY = 4, 6


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=[False, True], ids=["plain", "copying"])
def writer(request: pytest.FixtureRequest) -> Writer:
    return writer_of(copies=request.param)


def writer_of(**options: Any) -> Writer:
    torch.manual_seed(3)
    made = Writer(WORDS, letters=40, dimension=5, hidden=7, memory=MEMORY, **options).eval()
    for parameter in made.parameters():
        parameter.data.normal_(0, 0.8)  # fresh ones would make all texts alike
    return made


def memory(count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Memory, places that there are, tokens at them, two of which the vocabulary lacks."""
    known = torch.ones(count, PLACES, dtype=torch.bool)
    known[0, 2:] = False
    source = torch.tensor([[SPECIAL, SPECIAL + 1, WORDS, WORDS + 1]]).expand(count, -1)
    return torch.randn((count, PLACES, MEMORY), generator=rng(1)), known, source


def asked(writer: Writer, count: int = 3) -> tuple[Tensor, Tensor, Tensor | None]:
    given, known, source = memory(count)
    return given, known, source if writer.copies else None


def nats(writer: Writer, rows: list[int], n: int) -> float:
    given, known, source = asked(writer)
    some = slice(n, n + 1)
    with torch.no_grad():
        found = writer.nats(
            given[some], known[some], torch.tensor([rows]), rng(), None if source is None else source[some]
        )
    return float(found.sum())


def test_the_chances_of_what_may_come_next_add_up_to_one_at_most(writer: Writer) -> None:
    tokens = [END, *range(SPECIAL, WORDS + (2 if writer.copies else 0))]
    for begun in ([], [SPECIAL], [SPECIAL, SPECIAL + 2]):
        before = nats(writer, begun, 1) if begun else 0.0
        total = sum(math.exp(before - nats(writer, [*begun, token], 1)) for token in tokens)
        # What is never written has some of it too.
        assert 0.3 < total <= 1.0001


def test_what_is_written_costs_what_it_says(writer: Writer) -> None:
    given, known, source = asked(writer)
    for n, texts in enumerate(writer.write(given, known, Manner(most=4), source)):
        assert [text.score for text in texts] == sorted((text.score for text in texts), reverse=True)
        for text in texts:
            assert text.nats == pytest.approx(nats(writer, [*text.tokens, END], n), rel=1e-4)
            assert text.attention.shape == (len(text.tokens), PLACES) or not text.tokens
            if text.tokens:
                torch.testing.assert_close(text.attention.sum(dim=1), torch.ones(len(text.tokens)))


def test_wide_beams_find_what_is_likeliest_of_all(writer: Writer) -> None:
    given, known, source = asked(writer)
    manner = Manner(most=3, beam=200, length=0.0, fresh=0)
    found = writer.write(given, known, manner, source)[1][0].tokens
    tokens = range(SPECIAL, WORDS + (2 if writer.copies else 0))
    every = [rows for size in (1, 2, 3) for rows in itertools.product(tokens, repeat=size)]
    assert found == min(every, key=lambda rows: nats(writer, [*rows, END], 1))


def test_company_in_a_batch_changes_nothing(writer: Writer) -> None:
    given, known, source = asked(writer)
    manner = Manner(most=5)
    together = writer.write(given, known, manner, source)
    for n in range(3):
        some = slice(n, n + 1)
        (alone,) = writer.write(given[some], known[some], manner, None if source is None else source[some])
        assert [text.tokens for text in alone] == [text.tokens for text in together[n]]


def test_a_stream_is_the_best_text_and_with_a_seed_the_drawn_one(writer: Writer) -> None:
    given, known, source = asked(writer, 2)
    some = (given[1:], known[1:], Manner(most=6))
    of_one = None if source is None else source[1:]
    best = writer.write(*some, of_one)[0][0]
    assert tuple(writer.stream(*some, source=of_one)) == best.tokens
    (drawn,) = writer.draw(*some, rng(5), 1.5, of_one)
    assert tuple(writer.stream(*some, rng(5), 1.5, of_one)) == drawn.tokens
    told = list(writer.told(*some, source=of_one))
    torch.testing.assert_close(torch.stack([look for _, look in told]), best.attention)


def test_no_run_comes_twice_and_lengths_are_kept() -> None:
    writer = writer_of()
    given, known, _ = memory()
    for fresh, least in itertools.product((1, 2), (1, 4)):
        manner = Manner(most=5, least=least, fresh=fresh)
        texts = [text for some in writer.write(given, known, manner) for text in some]
        texts += writer.draw(given, known, manner, rng(), 3.0)
        for text in texts:
            runs = [text.tokens[n : n + fresh] for n in range(len(text.tokens) - fresh + 1)]
            assert len(set(runs)) == len(runs)
            assert least <= len(text.tokens) <= 5


def test_places_that_are_not_there_are_not_looked_at(writer: Writer) -> None:
    given, known, source = asked(writer)
    first = writer.write(given, known, Manner(most=4), source)[0][0]
    assert not first.attention[:, 2:].any()
    given = given.clone()
    given[0, 2:] = 9.0
    assert writer.write(given, known, Manner(most=4), source)[0][0].tokens == first.tokens


def test_a_copying_writer_learns_to_copy_what_no_vocabulary_holds() -> None:
    """Which of two unknown tokens comes is told by the memory alone."""
    torch.manual_seed(0)
    writer = Writer(WORDS, letters=40, dimension=8, hidden=16, memory=MEMORY, copies=True)
    best = torch.optim.Adam(writer.parameters(), 0.02)
    given = torch.randn((2, PLACES, MEMORY), generator=rng(1))
    known = torch.ones(2, PLACES, dtype=torch.bool)
    source = torch.tensor([[SPECIAL, WORDS, SPECIAL + 1, WORDS + 1]]).expand(2, -1)
    targets = torch.tensor([[SPECIAL, WORDS, END], [SPECIAL, WORDS + 1, END]])
    for _ in range(150):
        best.zero_grad()
        writer.nats(given, known, targets, rng(), source).mean().backward()
        best.step()
    written = writer.eval().write(given, known, Manner(most=4), source)
    assert [some[0].tokens for some in written] == [(SPECIAL, WORDS), (SPECIAL, WORDS + 1)]


def test_a_vocabulary_of_another_size_or_language_is_refused() -> None:
    writer = writer_of()
    writer.learn(Vocabulary(("a", "b", "c", "d", "e"), "en"), [1] * WORDS)
    assert writer.vocabulary.tokens == ("a", "b", "c", "d", "e")
    for other in (Vocabulary(("a",), "en"), Vocabulary(("a", "b", "c", "d", "e"), "zh")):
        with pytest.raises(BadInput, match=r"9 of 'en' in the model"):
            writer.learn(other)


def test_nothing_to_write_about_is_no_text(writer: Writer) -> None:
    given, known, source = asked(writer)
    none = None if source is None else source[:0]
    assert writer.write(given[:0], known[:0], Manner(most=3), none) == []
    assert writer.draw(given[:0], known[:0], Manner(most=3), rng(), 1.0, none) == []
