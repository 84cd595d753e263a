"""Messages of the contracts as JSON: a pydantic model of each, so that what a message gains HTTP has, too.

Names are those of the contracts. Times are strings of RFC 3339, enumerations lower-case names without their
prefix, bytes base64, numbers of 64 bits numbers.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field, create_model

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


def model_of(message: type[Message]) -> type[BaseModel]:
    """Returns the model of a message."""
    return _model(message.DESCRIPTOR)


def plain(message: Message) -> dict[str, Any]:
    """Returns all fields of a message as JSON has them; those that are absent are None."""
    return {field.name: _plain_field(message, field) for field in message.DESCRIPTOR.fields}


@cache
def _model(descriptor: Any) -> type[BaseModel]:
    fields: dict[str, Any] = {field.name: _definition(field) for field in descriptor.fields}
    name = descriptor.full_name.removeprefix(f"{descriptor.file.package}.").replace(".", "")
    model: type[BaseModel] = create_model(name, __base__=JsonMessage, __module__=__name__, **fields)
    return model


def _definition(field: Any) -> tuple[Any, Any]:
    """Returns type and default of a field."""
    if _is_map(field):
        return dict[str, str], Field(default_factory=dict)  # the only maps that the contracts have
    kind: Any = _single_type(field)
    if field.is_repeated:
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
        return Literal[tuple(_enum_names(field.enum_type).values())]
    if field.cpp_type in _FLOATS:
        return float
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool
    if field.cpp_type in _RANGES:
        return int
    return str


def _default(field: Any) -> Any:
    if field.enum_type is not None:
        return _enum_names(field.enum_type)[0]
    return "" if isinstance(field.default_value, bytes) else field.default_value


@cache
def _enum_names(enumeration: Any) -> Mapping[int, str]:
    """Returns the names in lower case without the enumeration's own."""
    zero = str(enumeration.values_by_number[0].name)
    prefix = zero.removesuffix("UNSPECIFIED")
    return {value.number: value.name.removeprefix(prefix).lower() for value in enumeration.values}


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
        names = _enum_names(field.enum_type)
        return lambda value: names.get(value, str(value))
    if field.cpp_type in _FLOATS:
        return lambda value: value if math.isfinite(value) else None
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return lambda value: value


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
