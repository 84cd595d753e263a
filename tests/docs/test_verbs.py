"""People and CI call the same verbs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_workflow_calls_targets_of_the_makefile() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    matrix = re.search(r"verb: \[(.*)\]", workflow)
    assert matrix is not None
    verbs = matrix[1].split(", ")
    assert verbs == ["check", "test", "demo", "docs"]
    assert set(verbs) <= TARGETS


def test_the_verbs_that_are_explained_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    verbs = set(re.findall(r"^\| `make ([a-z-]+)`", text, re.MULTILINE))
    assert verbs
    assert verbs <= TARGETS
