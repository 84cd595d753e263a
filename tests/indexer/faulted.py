"""Runs scenarios in processes that a fault kills; started by test_faults.py.

Reads requests from standard input, a JSON object a line; for each forks a process that runs the
scenario and answers with how it ended. Forking once everything is imported keeps a case cheap.
What a scenario was told by the library it appends to the file `acks`, a JSON object a line: whatever
stands there must be true for ever.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from wordspot.indexer import faults
from wordspot.indexer.archive import additions, compaction
from wordspot.indexer.archive.batches import BatchLimits
from wordspot.indexer.archive.compaction import MERGED_SEGMENTS
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import RecordingState
from wordspot.indexer.vectors.policy import IndexPolicy


def load_fakes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fakes", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fakes"] = module
    spec.loader.exec_module(module)
    return module


fakes = load_fakes()


class Scenario:
    """A library, the folder its recordings lie in, and what it acknowledged."""

    def __init__(self, request: dict[str, str], **options: Any) -> None:
        self.point = request["point"]
        self.audio = Path(request["audio"])
        self.acks = Path(request["acks"])
        self.embedders = fakes.Embedders()
        self.library: Library = fakes.library_at(
            Path(request["home"]), [self.audio], self.embedders, workers=1, **options
        )

    def arm(self) -> None:
        if self.point:
            faults.arm(self.point)

    def acknowledge(self, what: str, identity: str) -> None:
        line = json.dumps({"what": what, "id": identity}) + "\n"
        with self.acks.open("a") as file:
            file.write(line)

    def create(self, name: str) -> None:
        self.library.create_archive(name)
        self.acknowledge("archive", name)

    def add(self, name: str, seconds: float = 1.0) -> str:
        recording, _ = self.library.add_path("words", self.noise(name, seconds), name)
        self.acknowledge("recording", recording.id)
        return recording.id

    def upload(self, name: str) -> str:
        data = self.noise(name).read_bytes()
        with self.library.begin_upload(
            "words", f"{name}.wav", hashlib.sha256(data).hexdigest(), len(data), name
        ) as receiving:
            receiving.write(data)
            recording, _ = receiving.finish()
        self.acknowledge("recording", recording.id)
        return recording.id

    def delete(self, recording: str) -> None:
        # From here on either outcome is right, until the answer arrives.
        self.acknowledge("deleting", recording)
        self.library.delete_recording("words", recording)
        self.acknowledge("deleted", recording)

    def index(self, encoder: str = "") -> None:
        fakes.index(self.library, "words", encoder)
        self.acknowledge_indexed()

    def acknowledge_indexed(self) -> None:
        for recording in self.library.list_recordings("words").items:
            if recording.state is RecordingState.INDEXED:
                self.acknowledge("indexed", recording.id)

    def noise(self, name: str, seconds: float = 1.0) -> Path:
        path: Path = fakes.write_noise(self.audio / f"{name}.wav", seed=sum(name.encode()), seconds=seconds)
        return path


ONE_EACH = BatchLimits(recordings=1)


def adding(request: dict[str, str]) -> None:
    it = Scenario(request)
    it.create("words")
    it.add("first")
    it.arm()
    it.add("second")


def adding_many(request: dict[str, str]) -> None:
    """Six recordings, two a transaction; the fault strikes in the second."""
    additions.MAX_TRANSACTION_FILES = 2
    it = Scenario(request)
    if it.point == "add-inspected":  # else all six are looked at before the first two are committed
        additions.MAX_PENDING_INSPECTIONS = 0
    it.create("words")
    wanted = [additions.Addition(it.noise(name), name) for name in "abcdef"]
    for answers in it.library.add_paths("words", wanted):
        for answer in answers:
            it.acknowledge("recording", answer.recording.id)
        it.arm()


def uploading(request: dict[str, str]) -> None:
    it = Scenario(request)
    it.create("words")
    it.upload("first")
    it.arm()
    it.upload("second")


def indexing(request: dict[str, str]) -> None:
    """Four recordings, a batch each; the fault strikes in the second batch."""
    it = Scenario(request, limits=ONE_EACH)
    it.create("words")
    for name in "abcd":
        it.add(name)

    def arm_in_second(count: int) -> None:
        if count == 2:
            it.acknowledge_indexed()
            it.arm()

    if it.point == "index-started":
        it.arm()
    it.embedders.known["fake"].before = arm_in_second
    it.index()


def caching(request: dict[str, str]) -> None:
    it = Scenario(request, index=IndexPolicy("ivf-sq8"))
    it.create("words")
    it.add("long", seconds=50.0)
    it.arm()
    it.index()


def changing_encoder(request: dict[str, str]) -> None:
    it = Scenario(request, limits=BatchLimits(recordings=2))
    it.create("words")
    for name in "abc":
        it.add(name)
    it.index()
    it.arm()
    it.index("other")


def deleting(request: dict[str, str]) -> None:
    it = Scenario(request)
    it.create("words")
    victims = [it.add("a"), it.upload("b")]
    it.add("c")
    it.index()
    it.delete(victims[0])
    it.arm()
    it.delete(victims[1])


def deleting_an_archive(request: dict[str, str]) -> None:
    it = Scenario(request)
    it.create("other")
    it.create("words")
    it.add("a")
    it.upload("b")
    it.index()
    it.arm()
    it.acknowledge("deleting archive", "words")
    it.library.delete_archive("words")


def compacting(request: dict[str, str]) -> None:
    it = Scenario(request, limits=ONE_EACH)
    it.create("words")
    victim, *_ = [it.add(name) for name in "abcd"]
    it.index()
    it.delete(victim)
    it.arm()
    it.library.compact("words")


def merging(request: dict[str, str]) -> None:
    """As many additions as are merged; the fault strikes while they are."""
    it = Scenario(request)
    it.create("words")
    for number in range(MERGED_SEGMENTS - 1):
        last = it.add(f"n{number}")
        it.index()
    it.delete(last)
    merge = compaction.merge_newest

    def merge_with_fault(*arguments: Any) -> None:
        it.acknowledge_indexed()
        it.arm()
        merge(*arguments)

    compaction.merge_newest = merge_with_fault
    it.add("last")
    it.index()


def refreshing(request: dict[str, str]) -> None:
    """A file that was away is there again."""
    it = Scenario(request)
    it.create("words")
    it.add("a")
    it.add("b")
    it.index()
    away = it.audio.with_name("away.wav")
    (it.audio / "b.wav").rename(away)
    list(it.library.refresh("words", ()))
    away.rename(it.audio / "b.wav")
    it.arm()
    list(it.library.refresh("words", ()))


def living(request: dict[str, str]) -> None:
    """Goes on until it is killed; says when the library is open."""
    it = Scenario(request, limits=BatchLimits(recordings=2))
    os.write(int(request["opened"]), b".")
    if not it.library.list_archives().items:
        it.create("words")
    began = time.time_ns()
    for turn in itertools.count():
        it.add(f"{began}{turn}")
        kept = it.upload(f"{began}{turn}u")
        it.index()
        it.delete(kept)
        it.library.compact("words")


SCENARIOS: dict[str, Callable[[dict[str, str]], None]] = {
    scenario.__name__: scenario
    for scenario in (
        adding,
        adding_many,
        uploading,
        indexing,
        caching,
        changing_encoder,
        deleting,
        deleting_an_archive,
        compacting,
        merging,
        refreshing,
        living,
    )
}


def serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        reading, request["opened"] = os.pipe()
        child = os.fork()
        if child == 0:
            SCENARIOS[request["scenario"]](request)
            os._exit(0)
        os.close(request["opened"])
        if request["scenario"] == "living":
            os.read(reading, 1)
            time.sleep(request["seconds"])
            os.kill(child, signal.SIGKILL)
        os.close(reading)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}), flush=True)


if __name__ == "__main__":
    serve()
