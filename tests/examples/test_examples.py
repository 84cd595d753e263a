"""The programs in examples/ run as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wordspot import Client
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.gateway.app import Gateway
from wordspot.services.gateway.peers import Addresses
from wordspot.services.settings import GatewaySettings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SAMPLE = ROOT / "deploy" / "demo" / "sample"


def run(name: str, home: Path, *arguments: str | Path) -> list[str]:
    ended = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env=os.environ | {"WORDSPOT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A dozen files, among them those that the queries are said in."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for path in sorted((SAMPLE / "recordings").glob("vm-*.flac"))[:12]:
        (folder / path.name).symlink_to(path)
    return folder


def test_search_prints_hits_and_saves_their_sound(recordings: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    first, *hits = run(
        "search.py", tmp_path / "home", recordings, SAMPLE / "queries" / "message.flac", "--clips", clips
    )
    assert first.startswith("12 recordings, encoder ")
    assert len(hits) == 5
    assert all(str(recordings) in line for line in hits)
    assert sorted(path.name for path in clips.iterdir()) == [f"{number}.wav" for number in range(1, 6)]


def test_the_models_draw_encode_and_know_words(tmp_path: Path) -> None:
    sheet = tmp_path / "digits.png"
    *models, told, analogy = run("model_service.py", tmp_path / "home", "--out", sheet)
    assert any(line.split()[0] == "wordspot" for line in models)
    assert told.startswith("16 digits of (28, 28) pixels, as ")
    assert analogy.startswith("man is to king as woman is to queen")
    with Image.open(sheet) as picture:
        assert picture.size == (112, 112)
        assert np.asarray(picture).max() > 128


def test_the_open_protocol_is_spoken_to_a_server(tmp_path: Path) -> None:
    with EmbeddedServer(EmbeddedSettings.of_home(tmp_path / "home", {})) as server:
        lines = run("open_inference.py", tmp_path / "home", "--address", server.address)
    assert lines[0].startswith("wordspot ")
    assert [line.split()[0] for line in lines[1:4]] == ["count", "seed", "pictures"]
    assert lines[4].startswith("drew (4, 1, 28, 28), ")


@pytest.fixture
def server(recordings: Path, tmp_path: Path) -> Iterator[EmbeddedServer]:
    """With an archive of a dozen recordings."""
    with EmbeddedServer(EmbeddedSettings.of_home(tmp_path / "home", {})) as server:
        with Client(server.address) as client:
            client.index([recordings])
        yield server


QUERY = SAMPLE / "queries" / "message.flac"


def test_many_queries_are_asked_at_once_by_asyncio(server: EmbeddedServer, tmp_path: Path) -> None:
    queries = sorted((SAMPLE / "queries").glob("*.flac"))
    lines = run("search_async.py", tmp_path / "other", *queries, "--address", server.address)
    assert [line.split(":")[0] for line in lines] == [query.stem for query in queries]
    assert all(".flac " in line for line in lines)


def test_curl_searches_over_http(server: EmbeddedServer, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    addresses = Addresses(server.address, server.address)
    settings = GatewaySettings(http_port=0, spool=tmp_path / "spool")
    with Gateway(addresses, settings) as gateway:
        command = ["sh", EXAMPLES / "search.sh", gateway.url, QUERY]
        told = subprocess.run(command, capture_output=True, check=True).stdout
    (result,) = json.loads(told)["results"]
    assert len(result["hits"]) == 5


def test_node_searches_by_grpc(server: EmbeddedServer, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("node is not installed")
    folder = tmp_path / "examples" / "node"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "proto").symlink_to(ROOT / "proto")
    install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    installed = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=200)
    if installed.returncode:
        pytest.skip(f"npm cannot install what it needs: {installed.stderr[-300:]}")
    command = ["node", "search.js", server.address, QUERY]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 5
    with Client(server.address) as client:
        first, *_ = client.search(QUERY, top=5, all_hits=True)
    place = f"{first.start:.2f} - {first.end:.2f}  P {first.p_correct:.2f}  {first.path}"
    assert ended.stdout.startswith(place)


def test_the_notebook_counts_keywords_by_recording(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = json.loads((EXAMPLES / "keywords.ipynb").read_text(encoding="utf-8"))["cells"]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WORDSPOT_ADDRESS", server.address)
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec(compile("".join(cell["source"]), "keywords.ipynb", "exec"), names)
    assert set(names["matrix"].columns) == {"message", "password", "extension"}
    assert names["matrix"].to_numpy().sum() >= 10


def test_every_example_is_run_and_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    kinds = ("*.py", "*.sh", "*.ipynb", "node/*.js")
    programs = {str(path.relative_to(EXAMPLES)) for kind in kinds for path in EXAMPLES.glob(kind)}
    assert programs == {
        "search.py",
        "search_async.py",
        "search.sh",
        "model_service.py",
        "open_inference.py",
        "node/search.js",
        "keywords.ipynb",
    }
    assert all(f"]({name})" in listed for name in programs)
