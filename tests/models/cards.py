"""Cards of models that are not stored, with all that `artifact.save` writes on a card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from wordspot.models.artifact import ArtifactCard, EmbeddingFormat


def card_of(
    model: str,
    modality: str,
    *capabilities: str,
    name: str = "one",
    config: Mapping[str, Any] | None = None,
    **record: Any,
) -> ArtifactCard:
    """Returns a card; record: other entries of TrainingRecord."""
    return ArtifactCard(
        name=name,
        model=model,
        config=config or {},
        weights_sha256=hashlib.sha256(name.encode()).hexdigest(),
        modality=modality,
        capabilities=capabilities,
        embedding=EmbeddingFormat(12, 3, 2) if "embed" in capabilities else None,
        **record,
    )
