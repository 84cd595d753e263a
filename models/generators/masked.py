"""Gated masked convolutions (van den Oord et al., Conditional image generation with PixelCNN decoders, 2016).

The output at a pixel depends only on pixels before it in raster order: those of the rows above, which the
vertical stack reads, and those to its left, which the horizontal stack reads. Together they have no blind
spot. Instead of zeroing weights the picture is shifted a row down for the one stack and a column to the right
for the other, and kernels end at their own position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from wordspot.models.errors import BadInput


class GatedMaskedLayer(nn.Module):
    """One layer of both stacks: tanh(a) sigmoid(b) of convolutions (equation 2, figure 2).

    The horizontal stack has a residual connection where its input is as wide. `told` is the 1x1 convolution
    of the condition.
    """

    def __init__(self, channels: int, width: int, kernel: int, condition: int = 0) -> None:
        """Makes a layer with random weights.

        Args:
            channels: of the input.
            width: channels of the output.
            kernel: odd, the side of the square of which (kernel + 1) / 2 rows and columns are left.
            condition: maps that are seen at the pixel's own position (equation 5), 0 for none.

        Raises:
            BadInput: the kernel is even.
        """
        super().__init__()
        if kernel % 2 == 0:
            raise BadInput(f"kernel must be odd, got {kernel}")
        self.margin = kernel // 2
        self.residual = channels == width
        self.vertical = nn.Conv2d(channels, 2 * width, (self.margin + 1, kernel))
        self.horizontal = nn.Conv2d(channels, 2 * width, (1, self.margin + 1))
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.skip = nn.Conv2d(width, width, 1)
        self.told = nn.Conv2d(condition, 4 * width, 1, bias=False) if condition else None

    def forward(self, above: Tensor, left: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the output of the vertical and the horizontal stack and the skip, (B, width, H, W) each.

        Args:
            above, left: inputs of the stacks, (B, channels, H, W).
            condition: (B, K, H, W), or None.
        """
        margin = self.margin
        rows = self.vertical(pad(above, (margin, margin, margin, 0)))  # (B, 2 width, H, W)
        columns = self.horizontal(pad(left, (margin, 0, 0, 0)))
        if self.told is not None:
            for_rows, for_columns = self.told(condition).chunk(2, dim=1)
            rows, columns = rows + for_rows, columns + for_columns
        gated = gate(columns + self.across(rows))
        residual = self.out(gated)
        return gate(rows), residual + left if self.residual else residual, self.skip(gated)


class MaskedStack(nn.Module):
    """A stack of gated layers; the sum of their skips at a pixel depends only on pixels before it.

    All channels of a pixel count as one: none of them is seen before the next pixel.
    """

    def __init__(self, in_channels: int, width: int, layers: int, kernel: int, condition: int = 0) -> None:
        """Makes a stack with random weights; arguments and errors are those of its layers."""
        super().__init__()
        self.in_channels, self.condition = in_channels, condition
        self.layers = nn.ModuleList(
            GatedMaskedLayer(in_channels if index == 0 else width, width, kernel, condition)
            for index in range(layers)
        )
        initialise(self)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Returns features (B, width, H, W).

        Args:
            x: float32 (B, in_channels, H, W).
            condition: (B, condition, H, W), of which a pixel sees its own position and those within reach in
                the rows down to its own; None for a stack without.

        Raises:
            BadInput: the condition has another number of maps.
        """
        self._check(condition)
        above, left = pad(x, (0, 0, 1, -1)), pad(x, (1, -1, 0, 0))
        total: Tensor | None = None
        for layer in self.layers:
            above, left, skip = layer(above, left, condition)
            total = skip if total is None else total + skip
        assert total is not None
        return total

    def raster_pass(self, count: int, width: int, condition: Tensor | None = None) -> RasterPass:
        """Starts a pass over `count` pictures of that width, pixel by pixel. Raises BadInput as `forward`."""
        self._check(condition)
        return RasterPass(self, count, width, condition)

    def _check(self, condition: Tensor | None) -> None:
        maps = 0 if condition is None else condition.shape[1]
        if maps != self.condition:
            raise BadInput(f"the condition must have {self.condition} maps, got {maps}")


class RasterPass:
    """A pass of a MaskedStack, pixel by pixel, in which each layer computes a position once.

        raster = stack.raster_pass(count, width)
        for each pixel in raster order:
            features = raster.features()  # as forward gives at this pixel
            raster.append_pixel(pixel)  # its value

    Of every layer's input the last rows and the last columns that its kernels reach are cached (Ramachandran
    et al. 2017, Fast generation for convolutional autoregressive models).
    """

    def __init__(self, stack: MaskedStack, count: int, width: int, condition: Tensor | None) -> None:
        self._layers: list[GatedMaskedLayer] = list(stack.layers)  # type: ignore[arg-type]
        self._conditions = [None if layer.told is None else layer.told(condition) for layer in self._layers]
        new = next(stack.parameters()).new_zeros
        self._rows = [
            new((count, layer.vertical.in_channels, layer.margin + 1, width + 2 * layer.margin))
            for layer in self._layers
        ]
        self._columns = [
            new((count, layer.horizontal.in_channels, layer.margin + 1)) for layer in self._layers
        ]
        self._row_above = new((count, stack.in_channels, width))  # overwritten up to the next pixel
        self._width, self._row, self._column = width, 0, 0
        self._from_above: list[Tensor] = []
        self._features: Tensor | None = None

    def features(self) -> Tensor:
        """Returns the features at the next pixel, (count, width of the stack)."""
        if self._features is None:
            if self._column == 0:
                self._from_above = self._next_row()
            self._features = self._next_column()
        return self._features

    def append_pixel(self, pixel: Tensor) -> None:
        """Sets the value of the next pixel, (count, in_channels)."""
        self.features()
        self._row_above[:, :, self._column] = pixel
        self._column, self._features = self._column + 1, None
        if self._column == self._width:
            self._row, self._column = self._row + 1, 0
            self._columns = [torch.zeros_like(window) for window in self._columns]

    def _next_row(self) -> list[Tensor]:
        """Returns what each horizontal layer gets from the vertical stack, (count, 2 width, W) each."""
        outputs, above = [], self._row_above[:, :, None]  # (count, channels, 1, W)
        for index, layer in enumerate(self._layers):
            window = torch.cat([self._rows[index][:, :, 1:], pad(above, (layer.margin, layer.margin))], dim=2)
            self._rows[index] = window
            rows, condition = layer.vertical(window), self._conditions[index]
            if condition is not None:
                for_rows, for_columns = condition[:, :, self._row : self._row + 1].chunk(2, dim=1)
                rows = rows + for_rows
                outputs.append((layer.across(rows) + for_columns)[:, :, 0])
            else:
                outputs.append(layer.across(rows)[:, :, 0])
            above = gate(rows)
        return outputs

    def _next_column(self) -> Tensor:
        left = (
            self._row_above[:, :, self._column - 1]
            if self._column
            else torch.zeros_like(self._row_above[:, :, 0])
        )
        total: Tensor | None = None
        for index, layer in enumerate(self._layers):
            window = torch.cat([self._columns[index][:, :, 1:], left[:, :, None]], dim=2)
            self._columns[index] = window
            columns = pointwise(layer.horizontal, window.flatten(1))
            gated = gate(columns + self._from_above[index][:, :, self._column])
            residual = pointwise(layer.out, gated)
            left = residual + left if layer.residual else residual
            skip = pointwise(layer.skip, gated)
            total = skip if total is None else total + skip
        assert total is not None
        return total


def initialise(module: nn.Module) -> None:
    """Initialises convolutions as He et al. 2015, without bias, so that signals do not vanish in gates, and
    sets the memory format in which 1x1 convolutions are fast on a CPU."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    module.to(memory_format=torch.channels_last)


def pointwise(layer: nn.Conv2d, values: Tensor) -> Tensor:
    """Returns a convolution at one position: values (B, all that its kernel covers) to (B, out_channels)."""
    return linear(values, layer.weight.flatten(1), layer.bias)


def gate(values: Tensor) -> Tensor:
    """Returns tanh of the first half of the channels times sigmoid of the second, (B, 2 K, ...) to
    (B, K, ...)."""
    signal, opening = values.chunk(2, dim=1)
    return signal.tanh() * opening.sigmoid()
