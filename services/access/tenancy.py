"""Tenants: each sees archives of its own, under names of its own.

In the catalogue an archive of a tenant is named `tenant:name`. The servicers know nothing of it: requests get
the tenant's prefix on their way in, and responses and errors lose it on their way out. A name with a colon is
not allowed in a request, so that none reaches another tenant's. An administrator of no tenant, and whoever
calls a server that asks for no tokens, sees all archives under their names in the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from wordspot.indexer.errors import ArchiveError, Exhausted, InvalidInput, NotAllowed, NotFound
from wordspot.indexer.limits import MAX_ARCHIVE_NAME_CHARACTERS, MAX_PAGE_ITEMS
from wordspot.indexer.limits import TENANT_SEPARATOR as SEPARATOR
from wordspot.services.access.guard import call_subject
from wordspot.services.access.principals import current_principal
from wordspot.v1 import archive_pb2

MAX_SUBJECTS, MAX_SUBJECT_CHARACTERS = 20, 200  # of one kind in an entry of the audit log
BY_PATH = frozenset({"AddRecording", "AddRecordings"})
ADDING = frozenset({*BY_PATH, "UploadRecording"})
BY_OPERATION = frozenset({"GetOperation", "WatchOperation", "CancelOperation", "ResumeOperation"})

ServicerT = TypeVar("ServicerT")


def prefix_of(tenant: str) -> str:
    """Returns what stands before the names of a tenant's archives; "" for those of no tenant."""
    return f"{tenant}{SEPARATOR}" if tenant else ""


def visible_tenant() -> str | None:
    """Returns whose archives the caller sees: "" for those of no tenant, None for all."""
    principal = current_principal.get()
    return None if principal.is_operator else principal.tenant


def confined(servicer: ServicerT) -> ServicerT:
    """Returns the servicer confined, in each call, to the archives of the caller's tenant."""
    return cast(ServicerT, _Confined(servicer))


class _Confined:
    """A servicer whose methods know only the caller's archives."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)

        def confined_method(request: Any, context: Any) -> Any:
            tenant = visible_tenant()
            if tenant is None:
                return method(_noted(request), context)
            prefix = prefix_of(tenant)
            if name in BY_PATH and tenant:
                raise NotAllowed("a tenant's recordings are uploaded, got a file of the server")
            if name in ADDING:
                self._check_quota(context)
            if name in BY_OPERATION:
                self._check_operation(request.id, prefix, context)
            return _translated(lambda: method(_received(request, prefix), context), prefix)

        return confined_method

    def _check_quota(self, context: Any) -> None:
        """Raises Exhausted once the caller's archives hold as much sound as they may."""
        principal = current_principal.get()
        if not principal.audio_hours:
            return
        request, held_s = archive_pb2.ListArchivesRequest(page_size=MAX_PAGE_ITEMS), 0.0
        while True:
            response = self.ListArchives(request, context)
            held_s += sum(archive.audio_seconds for archive in response.archives)
            request.page_token = response.next_page_token
            if not request.page_token:
                break
        if held_s >= 3600 * principal.audio_hours:
            raise Exhausted(
                f"the archives may hold {principal.audio_hours:g} hours of sound, they hold "
                f"{held_s / 3600:.1f}"
            )

    def _check_operation(self, operation: str, prefix: str, context: Any) -> None:
        """Raises NotFound for an operation of another tenant's, as for one that there is not."""
        request = archive_pb2.GetOperationRequest(id=operation)
        response = self._servicer.GetOperation(request, context)
        if not _is_visible(response.operation.archive, prefix):
            raise NotFound(f"no operation {operation!r}")


def _is_visible(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and SEPARATOR not in name[len(prefix) :]


def _noted(request: Any) -> Any:
    """Returns a message, or a stream of messages, of which the audit log is told."""
    if not isinstance(request, Message):
        return map(_noted, request)
    _note(request)
    return request


def _received(request: Any, prefix: str) -> Any:
    """Returns a message, or a stream of messages, with names as the catalogue has them."""
    if not isinstance(request, Message):
        return (_received(message, prefix) for message in request)
    _note(request)
    _rename(request, lambda name: _qualified(name, prefix))
    return request


def _translated(call: Callable[[], Any], prefix: str) -> Any:
    """Returns a response, or a stream of responses, with names as the caller has them."""
    try:
        response = call()
        if isinstance(response, Message):
            return _stripped(response, prefix)
    except ArchiveError as error:
        _tell(error, prefix)
        raise
    return _stripped_stream(response, prefix)


def _stripped_stream(responses: Iterator[Message], prefix: str) -> Iterator[Message]:
    try:
        for response in responses:
            yield _stripped(response, prefix)
    except ArchiveError as error:
        _tell(error, prefix)
        raise


def _stripped(response: Message, prefix: str) -> Message:
    if prefix:
        _rename(response, lambda name: name.removeprefix(prefix))
    return response


def _tell(error: ArchiveError, prefix: str) -> None:
    """Takes the tenant's prefix out of the text of an error."""
    if prefix:
        before_name = re.compile(rf"(?<![A-Za-z0-9._-]){re.escape(prefix)}(?=[A-Za-z0-9])")
        error.args = tuple(
            before_name.sub("", argument) if isinstance(argument, str) else argument
            for argument in error.args
        )


def _qualified(name: str, prefix: str) -> str:
    """Raises InvalidInput."""
    if SEPARATOR in name:
        raise InvalidInput(f"the name of an archive must have no {SEPARATOR!r}, got {name!r}")
    if len(name) > (most := MAX_ARCHIVE_NAME_CHARACTERS - len(prefix)):
        raise InvalidInput(f"the name of an archive must have at most {most} characters, got {len(name)}")
    return f"{prefix}{name}" if name else name


def _rename(message: Message, change: Callable[[str], str]) -> None:
    """Changes each name of an archive in a message."""
    for field in _name_fields(message.DESCRIPTOR):
        if name := getattr(message, field):
            setattr(message, field, change(name))
    for field in _message_fields(message.DESCRIPTOR):
        value = getattr(message, field)
        if not isinstance(value, Message):
            for item in value:
                _rename(item, change)
        elif message.HasField(field):
            _rename(value, change)


@cache
def _name_fields(descriptor: Descriptor) -> tuple[str, ...]:
    """Returns the fields of a message type that hold the name of an archive."""
    own = descriptor.name == "Archive" or descriptor.name.endswith("ArchiveRequest")
    names = {"archive", "name"} if own else {"archive"}
    return tuple(
        field.name
        for field in descriptor.fields
        if field.name in names and field.type == FieldDescriptor.TYPE_STRING
    )


@cache
def _message_fields(descriptor: Descriptor) -> tuple[str, ...]:
    """Returns the fields of a message type that may hold names of archives further down."""
    return tuple(
        field.name
        for field in descriptor.fields
        if field.message_type is not None
        and not field.message_type.GetOptions().map_entry
        and _holds_names(field.message_type)
    )


@cache
def _holds_names(descriptor: Descriptor) -> bool:
    return bool(_name_fields(descriptor)) or any(
        _holds_names(field.message_type)
        for field in descriptor.fields
        if field.message_type is not None and field.message_type is not descriptor
    )


def _note(request: Message) -> None:
    """Tells the audit log what a request is about."""
    subject = call_subject.get()
    if subject is None:
        return
    for message in (request, *(value for _, value in request.ListFields() if isinstance(value, Message))):
        for name in ("archive", "name", "recording", "id", "filename", "path", "text", "label"):
            value = getattr(message, name, "")
            if isinstance(value, str) and value:
                values = subject.setdefault(name, [])
                if len(values) < MAX_SUBJECTS and value not in values:
                    values.append(value[:MAX_SUBJECT_CHARACTERS])
