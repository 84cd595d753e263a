"""The contract of every model: what the trainer, the artifact and the services rely on.

A model says who its players are (one, or a generator and a discriminator), whose turn it is at a step,
and what a player's loss is. Everything else (optimisers, freezing, budget, checkpoints) is the trainer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import Generator, Tensor, nn

ConfigT = TypeVar("ConfigT")


class TrainingData(Protocol):
    """Batches by step number; equal numbers give equal batches."""

    def batch(self, step: int) -> Any: ...

    def validation(self) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Loss:
    """value: scalar to minimise. figures: plain numbers worth showing beside it."""

    value: Tensor
    figures: Mapping[str, float]


CAPABILITIES = (
    "encode",
    "decode",
    "reconstruct",
    "sample",
    "complete",
    "generate",
    "nll",
    "classify",
    "neighbours",
    "analogy",
    "translate",
    "describe",
)


class Model(nn.Module, Generic[ConfigT]):
    """Base of all models.

    Config: a frozen dataclass of JSON values; it alone determines the shape of the network.
    modality: what goes in or comes out: speech, picture, word, sound, video, text.
    capabilities: `embed` for encoders of spans, and those of CAPABILITIES that the class has a method for.
    options: what sample, complete, generate, translate and describe take besides, by keyword: `temperature`,
    a float above 0, by which the logits are divided; `condition`, a str that says what is wanted (BadInput if
    it is not known).
    warm_up(): of models that have it, what may be made ready before the first call.
    records: buffers that tell of the training and not of the best weights.
    unsaved: parts that only training needs, which no artifact holds.
    complete: what is known is bool, (B, 1, H, W) of pictures, (B, T) of clips.
    generate: of texts, parts that one after another are the whole.
    describe: of one picture or clip, without the axis of examples, yields pieces of a text, which one after
    another are the whole, and for each where it looked: shares with the sum 1, (rows, columns) of a picture,
    (frames,) of a clip.
    Pictures are float32 (B, C, H, W), 0 to 1; video (B, T, C, H, W), 0 to 1; sound (B, samples), -1 to 1, at
    the configuration's `rate`; words and texts sequences of str. Randomness comes from `rng` alone.
    """

    Config: ClassVar[type[Any]]
    modality: ClassVar[str] = "speech"
    capabilities: frozenset[str] = frozenset()
    options: ClassVar[frozenset[str]] = frozenset()
    records: ClassVar[frozenset[str]] = frozenset()
    unsaved: frozenset[str] = frozenset()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = (name for name in CAPABILITIES if callable(getattr(cls, name, None)))
        cls.capabilities = cls.capabilities.union(own)

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Parameter groups by name; only the player whose turn it is gets gradients."""
        return {"model": list(self.parameters())}

    def schedule(self, step: int) -> Sequence[str]:
        """The players that move at this step, in order."""
        return ("model",)

    def loss(self, player: str, batch: Any, rng: Generator) -> Loss:
        raise TypeError(f"{type(self).__name__} has nothing to train")

    def quality(self, batch: Any, rng: Generator) -> Tensor:
        """What validation goes by, a scalar, lower is better: by default the first player's loss."""
        return self.loss(next(iter(self.players())), batch, rng).value

    def prepare(self, data: TrainingData) -> None:
        """Called once before training: fix what is looked up rather than learned, such as a palette."""

    def watch(self, step: int, steps: int, current: Model[Any]) -> None:
        """Called after each step of so many: note in `records` what the course of training is to show.

        current: with the weights that validation would judge now.
        """

    def settle(self, batches: Iterable[Any]) -> None:
        """Called once after training with validation batches: fix statistics that belong to the model."""
