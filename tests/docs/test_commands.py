from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate.commands import commands_page
from wordspot.services.cli import app

ROOT = Path(__file__).parents[2]


def test_every_command_is_described() -> None:
    page = commands_page(ROOT / "src")
    assert page.startswith("# Command line\n")
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"## `wordspot {command.callback.__name__}`" in page
    for group in app.registered_groups:
        assert f"## `wordspot {group.name}`" in page


def test_a_command_line_that_cannot_be_loaded_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wordspot").mkdir()
    (tmp_path / "wordspot" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(RuntimeError, match="typer describes no commands"):
        commands_page(tmp_path)
