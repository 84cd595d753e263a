"""What people do with a home while its disk fails, and what must be so afterwards."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.interposer import Counts, Entry, Fault, Interposition, read_log
from tests.faults.power import Disk, Survives
from tests.faults.processes import Ended, Processes
from tests.faults.world import (
    FIRST,
    NEW,
    OLD,
    QUERIES,
    SECOND,
    UPLOADED,
    State,
    World,
    Wrong,
    check_no_orphans,
    check_words,
    copied,
)

Steps = list[tuple[str, object]]


@dataclass(frozen=True)
class Base:
    """A home before anything happens to it. ids: of its recordings, by path."""

    home: Path | None
    before: frozenset[str]
    ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """arguments: of a command, `{home}` and `{id:PATH}` filled in; or steps of a session.

    before: what was acknowledged; doomed: what may go; after: what is indexed once all has succeeded.
    index: kind of the vector index. base: name of the home that it begins with.
    closed: whether the home may refuse to open until it is done again.
    """

    name: str
    base: str
    after: frozenset[str]
    arguments: tuple[str, ...] = ()
    steps: tuple[tuple[str, object], ...] = ()
    doomed: frozenset[str] = frozenset()
    index: str = "exact"
    closed: bool = False


ALL = OLD | frozenset(NEW)
SCENARIOS = (
    Scenario("index, new home", "empty", frozenset(NEW), ("index", *NEW)),
    Scenario("index more", "old", ALL, ("index", *NEW)),
    Scenario("index more, cached index", "cached", ALL, ("index", *NEW), index="ivf-sq8"),
    Scenario(
        "serve: upload, index, delete",
        "old",
        ALL - {FIRST[0]},
        steps=(
            ("upload", NEW[0]),
            ("search", QUERIES[0]),
            ("index", None),
            ("delete", FIRST[0]),
            ("upload", NEW[1]),
            ("index", None),
        ),
        doomed=frozenset(FIRST[:1]),
    ),
    Scenario(
        "serve: delete upload, compact",
        "old",
        OLD - set(UPLOADED) - {SECOND[0]},
        steps=(("delete", UPLOADED[0]), ("delete", SECOND[0]), ("compact", None), ("search", QUERIES[0])),
        doomed=frozenset(UPLOADED) | {SECOND[0]},
    ),
    Scenario(
        "delete",
        "old",
        OLD - {FIRST[0]},
        ("archive", "delete", "default", "--yes", "--recording", f"{{{FIRST[0]}}}"),
        doomed=frozenset(FIRST[:1]),
    ),
    Scenario("delete archive", "old", frozenset(), ("archive", "delete", "default", "--yes"), doomed=OLD),
    Scenario("compact", "deleted", OLD - {FIRST[0]}, ("archive", "compact")),
    Scenario(
        "compact, cached index", "cached deleted", OLD - {FIRST[0]}, ("archive", "compact"), index="ivf-sq8"
    ),
    Scenario("search", "old", OLD, ("search", QUERIES[0], "--json", "--all-hits", "--top", "1000")),
    Scenario("verify", "old", OLD, ("archive", "verify")),
    Scenario("repair", "damaged", OLD, ("archive", "repair"), doomed=frozenset(FIRST)),
    Scenario("backup", "old", OLD, ("backup", "{case}/backup.db")),
    Scenario("restore", "old", OLD, ("restore", "{backup}"), closed=True),
)


class Stage:
    """Makes the homes that scenarios begin with, and plays scenarios with faults."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes, self._folder = processes, folder
        self.world = World(processes, folder)
        self._bases: dict[str, Base] = {}
        self._totals: dict[str, Counts] = {}
        self._count = 0
        self._backup = folder / "backup.db"

    def totals(self, scenario: Scenario) -> Counts:
        """The calls of a scenario that nothing happens to."""
        if scenario.name not in self._totals:
            self._totals[scenario.name], _ = self.play(scenario, Fault.none())
        return self._totals[scenario.name]

    def play(self, scenario: Scenario, fault: Fault, log: Path | None = None) -> tuple[Counts, Path]:
        """Plays a scenario with a fault and holds what is left to what was acknowledged.

        Returns the calls and the folder, which is to be removed. Raises Wrong.
        """
        base = self._base(scenario.base)
        self._count += 1
        case = self._folder / f"case-{self._count}"
        case.mkdir()
        home = case / "home"
        if scenario.closed and not self._backup.exists():
            self.world.command(base.home or home, "backup", self._backup)
        if base.home is not None:
            copied(base.home, home)
        meeting = Interposition(case, self._folder / "counters", log)
        environment = self.world.environment(home, scenario.index) | meeting.environment(fault)
        ended = self._run(scenario, base, case, environment)
        counts = meeting.counts()
        try:
            self._check(scenario, base, case, ended)
        except Wrong as error:
            raise Wrong(
                f"{scenario.name}, {fault}: {error} (in {case}; said {ended.errors[:500]!r})"
            ) from None
        return counts, case

    def record(self, scenario: Scenario) -> tuple[Path, Base, list[Entry]]:
        """Plays a scenario that nothing happens to; returns the home that it begins with, in a folder of its
        own, and the log of what was written."""
        counts, case = self.play(scenario, Fault.none(), self._folder / "log")
        entries = list(read_log(self._folder / "log"))
        (self._folder / "log").unlink()
        del counts
        shutil.rmtree(case)
        base = self._base(scenario.base)
        case.mkdir()
        if base.home is not None:
            copied(base.home, case / "home")
        return case, base, entries

    def lose_power(
        self,
        scenario: Scenario,
        survives: Survives,
        choices: random.Random,
        recorded: tuple[Path, Base, list[Entry]],
    ) -> None:
        """Replays a log to a random moment and holds what is left to what was acknowledged by then."""
        root, base, entries = recorded
        moment = choices.randint(1, len(entries))
        disk = Disk(root)
        disk.apply(entries[:moment])
        self._count += 1
        case = self._folder / f"case-{self._count}"
        disk.write(case, survives, choices)
        said = b"".join(entry.data for entry in entries[:moment] if entry.kind == "N").decode()
        ended = Ended(0 if moment == len(entries) else -9, said, "")
        try:
            self._check(scenario, base, case, ended)
        except Wrong as error:
            raise Wrong(
                f"{scenario.name}, power lost at {moment} of {len(entries)}, {survives}: {error}"
            ) from None
        shutil.rmtree(case)

    def _run(self, scenario: Scenario, base: Base, case: Path, environment: dict[str, str]) -> Ended:
        if scenario.steps:
            steps = [
                (step, base.ids[str(value)] if step == "delete" else value) for step, value in scenario.steps
            ]
            return self._processes.run("session", environment, steps=steps)
        known = base.ids | {"case": str(case), "backup": str(self._backup)}
        arguments = [
            known[argument[1:-1]] if argument.startswith("{") and argument.endswith("}") else argument
            for argument in scenario.arguments
        ]
        return self._processes.command(
            environment, [argument.replace("{case}", str(case)) for argument in arguments]
        )

    def _check(self, scenario: Scenario, base: Base, case: Path, ended: Ended) -> None:
        check_words(ended)
        home = case / "home"
        kind = scenario.index
        if not (scenario.closed and self._refuses(home, kind)):
            state = self.world.inspect(home, kind)
            if state.problems and scenario.base != "damaged":
                raise Wrong(f"verify says {state.problems}")
            self._check_acknowledged(scenario, base, ended, state)
            self.world.check_answers(state, kind)
            check_no_orphans(home)
        self._check_said(scenario, case, ended)
        again = self._run(scenario, base, case, self.world.environment(home, kind))
        final = self.world.inspect(home, kind)
        if final.problems or final.quarantined:
            raise Wrong(f"done again, verify says {final.problems or final.quarantined}")
        if final.indexed != scenario.after:
            raise Wrong(
                f"done again, {sorted(final.indexed)} are indexed, expected {sorted(scenario.after)}; "
                f"said {again.errors!r}"
            )
        self.world.check_answers(final, kind)
        check_no_orphans(home)

    def _refuses(self, home: Path, kind: str) -> bool:
        ended = self.world.command(home, "archive", "show", kind=kind)
        return ended.code == 2 and "wordspot restore" in ended.errors

    def _check_acknowledged(self, scenario: Scenario, base: Base, ended: Ended, state: State) -> None:
        added, deleted, deleting, indexed = set[str](), set[str](), set[str](), set[str]()
        paths = {identity: path for path, identity in base.ids.items()}
        if scenario.steps:
            for what, step, value in ended.lines:
                if step == "upload" and what == "done":
                    added.add(value)
                if step == "index" and what == "done":
                    indexed |= added
                if step == "delete":
                    (deleted if what == "done" else deleting).add(paths[value])
        elif ended.code == 0:
            indexed = set(scenario.after)
            deleted = set(base.before - scenario.after)
        else:
            deleting = set(scenario.doomed)
        if lost := (base.before | added) - deleting - deleted - state.recordings.keys() - scenario.doomed:
            raise Wrong(f"lost: {sorted(lost)}")
        if back := deleted & state.recordings.keys():
            raise Wrong(f"back again: {sorted(back)}")
        kept = base.before - scenario.doomed
        if lost := (kept | indexed) - state.indexed:
            raise Wrong(f"not indexed any more: {sorted(lost)}")

    def _check_said(self, scenario: Scenario, case: Path, ended: Ended) -> None:
        """A search's answers and a backup count if they were said to be complete."""
        if ended.code != 0:
            return
        if scenario.name == "search":
            hits = ended.lines[0]["hits"]
            actual = tuple(sorted((hit["path"], hit["start"], hit["end"], hit["score"]) for hit in hits))
            state = self.world.inspect(self._base("old").home or case)
            if [hit[:3] for hit in actual] != [hit[:3] for hit in state.answers[0]]:
                raise Wrong(f"wrong answer: {actual[:3]}, expected {state.answers[0][:3]}")
        if scenario.name == "backup":
            target = case / "restored"
            copied(case / "home", target)
            restored = self.world.command(target, "restore", case / "backup.db")
            if restored.code != 0:
                raise Wrong(f"the backup is none: {restored.errors}")
            self.world.check_answers(self.world.inspect(target), "exact")

    def _base(self, name: str) -> Base:
        if name not in self._bases:
            self._bases[name] = BASES[name](self)
        return self._bases[name]

    def old(self, kind: str = "exact") -> Base:
        home = self.world.filled(kind)
        state = self.world.inspect(home, kind)
        return Base(home, OLD, {path: one["id"] for path, one in state.recordings.items()})

    def deleted(self, kind: str = "exact") -> Base:
        base = self.old(kind)
        assert base.home is not None
        victim = ("archive", "delete", "default", "--yes", "--recording", base.ids[FIRST[0]])
        self.world.command(base.home, *victim, kind=kind)
        return Base(base.home, OLD - {FIRST[0]}, base.ids)

    def damaged(self) -> Base:
        """The segment of FIRST has zeros among its vectors, which `verify` has found."""
        base = self.old()
        assert base.home is not None
        sizes = {path: (path / "vectors.npy").stat().st_size for path in (base.home / "segments").iterdir()}
        vectors = max(sizes, key=lambda path: sizes[path]) / "vectors.npy"
        data = vectors.read_bytes()
        vectors.write_bytes(data[:256] + bytes(len(data) - 256))
        self.world.command(base.home, "archive", "verify")
        return base


BASES: dict[str, Callable[[Stage], Base]] = {
    "empty": lambda stage: Base(None, frozenset()),
    "old": Stage.old,
    "cached": lambda stage: stage.old("ivf-sq8"),
    "deleted": Stage.deleted,
    "cached deleted": lambda stage: stage.deleted("ivf-sq8"),
    "damaged": Stage.damaged,
}
