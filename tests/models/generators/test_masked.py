from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wordspot.models.errors import BadInput
from wordspot.models.generators.masked import MaskedStack

CHANNELS, HEIGHT, WIDTH, CONDITION = 2, 6, 7, 3


def stack(condition: int = 0) -> MaskedStack:
    torch.manual_seed(1)
    return MaskedStack(CHANNELS, width=8, layers=4, kernel=3, condition=condition)


def random_maps(channels: int, count: int = 2) -> Tensor:
    return torch.randn((count, channels, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0))


def test_a_pixel_depends_on_every_pixel_before_it_and_on_no_other() -> None:
    x = random_maps(CHANNELS, 1).double().requires_grad_()
    output = stack().double()(x)
    row, column = 4, 3  # near enough for four layers of kernel 3 to reach the corners above
    (gradient,) = torch.autograd.grad(output[0, :, row, column].square().sum(), x)
    seen = (gradient[0] != 0).all(dim=0).flatten()
    place = row * WIDTH + column
    assert seen[:place].all()
    assert not (gradient[0] != 0).any(dim=0).flatten()[place:].any()


def test_of_the_condition_a_pixel_sees_its_own_place_and_no_row_below() -> None:
    condition = random_maps(CONDITION, 1).requires_grad_()
    output = stack(CONDITION)(random_maps(CHANNELS, 1), condition)
    (gradient,) = torch.autograd.grad(output[0, :, 3, 3].square().sum(), condition)
    seen = (gradient[0] != 0).any(dim=0).flatten()
    assert seen[3 * WIDTH + 3]
    assert not seen[4 * WIDTH :].any()


@pytest.mark.parametrize("maps", [0, CONDITION])
@torch.inference_mode()
def test_a_raster_pass_gives_what_one_pass_over_the_picture_gives(maps: int) -> None:
    network, x = stack(maps), random_maps(CHANNELS)
    condition = random_maps(maps) if maps else None
    raster = network.raster_pass(len(x), WIDTH, condition)
    output = torch.empty((2, 8, HEIGHT, WIDTH))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            output[:, :, row, column] = raster.features()
            raster.append_pixel(x[:, :, row, column])
    torch.testing.assert_close(output, network(x, condition), atol=1e-6, rtol=1e-4)


def test_an_even_kernel_and_a_condition_that_is_not_expected_are_refused() -> None:
    with pytest.raises(BadInput, match="kernel must be odd, got 4"):
        MaskedStack(1, width=8, layers=1, kernel=4)
    with pytest.raises(BadInput, match="must have 0 maps, got 3"):
        stack()(random_maps(CHANNELS), random_maps(CONDITION))
    with pytest.raises(BadInput, match="must have 3 maps, got 0"):
        stack(CONDITION).raster_pass(2, WIDTH)
