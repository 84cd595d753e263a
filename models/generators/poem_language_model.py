"""`poem_language_model`: a poem character by character (Zhang and Lapata, Chinese poetry generation with
recurrent neural networks, 2014, for the form; Cho et al. 2014 for the gated recurrent unit).

A recurrent network reads the characters so far and gives the chance of the next:

    -log p(poem | form) = -sum_t log p(x_t | x_1 .. x_t-1, form)

Beside the character before it is shown those one and two lines above the place to be filled: the lines of
a couplet are parallel, and every second line rhymes. Input and output share their vectors (Press and Wolf
2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.datasets.poems import CHARACTERS, FORMS, Form, PoemBatch, read
from wordspot.models.errors import BadInput
from wordspot.models.generators.poems import AT_ONCE, LINES, WIDTH, PoemRecipe, PoemWriter, draw
from wordspot.models.model import Loss
from wordspot.models.recipe import recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

TOGETHER = 256  # poems that are written side by side


@dataclass(frozen=True)
class PoemLanguageModelConfig:
    """dimension: of a character's vector. dropout: share of what goes into and comes out of the recurrent
    network that is left out in training."""

    characters: int = CHARACTERS
    dimension: int = 96
    hidden: int = 256
    dropout: float = 0.4


@register("poem_language_model")
class PoemLanguageModel(PoemWriter[PoemLanguageModelConfig]):
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
        """Nats a character."""
        value = self._nats(batch.characters, FORMS[batch.form], rng).mean()
        return Loss(value, {"nats": float(value.detach())})

    def nll(self, texts: Sequence[str], rng: Generator) -> Tensor:
        """(B,) nats a poem. Raises BadInput if one has no known form or a character that is not known."""
        place = {character: n for n, character in enumerate(self.characters)}
        found = torch.empty(len(texts), device=self.vectors.device)
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
            for some in (numbers[n : n + TOGETHER] for n in range(0, len(numbers), TOGETHER)):
                poems = torch.tensor([rows[n] for n in some], device=found.device)
                found[some] = self._nats(poems, FORMS[name], rng).sum(dim=1)
        return found

    def write(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        parts = [min(TOGETHER, count - start) for start in range(0, count, TOGETHER)]
        written = [self._written(form, part, rng, temperature) for part in parts]
        return torch.cat(written) if written else torch.empty((0, form.places), dtype=torch.int64)

    def _written(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        poems = torch.zeros((count, form.places), dtype=torch.int64, device=self.vectors.device)
        state = None
        for n in range(form.places):
            seen = self._seen(poems[:, : n + 1], form)[:, n:]
            hidden, state = self.reader(seen, state)
            logits = self._logits(self.out(hidden[:, 0]))
            poems[:, n] = draw((logits / temperature).softmax(dim=1), rng)
        return poems

    def _nats(self, poems: Tensor, form: Form, rng: Generator) -> Tensor:
        """poems: int64 (B, places). Of each character, (B, places)."""
        seen = self._dropped(self._seen(poems, form), rng)
        told = self._dropped(self.out(self.reader(seen)[0]), rng)
        parts = zip(
            torch.split(told.flatten(0, 1), AT_ONCE), torch.split(poems.flatten(), AT_ONCE), strict=True
        )
        nats = [cross_entropy(self._logits(part), wanted, reduction="none") for part, wanted in parts]
        return torch.cat(nats).reshape(poems.shape)

    def _logits(self, told: Tensor) -> Tensor:
        """(N, dimension) to (N, characters)."""
        return torch.addmm(self.often + self.bias, told, self.vectors.T)

    def _seen(self, poems: Tensor, form: Form) -> Tensor:
        """What is known before each place is filled: the characters before, one line and two lines above, and
        which place it is, (B, places, 4 dimension). poems: (B, places), also of fewer places."""
        vectors = self.vectors[poems]
        count = poems.shape[1]
        line, place = (
            axis.to(poems.device)
            for axis in (torch.arange(count) // form.width, torch.arange(count) % form.width)
        )
        where = self.line[line] + self.place[place] + self.form[form.name]
        earlier = [
            nn.functional.pad(vectors, (0, 0, back, 0))[:, :count] for back in (1, form.width, 2 * form.width)
        ]
        return torch.cat([*earlier, where.expand(len(poems), -1, -1)], dim=2)

    def _dropped(self, some: Tensor, rng: Generator) -> Tensor:
        """In training, some of it put to zero and the rest made larger for it."""
        share = self.config.dropout
        if not self.training or not share:
            return some
        kept = torch.rand(some.shape, generator=rng, device=some.device) >= share
        return some * kept / (1 - share)


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
            average=0.999,
        ),
        description="Writes regulated verse of the Tang by its characters: 5x4, 7x4, 5x8 or 7x8.",
        source="Zhang and Lapata 2014, Chinese poetry generation with recurrent neural networks",
        scale="one network of 256 units for what the paper has three for: lines, context and characters",
        thresholds={"form_right": 0.95, "bigram_js": 0.8, "copied_5grams": 0.1, "nats_a_character": 5.8},
    )
)
