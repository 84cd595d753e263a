from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from wordspot.models.conditional.attention_decoder import AttentionDecoder
from wordspot.models.conditional.decoding import DecodingConfig
from wordspot.models.errors import BadInput
from wordspot.models.vocabulary import END, SPECIAL, Vocabulary

WORDS = SPECIAL + 5
PLACES, MEMORY = 4, 6


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=[False, True], ids=["plain", "copying"])
def decoder(request: pytest.FixtureRequest) -> AttentionDecoder:
    return decoder_of(copies=request.param)


def decoder_of(**options: Any) -> AttentionDecoder:
    torch.manual_seed(3)
    decoder = AttentionDecoder(WORDS, letters=40, dimension=5, hidden=7, memory=MEMORY, **options).eval()
    for parameter in decoder.parameters():
        parameter.data.normal_(0, 0.8)  # fresh ones would make all texts alike
    return decoder


def memory(count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Memory, its mask, and the tokens at its positions, two of which the vocabulary lacks."""
    mask = torch.ones(count, PLACES, dtype=torch.bool)
    mask[0, 2:] = False
    source = torch.tensor([[SPECIAL, SPECIAL + 1, WORDS, WORDS + 1]]).expand(count, -1)
    return torch.randn((count, PLACES, MEMORY), generator=rng(1)), mask, source


def inputs(decoder: AttentionDecoder, count: int = 3) -> tuple[Tensor, Tensor, Tensor | None]:
    values, mask, source = memory(count)
    return values, mask, source if decoder.copies else None


def nats(decoder: AttentionDecoder, rows: list[int], n: int) -> float:
    values, mask, source = inputs(decoder)
    row = slice(n, n + 1)
    with torch.no_grad():
        nll = decoder.token_nll(
            values[row], mask[row], torch.tensor([rows]), rng(), None if source is None else source[row]
        )
    return float(nll.sum())


def test_probabilities_of_the_next_token_add_up_to_one_at_most(decoder: AttentionDecoder) -> None:
    tokens = [END, *range(SPECIAL, WORDS + (2 if decoder.copies else 0))]
    for prefix in ([], [SPECIAL], [SPECIAL, SPECIAL + 2]):
        before = nats(decoder, prefix, 1) if prefix else 0.0
        total = sum(math.exp(before - nats(decoder, [*prefix, token], 1)) for token in tokens)
        # What is never written has some of it too.
        assert 0.3 < total <= 1.0001


def test_a_decoded_sequence_has_the_likelihood_that_it_states(decoder: AttentionDecoder) -> None:
    values, mask, source = inputs(decoder)
    for n, texts in enumerate(decoder.beam_search(values, mask, DecodingConfig(max_tokens=4), source)):
        assert [text.score for text in texts] == sorted((text.score for text in texts), reverse=True)
        for text in texts:
            assert text.nats == pytest.approx(nats(decoder, [*text.tokens, END], n), rel=1e-4)
            assert text.attention.shape == (len(text.tokens), PLACES) or not text.tokens
            if text.tokens:
                torch.testing.assert_close(text.attention.sum(dim=1), torch.ones(len(text.tokens)))


def test_a_wide_beam_finds_the_likeliest_sequence_of_all(decoder: AttentionDecoder) -> None:
    values, mask, source = inputs(decoder)
    config = DecodingConfig(max_tokens=3, beam_size=200, length_penalty=0.0, no_repeat_ngram=0)
    best = decoder.beam_search(values, mask, config, source)[1][0].tokens
    tokens = range(SPECIAL, WORDS + (2 if decoder.copies else 0))
    every = [rows for size in (1, 2, 3) for rows in itertools.product(tokens, repeat=size)]
    assert best == min(every, key=lambda rows: nats(decoder, [*rows, END], 1))


def test_other_memories_in_the_batch_change_nothing(decoder: AttentionDecoder) -> None:
    values, mask, source = inputs(decoder)
    config = DecodingConfig(max_tokens=5)
    together = decoder.beam_search(values, mask, config, source)
    for n in range(3):
        row = slice(n, n + 1)
        (alone,) = decoder.beam_search(
            values[row], mask[row], config, None if source is None else source[row]
        )
        assert [text.tokens for text in alone] == [text.tokens for text in together[n]]


def test_a_stream_is_the_best_sequence_and_with_a_seed_the_sampled_one(decoder: AttentionDecoder) -> None:
    values, mask, source = inputs(decoder, 2)
    arguments = (values[1:], mask[1:], DecodingConfig(max_tokens=6))
    of_one = None if source is None else source[1:]
    best = decoder.beam_search(*arguments, of_one)[0][0]
    assert tuple(decoder.stream(*arguments, source=of_one)) == best.tokens
    (sampled,) = decoder.sample(*arguments, rng(5), 1.5, of_one)
    assert tuple(decoder.stream(*arguments, rng(5), 1.5, of_one)) == sampled.tokens
    streamed = list(decoder.stream_with_attention(*arguments, source=of_one))
    torch.testing.assert_close(torch.stack([weights for _, weights in streamed]), best.attention)


def test_no_ngram_comes_twice_and_lengths_are_kept() -> None:
    decoder = decoder_of()
    values, mask, _ = memory()
    for size, least in itertools.product((1, 2), (1, 4)):
        config = DecodingConfig(max_tokens=5, min_tokens=least, no_repeat_ngram=size)
        texts = [text for texts in decoder.beam_search(values, mask, config) for text in texts]
        texts += decoder.sample(values, mask, config, rng(), 3.0)
        for text in texts:
            ngrams = [text.tokens[n : n + size] for n in range(len(text.tokens) - size + 1)]
            assert len(set(ngrams)) == len(ngrams)
            assert least <= len(text.tokens) <= 5


def test_masked_positions_get_no_attention(decoder: AttentionDecoder) -> None:
    values, mask, source = inputs(decoder)
    first = decoder.beam_search(values, mask, DecodingConfig(max_tokens=4), source)[0][0]
    assert not first.attention[:, 2:].any()
    values = values.clone()
    values[0, 2:] = 9.0
    assert (
        decoder.beam_search(values, mask, DecodingConfig(max_tokens=4), source)[0][0].tokens == first.tokens
    )


def test_a_copying_decoder_learns_to_copy_what_no_vocabulary_holds() -> None:
    """Which of two unknown tokens comes is told by the memory alone."""
    torch.manual_seed(0)
    decoder = AttentionDecoder(WORDS, letters=40, dimension=8, hidden=16, memory=MEMORY, copies=True)
    optimiser = torch.optim.Adam(decoder.parameters(), 0.02)
    values = torch.randn((2, PLACES, MEMORY), generator=rng(1))
    mask = torch.ones(2, PLACES, dtype=torch.bool)
    source = torch.tensor([[SPECIAL, WORDS, SPECIAL + 1, WORDS + 1]]).expand(2, -1)
    targets = torch.tensor([[SPECIAL, WORDS, END], [SPECIAL, WORDS + 1, END]])
    for _ in range(150):
        optimiser.zero_grad()
        decoder.token_nll(values, mask, targets, rng(), source).mean().backward()
        optimiser.step()
    sequences = decoder.eval().beam_search(values, mask, DecodingConfig(max_tokens=4), source)
    assert [beam[0].tokens for beam in sequences] == [(SPECIAL, WORDS), (SPECIAL, WORDS + 1)]


def test_a_vocabulary_of_another_size_or_language_is_refused() -> None:
    decoder = decoder_of()
    decoder.set_vocabulary(Vocabulary(("a", "b", "c", "d", "e"), "en"), [1] * WORDS)
    assert decoder.vocabulary.tokens == ("a", "b", "c", "d", "e")
    for other in (Vocabulary(("a",), "en"), Vocabulary(("a", "b", "c", "d", "e"), "zh")):
        with pytest.raises(BadInput, match=r"must have 9 tokens of 'en'"):
            decoder.set_vocabulary(other)


def test_without_a_memory_there_is_no_sequence(decoder: AttentionDecoder) -> None:
    values, mask, source = inputs(decoder)
    none = None if source is None else source[:0]
    assert decoder.beam_search(values[:0], mask[:0], DecodingConfig(max_tokens=3), none) == []
    assert decoder.sample(values[:0], mask[:0], DecodingConfig(max_tokens=3), rng(), 1.0, none) == []
