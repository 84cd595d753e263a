"""What writers of poems have in common: the vocabulary, the forms, and how they are trained."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Generator, Tensor

from wordspot.models.datasets import poems as source
from wordspot.models.datasets.poems import Form, PoemData
from wordspot.models.errors import BadInput
from wordspot.models.model import Model, TrainingData
from wordspot.models.recipe import Material, TrainedRecipe

ConfigT = TypeVar("ConfigT")
FORM = "5x4"
WIDTH, LINES = (
    max(form.width for form in source.FORMS.values()),
    max(form.lines for form in source.FORMS.values()),
)
AT_ONCE = 128  # places whose rows of all characters stay in the processor's cache


class PoemWriter(Model[ConfigT]):
    """letters: int32 (characters,), the code points of the vocabulary. often: (characters,), the logarithm of
    each one's share of the training poems."""

    modality = "text"
    options = frozenset({"condition", "temperature"})

    def __init__(self, config: ConfigT, characters: int) -> None:
        super().__init__(config)
        self.letters: Tensor
        self.register_buffer("letters", torch.zeros(characters, dtype=torch.int32))
        self.often: Tensor
        self.register_buffer("often", torch.zeros(characters))

    def prepare(self, data: TrainingData) -> None:
        """Takes over the vocabulary of the data and how often each is there. Raises BadInput if it has
        another size."""
        assert isinstance(data, PoemData)
        characters = data.train.characters
        if len(characters) != len(self.letters):
            raise BadInput(f"{len(characters)} characters in the data, {len(self.letters)} in the model")
        self.letters.copy_(torch.tensor([ord(character) for character in characters]))
        places = torch.from_numpy(np.concatenate([rows.ravel() for rows in data.train.verses.values()]))
        counts = torch.bincount(places, minlength=len(characters)) + 1
        self.often.copy_((counts / counts.sum()).log())

    @cached_property
    def characters(self) -> str:
        return "".join(map(chr, self.letters.tolist()))

    @abstractmethod
    def write(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        """Poems as places in the vocabulary, int64 (count, form.places)."""

    def sample(
        self, count: int, rng: Generator, *, condition: str = FORM, temperature: float = 1.0
    ) -> list[str]:
        """Whole poems with their punctuation. condition: a form, characters x lines. Raises BadInput."""
        form = source.form(condition)
        rows = self.write(form, count, rng, temperature).tolist()
        return [form.printed("".join(self.characters[place] for place in row)) for row in rows]

    def generate(
        self, count: int, rng: Generator, *, condition: str = FORM, temperature: float = 1.0
    ) -> Iterator[str]:
        """As `sample`, a poem a part, and a line each."""
        source.form(condition)
        for _ in range(count):
            (poem,) = self.sample(1, rng, condition=condition, temperature=temperature)
            yield f"{poem}\n"


def draw(chances: Tensor, rng: Generator) -> Tensor:
    """One of each distribution, int64 (...), by the inverse of its cumulative sum. chances: (..., N)."""
    reached = chances.cumsum(dim=-1)
    level = reached[..., -1:] * torch.rand((*chances.shape[:-1], 1), generator=rng, device=chances.device)
    return (reached <= level).sum(dim=-1).clamp_max(chances.shape[-1] - 1)


@dataclass(frozen=True)
class PoemRecipe(TrainedRecipe):
    """From the regulated poems of the Tang."""

    def material(self, home: Path, seed: int) -> Material:
        train, validation = (source.poems(split, home) for split in ("train", "validation"))
        digest = hashlib.sha256(train.characters.encode())
        for rows in train.verses.values():
            digest.update(rows.tobytes())
        about = {
            "source": source.NAME,
            "licence": source.LICENCE,
            "split": source.SPLIT,
            "poems": len(train),
            "characters": len(train.characters),
            "left_out": "poems with a character that is not in the vocabulary",
            "sha256": digest.hexdigest(),
        }
        return Material(PoemData(train, validation, self.batch_size, seed), about)
