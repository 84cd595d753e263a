from __future__ import annotations

import time

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.filters import RecordingFilter

PATH = "/data/interviews/2019/Gent/anna 1.wav"


def matches(path: str, **wanted: tuple[str, ...]) -> bool:
    return RecordingFilter(**wanted).checked().matches_path(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "glob",
    [
        "*.wav", "anna*", "anna ?.wav", "anna [0-9].wav", "Gent/*", "*/anna*.wav", "interviews/**",
        "**/Gent/*", "/data/**", "/data/**/anna*", "/data/interviews/*/*/*.wav", "/**/*.wav", "**",
        PATH, "./Gent/*.wav", "interviews/**/anna*", "interviews/**/2019/Gent/*",
    ],
)  # fmt: skip
def test_globs_that_match(glob: str) -> None:
    assert matches(PATH, paths=(glob,))


@pytest.mark.parametrize(
    "glob",
    [
        "*.WAV",
        "Gent",
        "interviews/*",
        "/interviews/**",
        "/anna*",
        "ent/*",
        "/data/*.wav",
        "anna",
        "**/Gent",
        "*/",
    ],
)
def test_globs_that_do_not_match(glob: str) -> None:
    assert not matches(PATH, paths=(glob,))


def test_one_of_several_globs_and_folders_will_do_but_both_kinds_must() -> None:
    assert matches(PATH, paths=("*.mp3", "*.wav"))
    assert matches(PATH, folders=("nowhere", "interviews"))
    assert not matches(PATH, paths=("*.mp3",), folders=("interviews",))


@pytest.mark.parametrize(
    "folder",
    ["/data", "/data/", "/data/interviews", "interviews", "interviews/2019", "2019/Gent/", "./Gent", "/"],
)
def test_folders_that_a_path_lies_in(folder: str) -> None:
    assert matches(PATH, folders=(folder,))


@pytest.mark.parametrize("folder", ["/dat", "data/2019", "/interviews", "anna 1.wav", PATH, "gent"])
def test_folders_that_a_path_does_not_lie_in(folder: str) -> None:
    assert not matches(PATH, folders=(folder,))


def test_names_that_were_stored_decomposed_match_what_is_typed() -> None:
    assert matches("/a/Cafe\u0301/x.wav", folders=("Café",))
    assert matches("/a/x/Cafe\u0301.wav", paths=("Café*",))


def test_a_glob_of_many_stars_takes_no_time() -> None:
    began = time.process_time()
    assert not matches("/" + "a/" * 500 + "b", paths=("**/a/" * 30 + "c",))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("since", "until", "text", "within"),
    [
        ("2019", "2019", "2019-06-01", True),
        ("2019-06-01", "2019-06-01", "2019-06-01", True),
        ("2019-06-02", "", "2019-06-01", False),
        ("", "2019-05", "2019-06-01", False),
        ("2019-06-02", "", "2019-06", True),  # may be the 30th
        ("2019-06-02", "", "2019", True),
        ("2020", "", "2019", False),
        ("2018-12-31", "2018", "2019", False),
        ("", "2024-02", "2024-02-29", True),
    ],
)
def test_dates_lie_between_days_that_are_both_included(
    since: str, until: str, text: str, within: bool
) -> None:
    assert RecordingFilter(date_from=since, date_to=until).matches_date(text) is within


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            RecordingFilter(date_from="yesterday"),
            "date_from must be YYYY, YYYY-MM or YYYY-MM-DD, got 'yesterday'",
        ),
        (RecordingFilter(date_from="2020", date_to="2019"), "must not be after date_to, got 2020 and 2019"),
        (RecordingFilter(tags={"Place": ("x",)}), "the key of a tag must be"),
        (RecordingFilter(tags={"place": ("",)}), "must have 1 to 256 characters, got 0"),
        (RecordingFilter(paths=("",)), "must not be empty"),
        (RecordingFilter(folders=("a\0",)), "must not be empty, got 'a"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(wanted: RecordingFilter, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        wanted.checked()


def test_a_filter_of_nothing_is_none() -> None:
    assert not RecordingFilter()
    assert RecordingFilter(date_to="2019")
    wanted = RecordingFilter(("*.wav",), ("a",), {"place": ("Gent", "Aalst")}, "2019", "2020")
    assert str(wanted) == "path *.wav, folder a, tag place=Gent or Aalst, date from 2019, date to 2020"


def test_a_lone_string_is_one_value_and_not_its_letters() -> None:
    wanted = RecordingFilter("*.wav", "Gent", {"place": "gent", "speaker": ["Anna", "Bert"]})
    assert wanted == RecordingFilter(("*.wav",), ("Gent",), {"place": ("gent",), "speaker": ("Anna", "Bert")})
    assert wanted.checked().tags == {"place": ("gent",), "speaker": ("Anna", "Bert")}
    assert wanted.matches_path(PATH)
    assert not wanted.matches_path("/data/Aalst/a.wav")
    assert str(wanted) == "path *.wav, folder Gent, tag place=gent, tag speaker=Anna or Bert"
