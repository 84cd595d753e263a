"""`poem_gan`: poems of a form from noise, by WGAN-GP on characters (Gulrajani et al., Improved training of
Wasserstein GANs, 2017, section on discrete data).

The generator gives every place of a poem a softmax over all characters; the critic sees these rows as they
are, and the one-hot rows of real poems. Nothing is sampled in between, so the gradient passes through:

    critic:     E D(fake) - E D(real) + penalty E (|grad D(between)| - 1)^2
    generator:  -E D(fake)

The first layer of the critic, from a row to a vector, is fixed to distributional vectors of the characters
(Levy and Goldberg 2014: singular vectors of the positive pointwise mutual information with their contexts in
the training poems), and the last of the generator to their transpose; the penalty is taken behind that layer.
A poem is a grid of lines and characters; both networks are residual convolutions over it, with embeddings of
place and form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from scipy.sparse.linalg import svds
from torch import Generator, Tensor, nn

from wordspot.models.cancellation import check_cancelled
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
from wordspot.models.generators.poems import CHUNK_ROWS, LINES, WIDTH, PoemModel, PoemRecipe
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import recipe
from wordspot.models.registry import register
from wordspot.models.sampling import sample_categorical
from wordspot.models.trainer import Plan

SMOOTHING = 0.75  # exponent of a context's frequency (Levy, Goldberg and Dagan 2015)


@dataclass(frozen=True)
class PoemGanConfig:
    """The shape of a GAN of poems.

    Attributes:
        characters: of the vocabulary.
        dimension: of the fixed vectors and of a place's noise.
        width: channels.
        blocks: of the generator, of the critic.
        critic_steps: for each step of the generator.
        penalty: weight of the gradient penalty.
        softness: temperature of the softmax in training.
        spread: scale of the features that are compared with the vectors; a place's noise is part of them, so
            that an untrained model has about the characters' frequencies.
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
class PoemGan(PoemModel[PoemGanConfig]):
    """A generator and a critic of poems.

    Attributes:
        vectors: float (characters, dimension), fixed, unit rows.
    """

    Config = PoemGanConfig
    unsaved = frozenset({"critic"})

    def __init__(self, config: PoemGanConfig) -> None:
        super().__init__(config, config.characters)
        self.vectors: Tensor
        self.register_buffer("vectors", torch.zeros(config.characters, config.dimension))
        self.generator = GridNetwork(2 * config.dimension, config.width, config.blocks[0], config.dimension)
        self.critic = GridNetwork(config.dimension, config.width, config.blocks[1], 1)

    def prepare(self, data: TrainingData) -> None:
        """Stores the vocabulary, and sets the fixed vectors."""
        super().prepare(data)
        assert isinstance(data, PoemData)
        self.vectors.copy_(context_vectors(data.train, self.config.dimension))

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {
            "generator": list(self.generator.parameters()),
            "critic": list(self.critic.parameters()),
        }

    def schedule(self, step: int) -> Sequence[str]:
        """Returns the critic, and the generator too at each `critic_steps`-th step."""
        return ("critic", "generator") if (step + 1) % self.config.critic_steps == 0 else ("critic",)

    def loss(self, player: str, batch: PoemBatch, rng: Generator) -> Loss:
        """Returns the WGAN-GP loss; figures of the critic: estimated distance, and the penalty."""
        form = FORMS[batch.form]
        generated = self._soft_samples(form, len(batch.characters), rng)  # (B, dimension, lines, width)
        fake = self.critic(generated, form).mean()
        if player == "generator":
            return Loss(-fake, {"fake": float(fake.detach())})
        real = self._grid(self.vectors[batch.characters], form)
        gap = self.critic(real, form).mean() - fake
        penalty = self._penalty(real, generated, form, rng)
        figures = {"distance": float(gap.detach()), "penalty": float(penalty.detach())}
        return Loss(self.config.penalty * penalty - gap, figures)

    def quality(self, batch: PoemBatch, rng: Generator) -> Tensor:
        """Returns the Jensen-Shannon divergence of the bigrams in lines from the batch's, bits."""
        form = FORMS[batch.form]
        samples = self.sample_characters(form, len(batch.characters), rng, 1.0).cpu().numpy()
        targets = batch.characters.cpu().numpy()
        return torch.tensor(divergence(*(runs(poems, form.width, 2) for poems in (samples, targets))))

    def sample_characters(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        places = torch.split(self._features(form, count, rng), CHUNK_ROWS)
        generated = []
        for part in places:
            check_cancelled()
            generated.append(sample_categorical(self._probabilities(part, temperature), rng))
        return torch.cat(generated).reshape(count, form.places)

    def _probabilities(self, features: Tensor, temperature: float = 1.0) -> Tensor:
        """Returns probabilities of the characters, (N, characters), of features (N, dimension)."""
        logits = torch.addmm(self.often, features, self.vectors.T)
        return (logits / (self.config.softness * temperature)).softmax(dim=-1)

    def _features(self, form: Form, count: int, rng: Generator) -> Tensor:
        """Returns the features that are compared with the vectors, (count * places, dimension)."""
        config, device = self.config, self.vectors.device
        place_noise = torch.randn(
            (count, config.dimension, form.lines, form.width), generator=rng, device=device
        )
        poem_noise = torch.randn((count, config.dimension, 1, 1), generator=rng, device=device)
        noise = torch.cat([place_noise, poem_noise.expand_as(place_noise)], dim=1)
        features: Tensor = config.spread * (place_noise + self.generator(noise, form))
        return features.permute(0, 2, 3, 1).flatten(0, 2)

    def _soft_samples(self, form: Form, count: int, rng: Generator) -> Tensor:
        """Returns softmax rows behind the fixed layer, (count, dimension, lines, width)."""
        places = torch.split(self._features(form, count, rng), CHUNK_ROWS)
        return self._grid(torch.cat([self._probabilities(part) @ self.vectors for part in places]), form)

    def _grid(self, vectors: Tensor, form: Form) -> Tensor:
        """Reshapes (B * places, dimension) to (B, dimension, lines, width)."""
        return vectors.reshape(-1, form.lines, form.width, self.config.dimension).permute(0, 3, 1, 2)

    def _penalty(self, real: Tensor, fake: Tensor, form: Form, rng: Generator) -> Tensor:
        mix = torch.rand((len(real), 1, 1, 1), generator=rng, device=real.device)
        with torch.enable_grad():
            points = real.lerp(fake.detach(), mix).requires_grad_()
            (gradient,) = torch.autograd.grad(self.critic(points, form).sum(), points, create_graph=True)
        penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        return penalty


class GridNetwork(nn.Module):
    """Residual convolutions over lines and characters, (B, channels, lines, width) to (B, out, lines, width);
    of one output to (B,), the sum over the places by the root of their number.

    A block multiplies two convolutions, one of them rectified (Shazeer 2020, GLU variants): as with the fixed
    vectors, association is a product.
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
        """Returns (B, out, lines, width) of a grid (B, in, lines, width); scores (B,) where out is 1."""
        hidden = self.first(grid) + self.line[:, : form.lines] + self.place[..., : form.width]
        hidden = hidden + self.form[form.name]
        for pairs, mixed in zip(self.pairs, self.mixed, strict=True):
            values, gates = pairs(hidden).chunk(2, dim=1)
            hidden = hidden + mixed(values.relu() * gates)
        output: Tensor = self.last(hidden.relu())
        return output if output.shape[1] > 1 else output.flatten(1).sum(dim=1) / form.places**0.5


def context_vectors(poems: Poems, dimension: int) -> Tensor:
    """Returns distributional vectors of characters, float (characters, dimension), unit rows.

    Contexts of a character are its neighbours in the line and the character at the same place of the other
    line of a couplet; characters with similar contexts have similar vectors.
    """
    count = len(poems.characters)
    sides: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []) for _ in range(4)]
    for name, rows in poems.verses.items():
        grid = rows.reshape(-1, 2, FORMS[name].width)  # couplets
        before, after = grid[..., :-1].ravel(), grid[..., 1:].ravel()
        upper, lower = grid[:, 0].ravel(), grid[:, 1].ravel()
        for side, (characters, contexts) in zip(
            sides, ((before, after), (after, before), (upper, lower), (lower, upper)), strict=True
        ):
            side[0].append(characters)
            side[1].append(contexts)
    parts = []
    for characters_of_side, contexts_of_side in sides:
        row, column = np.concatenate(characters_of_side), np.concatenate(contexts_of_side)
        parts.append(_positive_pmi(csr_matrix((np.ones(len(row)), (row, column)), (count, count))))
    left, strength, _ = svds(hstack(parts).tocsr(), k=dimension, v0=np.ones(count))
    vectors = left * np.sqrt(strength)
    vectors -= vectors.mean(axis=0)
    return torch.nn.functional.normalize(torch.from_numpy(vectors.copy()).float(), dim=1)


def _positive_pmi(counts: csr_matrix) -> csr_matrix:
    """Returns the positive pointwise mutual information of rows and columns, nats."""
    counts = counts.tocoo()
    counts.sum_duplicates()
    rows = np.bincount(counts.row, counts.data, minlength=counts.shape[0])
    columns = np.bincount(counts.col, counts.data, minlength=counts.shape[1]) ** SMOOTHING
    expected = rows[counts.row] / rows.sum() * columns[counts.col] / columns.sum()
    information = np.maximum(np.log(counts.data / counts.data.sum() / expected), 0)
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
            ema_decay=0.999,
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
