"""`digits-cnn`: a convolutional network (LeCun et al. 1998), small filters and batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from wordspot.models.encoders.classifier import Classifier, ClassifierConfig, convolutional_features
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan


@dataclass(frozen=True)
class CnnConfig(ClassifierConfig):
    """The shape of the network.

    Attributes:
        widths: Channels of the layers, each of which halves the picture.
        hidden: Size of the features.
        dropout: Probability of it.
    """

    widths: tuple[int, ...] = (32, 64)
    hidden: int = 128
    dropout: float = 0.3


@register("cnn")
class Cnn(Classifier[CnnConfig]):
    """Convolutions, each with batch normalisation and pooling, then a linear layer."""

    Config = CnnConfig

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config, config.hidden)
        self.layers = nn.Sequential(
            *convolutional_features(
                config.channels, config.height, config.width, config.widths, config.hidden
            ),
            nn.Dropout(config.dropout),
        )

    def features(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.layers(pictures)
        return out


recipe(
    PictureRecipe(
        name="digits-cnn",
        model="cnn",
        config=CnnConfig(),
        pictures="digits",
        batch_size=128,
        plan=Plan(steps=4_000, learning_rate=1e-3, validate_every=400),
        description="A convolutional network that reads handwritten digits, or says that it sees none.",
        supervision="the labels of the training pictures",
        thresholds={"accuracy": 0.99, "noise_rejected": 0.99, "shuffled_rejected": 0.99},
        source="LeCun et al. 1998, Gradient-based learning applied to document recognition",
    )
)
