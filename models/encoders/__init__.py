"""Encoders of sound and of pictures: one file each."""

from __future__ import annotations

from pathlib import Path

from wordspot.models import registry
from wordspot.models.encoders.spans import SpanEncoder, SpanModel
from wordspot.models.errors import UnknownModel

__all__ = ["SpanEncoder", "SpanModel", "load_encoder"]


def load_encoder(name: str, home: Path | None = None, device: str = "cpu") -> SpanEncoder:
    """name: of an artifact that ships or lies below home/models, or a folder holding one.

    Raises UnknownModel, DamagedArtifact.
    """
    model, card = registry.load(name, home)
    if not isinstance(model, SpanModel):
        raise UnknownModel(f"{name!r} is a {card.model}, which does not embed spans of sound")
    return SpanEncoder(model, name, card.hash, card.description, device, card.detection_threshold)
