"""Creatures: which belong together, and how they are shrunk."""

from __future__ import annotations

import numpy as np

from wordspot.models.datasets import creatures


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
