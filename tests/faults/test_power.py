"""What the model of a power loss says is left."""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.interposer import Entry
from tests.faults.power import Disk, Survives


def entry(kind: str, path: Path, other: object = "", offset: int = 0, data: bytes = b"") -> Entry:
    return Entry(kind, str(path), str(other), offset, data)


def left(root: Path, entries: list[Entry], survives: Survives, target: Path) -> dict[str, bytes]:
    disk = Disk(root)
    disk.apply(entries)
    disk.write(target, survives, random.Random(1))
    return {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}


def test_a_file_replaced_durably_is_either_the_old_or_the_new_one(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    new, old = root / "tmp-a", root / "a"
    steps = [
        entry("C", new),
        entry("W", new, data=b"newer"),
        entry("S", new),
        entry("R", new, old),
        entry("S", root),
    ]
    for count in range(len(steps) + 1):
        for survives in Survives:
            files = left(root, steps[:count], survives, tmp_path / f"{count}-{survives}")
            assert files["a"] == b"newer" if count == len(steps) else files["a"] in (b"old", b"newer")


def test_what_is_not_synced_is_lost(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    steps = [entry("C", root / "a"), entry("S", root), entry("W", root / "a", data=b"data")]
    assert left(root, steps, Survives.NOTHING, tmp_path / "none") == {"a": b""}
    assert left(root, steps, Survives.EVERYTHING, tmp_path / "all") == {"a": b"data"}
    steps = [entry("D", root / "f"), entry("C", root / "f" / "a"), entry("S", root / "f")]
    assert left(root, steps, Survives.NOTHING, tmp_path / "unnamed") == {}


def test_cuts_and_writes_beyond_the_end_are_those_of_a_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"0123456789")
    steps = [entry("T", root / "a", offset=4), entry("W", root / "a", offset=6, data=b"x")]
    assert left(root, steps, Survives.EVERYTHING, tmp_path / "t") == {"a": b"0123\0\0x"}
