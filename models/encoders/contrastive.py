"""`contrastive`: a convolutional network that learns from the sound of an archive alone, without any label.

Two views of one stretch are to be nearer to each other than to anything else in the batch (NT-Xent,
equation 1 of Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
arXiv 2002.05709): the vectors of its spans, and the frames at its moments, so that the frames serve DTW.
Beside that every frame rebuilds what it would have heard undisturbed, which keeps the sounds in it. Later
rounds add stretches of different recordings that the network itself finds alike (`mining.py`; Algayres et
al., Interspeech 2022, arXiv 2204.05148).

Departures: one network pools frames instead of a transformer over wav2vec 2.0's; a stretch of the same
recording is a negative as well, so that voice and room do not help to tell stretches apart.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from wordspot.models import audio
from wordspot.models.datasets.views import ViewBatch
from wordspot.models.encoders.convolutional import ConvolutionalConfig, ConvolutionalEncoder
from wordspot.models.model import Loss
from wordspot.models.registry import register

SPAN_TEMPERATURE = 0.1
FRAME_TEMPERATURE = 0.1
MOMENT_TICKS = 8.0  # nearer than that, two moments are no strangers
REBUILT = 0.3  # weight of the rebuilding
TICKS_PER_FRAME = ConvolutionalEncoder.ticks_per_frame


@register("contrastive")
class Contrastive(ConvolutionalEncoder):
    """The network, and a linear decoder of frames that only training needs."""

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__(config)
        self.decoder = nn.Linear(config.frame_dimension, TICKS_PER_FRAME * audio.MEL_BANDS)

    def loss(self, player: str, batch: ViewBatch, rng: Generator) -> Loss:
        frames = both_views(self, batch)  # (2, B, T', H)
        vectors = torch.stack([span_vectors(self, frames[v], batch, v) for v in (0, 1)])  # (2, N, D)
        spans, right = nt_xent(vectors, batch.span_places, SPAN_TEMPERATURE)
        around = torch.stack([batch.moment_places - MOMENT_TICKS, batch.moment_places + MOMENT_TICKS], dim=2)
        moments, _ = nt_xent(moment_frames(frames, batch), around, FRAME_TEMPERATURE)
        rebuilt = self._rebuilding(frames, batch)
        figures = {"spans": spans, "moments": moments, "rebuilt": rebuilt, "right": right}
        value = spans + moments + REBUILT * rebuilt
        return Loss(value, {name: float(figure.detach()) for name, figure in figures.items()})

    def _rebuilding(self, frames: Tensor, batch: ViewBatch) -> Tensor:
        """Squared error of the undisturbed spectra, each band's mean over its view taken away."""
        wanted, inside = levelled(batch.clean, batch.lengths)  # (2, B, T, 40), (2, B, T)
        rebuilt = self.decoder(frames).reshape(wanted.shape)
        error: Tensor = (rebuilt - wanted).square().mean(dim=3)[inside].mean()
        return error


def both_views(model: ConvolutionalEncoder, batch: ViewBatch) -> Tensor:
    """Frames (2, B, T', H) of both views, heard in one pass."""
    heard = model.hear(batch.features.flatten(0, 1), batch.lengths.flatten())
    return heard.reshape(2, -1, *heard.shape[1:])


def span_vectors(model: ConvolutionalEncoder, frames: Tensor, batch: ViewBatch, view: int) -> Tensor:
    """frames (B, T', H) of a view. Returns vectors (N, D) of the batch's spans in it."""
    start, stop = (batch.spans[view] / TICKS_PER_FRAME).T
    return model.pool(frames, batch.span_rows, start, stop)


def moment_frames(frames: Tensor, batch: ViewBatch) -> Tensor:
    """frames (2, B, T', H). Returns the frames (2, M, H) at the batch's moments."""
    at = (batch.moments / TICKS_PER_FRAME).long()
    return torch.stack([frames[v, batch.moment_rows, at[v]] for v in (0, 1)])


def levelled(clean: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """clean (2, B, T, 40), lengths (2, B). Returns it less each band's mean over its view, which is what a
    voice and a line sound like on the whole, and bool (2, B, T): within the lengths."""
    inside = torch.arange(clean.shape[2], device=clean.device) < lengths[..., None]
    mean = clean.sum(dim=2) / lengths[..., None]  # beyond the lengths clean is zero
    return (clean - mean[:, :, None]) * inside[..., None], inside


def nt_xent(pairs: Tensor, places: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding each vector's other view among all vectors, and the share that is found.

    pairs (2, n, D), rows of any length; places (2, n, 2): start and stop of what each row stands for. Rows
    that stand for overlapping stretches are no negatives of each other.
    """
    count = pairs.shape[1]
    unit = normalize(pairs.flatten(0, 1), dim=1)  # (2n, D)
    start, stop = places.flatten(0, 1).T
    barred = torch.maximum(start[:, None], start) < torch.minimum(stop[:, None], stop)  # (2n, 2n)
    own = torch.arange(2 * count, device=pairs.device)
    other = own.roll(count)
    barred[own, own] = True
    barred[own, other] = False
    logits = (unit @ unit.T / temperature).masked_fill(barred, -torch.inf)
    return cross_entropy(logits, other), (logits.argmax(dim=1) == other).float().mean()
