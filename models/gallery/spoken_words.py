"""`spoken-words`: vectors of spoken words."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wordspot.models import audio
from wordspot.models.datasets import alignments
from wordspot.models.datasets.speech import clips
from wordspot.models.encoders import Encoder, load_encoder
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, pairs, parallel, principal

ENCODERS = ("sa", "phonetic")
# Pairs that differ in the same first sound.
RELATIONS = {
    "n- and f-": "near fear night fight nine fine",
    "s- and w-": "say way sell well sight white",
    "d- and s-": "day say door four dead said",
}
RHYMES = (
    "near fear hear",
    "name game same came",
    "night fight light right",
    "day say way may",
    "look book took",
)
MAX_OCCURRENCES = 40  # occurrences of a word


@picture("spoken-words")
def draw(home: Path) -> Figure:
    """Mean vectors of spoken words: rhymes are close, and one changed sound is one difference."""
    words_shown = {word for group in (*RHYMES, *RELATIONS.values()) for word in group.split()}
    canvas = figure(10.5, 8.6)
    grid = canvas.subplots(len(ENCODERS), 2)
    for line, name in zip(grid, ENCODERS, strict=True):
        means = mean_vectors(load_encoder(name, home), words_shown, home)
        rhyming = [word for group in RHYMES for word in group.split() if word in means]
        rows = np.array([means[word] for word in rhyming])
        group_of = np.array([n for n, group in enumerate(RHYMES) for word in group.split() if word in means])
        points = principal(rows)
        axes = line[0]
        axes.scatter(points[:, 0], points[:, 1], c=group_of, cmap="tab10", vmax=9, s=14)
        for (x, y), word in zip(points, rhyming, strict=True):
            axes.annotate(word, (x, y), xytext=(3, 3), textcoords="offset points", fontsize=8)
        inside, outside = _mean_cosines(rows, group_of)
        pairs_title = f"{name}: cosine of rhymes {inside:.2f}, of others {outside:.2f}"
        axes.margins(0.12)
        axes.set_title(pairs_title, fontsize=9, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
        steps, words, figures = [], [], []
        for relation, text in RELATIONS.items():
            words_of_relation = text.split()
            paired = [
                w
                for n in range(0, len(words_of_relation), 2)
                if {*words_of_relation[n : n + 2]} <= means.keys()
                for w in words_of_relation[n : n + 2]
            ]
            if len(paired) > 2:
                figures.append(f"{relation} {parallel(np.array([means[word] for word in paired])):.2f}")
            steps += [means[word] for word in paired]
            words += paired
        pairs(
            line[1], principal(np.array(steps)), words, f"{name}: cosine between steps, {', '.join(figures)}"
        )
    return canvas


def mean_vectors(encoder: Encoder, words: set[str], home: Path) -> dict[str, NDArray[np.float32]]:
    """Returns the mean vector (D,) of each word over speakers, less the mean of all of them."""
    vectors_of: defaultdict[str, list[NDArray[np.float32]]] = defaultdict(list)
    times = alignments.words()
    for clip in clips("queen", home):
        spans = [
            (word, start, end)
            for word, start, end in times.get(clip.id, ())
            if word in words and len(vectors_of[word]) < MAX_OCCURRENCES
        ]
        if not spans:
            continue
        sound = audio.load(clip.path)
        ticks = -(-len(sound) // audio.HOP_SAMPLES)
        rate = audio.TICKS_PER_SECOND
        table = np.array([(0, round(s * rate), min(round(e * rate), ticks)) for _, s, e in spans], np.int32)
        ((vectors, _),) = encoder.embed_sections([([sound], table)])
        for (word, _, _), vector in zip(spans, vectors, strict=True):
            vectors_of[word].append(vector)
    means = {word: np.mean(vectors, axis=0) for word, vectors in vectors_of.items() if vectors}
    overall_mean = np.mean(list(means.values()), axis=0)
    return {word: mean - overall_mean for word, mean in means.items()}


def _mean_cosines(rows: NDArray[np.float32], groups: NDArray[np.int64]) -> tuple[float, float]:
    """Returns the mean cosine of two rows of one group, and of two groups."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    first, second = np.triu_indices(len(rows), 1)
    cosine = (unit[first] * unit[second]).sum(axis=1)
    same = groups[first] == groups[second]
    return float(cosine[same].mean()), float(cosine[~same].mean())
