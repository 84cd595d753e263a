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
    """Batches by step number, equal ones for equal numbers, and the batches of validation."""

    def batch(self, step: int) -> Any:
        """Returns the batch of a step."""

    def validation(self) -> Sequence[Any]:
        """Returns the batches that a validation judges by."""


@dataclass(frozen=True)
class Loss:
    """A player's loss.

    Attributes:
        value: Scalar to minimise.
        figures: Plain numbers worth showing beside it.
    """

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

    Pictures are float32 (B, C, H, W), 0 to 1; video (B, T, C, H, W), 0 to 1; sound (B, samples), -1 to 1, at
    the configuration's `rate`; words and texts sequences of str. Randomness comes from `rng` alone. Methods
    that the contract knows beside those below:

        complete(x, known_mask, rng): the mask is bool, (B, 1, H, W) of pictures, (B, T) of clips.
        generate(count, rng): yields; of texts parts that one after another are the whole.
        describe(example, rng): of one picture or clip, without the axis of examples; yields pieces of a
            text, each with its attention weights, whose sum is 1, (rows, columns) or (frames,).
        warm_up(): compiles or loads before the first call; only of models that have it.

    Attributes:
        Config: a frozen dataclass of JSON values; it alone determines the shape of the network.
        registered_name: by which artifacts know the class, as `registry.register` sets it.
        modality: of inputs or outputs: speech, picture, word, sound, video, text.
        capabilities: `embed` for encoders of spans, and those of CAPABILITIES that it has a method for.
        options: keywords of sample, complete, generate, translate and describe: `temperature`, a float above
            0, by which the logits are divided; `condition`, a str (BadInput if it is unknown).
        records: buffers that tell of the training and not of the best weights.
        unsaved: parts that only training needs, which no artifact holds.
    """

    Config: ClassVar[type[Any]]
    registered_name: ClassVar[str] = ""
    modality: ClassVar[str] = "speech"
    capabilities: frozenset[str] = frozenset()
    options: ClassVar[frozenset[str]] = frozenset()
    records: ClassVar[frozenset[str]] = frozenset()
    unsaved: frozenset[str] = frozenset()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        methods = (name for name in CAPABILITIES if callable(getattr(cls, name, None)))
        cls.capabilities = cls.capabilities.union(methods)

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Returns parameter groups by name; only the player whose turn it is gets gradients."""
        return {"model": list(self.parameters())}

    def schedule(self, step: int) -> Sequence[str]:
        """Returns the players that are trained at this step, in order."""
        return ("model",)

    def loss(self, player: str, batch: Any, rng: Generator) -> Loss:
        """Returns the loss of a player on a batch. Raises TypeError for a model without training."""
        raise TypeError(f"{type(self).__name__} has nothing to train")

    def quality(self, batch: Any, rng: Generator) -> Tensor:
        """Returns the figure of validation, a scalar, lower is better: by default the first player's loss."""
        return self.loss(next(iter(self.players())), batch, rng).value

    def prepare(self, data: TrainingData) -> None:
        """Sets what is looked up rather than learned, such as a palette; called once, before training."""

    def on_step_end(self, step: int, steps: int, candidate: Model[Any]) -> None:
        """Stores in `records` what is to be shown of the course of training; called after each step.

        Args:
            step: Steps taken.
            steps: Steps planned.
            candidate: The model with the weights that a validation would judge at this step.
        """

    def fit_statistics(self, batches: Iterable[Any]) -> None:
        """Sets statistics that belong to the model from validation batches; called once, after training."""
