"""Following an operation whose stream may break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wordspot.services.client import indexing
from wordspot.services.client.records import IndexProgress
from wordspot.services.errors import CallEnded
from wordspot.v1 import archive_pb2


class BrokenWatch:
    """A server that ends the first streams after one state each."""

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks

    def watch(self, operation: str) -> Iterator[archive_pb2.Operation]:
        yield archive_pb2.Operation(id=operation, state=archive_pb2.OPERATION_STATE_RUNNING)
        if self.breaks:
            self.breaks -= 1
            raise CallEnded("the call was cancelled")
        yield archive_pb2.Operation(id=operation, state=archive_pb2.OPERATION_STATE_SUCCEEDED)

    def cancel(self, operation: str) -> archive_pb2.Operation:
        raise AssertionError("nobody cancels it")


def test_an_operation_is_watched_anew_where_a_full_server_ended_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "WATCH_AGAIN_S", 0.0)
    steps: list[IndexProgress] = []
    end = indexing.followed(BrokenWatch(2), archive_pb2.Operation(id="o"), steps.append)
    assert end.state == archive_pb2.OPERATION_STATE_SUCCEEDED
    assert len(steps) == 4


class InterruptedWatch:
    """A server whose operation the keyboard interrupts; what is done is committed once it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = False

    def watch(self, operation: str) -> Iterator[archive_pb2.Operation]:
        if not self.cancelled:
            yield archive_pb2.Operation(id=operation, state=archive_pb2.OPERATION_STATE_RUNNING)
            raise KeyboardInterrupt
        yield self._now(1, archive_pb2.OPERATION_STATE_RUNNING)
        yield self._now(3, archive_pb2.OPERATION_STATE_CANCELLED)

    def cancel(self, operation: str) -> archive_pb2.Operation:
        self.cancelled = True
        return self._now(1, archive_pb2.OPERATION_STATE_RUNNING)

    def _now(self, done: int, state: archive_pb2.OperationState) -> archive_pb2.Operation:
        return archive_pb2.Operation(
            id="o", archive="words", state=state, recordings_done=done, recordings_total=8
        )


def test_an_interrupt_says_what_is_done_and_how_to_go_on() -> None:
    with pytest.raises(indexing.Interrupted) as raised:
        indexing.followed(InterruptedWatch(), archive_pb2.Operation(id="o"), lambda step: None)
    assert str(raised.value) == (
        "interrupted: 3 of 8 recordings of archive 'words' are indexed; `wordspot resume o` or the same "
        "command goes on"
    )
