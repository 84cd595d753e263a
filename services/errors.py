"""From exception to gRPC status and back: one table for all services.

A server looks the exception up by isinstance, the first rule that fits wins. A client that calls another
service finds the rule by the reason in the status and raises the same exception again, so that an error
means the same on both sides of the wire.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from wordspot.indexer import errors as archive
from wordspot.indexer.errors import Overloaded as Overloaded
from wordspot.indexer.paths import readable
from wordspot.models import errors as models
from wordspot.services.limits import MAX_STATUS_TEXT_BYTES

DOMAIN = "wordspot"


class ServiceError(archive.ArchiveError):
    """Base of what goes wrong between a client and a service.

    An archive whose peers fail says so in its own words, hence the base class.
    """


class MalformedRequest(ServiceError, ValueError):
    """Messages in the wrong order, of the wrong size or with values that no archive could accept."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class DeadlinePassed(ServiceError):
    """The caller's deadline passed before the answer was ready."""


class CallEnded(ServiceError):
    """The caller has gone; nobody waits for the answer."""


class PeerUnavailable(ServiceError, ConnectionError):
    """Another service cannot be reached."""


class Unauthenticated(ServiceError):
    """The call has no token, or one that is not valid."""


class PeerFailed(ServiceError):
    """Another service failed unexpectedly."""


Details = Callable[[Exception], Sequence[Message]]


def _nothing(error: Exception) -> Sequence[Message]:
    return ()


def _bad_request(error: Exception) -> Sequence[Message]:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=getattr(error, "field", ""), description=clipped(str(error))
    )
    return (error_details_pb2.BadRequest(field_violations=[violation]),)


def _precondition(error: Exception) -> Sequence[Message]:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="STATE", subject=DOMAIN, description=clipped(str(error))
    )
    return (error_details_pb2.PreconditionFailure(violations=[violation]),)


def _retry(error: Exception) -> Sequence[Message]:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(math.ceil(getattr(error, "retry_seconds", 1.0) * 1e9))
    return (error_details_pb2.RetryInfo(retry_delay=delay),)


@dataclass(frozen=True)
class Rule:
    """A row of the error table.

    exception: matched by isinstance.
    code: of the status.
    reason: what a program reads; unique in the table, and the way back from status to exception.
    details: for the status, by exception.
    """

    exception: type[Exception]
    code: grpc.StatusCode
    reason: str
    details: Details = _nothing


_Code = grpc.StatusCode
RULES = (
    Rule(MalformedRequest, _Code.INVALID_ARGUMENT, "MALFORMED_REQUEST", _bad_request),
    Rule(Overloaded, _Code.RESOURCE_EXHAUSTED, "OVERLOADED", _retry),
    Rule(DeadlinePassed, _Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    Rule(CallEnded, _Code.CANCELLED, "CALL_ENDED"),
    Rule(PeerUnavailable, _Code.UNAVAILABLE, "PEER_UNAVAILABLE", _retry),
    Rule(Unauthenticated, _Code.UNAUTHENTICATED, "UNAUTHENTICATED"),
    Rule(archive.InvalidInput, _Code.INVALID_ARGUMENT, "INVALID_INPUT", _bad_request),
    Rule(archive.NotFound, _Code.NOT_FOUND, "NOT_FOUND"),
    Rule(archive.AlreadyExists, _Code.ALREADY_EXISTS, "ALREADY_EXISTS"),
    Rule(archive.FailedPrecondition, _Code.FAILED_PRECONDITION, "FAILED_PRECONDITION", _precondition),
    Rule(archive.NotAllowed, _Code.PERMISSION_DENIED, "NOT_ALLOWED"),
    Rule(archive.Exhausted, _Code.RESOURCE_EXHAUSTED, "EXHAUSTED"),
    Rule(archive.DataLoss, _Code.DATA_LOSS, "DATA_LOSS"),
    Rule(archive.StorageFailed, _Code.UNAVAILABLE, "STORAGE_FAILED", _retry),
    Rule(models.UnknownModel, _Code.NOT_FOUND, "UNKNOWN_MODEL"),
    Rule(models.DamagedArtifact, _Code.DATA_LOSS, "DAMAGED_ARTIFACT"),
    Rule(models.MissingWeights, _Code.FAILED_PRECONDITION, "MISSING_WEIGHTS", _precondition),
    Rule(models.SynthesisError, _Code.FAILED_PRECONDITION, "SYNTHESIS_FAILED", _precondition),
    Rule(models.BadInput, _Code.INVALID_ARGUMENT, "BAD_INPUT", _bad_request),
)

# The searcher raises errors of archives only: those of a model host become these.
_AS_ARCHIVE_ERROR: dict[type[Exception], type[Exception]] = {
    MalformedRequest: archive.InvalidInput,
    models.UnknownModel: archive.NotFound,
    models.DamagedArtifact: archive.DataLoss,
    models.MissingWeights: archive.FailedPrecondition,
    models.SynthesisError: archive.FailedPrecondition,
    models.BadInput: archive.InvalidInput,
}


@contextmanager
def as_archive() -> Iterator[None]:
    """Raises what a model host raises in the context as the errors that an archive knows."""
    try:
        yield
    except tuple(_AS_ARCHIVE_ERROR) as error:
        kind = next(kind for kind in _AS_ARCHIVE_ERROR if isinstance(error, kind))
        raise _AS_ARCHIVE_ERROR[kind](str(error)) from error


def to_status(error: Exception) -> status_pb2.Status | None:
    """Returns the status with details for an exception; None if no rule matches."""
    # Of a server only, which has an archive.
    from wordspot.indexer.archive.files import disk_error
    from wordspot.services.extras import missing_package

    if advice := missing_package(error):
        error = models.MissingWeights(advice)
    error = disk_error(error) or error
    for rule in RULES:
        if isinstance(error, rule.exception):
            text = clipped(str(error))
            info = error_details_pb2.ErrorInfo(reason=rule.reason, domain=DOMAIN)
            return _status(rule.code, text, [info, *rule.details(error)])
    return None


def status_name(error: BaseException) -> str:
    """Returns the name of the status that a call ends with which raises the error."""
    if isinstance(error, GeneratorExit):
        return _Code.CANCELLED.name
    status = to_status(error) if isinstance(error, Exception) else None
    if status is None:
        return _Code.INTERNAL.name
    return next(code.name for code in _Code if code.value[0] == status.code)


def internal_status() -> status_pb2.Status:
    """Returns the status for an exception that no rule matches; it says only that there was one."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN)
    return _status(_Code.INTERNAL, "internal error; the server's log has the details", [info])


def from_call(error: grpc.RpcError, address: str) -> Exception:
    """Returns the exception that the failed call to the service at `address` stands for."""
    call: Any = error  # every error of a call is a grpc.Call too, which the stubs do not know
    code, text = call.code(), call.details() or ""
    reason = reason_of(call)
    for rule in RULES:
        if rule.reason == reason and rule.exception is Overloaded:
            return Overloaded(text, retry_seconds_of(call))
        if rule.reason == reason:
            return _AS_ARCHIVE_ERROR.get(rule.exception, rule.exception)(text)
    if code is _Code.UNAVAILABLE:
        return PeerUnavailable(f"no service answers at {address} ({text})")
    if code is _Code.DEADLINE_EXCEEDED:
        return DeadlinePassed(f"{address} did not answer in time")
    if code is _Code.RESOURCE_EXHAUSTED:
        return Overloaded(f"{address} has no capacity left ({text})")
    if code is _Code.CANCELLED:
        return CallEnded(f"the call to {address} was cancelled")
    return PeerFailed(f"{address} answered {code.name}: {text}")


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Raises what a service raised in a call of the context."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_call(error, address) from error


def reason_of(error: grpc.Call) -> str:
    """Returns the reason in a status of these services; empty for a status of gRPC itself."""
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return str(info.reason)
    return ""


def retry_seconds_of(error: grpc.Call) -> float:
    """Returns the delay after which the call may be repeated; 1 s where its status names none."""
    hint = retry_hint_of(error)
    return 1.0 if hint is None else hint


def retry_hint_of(error: grpc.Call) -> float | None:
    """Returns the delay in seconds after which the call may be repeated; None where its status names none."""
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToNanoseconds() / 1e9)
    return None


def clipped(text: str) -> str:
    """Returns the text in UTF-8, cut to MAX_STATUS_TEXT_BYTES."""
    text = readable(text)
    data = text.encode()
    if len(data) <= MAX_STATUS_TEXT_BYTES:
        return text
    return data[: MAX_STATUS_TEXT_BYTES - 3].decode("utf-8", "ignore") + "..."


def _status(code: grpc.StatusCode, text: str, details: Sequence[Message]) -> status_pb2.Status:
    packed = []
    for detail in details:
        item = any_pb2.Any()
        item.Pack(detail)
        packed.append(item)
    return status_pb2.Status(code=code_pb2.Code.Value(code.name), message=text, details=packed)
