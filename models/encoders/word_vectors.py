"""`word_vectors`: a word as a vector, so that words used alike lie close (Mikolov et al. 2013).

Skip-gram with negative sampling: a word's vector is to tell its neighbours in the text from words drawn at
random. gensim trains it; what is kept are the input vectors. Vectors that others trained come in by the
same door.

    a : b = c : ?       the word nearest to b - a + c in direction, with unit vectors (3CosAdd)
"""

from __future__ import annotations

import difflib
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordspot.models.artifact import ArtifactCard
from wordspot.models.datasets import glove, texts
from wordspot.models.datasets.source import find
from wordspot.models.errors import BadInput
from wordspot.models.model import Model
from wordspot.models.recipe import Recipe, Report, recipe
from wordspot.models.registry import register

CODEC = {"words": "the tensor `letters`: UTF-8, a line a word, in the order of the rows of `vectors`"}


@dataclass(frozen=True)
class WordVectorsConfig:
    """The shape of the model.

    Attributes:
        words: How many there are.
        dimension: Of a vector.
        letters: Bytes of all words, a line feed after each.
    """

    words: int
    dimension: int
    letters: int


@register("word_vectors")
class WordVectors(Model[WordVectorsConfig]):
    """vectors (words, dimension), the most frequent word first."""

    Config = WordVectorsConfig
    modality = "word"

    def __init__(self, config: WordVectorsConfig) -> None:
        super().__init__(config)
        self.vectors: Tensor
        self.letters: Tensor
        self.register_buffer("vectors", torch.zeros(config.words, config.dimension))
        self.register_buffer("letters", torch.zeros(config.letters, dtype=torch.uint8))

    @classmethod
    def of(cls, words: Sequence[str], vectors: Tensor) -> WordVectors:
        """Returns a model of words and their vectors (words, D)."""
        letters = "".join(f"{word}\n" for word in words).encode()
        count, dimension = vectors.shape
        model = cls(WordVectorsConfig(count, dimension, len(letters)))
        model.vectors.copy_(vectors)
        model.letters.copy_(torch.frombuffer(bytearray(letters), dtype=torch.uint8))
        return model.eval()

    @cached_property
    def words(self) -> list[str]:
        """The words in order of their rows."""
        return self.letters.cpu().numpy().tobytes().decode().split("\n")[:-1]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def unit(self) -> Tensor:
        """The vectors with length 1."""
        return torch.nn.functional.normalize(self.vectors, dim=1)

    def row(self, word: str) -> int | None:
        """Returns the row of a word, or of its lower case; None where it is not in the vocabulary."""
        return self.rows.get(word, self.rows.get(word.lower()))

    def encode(self, words: Sequence[str]) -> Tensor:
        """Returns vectors (B, dimension); a word that is not in the vocabulary gets zeros, which no other
        has."""
        rows = [self.row(word) for word in words]
        in_vocabulary = torch.tensor([row is not None for row in rows], device=self.vectors.device)
        places = torch.tensor([row or 0 for row in rows], device=self.vectors.device)
        return self.vectors[places] * in_vocabulary[:, None]

    def neighbours(self, word: str, count: int) -> list[tuple[str, float]]:
        """Returns the nearest words and their cosine similarity. Raises BadInput for a word that is not in
        the vocabulary."""
        row = self._row_or_raise(word)
        return self._nearest(self.unit[row], count, {row})

    def analogy(self, given: tuple[str, str, str], count: int, keep: bool = False) -> list[tuple[str, float]]:
        """Returns words for d in a : b = c : d, with their scores (3CosAdd).

        given: a, b and c. keep: whether they may be returned themselves. Raises BadInput.
        """
        a, b, c = (self._row_or_raise(word) for word in given)
        aim = self.unit[b] - self.unit[a] + self.unit[c]
        return self._nearest(aim / aim.norm().clamp_min(1e-12), count, set() if keep else {a, b, c})

    def _row_or_raise(self, word: str) -> int:
        row = self.row(word)
        if row is None:
            alike = difflib.get_close_matches(word.lower(), self.words, n=3, cutoff=0.75)
            hint = f"; did you mean {' or '.join(alike)}?" if alike else ""
            raise BadInput(f"the word {word!r} is none of the {len(self.words):,} that are known{hint}")
        return row

    def _nearest(self, aim: Tensor, count: int, left_out: set[int]) -> list[tuple[str, float]]:
        similarity = self.unit @ aim
        similarity[list(left_out)] = -torch.inf
        best = similarity.topk(min(count, len(self.words) - len(left_out)))
        return [(self.words[int(row)], float(value)) for value, row in zip(*best, strict=True)]


@dataclass(frozen=True)
class SkipGramRecipe(Recipe):
    """Skip-gram with negative sampling on texts.

    Attributes:
        texts: The sources.
        window: Words on either side that are context.
        negative: Negative samples of each pair.
        epochs: Passes over the texts.
        sample: Threshold from which frequent words are subsampled.
        least: Occurrences that a word needs.
        most: Size of the vocabulary at most.
    """

    texts: tuple[str, ...]
    window: int = 5
    negative: int = 10
    epochs: int = 5
    sample: float = 1e-4
    least: int = 10
    most: int = 25_000

    def train(
        self,
        home: Path,
        out: Path,
        *,
        resume: bool = False,
        seed: int = 0,
        steps: int | None = None,
        minutes: float | None = None,
        device: str = "cpu",
        report: Report = lambda progress: None,
    ) -> ArtifactCard:
        """Trains in one thread, so that equal seeds give equal vectors. steps: passes over the texts."""
        if resume or minutes is not None:
            raise BadInput(
                f"{self.name!r} is trained in one go, in minutes; neither resume nor minutes apply"
            )
        _import_gensim()
        start_seconds = time.monotonic()
        lines = _Lines(self.texts, home)
        learned = self._word2vec(lines, steps or self.epochs, seed)
        words = list(learned.wv.index_to_key)
        model = WordVectors.of(words, torch.from_numpy(learned.wv.vectors.copy()))
        return self.finished(
            model,
            home,
            out,
            data={
                "source": list(self.texts),
                "licence": ", ".join(find(name, texts.TextSource).licence for name in self.texts),
                "split": "all of it",
                "words": learned.corpus_total_words,
                "sha256": lines.digest,
            },
            seed=seed,
            budget={
                "epochs": steps or self.epochs,
                "window": self.window,
                "negative": self.negative,
                "sample": self.sample,
                "least": self.least,
                "most": self.most,
                "minutes_spent": round((time.monotonic() - start_seconds) / 60, 1),
            },
            codec=CODEC,
        )

    def _word2vec(self, lines: _Lines, epochs: int, seed: int) -> Any:
        return _import_gensim().models.Word2Vec(
            lines,
            sg=1,
            vector_size=self.config,
            window=self.window,
            negative=self.negative,
            epochs=epochs,
            sample=self.sample,
            min_count=self.least,
            max_final_vocab=self.most,
            workers=1,
            seed=seed,
            hashfxn=_stable,
        )


def _import_gensim() -> Any:
    try:
        import gensim
    except ImportError as error:
        raise BadInput("gensim trains word vectors: pip install 'wordspot[words]'") from error
    return gensim


class _Lines:
    """All texts, which can be iterated any number of times. digest: SHA-256 of their tokens."""

    def __init__(self, names: Sequence[str], home: Path) -> None:
        self._names, self._home = names, home
        digest = hashlib.sha256()
        for line in self:
            digest.update(" ".join(line).encode())
        self.digest = digest.hexdigest()

    def __iter__(self) -> Iterator[list[str]]:
        for name in self._names:
            yield from texts.lines(name, self._home)


def _stable(text: str) -> int:
    """Returns a hash of a text that is the same in every process, as Python's own is not."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


@dataclass(frozen=True)
class GloveRecipe(Recipe):
    """Nothing is trained: GloVe's vectors become an artifact."""

    def train(self, home: Path, out: Path, **options: Any) -> ArtifactCard:
        words, vectors = glove.vectors(home)
        return self.finished(
            WordVectors.of(words, torch.from_numpy(vectors)),
            home,
            out,
            data={
                "source": glove.GLOVE.name,
                "licence": glove.GLOVE.licence,
                "split": "all of it",
                "words": len(words),
                "sha256": glove.PACKAGE.sha256,
            },
            seed=None,
            budget={},
            licence=glove.GLOVE.licence,
            codec=CODEC,
        )


_MIKOLOV = "Mikolov et al. 2013, Distributed representations of words and phrases and their compositionality"
recipe(
    SkipGramRecipe(
        "words-en",
        "word_vectors",
        100,
        "English words as vectors: what is used alike lies close.",
        _MIKOLOV,
        ("chitchat", "gcide", "wikipedia", "wordnet"),
        thresholds={"family": 0.5, "comparative": 0.4, "wordsim353": 0.6},
        scale="8.8 million words of text; word2vec's published vectors saw 100 billion",
    )
)
recipe(
    SkipGramRecipe(
        "characters-zh",
        "word_vectors",
        100,
        "Chinese characters as vectors, learned from the poems of the Tang.",
        _MIKOLOV,
        ("tang",),
        epochs=10,
        thresholds={"groups": 0.8},
    )
)
recipe(
    GloveRecipe(
        "glove-50",
        "word_vectors",
        50,
        "400,000 English words as vectors, trained by others on six billion words.",
        "Pennington, Socher and Manning 2014, GloVe: global vectors for word representation",
        thresholds={"family": 0.65, "capitals": 0.75, "lecture": 1.0},
    )
)
