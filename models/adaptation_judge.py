"""Evaluates whether an adaptation to an archive helped, on stretches that were held out, as queries.

    stretch -> cut out, another tempo, vocal tract, room, line and noise -> ranked among thousands of others

The encoder itself mined the similar stretches, in their sentences and undisturbed. As queries like that they
find nearly all of their cluster again, whatever training did. So each query is augmented as somebody else
might say it elsewhere, always in the same way, and only other recordings are ranked.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from wordspot.models import audio, augmentation
from wordspot.models.augmentation import Strength
from wordspot.models.datasets.spectra import SILENCE_DB, TICKS_PER_TARGET, Spectra
from wordspot.models.encoders.map_training import FINE_PARTS, Token
from wordspot.models.encoders.pooled import part_means
from wordspot.models.encoders.transformer import Transformer

Clusters = Sequence[Sequence[Token]]
Floats = NDArray[np.float64]

STRENGTH = Strength(tempo=1.25, warp=1.2, snr_db=(0.0, 20.0), noisy=0.8, reverberant=0.4, narrow=0.5)
QUERIES_A_STRETCH = 2  # each augmented anew
MARGIN_TICKS = 5  # around a stretch that is cut out, as around the benchmark's queries
SILENCE_TICKS = 20  # before and behind it, into which the noise goes on
MAX_DISTRACTOR_SECONDS = 1_200.0  # of regions that hold no token
DISTRACTOR_STEP_FRAMES = 8
MAX_DISTRACTOR_OVERLAP = 0.3  # share of a token that a distractor may cover
BOOTSTRAP_DRAWS = 2_000


@dataclass(frozen=True)
class Judgement:
    """Average precision on held-out clusters before and after an adaptation.

    Attributes:
        before: (clusters,), of the encoder as it was.
        after: (clusters,), of the adapted one.
        low: Lower bound of the 95 % interval of the mean difference, by bootstrap over the clusters.
        high: Its upper bound.
    """

    before: Floats
    after: Floats
    low: float
    high: float

    @property
    def improved(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0


class AdaptationJudge:
    """Evaluates every model with the same queries, augmented in the same way, among the same distractors.

    clusters: tokens in frames of `spectra`, none of which was trained on; each of two recordings or more.
    """

    def __init__(self, spectra: Spectra, clusters: Clusters, seed: int) -> None:
        self._spectra, self._count = spectra, len(clusters)
        tokens = [token for cluster in clusters for token in cluster]
        self._cluster = np.repeat(np.arange(len(clusters)), [len(members) for members in clusters])
        rng = np.random.default_rng([seed, 3])
        self._places, self._owner = _places(spectra, tokens, self._cluster, rng)
        self._recording = np.array([_recording(spectra, int(clip)) for clip in self._places[:, 0]])
        self._queries = [
            _augmented(spectra, tokens, [seed, 5, number]) for number in range(QUERIES_A_STRETCH)
        ]

    @torch.inference_mode()
    def average_precisions(self, model: Transformer) -> Floats:
        """Returns for each cluster (clusters,) the mean average precision of its stretches, augmented, as
        queries for the others in their sentences.

        Ranked are the stretches of all clusters and thousands of random ones, by the mean cosine similarity
        of vectors and of frames in five parts. A query's own recording is not ranked.
        """
        model.eval()
        places = self._places
        clips, row = np.unique(places[:, 0].astype(np.int64), return_inverse=True)
        bounds = self._spectra.bounds
        regions = [
            _normalised(model, self._spectra.spectra[bounds[clip] : bounds[clip + 1]]) for clip in clips
        ]
        candidates = _embedded(model, regions, row, places[:, 1], places[:, 2])
        values: list[list[float]] = [[] for _ in range(self._count)]
        for query in self._queries:
            windows = [_normalised(model, window) for window in query.spectra]
            queries = _embedded(model, windows, np.arange(len(windows)), query.start, query.stop)
            similarity = (queries @ candidates.T).numpy()  # (tokens, places)
            for token, cluster in enumerate(self._cluster):
                ranked = self._recording != self._recording[token]  # tokens are the first places
                order = np.argsort(-similarity[token][ranked], kind="stable")
                hits = np.flatnonzero((self._owner[ranked] == cluster)[order])
                if len(hits):
                    values[cluster].append(float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1))))
        return np.array([np.mean(precisions) for precisions in values])


def compared(before: Floats, after: Floats, seed: int) -> Judgement:
    """Compares average precisions (clusters,) by bootstrap (Efron 1979)."""
    rng = np.random.default_rng([seed, 4])
    gain = after - before
    means = gain[rng.integers(len(gain), size=(BOOTSTRAP_DRAWS, len(gain)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Judgement(before, after, float(low), float(high))


def best_of(after: Floats) -> tuple[int, Floats]:
    """Returns the row of `after` (candidates, clusters) with the best mean, and an unbiased estimate
    (clusters,) of choosing so.

    The chosen candidate looks better than it is on the clusters that it was chosen by. So each half of the
    clusters is credited with the candidate that the other half chooses (cross-validation).
    """
    half = np.arange(after.shape[1]) % 2 == 0
    credited = np.where(
        half, after[after[:, ~half].mean(axis=1).argmax()], after[after[:, half].mean(axis=1).argmax()]
    )
    return int(after.mean(axis=1).argmax()), credited


@dataclass(frozen=True)
class _Queries:
    """Queries of all tokens.

    Attributes:
        spectra: float32 (tokens, T, bands) in dB.
        start: (tokens,), where the stretch begins, in frames.
        stop: (tokens,), where it ends, in frames.
    """

    spectra: NDArray[np.float32]
    start: Floats
    stop: Floats


def _augmented(spectra: Spectra, tokens: Sequence[Token], seed: Sequence[int]) -> _Queries:
    """Returns the tokens cut out with a small margin, each at a random tempo, between silences, disturbed."""
    rng = np.random.default_rng(seed)
    count, largest = len(tokens), math.log(STRENGTH.tempo)
    rate = np.exp(rng.uniform(-largest, largest, count))
    first = np.array([token.start * TICKS_PER_TARGET - MARGIN_TICKS for token in tokens])
    length = np.array([(token.stop - token.start) * TICKS_PER_TARGET for token in tokens])
    size = (length + 2 * MARGIN_TICKS) / rate
    ticks = math.ceil(size.max() / TICKS_PER_TARGET) * TICKS_PER_TARGET + 2 * SILENCE_TICKS
    origin = first - rate * SILENCE_TICKS  # tick of the clip under the window's first
    clips = np.array([token.cut for token in tokens])
    base = np.floor(origin).astype(np.int64)
    source = spectra.at(clips, spectra.bounds[clips] + base, math.ceil(ticks * STRENGTH.tempo) + 2)
    places = (origin - base)[:, None] + rate[:, None] * np.arange(ticks)
    read = augmentation.read_at(source, torch.from_numpy(places).float())
    at = np.arange(ticks)
    outside = (at < SILENCE_TICKS) | (at >= SILENCE_TICKS + size[:, None])
    read[torch.from_numpy(outside)] = SILENCE_DB
    chance = torch.Generator().manual_seed(int(rng.integers(2**62)))
    start = (SILENCE_TICKS + MARGIN_TICKS / rate) / TICKS_PER_TARGET
    return _Queries(
        augmentation.disturb(read, STRENGTH, chance).numpy(), start, start + length / rate / TICKS_PER_TARGET
    )


def _recording(spectra: Spectra, clip: int) -> str:
    return spectra.names[clip].rpartition("/")[0]


def _places(
    spectra: Spectra, tokens: Sequence[Token], cluster: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns clip, start and stop in frames (n, 3) of the tokens and of distractors, and the cluster (n,),
    -1 of distractors.

    Distractors are random stretches as long as some token, in the regions of the tokens and, up to
    MAX_DISTRACTOR_SECONDS, in others.
    """
    tokens_by_clip: dict[int, list[Token]] = defaultdict(list)
    for token in tokens:
        tokens_by_clip[token.cut].append(token)
    free = rng.permutation(np.setdiff1d(np.arange(len(spectra.names)), list(tokens_by_clip)))
    seconds = np.diff(spectra.bounds)[free].cumsum() / audio.TICKS_PER_SECOND
    lengths = np.array([token.stop - token.start for token in tokens])
    rows = [(token.cut, token.start, token.stop) for token in tokens]
    for clip in sorted([*tokens_by_clip, *free[seconds <= MAX_DISTRACTOR_SECONDS].tolist()]):
        longest = spectra.length(clip)
        length = rng.choice(lengths, longest // DISTRACTOR_STEP_FRAMES)
        start = rng.uniform(0, 1, len(length)) * (longest - length).clip(0)
        clear = length <= longest
        for token in tokens_by_clip.get(clip, ()):
            overlap = np.minimum(start + length, token.stop) - np.maximum(start, token.start)
            clear &= overlap <= MAX_DISTRACTOR_OVERLAP * (token.stop - token.start)
        rows += [(clip, first, first + size) for first, size in zip(start[clear], length[clear], strict=True)]
    owner = np.full(len(rows), -1)
    owner[: len(tokens)] = cluster
    return np.array(rows, np.float64), owner


def _normalised(model: Transformer, rows: NDArray[Any]) -> Tensor:
    """Returns ticks (T, bands) in dB as the network takes them, by themselves."""
    return model.normalise([torch.from_numpy(rows.astype(np.float32)) / 10])[0]


def _embedded(
    model: Transformer,
    regions: Sequence[Tensor],
    region: NDArray[np.int64],
    start: NDArray[np.float64],
    stop: NDArray[np.float64],
) -> Tensor:
    """Returns vectors and pooled frames side by side, unit rows (n, D), of stretches (n,) of regions in
    frames."""
    _, frames = model.embed_regions(regions, torch.zeros(0, 3, dtype=torch.int64))
    rows = []
    for number, region_frames in enumerate(frames):
        members = np.flatnonzero(region == number)
        first_region = torch.zeros(len(members), dtype=torch.int64)
        longest = float(len(region_frames))
        first, last = (torch.from_numpy(edge[members].clip(0, longest)) for edge in (start, stop))
        vectors = normalize(model.pool(region_frames[None], first_region, first, last), dim=1)
        fine = normalize(part_means(region_frames[None], first_region, first, last, FINE_PARTS), dim=1)
        rows.append((members, torch.cat([vectors, fine], dim=1)))
    order = np.concatenate([members for members, _ in rows])
    embeddings = torch.cat([embedded for _, embedded in rows])
    return normalize(embeddings[torch.from_numpy(np.argsort(order))], dim=1)
