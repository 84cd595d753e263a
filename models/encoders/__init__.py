"""Encoders of sound. Importing this package registers them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wordspot.models import artifact, registry
from wordspot.models.encoders import (
    contrastive,
    correspondence,
    naive,
    phonetic,
    sequence_autoencoder,
    ssl,
    whisper,
)
from wordspot.models.encoders.spans import SpanEncoder, SpanModel
from wordspot.models.errors import UnknownModel

__all__ = [
    "SpanEncoder",
    "SpanModel",
    "contrastive",
    "correspondence",
    "load_encoder",
    "naive",
    "phonetic",
    "sequence_autoencoder",
    "ssl",
    "whisper",
]


def load_encoder(name: str, home: Path | None = None, device: str = "cpu") -> SpanEncoder:
    """name: of an artifact that ships or lies below home/models, or a folder holding one.

    Raises UnknownModel, DamagedArtifact.
    """
    folder = registry.find(name, home)
    card = artifact.read_card(folder)
    model: Any = artifact.restore(registry.model_class(card.model), folder, card)
    if not isinstance(model, SpanModel):
        raise UnknownModel(f"{name!r} is a {card.model}, which does not embed spans of sound")
    return SpanEncoder(model, name, card.hash, card.description, device, card.detection_threshold)
