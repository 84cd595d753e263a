"""Power loss: a log of what processes wrote is replayed to a moment, without what was not synced by then.

The model is the strict reading of POSIX: data of a file is on the disk once the file is synced, a name once
its folder is. Of what is not synced, data arrives or does not, write by write, the last one torn; names of a
folder arrive in order up to some point.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePath

from tests.faults.interposer import Entry

_NOT_KEPT = "-shm"  # is made anew, and never written through a call
Name = tuple[tuple[str, "Node | None"], ...]  # what a name becomes; None where it goes


class Survives(StrEnum):
    """Of what was not synced."""

    NOTHING = "nothing"
    SOME = "some"
    EVERYTHING = "everything"


@dataclass(eq=False)
class File:
    """synced: content that is on the disk. pending: later writes at an offset; None data cuts there."""

    synced: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        self.synced = _written(self.synced, self.pending)
        self.pending = []

    def after(self, survives: Survives, choices: random.Random) -> bytes:
        if survives is Survives.NOTHING:
            return self.synced
        if survives is Survives.EVERYTHING:
            return _written(self.synced, self.pending)
        kept = [write for write in self.pending if choices.random() < 0.5]
        if kept and (data := kept[-1][1]):
            kept[-1] = kept[-1][0], data[: choices.randint(0, len(data))]
        return _written(self.synced, kept)


@dataclass(eq=False)
class Folder:
    """now: as processes see it. synced: on the disk. pending: later changes of names, each at once."""

    now: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)
    pending: list[Name] = field(default_factory=list)

    def change(self, *names: tuple[str, Node | None]) -> None:
        _rename(self.now, names)
        self.pending.append(names)

    def sync(self) -> None:
        for names in self.pending:
            _rename(self.synced, names)
        self.pending = []

    def after(self, survives: Survives, choices: random.Random) -> dict[str, Node]:
        arrived = {Survives.NOTHING: 0, Survives.EVERYTHING: len(self.pending)}
        entries = dict(self.synced)
        for names in self.pending[: arrived.get(survives, choices.randint(0, len(self.pending)))]:
            _rename(entries, names)
        return entries


Node = File | Folder


class Disk:
    """What lies below a folder, of which a log tells."""

    def __init__(self, root: Path) -> None:
        """Takes what lies there now as synced."""
        self._root = root
        self._tree = _loaded(root)

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.kind != "N" and not entry.path.endswith(_NOT_KEPT):
                self._apply(entry)

    def write(self, target: Path, survives: Survives, choices: random.Random) -> None:
        """Writes to a new folder what is left after the loss."""
        _stored(self._tree, target, survives, choices)

    def _apply(self, entry: Entry) -> None:
        folder, name = self._place(entry.path)
        if entry.kind == "C":
            if not isinstance(folder.now.get(name), File):
                folder.change((name, File()))
        elif entry.kind == "D":
            folder.change((name, Folder()))
        elif entry.kind == "U":
            folder.change((name, None))
        elif entry.kind == "R":
            target, new = self._place(entry.other)
            node = folder.now[name]
            if target is folder:
                folder.change((name, None), (new, node))
            else:
                target.change((new, node))
                folder.change((name, None))
        elif entry.kind == "S":
            node = folder.now[name] if name else self._tree
            node.sync()
        else:
            node = folder.now[name]
            assert isinstance(node, File)
            node.pending.append((entry.offset, entry.data if entry.kind == "W" else None))

    def _place(self, path: str) -> tuple[Folder, str]:
        parts = PurePath(path).relative_to(self._root).parts
        folder = self._tree
        for part in parts[:-1]:
            inner = folder.now[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, parts[-1] if parts else ""


def _rename(entries: dict[str, Node], names: Name) -> None:
    for name, node in names:
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _written(content: bytes, writes: Iterable[tuple[int, bytes | None]]) -> bytes:
    data = bytearray(content)
    for offset, part in writes:
        end = offset + len(part or b"")
        if part is None:
            del data[offset:]
        data.extend(bytes(max(0, end - len(data))))
        if part is not None:
            data[offset:end] = part
    return bytes(data)


def _loaded(root: Path) -> Folder:
    nodes: dict[str, Node] = {}
    for path in root.iterdir():
        nodes[path.name] = _loaded(path) if path.is_dir() else File(path.read_bytes())
    return Folder(dict(nodes), dict(nodes))


def _stored(folder: Folder, target: Path, survives: Survives, choices: random.Random) -> None:
    target.mkdir()
    for name, node in folder.after(survives, choices).items():
        if isinstance(node, Folder):
            _stored(node, target / name, survives, choices)
        elif not name.endswith(_NOT_KEPT):
            (target / name).write_bytes(node.after(survives, choices))
