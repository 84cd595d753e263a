"""`correspondence`: an auto-encoder that reconstructs not its input but what corresponds to it.

Kamper, "Truly unsupervised acoustic word embeddings using weak top-down constraints in encoder-decoder
models", ICASSP 2019, arXiv 1811.00403: a vector is made of one stretch of speech, and from it the other
member of a pair is reconstructed, so that the vector holds what both have in common. First the other member
is the stretch itself, undisturbed; then pairs that the encoder found by itself in the archive (`mining.py`).
Frames do the same for the frame that corresponds (Kamper et al., ICASSP 2015), so that they serve DTW.

Departures: a convolutional network whose frames are pooled instead of recurrent ones; the other member is
rebuilt as twelve means of equal parts; pairs come from the encoder instead of a term discovery system.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from wordspot.models import audio
from wordspot.models.datasets.views import ViewBatch
from wordspot.models.encoders.contrastive import both_views, levelled, moment_frames, span_vectors
from wordspot.models.encoders.convolutional import ConvolutionalConfig, ConvolutionalEncoder
from wordspot.models.encoders.pooled import part_means
from wordspot.models.model import Loss
from wordspot.models.registry import register

STEPS = 12  # of a rebuilt span
HIDDEN = 256


@register("correspondence")
class Correspondence(ConvolutionalEncoder):
    """The network, and decoders of vectors and frames that only training needs."""

    capabilities = frozenset({"embed", "decode"})

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__(config)
        self.decoder = _decoder(config.dimension, STEPS * audio.MEL_BANDS)
        self.frame_decoder = _decoder(config.frame_dimension, audio.MEL_BANDS)

    def decode(self, vectors: Tensor) -> Tensor:
        """Returns the stretches of vectors (N, dimension) in twelve equal parts, as `levelled`: (N, 12,
        40)."""
        unit = nn.functional.normalize(vectors, dim=1)
        reconstruction: Tensor = self.decoder(unit).reshape(-1, STEPS, audio.MEL_BANDS)
        return reconstruction

    def loss(self, player: str, batch: ViewBatch, rng: Generator) -> Loss:
        """Returns the mean squared error of reconstructing each view from the other."""
        frames = both_views(self, batch)  # (2, B, T', H)
        clean, _ = levelled(batch.clean, batch.lengths)  # (2, B, T, 40)
        at_moments = moment_frames(frames, batch)  # (2, M, H)
        errors, frame_errors = [], []
        for view, other in ((0, 1), (1, 0)):
            start, stop = batch.spans[other].T
            targets = part_means(clean[other], batch.span_rows, start, stop, STEPS)
            reconstruction = self.decode(span_vectors(self, frames[view], batch, view)).flatten(1)
            errors.append((reconstruction - targets).square().mean())
            moment = clean[other, batch.moment_rows, batch.moments[other].long()]  # (M, 40)
            frame_errors.append((self.frame_decoder(at_moments[view]) - moment).square().mean())
        spans, moments = torch.stack(errors).mean(), torch.stack(frame_errors).mean()
        return Loss(spans + moments, {"spans": float(spans.detach()), "moments": float(moments.detach())})


def _decoder(size: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))
