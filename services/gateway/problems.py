"""Errors as problem+json (RFC 9457): one table from the status of a call to that of HTTP."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import grpc
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from wordspot.indexer.errors import ArchiveError
from wordspot.indexer.paths import readable
from wordspot.models.errors import ModelError
from wordspot.services.errors import DOMAIN, to_status

MEDIA_TYPE = "application/problem+json"
DEFAULT_RETRY_S = 1.0
MAX_SHOWN_CHARACTERS = 100  # of a value that was received

_LOGGER = logging.getLogger("wordspot.services.gateway")
_Code = grpc.StatusCode
_HTTP_STATUS = {
    _Code.INVALID_ARGUMENT: 400,
    _Code.OUT_OF_RANGE: 400,
    _Code.UNAUTHENTICATED: 401,
    _Code.PERMISSION_DENIED: 403,
    _Code.NOT_FOUND: 404,
    _Code.ALREADY_EXISTS: 409,
    _Code.ABORTED: 409,
    _Code.FAILED_PRECONDITION: 412,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.UNIMPLEMENTED: 501,
    _Code.UNAVAILABLE: 503,
    _Code.CANCELLED: 503,
    _Code.DEADLINE_EXCEEDED: 504,
}
_EXHAUSTED = "EXHAUSTED"  # the reason of a full disk, which waiting does not help
_TOO_LARGE = "message larger than max"  # what gRPC says of it
_RETRIED = (429, 503)


class ProblemBody(BaseModel):
    """What went wrong, RFC 9457."""

    type: str = Field(description="A URN that names the kind of problem, for programs.")
    title: str
    status: int
    detail: str = Field(description="What was received, and what is allowed.")
    field: str | None = Field(default=None, description="The part of the request that is wrong.")
    limit: int | float | None = Field(default=None, description="The limit that was passed.")
    request_id: str
    retry_after: float | None = Field(
        default=None, description="Seconds after which the same request may succeed."
    )
    errors: list[FieldError] | None = Field(
        default=None, description="All that is wrong, where it is more than one."
    )


class FieldError(BaseModel):
    """One part of a request that is wrong."""

    field: str
    detail: str


class Problem(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        detail: what was received, and what is allowed.
        kind: for programs, a word; empty for that of the status.
        field: of the request.
        limit: that was passed.
        retry_after: in seconds.
        errors: all parts that are wrong.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        field: str = "",
        limit: int | float | None = None,
        retry_after: float | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Checksum Mismatch"
        self.kind = kind or self.title.lower().replace(" ", "-")
        self.field = field
        self.limit = limit
        self.retry_after = retry_after
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> dict[str, Any]:
        """Returns the JSON of the answer, without what does not apply."""
        body = ProblemBody(
            type=f"urn:{DOMAIN}:problem:{self.kind}",
            title=self.title,
            status=self.status,
            detail=readable(self.detail),
            field=self.field or None,
            limit=self.limit,
            request_id=request_id,
            retry_after=self.retry_after,
            errors=list(self.errors) or None,
        )
        return body.model_dump(exclude_none=True)

    def response(self, scope: Scope) -> JSONResponse:
        """Returns the answer to a request."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return JSONResponse(self.body(request_id_of(scope)), self.status, headers, MEDIA_TYPE)

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer to a request."""
        await self.response(scope)(scope, receive, send)


def request_id_of(scope: Scope) -> str:
    """Returns the id that the request was given."""
    return str(scope.get("state", {}).get("request_id", ""))


def of_call(error: grpc.RpcError) -> Problem:
    """Returns the problem that a failed call stands for."""
    call: Any = error  # every error of a call is a grpc.Call too
    status = rpc_status.from_call(call)
    return _of_status(call.code(), call.details() or "", () if status is None else status.details)


def of_error(error: Exception) -> Problem | None:
    """Returns the problem of an exception of the archive, of models or of the services; else None."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, grpc.RpcError):
        return of_call(error)
    status: status_pb2.Status | None = to_status(error)
    if status is None:
        return None
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return _of_status(code, status.message, status.details)


def of_unknown(error: Exception) -> Problem:
    """Returns the problem of any exception; logs one that is not expected."""
    problem = of_error(error)
    if problem is None:
        _LOGGER.error("a request failed", exc_info=error)
        problem = Problem(500, "internal error; the server's log has the details", kind="internal")
    return problem


def install(app: FastAPI) -> None:
    """Has an application answer every error with a problem."""
    for kind in (Problem, grpc.RpcError, ArchiveError, ModelError):
        app.add_exception_handler(kind, _handle_known)
    app.add_exception_handler(RequestValidationError, _handle_validation)
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(ClientDisconnect, _handle_departure)
    app.add_exception_handler(Exception, _handle_known)


async def _handle_known(request: Request, error: Exception) -> JSONResponse:
    return of_unknown(error).response(request.scope)


async def _handle_departure(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _handle_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):  # raised while FastAPI was reading the body
        return error.__cause__.response(request.scope)
    detail = error.detail
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path}"
    elif error.status_code == 405:
        detail = f"{request.method} is not allowed at {request.url.path}"
    return Problem(error.status_code, str(detail), headers=error.headers).response(request.scope)


async def _handle_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return of_validation(error.errors()).response(request.scope)


def of_validation(errors: Sequence[Mapping[str, Any]], prefix: str = "") -> Problem:
    """Returns the problem of a request that does not have the form it should have.

    errors: as pydantic tells them. prefix: of the names of fields.
    """
    told = [FieldError(field=_field(error["loc"], prefix), detail=_detail(error, prefix)) for error in errors]
    limits = [value for error in errors for value in _limits(error)]
    return Problem(
        422,
        told[0].detail,
        kind="invalid-request",
        field=told[0].field,
        limit=limits[0] if limits else None,
        errors=told if len(told) > 1 else (),
    )


def _field(location: Sequence[str | int], prefix: str = "") -> str:
    """Returns a name such as queries[0].start."""
    name = prefix
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    for part in parts:
        if isinstance(part, int):
            name += f"[{part}]"
        elif "[" not in part and "-" not in part:  # not the name of an alternative
            name += f".{part}" if name else part
    return name or (str(location[0]) if location else "body")


def _detail(error: Mapping[str, Any], prefix: str) -> str:
    field = _field(error["loc"], prefix)
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return f"the body must be JSON: {error.get('ctx', {}).get('error', message)}"
    shown = "" if error["type"] in ("missing", "value_error") else f", got {_shown(error.get('input'))}"
    return f"{field}: {message[:1].lower()}{message[1:]}{shown}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}..."


def _limits(error: Mapping[str, Any]) -> list[int | float]:
    context = error.get("ctx", {})
    names = ("le", "lt", "ge", "gt", "max_length", "min_length")
    return [context[name] for name in names if isinstance(context.get(name), int | float)]


def _of_status(code: grpc.StatusCode, text: str, details: Sequence[Any]) -> Problem:
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in details:
        _unpack(detail, info, bad, retry)
    status = 507 if info.reason == _EXHAUSTED else _HTTP_STATUS.get(code, 500)
    if not info.reason and code is _Code.RESOURCE_EXHAUSTED and _TOO_LARGE in text:
        status = 413
    delay: float | None = None
    if status in _RETRIED:
        delay = retry.retry_delay.ToNanoseconds() / 1e9 or DEFAULT_RETRY_S
    field = bad.field_violations[0].field if bad.field_violations else ""
    kind = (info.reason or code_pb2.Code.Name(code.value[0])).lower().replace("_", "-")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Problem(status, text, kind=kind, field=field, retry_after=delay, headers=headers)


def _unpack(detail: Any, *messages: Message) -> None:
    for message in messages:
        if detail.Is(message.DESCRIPTOR):
            detail.Unpack(message)
