from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.waiting import until
from wordspot.indexer.archive.summaries import CheckSummary, Page, StoredKind
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.services.searcher import scrubbing as scrubs
from wordspot.services.searcher.scrubbing import scrubbing

HOUR_S = 3600.0


class CheckedLibrary:
    """Archives on two pages, and what a check of each yields or raises."""

    def __init__(self, **archives: list[CheckSummary] | Exception) -> None:
        self._archives = archives
        self.checked: list[str] = []

    def list_archives(self, after: str = "") -> Page[SimpleNamespace]:
        names = [name for name in sorted(self._archives) if name > after]
        return Page(tuple(SimpleNamespace(name=name) for name in names[:1]), names[0] if names[1:] else "")

    def check(self, name: str) -> Iterator[CheckSummary]:
        self.checked.append(name)
        if isinstance(outcome := self._archives[name], Exception):
            raise outcome
        yield from outcome


def segment(name: str, problem: str = "", size: int = 10) -> CheckSummary:
    return CheckSummary(StoredKind.SEGMENT, name, size, 1, problem)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Of a scrub that ended two hours ago."""
    path = tmp_path / "scrubbed"
    path.touch()
    os.utime(path, (time.time() - 2 * HOUR_S,) * 2)
    return path


def test_every_archive_is_checked_when_it_is_time_and_damage_is_told(
    record: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wordspot.services")
    library = CheckedLibrary(
        gone=NotFound("there is no archive 'gone'"),
        failing=InvalidInput("no"),
        hurt=[segment("a"), segment("b", "segment b: vectors.npy differs")],
        whole=[segment("c")],
    )
    before = record.stat().st_mtime
    with scrubbing(library, record, HOUR_S):  # type: ignore[arg-type]
        until(lambda: record.stat().st_mtime > before)
    assert library.checked == ["failing", "gone", "hurt", "whole"]
    assert caplog.messages == [
        "archive 'failing' could not be checked: no",
        "archive 'hurt' is damaged: segment b: vectors.npy differs",
        "scrubbed 30 bytes: 2 problems",
    ]


def test_the_next_scrub_waits_for_its_time_also_in_a_new_process(record: Path) -> None:
    library = CheckedLibrary(whole=[segment("c")])
    before = record.stat().st_mtime
    with scrubbing(library, record, 3 * HOUR_S):  # type: ignore[arg-type]
        pass
    with scrubbing(library, record, HOUR_S):  # type: ignore[arg-type]
        until(lambda: record.stat().st_mtime > before)
    with scrubbing(library, record, HOUR_S):  # type: ignore[arg-type]
        pass
    assert library.checked == ["whole"]


def test_the_first_interval_begins_with_the_first_start(tmp_path: Path) -> None:
    library = CheckedLibrary(whole=[segment("c")])
    with scrubbing(library, tmp_path / "scrubbed", HOUR_S):  # type: ignore[arg-type]
        until((tmp_path / "scrubbed").exists)
    assert library.checked == []
    assert (tmp_path / "scrubbed").stat().st_mode & 0o777 == 0o600


def test_a_scrub_that_is_interrupted_is_not_recorded_and_keeps_nobody_waiting(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubs, "BYTES_PER_S", 1)
    library = CheckedLibrary(large=[segment("a", size=10**6)], later=[segment("b")])
    before = record.stat().st_mtime
    with scrubbing(library, record, HOUR_S):  # type: ignore[arg-type]
        until(lambda: bool(library.checked))
    assert library.checked == ["large"]
    assert record.stat().st_mtime == before


def test_a_clock_that_was_ahead_does_not_put_scrubs_off(record: Path) -> None:
    library = CheckedLibrary(whole=[segment("c")])
    os.utime(record, (time.time() + 1000 * HOUR_S,) * 2)
    with scrubbing(library, record, 0.01):  # type: ignore[arg-type]
        until(lambda: len(library.checked) > 1)
