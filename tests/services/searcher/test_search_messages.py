"""Queries on their way: what a caller states is what the searcher reads, and its label comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.indexer.records import Hit
from wordspot.services.answers import SearchAnswer, Synthesis, from_message, to_message
from wordspot.services.client.query_messages import query_requests
from wordspot.services.examples import (
    Example,
    FileQuery,
    Query,
    RecordedQuery,
    StoredQuery,
    TypedQuery,
)
from wordspot.services.pricing import ByteBudget
from wordspot.services.searcher.search_messages import read_queries

SOUND = Path(__file__).parents[3] / "deploy" / "demo" / "sample" / "queries" / "password.flac"


def read(query: Query) -> list[Example]:
    """The examples of a query as the searcher reads them."""
    with ByteBudget().account() as account:
        (examples,) = read_queries(query_requests(query), account)
    return list(examples)


@pytest.mark.parametrize(
    "query",
    [
        StoredQuery("abc", 0.5, 1.25, "tea"),
        StoredQuery("abc", 0.5, 1.25),
        TypedQuery("a cup of tea", "en-us", 3, "tea"),
        RecordedQuery(b"sound", (0.5, 1.0), "tea"),
        RecordedQuery(b"sound", None, "tea"),
    ],
    ids=repr,
)
def test_a_query_is_read_as_it_was_stated(query: StoredQuery | TypedQuery | RecordedQuery) -> None:
    assert read(query) == [query]


def test_what_has_no_label_is_labelled_by_what_it_is() -> None:
    assert read(TypedQuery("tea")) == [TypedQuery("tea", label="tea")]
    labels = [read(query)[0].label for query in (FileQuery(SOUND, label="tea"), FileQuery(SOUND), SOUND)]
    assert labels == ["tea", str(SOUND), str(SOUND)]


@pytest.mark.parametrize(
    "first",
    [
        StoredQuery("abc", 0.5, 1.25, "tea"),
        TypedQuery("tea", "en", 2, "tea"),
        RecordedQuery(b"s", None, "tea"),
    ],
    ids=repr,
)
def test_of_several_examples_the_first_has_the_label(
    first: StoredQuery | TypedQuery | RecordedQuery,
) -> None:
    more = StoredQuery("def", 2.0, 2.5, "no label of the query")
    assert read([first, more]) == [first, StoredQuery("def", 2.0, 2.5)]


def test_an_answer_comes_back_with_its_label() -> None:
    hit = Hit("abc", "/tea.wav", 0.5, 1.0, 2.0, detected=True, p_correct=0.75)
    answer = SearchAnswer(
        hits=(hit,),
        compared=(0.25, 1.0),
        seconds=0.5,
        threshold=3.0,
        synthesis=Synthesis("espeak-ng 1.51", "en", ("en", "en+f2")),
        p_threshold=0.5,
        label="tea",
        warnings=("1 recording is not searched",),
    )
    assert from_message(to_message(answer)) == answer
