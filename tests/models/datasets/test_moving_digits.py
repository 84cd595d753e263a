from __future__ import annotations

import numpy as np
import pytest
import torch

from wordspot.models.datasets.moving_digits import Motion, MovingDigits, entropy, paths, sprites, velocities
from wordspot.models.datasets.pictures import Pictures

MOTION = Motion(height=16, width=14, frames=30, digits=1, speed=2)


def bars(count: int = 6) -> Pictures:
    """Upright bars of 20 x 4 pixels off the middle of a picture, each of another grey."""
    pixels = np.zeros((count, 28, 28, 1), np.uint8)
    for row in range(count):
        pixels[row, 5:25, 11:15] = 100 + 20 * row
    return Pictures(pixels, np.arange(count))


def moving(motion: Motion = MOTION, seed: int = 0) -> MovingDigits:
    return MovingDigits(sprites(bars()), motion, "train", seed)


def corners(clips: torch.Tensor) -> np.ndarray:
    """Upper left corner of what is bright, (B, T, 2)."""
    bright = (clips[:, :, 0] > 0).byte()
    return torch.stack([bright.amax(dim=3).argmax(dim=2), bright.amax(dim=2).argmax(dim=2)], dim=2).numpy()


def test_sprites_are_the_ink_at_half_size() -> None:
    found = sprites(bars())
    assert found.sizes.tolist() == [[10, 2]] * 6
    assert found.pixels[2, :10, :2].tolist() == [[140, 140]] * 10
    assert found.pixels.sum(axis=(1, 2)).tolist() == [20 * (100 + 20 * row) for row in range(6)]


def test_a_digit_goes_straight_on_and_turns_at_the_walls() -> None:
    corner = corners(moving().clips(0, 40))
    steps = np.diff(corner, axis=1)
    assert np.abs(steps).max() == 2
    last = np.array([16 - 10, 14 - 2])
    for before, after, place in zip(
        steps[:, :-1].reshape(-1, 2), steps[:, 1:].reshape(-1, 2), corner[:, 1:-1].reshape(-1, 2), strict=True
    ):
        for axis in (0, 1):
            if before[axis] != after[axis]:
                at_wall = place[axis] in (0, last[axis])
                into_wall = place[axis] + after[axis] in (0, last[axis])
                assert at_wall or into_wall
    assert corner.min() == 0
    assert corner.max(axis=(0, 1)).tolist() == last.tolist()


def test_a_path_by_hand() -> None:
    found = paths(np.array([[3, 0]]), np.array([[2, -1]]), np.array([[6, 4]]), 6)
    assert found[:, 0].tolist() == [[3, 0], [5, 0], [6, 1], [4, 2], [2, 3], [0, 4]]


def test_no_digit_rests_and_every_other_velocity_is_as_likely() -> None:
    found = velocities(np.random.default_rng(0), 1, (8_000,))
    kinds, counts = np.unique(found, axis=0, return_counts=True)
    assert kinds.tolist() == [[y, x] for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    assert np.abs(counts - 1_000).max() < 120


def test_where_digits_meet_the_brighter_shows() -> None:
    one = moving(Motion(10, 2, frames=1, digits=1)).clips(0, 200)
    both = moving(Motion(10, 2, frames=1, digits=2)).clips(0, 200)  # no room: one upon the other
    grey = both.unique()
    assert torch.equal(grey, one.unique())
    assert float((both == grey[-1]).float().mean()) == pytest.approx(1 - (5 / 6) ** 2, abs=0.1)


def test_clips_depend_on_seed_split_and_step_alone() -> None:
    first = moving().clips(3, 4)
    assert torch.equal(first, moving().clips(3, 4))
    others = moving().clips(4, 4), moving(seed=1).clips(3, 4)
    assert not any(torch.equal(first, other) for other in others)
    assert not torch.equal(first, MovingDigits(sprites(bars()), MOTION, "test", 0).clips(3, 4))


def test_entropy_is_that_of_a_coin_for_each_grey_pixel() -> None:
    clips = torch.tensor([0.0, 1.0, 0.5, 0.25]).reshape(1, 1, 1, 2, 2).repeat(2, 3, 1, 1, 1)
    expected = np.log(2) - 0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    torch.testing.assert_close(entropy(clips), torch.full((2, 3), expected, dtype=torch.float32))
