"""Encoders of sound and of pictures: one file each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from wordspot.models import registry
from wordspot.models.artifact import ArtifactCard, read_card
from wordspot.models.errors import UnknownModel
from wordspot.models.runtime.devices import may_have_cuda
from wordspot.models.runtime.sections import EmbeddedSection, Section

__all__ = ["Encoder", "load_encoder"]


class Encoder(Protocol):
    """A trained span model ready to serve: `SpanEncoder` in torch, `OnnxEncoder` without.

    semantic_dimensions: how many of a vector's last numbers say what is meant. query_padding: ticks of
    silence to hear on either side of a query that nothing surrounds. calibration: of P(correct), as the card
    has it.
    """

    name: str
    hash: str
    description: str
    device: str
    threshold: float | None
    calibration: Mapping[str, Any] | None
    dimension: int
    frame_dimension: int
    ticks_per_frame: int
    semantic_dimensions: int
    query_padding: int

    def embed_sections(self, sections: Sequence[Section]) -> list[EmbeddedSection]:
        """Returns the embeddings of sections, in order.

        Args:
            sections: each the audio of its regions, float32 (samples,), and spans int32 (N, 3).

        Returns:
            For each section vectors float32 (N, dimension), unit rows, and frames float32 (T',
            frame_dimension) of each region.
        """


def load_encoder(
    name: str,
    home: Path | None = None,
    device: str = "cpu",
    *,
    threads: int | None = None,
    cores: int = 1,
) -> Encoder:
    """Returns an encoder that runs on a device: cpu, cuda, cuda:1, or auto for cuda where there is such a
    device.

    On a CPU an artifact that holds `model.onnx` runs without torch, any other with it.
    name: of an artifact that ships or lies below home/models, or a folder holding one. threads: of torch on a
    CPU; None for what it is set to. cores: that hear at once without torch.

    Raises UnknownModel, DamagedArtifact.
    """
    folder = registry.find(name, home)
    card = read_card(folder)
    if "embed" not in card.capabilities:
        raise _not_an_encoder(name, card)
    if device == "auto":
        device = "cuda" if _cuda() else "cpu"
    if card.onnx is not None and device == "cpu":
        from wordspot.models.runtime import encoder

        return encoder.load(folder, card, name, cores)
    return _in_torch(name, home, device, threads)


def _cuda() -> bool:
    if not may_have_cuda(os.environ):
        return False
    import torch

    return torch.cuda.is_available()


def _in_torch(name: str, home: Path | None, device: str, threads: int | None) -> Encoder:
    import torch

    from wordspot.models.encoders.spans import SpanEncoder, SpanModel

    if threads is not None:
        torch.set_num_threads(threads)
    model, card = registry.load(name, home)
    if not isinstance(model, SpanModel):
        raise _not_an_encoder(name, card)
    return SpanEncoder(
        model, name, card.hash, card.description, device, card.detection_threshold, card.calibration
    )


def _not_an_encoder(name: str, card: ArtifactCard) -> UnknownModel:
    return UnknownModel(f"{name!r} is a {card.model}, which does not embed spans of sound")
