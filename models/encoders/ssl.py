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
    """The shape of the map, and whose states it maps.

    Attributes:
        bundle: A name out of torchaudio.pipelines.
        layer: Of its transformer, from 1.
    """

    states: int = 768
    bundle: str = "HUBERT_BASE"
    layer: int = 9


@register("ssl")
class Ssl(MappedSpanModel[SslConfig]):
    """The network's weights are no part of the artifact: they are read from torch.hub's folder when
    they are first needed."""

    Config = SslConfig
    ticks_per_frame = TICKS_PER_FRAME

    def __init__(self, config: SslConfig, load: Load | None = None) -> None:
        super().__init__(config)
        self._load = load or pretrained
        self._loading = threading.Lock()

    @property
    def states_name(self) -> str:
        return f"{self.config.bundle}-{self.config.layer}".lower()

    def features(self, waveform: Tensor) -> Tensor:
        """Returns the waveform itself, a tick a row: (T, HOP_SAMPLES)."""
        ticks = max(1, -(-len(waveform) // HOP_SAMPLES))
        return pad(waveform, (0, ticks * HOP_SAMPLES - len(waveform))).reshape(ticks, HOP_SAMPLES)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Returns the regions: networks that need it bring the waveform to unit variance themselves."""
        return regions

    def states(self, features: Tensor, lengths: Tensor) -> Tensor:
        """As MappedSpanModel.states; each region by itself, for the networks' first norm is over all of their
        input."""
        count = -(-features.shape[1] // TICKS_PER_FRAME)
        out = features.new_zeros(len(features), count, self.config.states)
        for row, length in enumerate(lengths.tolist()):
            for first in range(0, length, PIECE_TICKS):
                piece = self._encode_piece(features[row, first : min(first + PIECE_TICKS, length)])
                begin = first // TICKS_PER_FRAME
                out[row, begin : begin + len(piece)] = piece
        return out

    def _encode_piece(self, ticks: Tensor) -> Tensor:
        """Returns states (ceil(T / TICKS_PER_FRAME), states) of ticks (T, HOP_SAMPLES); each is centred on
        its 20 ms."""
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
    """Returns the network of a torchaudio pipeline, from torch.hub's folder.

    Nothing is downloaded: torchaudio publishes no hash by which a download could be checked.

    Raises:
        BadInput: There is none of that name.
        MissingWeights: Its file is not there, or is not such a network's.
    """
    bundles = torchaudio.pipelines
    names = [
        entry for entry in bundles.__all__ if isinstance(getattr(bundles, entry), bundles.Wav2Vec2Bundle)
    ]
    if name not in names:
        raise BadInput(f"torchaudio has no self-supervised network {name!r}; there are {', '.join(names)}")
    bundle = getattr(bundles, name)
    if bundle.sample_rate != SAMPLE_RATE:
        raise BadInput(f"{name} hears {bundle.sample_rate} Hz; {SAMPLE_RATE} Hz is needed")
    path = Path(torch.hub.get_dir()) / "checkpoints" / bundle._path
    if not path.is_file():
        raise MissingWeights(
            f"{name}'s weights are not in the folder checkpoints of torch.hub (TORCH_HOME); put torchaudio's "
            f"{path.name} there"
        )
    try:
        network: nn.Module = bundle.get_model(dl_kwargs={"progress": False, "weights_only": True})
    except Exception as error:  # its many kinds of errors mean the same here
        raise MissingWeights(f"{path.name} does not hold {name}'s weights: {error}") from error
    return network
