"""Messages of the contracts as JSON: a pydantic model of each, so that what a message gains HTTP has, too.

Names are those of the contracts. Times are strings of RFC 3339, enumerations lower-case names without their
prefix, bytes base64, numbers of 64 bits numbers.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field, create_model

from wordspot.indexer.paths import readable
from wordspot.services.gateway.problems import Problem

MessageT = TypeVar("MessageT", bound=Message)

_TIMESTAMP = Timestamp.DESCRIPTOR.full_name
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
_FLOATS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


class JsonMessage(BaseModel):
    """Base of the models: unknown names are refused, and values are of the types that they say."""

    model_config = ConfigDict(extra="forbid", strict=True)


def model_of(message: type[Message], *, without: str = "") -> type[BaseModel]:
    """Returns the model of a message. without: a field that the path of the URL says."""
    return _model(message.DESCRIPTOR, without)


def message_of(kind: type[MessageT], body: BaseModel, **others: Any) -> MessageT:
    """Returns a message with what a model of `model_of` holds.

    others: further fields. Raises Problem: 422, where two fields exclude each other or base64 is none.
    """
    message = kind(**others)
    _fill(message, body.model_dump(exclude_unset=True), "")
    return message


def plain(message: Message) -> dict[str, Any]:
    """Returns all fields of a message as JSON has them; those that are absent are None."""
    return {field.name: _plain_field(message, field) for field in message.DESCRIPTOR.fields}


@cache
def _model(descriptor: Any, without: str = "") -> type[BaseModel]:
    fields: dict[str, Any] = {
        field.name: _definition(field) for field in descriptor.fields if field.name != without
    }
    name = descriptor.full_name.removeprefix(f"{descriptor.file.package}.").replace(".", "")
    model: type[BaseModel] = create_model(name, __base__=JsonMessage, __module__=__name__, **fields)
    return model


def _definition(field: Any) -> tuple[Any, Any]:
    """Returns type and default of a field."""
    if _is_map(field):
        return dict[str, str], Field(default_factory=dict)  # the only maps that the contracts have
    kind: Any = _single_type(field)
    if field.is_repeated:
        if field.cpp_type in _FLOATS:
            kind = float | None  # what is not finite is null
        return list[kind], Field(default_factory=list)
    if field.has_presence:
        return kind | None, Field(None)
    return kind, Field(_default(field))


def _single_type(field: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return str
        return _model(field.message_type)
    if field.enum_type is not None:
        return Literal[tuple(enum_names(field.enum_type).values())]
    if field.cpp_type in _FLOATS:
        return float
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool
    if field.cpp_type in _RANGES:
        least, most = _RANGES[field.cpp_type]
        return Annotated[int, Field(ge=least, le=most)]
    if field.type == FieldDescriptor.TYPE_BYTES:
        return Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
    return str


def _default(field: Any) -> Any:
    if field.enum_type is not None:
        return enum_names(field.enum_type)[0]
    return "" if isinstance(field.default_value, bytes) else field.default_value


@cache
def enum_names(enumeration: Any) -> Mapping[int, str]:
    """Returns the names in lower case without the enumeration's own."""
    zero = str(enumeration.values_by_number[0].name)
    prefix = zero.removesuffix("UNSPECIFIED")
    return {value.number: value.name.removeprefix(prefix).lower() for value in enumeration.values}


def _fill(message: Message, values: Mapping[str, Any], place: str) -> None:
    """Raises Problem. place: of the message in the request, with a dot behind it."""
    set_of: dict[str, str] = {}
    for name, value in values.items():
        field: Any = message.DESCRIPTOR.fields_by_name[name]
        if value is None:
            continue
        group = field.containing_oneof
        if group is not None and set_of.setdefault(group.name, name) != name:
            problem = f"{place}{set_of[group.name]} and {place}{name} exclude each other"
            raise Problem(422, problem, kind="invalid-request", field=f"{place}{name}")
        _set(message, field, value, f"{place}{name}")


def _set(message: Message, field: Any, value: Any, place: str) -> None:
    target = getattr(message, field.name)
    if _is_map(field):
        target.update(value)
    elif field.message_type is not None and field.is_repeated:
        for number, item in enumerate(value):
            _fill(target.add(), item, f"{place}[{number}].")
    elif field.message_type is not None and field.message_type.full_name == _TIMESTAMP:
        try:
            target.FromJsonString(value)
        except ValueError as error:
            problem = f"{place} must be a time of RFC 3339, got {value[:100]!r}"
            raise Problem(422, problem, kind="invalid-request", field=place) from error
    elif field.message_type is not None:
        target.SetInParent()
        _fill(target, value, f"{place}.")
    elif field.is_repeated:
        target.extend(_value(field, item, f"{place}[{number}]") for number, item in enumerate(value))
    else:
        setattr(message, field.name, _value(field, value, place))


def _value(field: Any, value: Any, place: str) -> Any:
    """Returns what a message has for a single value. Raises Problem."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise Problem(
            422, f"{place} must be a finite number, got {value}", kind="invalid-request", field=place
        )
    if field.enum_type is not None:
        return next(number for number, name in enum_names(field.enum_type).items() if name == value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        try:
            return base64.b64decode(value, validate=True)
        except ValueError as error:
            raise Problem(
                422, f"{place} must be base64: {error}", kind="invalid-request", field=place
            ) from None
    if isinstance(value, str) and readable(value) != value:
        raise Problem(422, f"{place} must be UTF-8", kind="invalid-request", field=place)
    return value


def _plain_field(message: Message, field: Any) -> Any:
    if field.has_presence and not field.is_repeated and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if _is_map(field):
        return dict(sorted(value.items()))
    convert = _converter(field)
    return [convert(item) for item in value] if field.is_repeated else convert(value)


def _converter(field: Any) -> Callable[[Any], Any]:
    if field.message_type is not None:
        is_time = field.message_type.full_name == _TIMESTAMP
        return Timestamp.ToJsonString if is_time else plain
    if field.enum_type is not None:
        names = enum_names(field.enum_type)
        return lambda value: names.get(value, str(value))
    if field.cpp_type in _FLOATS:
        return lambda value: value if math.isfinite(value) else None
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return lambda value: value


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
