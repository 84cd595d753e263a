"""Judges of encoders of speech."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio, registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets import alignments
from wordspot.models.datasets.speech import clips, split
from wordspot.models.encoders.spans import SpanEncoder, SpanModel
from wordspot.models.errors import BadInput
from wordspot.models.evaluation import Subject, judges

MIN_LETTERS = 5
MIN_SECONDS = 0.35
MAX_CLIPS = 400
BASELINE = "naive"


@judges("embed", "speech")
def same_different(subject: Subject) -> list[Metric]:
    """Judges the average precision of same-different word discrimination (Carlin et al., Interspeech 2011),
    among words of 5 letters and 0.35 s or more by different speakers, in scenes of the Amazon Queen that no
    encoder trained on.

    floor: chance; baseline: averaged MFCC (`naive`). Raises BadInput if the model embeds no spans.
    """
    if not isinstance(subject.model, SpanModel):
        raise BadInput(f"{subject.card.name!r} does not embed spans of sound")
    baseline, card = registry.load(BASELINE, subject.home)
    assert isinstance(baseline, SpanModel)
    pairs = WordPairs(subject)
    value = pairs.average_precision(SpanEncoder(subject.model, subject.card.name, "", "", "cpu"))
    return [
        Metric(
            "same_different_ap",
            value,
            floor=pairs.chance,
            baseline=pairs.average_precision(SpanEncoder(baseline, card.name, "", "", "cpu")),
        )
    ]


class WordPairs:
    """Pairs of words of held-out clips by different speakers; each word is embedded in its clip."""

    def __init__(self, subject: Subject) -> None:
        times = alignments.words()
        held_out = [
            clip
            for clip in clips("queen", subject.home)
            if split(clip) == "dev" and clip.id in times and clip.speaker is not None
        ]
        self._sounds: list[NDArray[np.float32]] = []
        self._spans: list[NDArray[np.int32]] = []
        labels: list[str] = []
        speakers: list[str] = []
        for clip in held_out[:: max(1, len(held_out) // MAX_CLIPS)]:
            words = [
                (word, start, end)
                for word, start, end in times[clip.id]
                if len(word) >= MIN_LETTERS and end - start >= MIN_SECONDS
            ]
            if not words:
                continue
            sound = audio.load(clip.path)
            ticks = -(-len(sound) // audio.HOP_SAMPLES)
            rate = audio.TICKS_PER_SECOND
            spans = [(0, round(start * rate), min(round(end * rate), ticks)) for _, start, end in words]
            self._sounds.append(sound)
            self._spans.append(np.array(spans, np.int32))
            labels += [word for word, _, _ in words]
            speakers += [str(clip.speaker)] * len(words)
        word = np.unique(labels, return_inverse=True)[1]
        speaker = np.unique(speakers, return_inverse=True)[1]
        first, second = np.triu_indices(len(word), 1)
        different = speaker[first] != speaker[second]
        self._first, self._second = first[different], second[different]
        self._same = word[self._first] == word[self._second]

    @property
    def chance(self) -> float:
        """The share of pairs of the same word."""
        return float(self._same.mean())

    def average_precision(self, encoder: SpanEncoder) -> float:
        """Returns the average precision of ranking pairs by the cosine of their vectors."""
        vectors = np.concatenate(
            [
                encoder.embed_sections([([sound], spans)])[0][0]
                for sound, spans in zip(self._sounds, self._spans, strict=True)
            ]
        )
        similar: Tensor = torch.from_numpy((vectors @ vectors.T)[self._first, self._second])
        ranked = self._same[similar.argsort(descending=True, stable=True).numpy()]
        precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
        return float(precision[ranked].mean())
