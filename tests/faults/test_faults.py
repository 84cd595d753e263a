"""A few faults of each kind at fixed calls of real processes; `make bench-faults` has thousands."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.interposer import Fault, Kind, library
from tests.faults.power import Survives
from tests.faults.processes import Processes
from tests.faults.scenarios import SCENARIOS, Scenario, Stage

pytestmark = pytest.mark.skipif(
    library() is None, reason="the interposer needs a C compiler: cc, gcc or clang"
)

MORE, COMPACT, SEARCH = (
    next(s for s in SCENARIOS if s.name == name) for name in ("index more", "compact", "search")
)
# Each broke something once: a disk that fails while the home is closed, or opened for reading, half a write
# of a commit.
FAULTS = [
    (MORE, Fault(Kind.EIO, 485, forever=True)),
    (MORE, Fault(Kind.ENOSPC, 40)),
    (COMPACT, Fault(Kind.SYNC, 9, forever=True)),
    (COMPACT, Fault(Kind.SHORT, 1, forever=True)),
    (MORE, Fault(Kind.TORN, 60)),
    (SEARCH, Fault(Kind.EDQUOT, 21, forever=True)),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    with Processes(folder) as processes:
        yield Stage(processes, folder.resolve())


@pytest.mark.parametrize(
    ("scenario", "fault"), FAULTS, ids=lambda value: value.name if isinstance(value, Scenario) else str(value)
)
def test_a_fault_loses_nothing_and_is_said(stage: Stage, scenario: Scenario, fault: Fault) -> None:
    counts, _ = stage.play(scenario, fault)
    assert counts.fired


def test_a_loss_of_power_loses_nothing_that_was_acknowledged(stage: Stage) -> None:
    recorded = stage.record(MORE)
    for number, survives in enumerate(Survives):
        stage.lose_power(MORE, survives, random.Random(number), recorded)


def test_the_log_is_read_as_it_was_written(stage: Stage, tmp_path: Path) -> None:
    case, _, entries = stage.record(COMPACT)
    assert {entry.kind for entry in entries} >= set("CWSRUN")
    assert all(Path(entry.path).is_relative_to(case) for entry in entries if entry.kind != "N")
