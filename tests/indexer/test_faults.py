"""Every fault point, each with a real process that dies there; what it had acknowledged must be there."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import wordspot.indexer
from wordspot.indexer import faults
from wordspot.indexer.archive.additions import Addition
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import RecordingState
from wordspot.indexer.archive.tables import OperationState

CASES = [
    ("adding", "add-inspected"),
    ("adding", "add-committed"),
    ("adding_many", "add-inspected"),
    ("adding_many", "add-committed"),
    ("uploading", "upload-begun"),
    ("uploading", "upload-written"),
    ("uploading", "upload-renamed"),
    ("uploading", "upload-committed"),
    ("indexing", "index-started"),
    ("indexing", "recording-written"),
    ("indexing", "segment-written"),
    ("indexing", "segment-synced"),
    ("indexing", "segment-renamed"),
    ("indexing", "batch-committed"),
    ("caching", "cache-written"),
    ("caching", "cache-renamed"),
    ("changing_encoder", "segment-renamed"),
    ("changing_encoder", "batch-committed"),
    ("changing_encoder", "generation-ready"),
    ("changing_encoder", "generation-swapped"),
    ("deleting", "recording-deleted"),
    ("deleting_an_archive", "archive-deleted"),
    ("compacting", "segment-written"),
    ("compacting", "segment-renamed"),
    ("compacting", "compaction-sealed"),
    ("compacting", "compaction-committed"),
    ("compacting", "compaction-cleaned"),
    ("merging", "segment-written"),
    ("merging", "segment-renamed"),
    ("merging", "compaction-sealed"),
    ("merging", "compaction-committed"),
    ("merging", "compaction-cleaned"),
    ("refreshing", "refresh-committed"),
]


@dataclass(frozen=True)
class Row:
    """Of the fault table. lost: acknowledged and not there afterwards."""

    scenario: str
    point: str
    acknowledged: int
    lost: int


class Children:
    """The process that forks scenarios; see faulted.py."""

    def __init__(self) -> None:
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("faulted.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        )

    def run(self, scenario: str, folder: Path, point: str = "", **more: object) -> int:
        """The signal that ended the scenario, 0 for none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "scenario": scenario,
            "point": point,
            "home": str(folder / "home"),
            "audio": str(folder / "recordings"),
            "acks": str(folder / "acks"),
        }
        self._process.stdin.write(json.dumps(request | more) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer["signal"]

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with closing(Children()) as opened:
        yield opened


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """The fault table, printed once the module is through."""
    rows: list[Row] = []
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{'scenario':<20} {'killed at':<22} {'acknowledged':>12} {'lost':>5}")
        for row in rows:
            print(f"{row.scenario:<20} {row.point:<22} {row.acknowledged:>12} {row.lost:>5}")
        print(
            f"faults injected: {len(rows)}, acknowledged: {sum(row.acknowledged for row in rows)}, "
            f"lost: {sum(row.lost for row in rows)}"
        )


@dataclass(frozen=True)
class Acknowledged:
    """What the library had answered before it died, but for what it was asked to delete since.

    deleted: answered too. doomed_archives: asked to be deleted, not answered.
    """

    archives: frozenset[str]
    recordings: frozenset[str]
    indexed: frozenset[str]
    deleted: frozenset[str]
    doomed_archives: frozenset[str]

    @property
    def count(self) -> int:
        return len(self.recordings) + len(self.deleted)


def acknowledged(path: Path) -> Acknowledged:
    said: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        said[entry["what"]].add(entry["id"])
    gone = said["deleting"]
    return Acknowledged(
        archives=frozenset(said["archive"] - said["deleting archive"]),
        recordings=frozenset(said["recording"] - gone),
        indexed=frozenset(said["indexed"] - gone),
        deleted=frozenset(said["deleted"]),
        doomed_archives=frozenset(said["deleting archive"]),
    )


def searchable(library: Library) -> set[str]:
    view = library.view("words")
    query = np.eye(1, view.encoder.dimension, dtype=np.float32)
    ids, _ = view.index.search(query, max(view.spans, 1), 20, view.alive_spans)
    region, _, _ = view.span_extents(ids[ids >= 0])
    return {view.recordings[ordinal].id for ordinal in view.region_recording[region]}


def everything(library: Library) -> dict[str, RecordingState]:
    return {
        recording.id: recording.state for recording in library.list_recordings("words", limit=1_000).items
    }


def check_no_orphans(home: Path) -> None:
    """Each file is one that the catalogue knows, and each that it knows is there."""
    with closing(sqlite3.connect(home / "catalogue.db")) as database:
        segments = {name for (name,) in database.execute("SELECT name FROM segments")}
        generations = {str(number) for (number,) in database.execute("SELECT id FROM generations")}
        uploads = {
            location
            for (location,) in database.execute("SELECT location FROM recordings WHERE deleted_at IS NULL")
            if not location.startswith("/")
        }
    assert {path.name for path in (home / "segments").iterdir()} == segments
    assert {f"audio/{path.name}" for path in (home / "audio").iterdir()} == uploads
    assert {path.name for path in (home / "cache").iterdir()} <= generations
    assert list((home / "uploads").iterdir()) == []
    assert list(home.rglob("tmp-*")) == []


def check(library: Library, said: Acknowledged, home: Path) -> int:
    """What was acknowledged is there, the rest absent or resumable. Returns how much was lost."""
    check_no_orphans(home)
    there = everything(library)
    lost = (said.recordings - there.keys()) | (said.deleted & there.keys())
    assert {archive.name for archive in library.list_archives().items} >= said.archives
    assert {identity for identity, state in there.items() if state is RecordingState.INDEXED} >= said.indexed
    if said.indexed:
        assert searchable(library) >= said.indexed
        assert not searchable(library) & said.deleted
    assert library.verify("words") == ()

    for operation in library.list_operations("words", limit=1_000).items:
        assert operation.state in (OperationState.SUCCEEDED, OperationState.INTERRUPTED)
    interrupted = [
        operation
        for operation in library.list_operations("words", limit=1_000).items
        if operation.state is OperationState.INTERRUPTED
    ]
    for operation in interrupted:
        library.resume_operation(operation.id)
        *_, last = library.watch_operation(operation.id)
        assert last.state is OperationState.SUCCEEDED
    if interrupted:
        assert set(everything(library).values()) == {RecordingState.INDEXED}
        assert searchable(library) == set(there)
    check_no_orphans(home)
    return len(lost)


@pytest.mark.parametrize(("scenario", "point"), CASES)
def test_a_process_killed_at_any_point_loses_nothing_it_acknowledged(
    scenario: str, point: str, children: Children, table: list[Row], tmp_path: Path, fakes: SimpleNamespace
) -> None:
    (tmp_path / "recordings").mkdir()
    assert children.run(scenario, tmp_path, point) == signal.SIGKILL
    said, home = acknowledged(tmp_path / "acks"), tmp_path / "home"
    embedders = fakes.Embedders()
    with fakes.library_at(home, [tmp_path / "recordings"], embedders) as library:
        if said.doomed_archives:
            left = {archive.name for archive in library.list_archives().items}
            table.append(Row(scenario, point, len(said.archives), len(said.archives - left)))
            assert left == said.archives == {"other"}
            check_no_orphans(home)
            return
        lost = check(library, said, home)
        table.append(Row(scenario, point, said.count, lost))
        assert lost == 0

        # What was under way can be done again and leads to what it would have led to.
        if scenario == "adding":
            again = library.add_path("words", tmp_path / "recordings" / "second.wav", "second")
            assert everything(library).keys() == said.recordings | {again[0].id}
            assert len(everything(library)) == 2
        if scenario == "adding_many":
            assert len(said.recordings) == 2
            assert len(everything(library)) == (2 if point == "add-inspected" else 4)
            wanted = [Addition(tmp_path / "recordings" / f"{name}.wav", name) for name in "abcdef"]
            (again,) = library.add_paths("words", wanted)
            assert {each.recording.id for each in again} == everything(library).keys() >= said.recordings
            assert not any(each.present for each in again)
        assert fakes.index(library, "words").state is OperationState.SUCCEEDED
        assert set(everything(library).values()) == {RecordingState.INDEXED}
        assert searchable(library) == everything(library).keys()
        library.compact("words")
        check_no_orphans(home)
        assert searchable(library) == everything(library).keys()


def test_a_process_killed_at_any_moment_loses_nothing_it_acknowledged(
    children: Children, table: list[Row], tmp_path: Path, fakes: SimpleNamespace
) -> None:
    """The same home over and over, killed after ever other times."""
    (tmp_path / "recordings").mkdir()
    (tmp_path / "acks").touch()
    for number in range(8):
        moment = 0.01 + 0.05 * number
        assert children.run("living", tmp_path, seconds=moment) == signal.SIGKILL
        said, home = acknowledged(tmp_path / "acks"), tmp_path / "home"
        with fakes.library_at(home, [tmp_path / "recordings"], fakes.Embedders()) as library:
            lost = len(said.archives)
            if library.list_archives().items:
                lost = check(library, said, home)
        table.append(Row("living", f"{moment:.3f} s", said.count, lost))
        assert lost == 0
    assert acknowledged(tmp_path / "acks").count > 0


def test_every_fault_point_is_reached_by_the_code_and_by_a_case() -> None:
    source = Path(wordspot.indexer.__path__[0])
    reached = {
        name for path in source.rglob("*.py") for name in re.findall(r'reach\("([^"]+)"\)', path.read_text())
    }
    assert reached == set(faults.FAULT_POINTS) == {point for _, point in CASES}
    assert len(set(faults.FAULT_POINTS)) == len(faults.FAULT_POINTS)


def test_an_unarmed_point_does_nothing_and_an_armed_one_raises() -> None:
    faults.reach("add-committed")
    faults.arm("add-committed", "enospc")
    with pytest.raises(OSError, match="No space left on device"):
        faults.reach("add-committed")
    faults.reach("add-inspected")
    faults.disarm()
    faults.reach("add-committed")


def test_an_unknown_point_or_action_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of add-inspected, .* got 'x'"):
        faults.arm("x")
    with pytest.raises(ValueError, match="one of kill, enospc, got 'explode'"):
        faults.arm("add-committed", "explode")  # type: ignore[arg-type]
