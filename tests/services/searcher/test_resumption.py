from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest

from tests.services.waiting import until
from wordspot.indexer.errors import NotFound
from wordspot.services.errors import PeerUnavailable
from wordspot.services.searcher import resumption
from wordspot.services.searcher.resumption import resuming


class InterruptedLibrary:
    """Operations that an earlier process did not finish, and what comes of each attempt to resume them."""

    def __init__(self, **outcomes: list[Exception | None]) -> None:
        self._outcomes = outcomes
        self.resumed: list[str] = []
        self.asked = threading.Event()

    def interrupted_operations(self) -> tuple[str, ...]:
        return tuple(self._outcomes)

    def resume_operation(self, operation: str) -> SimpleNamespace:
        self.asked.set()
        outcomes = self._outcomes[operation]
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        if outcome is not None:
            raise outcome
        self.resumed.append(operation)
        return SimpleNamespace(archive="words")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "RETRY_INTERVAL_S", 0.001)


def test_what_was_interrupted_is_resumed_once_the_model_host_is_there() -> None:
    library = InterruptedLibrary(
        one=[PeerUnavailable("not yet"), PeerUnavailable("not yet"), None], two=[None]
    )
    with resuming(library):  # type: ignore[arg-type]
        until(lambda: library.resumed == ["one", "two"])


def test_what_cannot_be_resumed_is_logged_and_keeps_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wordspot.services")
    library = InterruptedLibrary(gone=[NotFound("no encoder 'x'")], bug=[KeyError("?")], fine=[None])
    with resuming(library):  # type: ignore[arg-type]
        until(lambda: library.resumed == ["fine"])
    assert "operation gone is not resumed: no encoder 'x'" in caplog.text
    assert "operation bug is not resumed" in caplog.text
    assert "operation fine of archive 'words' is resumed" in caplog.text


def test_a_server_that_ends_does_not_wait_for_its_peers() -> None:
    library = InterruptedLibrary(one=[PeerUnavailable("never")])
    with resuming(library):  # type: ignore[arg-type]
        assert library.asked.wait(30)
    assert library.resumed == []
