"""The command `wordspot` on the sample archive with the naive encoder, each call a process of its own."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("WORDSPOT_")},
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "COLUMNS": "200",
}
DOZEN = 12


@dataclass(frozen=True)
class Ended:
    """code: of the exit, or minus the signal."""

    code: int
    output: str
    errors: str

    @property
    def answers(self) -> list[Any]:
        return [json.loads(line) for line in self.output.splitlines()]


class Forks:
    """The process of forks.py."""

    def __init__(self, folder: Path) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def run(
        self, arguments: Sequence[str], environment: dict[str, str], kill_after: float | None = None
    ) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "arguments": arguments,
            "environment": environment,
            "kill_after": kill_after,
            "output": str(self._output),
            "errors": str(self._errors),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Ended(code, self._output.read_text(), self._errors.read_text())

    def close(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Wordspot:
    """The command with a home of its own."""

    forks: Forks
    home: Path

    def run(self, *arguments: object, kill_after: float | None = None, **environment: str) -> Ended:
        """kill_after: seconds after which the process gets SIGKILL."""
        variables = {"WORDSPOT_HOME": str(self.home)} | environment
        return self.forks.run([str(argument) for argument in arguments], variables, kill_after)

    def ask(self, *arguments: object, **environment: str) -> Any:
        """The one JSON value of a command that must succeed."""
        ended = self.run(*arguments, "--json", **environment)
        assert (ended.code, ended.errors) == (0, "")
        (answer,) = ended.answers
        return answer

    def refuse(self, *arguments: object, **environment: str) -> str:
        """The line on standard error of a command that must fail."""
        ended = self.run(*arguments, **environment)
        assert (ended.code, ended.output) == (2, "")
        assert ended.errors.startswith("wordspot: ")
        assert ended.errors.endswith("\n")
        assert ended.errors.count("\n") == 1
        return ended.errors

    def contents(self) -> tuple[dict[str, int], dict[str, list[Any]]]:
        """Sizes by file, and rows by table: all that an archive consists of."""
        files = {
            str(path.relative_to(self.home)): path.stat().st_size
            for path in self.home.rglob("*")
            if path.is_file() and path.name != "lock" and not path.name.startswith("catalogue.")
        }
        with closing(sqlite3.connect(self.home / "catalogue.db")) as database:
            tables = ("archives", "recordings", "generations", "segments", "segment_recordings")
            rows = {table: sorted(database.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
        return files, rows

    def copy(self, home: Path) -> Wordspot:
        shutil.copytree(self.home, home)
        return Wordspot(self.forks, home)


@dataclass(frozen=True)
class Word:
    """start, end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Sample:
    """words: what is said, by the recording's file name."""

    recordings: tuple[Path, ...]
    words: dict[str, tuple[Word, ...]]
    queries: Path

    @property
    def dozen(self) -> tuple[Path, ...]:
        return self.recordings[:DOZEN]

    def query(self, word: str) -> Path:
        return self.queries / f"{word}.flac"

    def heard(self, hit: dict[str, Any]) -> set[str]:
        """The words whose midpoints lie within half a second of the hit's."""
        middle = (hit["start"] + hit["end"]) / 2
        return {
            word.text
            for word in self.words[Path(hit["path"]).name]
            if abs((word.start + word.end) / 2 - middle) <= 0.5
        }


@pytest.fixture(scope="session")
def sample() -> Sample:
    folder = Path(__file__).parents[2] / "deploy" / "demo" / "sample"
    words: dict[str, tuple[Word, ...]] = {}
    with (folder / "words.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            word = Word(row["word"], float(row["start"]), float(row["end"]))
            words[row["recording"]] = (*words.get(row["recording"], ()), word)
    return Sample(tuple(sorted((folder / "recordings").iterdir())), words, folder / "queries")


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with closing(Forks(tmp_path_factory.mktemp("forks"))) as opened:
        yield opened


@pytest.fixture
def wordspot(forks: Forks, tmp_path: Path) -> Wordspot:
    """With a home that does not exist yet."""
    return Wordspot(forks, tmp_path / "home")


@pytest.fixture(scope="session")
def indexing(forks: Forks, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> tuple[Wordspot, Any]:
    """The whole sample, indexed by the installed command, and what it reported."""
    indexed = Wordspot(forks, tmp_path_factory.mktemp("sample") / "home")
    command = [Path(sys.executable).with_name("wordspot"), "index", sample.recordings[0].parent]
    ended = subprocess.run(
        [*command, "--encoder", "naive", "--json"],
        env=ENVIRONMENT | {"WORDSPOT_HOME": str(indexed.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return indexed, json.loads(ended.stdout)


@pytest.fixture(scope="session")
def indexed(indexing: tuple[Wordspot, Any]) -> Wordspot:
    """The whole sample, to be read only."""
    return indexing[0]


@pytest.fixture(scope="session")
def dozen(forks: Forks, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Wordspot:
    """A dozen recordings of the sample in two segments or more, to be read only."""
    few = Wordspot(forks, tmp_path_factory.mktemp("dozen") / "home")
    for half in (sample.dozen[::2], sample.dozen[1::2]):
        few.ask("index", *half, "--encoder", "naive", WORDSPOT_WORKERS="2")  # too few segments to be merged
    return few


@pytest.fixture
def few(dozen: Wordspot, tmp_path: Path) -> Wordspot:
    """A dozen recordings of the sample."""
    return dozen.copy(tmp_path / "home")


@pytest.fixture(scope="session")
def whole(dozen: Wordspot) -> Any:
    """How the dozen is shown."""
    return dozen.ask("archive", "show")


@pytest.fixture
def check_whole(sample: Sample, whole: Any, tmp_path: Path) -> Callable[[Wordspot], None]:
    """Holds an archive to be what it would be had nothing happened to it."""
    longest = {
        path: max(sample.words[path.name], key=lambda word: word.end - word.start) for path in sample.dozen
    }

    def check(wordspot: Wordspot) -> None:
        archive = wordspot.ask("archive", "show")
        assert (archive["recordings"], archive["indexed_recordings"]) == (DOZEN, DOZEN)
        assert (archive["spans"], archive["audio_seconds"]) == (whole["spans"], whole["audio_seconds"])
        listed = archive["recording_list"]
        assert sorted(one["path"] for one in listed) == [str(path) for path in sample.dozen]
        assert {one["state"] for one in listed} == {"indexed"}

        lines = [f"{path}\t{word.start}\t{word.end}" for path, word in longest.items()]
        batch = tmp_path / "own.tsv"
        batch.write_text("\n".join(lines))
        ended = wordspot.run("search", "--batch", batch, "--json", "--top", 10_000)
        assert (ended.code, ended.errors, len(ended.answers)) == (0, "", DOZEN)
        for (path, word), answer in zip(longest.items(), ended.answers, strict=True):
            there = [
                hit["start"] < (word.start + word.end) / 2 < hit["end"] and hit["path"] == str(path)
                for hit in answer["hits"]
            ]
            assert there[0]
            assert there.count(True) == 1
        check_no_orphans(wordspot.home)

    return check


def check_no_orphans(home: Path) -> None:
    """Every file is one that the catalogue knows, and every one that it knows is there."""
    with closing(sqlite3.connect(home / "catalogue.db")) as database:
        segments = {name for (name,) in database.execute("SELECT name FROM segments")}
        generations = {str(number) for (number,) in database.execute("SELECT id FROM generations")}
    assert {path.name for path in (home / "segments").iterdir()} == segments
    assert {path.name for path in (home / "cache").iterdir()} <= generations
    assert [*(home / "audio").iterdir(), *(home / "uploads").iterdir(), *home.rglob("tmp-*")] == []
