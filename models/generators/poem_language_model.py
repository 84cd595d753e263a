"""`poem_language_model`: a poem character by character (Zhang and Lapata, Chinese poetry generation with
recurrent neural networks, 2014, for the form; Cho et al. 2014 for the gated recurrent unit).

A recurrent network predicts the next character from those before it:

    -log p(poem | form) = -sum_t log p(x_t | x_1 .. x_t-1, form)

Its input are the character before and those one and two lines above the place: the lines of a couplet are
parallel, and every second line rhymes. Input and output share their vectors (Press and Wolf 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.poems import CHARACTERS, FORMS, Form, PoemBatch, read
from wordspot.models.errors import BadInput
from wordspot.models.generators.poems import CHUNK_ROWS, LINES, WIDTH, PoemModel, PoemRecipe
from wordspot.models.model import Loss
from wordspot.models.recipe import recipe
from wordspot.models.registry import register
from wordspot.models.sampling import dropout, sample_categorical
from wordspot.models.trainer import Plan

CHUNK_POEMS = 256  # poems of one pass


@dataclass(frozen=True)
class PoemLanguageModelConfig:
    """The shape of a language model of poems.

    Attributes:
        characters: of the vocabulary.
        dimension: of a character's vector.
        hidden: size of the recurrent state.
        dropout: share of inputs and outputs of the recurrent network that is zeroed in training.
    """

    characters: int = CHARACTERS
    dimension: int = 96
    hidden: int = 256
    dropout: float = 0.4


@register("poem_language_model")
class PoemLanguageModel(PoemModel[PoemLanguageModelConfig]):
    """A recurrent language model of characters."""

    Config = PoemLanguageModelConfig

    def __init__(self, config: PoemLanguageModelConfig) -> None:
        super().__init__(config, config.characters)
        size = config.dimension
        self.vectors = nn.Parameter(torch.randn(config.characters, size) / math.sqrt(size))
        self.form = nn.ParameterDict({name: 0.1 * torch.randn(size) for name in FORMS})
        self.line = nn.Parameter(0.1 * torch.randn(LINES, size))
        self.place = nn.Parameter(0.1 * torch.randn(WIDTH, size))
        self.reader = nn.GRU(4 * size, config.hidden, batch_first=True)
        self.out = nn.Linear(config.hidden, size)
        self.bias = nn.Parameter(torch.zeros(config.characters))

    def loss(self, player: str, batch: PoemBatch, rng: Generator) -> Loss:
        """Returns nats a character."""
        value = self._nats(batch.characters, FORMS[batch.form], rng).mean()
        return Loss(value, {"nats": float(value.detach())})

    def nll(self, texts: Sequence[str], rng: Generator) -> Tensor:
        """Returns the negative log-likelihood of poems, nats (B,).

        Raises:
            BadInput: a text has no known form, or a character that the vocabulary lacks.
        """
        place = {character: n for n, character in enumerate(self.characters)}
        nats = torch.empty(len(texts), device=self.vectors.device)
        of_form: dict[str, list[int]] = {}
        rows = []
        for n, text in enumerate(texts):
            form, characters = read(text)
            if unknown := set(characters) - place.keys():
                raise BadInput(
                    f"{text!r}: {''.join(sorted(unknown))} not among the {len(place):,} known characters"
                )
            rows.append([place[character] for character in characters])
            of_form.setdefault(form.name, []).append(n)
        for name, numbers in of_form.items():
            for chunk in (numbers[n : n + CHUNK_POEMS] for n in range(0, len(numbers), CHUNK_POEMS)):
                check_cancelled()
                poems = torch.tensor([rows[n] for n in chunk], device=nats.device)
                nats[chunk] = self._nats(poems, FORMS[name], rng).sum(dim=1)
        return nats

    def sample_characters(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        parts = [min(CHUNK_POEMS, count - start) for start in range(0, count, CHUNK_POEMS)]
        parts_sampled = [self._sampled(form, part, rng, temperature) for part in parts]
        return torch.cat(parts_sampled) if parts_sampled else torch.empty((0, form.places), dtype=torch.int64)

    def _sampled(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        poems = torch.zeros((count, form.places), dtype=torch.int64, device=self.vectors.device)
        state = None
        for n in range(form.places):
            check_cancelled()
            inputs = self._inputs(poems[:, : n + 1], form)[:, n:]
            hidden, state = self.reader(inputs, state)
            logits = self._logits(self.out(hidden[:, 0]))
            poems[:, n] = sample_categorical((logits / temperature).softmax(dim=1), rng)
        return poems

    def _nats(self, poems: Tensor, form: Form, rng: Generator) -> Tensor:
        """Returns -log p of each character of poems, int64 (B, places), as (B, places)."""
        inputs = self._dropped(self._inputs(poems, form), rng)
        outputs = self._dropped(self.out(self.reader(inputs)[0]), rng)
        parts = zip(
            torch.split(outputs.flatten(0, 1), CHUNK_ROWS),
            torch.split(poems.flatten(), CHUNK_ROWS),
            strict=True,
        )
        nats = [cross_entropy(self._logits(part), targets, reduction="none") for part, targets in parts]
        return torch.cat(nats).reshape(poems.shape)

    def _logits(self, outputs: Tensor) -> Tensor:
        """Returns logits (N, characters) of outputs (N, dimension)."""
        return torch.addmm(self.often + self.bias, outputs, self.vectors.T)

    def _inputs(self, poems: Tensor, form: Form) -> Tensor:
        """Returns the input of each place, (B, places, 4 dimension): vectors of the characters before, one
        line and two lines above, and of the position. poems: int64 (B, places), also of fewer places."""
        vectors = self.vectors[poems]
        count = poems.shape[1]
        line, place = (
            axis.to(poems.device)
            for axis in (torch.arange(count) // form.width, torch.arange(count) % form.width)
        )
        where = self.line[line] + self.place[place] + self.form[form.name]
        earlier = [
            nn.functional.pad(vectors, (0, 0, distance, 0))[:, :count]
            for distance in (1, form.width, 2 * form.width)
        ]
        return torch.cat([*earlier, where.expand(len(poems), -1, -1)], dim=2)

    def _dropped(self, values: Tensor, rng: Generator) -> Tensor:
        """Applies dropout in training, with randomness from the rng alone."""
        return dropout(values, self.config.dropout, rng) if self.training else values


recipe(
    PoemRecipe(
        name="poem-lm",
        model="poem_language_model",
        config=PoemLanguageModelConfig(),
        batch_size=32,
        plan=Plan(
            steps=15_000,
            learning_rate=3e-3,
            weight_decay=1e-4,
            validate_every=1_000,
            ema_decay=0.999,
        ),
        description="Writes regulated verse of the Tang by its characters: 5x4, 7x4, 5x8 or 7x8.",
        source="Zhang and Lapata 2014, Chinese poetry generation with recurrent neural networks",
        scale="one network of 256 units for what the paper has three for: lines, context and characters",
        thresholds={"form_right": 0.95, "bigram_js": 0.8, "copied_5grams": 0.1, "nats_a_character": 5.8},
    )
)
