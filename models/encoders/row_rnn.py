"""`digits-rnn`: a recurrent network that reads a picture row by row (LSTM; Hochreiter, Schmidhuber 1997)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from wordspot.models.encoders.classifier import Classifier, ClassifierConfig
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan


@dataclass(frozen=True)
class RowRnnConfig(ClassifierConfig):
    """Sizes of the network.

    Attributes:
        hidden: Of the recurrent state.
    """

    hidden: int = 128


@register("row_rnn")
class RowRnn(Classifier[RowRnnConfig]):
    """A recurrent network (LSTM) that reads a picture row by row."""

    Config = RowRnnConfig

    def __init__(self, config: RowRnnConfig) -> None:
        super().__init__(config, config.hidden)
        self.reader = nn.LSTM(config.channels * config.width, config.hidden, batch_first=True)

    def features(self, pictures: Tensor) -> Tensor:
        """Returns the state after the last row."""
        rows = pictures.permute(0, 2, 1, 3).flatten(2)  # (B, H, C W)
        _, (state, _) = self.reader(rows)
        last: Tensor = state[-1]
        return last


recipe(
    PictureRecipe(
        name="digits-rnn",
        model="row_rnn",
        config=RowRnnConfig(),
        pictures="digits",
        batch_size=128,
        plan=Plan(steps=6_000, learning_rate=2e-3, validate_every=500),
        description="A recurrent network that reads digits row by row, or says that it sees none.",
        supervision="the labels of the training pictures",
        thresholds={"accuracy": 0.975, "noise_rejected": 0.99, "shuffled_rejected": 0.99},
        source="Hochreiter and Schmidhuber 1997, Long short-term memory",
    )
)
