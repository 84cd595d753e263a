from __future__ import annotations

from typing import Any, cast

import pytest

from wordspot import Client
from wordspot.indexer.records import Hit, Mode
from wordspot.services.answers import SearchAnswer, Synthesis
from wordspot.services.commands.search_output import Advice
from wordspot.services.limits import MAX_HITS
from wordspot.v1 import archive_pb2

HIT = Hit("r", "/r.wav", 0.0, 0.5, 2.0, detected=False, p_correct=0.2)


class OneArchive:
    """A client that knows of one archive."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def archive(self, name: str) -> archive_pb2.Archive:
        return archive_pb2.Archive(name=name, **self._fields)


def advice(
    min_score: float | None = None,
    top: int = 10,
    detected: bool = False,
    speed_variants: int = 1,
    mode: Mode = Mode.SOUND,
    **archive: Any,
) -> Advice:
    about = {"recordings": 3, "indexed_recordings": 3, "spans": 9, "encoder": "whisper"} | archive
    return Advice(cast(Client, OneArchive(**about)), "talks", top, min_score, detected, speed_variants, mode)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"min_score": 7.5}, "a score of 7.5: lower --min-score"),
        ({"recordings": 0, "indexed_recordings": 0}, "`wordspot index --archive talks PATH`"),
        ({"indexed_recordings": 0}, "`wordspot index --archive talks`"),
        ({"spans": 0}, "no speech was found"),
        ({"detected": True}, "leave out --detected"),
        ({}, "ask with a shorter one"),
    ],
)
def test_an_empty_ranking_says_what_to_do(given: dict[str, Any], told: str) -> None:
    assert told in advice(**given).for_none()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"top": 3}, "--all-hits shows more"),
        ({"speed_variants": 1}, "--speed-variants 5"),
        ({"encoder": "phonetic"}, "`wordspot index --archive talks --encoder wordspot`"),
        ({"recordings": 5}, "2 of 5 recordings are not indexed yet"),
    ],
)
def test_what_applies_is_advised_where_nothing_is_certain(given: dict[str, Any], told: str) -> None:
    assert told in advice(**given).for_uncertain(SearchAnswer((HIT,) * 3))


def test_what_does_not_apply_is_not_advised() -> None:
    quiet = "nothing is certain"
    assert advice(speed_variants=3).for_uncertain(SearchAnswer((HIT,) * 3)) == quiet
    assert advice(top=MAX_HITS, speed_variants=9).for_uncertain(SearchAnswer((HIT,) * MAX_HITS)) == quiet
    assert advice(mode=Mode.BOTH).for_uncertain(SearchAnswer((HIT,))) == quiet
    assert advice().for_uncertain(SearchAnswer((HIT,), synthesis=Synthesis("s", "en", ("one",)))) == quiet
