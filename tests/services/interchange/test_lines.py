from __future__ import annotations

import json
from typing import Any

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange.formats import export
from wordspot.services.interchange.lines import HitLine, read_lines
from wordspot.services.interchange.records import Occurrence

HIT: dict[str, Any] = {
    "recording": "r",
    "path": "a.wav",
    "start": 0.5,
    "end": 1.0,
    "score": 2.0,
    "p_correct": 0.5,
}
ANSWER: dict[str, Any] = {"query": "a.wav", "hits": [HIT | {"detected": False}]}


def read(*lines: object) -> list[HitLine]:
    return list(read_lines([line if isinstance(line, str) else json.dumps(line) for line in lines], "hits"))


def test_the_answers_of_a_search_are_read_by_their_labels() -> None:
    found = Occurrence("a.wav", "r", "a.wav", 0.5, 1.0, 2.0, 0.5, detected=False)
    assert read(ANSWER, "", " \n") == [HitLine("", (found,))]
    (line,) = read(ANSWER | {"schema": "wordspot.search.v1", "label": "tea", "archive": "talks"})
    assert (line.archive, line.occurrences[0].query) == ("talks", "tea")


def test_an_export_is_read_again() -> None:
    hits = [
        Occurrence("tea\n", "r", "caf\udce9", 0, 1, 2.5, 0.5, False, 2, {"speaker": "An"}),
        Occurrence("tea", "r", "b", 1, 1, verdict=True, author="Bo"),
    ]
    (file,) = export(hits, "jsonl")
    assert [hit for line in read(*file.data.decode().splitlines()) for hit in line.occurrences] == hits


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{", "line 1 must be JSON, as `wordspot search --json` prints it"),
        ("[" * 100_000, "line 1 must be JSON"),
        ([1], "line 1 must be a JSON object, got list"),
        (None, "line 1 must be a JSON object, got nothing"),
        ({"schema": "other.v1"}, "schema must be wordspot.search.v1 or wordspot.hit.v1, got 'other.v1'"),
        ({"query": "a", "hits": 3}, "hits must be a list of objects, got 3"),
        ({"hits": []}, "query must be a text, got nothing"),
        ({"query": "a"} | HIT | {"start": "1"}, "start must be a finite number, got str"),
        ({"query": "a"} | HIT | {"end": float("nan")}, "end must be a finite number, got nan"),
        ({"query": "a"} | HIT | {"end": 10**400}, "end must be a finite number"),
        ({"query": "a"} | HIT | {"end": True}, "end must be a finite number, got True"),
        ({"query": "a"} | HIT | {"start": 2}, "must be 0 <= start <= end, got 2 and 1"),
        ({"query": "a"} | HIT | {"start": -1}, "must be 0 <= start <= end, got -1 and 1"),
        ({"query": "a"} | HIT | {"tags": {"a": 1}}, "tags must be texts by name"),
        ({"query": "a"} | HIT | {"channel": -1}, "channel must be a number from 0 on, got -1"),
        ({"query": "a"} | HIT | {"verdict": "yes"}, "verdict must be true or false, got str"),
    ],
)
def test_what_is_no_hit_is_told_with_its_line(value: object, told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(value if isinstance(value, str) else json.dumps(value))
    assert told in str(error.value)
    assert str(error.value).startswith("hits, line 1")
