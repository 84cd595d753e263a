"""A convolutional network over log-mel spectra, cheap on a CPU, which `contrastive` and `correspondence`
share.

Two strided convolutions bring 10 ms ticks to steps of 40 ms, dilated residual convolutions have a context of
about 0.7 s on each side, and every step yields two frames of 20 ms. What lies beyond a region is silence to
every layer, so that padding changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad, relu

from wordspot.models import audio
from wordspot.models.encoders.pooled import PooledSpanModel

TICKS_PER_STEP = 4
FRAMES_PER_STEP = 2
DECIBELS_PER_UNIT = 15.0
FLOOR_UNITS = -4.0  # below it, how quiet a silence is says nothing
STEPS_AT_ONCE = 1_500  # on a CPU: what the layers hand on then stays in its cache


@dataclass(frozen=True)
class ConvolutionalConfig:
    """The shape of the network.

    Attributes:
        width: Channels of the trunk.
        dilations: Of its blocks, one each.
        frame_dimension: Of frame features.
        dimension: Of vectors.
        parts: Into which a span is cut.
    """

    width: int = 256
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4, 1, 2)
    frame_dimension: int = 64
    dimension: int = 64
    parts: int = 3


class _Block(nn.Module):
    """x + relu(norm(conv(x))), the norm's statistics fixed after training, so that it costs nothing."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        return (x + relu(self.norm(self.conv(x)))) * inside


class ConvolutionalEncoder(PooledSpanModel[ConvolutionalConfig]):
    """The network; subclasses define how it is trained."""

    Config = ConvolutionalConfig
    family = "convolutional"

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__(config)
        self.parts = config.parts
        self.dimension, self.frame_dimension = config.dimension, config.frame_dimension
        self.stem = nn.ModuleList(
            [
                nn.Conv1d(audio.MEL_BANDS, config.width // 2, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm1d(config.width // 2),
                nn.Conv1d(config.width // 2, config.width, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm1d(config.width),
            ]
        )
        self.blocks = nn.ModuleList([_Block(config.width, dilation) for dilation in config.dilations])
        self.output = nn.Conv1d(config.width, FRAMES_PER_STEP * config.frame_dimension, 1)
        self.projection = nn.Linear(config.parts * config.frame_dimension, config.dimension)
        self._folded: _Folded | None = None

    def freeze(self) -> None:
        self._folded = _Folded.of(self)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; training forgets the convolutions that were folded with their normalisation."""
        if mode:
            self._folded = None
        return super().train(mode)

    def graph(self) -> nn.Module:
        return _Graph(_Folded.of(self))

    def features(self, waveform: Tensor) -> Tensor:
        """Returns log-mel energies in dB, (T, 40)."""
        return audio.log_mel(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Normalises loudness: the mean level of the louder half of the section's ticks becomes 0."""
        level = loudness(torch.cat(regions)[None])[0]
        return [((region - level) / DECIBELS_PER_UNIT).clamp_min(FLOOR_UNITS) for region in regions]

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns unit rows (B, ceil(T / 2), H) of features (B, T, 40) as `normalise` gives them."""
        if self._folded is not None:
            return self._folded.frames(features, lengths)
        ticks = features.shape[1]
        x = features.transpose(1, 2)  # (B, 40, T)
        x = x * _inside(lengths, x.shape[2])
        for conv, norm, step in ((self.stem[0], self.stem[1], 2), (self.stem[2], self.stem[3], 4)):
            x = relu(norm(conv(x)))
            x = x * _inside(-(-lengths // step), x.shape[2])
        inside = _inside(-(-lengths // TICKS_PER_STEP), x.shape[2])
        for block in self.blocks:
            x = block(x, inside)
        out = self.output(x).transpose(1, 2)  # (B, steps, 2 x H)
        frames = out.reshape(len(out), -1, self.config.frame_dimension)  # (B, 2 x steps, H)
        return normalize(frames[:, : -(-ticks // self.ticks_per_frame)], dim=2)


@dataclass(frozen=True)
class _Layer:
    """A convolution with its norm folded in.

    Attributes:
        taps: float32 (kernel, in, out), a matrix for each place of the kernel.
        bias: float32 (out,).
    """

    taps: Tensor
    bias: Tensor

    @classmethod
    def of(cls, conv: nn.Conv1d, norm: nn.BatchNorm1d | None = None) -> _Layer:
        weight = conv.weight.detach().double()  # (out, in, kernel)
        if norm is None:
            assert conv.bias is not None
            bias = conv.bias.detach().double()
        else:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = weight * scale[:, None, None]
            bias = norm.bias.detach().double() - norm.running_mean.double() * scale
        return cls(weight.permute(2, 1, 0).float().contiguous(), bias.float())

    def __call__(self, rows: Tensor, places: int, stride: int = 1, dilation: int = 1) -> Tensor:
        """Returns (places, out) of rows (R, in): row i from the rows i x stride + k x dilation for each k."""
        parts = [rows[k * dilation :][: (places - 1) * stride + 1 : stride] for k in range(len(self.taps))]
        out = torch.addmm(self.bias, parts[0], self.taps[0])
        for part, tap in zip(parts[1:], self.taps[1:], strict=True):
            out.addmm_(part, tap)
        return out


@dataclass(frozen=True)
class _Folded:
    """The network when it no longer trains, faster than the layers it is made of.

    All regions lie in one matrix of a row a step, with silence of at least the widest dilation between
    them, so that a layer is a few matrix products and nothing is padding.
    """

    stem: tuple[_Layer, _Layer]
    blocks: tuple[_Layer, ...]
    output: _Layer
    dilations: tuple[int, ...]
    frame_dimension: int

    @classmethod
    def of(cls, model: ConvolutionalEncoder) -> _Folded:
        first, first_norm, second, second_norm = cast("tuple[Any, Any, Any, Any]", tuple(model.stem))
        blocks = cast("list[_Block]", list(model.blocks))
        return cls(
            (_Layer.of(first, first_norm), _Layer.of(second, second_norm)),
            tuple(_Layer.of(block.conv, block.norm) for block in blocks),
            _Layer.of(model.output),
            model.config.dilations,
            model.config.frame_dimension,
        )

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """As ConvolutionalEncoder.frames."""
        frames = -(-features.shape[1] // FRAMES_PER_STEP)
        if features.device.type != "cpu":
            return self._packed(features, lengths, frames)
        frames_by_row = features.new_zeros(len(features), frames, self.frame_dimension)
        steps = (-(-lengths // TICKS_PER_STEP)).tolist()
        first = 0
        while first < len(steps):
            last, total = first + 1, steps[first]
            while last < len(steps) and total + steps[last] <= STEPS_AT_ONCE:
                total += steps[last]
                last += 1
            longest = int(lengths[first:last].max())
            part = self._packed(features[first:last, :longest], lengths[first:last], -(-longest // 2))
            frames_by_row[first:last, : part.shape[1]] = part
            first = last
        return frames_by_row

    def _packed(self, features: Tensor, lengths: Tensor, frames: int) -> Tensor:
        gap = max(*self.dilations, 2)
        steps = -(-lengths // TICKS_PER_STEP)
        begin = gap + (steps + gap).cumsum(0) - (steps + gap)  # (B,) each region's first row
        total = int(begin[-1] + steps[-1])
        places = torch.arange(total, device=features.device)
        region = (torch.searchsorted(begin, places, right=True) - 1).clamp_min(0)

        def outside(ticks: int) -> tuple[Tensor, Tensor]:
            """Returns the place within the region, and the rows outside any, at so many ticks a row."""
            a_step = TICKS_PER_STEP // ticks
            place = torch.arange(total * a_step, device=features.device)
            place = place - (begin[region] * a_step).repeat_interleave(a_step)
            size = (-(-lengths // ticks))[region].repeat_interleave(a_step)
            return place, ((place < 0) | (place >= size)).nonzero()[:, 0]

        place, silent = outside(1)
        owner = region.repeat_interleave(TICKS_PER_STEP)
        x = features[owner, place.clamp(0, features.shape[1] - 1)].index_fill_(0, silent, 0)
        for layer, ticks in zip(self.stem, (2, 4), strict=True):
            x = layer(pad(x, (0, 0, 2, 2)), total * TICKS_PER_STEP // ticks, stride=2).relu_()
            silent = outside(ticks)[1]
            x.index_fill_(0, silent, 0)
        x = pad(x, (0, 0, gap, gap))  # (gap + total + gap, width)
        inner = x[gap : gap + total]
        for layer, dilation in zip(self.blocks, self.dilations, strict=True):
            more = layer(x[gap - dilation :], total, dilation=dilation).relu_()
            inner += more.index_fill_(0, silent, 0)
        out = normalize(self.output(inner, total).view(-1, self.frame_dimension), dim=1)
        at = FRAMES_PER_STEP * begin[:, None] + torch.arange(frames, device=features.device)  # (B, frames)
        return out[at.clamp_max(len(out) - 1)]


class _Graph(nn.Module):
    """`_Folded` for one region, as a graph of few large matrix products: a layer's taps stand side by side in
    one matrix."""

    def __init__(self, folded: _Folded) -> None:
        super().__init__()
        self.dilations, self.frame_dimension = folded.dilations, folded.frame_dimension
        layers = (*folded.stem, *folded.blocks, folded.output)
        matrices = (layer.taps.reshape(-1, layer.taps.shape[2]) for layer in layers)  # (kernel x in, out)
        self.weights = nn.ParameterList(nn.Parameter(matrix, requires_grad=False) for matrix in matrices)
        self.biases = [layer.bias for layer in layers]

    def forward(self, features: Tensor) -> Tensor:
        """Returns unit rows (2 x ceil(T / TICKS_PER_STEP), H) of features (T, 40)."""
        x = features
        for number in range(2):
            count = (x.shape[0] + 1) // 2  # traced, as len() would not be
            rows = pad(x, (0, 0, 2, 3))
            even, odd = rows[::2], rows[1::2]  # of a kernel of 5 at stride 2
            parts = [even[:count], odd[:count], even[1 : count + 1], odd[1 : count + 1], even[2 : count + 2]]
            x = self._layer(number, parts).relu()
        count = x.shape[0]
        for number, dilation in enumerate(self.dilations, 2):
            rows = pad(x, (0, 0, dilation, dilation))
            parts = [rows[k * dilation : k * dilation + count] for k in range(3)]
            x = x + self._layer(number, parts).relu()
        return normalize(self._layer(-1, [x]).view(-1, self.frame_dimension), dim=1)

    def _layer(self, number: int, parts: list[Tensor]) -> Tensor:
        out: Tensor = torch.cat(parts, dim=1) @ self.weights[number] + self.biases[number]
        return out


def loudness(spectra: Tensor) -> Tensor:
    """Returns the mean over bands and the louder half of the ticks, (B,), of spectra (B, T, 40) in dB."""
    level = spectra.mean(dim=2)
    return level.topk(max(1, level.shape[1] // 2), dim=1).values.mean(dim=1)


def _inside(lengths: Tensor, width: int) -> Tensor:
    """Returns (B, 1, width): 1 before each length, 0 from it on."""
    places = torch.arange(width, device=lengths.device)
    return (places < lengths[:, None]).float()[:, None]
