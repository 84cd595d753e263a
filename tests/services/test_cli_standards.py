"""What people expect of any command: version, completion, pipes, addresses, JSON with a schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from wordspot.services.interchange import schemas

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deploy" / "demo" / "sample"
WORDSPOT = Path(sys.executable).with_name("wordspot")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an archive of a dozen recordings."""
    folder = tmp_path_factory.mktemp("standards")
    recordings = folder / "recordings"
    recordings.mkdir()
    for path in sorted((SAMPLE / "recordings").glob("vm-*.flac"))[:12]:
        (recordings / path.name).symlink_to(path)
    run(folder / "home", "index", recordings)
    return folder / "home"


def run(home: Path, *arguments: object, given: bytes = b"", code: int = 0, **environment: str) -> str:
    """What a command prints; on standard error where it is to fail."""
    ended = subprocess.run(
        [WORDSPOT, *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if not name.startswith("WORDSPOT_")}
        | {"WORDSPOT_HOME": str(home), "COLUMNS": "200"}
        | environment,
        input=given,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    return (ended.stderr if code else ended.stdout).decode()


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    assert run(tmp_path, "--version") == f"wordspot {metadata.version('wordspot')}\n"


def test_a_shell_completes_commands(tmp_path: Path) -> None:
    completed = run(tmp_path, _WORDSPOT_COMPLETE="complete_bash", COMP_WORDS="wordspot ser", COMP_CWORD="1")
    assert completed.split() == ["serve"]


def test_a_query_and_a_batch_may_be_piped(home: Path) -> None:
    query = SAMPLE / "queries" / "message.flac"
    from_file = lines(run(home, "search", query, "--json"))[0]
    piped = lines(run(home, "search", "-", "--json", given=query.read_bytes()))[0]
    assert piped["hits"] == from_file["hits"]
    both = lines(run(home, "search", "--batch", "-", "--json", given=f"{query}\n{query}\n".encode()))
    assert [line["hits"] for line in both] == [from_file["hits"]] * 2


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (("search", "-"), b"no sound", "wordspot: "),
        (("search", "-", "-"), b"", "one example only"),
        (("search", "-", "--start", "1", "--end", "2"), b"", "go with a file"),
        (("search", "--batch", "-"), b"", "- holds no query"),
        (("search", "--batch", "-"), b"a\0b\n", "standard input, line 1 must be text"),
        (("serve", "--address", "here"), b"", "--address must be HOST:PORT, got 'here'"),
        (("serve", "--address", "127.0.0.1:0", "--port", "1"), b"", "--address goes without"),
    ],
    ids=["no sound", "twice", "stretch", "no lines", "no text", "no port", "port twice"],
)
def test_what_cannot_be_used_is_named(
    home: Path, arguments: tuple[str, ...], given: bytes, message: str
) -> None:
    assert message in run(home, *arguments, given=given, code=2)


def test_lines_of_json_name_their_schema_and_keep_it(home: Path) -> None:
    for schema, *arguments in (
        (schemas.ARCHIVE, "archive", "list"),
        (schemas.ARCHIVE, "archive", "show"),
        (schemas.MODEL, "models", "list"),
        (schemas.FINDING, "doctor"),
    ):
        printed = lines(run(home, *arguments, "--json"))
        assert printed
        for line in printed:
            assert line["schema"] == schema
            jsonschema.validate(line, schemas.schema(schema))


def test_a_server_listens_at_its_address(tmp_path: Path) -> None:
    command = [WORDSPOT, "serve", "segmenter", "--address", "127.0.0.1:0"]
    environment = os.environ | {"WORDSPOT_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline().startswith("wordspot listens at 127.0.0.1:")
        finally:
            server.terminate()
