"""`filterbank`: log-mel energies, normalised by what a recording and its corpus know together; not trained.

MFCC that are brought to unit variance each let the fine shape of a spectrum count as much as the broad one.
Here the bands are normalised before the cosine transform, and coefficients keep their natural weights, which
serves dynamic time warping between speakers better. Differences over 40 ms stand beside them (Furui, IEEE
Transactions on Acoustics, Speech, and Signal Processing 1986).

A short recording cannot tell its own mean and variance, so that both are shrunk towards those of a corpus
(the maximum a posteriori estimate of Gauvain and Lee, IEEE Transactions on Speech and Audio Processing 1994),
the more the less there is of it: so a word cut from its sentence comes closer to what it was in it.

A span is cut into equal parts, the mean frames of the parts stand side by side (Chung et al., Interspeech
2016, arXiv 1603.00982, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor
from torch.nn.functional import normalize

from wordspot.models import audio
from wordspot.models.encoders.convolutional import DECIBELS_PER_UNIT, loudness
from wordspot.models.encoders.pooled import part_means
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.registry import register

FLOOR_UNITS = -3.0  # below it, how quiet a silence is says nothing
LEAST_DEVIATION = 0.05


@dataclass(frozen=True)
class FilterbankConfig:
    """The shape of the features.

    Attributes:
        parts: Into which a span is cut.
        prior_ticks: How many ticks the corpus' statistics are worth.
        cepstra: Coefficients of a frame.
        level: Weight of the first of them.
        difference: Weight of all differences.
    """

    parts: int = 6
    prior_ticks: float = 50.0
    cepstra: int = 10
    level: float = 0.7
    difference: float = 1.0


@register("filterbank")
class Filterbank(SpanModel[FilterbankConfig]):
    """mean, deviation (40,): of the corpus, see `measure`."""

    Config = FilterbankConfig

    def __init__(self, config: FilterbankConfig) -> None:
        super().__init__(config)
        self.frame_dimension = 2 * config.cepstra
        self.dimension = config.parts * self.frame_dimension
        self.register_buffer("mean", torch.zeros(audio.MEL_BANDS))
        self.register_buffer("deviation", torch.ones(audio.MEL_BANDS))
        self.mean: Tensor
        self.deviation: Tensor

    def features(self, waveform: Tensor) -> Tensor:
        """Returns log-mel energies in dB, (T, 40)."""
        return audio.log_mel(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Returns regions with mean 0 and variance 1 in every band over the section, as far as it is long
        enough to know."""
        regions = _levelled(regions)
        ticks = torch.cat(regions)
        weight = len(ticks) / (len(ticks) + self.config.prior_ticks)
        mean = weight * ticks.mean(dim=0) + (1 - weight) * self.mean
        deviation = weight * ticks.std(dim=0, correction=0) + (1 - weight) * self.deviation
        return [(region - mean) / deviation.clamp_min(LEAST_DEVIATION) for region in regions]

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns unit rows (B, ceil(T / 2), 2 x cepstra) of features (B, T, 40) as `normalise` gives
        them."""
        count, step = self.config.cepstra, self.ticks_per_frame
        pooled = audio.pooled(features, lengths)[:, ::step]  # (B, T', 40)
        transform = torchaudio.functional.create_dct(count, audio.MEL_BANDS, norm="ortho")
        cepstra = pooled @ transform.to(features)  # (B, T', cepstra)
        cepstra = torch.cat([self.config.level * cepstra[..., :1], cepstra[..., 1:]], dim=2)
        last = (-(-lengths // step) - 1)[:, None]  # (B, 1)
        place = torch.arange(cepstra.shape[1], device=features.device)
        rows = torch.arange(len(cepstra), device=features.device)[:, None]
        change = cepstra[rows, (place + 1).minimum(last)] - cepstra[rows, (place - 1).clamp_min(0)]
        return normalize(torch.cat([cepstra, self.config.difference * change], dim=2), dim=2)

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        return self.embed_with_frames(features, lengths, spans)[0]

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.frames(features, lengths)
        region, start, stop = spans.T
        begin, end = (edge.double() / self.ticks_per_frame for edge in (start, stop))
        return part_means(frames, region, begin, end, self.config.parts), frames

    @torch.no_grad()
    def measure(self, clips: Iterable[Tensor]) -> None:
        """Takes the corpus' statistics from clips, log-mel energies in dB (T_i, 40) each."""
        ticks = torch.cat([_levelled([clip])[0] for clip in clips])
        self.mean.copy_(ticks.mean(dim=0))
        self.deviation.copy_(ticks.std(dim=0, correction=0))


def _levelled(regions: list[Tensor]) -> list[Tensor]:
    """Takes loudness away: the mean level of the louder half of the section's ticks becomes 0."""
    level = loudness(torch.cat(regions)[None])[0]
    return [((region - level) / DECIBELS_PER_UNIT).clamp_min(FLOOR_UNITS) for region in regions]
