"""A user's own folder of pictures trains as any source does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wordspot.models import recipe, registry
from wordspot.models.datasets import pictures, sprites
from wordspot.models.datasets.package import DatasetError


def test_a_picture_stands_on_white_in_a_square(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(tmp_path / "bar.png")
    picture = sprites.shrink(sprites.read(tmp_path / "bar.png"), 20, 20)
    assert picture.shape == (20, 20, 3)
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[10, 10].tolist() == [255, 0, 0]


def test_a_folder_is_divided_by_its_files_and_always_alike(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / "more").mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / f"more/{number}.PNG")
    name = pictures.own(tmp_path, 10, 12)
    found = {split: pictures.pictures(name, split, tmp_path) for split in ("train", "validation", "test")}
    assert sum(map(len, found.values())) == 60
    assert len(found["train"]) > 40 > 20 > len(found["test"]) > 0
    assert found["train"].pixels.shape[1:] == (10, 12, 3)
    again = pictures.pictures(name, "test", tmp_path)
    np.testing.assert_array_equal(again.pixels, found["test"].pixels)


def test_a_folder_without_pictures_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(DatasetError, match="no pictures"):
        pictures.load_own(pictures.own(tmp_path, 20, 20))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"broken\.png"):
        pictures.load_own(pictures.own(tmp_path, 20, 20))


def test_a_recipe_of_a_model_takes_a_folder_in_place_of_its_pictures(tmp_path: Path) -> None:
    registry.load_classes()
    found = recipe.find("pixel_rnn")
    assert isinstance(found, recipe.PictureRecipe)
    own = found.of_own(tmp_path / "sprites")
    assert (own.name, own.thresholds) == ("sprites", {})
    assert own.pictures == f"{tmp_path.resolve()}/sprites@20x20"
