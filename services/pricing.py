"""The price of a call, checked before anything runs: lengths of names, texts and lists, held bytes.

Every servicer is registered behind `priced`, so that each request of each method, known or yet to come, has
its names, lists and numbers within bounds when the servicer sees it. What a limit depends on, such as the
pixels of a model's pictures, the services check themselves.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from wordspot.services.errors import MalformedRequest, Overloaded
from wordspot.services.limits import (
    MAX_CONDITION_CHARACTERS,
    MAX_EXAMPLE_CHARACTERS,
    MAX_FILES_PER_CALL,
    MAX_HELD_BYTES,
    MAX_ITEMS_PER_FIELD,
    MAX_LANGUAGE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_PAGE_TOKEN_CHARACTERS,
    MAX_PARAMETERS_PER_CALL,
    MAX_PATH_BYTES,
    MAX_RECORDINGS_PER_CALL,
    MAX_STORED_HITS,
    MAX_TAG_VALUE_CHARACTERS,
    MAX_TENSORS_PER_CALL,
    MAX_UPDATES_PER_CALL,
    MAX_VERDICTS_PER_CALL,
)

ServicerT = TypeVar("ServicerT")

# By the names of fields, in whatever message they are.
CHARACTERS: Mapping[str, int] = {
    "condition": MAX_CONDITION_CHARACTERS,
    "string_param": MAX_CONDITION_CHARACTERS,  # of the Open Inference Protocol, such as a condition
    "texts": MAX_EXAMPLE_CHARACTERS,
    "text": MAX_EXAMPLE_CHARACTERS,  # of a typed query: the synthesiser allows less, and names the query
    "language": MAX_LANGUAGE_CHARACTERS,
    "page_token": MAX_PAGE_TOKEN_CHARACTERS,
    "value": MAX_TAG_VALUE_CHARACTERS,
}
RANGED = frozenset({"temperature", "double_param"})  # numbers whose range the model host checks
PATHS = frozenset({"path", "paths", "folders", "filename", "label", "query"})
ITEMS: Mapping[str, int] = {
    "files": MAX_FILES_PER_CALL,
    "updates": MAX_UPDATES_PER_CALL,
    "verdicts": MAX_VERDICTS_PER_CALL,
    "ids": MAX_VERDICTS_PER_CALL,
    "recordings": MAX_RECORDINGS_PER_CALL,
    "excluded_recordings": MAX_RECORDINGS_PER_CALL,
    "queries": MAX_STORED_HITS,  # with one hit each
    "inputs": MAX_TENSORS_PER_CALL,
    "outputs": MAX_TENSORS_PER_CALL,
    "parameters": MAX_PARAMETERS_PER_CALL,
}


@dataclass(frozen=True)
class _FieldCheck:
    """What is checked of a field.

    name: of the field.
    repeated: whether it is a list.
    is_map: whether it is a map from strings.
    value: checks one value; second is the place in the request, for errors.
    present: whether only a field that was set is looked at.
    """

    name: str
    repeated: bool
    is_map: bool
    value: Callable[[Any, str], None]
    present: bool


def priced(servicer: ServicerT) -> ServicerT:
    """Returns the servicer behind a check of every request. Its methods raise MalformedRequest."""
    return cast(ServicerT, _Priced(servicer))


def check_request(message: Message, place: str = "") -> None:
    """Checks the lengths of all texts and lists in a message, and that its real numbers are finite.

    place: of the message in the request, with a dot behind it. Raises MalformedRequest.
    """
    for check in _checks(message.DESCRIPTOR):
        if check.repeated:
            _check_items(getattr(message, check.name), check, place + check.name)
        elif not check.present or message.HasField(check.name):
            check.value(getattr(message, check.name), place + check.name)


def check_length(characters: int, limit: int, place: str, unit: str = "characters") -> None:
    """Raises MalformedRequest. place: of the text in the request."""
    if characters > limit:
        raise MalformedRequest(f"{place} must have at most {limit:,} {unit}, got {characters:,}", place)


class ByteBudget:
    """The bytes that calls under way hold together.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self._limit, self._held = limit, 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    @contextmanager
    def account(self, size: int = 0) -> Iterator[ByteAccount]:
        """Holds bytes for the time of the context. size: from the beginning. Raises Overloaded."""
        account = ByteAccount(self)
        try:
            account.hold(size)
            yield account
        finally:
            account.release()

    def change(self, size: int) -> None:
        """Adds so many bytes, negative to return them. Raises Overloaded, which changes nothing."""
        with self._lock:
            if size > 0 and self._held + size > self._limit:
                raise Overloaded(
                    f"calls under way must hold at most {self._limit:,} bytes together, got {size:,} more "
                    f"beside {self._held:,}"
                )
            self._held += size


class ByteAccount:
    """What one call holds of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget, self._held = budget, 0

    def hold(self, size: int) -> None:
        """Holds so many bytes more. Raises Overloaded."""
        self._budget.change(size)
        self._held += size

    def release(self) -> None:
        """Returns all bytes."""
        self._budget.change(-self._held)
        self._held = 0


class _Priced:
    """A servicer whose methods get checked requests."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)

        def checked_method(request: Any, context: Any) -> Any:
            return method(_checked(request), context)

        return checked_method


def _checked(request: Any) -> Any:
    """Returns a message, or a stream of messages, which is checked while it is read."""
    if not isinstance(request, Message):
        return map(_checked, request)
    check_request(request)
    return request


@cache
def _checks(descriptor: Descriptor) -> tuple[_FieldCheck, ...]:
    """Returns what is to be checked of a message type, field by field; nothing of bytes and integers."""
    return tuple(check for field in descriptor.fields if (check := _check_of(field)) is not None)


def _check_of(field: Any) -> _FieldCheck | None:
    """Returns the check of a FieldDescriptor; None where it needs none."""
    repeated = bool(field.is_repeated)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _FieldCheck(field.name, repeated, False, _text_check(field.name), False)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if field.message_type.GetOptions().map_entry:
            value = _check_of(field.message_type.fields_by_name["value"])
            return _FieldCheck(field.name, True, True, _unchecked if value is None else value.value, True)
        return _FieldCheck(field.name, repeated, False, _check_message, True)
    is_real = field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
    if is_real and not repeated and field.name not in RANGED:
        return _FieldCheck(field.name, False, False, _check_number, False)
    return None


def _text_check(name: str) -> Callable[[str, str], None]:
    if name in PATHS:
        return lambda text, place: check_length(len(text.encode()), MAX_PATH_BYTES, place, "bytes")
    limit = CHARACTERS.get(name, MAX_NAME_CHARACTERS)
    return lambda text, place: check_length(len(text), limit, place)


def _check_message(message: Message, place: str) -> None:
    check_request(message, f"{place}.")


def _unchecked(value: Any, place: str) -> None:
    """Lets an integer, a flag or bytes pass."""


def _check_number(value: float, place: str) -> None:
    if not math.isfinite(value):
        raise MalformedRequest(f"{place} must be finite, got {value}", place)


def _check_items(items: Any, check: _FieldCheck, place: str) -> None:
    limit = ITEMS.get(check.name, MAX_ITEMS_PER_FIELD)
    if len(items) > limit:
        raise MalformedRequest(
            f"the number of {check.name} must be at most {limit:,}, got {len(items)}", place
        )
    if check.is_map:
        for key in items:
            check_length(len(key), MAX_NAME_CHARACTERS, f"a key of {place}")
            check.value(items[key], f"{place}.{key}")
        return
    for item in items:
        check.value(item, place)
