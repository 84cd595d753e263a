from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordspot import Client, RecordingFilter, TypedQuery, Verdict, read_tag_table
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.client import tag_tables


@pytest.fixture
def client(running: Callable[..., SimpleNamespace]) -> Iterator[Client]:
    with Client(running().address) as client:
        yield client


@pytest.fixture
def filled(client: Client, recordings: dict[str, Path]) -> Client:
    """Every recording has the tag corpus, single ones have a place, a speaker and a date."""
    client.index(
        recordings.values(),
        tags={"corpus": "words"},
        tags_by_path={
            "tea.wav": {"place": "Gent", "speaker": "Anna", "date": "2019-05-01"},
            "milk.wav": {"place": "Gent", "speaker": "Ben", "date": "2020"},
            "both.wav": {"place": "Aalst", "speaker": "Anna", "date": "2020-02"},
        },
    )
    return client


@pytest.fixture
def tea(tmp_path: Path, say: Callable[..., np.ndarray]) -> Path:
    path = tmp_path / "tea-query.wav"
    path.write_bytes(write_wav(say("tea", voice=9)))
    return path


def found(client: Client, query: Path | list[Path], **options: object) -> list[str]:
    return [Path(hit.path).stem for hit in client.search(query, **options)]  # type: ignore[arg-type]


def names(client: Client, **wanted: object) -> list[str]:
    return [
        Path(recording.path).stem
        for recording in client.recordings(filter=RecordingFilter(**wanted))  # type: ignore[arg-type]
    ]


class TestTags:
    def test_tags_given_with_files_are_theirs(self, filled: Client) -> None:
        tags = {Path(each.path).stem: dict(each.tags) for each in filled.recordings()}
        assert tags["none"] == {"corpus": "words"}
        assert tags["both"] == {"corpus": "words", "place": "Aalst", "speaker": "Anna", "date": "2020-02"}
        assert [(count.key, count.value, count.recordings) for count in filled.tags()][:3] == [
            ("corpus", "words", 4),
            ("date", "2019-05-01", 1),
            ("date", "2020", 1),
        ]

    def test_paths_that_tags_are_given_for_in_vain_are_told(
        self, client: Client, recordings: dict[str, Path]
    ) -> None:
        report = client.index(
            [recordings["tea"]], tags_by_path={"nobody.wav": {"place": "x"}, "tea.wav": {"place": "y"}}
        )
        assert list(report.untagged) == ["nobody.wav"]
        assert "no recording of archive 'default' has the path 'nobody.wav'" in report.untagged["nobody.wav"]
        assert report.archive.indexed_recordings == 1

    def test_a_copy_under_another_name_is_tagged_by_that_name(
        self, filled: Client, recordings: dict[str, Path], tmp_path: Path
    ) -> None:
        copy = Path(shutil.copy(recordings["tea"], tmp_path / "copy.wav"))
        report = filled.index([copy], tags_by_path={"copy.wav": {"place": "Brugge"}})
        assert (report.present, report.untagged) == (1, {})
        assert names(filled, tags={"place": ("Brugge",)}) == ["tea"]

    def test_a_recording_is_tagged_by_id_and_by_path(self, filled: Client) -> None:
        recording = next(filled.recordings())
        assert filled.tag(recording.id, {"place": "Brugge"}).tags["place"] == "Brugge"
        assert dict(filled.tag("tea.wav", {}, removed=["place", "speaker"]).tags) == {
            "corpus": "words",
            "date": "2019-05-01",
        }
        assert dict(filled.tag("tea.wav", {"a": "b"}, replace=True).tags) == {"a": "b"}
        with pytest.raises(InvalidInput, match="the key of a tag must be"):
            filled.tag("tea.wav", {"A": "b"})
        with pytest.raises(InvalidInput, match=r"has the path 'coffee\.wav'"):
            filled.tag("coffee.wav", {"a": "b"})

    def test_a_file_is_added_with_its_tags_without_a_server_too(
        self, recordings: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
        with Client(home=tmp_path / "other") as client:
            client.ensure_archive()
            recording, _ = client.add(recordings["tea"], tags={"place": "Gent"})
            assert dict(recording.tags) == {"place": "Gent"}
            assert names(client, paths=("tea.*",)) == ["tea"]


class TestFilters:
    @pytest.mark.parametrize(
        ("wanted", "places"),
        [
            (RecordingFilter(tags={"speaker": ("Anna",)}), {"tea", "both"}),
            (RecordingFilter(tags={"place": ("Gent", "Aalst")}), {"tea", "both"}),
            (RecordingFilter(tags={"place": ("Gent",)}), {"tea"}),
            (RecordingFilter(paths=("both.wav",)), {"both"}),
            (RecordingFilter(folders=("recordings",), date_to="2019"), {"tea"}),
            (RecordingFilter(date_from="2020-02-15"), {"both"}),
        ],
    )
    def test_a_search_covers_only_what_matches(
        self, filled: Client, tea: Path, wanted: RecordingFilter, places: set[str]
    ) -> None:
        assert set(found(filled, tea)) == {"tea", "both"}
        assert set(found(filled, tea, filter=wanted)) == places

    def test_the_best_of_what_matches_is_found_however_many_are_better(
        self, filled: Client, tea: Path
    ) -> None:
        wanted = RecordingFilter(tags={"speaker": ("Ben",)})
        (hit,) = filled.search(tea, filter=wanted, top=1, all_hits=True)
        assert Path(hit.path).stem == "milk"
        (answer,) = filled.search_batch([tea], filter=wanted, all_hits=True)
        assert {Path(each.path).stem for each in answer.hits} == {"milk"}

    def test_a_filter_is_the_same_as_naming_the_recordings(self, filled: Client, tea: Path) -> None:
        wanted = RecordingFilter(tags={"speaker": ("Anna",)})
        ids = [recording.id for recording in filled.recordings(filter=wanted)]
        assert filled.search(tea, filter=wanted, all_hits=True) == filled.search(
            tea, recordings=ids, all_hits=True
        )
        assert filled.search(tea, filter=wanted, recordings=ids[:1], all_hits=True) == filled.search(
            tea, recordings=ids[:1], all_hits=True
        )

    def test_nothing_that_matches_is_an_error_that_says_what_there_is(
        self, filled: Client, tea: Path
    ) -> None:
        with pytest.raises(NotFound, match=r"\(tag place=Gnt\); its tags are place=Gent \(2\), place=Aalst"):
            filled.search(tea, filter=RecordingFilter(tags={"place": ("Gnt",)}))
        with pytest.raises(InvalidInput, match="date_from must be YYYY"):
            filled.search(tea, filter=RecordingFilter(date_from="soon"))
        other = next(filled.recordings(filter=RecordingFilter(paths=("none.wav",)))).id
        with pytest.raises(NotFound, match="none of the recordings to search in matches the filter"):
            filled.search(tea, filter=RecordingFilter(tags={"place": ("Gent",)}), recordings=[other])

    def test_what_matches_and_is_not_indexed_yet_is_said_to_be_so(
        self, filled: Client, tea: Path, tmp_path: Path, say: Callable[..., np.ndarray]
    ) -> None:
        (tmp_path / "new.wav").write_bytes(write_wav(say("new", voice=3)))
        filled.add(tmp_path / "new.wav", tags={"place": "Brugge"})
        with pytest.raises(FailedPrecondition, match=r"none of the 1 recordings .* is indexed"):
            filled.search(tea, filter=RecordingFilter(tags={"place": ("Brugge",)}))
        assert [Path(each.path).stem for each in filled.recordings(states=["added"])] == ["new"]
        with pytest.raises(InvalidInput, match=r"a state must be one of added, indexed, failed.*, got 'new'"):
            list(filled.recordings(states=["new"]))


class TestVerdicts:
    def test_hits_are_judged_listed_and_unjudged(self, filled: Client, tea: Path) -> None:
        hits = filled.search(tea)
        (right,) = filled.judge(hits[0], "tea", correct=True, author="anna")
        (wrong,) = filled.judge(hits[1:2], "tea", correct=False)
        assert (right.recording, right.start, right.score) == (
            hits[0].recording,
            hits[0].start,
            hits[0].score,
        )
        assert list(filled.verdicts()) == [right, wrong]
        assert list(filled.verdicts(query="tea", correct=True)) == [right]
        assert list(filled.verdicts(author="anna", recording=right.recording)) == [right]
        filled.delete_verdicts([right.id])
        assert list(filled.verdicts()) == [wrong]
        with pytest.raises(NotFound, match="no verdict"):
            filled.delete_verdicts([right.id])
        with pytest.raises(InvalidInput, match="must lie within its recording"):
            filled.set_verdicts([Verdict(right.recording, 500.0, 501.0, "tea", correct=True)])

    def test_a_search_with_verdicts_leaves_wrong_places_out_and_learns_from_right_ones(
        self, filled: Client, tea: Path
    ) -> None:
        query = [tea]
        label = str(tea)
        hits = filled.search(query, top=3, all_hits=True)
        filled.judge(hits[0], label, correct=False)
        filled.judge(hits[1], label, correct=True)
        (answer,) = filled.search_batch([query], top=2, all_hits=True, with_verdicts=True)
        places = {(hit.recording, hit.start) for hit in answer.hits}
        assert (hits[0].recording, hits[0].start) not in places
        assert any(hit.recording == hits[1].recording for hit in answer.hits)
        assert len(answer.hits) == 2
        assert (answer.confirmed_examples, answer.rejected_places) == (1, 1)
        (plain,) = filled.search_batch([query], top=2, all_hits=True)
        assert (plain.confirmed_examples, plain.rejected_places) == (0, 0)

    def test_verdicts_of_another_label_do_not_count(self, filled: Client, tea: Path) -> None:
        filled.judge(filled.search(tea), "coffee", correct=False)
        (answer,) = filled.search_batch([tea], with_verdicts=True)
        assert (len(answer.hits), answer.rejected_places) == (2, 0)

    def test_a_confirmed_place_that_cannot_be_read_any_more_does_no_harm(
        self, filled: Client, tea: Path
    ) -> None:
        hits = filled.search(tea)
        filled.set_verdicts([Verdict(hits[0].recording, 0.0, 0.05, str(tea), correct=True)])
        (answer,) = filled.search_batch([tea], with_verdicts=True)
        assert (len(answer.hits), answer.confirmed_examples) == (2, 0)

    def test_a_typed_query_has_its_words_for_a_label(self) -> None:
        assert TypedQuery("tea").label == ""


class TestTables:
    @pytest.mark.parametrize(
        "data",
        [
            b"path,place,recorded by\na.wav,Gent,Anna\nb/c.wav,,Ben\n",
            b"\xef\xbb\xbfpath;place;recorded by\r\na.wav;Gent;Anna\r\nb/c.wav;;Ben\r\n",
            "File\tPlace\tRecorded by\na.wav\tGent\tAnna\n\nb/c.wav\t\tBen\n".encode("utf-16"),
            b'place|recording|recorded_by\nGent|"a.wav"|Anna\n""|"b/c.wav"|Ben\n',
        ],
    )
    def test_tables_of_any_program_are_read(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "tags.csv").write_bytes(data)
        assert read_tag_table(tmp_path / "tags.csv") == {
            "a.wav": {"place": "Gent", "recorded_by": "Anna"},
            "b/c.wav": {"recorded_by": "Ben"},
        }

    def test_quoted_cells_hold_delimiters_and_quotes(self, tmp_path: Path) -> None:
        (tmp_path / "tags.csv").write_text('path,place\n"a, b.wav","the ""Vooruit"""\nc.wav,Gent\n')
        assert read_tag_table(tmp_path / "tags.csv") == {
            "a, b.wav": {"place": 'the "Vooruit"'},
            "c.wav": {"place": "Gent"},
        }

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a.wav,Gent\n", "must name its columns, one of them path or file .*, got 'a.wav', 'Gent'"),
            ("", "must name its columns, .*, got nothing"),
            ("path,1st\na.wav,x\n", "tags.csv, line 2: the key of a tag must be"),
            ("path,place,Place\na.wav,x,y\n", "must have each column once, got 'place' twice"),
            ("path,date\na.wav,soon\n", "tags.csv, line 2: the tag 'date' must be YYYY"),
            ("path,place\na.wav,x,y\n", "line 2 must have at most 2 cells, got 3"),
            ("path,place\n,x\n", "line 2 must have a path, got an empty cell"),
            ("path,place\na.wav,\udcff\n", "line 2: the value of tag 'place' must be text"),
        ],
    )
    def test_what_is_no_table_is_refused_with_its_line(self, tmp_path: Path, text: str, told: str) -> None:
        (tmp_path / "tags.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InvalidInput, match=told):
            read_tag_table(tmp_path / "tags.csv")

    def test_a_name_of_two_files_is_left_to_the_archive(self) -> None:
        added = [(Path("/a/x.wav"), "1" * 16, False), (Path("/b/x.wav"), "2" * 16, False)]
        one, two, three = tag_tables.tag_updates({"x.wav": {}, "b/x.wav": {}, "3" * 16: {}}, added)
        assert (one.recording, one.path) == ("", "x.wav")
        assert two.recording == "2" * 16
        assert three.recording == "3" * 16
