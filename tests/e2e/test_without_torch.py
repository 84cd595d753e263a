"""Indexing and searching with a shipped encoder on a CPU, by processes in which torch cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import ENVIRONMENT

if TYPE_CHECKING:
    from tests.e2e.conftest import Sample

TRAINING = ("torch", "torchaudio", "onnx", "librosa", "sklearn", "matplotlib", "prometheus_client", "PIL")
UNNEEDED = (*TRAINING, "alembic", "numba", "safetensors", "scipy", "silero_vad")

REFUSAL = """
import sys


class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name in {forbidden}:
            sys.stderr.write(f"imported: {{name}}\\n")
            sys.stderr.flush()
            raise ImportError(f"{{name}} is refused here")


sys.meta_path.insert(0, Refusal())
"""


def run(folder: Path, forbidden: tuple[str, ...], *arguments: object) -> Any:
    """What `wordspot ... --json` says in a process that refuses to import some modules."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSAL.format(forbidden=forbidden))
    ended = subprocess.run(
        [Path(sys.executable).with_name("wordspot"), *map(str, arguments), "--json"],
        env=ENVIRONMENT
        | {
            "WORDSPOT_HOME": str(folder.parent / "home"),
            "WORDSPOT_DEVICE": "cpu",
            "PYTHONPATH": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def test_the_sample_is_indexed_and_searched_without_torch(sample: Sample, tmp_path: Path) -> None:
    report = run(tmp_path / "indexing", UNNEEDED, "index", sample.recordings[0].parent)
    assert (report["encoder"], report["indexed"]) == ("wordspot", len(sample.recordings))
    run(tmp_path / "listing", UNNEEDED, "archive", "show")
    query = sample.query("extension")
    found = run(tmp_path / "searching", UNNEEDED, "search", query, "--all-hits", "--top", 5)
    assert sum("extension" in sample.heard(hit) for hit in found["hits"]) >= 3


def test_the_refusal_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="imported"):
        run(tmp_path / "none", ("json", "numpy"), "models", "list")
