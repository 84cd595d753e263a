"""SA and DSA: audio word to vector by a sequence-to-sequence auto-encoder.

Chung, Wu, Shen, Lee, Lee: "Audio Word2Vec: Unsupervised Learning of Audio Segment Representations using
Sequence-to-sequence Autoencoder", Interspeech 2016, arXiv 1603.00982. A recurrent encoder reads the
acoustic features of a segment, its last state is the vector; a recurrent decoder rebuilds the features
from the vector alone; both are trained jointly on the squared error (equation 2). The de-noising variant
reads a noisy segment and rebuilds the clean one (section 2.3).

Departures: gated recurrent units instead of LSTM; 39 MFCC every 20 ms instead of 13 every 10 ms; the
decoder gets the vector at every step instead of its own last output, which trains faster and keeps the
decoder from leaning on anything but the vector; vectors are centred and scaled by statistics of the
training segments, since the last states of all segments share a large common part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from wordspot.models import audio
from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.segments import SegmentBatch
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.model import Loss
from wordspot.models.registry import register

RUNS_AT_ONCE = 512


@dataclass(frozen=True)
class SequenceAutoencoderConfig:
    """The shape of the network.

    Attributes:
        hidden: Size of the vector and of the decoder's state.
        layers: Of the recurrent networks.
    """

    hidden: int = 256
    layers: int = 1


@register("sa")
class SequenceAutoencoder(SpanModel[SequenceAutoencoderConfig]):
    """Encoder and decoder, trained to rebuild the segment."""

    Config = SequenceAutoencoderConfig
    capabilities = frozenset({"embed", "encode", "decode"})

    def __init__(self, config: SequenceAutoencoderConfig) -> None:
        super().__init__(config)
        self.dimension = config.hidden
        self.encoder = nn.GRU(audio.MFCC_SIZE, config.hidden, config.layers, batch_first=True)
        self.decoder = nn.GRU(config.hidden, config.hidden, config.layers, batch_first=True)
        self.output = nn.Linear(config.hidden, audio.MFCC_SIZE)
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", torch.zeros(config.hidden))
        self.register_buffer("scale", torch.ones(config.hidden))

    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Returns the last states (B, hidden) of frames (B, T, 39). lengths (B,) in frames."""
        return self._states(frames)[torch.arange(len(lengths)), lengths - 1]

    def decode(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Returns frames (B, T, 39) of vectors (B, hidden) as `encode` gives them; what lies beyond a
        length means nothing. lengths (B,) in frames."""
        every_step = vectors[:, None].expand(-1, int(lengths.max()), -1)
        reconstruction: Tensor = self.output(self.decoder(every_step)[0])
        return reconstruction

    def encoder_input(self, batch: SegmentBatch) -> Tensor:
        """Returns the input of the encoder in training, (B, T, 39)."""
        return batch.clean

    def loss(self, player: str, batch: SegmentBatch, rng: Generator) -> Loss:
        """Returns the mean squared error over all frames that are not padding."""
        reconstruction = self.decode(self.encode(self.encoder_input(batch), batch.lengths), batch.lengths)
        error = (reconstruction - batch.clean).square().mean(dim=2)  # (B, T)
        mask = torch.arange(error.shape[1], device=error.device) < batch.lengths[:, None]
        value = error[mask].mean()
        return Loss(value, {"mse": float(value.detach())})

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[SegmentBatch]) -> None:
        vectors = torch.cat([self.encode(batch.clean, batch.lengths) for batch in batches])
        self.centre.copy_(vectors.mean(dim=0))
        self.scale.copy_(1.0 / vectors.std(dim=0).clamp_min(1e-3))

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        """Spans that start together are prefixes of one sequence, and the state after a prefix is its
        vector: one run a start serves all its lengths."""
        doubled = audio.pooled(features, lengths)  # (B, T, 39): a 20 ms frame from every tick on
        region, start, stop = spans.T
        steps = (stop - start + 1) // 2
        key, run = torch.unique(region * features.shape[1] + start, return_inverse=True)
        run_steps = torch.zeros_like(key).scatter_reduce(0, run, steps, "amax")
        vectors = features.new_empty(len(spans), self.dimension)
        order = run_steps.argsort(descending=True)  # runs of like length share a batch
        place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        by_batch = (place[run] // RUNS_AT_ONCE).argsort(stable=True)
        bounds = torch.bincount(place[run] // RUNS_AT_ONCE).cumsum(0).tolist()
        begin = 0
        for index, end in enumerate(bounds):
            check_cancelled()
            chosen = order[index * RUNS_AT_ONCE : (index + 1) * RUNS_AT_ONCE]
            members = by_batch[begin:end]
            begin = end
            longest = int(run_steps[chosen[0]])
            ticks = (key[chosen] % features.shape[1])[:, None] + 2 * torch.arange(
                longest, device=features.device
            )
            rows = (key[chosen] // features.shape[1])[:, None]
            frames = doubled[rows, ticks.clamp_max(features.shape[1] - 1)]  # (runs, longest, 39)
            states = self._states(frames)
            vectors[members] = states[place[run[members]] % RUNS_AT_ONCE, steps[members] - 1]
        return (vectors - self.centre) * self.scale

    def _states(self, frames: Tensor) -> Tensor:
        """Returns top-layer states (B, T, hidden) after each frame; padding comes last and so changes
        nothing."""
        states: Tensor = self.encoder(frames)[0]
        return states


@register("dsa")
class DenoisingSequenceAutoencoder(SequenceAutoencoder):
    """Encodes the noisy segment, reconstructs the clean one."""

    def encoder_input(self, batch: SegmentBatch) -> Tensor:
        return batch.noisy
