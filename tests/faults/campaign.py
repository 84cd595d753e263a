"""A campaign: one fault a run at a random call of a random scenario, and a table of what came of it."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.interposer import Fault, Kind
from tests.faults.power import Survives
from tests.faults.processes import Processes
from tests.faults.scenarios import SCENARIOS, Scenario, Stage
from tests.faults.world import Wrong

FAULTS = {
    Kind.EIO: 4,
    Kind.ENOSPC: 3,
    Kind.EDQUOT: 1,
    Kind.SHORT: 2,
    Kind.SYNC: 2,
}
KILLS = {Kind.KILL: 3, Kind.TORN: 1}
NOT_FOREVER = (Kind.KILL, Kind.TORN)
FOREVER_SHARE = 0.4


@dataclass
class Row:
    """Of the table. fired: faults that a process met."""

    runs: int = 0
    fired: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    """kinds: of faults, with weights. rows: by scenario and kind."""

    kinds: dict[Kind, int]
    seed: int
    rows: dict[tuple[str, Kind], Row] = field(default_factory=dict)

    def run(
        self, count: int, report: Callable[[str], None], scenarios: Sequence[Scenario] = SCENARIOS
    ) -> None:
        """Plays scenarios until so many faults were met."""
        with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes:
            stage = Stage(processes, Path(name).resolve())
            number = 0
            while self.fired < count:
                scenario = scenarios[number % len(scenarios)]
                self._step(stage, scenario, random.Random(f"{self.seed} {number}"), report)
                number += 1

    @property
    def fired(self) -> int:
        return sum(row.fired for row in self.rows.values())

    @property
    def wrong(self) -> int:
        return sum(len(row.wrong) for row in self.rows.values())

    def _step(
        self, stage: Stage, scenario: Scenario, choices: random.Random, report: Callable[[str], None]
    ) -> None:
        (kind,) = choices.choices(list(self.kinds), list(self.kinds.values()))
        calls = stage.totals(scenario).among(Fault(kind).calls)
        if not calls:
            return
        forever = kind not in NOT_FOREVER and choices.random() < FOREVER_SHARE
        fault = Fault(kind, choices.randint(1, calls), forever)
        row = self.rows.setdefault((scenario.name, kind), Row())
        row.runs += 1
        try:
            counts, case = stage.play(scenario, fault)
        except Wrong as error:
            row.fired += 1
            row.wrong.append(str(error))
            report(str(error))
            return
        row.fired += counts.fired > 0
        shutil.rmtree(case)

    def table(self) -> str:
        """Faults met by scenario and kind, and how many runs went wrong."""
        names = list(dict.fromkeys(name for name, _ in self.rows))
        lines = [f"| scenario | {' | '.join(self.kinds)} | wrong |", "|---" * (len(self.kinds) + 2) + "|"]
        totals: Counter[Kind] = Counter()
        for name in names:
            cells = []
            wrong = 0
            for kind in self.kinds:
                row = self.rows.get((name, kind), Row())
                totals[kind] += row.fired
                wrong += len(row.wrong)
                cells.append(str(row.fired))
            lines.append(f"| {name} | {' | '.join(cells)} | {wrong} |")
        sums = " | ".join(str(totals[kind]) for kind in self.kinds)
        return "\n".join([*lines, f"| **{self.fired}** | {sums} | {self.wrong} |"])


def lose_power(
    seed: int, count: int, report: Callable[[str], None], scenarios: Sequence[Scenario] = SCENARIOS
) -> int:
    """Loses the power so often at random moments; reports a table and returns how often that went wrong."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes:
        stage = Stage(processes, Path(name).resolve())
        recorded = {scenario.name: stage.record(scenario) for scenario in scenarios}
        for number in range(count):
            scenario = scenarios[number % len(scenarios)]
            choices = random.Random(f"{seed} {number}")
            row = rows.setdefault(scenario.name, Row())
            row.fired += 1
            try:
                stage.lose_power(scenario, choices.choice(list(Survives)), choices, recorded[scenario.name])
            except Wrong as error:
                row.wrong.append(str(error))
                report(str(error))
    lines = ["| scenario | power lost | wrong |", "|---|---|---|"]
    lines += [f"| {name} | {row.fired} | {len(row.wrong)} |" for name, row in rows.items()]
    report("\n".join(lines))
    return sum(len(row.wrong) for row in rows.values())


def run(kinds: dict[Kind, int], seed: int, count: int, report: Callable[[str], None]) -> Campaign:
    """Runs a campaign and reports its table."""
    campaign = Campaign(kinds, seed)
    begin = time.monotonic()
    campaign.run(count, report)
    report(campaign.table())
    report(f"seed {seed}, {time.monotonic() - begin:.0f} s")
    return campaign
