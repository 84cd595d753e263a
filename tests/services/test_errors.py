from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from wordspot.indexer.errors import ArchiveError, InvalidInput, NotFound
from wordspot.models.errors import BadInput, ModelError, UnknownModel
from wordspot.services import errors
from wordspot.services.runtime import Service
from wordspot.v1 import archive_pb2 as pb
from wordspot.v1 import archive_pb2_grpc

DETAILS = {
    "MALFORMED_REQUEST": "BadRequest",
    "INVALID_INPUT": "BadRequest",
    "BAD_INPUT": "BadRequest",
    "OVERLOADED": "RetryInfo",
    "STORAGE_FAILED": "RetryInfo",
    "PEER_UNAVAILABLE": "RetryInfo",
    "FAILED_PRECONDITION": "PreconditionFailure",
    "MISSING_WEIGHTS": "PreconditionFailure",
    "SYNTHESIS_FAILED": "PreconditionFailure",
}


class Raising(archive_pb2_grpc.ArchiveServiceServicer):
    """Raises the same exception from a handler of every shape."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def GetArchive(self, request: Any, context: grpc.ServicerContext) -> Any:
        raise self._error

    def GetClip(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield pb.GetClipResponse(chunk=b"begun")
        raise self._error

    def UploadRecording(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        list(request_iterator)
        raise self._error


@pytest.fixture
def failing(serving: Callable[..., Any]) -> Callable[[Exception], Any]:
    def start(error: Exception) -> Any:
        def register(server: grpc.Server) -> None:
            archive_pb2_grpc.add_ArchiveServiceServicer_to_server(Raising(error), server)

        channel, _ = serving(Service("wordspot.v1.ArchiveService", register))
        return archive_pb2_grpc.ArchiveServiceStub(channel)

    return start


def raised_by(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("rule", errors.RULES, ids=lambda rule: rule.reason)
def test_every_exception_of_the_table_arrives_with_code_reason_and_details(
    failing: Callable[[Exception], Any], rule: errors.Rule
) -> None:
    error = raised_by(
        lambda: failing(rule.exception("the word 42 is not allowed")).GetArchive(pb.GetArchiveRequest())
    )
    assert error.code() == rule.code
    assert error.details() == "the word 42 is not allowed"
    assert errors.reason_of(error) == rule.reason
    kinds = {detail.TypeName().rsplit(".", 1)[-1] for detail in rpc_status.from_call(error).details}
    assert kinds == {"ErrorInfo"} | ({DETAILS[rule.reason]} if rule.reason in DETAILS else set())


@pytest.mark.parametrize("rule", errors.RULES, ids=lambda rule: rule.reason)
def test_a_caller_gets_the_exception_back_or_the_archive_s_word_for_it(
    failing: Callable[[Exception], Any], rule: errors.Rule
) -> None:
    stub = failing(rule.exception("words"))
    with pytest.raises((ArchiveError, ModelError)) as caught, errors.translated("somewhere"):
        stub.GetArchive(pb.GetArchiveRequest())
    assert str(caught.value) == "words"
    expected = {UnknownModel: NotFound, BadInput: InvalidInput, errors.MalformedRequest: InvalidInput}
    again = errors.to_status(caught.value)
    assert again is not None
    assert again.code == errors.to_status(expected.get(rule.exception, rule.exception)("words")).code


@pytest.mark.parametrize("method", ["GetClip", "UploadRecording"])
def test_streaming_handlers_use_the_same_table(failing: Callable[[Exception], Any], method: str) -> None:
    stub = failing(NotFound("no such thing"))
    if method == "GetClip":
        error = raised_by(lambda: list(stub.GetClip(pb.GetClipRequest())))
    else:
        error = raised_by(lambda: stub.UploadRecording(iter([pb.UploadRecordingRequest(chunk=b"x")])))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert errors.reason_of(error) == "NOT_FOUND"


@pytest.mark.parametrize("method", ["GetArchive", "GetClip"])
def test_an_unforeseen_exception_is_logged_and_leaks_no_text(
    failing: Callable[[Exception], Any], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    stub = failing(RuntimeError("password is swordfish"))
    if method == "GetArchive":
        error = raised_by(lambda: stub.GetArchive(pb.GetArchiveRequest()))
    else:
        error = raised_by(lambda: list(stub.GetClip(pb.GetClipRequest())))
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "swordfish" not in error.details()
    assert all("swordfish" not in str(value) for _, value in error.trailing_metadata())
    assert "swordfish" in caplog.text


def test_a_subclass_is_found_before_its_base_class() -> None:
    for number, rule in enumerate(errors.RULES):
        shadowed = [
            later for later in errors.RULES[number + 1 :] if issubclass(later.exception, rule.exception)
        ]
        assert not shadowed, f"{rule.reason} hides {shadowed}"


def test_reasons_are_unique() -> None:
    reasons = [rule.reason for rule in errors.RULES]
    assert len(set(reasons)) == len(reasons)


def test_every_intended_exception_of_the_layers_below_has_a_rule() -> None:
    from wordspot.indexer import errors as archive
    from wordspot.models import errors as models

    for module, base in ((archive, ArchiveError), (models, ModelError)):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, base) and value is not base:
                assert errors.to_status(value("x")) is not None, value


def test_a_long_message_is_cut_so_that_the_status_fits_into_headers(
    failing: Callable[[Exception], Any],
) -> None:
    error = raised_by(lambda: failing(InvalidInput("ü" * 100_000)).GetArchive(pb.GetArchiveRequest()))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(error.details().encode()) <= errors.MAX_STATUS_TEXT_BYTES
    assert error.details().endswith("ü...")


def test_an_overload_says_when_to_come_back(failing: Callable[[Exception], Any]) -> None:
    error = raised_by(
        lambda: failing(errors.Overloaded("busy", retry_seconds=2.5)).GetArchive(pb.GetArchiveRequest())
    )
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in rpc_status.from_call(error).details)
    assert retry.retry_delay.ToMilliseconds() == 2_500


def test_an_overload_keeps_its_delay_from_service_to_service(failing: Callable[[Exception], Any]) -> None:
    stub = failing(errors.Overloaded("busy", retry_seconds=2.5))
    with pytest.raises(errors.Overloaded) as caught, errors.translated("there"):
        stub.GetArchive(pb.GetArchiveRequest())
    assert caught.value.retry_seconds == 2.5


def test_a_malformed_request_names_the_field(failing: Callable[[Exception], Any]) -> None:
    error = raised_by(
        lambda: failing(errors.MalformedRequest("no", "options.top_k")).GetArchive(pb.GetArchiveRequest())
    )
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in rpc_status.from_call(error).details)
    assert [violation.field for violation in bad.field_violations] == ["options.top_k"]


def test_a_service_that_is_not_there_is_named_by_its_address() -> None:
    from wordspot.services.runtime import open_channel

    with open_channel("127.0.0.1:1") as channel:
        stub = archive_pb2_grpc.ArchiveServiceStub(channel)
        with pytest.raises(errors.PeerUnavailable, match=r"127\.0\.0\.1:1"), errors.translated("127.0.0.1:1"):
            stub.DeleteArchive(pb.DeleteArchiveRequest(name="x"))
