"""`pixel_rnn`: pictures drawn pixel after pixel (van den Oord, Kalchbrenner and Kavukcuoglu, Pixel recurrent
neural networks, 2016).

Row by row, one LSTM says which colour of a palette comes next, given all before:

    p(x) = prod_i p(x_i | x_1, ..., x_i-1)

What it is told at each pixel are the colours to the left and above (the paper's input-to-state convolution)
and where it is; the rest it has to remember. The palette is learned from the data (k-means).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.pixel_by_pixel import PixelByPixel
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

PALETTE_PIXELS = 50_000  # of training pictures, by which the palette is chosen
PALETTE_BATCHES = 40


@dataclass(frozen=True)
class PixelRnnConfig:
    """colours: of the palette. embedding: numbers for a colour. varied: whether training shows pictures also
    mirrored and with their red, green and blue exchanged."""

    height: int = 20
    width: int = 20
    channels: int = 3
    colours: int = 167
    cells: int = 512
    embedding: int = 32
    dropout: float = 0.3
    varied: bool = True


@register("pixel_rnn")
class PixelRnn(PixelByPixel[PixelRnnConfig]):
    """palette: (colours, channels), 0 to 1."""

    Config = PixelRnnConfig

    def __init__(self, config: PixelRnnConfig) -> None:
        super().__init__(config)
        self.palette: Tensor
        self.register_buffer("palette", torch.rand(config.colours, config.channels))
        # One more: what lies beyond the edge.
        self.colour = nn.Embedding(config.colours + 1, config.embedding)
        self.row = nn.Embedding(config.height, config.embedding)
        self.column = nn.Embedding(config.width, config.embedding)
        self.lstm = nn.LSTM(5 * config.embedding, config.cells, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.cells, config.colours)

    def nll(self, pictures: Tensor, rng: Generator) -> Tensor:
        """Exact, of the palette's nearest colours; nothing is drawn from rng."""
        return self.pixel_nats(pictures).flatten(1).sum(dim=1)

    def pixel_nats(self, pictures: Tensor) -> Tensor:
        """Of each pixel's nearest colour, given those before it: (B, H, W)."""
        return self._nats(self.quantised(pictures)).reshape(-1, self.config.height, self.config.width)

    def quantised(self, pictures: Tensor) -> Tensor:
        """(B, H W) int64: the palette's nearest colours, row by row."""
        colours = pictures.flatten(2).transpose(1, 2)  # (B, H W, C)
        return torch.cdist(colours, self.palette.expand(len(colours), -1, -1)).argmin(dim=2)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Nats a pixel."""
        pictures = batch.pictures
        if self.training and self.config.varied:
            pictures = varied(pictures, rng)
        value = self._nats(self.quantised(pictures)).mean()
        return Loss(value, {"bits": float(value.detach()) / 0.6931})

    @torch.no_grad()
    def prepare(self, data: TrainingData) -> None:
        """Chooses the palette, of pictures as training shows them."""
        from sklearn.cluster import KMeans

        rng = torch.Generator().manual_seed(0)
        pictures = torch.cat([data.batch(step).pictures for step in range(PALETTE_BATCHES)])
        if self.config.varied:
            pictures = varied(pictures, rng)
        colours = pictures.permute(0, 2, 3, 1).flatten(0, 2)
        chosen = colours[torch.randperm(len(colours), generator=rng)[:PALETTE_PIXELS]].numpy()
        found = KMeans(self.config.colours, n_init=1, random_state=0).fit(chosen).cluster_centers_
        self.palette.copy_(torch.from_numpy(found).clamp(0, 1))

    def _nats(self, colours: Tensor) -> Tensor:
        """colours (B, H W): -log p of each, (B, H W)."""
        states = self.lstm(self._told(colours))[0]
        logits = self.output(self.dropout(states))
        return cross_entropy(logits.transpose(1, 2), colours, reduction="none")

    def _told(self, colours: Tensor) -> Tensor:
        """What the LSTM is told at each pixel, (B, H W, 5 embedding)."""
        height, width = self.config.height, self.config.width
        beyond = self.config.colours
        grid = nn.functional.pad(colours.reshape(-1, height, width), (1, 1, 1, 0), value=beyond)
        left, above = grid[:, 1:, :width], grid[:, :height]
        seen = torch.stack([left, above[:, :, :width], above[:, :, 1:-1], above[:, :, 2:]], dim=3)
        embedded = self.dropout(self.colour(seen).flatten(3))  # (B, H, W, 4 embedding)
        place = self.row.weight[:, None] + self.column.weight[None]
        told = torch.cat([embedded, place.expand(len(colours), -1, -1, -1)], dim=3)
        return told.flatten(1, 2)

    def drawn(self, pictures: Tensor, known: Tensor, rng: Generator, temperature: float) -> Tensor:
        """All have the palette's colours."""
        height, width, beyond = self.config.height, self.config.width, self.config.colours
        made, given = self.quantised(pictures), known.flatten(1)
        # A row of what lies beyond on top, a column on either side.
        grid = made.new_full((len(made), height + 1, width + 2), beyond)
        state: tuple[Tensor, Tensor] | None = None
        for pixel in range(height * width):
            y, x = divmod(pixel, width)
            seen = torch.cat([grid[:, y + 1, x : x + 1], grid[:, y, x : x + 3]], dim=1)
            place = (self.row.weight[y] + self.column.weight[x]).expand(len(made), -1)
            told = torch.cat([self.colour(seen).flatten(1), place], dim=1)
            states, state = self.lstm(told[:, None], state)
            chances = (self.output(states[:, 0]) / temperature).softmax(dim=1)
            drawn = torch.multinomial(chances, 1, generator=rng)[:, 0]
            made[:, pixel] = torch.where(given[:, pixel], made[:, pixel], drawn)
            grid[:, y + 1, x + 1] = made[:, pixel]
        return self.palette[made].transpose(1, 2).reshape(pictures.shape)


def varied(pictures: Tensor, rng: Generator) -> Tensor:
    """Half of them mirrored, half with their channels exchanged."""
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
            average=0.995,
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
