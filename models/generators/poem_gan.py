"""`poem_gan`: poems of a form from noise, by WGAN-GP on characters (Gulrajani et al., Improved training of
Wasserstein GANs, 2017, section on discrete data).

The generator gives every place of a poem a softmax over all characters; the critic sees these rows as they
are, and the one-hot rows of real poems. Nothing is drawn in between, so the gradient passes through:

    critic:     E D(fake) - E D(real) + penalty E (|grad D(between)| - 1)^2
    generator:  -E D(fake)

The first layer of the critic, from a row to a vector, is pinned to the characters' vectors as their company
in the training poems gives them (Levy and Goldberg 2014: singular vectors of the positive pointwise mutual
information), and the last of the generator to their transpose; the penalty is taken behind that layer. A
poem is a grid of lines and characters; both networks are residual convolutions over it, told place and form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from scipy.sparse.linalg import svds
from torch import Generator, Tensor, nn

from wordspot.models.datasets.poems import (
    CHARACTERS,
    FORMS,
    Form,
    PoemBatch,
    PoemData,
    Poems,
    divergence,
    runs,
)
from wordspot.models.generators.poems import AT_ONCE, LINES, WIDTH, PoemRecipe, PoemWriter, draw
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

SMOOTHING = 0.75  # exponent of how often a neighbour is there (Levy, Goldberg and Dagan 2015)


@dataclass(frozen=True)
class PoemGanConfig:
    """dimension: of the pinned vectors and of a place's noise. width: channels. blocks: of the generator, of
    the critic. critic_steps: for each of the generator. penalty: weight of the gradient penalty. softness:
    temperature of the softmax. spread: of what is compared with the vectors; a place's noise is part of it,
    so that before anything is learned a character comes about as often as in the poems.
    """

    characters: int = CHARACTERS
    dimension: int = 64
    width: int = 128
    blocks: tuple[int, int] = (2, 2)
    critic_steps: int = 5
    penalty: float = 10.0
    softness: float = 0.3
    spread: float = 3.0


@register("poem_gan")
class PoemGan(PoemWriter[PoemGanConfig]):
    """vectors: (characters, dimension), unit rows."""

    Config = PoemGanConfig
    unsaved = frozenset({"critic"})

    def __init__(self, config: PoemGanConfig) -> None:
        super().__init__(config, config.characters)
        self.vectors: Tensor
        self.register_buffer("vectors", torch.zeros(config.characters, config.dimension))
        self.generator = Grid(2 * config.dimension, config.width, config.blocks[0], config.dimension)
        self.critic = Grid(config.dimension, config.width, config.blocks[1], 1)

    def prepare(self, data: TrainingData) -> None:
        """Pins the vectors too."""
        super().prepare(data)
        assert isinstance(data, PoemData)
        self.vectors.copy_(company(data.train, self.config.dimension))

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {
            "generator": list(self.generator.parameters()),
            "critic": list(self.critic.parameters()),
        }

    def schedule(self, step: int) -> Sequence[str]:
        """A step is one of the critic, on poems of its own; every so many the generator moves too."""
        return ("critic", "generator") if (step + 1) % self.config.critic_steps == 0 else ("critic",)

    def loss(self, player: str, batch: PoemBatch, rng: Generator) -> Loss:
        form = FORMS[batch.form]
        drawn = self._imagined(form, len(batch.characters), rng)  # (B, dimension, lines, width)
        fake = self.critic(drawn, form).mean()
        if player == "generator":
            return Loss(-fake, {"fake": float(fake.detach())})
        real = self._grid(self.vectors[batch.characters], form)
        gap = self.critic(real, form).mean() - fake
        penalty = self._penalty(real, drawn, form, rng)
        figures = {"distance": float(gap.detach()), "penalty": float(penalty.detach())}
        return Loss(self.config.penalty * penalty - gap, figures)

    def quality(self, batch: PoemBatch, rng: Generator) -> Tensor:
        """Jensen-Shannon divergence from the batch of the neighbours in lines, bits."""
        form = FORMS[batch.form]
        drawn = self.write(form, len(batch.characters), rng, 1.0).cpu().numpy()
        wanted = batch.characters.cpu().numpy()
        return torch.tensor(divergence(*(runs(some, form.width, 2) for some in (drawn, wanted))))

    def write(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        places = torch.split(self._wanted(form, count, rng), AT_ONCE)
        drawn = [draw(self._rows(part, temperature), rng) for part in places]
        return torch.cat(drawn).reshape(count, form.places)

    def _rows(self, wanted: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, dimension) to a softmax over all characters, (N, characters)."""
        logits = torch.addmm(self.often, wanted, self.vectors.T)
        return (logits / (self.config.softness * temperature)).softmax(dim=-1)

    def _wanted(self, form: Form, count: int, rng: Generator) -> Tensor:
        """What is compared with the vectors, (count * places, dimension)."""
        config, device = self.config, self.vectors.device
        own = torch.randn((count, config.dimension, form.lines, form.width), generator=rng, device=device)
        common = torch.randn((count, config.dimension, 1, 1), generator=rng, device=device)
        noise = torch.cat([own, common.expand_as(own)], dim=1)
        wanted: Tensor = config.spread * (own + self.generator(noise, form))
        return wanted.permute(0, 2, 3, 1).flatten(0, 2)

    def _imagined(self, form: Form, count: int, rng: Generator) -> Tensor:
        """Softmax rows behind the pinned layer, (count, dimension, lines, width)."""
        places = torch.split(self._wanted(form, count, rng), AT_ONCE)
        return self._grid(torch.cat([self._rows(part) @ self.vectors for part in places]), form)

    def _grid(self, vectors: Tensor, form: Form) -> Tensor:
        """(B * places, dimension) to (B, dimension, lines, width)."""
        return vectors.reshape(-1, form.lines, form.width, self.config.dimension).permute(0, 3, 1, 2)

    def _penalty(self, real: Tensor, fake: Tensor, form: Form, rng: Generator) -> Tensor:
        share = torch.rand((len(real), 1, 1, 1), generator=rng, device=real.device)
        with torch.enable_grad():
            between = real.lerp(fake.detach(), share).requires_grad_()
            (slope,) = torch.autograd.grad(self.critic(between, form).sum(), between, create_graph=True)
        penalty: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return penalty


class Grid(nn.Module):
    """Residual convolutions over lines and characters, (B, channels, lines, width) to (B, out, lines, width);
    of one output to (B,), the sum over the places by the root of their number.

    A block multiplies two convolutions, one of them rectified (Shazeer 2020, GLU variants): what goes with
    what is a product of vectors, as it is in those that are pinned.
    """

    def __init__(self, channels: int, width: int, blocks: int, out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 1)
        self.line = nn.Parameter(0.1 * torch.randn(width, LINES, 1))
        self.place = nn.Parameter(0.1 * torch.randn(width, 1, WIDTH))
        self.form = nn.ParameterDict({name: 0.1 * torch.randn(width, 1, 1) for name in FORMS})
        self.pairs = nn.ModuleList(nn.Conv2d(width, 2 * width, 3, padding=1) for _ in range(blocks))
        self.mixed = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(blocks))
        self.last = nn.Conv2d(width, out, 1)

    def forward(self, grid: Tensor, form: Form) -> Tensor:
        hidden = self.first(grid) + self.line[:, : form.lines] + self.place[..., : form.width]
        hidden = hidden + self.form[form.name]
        for pairs, mixed in zip(self.pairs, self.mixed, strict=True):
            one, other = pairs(hidden).chunk(2, dim=1)
            hidden = hidden + mixed(one.relu() * other)
        found: Tensor = self.last(hidden.relu())
        return found if found.shape[1] > 1 else found.flatten(1).sum(dim=1) / form.places**0.5


def company(poems: Poems, dimension: int) -> Tensor:
    """Unit vectors (characters, dimension): characters that stand beside the same ones, in the line or at the
    same place of the other line of a couplet, lie close."""
    count = len(poems.characters)
    sides: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []) for _ in range(4)]
    for name, rows in poems.verses.items():
        grid = rows.reshape(-1, 2, FORMS[name].width)  # couplets
        before, after = grid[..., :-1].ravel(), grid[..., 1:].ravel()
        upper, lower = grid[:, 0].ravel(), grid[:, 1].ravel()
        for side, (one, other) in zip(
            sides, ((before, after), (after, before), (upper, lower), (lower, upper)), strict=True
        ):
            side[0].append(one)
            side[1].append(other)
    parts = []
    for ones, others in sides:
        row, column = np.concatenate(ones), np.concatenate(others)
        parts.append(_information(csr_matrix((np.ones(len(row)), (row, column)), (count, count))))
    left, strength, _ = svds(hstack(parts).tocsr(), k=dimension, v0=np.ones(count))
    found = left * np.sqrt(strength)
    found -= found.mean(axis=0)
    return torch.nn.functional.normalize(torch.from_numpy(found.copy()).float(), dim=1)


def _information(counts: csr_matrix) -> csr_matrix:
    """Positive pointwise mutual information of rows and columns, nats."""
    counts = counts.tocoo()
    counts.sum_duplicates()
    rows = np.bincount(counts.row, counts.data, minlength=counts.shape[0])
    columns = np.bincount(counts.col, counts.data, minlength=counts.shape[1]) ** SMOOTHING
    chance = rows[counts.row] / rows.sum() * columns[counts.col] / columns.sum()
    information = np.maximum(np.log(counts.data / counts.data.sum() / chance), 0)
    return csr_matrix((information, (counts.row, counts.col)), counts.shape)


recipe(
    PoemRecipe(
        name="poem",
        model="poem_gan",
        config=PoemGanConfig(),
        batch_size=32,
        plan=Plan(
            steps=12_000,
            learning_rate=1e-3,
            weight_decay=0.0,
            clip_norm=100.0,
            validate_every=1_000,
            average=0.999,
            betas=(0.5, 0.9),
        ),
        description="Writes regulated verse of the Tang from noise: 5x4, 7x4, 5x8 or 7x8 characters.",
        source="Gulrajani et al. 2017, Improved training of Wasserstein GANs",
        scale=(
            "4,000 characters instead of letters; of the authors' program 2,400 of 200,000 generator steps,"
            " 128 of 512 channels, 2 of 5 blocks, 5 of 10 critic steps; the critic's first layer pinned to"
            " vectors of 64"
        ),
        thresholds={"form_right": 0.95, "bigram_js": 0.88, "copied_5grams": 0.1, "ordered": 0.01},
    )
)
