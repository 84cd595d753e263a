"""Bit rot: each kind of file of a home is damaged at random, and noticed before it changes an answer."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.processes import Ended, Processes
from tests.faults.world import (
    OLD,
    QUERIES,
    SAMPLE_RECORDINGS,
    State,
    World,
    Wrong,
    check_words,
    copied,
    must,
)

DAMAGES = 20
BLOCK_BYTES = 4096
MANY = tuple(sorted(str(path) for path in SAMPLE_RECORDINGS.iterdir()))
MODEL = "sa"  # an artifact that ships, copied to be one of the user's own
_PRETRAINED = Path(__file__).parents[2] / "models" / "pretrained"


def zeroed(data: bytes, choices: random.Random) -> bytes:
    """A block of 4 KiB, or all of a smaller file."""
    first = BLOCK_BYTES * choices.randrange(max(1, -(-len(data) // BLOCK_BYTES)))
    size = min(BLOCK_BYTES, len(data) - first)
    return data[:first] + bytes(size) + data[first + size :]


def flipped(data: bytes, choices: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[choices.randrange(len(changed))] ^= 1 << choices.randrange(8)
    return bytes(changed)


def truncated(data: bytes, choices: random.Random) -> bytes:
    return data[: choices.randrange(max(1, len(data)))]


def appended(data: bytes, choices: random.Random) -> bytes:
    return data + choices.randbytes(choices.randint(1, 2 * BLOCK_BYTES))


HARMS = (zeroed, flipped, truncated, appended)


@dataclass(frozen=True)
class Decayed:
    """A kind of file. find: the files of a home. base: of the home.

    repair: commands after which all is as before; () where that is said to be impossible, or needs nothing.
    """

    name: str
    find: Callable[[Path], list[Path]]
    base: str = "old"
    repair: tuple[tuple[str, ...], ...] = ()
    index: str = "exact"


def _below(folder: str, pattern: str) -> Callable[[Path], list[Path]]:
    return lambda home: sorted((home / folder).glob(pattern))


_REPAIR = (("archive", "repair"),)
_REBUILD = (("restore", "--segments"),)
KINDS = (
    *(
        Decayed(name, _below("segments", f"*/{name}"), repair=_REPAIR)
        for name in (
            "vectors.npy",
            "spans.npy",
            "regions.npy",
            "frames.npy",
            "checksums.npy",
            "recordings.json",
            "manifest.json",
        )
    ),
    Decayed("catalogue.db", _below("", "catalogue.db"), repair=_REBUILD),
    Decayed(
        "catalogue.db-wal", _below("", "catalogue.db-wal"), base="killed", repair=(("index", *sorted(OLD)),)
    ),
    Decayed("catalogue.sha256", _below("", "catalogue.sha256"), repair=(("restore", "--identity"),)),
    Decayed("cached index", _below("cache", "*/index-*"), base="cached", index="ivf-sq8"),
    Decayed("index.json", _below("cache", "*/index.json"), base="cached", index="ivf-sq8"),
    Decayed("upload", _below("audio", "*")),
    Decayed("identity", _below("", "identity"), repair=(("restore", "--identity"),)),
    Decayed("lock", _below("", "lock")),
    Decayed("reserve", _below("", "reserve")),
    Decayed("model.safetensors", _below("models", "*/model.safetensors"), base="own model"),
    Decayed("card.json", _below("models", "*/card.json"), base="own model"),
)


@dataclass
class Row:
    """Of the table. by_search, by_verify: damages that were said by it. unaffected: answers are as before and
    nothing is said. repaired: all is as before again. lost: what cannot be repaired is said. wrong: what must
    not be."""

    damages: int = 0
    by_search: int = 0
    by_verify: int = 0
    unaffected: int = 0
    repaired: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)


class Decay:
    """Damages homes and asks them."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes, self._folder = processes, folder
        self.world = World(processes, folder)
        self._homes: dict[str, Path] = {}
        self._answers: dict[str, State] = {}

    def damage(self, kind: Decayed, number: int, row: Row) -> None:
        """Damages one file of a home and holds what follows against the row's rules. Raises Wrong."""
        base = self._base(kind)
        case = self._folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        home = case / "home"
        shutil.copytree(base, home)
        choices = random.Random(f"{kind.name} {number}")
        if not (files := kind.find(home)):
            raise Wrong(f"there is no {kind.name} to be damaged")
        path = choices.choice(files)
        original = path.read_bytes()
        harm = HARMS[number % len(HARMS)]
        path.write_bytes(harm(original, choices))
        row.damages += 1
        try:
            self._observe(kind, home, row)
        except Wrong as error:
            raise Wrong(f"{kind.name} {harm.__name__}, number {number}: {error}") from None

    def _observe(self, kind: Decayed, home: Path, row: Row) -> None:
        environment = self.world.environment(home, kind.index)
        asked = self._processes.run("ask", environment, queries=QUERIES)
        check_words(asked)
        said = self._said(kind, asked)
        row.by_search += said
        verified = self.world.command(home, "archive", "verify", kind=kind.index)
        check_words(verified)
        row.by_verify += bool(verified.code)
        if not said and not verified.code:
            row.unaffected += 1
        for command in kind.repair:
            done = self.world.command(home, *command, kind=kind.index)
            check_words(done)
            if done.code != 0 and kind.repair is not _REBUILD:
                raise Wrong(f"repair says {done.errors}")
        if kind.name in ("model.safetensors", "card.json"):
            row.lost += said
            return
        state = self.world.inspect(home, kind.index)
        if state.problems and kind.name == "upload":
            row.lost += 1
        elif state.problems or state.quarantined or state.indexed != self._expected(kind).indexed:
            raise Wrong(f"not repaired: {state.problems or sorted(state.indexed)}, {asked.errors!r}")
        elif said or verified.code:
            row.repaired += 1
        self.world.check_answers(state, kind.index)

    def _said(self, kind: Decayed, asked: Ended) -> bool:
        """Whether a search says that something is wrong. Raises Wrong for a wrong answer without a word."""
        if asked.code != 0 or asked.errors:
            return True
        expected = self._expected(kind)
        said = False
        for query, line, answer in zip(QUERIES, asked.lines, expected.answers, strict=True):
            said = said or bool(line["said"])
            hits = [tuple(hit[:3]) for hit in line["hits"] or []]
            if not said and hits != [hit[:3] for hit in answer]:
                raise Wrong(f"a wrong answer to {Path(query).name} without a word")
        return said

    def _expected(self, kind: Decayed) -> State:
        if kind.base not in self._answers:
            home = self.world.new_home()
            copied(self._base(kind), home)
            self._answers[kind.base] = self.world.inspect(home, kind.index)
        return self._answers[kind.base]

    def _base(self, kind: Decayed) -> Path:
        if kind.base not in self._homes:
            self._homes[kind.base] = getattr(self, f"_{kind.base.replace(' ', '_')}")(kind)
        return self._homes[kind.base]

    def _old(self, kind: Decayed) -> Path:
        return self.world.filled(kind.index)

    def _cached(self, kind: Decayed) -> Path:
        """With enough spans that an index is trained on them and stored."""
        home = self.world.new_home()
        must(self.world.command(home, "index", *MANY, kind=kind.index))
        return home

    def _killed(self, kind: Decayed) -> Path:
        """With a log that was not taken up: the process ended without closing its database."""
        home = self.world.filled(kind.index)
        must(self.world.command(home, "archive", "delete", "default", "--yes"))
        steps = [("create", None), *(("upload", path) for path in sorted(OLD)), ("index", None)]
        must(self._processes.run("session", self.world.environment(home), steps=steps, abandoned=True))
        return home

    def _own_model(self, kind: Decayed) -> Path:
        home = self.world.new_home()
        shutil.copytree(_PRETRAINED / MODEL, home / "models" / "own")
        must(self.world.command(home, "index", *sorted(OLD), "--encoder", "own"))
        return home


def table(rows: dict[str, Row]) -> str:
    """What came of each kind's damages."""
    lines = [
        "| file | damages | said by search | by verify | unaffected | repaired | said to be lost | wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        figures = (row.damages, row.by_search, row.by_verify, row.unaffected, row.repaired, row.lost)
        lines.append(f"| {name} | {' | '.join(map(str, figures))} | {len(row.wrong)} |")
    return "\n".join(lines)


def run(count: int, report: Callable[[str], None], kinds: tuple[Decayed, ...] = KINDS) -> dict[str, Row]:
    """Damages each kind so often; returns the table's rows."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes:
        decay = Decay(processes, Path(name).resolve())
        for kind, number in _each(kinds, count):
            row = rows.setdefault(kind.name, Row())
            try:
                decay.damage(kind, number, row)
            except Wrong as error:
                row.wrong.append(str(error))
                report(str(error))
    report(table(rows))
    return rows


def _each(kinds: tuple[Decayed, ...], count: int) -> Iterator[tuple[Decayed, int]]:
    for kind in kinds:
        for number in range(count):
            yield kind, number


def as_json(rows: dict[str, Row]) -> str:
    return json.dumps({name: vars(row) for name, row in rows.items()}, indent=1)
