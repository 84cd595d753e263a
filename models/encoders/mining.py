"""Mines similar stretches of different recordings: training pairs without labels.

Algayres et al., "Speech Sequence Embeddings using Nearest Neighbors Contrastive Learning", Interspeech 2022,
arXiv 2204.05148: embed the corpus, take nearest neighbours for the same word, train on them, and again. Here
neighbours lie in recordings whose voices differ on the whole, hubs, stretches that are near to everything,
count for less (cross-domain similarity local scaling; Conneau et al., "Word Translation Without Parallel
Data", ICLR 2018), and dynamic time warping of the frames ranks the pairs and aligns them. Training reads no
labels, but this ranking and how many pairs to keep were chosen with a look at how many of the pairs held a
common word in the annotated development archive.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import ANCHORS, HELD_BACK, QUIET_UNITS, Ints, MinedPairs
from wordspot.models.encoders.convolutional import ConvolutionalEncoder

SPAN_TICKS = 54  # half a second; alignment says how long the other one is
HOP_TICKS = 16
MIN_LOUD_SHARE = 0.75  # share of a span's ticks
NEIGHBOURS = 10
ROWS_AT_ONCE = 1_024
CLIPS_AT_ONCE = 64
PLACE_TICKS = 50
USES_OF_A_PLACE = 4
ALIGNED_A_PAIR = 2  # candidates that are aligned for each pair that is returned
MARGIN_FRAMES = 8
MAX_SPANS = 120_000


def mine(
    model: ConvolutionalEncoder, spectra: Spectra, count: int, seed: int, device: str = "cpu"
) -> MinedPairs:
    """Returns the `count` pairs whose frames align best, fewer where the corpus holds fewer, best first.

    The cost grows with the square of the corpus up to MAX_SPANS spans; of larger ones a random part is used.
    Same weights, corpus and seed, same pairs.
    """
    model.to(device).eval()
    clips, spans = _grid(model, spectra, np.random.default_rng(seed))
    if len(spans) <= NEIGHBOURS:
        return MinedPairs.none()
    vectors, frames = _embedded(model, spectra, clips, spans, device)
    first, second = _neighbours(vectors, torch.from_numpy(clips).to(device), _voices(spectra).to(device))
    chosen = _spread(spans[first], spans[second], ALIGNED_A_PAIR * count)
    first, second = first[chosen], second[chosen]
    clip_pairs, anchors, costs = [], [], []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        aligned = _align(frames, spectra.bounds, clips[b], spans[a], spans[b], model.ticks_per_frame)
        if aligned is not None:
            clip_pairs.append(clips[[a, b]])
            anchors.append(aligned[0])
            costs.append(aligned[1])
    if not clip_pairs:
        return MinedPairs.none()
    pairs = MinedPairs(np.stack(clip_pairs), np.stack(anchors))
    return pairs[np.argsort(costs, kind="stable")[:count]]


def _grid(model: ConvolutionalEncoder, spectra: Spectra, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Returns clips (n,) and spans (n, 2), start and stop in ticks of the corpus, of what is loud enough and
    not held out for validation."""
    clips, spans = [], []
    for clip, (first, last) in enumerate(zip(spectra.bounds[:-1], spectra.bounds[1:], strict=True)):
        if clip % HELD_BACK == 0:
            continue
        rows = model.normalise([_rows(spectra, first, last)])[0]
        loud = np.concatenate([[0], np.cumsum(rows.mean(dim=1).numpy() > QUIET_UNITS)])
        start = np.arange(0, last - first - SPAN_TICKS + 1, HOP_TICKS)
        start = start[loud[start + SPAN_TICKS] - loud[start] >= MIN_LOUD_SHARE * SPAN_TICKS]
        spans.append(first + np.stack([start, start + SPAN_TICKS], axis=1))
        clips.append(np.full(len(start), clip))
    if not clips:
        return np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    all_clips = np.concatenate(clips)
    sample = np.sort(rng.permutation(len(all_clips))[:MAX_SPANS])
    return all_clips[sample], np.concatenate(spans)[sample]


@torch.inference_mode()
def _embedded(
    model: ConvolutionalEncoder, spectra: Spectra, clips: Ints, spans: Ints, device: str
) -> tuple[Tensor, list[NDArray[np.float32]]]:
    """Returns unit vectors (n, D) of spans in order of their clips, and the frames (T_i / 2, H) of every
    clip."""
    vectors, frames = [], []
    bounds = spectra.bounds
    order = np.searchsorted(clips, np.arange(len(spectra.names) + 1))
    for begin in range(0, len(spectra.names), CLIPS_AT_ONCE):
        end = min(begin + CLIPS_AT_ONCE, len(spectra.names))
        regions = [
            model.normalise([_rows(spectra, bounds[clip], bounds[clip + 1]).to(device)])[0]
            for clip in range(begin, end)
        ]
        rows = slice(order[begin], order[end])
        table = np.column_stack([clips[rows] - begin, spans[rows] - bounds[clips[rows], None]])
        unit, region_frames = model.embed_regions(regions, torch.from_numpy(table).to(device))
        vectors.append(unit)
        frames += [rows.cpu().numpy() for rows in region_frames]
    return torch.cat(vectors), frames


def _rows(spectra: Spectra, first: int, last: int) -> Tensor:
    return torch.from_numpy(spectra.spectra[first:last].astype(np.float32))


def _voices(spectra: Spectra) -> Tensor:
    """Returns mean spectra (clips, 40) of the louder half of each clip, less the mean of all and the
    level."""
    means = []
    for first, last in zip(spectra.bounds[:-1], spectra.bounds[1:], strict=True):
        rows = _rows(spectra, first, last)
        means.append(rows[rows.mean(dim=1).topk(max(1, len(rows) // 2)).indices].mean(dim=0))
    spectra_by_clip = torch.stack(means)
    spectra_by_clip = spectra_by_clip - spectra_by_clip.mean(dim=1, keepdim=True)
    return spectra_by_clip - spectra_by_clip.mean(dim=0)


def _neighbours(vectors: Tensor, clips: Tensor, voices: Tensor) -> tuple[Ints, Ints]:
    """Returns spans and their neighbours among clips of dissimilar voices, the nearest first."""
    values, indices = [], []
    voice = voices[clips]  # (n, 40)
    for begin in range(0, len(vectors), ROWS_AT_ONCE):
        rows = slice(begin, begin + ROWS_AT_ONCE)
        similarity = vectors[rows] @ vectors.T  # (rows, n)
        masked = (clips[rows, None] == clips) | (voice[rows] @ voice.T >= 0)
        best = similarity.masked_fill_(masked, -1.0).topk(NEIGHBOURS, dim=1)
        values.append(best.values)
        indices.append(best.indices)
    value, index = torch.cat(values), torch.cat(indices)  # (n, NEIGHBOURS)
    hubness = value.mean(dim=1)
    score = 2 * value - hubness[:, None] - hubness[index]
    score = score.masked_fill(value <= -1.0, -torch.inf)
    order = score.flatten().argsort(descending=True, stable=True)
    order = order[score.flatten()[order] > -torch.inf]
    return (order // NEIGHBOURS).cpu().numpy(), index.flatten()[order].cpu().numpy()


def _spread(first: Ints, second: Ints, count: int) -> Ints:
    """Returns the first `count` rows of two lists of spans (n, 2) in which no two places are paired twice and
    none is used too often."""
    uses: dict[int, int] = {}
    paired: set[tuple[int, int]] = set()
    chosen: list[int] = []
    places = np.stack([first.mean(axis=1), second.mean(axis=1)], axis=1).astype(np.int64) // PLACE_TICKS
    for row, (a, b) in enumerate(np.sort(places, axis=1).tolist()):
        if (a, b) not in paired and max(uses.get(a, 0), uses.get(b, 0)) < USES_OF_A_PLACE:
            paired.add((a, b))
            uses[a], uses[b] = uses.get(a, 0) + 1, uses.get(b, 0) + 1
            chosen.append(row)
            if len(chosen) == count:
                break
    return np.array(chosen, np.int64)


def _align(
    frames: list[NDArray[np.float32]], bounds: Ints, clip: int, span: Ints, other: Ints, step: int
) -> tuple[NDArray[np.float64], float] | None:
    """Aligns span with the surroundings of `other`, which lies in `clip`. Returns anchors (2, ANCHORS) in
    ticks of the corpus and the mean cosine distance on the path as a share of that between the span's own
    frames: a sustained vowel or noise is near to itself everywhere and no word. None where one is over twice
        as
    long as the other."""
    from librosa.sequence import dtw  # slow to import, and loading an encoder does not need it

    span_clip = int(np.searchsorted(bounds, span[0], side="right")) - 1
    start, stop = ((span - bounds[span_clip]) // step).tolist()
    span_frames = frames[span_clip][start:stop]
    low = max(0, int(other[0] - bounds[clip]) // step - MARGIN_FRAMES)
    around = frames[clip][low : int(other[1] - bounds[clip]) // step + MARGIN_FRAMES]
    costs, path = dtw(C=1.0 - span_frames @ around.T, subseq=True)
    path = path[::-1]  # (steps, 2), from the start on
    length = int(path[-1, 1] - path[0, 1]) + 1
    if not len(span_frames) / 2 <= length <= 2 * len(span_frames):
        return None
    steps = np.linspace(0, len(path) - 1, ANCHORS).round().astype(np.int64)
    at = path[steps].T.astype(np.float64)  # (2, ANCHORS)
    at[:, -1] += 1
    origin = np.array([[bounds[span_clip] + step * start], [bounds[clip] + step * low]])
    anchors = np.minimum(origin + step * at, np.array([[bounds[span_clip + 1]], [bounds[clip + 1]]]))
    self_distance = 1.0 - float(np.square(span_frames.mean(axis=0)).sum())
    return anchors, float(costs[-1, path[-1, 1]] / len(path)) / max(self_distance, 1e-6)
