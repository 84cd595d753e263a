from __future__ import annotations

import base64
import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.services.gateway.conftest import Served
from tests.services.small_models import put_all
from wordspot.services.embedded import serving_models
from wordspot.services.gateway.app import Gateway
from wordspot.services.gateway.peers import Addresses
from wordspot.services.settings import GatewaySettings, ModelHostSettings


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home: Path = tmp_path_factory.mktemp("home")
    put_all(home)
    with (
        serving_models(ModelHostSettings(home=home, device="cpu")) as address,
        Gateway(Addresses(address, address), GatewaySettings(http_port=0)) as gateway,
    ):
        yield Served(gateway.url, address, SimpleNamespace())


def test_models_are_listed_shown_loaded_and_unloaded(models: Served) -> None:
    names = {model["name"]: model for model in models.ask("GET", "/models")["models"]}
    assert names["sound"]["modality"] == "sound"
    shown = models.ask("GET", "/models/sound")
    assert shown["card"]["name"] == "sound"
    assert models.ask("POST", "/models/sound/load")["loaded"]
    assert not models.ask("POST", "/models/sound/unload")["loaded"]
    assert "no model 'none'" in models.refuse(404, "GET", "/models/none")["detail"]


def test_a_model_makes_sounds_and_texts(models: Served) -> None:
    body = {"count": 2, "seed": 7, "condition": "high"}
    made = models.ask("POST", "/models/sound/sample", body)
    assert made["pictures"] is made["texts"] is made["clips"] is None
    first = base64.b64decode(made["sounds"]["wav"][0])
    with wave.open(io.BytesIO(first)) as reader:
        assert reader.getframerate() == 8_000
    assert models.ask("POST", "/models/sound/sample", {"count": 2, "seed": 7, "condition": "high"}) == made
    texts = models.ask("POST", "/models/poem/sample", {"count": 1, "seed": 1})
    assert len(texts["texts"]["texts"]) == 1
    nats = models.ask("POST", "/models/sound/log_likelihood", {"sounds": made["sounds"], "seed": 1})["nats"]
    assert len(nats) == 2


def test_parts_come_as_events(models: Served, events: Callable[..., Any]) -> None:
    body = {"count": 3, "seed": 7}
    sent = events(models.api("POST", "/models/sound/generate", body))
    assert [name for name, _ in sent] == ["part"] * 3 + ["end"]
    assert sent[0][1]["sound"]["rate"] == 8_000
    assert base64.b64decode(sent[0][1]["sound"]["pcm"])


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("sound/sample", {"count": 0}, 400, "count"),
        ("sound/sample", {"count": "2"}, 422, "count"),
        ("sound/sample", {"count": 1, "sed": 2}, 422, "sed"),
        ("sound/sample", {"count": 1, "condition": "loud"}, 400, None),
        ("sound/encode", {"words": {"words": ["a"]}}, 400, None),
        ("sound/log_likelihood", {"sounds": {"wav": ["!"]}}, 422, "sounds.wav[0]"),
        (
            "sound/log_likelihood",
            {"sounds": {"wav": []}, "texts": {"texts": ["a"]}},
            422,
            "texts",
        ),
        ("none/sample", {"count": 1}, 404, None),
        ("sound/fly", {}, 404, None),
    ],
)
def test_what_a_model_cannot_do_is_named(
    models: Served, path: str, body: Any, status: int, field: str | None
) -> None:
    told = models.refuse(status, "POST", f"/models/{path}", body)
    assert field is None or told["field"].split(".")[-1] == field.split(".")[-1]


def test_pictures_travel_as_png(models: Served) -> None:
    made = models.ask("POST", "/models/sprites/sample", {"count": 1, "seed": 3})
    assert base64.b64decode(made["pictures"]["png"][0]).startswith(b"\x89PNG")
