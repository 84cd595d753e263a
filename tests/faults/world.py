"""Homes that nothing has happened to, and how a home that something has happened to is held against them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.interposer import Fault, Interposition, Kind
from tests.faults.processes import Ended, Processes

_SAMPLE = Path(__file__).parents[2] / "deploy" / "demo" / "sample"
QUERIES = [str(_SAMPLE / "queries" / f"{word}.flac") for word in ("password", "conference")]
_NAMES = ("agent-pass", "conf-full", "conf-locked", "vm-newpassword", "conf-hasleft", "conf-hasjoin")
SAMPLE_RECORDINGS = _SAMPLE / "recordings"
RECORDINGS = tuple(str(SAMPLE_RECORDINGS / f"{name}.flac") for name in _NAMES)
FIRST, SECOND, UPLOADED, NEW = RECORDINGS[:2], RECORDINGS[2:3], RECORDINGS[3:4], RECORDINGS[4:]
OLD = frozenset(RECORDINGS[:4])
MAX_SCORE_DIFFERENCE = 1e-4
INDEX_KINDS = ("exact", "ivf-sq8")


class Wrong(AssertionError):
    """What must not be."""


@dataclass(frozen=True)
class State:
    """Of a home. recordings: by path. answers: hits of each query, in order of path and start."""

    archives: tuple[str, ...]
    recordings: dict[str, dict[str, Any]]
    quarantined: tuple[str, ...]
    problems: tuple[str, ...]
    answers: tuple[tuple[tuple[Any, ...], ...], ...]

    @property
    def indexed(self) -> frozenset[str]:
        return frozenset(path for path, one in self.recordings.items() if one["state"] == "indexed")


class World:
    """Makes homes by real commands and remembers what they answer."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes, self._folder = processes, folder
        self._answers: dict[tuple[str, frozenset[str]], Any] = {}
        self._count = 0
        self._counters = folder / "unread"

    def environment(self, home: Path, kind: str = "exact") -> dict[str, str]:
        """Of a process that nothing happens to."""
        calm = Interposition(self._folder / "nothing", self._counters).environment(Fault(Kind.COUNT))
        return calm | {
            "WORDSPOT_HOME": str(home),
            "WORDSPOT_INDEX_KIND": kind,
            "WORDSPOT_DEFAULT_ENCODER": "naive",
            "WORDSPOT_WORKERS": "1",
        }

    def command(self, home: Path, *arguments: object, kind: str = "exact") -> Ended:
        return self._processes.command(self.environment(home, kind), arguments)

    def session(self, home: Path, steps: Iterable[tuple[str, object]], kind: str = "exact") -> Ended:
        return self._processes.run("session", self.environment(home, kind), steps=list(steps))

    def inspect(self, home: Path, kind: str = "exact") -> State:
        """Raises Wrong for a home that cannot be opened and searched."""
        ended = self._processes.run("inspect", self.environment(home, kind), queries=QUERIES)
        if ended.code != 0:
            raise Wrong(f"stuck: {ended.errors or ended.code}")
        found = json.loads(ended.output)
        return State(
            archives=tuple(found["archives"]),
            recordings={recording["path"]: recording for recording in found["recordings"]},
            quarantined=tuple(found["quarantined"]),
            problems=tuple(found["problems"]),
            answers=tuple(tuple(sorted(map(tuple, hits))) for hits in found["answers"]),
        )

    def filled(self, kind: str) -> Path:
        """A home with OLD, in two segments of added files and one of an upload."""
        home = self.new_home()
        for paths in (FIRST, SECOND):
            must(self.command(home, "index", *paths, kind=kind))
        must(self.session(home, [*(("upload", path) for path in UPLOADED), ("index", None)], kind=kind))
        return home

    def new_home(self) -> Path:
        """A path at which nothing is yet."""
        self._count += 1
        return self._folder / f"home-{self._count}" / "home"

    def check_answers(self, state: State, kind: str) -> None:
        """Holds answers against those of an archive of just the same recordings that nothing happened to."""
        if not state.indexed:
            return
        key = (kind, state.indexed)
        if key not in self._answers:
            home = self.new_home()
            must(self.command(home, "index", *sorted(state.indexed), kind=kind))
            self._answers[key] = self.inspect(home, kind).answers
        for query, expected, actual in zip(QUERIES, self._answers[key], state.answers, strict=True):
            places = [[hit[:3] for hit in hits] for hits in (expected, actual)]
            scores = zip(expected, actual, strict=False)
            if places[0] != places[1] or any(abs(a[3] - b[3]) > MAX_SCORE_DIFFERENCE for a, b in scores):
                raise Wrong(f"wrong answer to {Path(query).name}: {actual[:3]}, expected {expected[:3]}")


def must(ended: Ended) -> Ended:
    if ended.code != 0:
        raise Wrong(f"failed without a fault: {ended.errors or ended.code}")
    return ended


def copied(home: Path, target: Path) -> None:
    """Copies a closed home, but for its reserve, which the next start takes up again."""
    shutil.copytree(home, target, ignore=shutil.ignore_patterns("reserve"))


def check_words(ended: Ended) -> None:
    """What the user sees is one line an error, which names it."""
    if ended.code is None:
        raise Wrong("did not end")
    for bad in ("Traceback", "internal error", "Internal"):
        if bad in ended.errors or bad in ended.output:
            raise Wrong(f"shown to the user: {ended.errors[-2000:]}")
    if ended.code > 0 and not any(line.startswith("wordspot: ") for line in ended.errors.splitlines()):
        raise Wrong(f"ended with {ended.code} and said {ended.errors!r}")
    if ended.code == 1:
        raise Wrong(f"ended with 1 and said {ended.errors!r}")


def check_no_orphans(home: Path) -> None:
    """Every file is one that the catalogue knows, and every one that it knows is there."""
    with closing(sqlite3.connect(f"{(home / 'catalogue.db').as_uri()}?mode=ro", uri=True)) as database:
        segments = {name for (name,) in database.execute("SELECT name FROM segments")}
        generations = {str(number) for (number,) in database.execute("SELECT id FROM generations")}
        located = database.execute("SELECT location FROM recordings WHERE deleted_at IS NULL")
        uploads = {Path(location).name for (location,) in located if not location.startswith("/")}
    for found, known in (("segments", segments), ("audio", uploads), ("uploads", set())):
        names = {path.name for path in (home / found).iterdir()}
        if names != known:
            raise Wrong(f"orphans or missing files: {found} has {sorted(names)}, listed are {sorted(known)}")
    if not {path.name for path in (home / "cache").iterdir()} <= generations:
        raise Wrong("the cache of no generation")
