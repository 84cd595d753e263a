"""A small trained map on the frames of a large network that stays as it is.

The large network's frames ("states") are centred and whitened, and a residual network maps them to frame
features that tell words apart. `whisper` and `ssl` differ in whose states they map; `map_training` trains the
map.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from wordspot.models.encoders.pooled import PooledSpanModel

MAX_DEVIATIONS = 6.0  # deviations from the mean that a whitened dimension may show
OUTPUT_SCALE = 0.3  # scale of the residual's first weights


@dataclass(frozen=True)
class MapConfig:
    """The shape of the map.

    Attributes:
        states: Size of the large network's frames.
        whitened: Dimensions that are left after whitening.
        hidden: Channels of the residual network.
        frame_dimension: Of frame features.
        dimension: Of vectors.
        parts: Into which a span is cut.
    """

    states: int = 512
    whitened: int = 192
    hidden: int = 320
    frame_dimension: int = 64
    dimension: int = 64
    parts: int = 3


MapConfigT = TypeVar("MapConfigT", bound=MapConfig)


class FrameMap(nn.Module):
    """States (B, T, states) to frame features (B, T, frame_dimension): whitening, then a residual network
    that looks 40 ms to each side. Before training it passes on the first whitened dimensions."""

    def __init__(self, config: MapConfig) -> None:
        super().__init__()
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", torch.zeros(config.states))
        self.register_buffer("whitening", torch.eye(config.states, config.whitened))
        self.input = nn.Conv1d(config.whitened, config.hidden, 1)
        self.around = nn.Conv1d(config.hidden, config.hidden, 5, padding=2, groups=4)
        self.mixed = nn.Conv1d(config.hidden, config.hidden, 1)
        self.output = nn.Conv1d(config.hidden, config.frame_dimension, 1)
        self.straight = nn.Conv1d(config.whitened, config.frame_dimension, 1)
        with torch.no_grad():
            self.output.weight.mul_(OUTPUT_SCALE)
            self.straight.weight.copy_(torch.eye(config.frame_dimension, config.whitened)[..., None])
            self.straight.bias.zero_()  # type: ignore[union-attr]

    @torch.no_grad()
    def measure(self, states: Tensor) -> None:
        """Fixes mean and whitening by the principal components of a sample of states (n, states)."""
        rows = states.double()
        mean = rows.mean(dim=0)
        variance, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))  # ascending
        largest = torch.arange(len(variance) - 1, len(variance) - 1 - self.whitening.shape[1], -1)
        self.mean.copy_(mean)
        self.whitening.copy_(axes[:, largest] / variance[largest].clamp_min(1e-9).sqrt())

    def whiten(self, states: Tensor) -> Tensor:
        """Returns whitened states (..., whitened) of states (..., states)."""
        return ((states - self.mean) @ self.whitening).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)

    def forward(self, states: Tensor) -> Tensor:
        """Returns mapped states (..., D) of an encoder's states (..., H), which are whitened first."""
        return self.mapped(self.whiten(states))

    def mapped(self, whitened: Tensor, inside: Tensor | None = None) -> Tensor:
        """Returns frame features (B, T, frame_dimension) of whitened states (B, T, whitened).

        inside: bool (B, T), False for padding, which then changes nothing.
        """
        x = whitened.transpose(1, 2)
        h = self._hidden(x, inside)
        out: Tensor = (self.output(h) + self.straight(x)).transpose(1, 2)
        return out

    @torch.no_grad()
    def fit_output(self, whitened: Sequence[Tensor], targets: Sequence[Tensor], ridge: float = 1e-3) -> None:
        """Sets the last layer by ridge regression.

        whitened: states (T_i, whitened) of clips. targets: (T_i, frame_dimension), what their frame features
        should be. ridge: penalty of squared weights, a row.
        """
        gram = product = torch.zeros(1, dtype=torch.float64)
        count = 0
        for rows, row_targets in zip(whitened, targets, strict=True):
            x = rows.T[None]
            inputs = torch.cat([self._hidden(x)[0], x[0], torch.ones_like(x[0, :1])]).double()
            gram = gram + inputs @ inputs.T
            product = product + inputs @ row_targets.double()
            count += len(rows)
        penalty = ridge * count * torch.eye(len(gram), dtype=torch.float64)
        penalty[-1, -1] = 0
        solved = torch.linalg.solve(gram + penalty, product).T.float()  # (frame_dimension, inputs)
        hidden = self.output.weight.shape[1]
        self.output.weight.copy_(solved[:, :hidden, None])
        self.straight.weight.copy_(solved[:, hidden:-1, None])
        self.output.bias.copy_(solved[:, -1])  # type: ignore[union-attr]
        self.straight.bias.zero_()  # type: ignore[union-attr]

    def _hidden(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """Returns the hidden layer (B, hidden, T) of x (B, whitened, T)."""
        h = gelu(self.input(x))
        if inside is not None:
            h = h * inside[:, None]
        out: Tensor = h + gelu(self.mixed(gelu(self.around(h))))
        return out


class MappedSpanModel(PooledSpanModel[MapConfigT]):
    """A map on the states of a large network, which subclasses provide and which is no part of the
    artifact."""

    def __init__(self, config: MapConfigT) -> None:
        super().__init__(config)
        self.parts = config.parts
        self.dimension, self.frame_dimension = config.dimension, config.frame_dimension
        self.map = FrameMap(config)
        self.projection = nn.Linear(config.parts * config.frame_dimension, config.dimension)

    @property
    @abstractmethod
    def states_name(self) -> str:
        """The large network's name, as part of a file name: equal names, equal states."""

    @abstractmethod
    def states(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns states (B, ceil(T / ticks_per_frame), states), zero beyond a region's length.

        features: (B, T, F), padded. lengths: int64 (B,), in ticks. Raises MissingWeights.
        """

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        states = self.states(features, lengths)
        frames = states.new_zeros(*states.shape[:2], self.frame_dimension)
        for row, length in enumerate(lengths.tolist()):
            count = -(-length // self.ticks_per_frame)
            frames[row, :count] = normalize(self.map(states[row : row + 1, :count])[0], dim=1)
        return frames

    @torch.inference_mode()
    def states_of(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float16]]:
        """Returns for each waveform its states (ceil(ticks / ticks_per_frame), states).

        waveforms: float32 (samples,) at 16 kHz, each normalised by itself. Raises MissingWeights.
        """
        device = self.projection.weight.device
        regions = [
            self.normalise([self.features(torch.from_numpy(waveform).to(device))])[0]
            for waveform in waveforms
        ]
        lengths = torch.tensor([len(region) for region in regions], device=device)
        states = self.states(nn.utils.rnn.pad_sequence(regions, batch_first=True), lengths)
        counts = [-(-len(region) // self.ticks_per_frame) for region in regions]
        return [row[:count].half().cpu().numpy() for row, count in zip(states, counts, strict=True)]
