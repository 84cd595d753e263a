"""The JSON schemas (draft 2020-12) of what the command line prints and exports, each with its version.

A change that a program would notice gets a new version; fields may be added to a version at any time.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

SEARCH, HIT, INDEX = "wordspot.search.v1", "wordspot.hit.v1", "wordspot.index.v1"
ARCHIVE, FINDING, MODEL = "wordspot.archive.v1", "wordspot.finding.v1", "wordspot.model.v1"
NAMES = (SEARCH, HIT, INDEX, ARCHIVE, FINDING, MODEL)


def schema(name: str) -> dict[str, Any]:
    """Returns a schema, by one of NAMES."""
    text = resources.files(__package__).joinpath(f"{name.removeprefix('wordspot.')}.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def named(name: str) -> dict[str, Any]:
    """Returns the field by which an object names its schema."""
    return {"schema": name}
