"""`ssl`: frames of a self-supervised network, HuBERT, WavLM or wav2vec 2.0, mapped to what tells words apart.

Hsu et al., "HuBERT", 2021, arXiv 2106.07447; Chen et al., "WavLM", 2022, arXiv 2110.13900. The networks are
torchaudio's pipelines. Their middle layers tell phones apart best (Pasad et al., "Layer-wise Analysis of a
Self-supervised Speech Representation Model", 2021), so the layer can be chosen. The map and the projection
are trained as Whisper's (`map_training`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from wordspot.models.audio import HOP_SAMPLES, SAMPLE_RATE
from wordspot.models.encoders.frame_map import MapConfig, MappedSpanModel
from wordspot.models.errors import BadInput, MissingWeights
from wordspot.models.registry import register

TICKS_PER_FRAME = 2
FRAME_SAMPLES = TICKS_PER_FRAME * HOP_SAMPLES
WINDOW_SAMPLES = 400  # that one frame of the networks sees before attention
PIECE_TICKS = 3_000  # attention costs the square of a piece

Load = Callable[[str], nn.Module]


@dataclass(frozen=True)
class SslConfig(MapConfig):
    """bundle: a name out of torchaudio.pipelines. layer: of its transformer, from 1."""

    states: int = 768
    bundle: str = "HUBERT_BASE"
    layer: int = 9


@register("ssl")
class Ssl(MappedSpanModel[SslConfig]):
    """The network's weights are no part of the artifact: torchaudio finds them in torch.hub's folder, or
    downloads them, when the first sound is to be heard."""

    Config = SslConfig
    ticks_per_frame = TICKS_PER_FRAME

    def __init__(self, config: SslConfig, load: Load | None = None) -> None:
        super().__init__(config)
        self._load = load or pretrained
        self._loading = threading.Lock()

    @property
    def listener(self) -> str:
        return f"{self.config.bundle}-{self.config.layer}".lower()

    def features(self, waveform: Tensor) -> Tensor:
        """The waveform itself, a tick a row: (T, HOP_SAMPLES)."""
        ticks = max(1, -(-len(waveform) // HOP_SAMPLES))
        return pad(waveform, (0, ticks * HOP_SAMPLES - len(waveform))).reshape(ticks, HOP_SAMPLES)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Nothing: the networks that want it bring the waveform to unit variance themselves."""
        return regions

    def states(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Every region by itself, for the networks' first norm runs over all that they hear."""
        count = -(-features.shape[1] // TICKS_PER_FRAME)
        out = features.new_zeros(len(features), count, self.config.states)
        for row, length in enumerate(lengths.tolist()):
            for first in range(0, length, PIECE_TICKS):
                piece = self._hear_piece(features[row, first : min(first + PIECE_TICKS, length)])
                begin = first // TICKS_PER_FRAME
                out[row, begin : begin + len(piece)] = piece
        return out

    def _hear_piece(self, ticks: Tensor) -> Tensor:
        """(T, HOP_SAMPLES) to (ceil(T / TICKS_PER_FRAME), states): frame i is centred on its 20 ms."""
        count = -(-len(ticks) // TICKS_PER_FRAME)
        around = (WINDOW_SAMPLES - FRAME_SAMPLES) // 2
        samples = ticks.flatten()
        samples = pad(samples, (around, around + count * FRAME_SAMPLES - len(samples)))
        with self._loading:
            network = self._network
        layers, _ = network.extract_features(samples[None], None, self.config.layer)
        states = layers[-1]  # (1, frames, states)
        if states.shape[1] != count:  # a network on another grid
            states = interpolate(states.transpose(1, 2), count, mode="linear").transpose(1, 2)
        return cast(Tensor, states[0])

    @cached_property
    def _network(self) -> Any:
        return self._load(self.config.bundle).to(self.projection.weight.device).eval().requires_grad_(False)


def pretrained(name: str) -> nn.Module:
    """The network of a torchaudio pipeline. Raises BadInput if there is none of that name, MissingWeights."""
    bundles = torchaudio.pipelines
    known = [one for one in bundles.__all__ if isinstance(getattr(bundles, one), bundles.Wav2Vec2Bundle)]
    if name not in known:
        raise BadInput(f"torchaudio has no self-supervised network {name!r}; there are {', '.join(known)}")
    bundle = getattr(bundles, name)
    if bundle.sample_rate != SAMPLE_RATE:
        raise BadInput(f"{name} hears {bundle.sample_rate} Hz; {SAMPLE_RATE} Hz is needed")
    try:
        network: nn.Module = bundle.get_model(dl_kwargs={"progress": False, "weights_only": True})
    except (OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise MissingWeights(
            f"{name}'s weights are neither in {folder} nor to be had from the network ({error}); "
            "put torchaudio's file of them there"
        ) from error
    return network
