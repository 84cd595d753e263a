"""Gated masked convolutions (van den Oord et al., Conditional image generation with PixelCNN decoders, 2016).

What comes out at a pixel depends only on pixels before it in raster order: those of the rows above, which
the vertical stack reads, and those to its left, which the horizontal stack reads. Together they see all of
them, without the blind spot of a masked square. Instead of zeroing weights the picture is moved a row down
for the one stack and a column to the right for the other, and kernels end at their own place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from wordspot.models.errors import BadInput


class GatedMaskedLayer(nn.Module):
    """One layer of both stacks: tanh(a) sigmoid(b) of convolutions (equation 2, figure 2).

    kernel: odd, the side of the square of which (kernel + 1) / 2 rows and columns are left. condition: number
    of maps that are seen at the pixel's own place through 1x1 convolutions (equation 5), 0 for none.
    The horizontal stack adds its input, where it is as wide, to what it gives (residual).
    """

    def __init__(self, channels: int, width: int, kernel: int, condition: int = 0) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise BadInput(f"kernel {kernel}: an odd number is allowed")
        self.margin = kernel // 2
        self.residual = channels == width
        self.vertical = nn.Conv2d(channels, 2 * width, (self.margin + 1, kernel))
        self.horizontal = nn.Conv2d(channels, 2 * width, (1, self.margin + 1))
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.skip = nn.Conv2d(width, width, 1)
        self.told = nn.Conv2d(condition, 4 * width, 1, bias=False) if condition else None

    def forward(self, above: Tensor, left: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """above, left (B, channels, H, W), condition (B, K, H, W): both stacks' output and the skip,
        (B, width, H, W) each."""
        margin = self.margin
        rows = self.vertical(pad(above, (margin, margin, margin, 0)))  # (B, 2 width, H, W)
        columns = self.horizontal(pad(left, (margin, 0, 0, 0)))
        if self.told is not None:
            for_rows, for_columns = self.told(condition).chunk(2, dim=1)
            rows, columns = rows + for_rows, columns + for_columns
        seen = gate(columns + self.across(rows))
        further = self.out(seen)
        return gate(rows), further + left if self.residual else further, self.skip(seen)


class MaskedStack(nn.Module):
    """Layers one upon the other; the sum of their skips at a pixel depends only on pixels before it.

    All channels of a pixel count as one: none of them is seen before the next pixel.
    """

    def __init__(self, in_channels: int, width: int, layers: int, kernel: int, condition: int = 0) -> None:
        """kernel: odd. condition: channels of the maps that `forward` is told. Raises BadInput."""
        super().__init__()
        self.in_channels, self.condition = in_channels, condition
        self.layers = nn.ModuleList(
            GatedMaskedLayer(in_channels if index == 0 else width, width, kernel, condition)
            for index in range(layers)
        )
        start(self)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x float32 (B, in_channels, H, W), condition (B, condition, H, W): (B, width, H, W).

        Of the condition a pixel sees its own place and those within reach in the rows down to its own.
        Raises BadInput where a condition is missing or not expected.
        """
        self._check(condition)
        above, left = pad(x, (0, 0, 1, -1)), pad(x, (1, -1, 0, 0))
        total: Tensor | None = None
        for layer in self.layers:
            above, left, skip = layer(above, left, condition)
            total = skip if total is None else total + skip
        assert total is not None
        return total

    def walk(self, count: int, width: int, condition: Tensor | None = None) -> Walk:
        """`count` pictures of that width, to be gone through pixel by pixel. Raises BadInput."""
        self._check(condition)
        return Walk(self, count, width, condition)

    def _check(self, condition: Tensor | None) -> None:
        given = 0 if condition is None else condition.shape[1]
        if given != self.condition:
            raise BadInput(f"a condition of {given} maps; {self.condition} are allowed")


class Walk:
    """What a MaskedStack gives, a pixel at a time, each layer computing a place once.

        walk = stack.walk(count, width)
        for each pixel in raster order:
            features = walk.features()  # as forward gives at this pixel
            walk.put(pixel)  # what was drawn there

    Of every layer's input the last rows and the last columns that its kernels reach are kept (Ramachandran
    et al. 2017, Fast generation for convolutional autoregressive models).
    """

    def __init__(self, stack: MaskedStack, count: int, width: int, condition: Tensor | None) -> None:
        self._layers: list[GatedMaskedLayer] = list(stack.layers)  # type: ignore[arg-type]
        self._told = [None if layer.told is None else layer.told(condition) for layer in self._layers]
        new = next(stack.parameters()).new_zeros
        self._rows = [
            new((count, layer.vertical.in_channels, layer.margin + 1, width + 2 * layer.margin))
            for layer in self._layers
        ]
        self._columns = [
            new((count, layer.horizontal.in_channels, layer.margin + 1)) for layer in self._layers
        ]
        self._drawn = new((count, stack.in_channels, width))  # of the row above, up to the pixel that is next
        self._width, self._row, self._column = width, 0, 0
        self._from_above: list[Tensor] = []
        self._features: Tensor | None = None

    def features(self) -> Tensor:
        """(count, width of the stack), at the pixel that is next."""
        if self._features is None:
            if self._column == 0:
                self._from_above = self._next_row()
            self._features = self._next_column()
        return self._features

    def put(self, pixel: Tensor) -> None:
        """pixel: (count, in_channels), what stands at the place that is next."""
        self.features()
        self._drawn[:, :, self._column] = pixel
        self._column, self._features = self._column + 1, None
        if self._column == self._width:
            self._row, self._column = self._row + 1, 0
            self._columns = [torch.zeros_like(kept) for kept in self._columns]

    def _next_row(self) -> list[Tensor]:
        """What each layer's horizontal stack gets beside its own columns, (count, 2 width, W) each."""
        found, above = [], self._drawn[:, :, None]  # (count, channels, 1, W)
        for index, layer in enumerate(self._layers):
            kept = torch.cat([self._rows[index][:, :, 1:], pad(above, (layer.margin, layer.margin))], dim=2)
            self._rows[index] = kept
            rows, told = layer.vertical(kept), self._told[index]
            if told is not None:
                for_rows, for_columns = told[:, :, self._row : self._row + 1].chunk(2, dim=1)
                rows = rows + for_rows
                found.append((layer.across(rows) + for_columns)[:, :, 0])
            else:
                found.append(layer.across(rows)[:, :, 0])
            above = gate(rows)
        return found

    def _next_column(self) -> Tensor:
        left = self._drawn[:, :, self._column - 1] if self._column else torch.zeros_like(self._drawn[:, :, 0])
        total: Tensor | None = None
        for index, layer in enumerate(self._layers):
            kept = torch.cat([self._columns[index][:, :, 1:], left[:, :, None]], dim=2)
            self._columns[index] = kept
            columns = pointwise(layer.horizontal, kept.flatten(1))
            seen = gate(columns + self._from_above[index][:, :, self._column])
            further = pointwise(layer.out, seen)
            left = further + left if layer.residual else further
            skip = pointwise(layer.skip, seen)
            total = skip if total is None else total + skip
        assert total is not None
        return total


def start(module: nn.Module) -> None:
    """Weights of convolutions as He et al. 2015 draw them, so that gates do not let signals fade, no bias;
    laid out so that 1x1 convolutions, of which there are many here, run fast on a CPU."""
    for one in module.modules():
        if isinstance(one, nn.Conv2d):
            nn.init.kaiming_normal_(one.weight)
            if one.bias is not None:
                nn.init.zeros_(one.bias)
    module.to(memory_format=torch.channels_last)


def pointwise(layer: nn.Conv2d, values: Tensor) -> Tensor:
    """A convolution at one place: values (B, all that its kernel covers) to (B, out_channels)."""
    return linear(values, layer.weight.flatten(1), layer.bias)


def gate(values: Tensor) -> Tensor:
    """tanh of the first half of the channels times sigmoid of the second: (B, 2 K, ...) to (B, K, ...)."""
    drive, open_ = values.chunk(2, dim=1)
    return drive.tanh() * open_.sigmoid()
