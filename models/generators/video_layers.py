"""Layers of video pixel networks (Kalchbrenner et al. 2016, arXiv 1610.00527): multiplicative units, a
convolutional LSTM (Shi et al. 2015), and dynamic local filters (De Brabandere et al. 2016).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold


class MultiplicativeUnit(nn.Module):
    """Computes g1 tanh(g2 h + g3 u), the gates of an LSTM around convolutions of h: g1, g2, g3 sigmoid, u
    tanh."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(channels, 4 * channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to the same shape."""
        first, second, third, update = self.gates(h).chunk(4, dim=1)
        output: Tensor = first.sigmoid() * (second.sigmoid() * h + third.sigmoid() * update.tanh()).tanh()
        return output


class ResidualMultiplicativeBlock(nn.Module):
    """Two multiplicative units of half the channels, with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.inner = nn.Sequential(
            nn.Conv2d(channels, half, 1),
            MultiplicativeUnit(half),
            MultiplicativeUnit(half),
            nn.Conv2d(half, channels, 1),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to the same shape."""
        added: Tensor = self.inner(h)
        return h + added


class ConvolutionalLstm(nn.Module):
    """An LSTM whose products are convolutions (Shi et al. 2015)."""

    def __init__(self, channels: int, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.seen = nn.Conv2d(channels, 4 * memory, 1)
        self.kept = nn.Conv2d(memory, 4 * memory, 3, padding=1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns the state after each frame, (B, T, memory, H, W), of (B, T, channels, H, W)."""
        count, length, _, height, width = frames.shape
        seen = self.seen(frames.flatten(0, 1)).unflatten(0, (count, length))
        state = cell = frames.new_zeros((count, self.memory, height, width))
        states = []
        for frame in seen.unbind(dim=1):
            enter, forget, leave, update = (frame + self.kept(state)).chunk(4, dim=1)
            cell = (forget + 1).sigmoid() * cell + enter.sigmoid() * update.tanh()
            state = leave.sigmoid() * cell.tanh()
            states.append(state)
        return torch.stack(states, dim=1)


def move_pictures(frames: Tensor, blend: Tensor, filters: Tensor) -> Tensor:
    """Returns pictures that blend in each frame and are then moved by dynamic local filters.

    Args:
        frames: (B, T, C, H, W).
        blend: (B, T, S, H, W), the share of the frame in each of S pictures, 0 to 1.
        filters: (B, T, S, N, H, W), weights of each pixel's N neighbours, whose sum is 1.

    Returns:
        (B, T + 1, S C, H, W): first black, then after each frame.
    """
    count, length, channels, height, width = frames.shape
    reach = (math.isqrt(filters.shape[3]) - 1) // 2
    pictures = frames.new_zeros((count, blend.shape[2], channels, height, width))
    states = [pictures]
    for time in range(length):
        pictures = pictures + blend[:, time, :, None] * (frames[:, time, None] - pictures)
        near = neighbours(pictures.flatten(0, 1), reach).reshape(*pictures.shape[:3], -1, height, width)
        pictures = (near * filters[:, time, :, None]).sum(dim=3)
        states.append(pictures)
    return torch.stack(states, dim=1).flatten(2, 3)


def neighbours(pictures: Tensor, reach: int) -> Tensor:
    """Returns the pixels around each, itself among them, in raster order, zero beyond the edge.

    pictures: (N, C, H, W). Returns (N, C, (2 reach + 1)^2, H, W).
    """
    count, channels, height, width = pictures.shape
    return unfold(pictures, 2 * reach + 1, padding=reach).reshape(count, channels, -1, height, width)
