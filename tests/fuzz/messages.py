"""Messages of any protobuf type, composed from its descriptor, so that new fields need no edit."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, OneofDescriptor
from google.protobuf.message import Message

from tests.fuzz.mutation import mutated
from tests.fuzz.vocabulary import Vocabulary

HOSTILITIES = (0.0, 0.0, 0.0, 0.03, 0.03, 0.3)
MAX_LONG_TEXT = 300_000
REPETITIONS = (0, 1, 1, 1, 1, 2, 3, 17)
MANY = 20_000  # elements of a small message
# Of a long list so many are drawn, and repeated up to so many bytes a call: lists of lists would never end.
MAX_DISTINCT = 8
MAX_LIST_BYTES = 32 << 20
STREAM_LENGTHS = (1, 1, 2, 3)

_F = FieldDescriptor
_BITS = {
    _F.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _F.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _F.CPPTYPE_UINT32: (0, 2**32 - 1),
    _F.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-30, 5e-324, 1e30, 1e308, float("nan"), float("inf"), float("-inf"))
_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "../../../../etc/passwd",
    "/proc/self/mem",
    "/dev/zero",
    "a/b",
    "%s%n%x",
    "\x1b[31m\x07",
    "\u2028\u202e\ufeff",
    "💥" * 20,
    "İ" * 300,
    "' OR 1=1 --",
    "{}[]\\\"'",
    "-1",
    "nan",
    "digits-vae:",
    ":encode",
    "@",
    "wordspot@0",
)


def message_class(descriptor: Descriptor) -> type[Message]:
    return message_factory.GetMessageClass(descriptor)


class Composer:
    """hostility: the share of fields that get a hostile value."""

    def __init__(self, rng: Random, vocabulary: Vocabulary) -> None:
        self._rng, self._vocabulary = rng, vocabulary
        self._hostility = rng.choice(HOSTILITIES)
        self._list_bytes = MAX_LIST_BYTES
        self._count = rng.choice((1, 1, 1, 2, 3))  # of most lists, so that those that go together are as long

    def payloads(self, method: MethodDescriptor) -> tuple[bytes, ...]:
        """Returns the messages of one call; a few are no messages at all."""
        if method.client_streaming:
            messages = self._stream(method.input_type)
        else:
            messages = [self.message(method.input_type)]
        payloads = [message.SerializeToString() for message in messages]
        if payloads and self._rng.random() < 0.02:
            at = self._rng.randrange(len(payloads))
            payloads[at] = mutated(payloads[at], self._rng)
        return tuple(payloads)

    def message(self, descriptor: Descriptor, part: str = "") -> Message:
        """part: the field of a oneof to be set."""
        message = message_class(descriptor)()
        chosen = {oneof.name: self._part(oneof, part) for oneof in _oneofs(descriptor)}
        for field in descriptor.fields:
            oneof = field.containing_oneof
            if oneof is not None and oneof.name in chosen:
                if chosen[oneof.name] == field.name:
                    self._fill(message, field)
            elif self._rng.random() >= self._vocabulary.absence(descriptor.name, field.name):
                self._fill(message, field)
        return message

    def _part(self, oneof: OneofDescriptor, wanted: str) -> str:
        names = [field.name for field in oneof.fields]
        if wanted in names:
            return wanted
        usual = self._vocabulary.part(names)
        return usual if usual and self._rng.random() < 0.95 else self._rng.choice(names)

    def _fill(self, message: Message, field: FieldDescriptor) -> None:
        if _is_map(field):
            self._fill_map(message, field)
        elif field.is_repeated:
            values = self._whole(field)
            if values is None:
                values = self._values(field, self._repetitions(field))
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self.message(field.message_type))
        else:
            setattr(message, field.name, self._value(field))

    def _values(self, field: FieldDescriptor, count: int) -> list[Any]:
        values = [self._value(field) for _ in range(min(count, MAX_DISTINCT))]
        if count > MAX_DISTINCT:
            size = max(1, sum(map(_size, values)) // len(values))
            count = min(count, max(len(values), self._list_bytes // size))
            self._list_bytes -= count * size
        return list(itertools.islice(itertools.cycle(values), count))

    def _whole(self, field: FieldDescriptor) -> list[Any] | None:
        """A list of the vocabulary's, where that is what it has."""
        value = self._vocabulary.get(field.containing_type.name, field.name)
        drawn = None if value is None else value(self._rng)
        return drawn if isinstance(drawn, list) else None

    def _fill_map(self, message: Message, field: FieldDescriptor) -> None:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for _ in range(self._rng.choice((0, 0, 0, 1, 2))):
            entries = getattr(message, field.name)
            name = self._value(key)
            if value.message_type is None:
                entries[name] = self._value(value)
            else:
                entries[name].CopyFrom(self.message(value.message_type))

    def _value(self, field: FieldDescriptor) -> Any:
        if field.message_type is not None:
            return self.message(field.message_type)
        if self._rng.random() < self._hostility:
            return hostile(field, self._rng)
        value = self._vocabulary.get(field.containing_type.name, field.name)
        return plain(field, self._rng) if value is None else value(self._rng)

    def _repetitions(self, field: FieldDescriptor) -> int:
        if self._rng.random() < self._hostility / (10 if field.message_type is None else 50):
            return MANY if field.type not in (_F.TYPE_BYTES, _F.TYPE_STRING) else MANY // 100
        if self._rng.random() < max(self._hostility, 0.02):
            return self._rng.choice(REPETITIONS)
        return self._vocabulary.length(field.containing_type.name, field.name) or self._count

    def _stream(self, descriptor: Descriptor) -> list[Message]:
        """Parts in the order of the contract, mostly, each left out or repeated now and then."""
        rng = self._rng
        parts = [field.name for field in descriptor.oneofs[0].fields] if descriptor.oneofs else [""]
        first, later = parts[0], parts[1:]
        order = [first]
        for _ in range(rng.choice(STREAM_LENGTHS)):
            several = rng.choice((later[:2], later[:2], rng.sample(later, 1), later)) if later else parts
            order += [part for part in several for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 2)))]
        if rng.random() < 0.1:
            rng.shuffle(order)
        if rng.random() < 0.05:
            order = order[rng.randrange(len(order)) :]
        messages = [self.message(descriptor, part) for part in order]
        if rng.random() >= self._hostility:
            _seal_upload(messages)
        return messages


def hostile(field: FieldDescriptor, rng: Random) -> Any:
    """Returns a value of the field's type that its meaning hardly allows."""
    kind = field.cpp_type
    if kind in _BITS:
        low, high = _BITS[kind]
        return rng.choice((low, high, max(low, -1), 0, 1, 65_536, rng.randint(low, high)))
    if kind in (_F.CPPTYPE_DOUBLE, _F.CPPTYPE_FLOAT):
        return rng.choice(_NUMBERS)
    if kind == _F.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if kind == _F.CPPTYPE_ENUM:
        return rng.choice((0, 1, 2, 3, 4, 99, -1, 2**31 - 1))
    if field.type == _F.TYPE_BYTES:
        return rng.choice((b"", b"\0", rng.randbytes(33), rng.randbytes(270_000)))
    long = "a" * rng.choice((65, 256, 4_096, MAX_LONG_TEXT))
    return rng.choice((*_TEXTS, long))


def plain(field: FieldDescriptor, rng: Random) -> Any:
    """Returns an ordinary value of the field's type."""
    kind = field.cpp_type
    if kind == _F.CPPTYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if kind == _F.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if kind == _F.CPPTYPE_STRING:
        return rng.choice((b"", b"abcd")) if field.type == _F.TYPE_BYTES else rng.choice(("", "a"))
    return rng.choice((0, 1, 2, 3))


def strings(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every text field that is set, of the message and those in it; repeated ones too."""
    for field, value in message.ListFields():
        if field.message_type is not None and not _is_map(field):
            inner: Iterable[Message] = value if field.is_repeated else (value,)
            for one in inner:
                yield from strings(one)
        elif field.type == _F.TYPE_STRING:
            yield message, field


def _size(value: Any) -> int:
    """Returns about the bytes that a value takes in its message."""
    if isinstance(value, Message):
        return value.ByteSize() + 1
    return len(value) + 1 if isinstance(value, bytes | str) else 8


def _oneofs(descriptor: Descriptor) -> Iterator[OneofDescriptor]:
    """Without those that `optional` makes."""
    for oneof in descriptor.oneofs:
        if len(oneof.fields) > 1:
            yield oneof


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _seal_upload(messages: list[Message]) -> None:
    """Makes an upload's header say what its chunks are."""
    chunks = b"".join(getattr(message, "chunk", b"") for message in messages)
    for message in messages:
        header = getattr(message, "header", None)
        if header is not None and hasattr(header, "sha256") and message.HasField("header"):
            header.sha256 = hashlib.sha256(chunks).hexdigest()
            header.size_bytes = len(chunks)
