"""Runs what README.md and docs/ show: blocks marked python or console, page by page, top to bottom."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deploy" / "demo" / "sample"
START = ROOT / "docs" / "index.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<kind>python|console)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 0.1
PAGE = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Block:
    kind: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    return [
        Block(found["kind"], found["code"], text[: found.start("code")].count("\n"))
        for found in BLOCK.finditer(text)
        if not found["indent"]
    ]


def commands(code: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines that it is to print."""
    command, shown = "", []
    for line in code.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        else:
            shown.append(line)
    if command:
        yield command, shown


def fits(shown: str, printed: str) -> bool:
    """Whether a line is as it is shown: `...` is anything, numbers differ by TOLERANCE at most."""
    number = re.escape("\0")
    pattern = re.escape(NUMBER.sub("\0", " ".join(shown.split()))).replace(number, f"({NUMBER.pattern})")
    match = re.fullmatch(pattern.replace(re.escape("..."), ".*"), " ".join(printed.split()))
    if match is None:
        return False
    pairs = zip(NUMBER.findall(shown), match.groups(), strict=True)
    return all(abs(float(one) - float(other)) <= TOLERANCE for one, other in pairs)


@dataclass(frozen=True)
class Reader:
    """Somebody with a folder to work in and a home. page: where HTTP is, in place of PAGE."""

    folder: Path
    home: Path
    page: str = ""

    def run(self, *command: str) -> str:
        environment = os.environ | {
            "WORDSPOT_HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
        }
        ended = subprocess.run(
            [word.replace(PAGE, self.page) for word in command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{shlex.join(command)}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose archive holds the sample, as pages find it that go on from the first."""
    home = tmp_path_factory.mktemp("documentation") / "home"
    Reader(ROOT, home).run("wordspot", "index", str(SAMPLE / "recordings"))
    return home


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "recordings").symlink_to(SAMPLE / "recordings")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "query.wav").symlink_to(SAMPLE / "queries" / "message.flac")
    return Reader(folder, tmp_path / "home")


@pytest.fixture
def serving() -> Iterator[Callable[[Reader], str]]:
    """Serves a reader's home; returns where HTTP is."""
    with ExitStack() as closing:

        def start(reader: Reader) -> str:
            server = subprocess.Popen(
                [sys.executable, "-m", "wordspot.services.cli", "serve", "all", "--port", "0"],
                env=os.environ | {"WORDSPOT_HOME": str(reader.home)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            closing.enter_context(server)
            closing.callback(server.terminate)
            assert server.stdout is not None
            return [server.stdout.readline() for _ in range(2)][1].split()[-1]

        yield start


SHOWN = [path for path in PAGES if blocks(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", SHOWN, ids=[path.stem for path in SHOWN])
def test_what_a_page_shows_runs_and_prints_what_it_shows(
    path: Path, reader: Reader, request: pytest.FixtureRequest
) -> None:
    if path != START:
        shutil.copytree(request.getfixturevalue("indexed"), reader.home)
    if any("$ curl" in block.code for block in blocks(path.read_text(encoding="utf-8"))):
        reader = replace(reader, page=request.getfixturevalue("serving")(reader))
    python = ""
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.kind == "python":
            # Lines keep their numbers, so that an error names the page's line.
            python += "\n" * (block.line - python.count("\n")) + block.code
            continue
        for command, shown in commands(block.code):
            words = shlex.split(command)
            assert words[0] in ("wordspot", "python", "curl"), f"line {block.line} of {path.name}: {command}"
            printed = [line for line in reader.run(*words).splitlines() if line.strip()]
            for number, line in enumerate(line for line in shown if line.strip()):
                if line.strip() == "...":
                    break
                assert number < len(printed), f"{command} prints only {printed}"
                assert fits(line, printed[number]), (
                    f"{command} prints {printed[number]!r}, the page shows {line!r}"
                )
    if python:
        script = reader.folder / path.with_suffix(".py").name
        script.write_text(python, encoding="utf-8")
        reader.run(sys.executable, "-W", "error::SyntaxWarning", str(script))


def test_python_of_several_blocks_is_one_program() -> None:
    text = "```python\na = 1\n```\n\n    ```python\n    hidden\n    ```\n```console\n$ one\nout\n$ two\n```\n"
    assert [(block.kind, block.line) for block in blocks(text)] == [("python", 1), ("console", 8)]
    assert list(commands(blocks(text)[1].code)) == [("one", ["out"]), ("two", [])]


def test_output_may_differ_by_a_tenth_and_where_dots_stand() -> None:
    assert fits("2.13 - 2.89   7.77 .../a.flac", "2.13 - 2.91 7.70 /somewhere/a.flac  ")
    assert not fits("7.77 a", "7.50 a")
    assert not fits("7.77 a", "7.77 b")
    assert not fits("78 recordings", "79 recordings")
