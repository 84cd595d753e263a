from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.indexer.archive.conftest import identities
from wordspot.indexer.archive import catalogue_file
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.verdicts import VerdictFilter
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.verdicts import Verdict


def verdict(
    library: Library, start: float = 0.1, *, at: int = 0, query: str = "tea", **fields: object
) -> Verdict:
    known = {"end": start + 0.2, "correct": True, "author": "anna", "score": 4.5, "p_correct": 0.9}
    return Verdict(identities(library)[at], start, query=query, **(known | fields))  # type: ignore[arg-type]


def stored(library: Library, **wanted: object) -> list[Verdict]:
    page = library.verdicts.page("words", VerdictFilter(**wanted))  # type: ignore[arg-type]
    assert page.total == len(page.items)
    return list(page.items)


def test_what_is_set_is_listed_with_id_time_and_path(filled: Library, audio: Path) -> None:
    given = verdict(filled)
    (first,) = filled.verdicts.set("words", [given])
    assert first.id
    assert first.created is not None
    assert first == replace(given, id=first.id, created=first.created, path=str(audio / "a.wav"))
    assert stored(filled) == [first]


def test_a_later_verdict_of_a_place_replaces_the_earlier_one(filled: Library) -> None:
    (first,) = filled.verdicts.set("words", [verdict(filled, 0.1)])
    (second,) = filled.verdicts.set("words", [verdict(filled, 0.15, correct=False, author="ben")])
    assert second.id == first.id
    assert (second.correct, second.author, second.start) == (False, "ben", 0.15)
    assert stored(filled) == [second]


def test_other_places_queries_recordings_and_channels_have_verdicts_of_their_own(filled: Library) -> None:
    given = [
        verdict(filled, 0.1),
        verdict(filled, 0.3),
        verdict(filled, 0.1, query="coffee"),
        verdict(filled, 0.1, at=1),
        verdict(filled, 0.1, channel=1),
    ]
    assert len({each.id for each in filled.verdicts.set("words", given)}) == 5


def test_a_verdict_that_spans_several_places_takes_all_of_them(filled: Library) -> None:
    results = filled.verdicts.set(
        "words", [verdict(filled, 0.1), verdict(filled, 0.35), verdict(filled, 0.1, end=0.6, correct=False)]
    )
    assert len({each.id for each in results}) == 1
    assert [each.correct for each in results] == [False] * 3
    assert [(each.start, each.end) for each in stored(filled)] == [(0.1, 0.6)]
    (across,) = filled.verdicts.set("words", [verdict(filled, 0.5, end=0.9, query="x")])
    assert across.query == "x"


def test_all_of_a_call_are_stored_or_none(filled: Library) -> None:
    good = verdict(filled)
    for bad, error, told in [
        (replace(good, recording="nobody"), NotFound, "no recording 'nobody' in archive 'words'"),
        (
            replace(good, end=99.0),
            InvalidInput,
            "must lie within its recording .* of 1.00 s, got 0.1 to 99 s",
        ),
        (replace(good, query=""), InvalidInput, "query must say what was looked for"),
    ]:
        with pytest.raises(error, match=told):
            filled.verdicts.set("words", [good, bad])
    assert stored(filled) == []


def test_lists_are_confined_and_go_over_pages(filled: Library) -> None:
    filled.verdicts.set("words", [verdict(filled, at=n, correct=n % 2 == 0) for n in range(6)])
    filled.verdicts.set("words", [verdict(filled, query="coffee", author="ben")])
    assert len(stored(filled, query=" tea ")) == 6
    assert len(stored(filled, query="tea", correct=False)) == 3
    assert [each.query for each in stored(filled, author="ben")] == ["coffee"]
    assert len(stored(filled, recording=identities(filled)[0])) == 2
    first = filled.verdicts.page("words", limit=4)
    rest = filled.verdicts.page("words", after=first.next, limit=4)
    assert (len(first.items), len(rest.items), first.total, rest.next) == (4, 3, 7, "")
    assert len({each.id for each in (*first.items, *rest.items)}) == 7


def test_those_of_a_query_come_the_latest_last(filled: Library) -> None:
    filled.verdicts.set("words", [verdict(filled, at=n) for n in range(3)])
    filled.verdicts.set("words", [verdict(filled, at=0)])
    ids = identities(filled)
    assert [each.recording for each in filled.verdicts.of_query("words", "tea")] == [ids[1], ids[2], ids[0]]
    assert filled.verdicts.of_query("words", "a\nb") == []


def test_they_are_deleted_all_or_none(filled: Library) -> None:
    one, two = filled.verdicts.set("words", [verdict(filled, at=0), verdict(filled, at=1)])
    with pytest.raises(NotFound, match="no verdict 'x' in archive 'words'"):
        filled.verdicts.delete("words", [one.id, "x"])
    assert len(stored(filled)) == 2
    filled.verdicts.delete("words", [one.id, one.id])
    assert stored(filled) == [two]


def test_they_go_with_their_recording_at_once(filled: Library) -> None:
    filled.verdicts.set("words", [verdict(filled, at=0), verdict(filled, at=1)])
    ids = identities(filled)
    filled.delete_recording("words", ids[0])
    assert [each.recording for each in stored(filled)] == [ids[1]]
    with pytest.raises(NotFound, match="no recording"):
        filled.verdicts.set("words", [Verdict(ids[0], 0.1, 0.3, "tea", correct=True)])
    filled.delete_archive("words")
    filled.create_archive("words")
    assert stored(filled) == []


def test_they_survive_indexing_anew_compaction_and_a_restored_backup(
    filled: Library, open_library: Callable[..., Library], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (one, two) = filled.verdicts.set("words", [verdict(filled, at=0), verdict(filled, at=1)])
    filled.delete_recording("words", identities(filled)[5])
    filled.compact("words")
    fakes.index(filled, "words", "other")
    assert stored(filled) == [one, two]
    filled.close()
    catalogue_file.back_up(home, tmp_path / "backup.db")
    with open_library() as library:
        library.verdicts.delete("words", [one.id, two.id])
    catalogue_file.restore(home, tmp_path / "backup.db")
    assert stored(open_library()) == [one, two]
