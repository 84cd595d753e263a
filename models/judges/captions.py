"""Judges of models that describe pictures and clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wordspot.models.artifact import Metric
from wordspot.models.cider import cider
from wordspot.models.conditional.vocabulary import LANGUAGES
from wordspot.models.datasets.captioned import Captions, captions
from wordspot.models.datasets.wesnoth import parts
from wordspot.models.evaluation import Subject, judges

CONSTANTS = 60  # captions that are tried for all pictures, the most frequent ones
PATCH = 3  # pixels; pictures are compared by these too
CLIPS = "wesnoth"

Texts = Sequence[str]


@dataclass(frozen=True)
class Judged:
    """test: what is asked. Of each: said, what the model says; nearest, what is said of the nearest training
    example; constant, what is best said of all."""

    train: Captions
    test: Captions
    language: str
    said: Texts
    nearest: Texts
    constant: str

    @property
    def constants(self) -> Texts:
        return [self.constant] * len(self.test)

    def part(self, rows: Sequence[int]) -> Judged:
        said, nearest = ([some[row] for row in rows] for some in (self.said, self.nearest))
        return Judged(self.train, self.test.part(rows), self.language, said, nearest, self.constant)


@judges("describe", "picture")
def of_pictures(subject: Subject) -> list[Metric]:
    """`described`, of test pictures of which training has every token; and by source, where there are
    several."""
    if subject.source != "captions":
        return []
    judged = _asked(subject, _sayable)
    found = described(judged)
    sources = sorted({family.partition("/")[0] for family in judged.test.families})
    for source in sources if len(sources) > 1 else ():
        rows = [n for n, family in enumerate(judged.test.families) if family.startswith(f"{source}/")]
        mean = partial(_mean, judged, rows)
        found.append(
            Metric(
                f"cider_{source}",
                mean(judged.said),
                floor=mean(judged.constants),
                baseline=mean(judged.nearest),
            )
        )
    return found


@judges("describe", "video")
def of_clips(subject: Subject) -> list[Metric]:
    """`described`, of test clips whose unit is in training, in other actions; and how often of these the unit
    and the action are right, and the action of units that are not in training.

    floor: the most frequent one of training; baseline: that of the nearest training clip.
    """
    if subject.source != "captions":
        return []
    judged = _asked(subject, lambda train, test, language: list(range(len(test))))
    if not judged.test.families[0].startswith(f"{CLIPS}/"):
        return described(judged)
    units = {parts(text)[0] for text in judged.train.texts}
    seen = [n for n, text in enumerate(judged.test.texts) if parts(text)[0] in units]
    unseen = [n for n in range(len(judged.test)) if n not in set(seen)]
    known, unknown = judged.part(seen), judged.part(unseen)
    return [
        *described(known),
        _right("unit", known, 0),
        _right("action", known, 1),
        _right("action_of_new_units", unknown, 1),
    ]


def described(judged: Judged) -> list[Metric]:
    """cider: as `cider`, tokens against the true caption. cider_share: of what the true captions have.
    cider_over_nearest: of what the captions of the nearest training examples have. exact: how many are said
    token for token. shuffled_loss: share of cider that is lost if each example has the description of
    another.

    floor: the one caption that suits all best; of the last, of one that says nothing. baseline: the caption
    of the nearest training example, by pixels or their means, whichever is better; of the last, what true
    captions lose.
    """
    mean = partial(_mean, judged, range(len(judged.test)))
    value, floor, baseline, best = map(
        mean, (judged.said, judged.constants, judged.nearest, judged.test.texts)
    )
    order = np.random.default_rng(0).permutation(len(judged.test))

    def lost(texts: Texts) -> float:
        return 1 - mean([texts[n] for n in order]) / max(mean(texts), 1e-9)

    def exact(texts: Texts) -> float:
        split = LANGUAGES[judged.language].split
        pairs = zip(texts, judged.test.texts, strict=True)
        return float(np.mean([split(one) == split(other) for one, other in pairs]))

    return [
        Metric("cider", value, floor=floor, baseline=baseline),
        Metric("cider_share", value / best, floor=floor / best, baseline=baseline / best),
        Metric("cider_over_nearest", value / baseline, floor=floor / baseline, baseline=1.0),
        Metric("exact", exact(judged.said), floor=exact(judged.constants), baseline=exact(judged.nearest)),
        Metric("shuffled_loss", lost(judged.said), floor=0.0, baseline=lost(judged.test.texts)),
    ]


def nearest(train: NDArray[np.uint8], test: NDArray[np.uint8], patch: int = 1) -> NDArray[np.int64]:
    """For each example of `test` the number of the training one whose pixels, or means of patches, differ
    least in square. (N, ..., H, W, C), H and W multiples of the patch."""
    rows, others = (_means(some, patch) for some in (train, test))
    squares = np.square(rows).sum(axis=1)
    return np.asarray((squares - 2 * others @ rows.T).argmin(axis=1))


def _asked(subject: Subject, which: Callable[[Captions, Captions, str], list[int]]) -> Judged:
    """Of those test examples that `which`, of training, test and language, gives."""
    data = subject.card.data
    language = str(data["language"])
    splits = captions(data["sources"], language, subject.home)
    train = splits["train"]
    test = splits["test"].part(which(train, splits["test"], language))
    rng = subject.rng()
    said = ["".join(piece for piece, _ in subject.model.describe(one, rng)) for one in test.tensor()]
    ways = [[train.texts[n] for n in nearest(train.pixels, test.pixels, patch)] for patch in (1, PATCH)]
    judged = Judged(train, test, language, said, ways[0], "")
    mean = partial(_mean, judged, range(len(test)))
    often = [text for text, _ in Counter(train.texts).most_common(CONSTANTS)]
    constant = max(often, key=lambda text: mean([text] * len(test)))
    return Judged(train, test, language, said, max(ways, key=mean), constant)


def _sayable(train: Captions, test: Captions, language: str) -> list[int]:
    """Whose tokens all are in training."""
    split = LANGUAGES[language].split
    known = {token for text in train.texts for token in split(text)}
    return [n for n, text in enumerate(test.texts) if known.issuperset(split(text))]


def _mean(judged: Judged, rows: Sequence[int], texts: Texts) -> float:
    """CIDEr of some, how rare tokens are counted among all."""
    split = LANGUAGES[judged.language].split
    scores = cider([split(text) for text in texts], [[split(text)] for text in judged.test.texts])
    return float(np.mean([scores[row] for row in rows]))


def _right(name: str, judged: Judged, place: int) -> Metric:
    """place: in `parts`."""
    wanted = [parts(text.lower())[place] for text in judged.test.texts]
    ((often, _),) = Counter(parts(text)[place] for text in judged.train.texts).most_common(1)

    def share(found: Sequence[str]) -> float:
        return float(np.mean([one == other for one, other in zip(found, wanted, strict=True)]))

    said, other = ([parts(text)[place] for text in texts] for texts in (judged.said, judged.nearest))
    return Metric(name, share(said), floor=share([often] * len(wanted)), baseline=share(other))


def _means(some: NDArray[np.uint8], patch: int) -> NDArray[np.float32]:
    """(N, numbers)."""
    count, height, width, channels = len(some), *some.shape[-3:]
    patches = some.reshape(count, -1, height // patch, patch, width // patch, patch, channels)
    return np.asarray(patches.mean(axis=(3, 5), dtype=np.float32) / 255, np.float32).reshape(count, -1)
