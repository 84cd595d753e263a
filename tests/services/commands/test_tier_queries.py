from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest
import typer

from wordspot import Client, FileQuery, StoredQuery
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import path_text
from wordspot.services.commands.tier_queries import ChosenTier, MediaOptions, choose_tier, tier_queries
from wordspot.services.interchange.formats import export
from wordspot.services.interchange.records import Annotation, MediaLink, Occurrence, Tier
from wordspot.v1 import archive_pb2

TIER = Tier("words", [Annotation(1.0, 1.5, "tea", 2), Annotation(2.0, 2.5, "", 3)])


NO_OPTIONS = MediaOptions()


class Recordings:
    """A client of an archive with these recordings: paths by id."""

    def __init__(self, **paths: Path | str) -> None:
        self._paths = paths

    def recordings(self, archive: str) -> Iterator[archive_pb2.Recording]:
        for key, path in self._paths.items():
            yield archive_pb2.Recording(id=key, path=path_text(path))


def queries(chosen: ChosenTier, client: Recordings, options: MediaOptions = NO_OPTIONS) -> list[object]:
    return [each.query for each in tier_queries(chosen, options, cast(Client, client), "talks")]


def linked(folder: Path, url: str, relative: str = "", origin: float = 0.0) -> ChosenTier:
    return ChosenTier(folder / "talk.eaf", TIER, (MediaLink(url, relative, origin),))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "a b%c\udce9.wav"
    path.touch()
    return path


def uri(path: Path) -> str:
    return f"file://{quote(bytes(path))}"


def test_each_annotation_is_a_stretch_of_the_recording_that_is_named(tmp_path: Path) -> None:
    named = tier_queries(linked(tmp_path, ""), MediaOptions("r1"), cast(Client, Recordings()), "talks")
    assert [each.label for each in named] == ["tea", "words 3"]
    assert named[0].name == "annotation 2 of 'words', 1.00-1.50 s: tea"
    first = named[0].query
    assert isinstance(first, StoredQuery)
    assert (first.recording, first.start, first.end) == ("r1", 1.0, 1.5)
    assert "annotation 2" in first.label


def test_a_recording_is_found_by_the_link_in_the_archive_before_the_file(tmp_path: Path, talk: Path) -> None:
    found = queries(linked(tmp_path, uri(talk)), Recordings(other="/x.wav", r2=talk))
    assert [cast(StoredQuery, each).recording for each in found] == ["r2", "r2"]


def test_a_file_that_is_not_indexed_is_cut(tmp_path: Path, talk: Path) -> None:
    found = queries(linked(tmp_path, uri(talk)), Recordings())
    assert found == [FileQuery(talk, 1.0, 1.5), FileQuery(talk, 2.0, 2.5)]


@pytest.mark.parametrize("url", ["file:///C:/tapes/{}", "file:////server/share/{}", "C:\\tapes\\{}", "{}"])
def test_a_file_that_moved_with_the_annotations_is_found_beside_them(
    tmp_path: Path, talk: Path, url: str
) -> None:
    name = quote(bytes(Path(talk.name)))
    assert queries(linked(tmp_path, url.format(name)), Recordings())[0] == FileQuery(talk, 1.0, 1.5)


def test_a_relative_link_leads_from_the_folder_of_the_annotations(tmp_path: Path, talk: Path) -> None:
    folder = tmp_path / "eaf"
    folder.mkdir()
    chosen = linked(folder, "file:///gone/x.wav", f"../{quote(bytes(Path(talk.name)))}")
    (first, _) = queries(chosen, Recordings())
    assert cast(FileQuery, first).path.resolve() == talk


def test_an_uploaded_recording_is_found_by_its_name(tmp_path: Path) -> None:
    chosen = linked(tmp_path, "file:///gone/x.wav")
    assert cast(StoredQuery, queries(chosen, Recordings(r="x.wav", s="y.wav"))[0]).recording == "r"
    with pytest.raises(InvalidInput, match="name it with --media PATH or --recording ID"):
        queries(chosen, Recordings(r="x.wav", s="b/x.wav"))


def test_without_a_link_the_recording_has_the_name_of_the_file(tmp_path: Path) -> None:
    chosen = ChosenTier(tmp_path / "talk[1].TextGrid", TIER)
    with pytest.raises(InvalidInput, match="got no link"):
        queries(chosen, Recordings())
    assert cast(StoredQuery, queries(chosen, Recordings(r="up/talk[1].mp3"))[0]).recording == "r"
    (tmp_path / "talk[1].notes").touch()
    (tmp_path / "talk[1].flac").touch()
    assert cast(FileQuery, queries(chosen, Recordings())[0]).path == tmp_path / "talk[1].flac"


def test_the_time_of_the_media_is_added(tmp_path: Path, talk: Path) -> None:
    assert queries(linked(tmp_path, uri(talk), origin=1.5), Recordings())[0] == FileQuery(talk, 2.5, 3.0)


@pytest.mark.parametrize("url", ["http://host/x.wav", "file:///a%00b.wav", "http://[", "", "file://..", "."])
def test_other_addresses_lead_nowhere(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="must be there or in archive 'talks'"):
        queries(linked(tmp_path, url), Recordings())


def test_a_named_file_must_be_there(tmp_path: Path, talk: Path) -> None:
    options = MediaOptions(media=tmp_path / "gone.wav")
    with pytest.raises(InvalidInput, match=r"--media must be a file or a recording .*gone\.wav"):
        queries(linked(tmp_path, uri(talk)), Recordings(), options)
    with pytest.raises(typer.BadParameter):
        queries(linked(tmp_path, uri(talk)), Recordings(), MediaOptions("r", talk))


def test_a_tier_is_chosen_by_its_name_and_others_are_listed(tmp_path: Path) -> None:
    hits = [Occurrence(name, "r", "a.wav", 0, 1) for name in ("tea", "milk")]
    (file,) = export(hits, "textgrid")
    path = tmp_path / file.name
    path.write_bytes(file.data)
    assert choose_tier(path, "milk").tier.name == "milk"
    for name, got in ((None, "got none"), ("water", "got 'water'")):
        with pytest.raises(InvalidInput, match=rf"a tier of .*: 'tea' \(1\), 'milk' \(1\); {got}"):
            choose_tier(path, name)


def test_an_empty_tier_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    path.write_text("WEBVTT\n")
    with pytest.raises(InvalidInput, match=r"tier 'subtitles' of .* holds no annotation"):
        choose_tier(path, None)
    with pytest.raises(InvalidInput, match=r"cannot read .*gone\.eaf: No such file"):
        choose_tier(tmp_path / "gone.eaf", None)
