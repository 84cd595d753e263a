"""Judges of faces, on fakes whose figures are known: a picture's first pixels say what it shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.conditional.descriptions import Descriptions
from wordspot.models.datasets.faces import new_pairs
from wordspot.models.datasets.pictures import Pictures
from wordspot.models.evaluation import measure
from wordspot.models.judges import drawings, faces
from wordspot.models.judges import pictures as seen

KNOWN = Descriptions(("black", "red", "blue"), ("green", "blue"))
SIDE = 8
LEVELS = 10  # of a pixel that says something
# Held out: black hair and green eyes with long hair alone, red hair and blue eyes with both lengths.
TEST = (1, 6, 7)
TRAIN = tuple(label for label in range(12) if label not in TEST)
EACH = 20


def shown(described: Tensor, seed: int = 0) -> Tensor:
    """Noise, and in the corner what is described."""
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.rand((len(described), 3, SIDE, SIDE), generator=rng)
    drawn[:, :, 0, 0] = described.float() / LEVELS
    return drawn


def real(labels: tuple[int, ...], seed: int) -> Pictures:
    every = torch.tensor(labels).repeat_interleave(EACH)
    pixels = (shown(KNOWN.of_labels(every), seed) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return Pictures(pixels.numpy(), every.numpy())


DATA = {"train": real(TRAIN, 1), "test": real(TEST, 2)}


class Reader:
    """wrong_hair: whether it never sees which hair it is."""

    descriptions = KNOWN

    def __init__(self, wrong_hair: bool = False) -> None:
        self.wrong_hair = wrong_hair

    def encode(self, pictures: Tensor) -> Tensor:
        return pictures[:, :, 0, 0]

    def predict_traits(self, pictures: Tensor) -> Tensor:
        found = (LEVELS * self.encode(pictures)).round().long()
        found[:, 0] += int(self.wrong_hair)
        return found


class Painter:
    """blind: pairs of colours of hair and eyes that it draws with other eyes."""

    descriptions = KNOWN
    config = SimpleNamespace()

    def __init__(self, blind: tuple[tuple[int, int], ...] = (), deaf: bool = False) -> None:
        self.blind, self.deaf = blind, deaf

    def codes_of(self, described: Tensor, rng: Generator) -> Tensor:
        return described.clone()

    def decode(self, codes: Tensor) -> Tensor:
        for hair, eyes in self.blind:
            mistaken = (codes[:, 0] == hair) & (codes[:, 1] == eyes)
            codes[mistaken, 1] = 1 - eyes
        return shown(torch.zeros_like(codes) if self.deaf else codes, len(codes))

    def sample(self, count: int, rng: Generator) -> Tensor:
        kinds = torch.tensor(KNOWN.sizes)
        return shown((torch.rand((count, 3), generator=rng) * kinds).long(), count)


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (faces, drawings, seen):
        monkeypatch.setattr(module, "pictures", lambda name, split, home: DATA[split])
    drawings._nearest_distances.cache_clear()
    made = {"face-attributes": Reader(), "faces": Painter()}
    monkeypatch.setattr(faces.registry, "folders", lambda home: dict.fromkeys(made, home))
    monkeypatch.setattr(faces.registry, "load", lambda name, home: (made[name], None))


def judged(model: Any, capability: str, source: str = "faces") -> dict[str, Metric]:
    card = card_of("fake", "picture", capability, data={"source": source})
    return {metric.name: metric for metric in measure(model, card, Path("nowhere"))}


def test_a_reader_is_judged_by_trait_beside_what_is_common_and_what_is_nearest() -> None:
    found = judged(Reader(), "encode")
    assert {name: metric.value for name, metric in found.items()} == {
        "hair_read": 1.0,
        "eyes_read": 1.0,
        "length_read": 1.0,
    }
    # Training shows blue hair, green eyes and short hair most often.
    assert [found[f"{name}_read"].floor for name in faces.TRAITS] == [
        0.0,
        *map(pytest.approx, (1 / 3, 1 / 3)),
    ]
    nearest = found["hair_read"].baseline
    assert nearest is not None
    assert 0.1 < nearest < 0.6  # by chance: what is noise says nothing of the hair
    blind = judged(Reader(wrong_hair=True), "encode")
    assert [blind[f"{name}_read"].value for name in faces.TRAITS] == [0.0, 1.0, 1.0]


def test_a_painter_that_draws_what_it_is_told_is_as_good_as_real_faces() -> None:
    found = judged(Painter(), "sample")
    for name in (
        "hair_right",
        "eyes_right",
        "length_right",
        "attributes_right",
        "all_right",
        "new_pairs_right",
    ):
        assert found[name].value == found[name].floor == 1.0, name
    untold = found["attributes_right"].baseline
    assert untold is not None
    assert untold == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3, abs=0.1)
    assert found["shuffled_texts"].value == found["shuffled_texts"].floor < 0.7
    assert found["shuffled_texts"].lower_is_better
    assert found["frechet_unlearned"].value >= 0


def test_what_fails_on_new_pairs_alone_is_seen_there() -> None:
    found = judged(Painter(blind=((1, 1),)), "sample")
    assert found["new_pairs_right"].value == pytest.approx(2 / 3)
    assert found["eyes_right"].value == pytest.approx(1 / 3)
    assert found["attributes_right"].value == pytest.approx((1 + 1 / 3 + 1) / 3)


def test_a_painter_that_does_not_listen_gains_nothing_by_the_right_text() -> None:
    found = judged(Painter(deaf=True), "sample")
    assert found["shuffled_texts"].value == found["attributes_right"].value < 0.6
    assert found["all_right"].value == 0.0


def test_other_models_of_pictures_are_left_to_others() -> None:
    assert not {"attributes_right", "shuffled_texts"} & judged(Painter(), "sample", source="digits").keys()
    assert judged(SimpleNamespace(encode=Reader().encode), "encode") == {}


def test_a_pair_is_new_whatever_the_length_of_the_hair() -> None:
    assert new_pairs(np.array(TEST), np.array(TRAIN)).tolist() == [False, True, True]
    assert not new_pairs(np.array(TRAIN), np.array(TRAIN)).any()
