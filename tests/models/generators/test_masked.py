from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wordspot.models.errors import BadInput
from wordspot.models.generators.masked import MaskedStack

CHANNELS, HEIGHT, WIDTH, TOLD = 2, 6, 7, 3


def stack(condition: int = 0) -> MaskedStack:
    torch.manual_seed(1)
    return MaskedStack(CHANNELS, width=8, layers=4, kernel=3, condition=condition)


def some(channels: int, count: int = 2) -> Tensor:
    return torch.randn((count, channels, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0))


def test_a_pixel_depends_on_every_pixel_before_it_and_on_no_other() -> None:
    x = some(CHANNELS, 1).double().requires_grad_()
    found = stack().double()(x)
    row, column = 4, 3  # near enough for four layers of kernel 3 to reach the corners above
    (slope,) = torch.autograd.grad(found[0, :, row, column].square().sum(), x)
    seen = (slope[0] != 0).all(dim=0).flatten()
    place = row * WIDTH + column
    assert seen[:place].all()
    assert not (slope[0] != 0).any(dim=0).flatten()[place:].any()


def test_of_the_condition_a_pixel_sees_its_own_place_and_no_row_below() -> None:
    told = some(TOLD, 1).requires_grad_()
    found = stack(TOLD)(some(CHANNELS, 1), told)
    (slope,) = torch.autograd.grad(found[0, :, 3, 3].square().sum(), told)
    seen = (slope[0] != 0).any(dim=0).flatten()
    assert seen[3 * WIDTH + 3]
    assert not seen[4 * WIDTH :].any()


@pytest.mark.parametrize("condition", [0, TOLD])
@torch.inference_mode()
def test_pixel_by_pixel_it_gives_what_it_gives_at_once(condition: int) -> None:
    one, x = stack(condition), some(CHANNELS)
    told = some(condition) if condition else None
    walk = one.walk(len(x), WIDTH, told)
    found = torch.empty((2, 8, HEIGHT, WIDTH))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            found[:, :, row, column] = walk.features()
            walk.put(x[:, :, row, column])
    torch.testing.assert_close(found, one(x, told), atol=1e-6, rtol=1e-4)


def test_an_even_kernel_and_a_condition_that_is_not_expected_are_refused() -> None:
    with pytest.raises(BadInput, match="kernel 4"):
        MaskedStack(1, width=8, layers=1, kernel=4)
    with pytest.raises(BadInput, match="3 maps; 0"):
        stack()(some(CHANNELS), some(TOLD))
    with pytest.raises(BadInput, match="0 maps; 3"):
        stack(TOLD).walk(2, WIDTH)
