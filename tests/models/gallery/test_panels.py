from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from wordspot.models import gallery
from wordspot.models.errors import UnknownModel
from wordspot.models.gallery import panels


def test_parallel_steps_have_a_cosine_of_one_and_random_ones_of_none() -> None:
    rng = np.random.default_rng(0)
    starts = rng.standard_normal((40, 50))
    step = rng.standard_normal(50)
    same = np.stack([starts, starts + step], axis=1).reshape(-1, 50)
    other = np.stack([starts, rng.standard_normal((40, 50))], axis=1).reshape(-1, 50)
    assert panels.parallel(same) == pytest.approx(1, abs=1e-5)
    assert abs(panels.parallel(other)) < 0.05


def test_principal_axes_keep_what_varies() -> None:
    rng = np.random.default_rng(1)
    plane = rng.standard_normal((100, 2)) @ np.diag([9.0, 4.0])
    turned = plane @ np.linalg.qr(rng.standard_normal((10, 10)))[0][:2] + 5
    flat = panels.principal(turned)
    distances = [np.linalg.norm(some[:50] - some[50:], axis=1) for some in (plane, flat)]
    np.testing.assert_allclose(*distances, atol=1e-6)


def test_tiles_are_dark_where_the_picture_is_bright() -> None:
    made = panels.figure(2, 2)
    rows = [torch.ones(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)]
    panels.tiles(made.subplots(), rows, "some")
    file = io.BytesIO()
    made.savefig(file, format="png")
    with Image.open(file) as image:
        grey = np.asarray(image.convert("L"), np.float32)
    middle = grey[:, grey.shape[1] // 2]
    assert 0.15 < (middle < 50).mean() < 0.5


def test_tiles_in_colour_keep_their_colours() -> None:
    made = panels.figure(2, 2)
    panels.tiles(made.subplots(), [torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(2, 3, 8, 8)])
    file = io.BytesIO()
    made.savefig(file, format="png")
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[pixels.shape[0] // 2] == [255, 0, 0]).all(axis=1).mean() > 0.5


def test_pictures_have_names_and_say_what_they_show() -> None:
    assert {"functions", "autoencoder", "words", "spoken-words", "vae", "creatures"} <= set(gallery.names())
    assert all(text.endswith(".") for text in gallery.names().values())


def test_an_unknown_picture_is_told(tmp_path: object) -> None:
    with pytest.raises(
        UnknownModel, match="no picture 'cats'; there are autoencoder, captions, chat, clips, creatures"
    ):
        gallery.draw("cats", tmp_path)  # type: ignore[arg-type]
