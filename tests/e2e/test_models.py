"""Models of the user's own, by the command and by a service that goes on whatever it is asked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.e2e.conftest import ENVIRONMENT
from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.generators.vae import Vae, VaeConfig

if TYPE_CHECKING:
    from tests.e2e.conftest import Wordspot


@pytest.fixture
def drawing(wordspot: Wordspot) -> Wordspot:
    """With a model of its own that draws."""
    torch.manual_seed(0)
    vae = Vae(VaeConfig(height=8, width=6, hidden=(16,), code=4))
    artifact.save(vae, TrainingRecord("small"), wordspot.home / "models/small")
    return wordspot


@pytest.fixture
def address(drawing: Wordspot) -> Iterator[str]:
    """Where a model host of the same home listens."""
    command = [sys.executable, "-m", "wordspot.services.cli", "serve", "modelhost", "--port", "0"]
    environment = ENVIRONMENT | {"WORDSPOT_HOME": str(drawing.home)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0


def test_a_service_draws_what_the_command_draws_and_outlives_bad_orders(
    drawing: Wordspot, address: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here.png", tmp_path / "there.png"
    asked = ("generate", "small", "--n", 12, "--seed", 3)
    assert drawing.run(*asked, "--out", here).code == 0
    for arguments, told in (
        (
            "generate small --temperature 0.5",
            "must be left out, got temperature",
        ),
        (
            "generate small --series --form 5x4",
            "must be left out, got condition",
        ),
        ("models show cats", "no model 'cats'; there are"),
    ):
        assert told in drawing.refuse(*arguments.split(), "--address", address)
    assert drawing.run(*asked, "--out", there, "--address", address).code == 0
    assert here.read_bytes() == there.read_bytes()
    listed = drawing.run("models", "list", "--json", "--address", address)
    assert {row["name"]: row["loaded"] for row in map(json.loads, listed.output.splitlines())}["small"]
