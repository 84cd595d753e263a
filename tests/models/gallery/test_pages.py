from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from wordspot.models.gallery.panels import page, wrapped


@pytest.mark.parametrize(
    ("text", "columns", "wanted"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 100, ["one two three"]),
        ("unbreakable word", 4, ["unbreakable", "word"]),
        ("印度發生汽車爆炸", 8, ["印度發生", "汽車爆炸"]),
        ("在linux 6上", 6, ["在", "linux", "6上"]),
        ("", 5, [""]),
    ],
)
def test_lines_break_between_words_or_ideographs(text: str, columns: int, wanted: list[str]) -> None:
    assert wrapped(text, columns) == wanted


def test_a_page_is_as_high_as_its_lines() -> None:
    def pixels(count: int) -> np.ndarray:
        file = io.BytesIO()
        page([[("what", "some words\nin two lines")]] * count, 40).savefig(file, format="png")
        with Image.open(file) as image:
            return np.asarray(image.convert("L"))

    one, four = pixels(1), pixels(4)
    assert 2 < len(four) / len(one) < 5
    assert four.shape[1] == one.shape[1]
    assert (four < 128).sum() > 3 * (one < 128).sum()
