"""`wordspot`: a Transformer encoder, initialised with the smallest Whisper and trained to tell words apart.

Two convolutions and pre-norm Transformer blocks with sinusoidal positions (Radford et al., "Robust Speech
Recognition via Large-Scale Weak Supervision", 2022), and on top a small residual network (`frame_map`) that
maps each frame of 20 ms to 64 numbers. All of it is trained (`transformer_training`). Each speech region is
encoded by itself, between short silences; one of more than 6 s in pieces that overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize, scaled_dot_product_attention

from wordspot.models.cancellation import check_cancelled
from wordspot.models.encoders.frame_map import FrameMap, MapConfig
from wordspot.models.encoders.pooled import PooledSpanModel
from wordspot.models.encoders.whisper import MEL_BANDS, log_mel, scaled
from wordspot.models.registry import register
from wordspot.models.runtime.pieces import (
    EDGE_TICKS,
    QUERY_PADDING_TICKS,
    TICKS_PER_FRAME,
    Piece,
    pieces_of,
)

MAX_FRAMES = 1_000 // TICKS_PER_FRAME
SLOWEST_PERIOD = 10_000
TICKS_AT_ONCE = 24_000  # on a GPU


@dataclass(frozen=True)
class TransformerConfig(MapConfig):
    """The shape of the network.

    Attributes:
        states: Width of the blocks.
        layers: Number of blocks.
        heads: Attention heads of each block.
        feed_forward: Hidden units of each block's feed-forward layer.
    """

    states: int = 384
    layers: int = 4
    heads: int = 6
    feed_forward: int = 1_472


class Attention(nn.Module):
    """Multi-head self-attention; keys have no bias, as in Whisper."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, attended: Tensor | None = None) -> Tensor:
        """Returns (B, T, width) of x (B, T, width).

        attended: bool, broadcast to (B, heads, T, T), which keys are attended to; None for all.
        """
        batch, length, width = x.shape
        q, k, v = (
            part(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )  # (B, heads, T, width / heads)
        mixed = scaled_dot_product_attention(q, k, v, attended).transpose(1, 2).reshape(batch, length, width)
        out: Tensor = self.output(mixed)
        return out


class TransformerBlock(nn.Module):
    """A pre-norm block: self-attention, then a feed-forward layer, each with a residual connection."""

    def __init__(self, width: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feed_forward)
        self.contract = nn.Linear(feed_forward, width)

    def forward(self, x: Tensor, attended: Tensor | None = None) -> Tensor:
        """Returns states (B, T, D) of states (B, T, D).

        attended: bool, which positions are attended to; None for all.
        """
        x = x + self.attention(self.attention_norm(x), attended)
        out: Tensor = x + self.contract(gelu(self.expand(self.norm(x))))
        return out


@register("transformer")
class Transformer(PooledSpanModel[TransformerConfig]):
    """Convolutions, Transformer blocks, and the map of frames."""

    Config = TransformerConfig
    ticks_per_frame = TICKS_PER_FRAME
    query_padding = QUERY_PADDING_TICKS
    family = "transformer"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.parts = config.parts
        self.dimension, self.frame_dimension = config.dimension, config.frame_dimension
        width = config.states
        self.first = nn.Conv1d(MEL_BANDS, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            [TransformerBlock(width, config.heads, config.feed_forward) for _ in range(config.layers)]
        )
        self.norm = nn.LayerNorm(width)
        self.map = FrameMap(config)
        self.projection = nn.Linear(config.parts * config.frame_dimension, config.dimension)
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(MAX_FRAMES, width), persistent=False)

    def features(self, waveform: Tensor) -> Tensor:
        """Returns log10 of 80 bands' power, (T, 80)."""
        return log_mel(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        return scaled(regions)

    def states(self, features: Tensor, inside: Tensor | None = None, origin: Tensor | None = None) -> Tensor:
        """Returns the last block's states (B, T / 2, states), normalised.

        Args:
            features: float32 (B, 80, T) as `normalise` gives them, T even.
            inside: bool (B, T), False for padding at the end of a row, which then changes nothing.
            origin: int64 (B,), the position of each row's first frame; 0 where it is None.
        """
        attended = None
        if inside is not None:
            features = features * inside[:, None]
        x = gelu(self.first(features))
        if inside is not None:
            x = x * inside[:, None]
            attended = inside[:, None, None, ::TICKS_PER_FRAME]  # (B, 1, 1, T / 2): of keys
        x = gelu(self.second(x)).transpose(1, 2)  # (B, T / 2, states)
        if origin is None:
            x = x + self.positions[: x.shape[1]]
        else:
            x = x + self.positions[origin[:, None] + torch.arange(x.shape[1], device=x.device)]
        for block in self.blocks:
            x = block(x, attended)
        out: Tensor = self.norm(x)
        return out

    def forward(self, features: Tensor, inside: Tensor | None = None, origin: Tensor | None = None) -> Tensor:
        """Returns frame features (B, T / 2, frame_dimension), not of unit length; arguments as of
        `states`."""
        whitened = self.map.whiten(self.states(features, inside, origin))
        frames = None if inside is None else inside[:, ::TICKS_PER_FRAME]
        return self.map.mapped(whitened, frames)

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        pieces = [piece for row, length in enumerate(lengths.tolist()) for piece in pieces_of(row, length)]
        out = features.new_zeros(len(features), -(-features.shape[1] // 2), self.frame_dimension)
        for batch in [[piece] for piece in pieces] if features.device.type == "cpu" else _batches(pieces):
            check_cancelled()
            self._encode_pieces(features, lengths, batch, out)
        return out

    def _encode_pieces(self, features: Tensor, lengths: Tensor, pieces: Sequence[Piece], out: Tensor) -> None:
        """Writes the pieces' unit frames into out (B, T / 2, frame_dimension)."""
        longest = max(piece.window for piece in pieces)
        windows = features.new_zeros(len(pieces), longest, MEL_BANDS)
        for window, piece in zip(windows, pieces, strict=True):
            region = features[piece.row, : int(lengths[piece.row])]
            ticks = region[piece.first : piece.last]
            window[: piece.window] = region.amin()
            window[EDGE_TICKS : EDGE_TICKS + len(ticks)] = ticks
        inside = None
        if len(pieces) > 1:
            sizes = torch.tensor([piece.window for piece in pieces], device=features.device)
            inside = torch.arange(longest, device=features.device) < sizes[:, None]
        frames = normalize(self(windows.transpose(1, 2), inside), dim=2)
        for piece, rows in zip(pieces, frames, strict=True):
            out[piece.row, piece.frames] = rows[piece.window_frames]

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Copies the weights of a Whisper encoder of the same width, by `whisper_weights.encoder`'s names; of
        each block's hidden units the first `feed_forward`."""
        units = self.config.feed_forward
        with torch.no_grad():
            for part, name in ((self.first, "conv1"), (self.second, "conv2")):
                part.weight.copy_(tensors[f"{name}/weight"])
                part.bias.copy_(tensors[f"{name}/bias"])  # type: ignore[union-attr]
            for number, block in enumerate(self.blocks):
                self._start_block(
                    block,
                    {
                        name.removeprefix(f"layer_{number}/"): tensor
                        for name, tensor in tensors.items()
                        if name.startswith(f"layer_{number}/")
                    },
                    units,
                )
            _copy_norm(self.norm, tensors, "layer_norm")

    @staticmethod
    def _start_block(block: nn.Module, tensors: Mapping[str, Tensor], units: int) -> None:
        assert isinstance(block, TransformerBlock)
        attention = block.attention
        weights = tensors["self_attention/linear_0/weight"].chunk(3)
        biases = tensors["self_attention/linear_0/bias"].chunk(3)
        for part, weight, bias in zip(
            (attention.query, attention.key, attention.value), weights, biases, strict=True
        ):
            part.weight.copy_(weight)
            if part.bias is not None:
                part.bias.copy_(bias)
        attention.output.weight.copy_(tensors["self_attention/linear_1/weight"])
        attention.output.bias.copy_(tensors["self_attention/linear_1/bias"])
        block.expand.weight.copy_(tensors["ffn/linear_0/weight"][:units])
        block.expand.bias.copy_(tensors["ffn/linear_0/bias"][:units])
        block.contract.weight.copy_(tensors["ffn/linear_1/weight"][:, :units])
        block.contract.bias.copy_(tensors["ffn/linear_1/bias"])
        _copy_norm(block.attention_norm, tensors, "self_attention/layer_norm")
        _copy_norm(block.norm, tensors, "ffn/layer_norm")


def _batches(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Batches pieces of like length, so that little is padding."""
    batches: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -piece.window):
        if not batches or (len(batches[-1]) + 1) * batches[-1][0].window > TICKS_AT_ONCE:
            batches.append([])
        batches[-1].append(piece)
    return batches


def _copy_norm(norm: nn.LayerNorm, tensors: Mapping[str, Tensor], name: str) -> None:
    norm.weight.copy_(tensors[f"{name}/gamma"])
    norm.bias.copy_(tensors[f"{name}/beta"])


def sinusoids(length: int, width: int) -> Tensor:
    """Returns position encodings (length, width), sines in the first half, cosines in the second (Vaswani et
    al. 2017)."""
    step = math.log(SLOWEST_PERIOD) / (width // 2 - 1)
    rates = torch.exp(-step * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
