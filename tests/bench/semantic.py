"""Do vectors of spoken words tell what the words mean? `python -m tests.bench.semantic`.

An encoder of meanings learns from the Queen's training scenes, without transcripts: from spans of its
recordings and how they sound to `phonetic` (models/encoders/semantic.py). It is asked of words in recordings
that it never heard, the Queen's other scenes and Drascula: a word's vector is the mean over all places where
it is said there, three or more. How alike two words are is held against how alike they are to vectors that
were learned from texts (`words-en`), over all pairs, and to people (WordSim-353, SimLex-999), by Spearman's
rank correlation; intervals by bootstrap over words.

floor: random vectors. ceiling: the same counting and factorising on the words of the training transcripts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy.signal import resample_poly
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from tests.bench.material import FUNCTION_WORDS, RATE, Word, read_words
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.indexer.sound.spectra import acoustic_boundaries
from wordspot.models import registry
from wordspot.models.datasets import analogies
from wordspot.models.datasets.speech import Clip, clips, load_mono, split
from wordspot.models.encoders import load_encoder, semantic
from wordspot.models.encoders.archive_spans import ArchiveSpans

OUTPUT = Path("build/bench/semantic.json")
PARENT = "phonetic"
JUDGE = "words-en"
FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1.0)
LONGEST_S = 30.0
FEWEST = 3  # places where a word is said
SHORTEST_WORD_TICKS, SHORTEST_WORD = 20, 3
FEWEST_PAIRS = 20  # that people judged and the archive holds
WINDOW = 3  # words of a transcript that are company, to each side
RESAMPLED = 300

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """A recording. spans: (N, 2) ticks; vectors: (N, D). words, their vectors (W, D)."""

    clip: Clip
    seconds: float
    spans: NDArray[np.int32]
    vectors: Rows
    words: tuple[str, ...]
    said: Rows


def hear(home: Path) -> list[Heard]:
    encoder, plan = load_encoder(PARENT, home), SpanPlan()
    times = {name: read_words(name) for name in ("queen", "drascula")}
    found = []
    for clip in (*clips("queen", home), *clips("drascula", home)):
        samples, rate = load_mono(clip.path)
        common = gcd(RATE, rate)
        audio = resample_poly(samples, RATE // common, rate // common).astype(np.float32)
        ticks = len(audio) // (RATE // 100)
        if not plan.lengths[0] <= ticks <= 100 * LONGEST_S:
            continue
        known = [word for word in times[clip.source].get(clip.id, ()) if _ticks(word)[1] <= ticks]
        spans = plan.spans(ticks, acoustic_boundaries(audio))
        words = np.array([_ticks(word) for word in known], np.int32).reshape(-1, 2)
        table = np.pad(np.concatenate([spans, words]), ((0, 0), (1, 0)))
        ((vectors, _),) = encoder.embed_sections([([audio], table)])
        seconds = len(audio) / RATE
        texts = tuple(word.text for word in known)
        found.append(Heard(clip, seconds, spans, vectors[: len(spans)], texts, vectors[len(spans) :]))
    return found


def _ticks(word: Word) -> tuple[int, int]:
    start = round(100 * word.start)
    return start, max(start + 1, round(100 * word.end))


def learned(some: Sequence[Heard], home: Path) -> semantic.Semantic:
    spans = ArchiveSpans(
        np.concatenate([one.vectors for one in some]),
        np.repeat(np.arange(len(some)), [len(one.spans) for one in some]),
        np.concatenate([one.spans[:, 0] for one in some]).astype(np.int64),
        np.concatenate([one.spans[:, 1] for one in some]).astype(np.int64),
    )
    order = np.lexsort((spans.start, spans.recording))
    with tempfile.TemporaryDirectory() as folder:
        semantic.learn(spans.select(order), PARENT, Path(folder), home=home)
        model: Any = registry.load(folder)[0]
    assert isinstance(model, semantic.Semantic)
    return model


def from_transcripts(some: Sequence[Heard], types: Sequence[str]) -> Rows:
    """Vectors of words by the company they have in the transcripts; zeros for those that are not there."""
    place = {word: n for n, word in enumerate(Counter(word for one in some for word in one.words))}
    ones, others = [], []
    for one in some:
        rows = [place[word] for word in one.words]
        for n, row in enumerate(rows):
            near = rows[n + 1 : n + 1 + WINDOW]
            ones += [row] * len(near)
            others += near
    counts = csr_matrix((np.ones(len(ones), np.float32), (ones, others)), (len(place), len(place)))
    vectors = semantic.factorised((counts + counts.T).tocsr(), semantic.SemanticConfig.meaning)
    nothing = np.zeros(vectors.shape[1], np.float32)
    return np.stack([vectors[place[word]] if word in place else nothing for word in types])


class Judgement:
    """Pairs of words with how alike they are, and rank correlations with it."""

    def __init__(self, pairs: NDArray[np.int64], alike: NDArray[np.float64], types: int) -> None:
        """pairs: (P, 2), numbers of words. types: words there are."""
        self.pairs, self.alike = pairs, alike
        rng = np.random.default_rng(0)
        drawn = [np.bincount(rng.integers(0, types, types), minlength=types) for _ in range(RESAMPLED)]
        self._weights = [some[pairs[:, 0]] * some[pairs[:, 1]] for some in drawn]

    def of(self, vectors: Rows) -> tuple[float, NDArray[np.float64]]:
        """The correlation, and those of the resampled words."""
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
        found = (unit[self.pairs[:, 0]] * unit[self.pairs[:, 1]]).sum(axis=1)
        # Ranks of the whole stand in for those of each resampling.
        ranks = rankdata(found), rankdata(self.alike)
        whole = np.ones(len(self.pairs))
        return _correlation(*ranks, whole), np.array([_correlation(*ranks, some) for some in self._weights])


def _correlation(one: NDArray[Any], other: NDArray[Any], weights: NDArray[Any]) -> float:
    total = weights.sum()
    one, other = (some - (weights * some).sum() / total for some in (one, other))
    spread = np.sqrt((weights * one**2).sum() * (weights * other**2).sum())
    return float((weights * one * other).sum() / max(spread, 1e-12))


def judgements(types: Sequence[str], home: Path) -> dict[str, Judgement]:
    judge: Any = registry.load(JUDGE, home)[0]
    place = {word: n for n, word in enumerate(types)}
    unit = judge.unit[[judge.rows[word] for word in types]].numpy()
    pairs = np.argwhere(np.triu(np.ones((len(types), len(types)), bool), 1))
    found = {JUDGE: Judgement(pairs, (unit @ unit.T)[tuple(pairs.T)], len(types))}
    for name, told in analogies.likeness(home).items():
        known = [(place[one], place[two], mean) for one, two, mean in told if {one, two} <= place.keys()]
        if len(known) >= FEWEST_PAIRS:
            rows = np.array(known)
            found[name] = Judgement(rows[:, :2].astype(np.int64), rows[:, 2], len(types))
    return found


def row(
    name: str, hours: float, vectors: Rows, sound: Mapping[str, NDArray[Any]], by: Mapping[str, Judgement]
) -> dict[str, Any]:
    """sound: the resampled correlations of how words sound, by judgement; those of a row itself are kept in
    it under `resampled`."""
    found: dict[str, Any] = {"vectors": name, "hours": hours, "resampled": {}}
    for judge, judgement in by.items():
        value, resampled = judgement.of(vectors)
        found[judge] = value
        found[f"{judge}_ci"] = _interval(resampled)
        found["resampled"][judge] = resampled
        if judge in sound:
            found[f"{judge}_over_sound_ci"] = _interval(resampled - sound[judge])
    return found


def _interval(values: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    torch.set_num_threads(1)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=150)
    heard = hear(home)
    train, test = ([one for one in heard if split(one.clip) == part] for part in ("train", "dev"))
    places: dict[str, list[Rows]] = defaultdict(list)
    for one in test:
        for word, vector in zip(one.words, one.said, strict=True):
            places[word].append(vector)
    judge: Any = registry.load(JUDGE, home)[0]
    types = [
        word
        for word, some in sorted(places.items())
        if len(some) >= FEWEST
        and len(word) >= SHORTEST_WORD
        and word not in FUNCTION_WORDS
        and judge.row(word) is not None
    ]
    by = judgements(types, home)
    console.print(
        f"{len(types)} words said {sum(len(places[word]) for word in types):,} times; pairs: "
        + ", ".join(f"{name} {len(judgement.pairs):,}" for name, judgement in by.items())
    )
    sound = np.stack([np.mean(places[word], axis=0) for word in types])
    noise = np.random.default_rng(0).standard_normal((len(types), 64)).astype(np.float32)
    rows = [row("how they sound", 0.0, sound, {}, by)]
    base = rows[0]["resampled"]
    rows.append(row("random", 0.0, noise, base, by))
    groups = sorted({one.clip.group for one in train})
    np.random.default_rng(0).shuffle(groups)
    for fraction in FRACTIONS:
        chosen = set(groups[: max(1, round(fraction * len(groups)))])
        some = [one for one in train if one.clip.group in chosen]
        hours = sum(one.seconds for one in some) / 3_600
        model = learned(some, home)
        with torch.inference_mode():
            meant = np.stack(
                [
                    model.meaning(torch.from_numpy(np.stack(places[word]))).numpy().mean(axis=0)
                    for word in types
                ]
            )
        both = np.concatenate(
            [part / np.linalg.norm(part, axis=1, keepdims=True).clip(1e-9) for part in (sound, meant)], axis=1
        )
        rows.append(row("meaning", hours, meant, base, by))
        rows.append(row("both", hours, both, base, by))
        rows.append(row("from transcripts", hours, from_transcripts(some, types), base, by))
        show(rows[-3:] if fraction != FRACTIONS[0] else rows, by, console)
    vectors = np.stack([judge.unit[judge.rows[word]].numpy() for word in types])
    rows.append(
        row(f"{JUDGE}, 14.8 million words", 0.0, vectors, base, {n: j for n, j in by.items() if n != JUDGE})
    )
    show(rows[-1:], by, console)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    kept = [{name: value for name, value in one.items() if name != "resampled"} for one in rows]
    OUTPUT.write_text(json.dumps({"types": types, "rows": kept}, indent=1) + "\n")
    console.print(f"written to {OUTPUT}")


def show(rows: Sequence[Mapping[str, Any]], by: Mapping[str, Judgement], console: Console) -> None:
    for one in rows:
        told = []
        for judge in by:
            if judge in one:
                low, high = one[f"{judge}_ci"]
                told.append(f"{judge} {one[judge]:.3f} ({low:.3f} to {high:.3f})")
                if over := one.get(f"{judge}_over_sound_ci"):
                    told[-1] += f", over sound {over[0]:+.3f} to {over[1]:+.3f}"
        console.print(f"{one['vectors']}, {one['hours']:.2f} h: {'; '.join(told)}", highlight=False)


if __name__ == "__main__":
    main()
