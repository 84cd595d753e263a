"""Creatures: which belong together, and how they are shrunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wordspot.models.datasets import creatures
from wordspot.models.datasets.package import DatasetError


def test_numbered_and_equally_outlined_creatures_are_one_species() -> None:
    rng = np.random.default_rng(0)
    outlines = rng.random((5, 20, 20)) < 0.5
    outlines[3] = outlines[0]
    outlines[3, 0, :5] = ~outlines[3, 0, :5]
    names = [
        "animals/bat.png",
        "animals/moth1.png",
        "animals/moth_2.png",
        "undead/ghost.png",
        "animals/rat.png",
    ]
    first, *others = creatures.species(names, outlines)
    assert first == "animals/bat.png"
    assert others == ["animals/moth1.png", "animals/moth1.png", "animals/bat.png", "animals/rat.png"]


def test_what_is_connected_through_a_third_is_one_species() -> None:
    outlines = np.random.default_rng(0).random((3, 20, 20)) < 0.5
    outlines[2] = outlines[1]
    assert len(set(creatures.species(["a/bat1.png", "a/bat2.png", "a/owl.png"], outlines))) == 1


def test_a_picture_stands_on_white_in_a_square(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(tmp_path / "bar.png")
    ((name, picture),) = creatures.folder(tmp_path)
    assert name == "bar.png"
    assert picture.shape == (20, 20, 3)
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[10, 10].tolist() == [255, 0, 0]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(DatasetError, match="no pictures"):
        list(creatures.folder(tmp_path))
