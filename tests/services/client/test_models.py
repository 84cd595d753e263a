"""How `Models` is constructed: as `Client` is. What it asks is tested with the model host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from wordspot import Client, Models


def test_client_and_models_take_the_address_of_one_server(
    running: Callable[..., SimpleNamespace],
) -> None:
    address = running().address
    with Client(address) as client, Models(address) as models:
        assert client.address == models.address == address
        assert list(client.archives()) == []
        assert isinstance(models.list(), list)


def test_without_an_address_both_work_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORDSPOT_DEVICE", "cpu")
    with Client() as client, Models() as models:
        assert list(client.archives()) == []
        assert "digits-vae" in {model.name for model in models.list()}
    with Client(home=tmp_path / "other") as client, Models(home=tmp_path / "other") as models:
        assert client.address != models.address


def test_a_closed_client_of_models_has_ended_its_service(tmp_path: Path) -> None:
    models = Models(home=tmp_path)
    socket = Path(models.address.removeprefix("unix:"))
    assert socket.exists()
    models.close()
    assert not socket.exists()
