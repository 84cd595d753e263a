"""Search alone, by processes in which torch and what else the extras bring cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import ENVIRONMENT
from wordspot.services.extras import PACKAGES

if TYPE_CHECKING:
    from tests.e2e.conftest import Sample

TRAINING = ("torch", "torchaudio", "onnx", "librosa", "sklearn", "matplotlib", "prometheus_client", "PIL")
MODELS = PACKAGES["models"]
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

# As if they were not installed: also who only asks whether they are is told so.
ABSENCE = "import sys; sys.modules.update(dict.fromkeys({forbidden}))"


def refused(folder: Path, forbidden: tuple[str, ...], *arguments: object, how: str = ABSENCE) -> Any:
    """How `wordspot ...` ends in a process that cannot import some modules."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(how.format(forbidden=forbidden))
    return subprocess.run(
        [Path(sys.executable).with_name("wordspot"), *map(str, arguments)],
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


def run(folder: Path, forbidden: tuple[str, ...], *arguments: object) -> Any:
    """What `wordspot ... --json` says in a process that refuses to import some modules."""
    ended = refused(folder, forbidden, *arguments, "--json", how=REFUSAL)
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


@pytest.mark.parametrize(
    ("arguments", "extra", "lacking"),
    [
        (("train", "sa"), "models", "torch"),
        (("generate", "digits-vae", "--n", "2", "--out", "sheet.png"), "models", "torch"),
        (("analogy", "words-en", "man", "king", "woman"), "models", "torch"),
        (("adapt",), "models", "torch"),
        (("models", "evaluate", "digits-vae"), "models", "torch"),
        (("models", "export", "wordspot"), "models", "torch"),
        (("gallery", "gans"), "gallery", "matplotlib"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, tuple) else value,
)
def test_a_command_whose_extra_is_missing_names_it_in_one_line(
    arguments: tuple[str, ...], extra: str, lacking: str, tmp_path: Path
) -> None:
    forbidden = MODELS if lacking == "torch" else (lacking,)
    ended = refused(tmp_path / "refusing", forbidden, *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("wordspot: ")
    assert f"pip install 'wordspot[{extra}]'" in line


def test_the_doctor_finds_search_alone_ready(tmp_path: Path) -> None:
    ended = refused(tmp_path / "refusing", MODELS, "doctor")
    assert "PROBLEM" not in ended.stdout, ended.stdout
    assert ended.returncode == 0
    assert "encoders run on the CPU" in ended.stdout
