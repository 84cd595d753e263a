"""A parser of descriptions of faces: colours of hair and eyes, length of hair, in any order.

    faces = Descriptions(("black", "red"), ("blue", "green"))
    faces.read("a face with green eyes and long red hair")  # (1, 1, 1)
    faces.read("long hair")  # (FREE, FREE, 1)

Commas divide a text into clauses. An adjective belongs to the next noun of its clause or, in a clause such as
"eyes green, hair red and long", to the one before. Where a clause has no noun, as in "long, red hair", it
belongs to the only noun that it can describe, else to the next noun, else to the one before.

IGNORED_WORDS are skipped. Any other unknown word is an error, also one for what a face cannot show, such as
"girl" or "glasses".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from wordspot.models.errors import BadInput

FREE = -1  # value of a trait that a text does not mention
LENGTHS = ("short", "long")
IGNORED_WORDS = frozenset(
    {"a", "an", "and", "character", "face", "has", "having", "of", "person", "the", "with"}
)
SYNONYMS = {"blond": "blonde", "grey": "gray", "eye": "eyes", "eyed": "eyes", "haired": "hair"}


@dataclass(frozen=True)
class Trait:
    """A trait of a face.

    Attributes:
        name: in words.
        noun: that its adjectives describe.
        values: the adjectives, one of which applies.
    """

    name: str
    noun: str
    values: tuple[str, ...]


class Descriptions:
    """The traits of faces, and the words for them.

    A description is a tuple of the number of a value for each trait, or FREE.

    Attributes:
        traits: in the order of a description.
        sizes: number of values of each trait.
        starts: the number of each trait's first phrase.
        words: the vocabulary, sorted.
        phrases: an adjective and its noun, as numbers of words, for every value of every trait.
    """

    def __init__(self, hair: Sequence[str], eyes: Sequence[str]) -> None:
        """hair, eyes: colours, in the order of the labels of `datasets.faces`."""
        self.traits = (
            Trait("colour of hair", "hair", tuple(hair)),
            Trait("colour of eyes", "eyes", tuple(eyes)),
            Trait("length of hair", "hair", LENGTHS),
        )
        self.sizes = tuple(len(trait.values) for trait in self.traits)
        self.starts = tuple(sum(self.sizes[:n]) for n in range(len(self.sizes)))
        self.words = tuple(sorted({word for trait in self.traits for word in (trait.noun, *trait.values)}))
        place = {word: n for n, word in enumerate(self.words)}
        self.phrases = tuple(
            (place[word], place[trait.noun]) for trait in self.traits for word in trait.values
        )

    def of_labels(self, labels: Tensor) -> Tensor:
        """Returns the descriptions, int64 (B, traits), of labels of `datasets.faces`, int64 (B,)."""
        kinds, long = labels // self.sizes[2], labels % self.sizes[2]
        traits = labels.new_empty((len(labels), len(self.traits)))
        traits[:, 0], traits[:, 1], traits[:, 2] = kinds // self.sizes[1], kinds % self.sizes[1], long
        return traits

    def read(self, text: str) -> tuple[int, ...]:
        """Parses a text to a description.

        Raises:
            BadInput: a word is unknown, has no noun or does not fit it, a trait has two values, or a noun
                has no adjective.
        """
        values: list[int] = [FREE] * len(self.traits)
        described_nouns = set()
        clauses = self._clauses(text)
        for n, clause in enumerate(clauses):
            for m, word in enumerate(clause):
                if word in self._nouns:
                    continue
                noun = self._noun(clauses, n, m)
                if noun is None:
                    raise BadInput(f"{word!r} of what, in {text!r}? {' or '.join(self._nouns)} is allowed")
                described_nouns.add(noun)
                place, value = self._trait_value(word, noun, text)
                if values[place] not in (FREE, value):
                    name, before = self.traits[place].name, self.traits[place].values[values[place]]
                    raise BadInput(f"{name} {before!r} and {word!r} in {text!r}; one is allowed")
                values[place] = value
        for noun in self._nouns:
            if noun not in described_nouns and any(noun in clause for clause in clauses):
                raise BadInput(f"nothing is said of the {noun} in {text!r}; {self._allowed(noun)}")
        return tuple(values)

    @property
    def _nouns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(trait.noun for trait in self.traits))

    def _clauses(self, text: str) -> list[list[str]]:
        """Returns the words of each clause without ignored ones. Raises BadInput for an unknown word."""
        clauses = [re.findall(r"[^\W_]+", clause) for clause in re.split(r"[,;.\n]", text.lower())]
        relevant = [
            [SYNONYMS.get(word, word) for word in clause if word not in IGNORED_WORDS] for clause in clauses
        ]
        unknown = dict.fromkeys(word for clause in relevant for word in clause if word not in self.words)
        if unknown:
            allowed = "; ".join(self._allowed(noun) for noun in self._nouns)
            raise BadInput(f"{', '.join(map(repr, unknown))} not known in {text!r}; {allowed}")
        return [clause for clause in relevant if clause]

    def _noun(self, clauses: Sequence[Sequence[str]], n: int, m: int) -> str | None:
        """Returns the noun to which word m of clause n belongs, or None."""
        clause, nouns = clauses[n], self._nouns
        before = [word for word in clause[:m] if word in nouns][-1:]
        after = [word for word in clause[m:] if word in nouns][:1]
        if before or after:
            backwards = clause[0] in nouns and clause[-1] not in nouns
            return (before + after if backwards else after + before)[0]
        fitting = [trait.noun for trait in self.traits if clause[m] in trait.values]
        if len(fitting) == 1:
            return fitting[0]
        later = [word for other in clauses[n + 1 :] for word in other if word in nouns]
        earlier = [word for other in reversed(clauses[:n]) for word in reversed(other) if word in nouns]
        return next(iter(later + earlier), None)

    def _trait_value(self, word: str, noun: str, text: str) -> tuple[int, int]:
        """Returns the numbers of trait and value. Raises BadInput if the word does not fit the noun."""
        for place, trait in enumerate(self.traits):
            if trait.noun == noun and word in trait.values:
                return place, trait.values.index(word)
        raise BadInput(f"{word} {noun} in {text!r}; {self._allowed(noun)}")

    def _allowed(self, noun: str) -> str:
        words = [word for trait in self.traits if trait.noun == noun for word in trait.values]
        return f"of {noun} {', '.join(words)} are allowed"
