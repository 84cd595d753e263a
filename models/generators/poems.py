"""Base of the models of regulated poems: the vocabulary, the forms, and the recipe."""

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
DEFAULT_FORM = "5x4"
WIDTH, LINES = (
    max(form.width for form in source.FORMS.values()),
    max(form.lines for form in source.FORMS.values()),
)
CHUNK_ROWS = 128  # rows of logits that stay in the processor's cache


class PoemModel(Model[ConfigT]):
    """A model of poems.

    Attributes:
        letters: int32 (characters,), the code points of the vocabulary.
        often: float (characters,), the log-frequency of each in the training poems.
    """

    modality = "text"
    options = frozenset({"condition", "temperature"})

    def __init__(self, config: ConfigT, characters: int) -> None:
        super().__init__(config)
        self.letters: Tensor
        self.register_buffer("letters", torch.zeros(characters, dtype=torch.int32))
        self.often: Tensor
        self.register_buffer("often", torch.zeros(characters))

    def prepare(self, data: TrainingData) -> None:
        """Stores the vocabulary of the data with its frequencies. Raises BadInput if it has another size."""
        assert isinstance(data, PoemData)
        characters = data.train.characters
        if len(characters) != len(self.letters):
            raise BadInput(
                f"the vocabulary must have {len(self.letters)} characters as the model has, "
                f"got {len(characters)}"
            )
        self.letters.copy_(torch.tensor([ord(character) for character in characters]))
        places = torch.from_numpy(np.concatenate([rows.ravel() for rows in data.train.verses.values()]))
        counts = torch.bincount(places, minlength=len(characters)) + 1
        self.often.copy_((counts / counts.sum()).log())

    @cached_property
    def characters(self) -> str:
        """The characters of the vocabulary, in the order of its rows."""
        return "".join(map(chr, self.letters.tolist()))

    @abstractmethod
    def sample_characters(self, form: Form, count: int, rng: Generator, temperature: float) -> Tensor:
        """Returns sampled poems as rows of the vocabulary, int64 (count, form.places)."""

    def sample(
        self, count: int, rng: Generator, *, condition: str = DEFAULT_FORM, temperature: float = 1.0
    ) -> list[str]:
        """Returns sampled poems with their punctuation.

        Args:
            count: poems.
            rng: of sampling.
            condition: a form, characters x lines, such as 5x4.
            temperature: above 0, divides the logits.

        Raises:
            BadInput: the form is unknown.
        """
        form = source.form(condition)
        rows = self.sample_characters(form, count, rng, temperature).tolist()
        return [form.printed("".join(self.characters[place] for place in row)) for row in rows]

    def generate(
        self, count: int, rng: Generator, *, condition: str = DEFAULT_FORM, temperature: float = 1.0
    ) -> Iterator[str]:
        """Yields poems as `sample`, each ended by a newline. Raises BadInput."""
        source.form(condition)
        for _ in range(count):
            (poem,) = self.sample(1, rng, condition=condition, temperature=temperature)
            yield f"{poem}\n"


@dataclass(frozen=True)
class PoemRecipe(TrainedRecipe):
    """The training of a model on regulated poems of the Tang."""

    def material(self, home: Path, seed: int) -> Material:
        """Returns the poems as batches. Raises DatasetError."""
        train, validation = (source.poems(split, home) for split in ("train", "validation"))
        digest = hashlib.sha256(train.characters.encode())
        for rows in train.verses.values():
            digest.update(rows.tobytes())
        about = {
            "source": source.POEMS.name,
            "licence": source.POEMS.licence,
            "split": source.POEMS.split,
            "poems": len(train),
            "characters": len(train.characters),
            "left_out": "poems with a character that is not in the vocabulary",
            "sha256": digest.hexdigest(),
        }
        return Material(PoemData(train, validation, self.batch_size, seed), about)
