"""`pixel_rnn`: pictures generated pixel by pixel (van den Oord, Kalchbrenner and Kavukcuoglu, Pixel recurrent
neural networks, 2016).

Row by row, an LSTM predicts which colour of a palette comes next, given all before:

    p(x) = prod_i p(x_i | x_1, ..., x_i-1)

Its input at each pixel are the colours to the left and above (the paper's input-to-state convolution) and the
position; the rest is in its state. The palette is learned from the data (k-means).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.pixel_autoregressive import AutoregressivePictureModel
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

PALETTE_PIXELS = 50_000  # of training pictures, by which the palette is chosen
PALETTE_BATCHES = 40


@dataclass(frozen=True)
class PixelRnnConfig:
    """The shape of a PixelRNN.

    Attributes:
        height, width, channels: of pictures.
        colours: of the palette.
        cells: of the LSTM.
        embedding: numbers of a colour's and of a position's vector.
        dropout: share of inputs and outputs that is zeroed in training.
        varied: whether training augments pictures by mirroring and by permuting their channels.
    """

    height: int = 20
    width: int = 20
    channels: int = 3
    colours: int = 167
    cells: int = 512
    embedding: int = 32
    dropout: float = 0.3
    varied: bool = True


@register("pixel_rnn")
class PixelRnn(AutoregressivePictureModel[PixelRnnConfig]):
    """A row-wise LSTM over pixels.

    Attributes:
        palette: float (colours, channels), 0 to 1.
    """

    Config = PixelRnnConfig

    def __init__(self, config: PixelRnnConfig) -> None:
        super().__init__(config)
        self.palette: Tensor
        self.register_buffer("palette", torch.rand(config.colours, config.channels))
        # One more: padding beyond the edge.
        self.colour = nn.Embedding(config.colours + 1, config.embedding)
        self.row = nn.Embedding(config.height, config.embedding)
        self.column = nn.Embedding(config.width, config.embedding)
        self.lstm = nn.LSTM(5 * config.embedding, config.cells, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.cells, config.colours)

    def nll(self, pictures: Tensor, rng: Generator) -> Tensor:
        """Returns the exact negative log-likelihood of the nearest palette colours, nats (B,)."""
        return self.pixel_nats(pictures).flatten(1).sum(dim=1)

    def pixel_nats(self, pictures: Tensor) -> Tensor:
        """Returns nats of each pixel's nearest palette colour given those before it, (B, H, W)."""
        return self._nats(self.quantised(pictures)).reshape(-1, self.config.height, self.config.width)

    def quantised(self, pictures: Tensor) -> Tensor:
        """Returns the nearest palette colours, int64 (B, H W), row by row."""
        colours = pictures.flatten(2).transpose(1, 2)  # (B, H W, C)
        return torch.cdist(colours, self.palette.expand(len(colours), -1, -1)).argmin(dim=2)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns nats a pixel; figures: bits a pixel."""
        pictures = batch.pictures
        if self.training and self.config.varied:
            pictures = augment(pictures, rng)
        value = self._nats(self.quantised(pictures)).mean()
        return Loss(value, {"bits": float(value.detach()) / 0.6931})

    @torch.no_grad()
    def prepare(self, data: TrainingData) -> None:
        """Sets the palette to the k-means centres of colours in augmented training pictures."""
        from sklearn.cluster import KMeans

        rng = torch.Generator().manual_seed(0)
        pictures = torch.cat([data.batch(step).pictures for step in range(PALETTE_BATCHES)])
        if self.config.varied:
            pictures = augment(pictures, rng)
        colours = pictures.permute(0, 2, 3, 1).flatten(0, 2)
        chosen = colours[torch.randperm(len(colours), generator=rng)[:PALETTE_PIXELS]].numpy()
        centres = KMeans(self.config.colours, n_init=1, random_state=0).fit(chosen).cluster_centers_
        self.palette.copy_(torch.from_numpy(centres).clamp(0, 1))

    def _nats(self, colours: Tensor) -> Tensor:
        """Returns -log p of colours, int64 (B, H W), as (B, H W)."""
        states = self.lstm(self._inputs(colours))[0]
        logits = self.output(self.dropout(states))
        return cross_entropy(logits.transpose(1, 2), colours, reduction="none")

    def _inputs(self, colours: Tensor) -> Tensor:
        """Returns the LSTM's input at each pixel, (B, H W, 5 embedding)."""
        height, width = self.config.height, self.config.width
        beyond = self.config.colours
        grid = nn.functional.pad(colours.reshape(-1, height, width), (1, 1, 1, 0), value=beyond)
        left, above = grid[:, 1:, :width], grid[:, :height]
        neighbours = torch.stack([left, above[:, :, :width], above[:, :, 1:-1], above[:, :, 2:]], dim=3)
        embedded = self.dropout(self.colour(neighbours).flatten(3))  # (B, H, W, 4 embedding)
        place = self.row.weight[:, None] + self.column.weight[None]
        inputs = torch.cat([embedded, place.expand(len(colours), -1, -1, -1)], dim=3)
        return inputs.flatten(1, 2)

    def fill(self, pictures: Tensor, known_mask: Tensor, rng: Generator, temperature: float) -> Tensor:
        """Returns as the base, in colours of the palette."""
        height, width, beyond = self.config.height, self.config.width, self.config.colours
        colours, mask = self.quantised(pictures), known_mask.flatten(1)
        # Padding: a row on top, a column on either side.
        grid = colours.new_full((len(colours), height + 1, width + 2), beyond)
        state: tuple[Tensor, Tensor] | None = None
        for pixel in range(height * width):
            check_cancelled()
            y, x = divmod(pixel, width)
            neighbours = torch.cat([grid[:, y + 1, x : x + 1], grid[:, y, x : x + 3]], dim=1)
            place = (self.row.weight[y] + self.column.weight[x]).expand(len(colours), -1)
            inputs = torch.cat([self.colour(neighbours).flatten(1), place], dim=1)
            states, state = self.lstm(inputs[:, None], state)
            probabilities = (self.output(states[:, 0]) / temperature).softmax(dim=1)
            generated = torch.multinomial(probabilities, 1, generator=rng)[:, 0]
            colours[:, pixel] = torch.where(mask[:, pixel], colours[:, pixel], generated)
            grid[:, y + 1, x + 1] = colours[:, pixel]
        return self.palette[colours].transpose(1, 2).reshape(pictures.shape)


def augment(pictures: Tensor, rng: Generator) -> Tensor:
    """Returns pictures (B, C, H, W), half of them mirrored, half with permuted channels."""
    count, channels = pictures.shape[:2]
    mirror, exchange = (torch.rand((2, count), generator=rng, device=pictures.device) < 0.5).unbind()
    order = torch.rand((count, channels), generator=rng, device=pictures.device).argsort(dim=1)
    order = torch.where(exchange[:, None], order, torch.arange(channels, device=pictures.device))
    mixed = pictures.gather(1, order[:, :, None, None].expand_as(pictures))
    return torch.where(mirror[:, None, None, None], mixed.flip(3), mixed)


recipe(
    PictureRecipe(
        name="creatures",
        model="pixel_rnn",
        config=PixelRnnConfig(),
        pictures="creatures",
        batch_size=32,
        plan=Plan(
            steps=1_000,
            learning_rate=2e-3,
            warm_up=50,
            validate_every=66,
            weight_decay=1e-3,
            ema_decay=0.995,
            patience=12,
        ),
        description="Draws creatures, and completes half-covered ones.",
        thresholds={
            "nats_of_copying": 0.8,
            "nats_50_of_nearest": 1.0,
            "nats_75_of_nearest": 1.0,
            "distinct": 0.95,
        },
        scale="702 creatures of 20x20 in 167 colours; the lecture had 792 of the same size",
        source="van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks",
    )
)
