"""The reference of the gRPC contracts as Markdown, from the descriptors and comments of the proto files."""

from __future__ import annotations

import importlib.resources
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

# Numbers of the fields of descriptor.proto, of which the places of comments are made.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS, NESTED, NESTED_ENUMS, VALUES, METHODS = 2, 3, 4, 2, 2

Place = tuple[int, ...]


def read_contracts(folder: Path) -> tuple[FileDescriptorProto, ...]:
    """The descriptors of all proto files below the folder, with their comments, by name.

    Raises ValueError where protoc refuses them.
    """
    from grpc_tools import protoc

    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.proto"))
    standard = importlib.resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as made:
        out = Path(made) / "contracts"
        options = [f"--proto_path={folder}", f"--proto_path={standard}", "--include_source_info"]
        if protoc.main(["protoc", *options, f"--descriptor_set_out={out}", *files]):
            raise ValueError(f"protoc refuses the files below {folder}")
        described = FileDescriptorSet.FromString(out.read_bytes())
    return tuple(sorted(described.file, key=lambda file: file.name))


def page(file: FileDescriptorProto, pages: Mapping[str, str]) -> str:
    """Markdown that describes one file. pages: where each type's full name is described, as a link."""
    return "\n".join(_Page(file, pages).lines()) + "\n"


def type_links(files: Sequence[FileDescriptorProto], page_of: Mapping[str, str]) -> dict[str, str]:
    """A link to each message and enumeration, by full name. page_of: a file's page, by the file's name."""
    links: dict[str, str] = {}
    for file in files:
        names = [enum.name for enum in file.enum_type]
        for message in file.message_type:
            names += _names(message)
        links |= {f".{file.package}.{name}": f"{page_of[file.name]}#{_anchor(name)}" for name in names}
    return links


def _names(message: DescriptorProto, prefix: str = "") -> Iterator[str]:
    yield prefix + message.name
    for enum in message.enum_type:
        yield f"{prefix}{message.name}.{enum.name}"
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from _names(nested, f"{prefix}{message.name}.")


def _anchor(name: str) -> str:
    return name.replace(".", "-").lower()


class _Page:
    def __init__(self, file: FileDescriptorProto, pages: Mapping[str, str]) -> None:
        self.file = file
        self.pages = pages
        self.comments: dict[Place, str] = {
            tuple(location.path): _text(location.leading_comments or location.trailing_comments)
            for location in file.source_code_info.location
        }

    def lines(self) -> Iterator[str]:
        yield f"# {Path(self.file.name).name}"
        yield f"\nPackage `{self.file.package}`, file `proto/{self.file.name}`."
        for number, service in enumerate(self.file.service):
            yield from self._service(service, (SERVICES, number))
        for number, message in enumerate(self.file.message_type):
            yield from self._message(message, message.name, (MESSAGES, number))
        for number, enum in enumerate(self.file.enum_type):
            yield from self._enum(enum, enum.name, (ENUMS, number))

    def _heading(self, kind: str, name: str, place: Place) -> Iterator[str]:
        yield f"\n## {kind} {name} {{ #{_anchor(name)} }}\n"
        if comment := self.comments.get(place):
            yield f"{comment}\n"

    def _service(self, service: ServiceDescriptorProto, place: Place) -> Iterator[str]:
        yield from self._heading("service", service.name, place)
        yield "| method | takes | answers | |"
        yield "|---|---|---|---|"
        for number, method in enumerate(service.method):
            takes = self._streamed(method.client_streaming) + self._type(method.input_type)
            answers = self._streamed(method.server_streaming) + self._type(method.output_type)
            yield f"| `{method.name}` | {takes} | {answers} | {self._cell((*place, METHODS, number))} |"

    def _message(self, message: DescriptorProto, name: str, place: Place) -> Iterator[str]:
        yield from self._heading("message", name, place)
        if message.field:
            yield "| field | type | number | |"
            yield "|---|---|---|---|"
        entries = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
        for number, field in enumerate(message.field):
            kind = self._field_type(field, entries)
            yield f"| `{field.name}` | {kind} | {field.number} | {self._cell((*place, FIELDS, number))} |"
        if not message.field and not self.comments.get(place):
            yield "It has no fields."
        for number, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                yield from self._message(nested, f"{name}.{nested.name}", (*place, NESTED, number))
        for number, enum in enumerate(message.enum_type):
            yield from self._enum(enum, f"{name}.{enum.name}", (*place, NESTED_ENUMS, number))

    def _enum(self, enum: EnumDescriptorProto, name: str, place: Place) -> Iterator[str]:
        yield from self._heading("enum", name, place)
        yield "| value | number | |"
        yield "|---|---|---|"
        for number, value in enumerate(enum.value):
            yield f"| `{value.name}` | {value.number} | {self._cell((*place, VALUES, number))} |"

    def _field_type(self, field: FieldDescriptorProto, entries: Mapping[str, DescriptorProto]) -> str:
        entry = entries.get(field.type_name.rpartition(".")[2])
        if entry is not None:
            key, value = (self._field_type(part, {}) for part in entry.field)
            return f"map of {key} to {value}"
        kind = self._type(field.type_name) if field.type_name else f"`{_scalar(field)}`"
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"repeated {kind}"
        return f"optional {kind}" if field.proto3_optional else kind

    def _type(self, name: str) -> str:
        short = name.removeprefix(f".{self.file.package}.").lstrip(".")
        return f"[`{short}`]({self.pages[name]})" if name in self.pages else f"`{short}`"

    @staticmethod
    def _streamed(streamed: bool) -> str:
        return "stream of " if streamed else ""

    def _cell(self, place: Place) -> str:
        return " ".join(self.comments.get(place, "").split()).replace("|", "\\|")


def _scalar(field: FieldDescriptorProto) -> str:
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _text(comment: str) -> str:
    """A comment as Markdown: no angle bracket of it is markup."""
    return "\n".join(line.strip() for line in comment.strip().splitlines()).replace("<", "&lt;")
