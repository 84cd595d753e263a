from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.indexer.archive.conftest import identities, upload
from wordspot.indexer.archive.additions import Addition
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import RecordingState, TagCount
from wordspot.indexer.archive.tagging import TagUpdate, copy_tags
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.filters import RecordingFilter

Noise = Callable[..., Path]


def tags(library: Library) -> list[dict[str, str]]:
    return [dict(recording.tags) for recording in library.list_recordings("words").items]


def update(library: Library, *updates: TagUpdate) -> list[Any]:
    return library.tags.update("words", updates)


def names(library: Library, states: Sequence[RecordingState] = (), **wanted: Any) -> list[str]:
    page = library.list_recordings("words", recording_filter=RecordingFilter(**wanted), states=states)
    assert page.total == len(page.items)
    return [Path(recording.path).stem for recording in page.items]


class TestAdding:
    def test_what_is_added_has_its_tags_however_it_came(self, library: Library, noise: Noise) -> None:
        library.add_path("words", noise("a"), tags={"place": "Gent", "date": "2019-05"})
        upload(library, noise("b"), tags={"place": "Aalst"})
        assert tags(library) == [{"date": "2019-05", "place": "Gent"}, {"place": "Aalst"}]

    def test_the_same_content_again_gets_the_tags_besides_its_own(
        self, library: Library, noise: Noise
    ) -> None:
        path = noise("a")
        library.add_path("words", path, tags={"place": "Gent", "speaker": "Anna"})
        recording, present = library.add_path("words", path, tags={"place": "Aalst"})
        assert present
        assert recording.tags == {"place": "Aalst", "speaker": "Anna"}
        assert upload(library, path)[0].tags == recording.tags  # type: ignore[attr-defined]

    def test_tags_that_are_not_valid_are_refused_and_the_rest_goes_on(
        self, library: Library, noise: Noise
    ) -> None:
        additions = [Addition(noise("a"), tags={"Place": "x"}), Addition(noise("b"), tags={"place": "x"})]
        outcomes = [each for batch in library.add_paths("words", additions) for each in batch]
        assert isinstance(outcomes[0], InvalidInput)
        assert tags(library) == [{"place": "x"}]
        with pytest.raises(InvalidInput, match="the tag 'date' must be"):
            upload(library, noise("c"), tags={"date": "soon"})

    def test_more_tags_than_a_recording_may_have_are_not_added(self, library: Library, noise: Noise) -> None:
        library.add_path("words", noise("a"), tags={f"a{n}": "x" for n in range(20)})
        with pytest.raises(InvalidInput, match="at most 32 tags, got 40"):
            library.add_path("words", noise("a"), tags={f"b{n}": "x" for n in range(20)})
        assert len(tags(library)[0]) == 20

    def test_a_retry_gets_the_first_answer_and_changes_nothing(self, library: Library, noise: Noise) -> None:
        library.add_path("words", noise("a"), "one", tags={"place": "Gent"})
        recording, _ = library.add_path("words", noise("a"), "one", tags={"place": "Aalst"})
        assert recording.tags == {"place": "Gent"}


class TestUpdating:
    def test_recordings_are_named_by_id_by_path_and_by_the_end_of_it(
        self, filled: Library, audio: Path
    ) -> None:
        ids = identities(filled)
        changed = update(
            filled,
            TagUpdate(recording=ids[0], tags={"place": "Gent"}),
            TagUpdate(path=str(audio / "b.wav"), tags={"place": "Aalst"}),
            TagUpdate(path="c.wav", tags={"place": "Brugge"}),
            TagUpdate(path=f"{audio.name}/d.wav", tags={"place": "Gent"}),
        )
        assert [recording.id for recording in changed] == ids[:4]
        assert [each.get("place") for each in tags(filled)] == ["Gent", "Aalst", "Brugge", "Gent", None, None]

    def test_tags_are_set_removed_and_replaced(self, filled: Library) -> None:
        name = identities(filled)[0]
        update(filled, TagUpdate(recording=name, tags={"place": "Gent", "speaker": "Anna", "mic": "x"}))
        update(filled, TagUpdate(recording=name, tags={"place": "Aalst"}, removed=["mic", "absent"]))
        assert tags(filled)[0] == {"place": "Aalst", "speaker": "Anna"}
        update(filled, TagUpdate(recording=name, tags={"date": "2020"}, replace=True))
        assert tags(filled)[0] == {"date": "2020"}
        update(filled, TagUpdate(recording=name, replace=True))
        assert tags(filled)[0] == {}

    def test_several_changes_of_one_recording_follow_one_another(self, filled: Library) -> None:
        name = identities(filled)[0]
        update(
            filled,
            TagUpdate(recording=name, tags={"a": "1", "b": "1"}),
            TagUpdate(path="a.wav", tags={"b": "2"}, removed=["a"]),
        )
        assert tags(filled)[0] == {"b": "2"}

    def test_what_cannot_be_changed_is_told_and_the_rest_is_changed(
        self, filled: Library, audio: Path, noise: Noise
    ) -> None:
        (audio / "deep").mkdir()
        filled.add_path("words", noise("a", seconds=1.5).rename(audio / "deep" / "a.wav"))
        problems = update(
            filled,
            TagUpdate(recording="nobody", tags={"a": "1"}),
            TagUpdate(path="nothing.wav", tags={"a": "1"}),
            TagUpdate(path="a.wav", tags={"a": "1"}),
            TagUpdate(path="b.wav", tags={"A": "1"}),
            TagUpdate(path="b.wav", tags={"a": "1"}, removed=["a"]),
            TagUpdate(tags={"a": "1"}),
            TagUpdate(path="c.wav", recording="x"),
            TagUpdate(path="d.wav", tags={"a": "1"}),
        )
        assert [type(problem) for problem in problems[:-1]] == [NotFound, NotFound, *[InvalidInput] * 5]
        assert "has the path 'nothing.wav'" in str(problems[1])
        assert "must be the path of one recording, got 2: " in str(problems[2])
        assert f"{audio / 'deep' / 'a.wav'}" in str(problems[2])
        assert "either set or removed, got both for 'a'" in str(problems[4])
        assert [bool(each) for each in tags(filled)] == [False, False, False, True, False, False, False]

    def test_tags_are_durable_and_survive_indexing_anew_and_compaction(
        self, filled: Library, open_library: Callable[..., Library], fakes: SimpleNamespace
    ) -> None:
        ids = identities(filled)
        update(filled, *(TagUpdate(recording=name, tags={"place": name}) for name in ids))
        filled.delete_recording("words", ids[1])
        filled.compact("words")
        fakes.index(filled, "words", "other")
        filled.close()
        assert [each["place"] for each in tags(open_library())] == [ids[0], *ids[2:]]

    def test_a_recording_that_takes_the_place_of_another_gets_its_tags(self, filled: Library) -> None:
        ids = identities(filled)
        update(
            filled,
            TagUpdate(recording=ids[0], tags={"place": "Gent", "mic": "x"}),
            TagUpdate(recording=ids[1], tags={"mic": "y"}),
        )
        with filled._catalogue.writing() as session:
            copy_tags(session, 1, 2)
        assert tags(filled)[1] == {"mic": "y", "place": "Gent"}


class TestCounting:
    def test_tags_are_counted_in_order_of_key_and_value_over_pages(self, filled: Library) -> None:
        ids = identities(filled)
        update(filled, *(TagUpdate(recording=name, tags={"place": "Gent"}) for name in ids[:3]))
        update(filled, TagUpdate(recording=ids[4], tags={"place": "Aalst", "mic": "z"}))
        filled.delete_recording("words", ids[2])
        every = (TagCount("mic", "z", 1), TagCount("place", "Aalst", 1), TagCount("place", "Gent", 2))
        assert filled.tags.page("words").items == every
        first = filled.tags.page("words", limit=2)
        assert first.items == every[:2]
        assert filled.tags.page("words", first.next).items == every[2:]
        assert filled.tags.page("words", first.next).next == ""
        with pytest.raises(InvalidInput, match="is not a page token"):
            filled.tags.page("words", "x")


class TestSelecting:
    @pytest.fixture
    def tagged(self, filled: Library) -> Library:
        update(
            filled,
            TagUpdate(path="a.wav", tags={"place": "Gent", "speaker": "Anna", "date": "2019-05-01"}),
            TagUpdate(path="b.wav", tags={"place": "Gent", "speaker": "Ben", "date": "2019"}),
            TagUpdate(path="c.wav", tags={"place": "Aalst", "speaker": "Anna", "date": "2020-01"}),
            TagUpdate(path="d.wav", tags={"place": "Brugge"}),
        )
        return filled

    def test_each_kind_of_condition_selects_and_all_must_hold(self, tagged: Library) -> None:
        assert names(tagged, tags={"place": ("Gent",)}) == ["a", "b"]
        assert names(tagged, tags={"place": ("Gent",), "speaker": ("Anna",)}) == ["a"]
        assert names(tagged, tags={"place": ("Gent", "Brugge")}) == ["a", "b", "d"]
        assert names(tagged, paths=("[ab].wav", "f*")) == ["a", "b", "f"]
        assert names(tagged, folders=("nowhere",)) == []
        assert names(tagged, date_from="2019-05-02") == ["b", "c"]
        assert names(tagged, date_to="2019-12-31") == ["a", "b"]
        assert names(tagged, date_from="2019", date_to="2019", paths=("b*", "d*")) == ["b"]
        assert names(tagged, tags={"place": ("gent",)}) == []
        assert len(names(tagged)) == 6

    def test_states_select(self, tagged: Library, noise: Noise) -> None:
        tagged.add_path("words", noise("g"))
        assert names(tagged, [RecordingState.ADDED]) == ["g"]
        assert names(tagged, [RecordingState.FAILED]) == []
        assert len(names(tagged, [RecordingState.INDEXED])) == 6
        assert len(names(tagged, [RecordingState.INDEXED, RecordingState.ADDED])) == 7

    def test_what_matches_is_listed_over_pages_with_its_number(self, tagged: Library) -> None:
        wanted = RecordingFilter(tags={"place": ("Gent", "Aalst")})
        first = tagged.list_recordings("words", limit=2, recording_filter=wanted)
        second = tagged.list_recordings("words", first.next, 2, wanted)
        assert [Path(each.path).stem for each in (*first.items, *second.items)] == ["a", "b", "c"]
        assert (first.total, second.total, second.next) == (3, 3, "")

    def test_nothing_that_matches_says_which_tags_there_are(self, tagged: Library) -> None:
        with pytest.raises(NotFound) as caught:
            tagged.matching_recordings("words", RecordingFilter(tags={"place": ("Gnt",)}))
        assert str(caught.value) == (
            "no recording of archive 'words' matches the filter (tag place=Gnt); its tags are "
            "place=Gent (2), place=Aalst (1), place=Brugge (1), speaker=Anna (2), date=2019 (1), "
            "date=2019-05-01 (1), date=2020-01 (1), speaker=Ben (1)"
        )

    def test_nothing_that_matches_a_path_shows_one(self, tagged: Library, audio: Path) -> None:
        with pytest.raises(NotFound, match=f"its paths are like {audio / 'a.wav'}"):
            tagged.matching_recordings("words", RecordingFilter(paths=("*.ogg",)))

    def test_an_archive_without_tags_or_recordings_says_so(self, library: Library) -> None:
        with pytest.raises(NotFound, match="its recordings have no tags"):
            library.matching_recordings("words", RecordingFilter(date_from="2019"))
        with pytest.raises(NotFound, match="it holds no recording"):
            library.matching_recordings("words", RecordingFilter(paths=("*",)))
