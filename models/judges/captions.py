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
from wordspot.models.datasets.captioned import Captions, captions
from wordspot.models.datasets.wesnoth import parts
from wordspot.models.evaluation import Subject, judges
from wordspot.models.vocabulary import LANGUAGES

CONSTANT_CANDIDATES = 60  # most frequent captions, of which the best for all pictures is the floor
PATCH_PIXELS = 3  # side of the patches whose means are compared too
CLIPS = "wesnoth"

Texts = Sequence[str]


@dataclass(frozen=True)
class CaptionedSet:
    """Test examples with captions by the model and by its alternatives.

    Attributes:
        train, test: examples with reference captions.
        language: one of `vocabulary.LANGUAGES`.
        generated: the model's caption of each test example.
        nearest: the caption of the nearest training example.
        constant: the one caption that has the best CIDEr for all.
    """

    train: Captions
    test: Captions
    language: str
    generated: Texts
    nearest: Texts
    constant: str

    @property
    def constants(self) -> Texts:
        """The constant caption for each test example."""
        return [self.constant] * len(self.test)

    def part(self, rows: Sequence[int]) -> CaptionedSet:
        """Returns the test examples of the rows."""
        generated, nearest = ([texts[row] for row in rows] for texts in (self.generated, self.nearest))
        return CaptionedSet(
            self.train, self.test.part(rows), self.language, generated, nearest, self.constant
        )


@judges("describe", "picture")
def of_pictures(subject: Subject) -> list[Metric]:
    """Judges `described` on test pictures whose tokens all occur in training; and by source, where there are
    several."""
    if subject.source != "captions":
        return []
    captioned = _captioned(subject, _in_vocabulary)
    metrics = described(captioned)
    sources = sorted({family.partition("/")[0] for family in captioned.test.families})
    for source in sources if len(sources) > 1 else ():
        rows = [n for n, family in enumerate(captioned.test.families) if family.startswith(f"{source}/")]
        mean = partial(_mean, captioned, rows)
        metrics.append(
            Metric(
                f"cider_{source}",
                mean(captioned.generated),
                floor=mean(captioned.constants),
                baseline=mean(captioned.nearest),
            )
        )
    return metrics


@judges("describe", "video")
def of_clips(subject: Subject) -> list[Metric]:
    """Judges `described` on test clips whose unit is in training in other actions; the accuracy of their unit
    and action; and the accuracy of the action of units that are not in training.

    floor: the most frequent one of training; baseline: that of the nearest training clip.
    """
    if subject.source != "captions":
        return []
    captioned = _captioned(subject, lambda train, test, language: list(range(len(test))))
    if not captioned.test.families[0].startswith(f"{CLIPS}/"):
        return described(captioned)
    units = {parts(text)[0] for text in captioned.train.texts}
    seen = [n for n, text in enumerate(captioned.test.texts) if parts(text)[0] in units]
    unseen = [n for n in range(len(captioned.test)) if n not in set(seen)]
    seen_units, new_units = captioned.part(seen), captioned.part(unseen)
    return [
        *described(seen_units),
        _accuracy("unit", seen_units, 0),
        _accuracy("action", seen_units, 1),
        _accuracy("action_of_new_units", new_units, 1),
    ]


def described(captioned: CaptionedSet) -> list[Metric]:
    """Returns the figures of captions.

    cider: mean of `cider` against the reference. cider_share: share of the references' own CIDEr.
    cider_over_nearest: ratio to the captions of the nearest training examples. exact: share that equal the
    reference token for token. shuffled_loss: share of CIDEr that is lost if each example has the caption of
    another.

    floor: the best constant caption; of the last, 0. baseline: the caption of the nearest training example,
    by pixels or by means of patches, whichever is better; of the last, the loss of the references.
    """
    mean = partial(_mean, captioned, range(len(captioned.test)))
    value, floor, baseline, best = map(
        mean, (captioned.generated, captioned.constants, captioned.nearest, captioned.test.texts)
    )
    order = np.random.default_rng(0).permutation(len(captioned.test))

    def shuffling_loss(texts: Texts) -> float:
        return 1 - mean([texts[n] for n in order]) / max(mean(texts), 1e-9)

    def exact(texts: Texts) -> float:
        split = LANGUAGES[captioned.language].split
        pairs = zip(texts, captioned.test.texts, strict=True)
        return float(np.mean([split(text) == split(reference) for text, reference in pairs]))

    return [
        Metric("cider", value, floor=floor, baseline=baseline),
        Metric("cider_share", value / best, floor=floor / best, baseline=baseline / best),
        Metric("cider_over_nearest", value / baseline, floor=floor / baseline, baseline=1.0),
        Metric(
            "exact",
            exact(captioned.generated),
            floor=exact(captioned.constants),
            baseline=exact(captioned.nearest),
        ),
        Metric(
            "shuffled_loss",
            shuffling_loss(captioned.generated),
            floor=0.0,
            baseline=shuffling_loss(captioned.test.texts),
        ),
    ]


def nearest(train: NDArray[np.uint8], test: NDArray[np.uint8], patch: int = 1) -> NDArray[np.int64]:
    """Returns for each test example the number of the training example at the least squared distance.

    Args:
        train, test: uint8 (N, ..., H, W, C), H and W multiples of the patch.
        patch: side of the patches whose means are compared; 1 for pixels.
    """
    rows, queries = (_patch_means(pixels, patch) for pixels in (train, test))
    squares = np.square(rows).sum(axis=1)
    return np.asarray((squares - 2 * queries @ rows.T).argmin(axis=1))


def _captioned(subject: Subject, which: Callable[[Captions, Captions, str], list[int]]) -> CaptionedSet:
    """Captions the test examples that `which` chooses, by training, test and language."""
    data = subject.card.data
    language = str(data["language"])
    splits = captions(data["sources"], language, subject.home)
    train = splits["train"]
    test = splits["test"].part(which(train, splits["test"], language))
    rng = subject.rng()
    generated = [
        "".join(piece for piece, _ in subject.model.describe(example, rng)) for example in test.tensor()
    ]
    nearest_texts = [
        [train.texts[n] for n in nearest(train.pixels, test.pixels, patch)] for patch in (1, PATCH_PIXELS)
    ]
    captioned = CaptionedSet(train, test, language, generated, nearest_texts[0], "")
    mean = partial(_mean, captioned, range(len(test)))
    frequent = [text for text, _ in Counter(train.texts).most_common(CONSTANT_CANDIDATES)]
    constant = max(frequent, key=lambda text: mean([text] * len(test)))
    return CaptionedSet(train, test, language, generated, max(nearest_texts, key=mean), constant)


def _in_vocabulary(train: Captions, test: Captions, language: str) -> list[int]:
    """Returns the test examples whose tokens all occur in training."""
    split = LANGUAGES[language].split
    tokens = {token for text in train.texts for token in split(text)}
    return [n for n, text in enumerate(test.texts) if tokens.issuperset(split(text))]


def _mean(captioned: CaptionedSet, rows: Sequence[int], texts: Texts) -> float:
    """Returns the mean CIDEr of rows; document frequencies are those of all references."""
    split = LANGUAGES[captioned.language].split
    scores = cider([split(text) for text in texts], [[split(text)] for text in captioned.test.texts])
    return float(np.mean([scores[row] for row in rows]))


def _accuracy(name: str, captioned: CaptionedSet, place: int) -> Metric:
    """Returns the accuracy of one of the `parts` of captions."""
    references = [parts(text.lower())[place] for text in captioned.test.texts]
    ((mode, _),) = Counter(parts(text)[place] for text in captioned.train.texts).most_common(1)

    def accuracy(values: Sequence[str]) -> float:
        return float(
            np.mean([value == reference for value, reference in zip(values, references, strict=True)])
        )

    generated, nearest_values = (
        [parts(text)[place] for text in texts] for texts in (captioned.generated, captioned.nearest)
    )
    return Metric(
        name, accuracy(generated), floor=accuracy([mode] * len(references)), baseline=accuracy(nearest_values)
    )


def _patch_means(pixels: NDArray[np.uint8], patch: int) -> NDArray[np.float32]:
    """Returns means of patches, float32 (N, numbers), 0 to 1."""
    count, height, width, channels = len(pixels), *pixels.shape[-3:]
    patches = pixels.reshape(count, -1, height // patch, patch, width // patch, patch, channels)
    return np.asarray(patches.mean(axis=(3, 5), dtype=np.float32) / 255, np.float32).reshape(count, -1)
