"""`contrastive`: a convolutional network that learns from the sound of an archive alone, without any label.

Two views of one stretch are trained to be nearer to each other than to anything else in the batch (NT-Xent,
equation 1 of Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
arXiv 2002.05709): the vectors of its spans, and the frames at its moments, so that the frames serve DTW.
Beside that every frame reconstructs its undisturbed spectra, so that it keeps the phonetic content. Later
rounds add similar stretches of different recordings, mined with the network itself (`mining.py`; Algayres et
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
MOMENT_TICKS = 8.0  # nearer than that, two moments are no negatives
RECONSTRUCTION_WEIGHT = 0.3
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
        spans, accuracy = nt_xent(vectors, batch.span_places, SPAN_TEMPERATURE)
        around = torch.stack([batch.moment_places - MOMENT_TICKS, batch.moment_places + MOMENT_TICKS], dim=2)
        moments, _ = nt_xent(moment_frames(frames, batch), around, FRAME_TEMPERATURE)
        error = self._reconstruction_error(frames, batch)
        figures = {"spans": spans, "moments": moments, "reconstruction": error, "accuracy": accuracy}
        value = spans + moments + RECONSTRUCTION_WEIGHT * error
        return Loss(value, {name: float(figure.detach()) for name, figure in figures.items()})

    def _reconstruction_error(self, frames: Tensor, batch: ViewBatch) -> Tensor:
        """Returns the squared error of the undisturbed spectra less each band's mean over its view."""
        targets, inside = levelled(batch.clean, batch.lengths)  # (2, B, T, 40), (2, B, T)
        reconstruction = self.decoder(frames).reshape(targets.shape)
        error: Tensor = (reconstruction - targets).square().mean(dim=3)[inside].mean()
        return error


def both_views(model: ConvolutionalEncoder, batch: ViewBatch) -> Tensor:
    """Returns frames (2, B, T', H) of both views, computed in one pass."""
    frames = model.frames(batch.features.flatten(0, 1), batch.lengths.flatten())
    return frames.reshape(2, -1, *frames.shape[1:])


def span_vectors(model: ConvolutionalEncoder, frames: Tensor, batch: ViewBatch, view: int) -> Tensor:
    """Returns vectors (N, D) of the batch's spans in a view, of its frames (B, T', H)."""
    start, stop = (batch.spans[view] / TICKS_PER_FRAME).T
    return model.pool(frames, batch.span_rows, start, stop)


def moment_frames(frames: Tensor, batch: ViewBatch) -> Tensor:
    """Returns the frames (2, M, H) at the batch's moments, of frames (2, B, T', H)."""
    at = (batch.moments / TICKS_PER_FRAME).long()
    return torch.stack([frames[v, batch.moment_rows, at[v]] for v in (0, 1)])


def levelled(clean: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the spectra less each band's mean over its view, which is what a voice and a channel sound like
    on the whole, and a mask, bool (2, B, T), of what is within the lengths.

    clean: (2, B, T, 40). lengths: (2, B), in ticks.
    """
    inside = torch.arange(clean.shape[2], device=clean.device) < lengths[..., None]
    mean = clean.sum(dim=2) / lengths[..., None]  # beyond the lengths clean is zero
    return (clean - mean[:, :, None]) * inside[..., None], inside


def nt_xent(pairs: Tensor, places: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Returns the cross-entropy of classifying each vector's other view among all vectors, and the accuracy.

    Chen et al. 2020, equation 1. Rows that stand for overlapping stretches are no negatives of each other.

    Args:
        pairs: (2, n, D), rows of any length.
        places: (2, n, 2), start and stop of the stretch that each row stands for.
        temperature: By which the cosine similarities are divided.
    """
    count = pairs.shape[1]
    unit = normalize(pairs.flatten(0, 1), dim=1)  # (2n, D)
    start, stop = places.flatten(0, 1).T
    masked = torch.maximum(start[:, None], start) < torch.minimum(stop[:, None], stop)  # (2n, 2n)
    row = torch.arange(2 * count, device=pairs.device)
    other = row.roll(count)
    masked[row, row] = True
    masked[row, other] = False
    logits = (unit @ unit.T / temperature).masked_fill(masked, -torch.inf)
    return cross_entropy(logits, other), (logits.argmax(dim=1) == other).float().mean()
