"""What a text says of a face: colours of hair and eyes, length of hair, in any order.

    faces = Descriptions(("black", "red"), ("blue", "green"))
    faces.read("a face with green eyes and long red hair")  # (1, 1, 1)
    faces.read("long hair")  # (FREE, FREE, 1)

Commas divide a text into clauses. An adjective belongs to the next noun of its clause or, in a clause such as
"eyes green, hair red and long", to the one before. Where a clause has no noun, as in "long, red hair", it
belongs to the only noun that it can be said of, else to the next noun, else to the one before.

GLUE is passed over, as it says nothing. Everything else that is not known is refused, and so is what a face
cannot show: "girl" or "glasses" would be ignored otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from wordspot.models.errors import BadInput

FREE = -1  # of what a text does not say
LENGTHS = ("short", "long")
GLUE = frozenset({"a", "an", "and", "character", "face", "has", "having", "of", "person", "the", "with"})
SAME = {"blond": "blonde", "grey": "gray", "eye": "eyes", "eyed": "eyes", "haired": "hair"}


@dataclass(frozen=True)
class Trait:
    """What may be said of a noun, one of `values`."""

    name: str
    noun: str
    values: tuple[str, ...]


class Descriptions:
    """traits: in the order of the numbers of a description. words: all there are. phrases: an adjective and
    its noun, as places in `words`, for every value of every trait; starts: where those of a trait begin."""

    def __init__(self, hair: Sequence[str], eyes: Sequence[str]) -> None:
        """Colours, in the order of the labels of `faces`."""
        self.traits = (
            Trait("colour of hair", "hair", tuple(hair)),
            Trait("colour of eyes", "eyes", tuple(eyes)),
            Trait("length of hair", "hair", LENGTHS),
        )
        self.sizes = tuple(len(trait.values) for trait in self.traits)
        self.starts = tuple(sum(self.sizes[:n]) for n in range(len(self.sizes)))
        self.words = tuple(sorted({word for one in self.traits for word in (one.noun, *one.values)}))
        place = {word: n for n, word in enumerate(self.words)}
        self.phrases = tuple((place[word], place[one.noun]) for one in self.traits for word in one.values)

    def of_labels(self, labels: Tensor) -> Tensor:
        """labels: int64 (B,), as those of `faces`. Returns int64 (B, traits)."""
        kinds, long = labels // self.sizes[2], labels % self.sizes[2]
        found = labels.new_empty((len(labels), len(self.traits)))
        found[:, 0], found[:, 1], found[:, 2] = kinds // self.sizes[1], kinds % self.sizes[1], long
        return found

    def read(self, text: str) -> tuple[int, ...]:
        """A number for each trait, FREE where nothing is said. Raises BadInput."""
        found: list[int] = [FREE] * len(self.traits)
        spoken_of = set()
        clauses = self._clauses(text)
        for n, clause in enumerate(clauses):
            for m, word in enumerate(clause):
                if word in self._nouns:
                    continue
                noun = self._noun(clauses, n, m)
                if noun is None:
                    raise BadInput(f"{word!r} of what, in {text!r}? {' or '.join(self._nouns)} is allowed")
                spoken_of.add(noun)
                place, value = self._meaning(word, noun, text)
                if found[place] not in (FREE, value):
                    name, before = self.traits[place].name, self.traits[place].values[found[place]]
                    raise BadInput(f"{name} {before!r} and {word!r} in {text!r}; one is allowed")
                found[place] = value
        for noun in self._nouns:
            if noun not in spoken_of and any(noun in clause for clause in clauses):
                raise BadInput(f"nothing is said of the {noun} in {text!r}; {self._allowed(noun)}")
        return tuple(found)

    @property
    def _nouns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(trait.noun for trait in self.traits))

    def _clauses(self, text: str) -> list[list[str]]:
        """Known words alone. Raises BadInput."""
        clauses = [re.findall(r"[^\W_]+", clause) for clause in re.split(r"[,;.\n]", text.lower())]
        kept = [[SAME.get(word, word) for word in clause if word not in GLUE] for clause in clauses]
        unknown = dict.fromkeys(word for clause in kept for word in clause if word not in self.words)
        if unknown:
            allowed = "; ".join(self._allowed(noun) for noun in self._nouns)
            raise BadInput(f"{', '.join(map(repr, unknown))} not known in {text!r}; {allowed}")
        return [clause for clause in kept if clause]

    def _noun(self, clauses: Sequence[Sequence[str]], n: int, m: int) -> str | None:
        """That to which word m of clause n belongs."""
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

    def _meaning(self, word: str, noun: str, text: str) -> tuple[int, int]:
        """The trait and its value. Raises BadInput."""
        for place, trait in enumerate(self.traits):
            if trait.noun == noun and word in trait.values:
                return place, trait.values.index(word)
        raise BadInput(f"{word} {noun} in {text!r}; {self._allowed(noun)}")

    def _allowed(self, noun: str) -> str:
        known = [word for trait in self.traits if trait.noun == noun for word in trait.values]
        return f"of {noun} {', '.join(known)} are allowed"
