"""A campaign: inputs of all targets, what came of them, and a file for each kind of failure.

Targets that keep different processes busy go side by side, the others by turns.
"""

from __future__ import annotations

import faulthandler
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from tests.fuzz import cases
from tests.fuzz.cases import Case, Outcome, Target, Verdict, case_at

MAX_FILES_PER_SIGNATURE = 3
WARM_UP_SHARE = 0.2  # of the inputs, after which memory is compared with that of the end
MAX_GROWTH_BYTES = 64 << 20
MAX_GROWTH_SHARE = 0.1
MAX_MORE_DESCRIPTORS = 32
REPORT_SECONDS = 60.0
MAX_INPUT_SECONDS = 900.0  # beyond all deadlines of a target, so the fuzzer itself stands
# How often a target comes, relative to the others.
WEIGHTS = {"decode": 14, "tensors": 3, "pictures": 3, "batch": 1}
DEFAULT_WEIGHT = 2
# What each keeps a process of its own busy with; all others call the server.
LANES = {"decode": "decoder", "batch": "commands"}


@dataclass
class Figures:
    """Of one target.

    memory, descriptors: bytes and open files after each input.
    slowest, hungriest: number, and seconds or bytes.
    """

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    hungriest: tuple[int, int] = (0, 0)
    failures: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return sum(self.verdicts.values())

    def count(self, number: int, outcome: Outcome, resident: int, descriptors: int = 0) -> None:
        self.verdicts[outcome.verdict] += 1
        self.memory.append(resident)
        self.descriptors.append(descriptors)
        self.slowest = max(self.slowest, (outcome.seconds, number), key=itemgetter(0))
        self.hungriest = max(self.hungriest, (outcome.grown_bytes, number), key=itemgetter(0))
        if outcome.verdict.is_failure:
            self.failures.setdefault(outcome.signature, []).append(number)

    @property
    def start_and_end_bytes(self) -> tuple[int, int]:
        """Medians of a tenth of the inputs, once warm and at the end."""
        return _start_and_end(self.memory)

    @property
    def start_and_end_descriptors(self) -> tuple[int, int]:
        return _start_and_end(self.descriptors)

    @property
    def grows(self) -> bool:
        start, end = self.start_and_end_bytes
        opened, open_at_end = self.start_and_end_descriptors
        return (
            end - start > max(MAX_GROWTH_BYTES, MAX_GROWTH_SHARE * start)
            or open_at_end - opened > MAX_MORE_DESCRIPTORS
        )


@dataclass
class Lane:
    """Targets by turns. number, begin: the input at hand, and when by the monotonic clock it was begun."""

    name: str
    turns: list[Target] = field(default_factory=list)
    count: int = 0
    target: str = ""
    number: int = 0
    begin: float = math.inf
    told: bool = False


class Campaign:
    """report: gets a line for each new kind of failure. progress: now and then one on how far it is."""

    def __init__(
        self,
        targets: Sequence[Target],
        seed: int,
        folder: Path,
        report: Callable[[str], None],
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._targets, self._seed, self._folder = targets, seed, folder
        self._report, self._progress = report, progress
        self._stopped = threading.Event()
        self.figures = {target.name: Figures() for target in targets}

    def run(self, inputs: int, seconds: float) -> None:
        """Goes on until both are reached."""
        until = time.monotonic() + seconds
        turns = {target.name: WEIGHTS.get(target.name, DEFAULT_WEIGHT) for target in self._targets}
        lanes: dict[str, Lane] = {}
        for target in self._targets:
            name = LANES.get(target.name, "server")
            lanes.setdefault(name, Lane(name)).turns.extend([target] * turns[target.name])
        with ThreadPoolExecutor(len(lanes)) as pool:
            try:
                ends = [
                    pool.submit(
                        self._run_lane,
                        lane,
                        math.ceil(inputs * len(lane.turns) / sum(turns.values())),
                        until,
                    )
                    for lane in lanes.values()
                ]
                self._watch(list(lanes.values()), ends)
            finally:
                self._stopped.set()

    def _run_lane(self, lane: Lane, inputs: int, until: float) -> None:
        while (lane.count < inputs or time.monotonic() < until) and not self._stopped.is_set():
            target = lane.turns[lane.count % len(lane.turns)]
            lane.target, lane.number = target.name, self.figures[target.name].inputs
            lane.begin, lane.told = time.monotonic(), False
            self._step(target)
            lane.count += 1
        lane.begin = math.inf

    def _watch(self, lanes: Sequence[Lane], ends: Sequence[Future[None]]) -> None:
        """Returns once all lanes have ended, or raises what one of them did."""
        waiting = set(ends)
        while waiting:
            done, waiting = wait(waiting, REPORT_SECONDS, return_when="FIRST_EXCEPTION")
            for end in done:
                end.result()
            if waiting:
                self._progress(" ".join(f"{lane.name} {lane.count}" for lane in lanes))
            for lane in lanes:
                if not lane.told and time.monotonic() - lane.begin > MAX_INPUT_SECONDS:
                    lane.told = True
                    self._progress(f"the fuzzer stands at {self._seed}/{lane.target}/{lane.number}")
                    faulthandler.dump_traceback()

    @property
    def passed(self) -> bool:
        return not any(figures.failures or figures.grows for figures in self.figures.values())

    def _step(self, target: Target) -> None:
        figures = self.figures[target.name]
        number = figures.inputs
        case = case_at(target, self._seed, number)
        outcome = target.run(case)
        figures.count(number, outcome, target.resident_bytes(), target.descriptors())
        if outcome.verdict.is_failure:
            self._keep(case, outcome, figures.failures[outcome.signature])
        self._keep_extremes(case, outcome, number)

    def _keep(self, case: Case, outcome: Outcome, numbers: Sequence[int]) -> None:
        if len(numbers) > MAX_FILES_PER_SIGNATURE:
            return
        path = self._folder / f"{case.origin.replace('/', '-')}.json"
        cases.write(path, case, outcome)
        if len(numbers) == 1:
            self._report(f"{outcome.verdict}: {case.call}: {outcome.detail}\n  --replay {path}")

    def _keep_extremes(self, case: Case, outcome: Outcome, number: int) -> None:
        figures = self.figures[case.target]
        for name, (_, extreme) in (("slowest", figures.slowest), ("hungriest", figures.hungriest)):
            if extreme == number and number:
                cases.write(self._folder / f"{name}-{case.target}.json", case, outcome)


def table(figures: dict[str, Figures]) -> str:
    """Returns the figures of all targets, a row each."""
    heads = ("target", "inputs", "answered", "ours", "others", "INTERNAL", "crashes", "stalls")
    rows = [(*heads, "RSS start", "end MiB", "files", "end", "most MiB", "CPU s", "its number")]
    for name, one in figures.items():
        start, end = (str(size >> 20) for size in one.start_and_end_bytes)
        files = map(str, one.start_and_end_descriptors)
        counts = [str(one.verdicts[verdict]) for verdict in Verdict]
        most = str(one.hungriest[0] >> 20)
        slowest = (f"{one.slowest[0]:.2f}", str(one.slowest[1]))
        rows.append((name, str(one.inputs), *counts, start, end, *files, most, *slowest))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def document(figures: dict[str, Figures], seed: int) -> str:
    """Returns the figures as JSON."""
    return json.dumps(
        {
            "seed": seed,
            "targets": {
                name: {
                    "inputs": one.inputs,
                    "verdicts": {str(verdict): one.verdicts[verdict] for verdict in Verdict},
                    "resident_bytes": one.start_and_end_bytes,
                    "descriptors": one.start_and_end_descriptors,
                    "grown_bytes": one.hungriest,
                    "slowest": one.slowest,
                    "failures": [
                        {"verdict": verdict, "at": place, "numbers": numbers}
                        for (verdict, place), numbers in one.failures.items()
                    ],
                }
                for name, one in figures.items()
            },
        },
        indent=1,
    )


def _start_and_end(values: Sequence[int]) -> tuple[int, int]:
    living = [value for value in values if value]
    if not living:
        return 0, 0
    tenth = max(1, len(living) // 10)
    first = int(len(living) * WARM_UP_SHARE)
    return _median(living[first : first + tenth]), _median(living[-tenth:])


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]
