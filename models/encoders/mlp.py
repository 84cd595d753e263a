"""`digits-mlp`: a multi-layer perceptron, all pixels as one vector."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor, nn

from wordspot.models.encoders.classifier import Classifier, ClassifierConfig
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan


@dataclass(frozen=True)
class MlpConfig(ClassifierConfig):
    """Sizes of the network.

    Attributes:
        hidden: Of each layer.
        dropout: Share of activations that is zeroed in training.
    """

    hidden: tuple[int, ...] = (512, 256)
    dropout: float = 0.2


@register("mlp")
class Mlp(Classifier[MlpConfig]):
    """A multilayer perceptron on the pixels."""

    Config = MlpConfig

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(config, config.hidden[-1])
        sizes = (config.channels * config.height * config.width, *config.hidden)
        self.layers = nn.Sequential(
            nn.Flatten(),
            *(
                layer
                for size, next_size in itertools.pairwise(sizes)
                for layer in (nn.Linear(size, next_size), nn.ReLU(), nn.Dropout(config.dropout))
            ),
        )

    def features(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.layers(pictures)
        return out


recipe(
    PictureRecipe(
        name="digits-mlp",
        model="mlp",
        config=MlpConfig(),
        pictures="digits",
        batch_size=128,
        plan=Plan(steps=10_000, learning_rate=1e-3, validate_every=500),
        description="A multi-layer perceptron that reads handwritten digits, or says that it sees none.",
        supervision="the labels of the training pictures",
        thresholds={"accuracy": 0.98, "noise_rejected": 0.99, "shuffled_rejected": 0.99},
        source="Lee 2017, machine learning as looking for a function",
    )
)
