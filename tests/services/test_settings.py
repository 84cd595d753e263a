from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.indexer import faults
from wordspot.indexer.vectors.policy import KINDS
from wordspot.services import settings
from wordspot.services.settings import (
    ModelHostSettings,
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
    SettingsError,
)


def test_fields_are_read_from_the_environment_by_name_and_type() -> None:
    environment = {
        "WORDSPOT_PORT": "7000",
        "WORDSPOT_REFLECTION": "yes",
        "WORDSPOT_GRACE_SECONDS": "1.5",
        "WORDSPOT_ROOTS": "/srv/audio:/mnt/more",
        "WORDSPOT_DATABASE_URL": "postgresql://db/x",
        "WORDSPOT_HOME": "/var/lib/wordspot",
    }
    server = ServerSettings.read(environment)
    assert (server.port, server.reflection, server.grace_seconds) == (7000, True, 1.5)
    searcher = SearcherSettings.read(environment)
    assert searcher.roots == (Path("/srv/audio"), Path("/mnt/more"))
    assert searcher.database_url == "postgresql://db/x"
    assert searcher.home == Path("/var/lib/wordspot")


def test_a_flag_wins_over_the_environment_and_none_is_no_flag() -> None:
    environment = {"WORDSPOT_PORT": "7000", "WORDSPOT_HOST": "0.0.0.0"}
    server = ServerSettings.read(environment, port=8000, host=None)
    assert (server.port, server.host) == (8000, "0.0.0.0")


def test_nothing_set_means_the_defaults() -> None:
    assert ServerSettings.read({}) == ServerSettings()
    assert ServerSettings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"WORDSPOT_PORT": "many"}, "WORDSPOT_PORT must be a number, got 'many'"),
        ({"WORDSPOT_PORT": "70000"}, "port must be between 0 and 65,535, got 70000"),
        ({"WORDSPOT_REFLECTION": "maybe"}, "WORDSPOT_REFLECTION must be one of .*, got 'maybe'"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        ServerSettings.read(environment)


def test_choices_are_named() -> None:
    with pytest.raises(SettingsError, match="detector must be one of silero, energy, none, got 'ears'"):
        SegmenterSettings(detector="ears")
    with pytest.raises(SettingsError, match=r"index_kind must be one of .*, got 'magic'"):
        SearcherSettings(index_kind="magic")


def test_index_kinds_are_those_of_the_indexer() -> None:
    assert settings.INDEX_KINDS == KINDS


def test_bounds_hold_for_values_from_anywhere() -> None:
    with pytest.raises(SettingsError, match="queue_sections must be between 1 and 100,000, got 0"):
        ModelHostSettings(queue_sections=0)


def test_home_comes_from_the_environment_and_is_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert settings.home({}) == Path("/home/ann/.wordspot")
    assert settings.home({"WORDSPOT_HOME": "~/archive"}) == Path("/home/ann/archive")
    assert settings.home({"WORDSPOT_HOME": "here"}) == Path.cwd() / "here"


def test_a_socket_takes_the_place_of_host_and_port() -> None:
    assert ServerSettings(port=5).address == "127.0.0.1:5"
    assert ServerSettings(socket="/run/w").address == "unix:/run/w"


def test_a_fault_is_armed_from_the_environment() -> None:
    try:
        settings.arm_faults({})
        faults.reach("upload-written")
        settings.arm_faults({"WORDSPOT_FAULT": "upload-written:enospc"})
        with pytest.raises(OSError, match="No space left"):
            faults.reach("upload-written")
    finally:
        faults.disarm()


def test_an_unknown_fault_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(SettingsError, match=r"WORDSPOT_FAULT is 'nowhere'.*upload-written"):
        settings.arm_faults({"WORDSPOT_FAULT": "nowhere"})


def test_a_field_that_may_be_nothing_is_read_as_its_type() -> None:
    assert ServerSettings.read({}).metrics_port is None
    assert ServerSettings.read({"WORDSPOT_METRICS_PORT": "9100"}).metrics_port == 9100
    with pytest.raises(SettingsError, match="metrics_port must be between 0 and 65,535, got 70000"):
        ServerSettings.read({"WORDSPOT_METRICS_PORT": "70000"})


def test_a_user_without_a_home_directory_is_told_to_name_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for value in (None, ""):
        monkeypatch.delenv("HOME", raising=False)
        if value is not None:
            monkeypatch.setenv("HOME", value)
        if value is None:
            with pytest.raises(SettingsError, match="neither HOME nor WORDSPOT_HOME is set"):
                settings.home({})
        assert settings.home({"WORDSPOT_HOME": str(tmp_path)}) == tmp_path
    with pytest.raises(SettingsError, match="WORDSPOT_HOME must be the path of a folder, got ~nobody_here"):
        settings.home({"WORDSPOT_HOME": "~nobody_here/home"})
