from __future__ import annotations

import torch

from wordspot.models.encoders.classifier import moved, not_pictures


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_moved_picture_is_the_same_elsewhere() -> None:
    pictures = torch.zeros(64, 1, 9, 9)
    pictures[:, 0, 4, 4] = 1
    places = moved(pictures, 2, rng())[:, 0].flatten(1).argmax(dim=1)
    assert torch.equal(moved(pictures, 2, rng()).sum(dim=(1, 2, 3)), torch.ones(64))
    rows, columns = places // 9, places % 9
    assert set(rows.tolist()) == set(columns.tolist()) == {2, 3, 4, 5, 6}
    assert torch.equal(moved(pictures, 0, rng()), pictures)


def test_what_is_no_picture_is_shuffled_or_noise() -> None:
    pictures = torch.rand(6, 2, 5, 5, generator=rng())
    made = not_pictures(pictures, rng())
    assert made.shape == pictures.shape
    for row in (0, 2, 4):
        assert torch.equal(made[row].flatten().sort().values, pictures[row].flatten().sort().values)
        assert not torch.equal(made[row], pictures[row])
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
