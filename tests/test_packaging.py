"""The distributions: which file belongs to which, and what each needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "wordspot": ROOT,
    "wordspot_client": ROOT / "deploy" / "client",
    "wordspot_models": ROOT / "deploy" / "models",
}
SOURCE = ROOT / "src" / "wordspot"
NOT_SHIPPED = {"__pycache__", "node_modules"}
SEARCH = {"phonetic", "wordspot"}  # the artifacts that search has without torch
UNNEEDED = (
    "torch",
    "faiss",
    "librosa",
    "numba",
    "onnxruntime",
    "scipy",
    "sklearn",
    "soundfile",
    "sqlalchemy",
)

CALL = """
import sys
from wordspot import {names}
from wordspot.indexer.errors import FailedPrecondition
try:
    Client()
except FailedPrecondition as error:
    print(error)
print(*(name for name in {modules} if name in sys.modules))
"""

STRETCH = """
from wordspot import FileQuery
from wordspot.services.client.query_messages import query_requests
header, chunk = query_requests(FileQuery("tea.wav", 0.5, 1.25))
interval = header.query.interval
print(interval.start_seconds, interval.end_seconds, chunk.chunk.decode())
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    for source in FOLDERS.values():
        command = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            str(folder),
        ]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
    return {path.name.partition("-")[0]: path for path in folder.iterdir()}


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def project_of(folder: Path) -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return project


def test_no_file_belongs_to_two_distributions_and_every_module_to_one(wheels: dict[str, Path]) -> None:
    files = {name: files_of(wheel) for name, wheel in wheels.items()}
    assert files.keys() == FOLDERS.keys()
    together = sorted(name for each in files.values() for name in each)
    assert len(together) == len(set(together))
    modules = {
        str(path.relative_to(SOURCE.parent))
        for folder in (SOURCE, *(path for path in SOURCE.iterdir() if path.is_dir()))
        for path in (folder.glob("*.py") if folder == SOURCE else folder.rglob("*.py"))
        if not NOT_SHIPPED & set(path.parts)
    }
    assert modules == {name for name in together if name.endswith(".py")}


def test_the_artifacts_of_search_come_with_search_and_the_others_with_the_models(
    wheels: dict[str, Path],
) -> None:
    for name, expected in (
        ("wordspot", SEARCH),
        (
            "wordspot_models",
            {path.parent.name for path in SOURCE.glob("models/pretrained/*/card.json")} - SEARCH,
        ),
    ):
        files = files_of(wheels[name])
        shipped = {file.split("/")[3] for file in files if file.endswith("/card.json")}
        assert shipped == expected
        assert all(f"wordspot/models/pretrained/{each}/LICENSE.md" in files for each in shipped)


def test_the_distributions_have_one_version_and_ask_for_each_other_in_it() -> None:
    main, client, models = (project_of(folder) for folder in FOLDERS.values())
    assert main["version"] == client["version"] == models["version"]
    assert f"wordspot-client=={main['version']}" in main["dependencies"]
    extras = main["optional-dependencies"]
    assert f"wordspot-models=={main['version']}" in extras["models"]


def test_the_client_imports_and_names_what_it_cannot_do_without_the_rest(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheels["wordspot_client"]) as archive:
        archive.extractall(tmp_path)
    program = CALL.format(names="Client, Models", modules=UNNEEDED)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told, loaded = ended.stdout.splitlines()
    assert "pip install wordspot" in told
    assert loaded == ""


def test_the_client_alone_sends_the_file_of_a_stretch_for_the_server_to_cut(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheels["wordspot_client"]) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "tea.wav").write_bytes(b"RIFF")
    ended = subprocess.run(
        [sys.executable, "-c", STRETCH],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["0.5", "1.25", "RIFF"]
