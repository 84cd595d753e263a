"""What captioners of pictures and of clips promise, on colours that have names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.conditional.captioner import Captioner, CaptionerConfig
from wordspot.models.conditional.clip_captioner import ClipCaptioner, ClipCaptionerConfig
from wordspot.models.conditional.describer import Describer
from wordspot.models.datasets.caption_batches import CaptionData, ExampleMotion, vocabulary_of
from wordspot.models.datasets.captioned import Captions
from wordspot.models.errors import BadInput
from wordspot.models.trainer import Plan, fit

SIDE = 16
COLOURS = {"red": (230, 20, 20), "green": (20, 200, 40), "blue": (30, 40, 220)}
TEXTS = ("red above", "green above", "blue above", "red below", "green below", "blue below")
SLIM: dict[str, Any] = {
    "height": SIDE,
    "width": SIDE,
    "words": 9,
    "letters": 60,
    "dimension": 12,
    "hidden": 24,
}
SMALL: dict[str, tuple[type[Describer[Any]], Any]] = {
    "captioner": (Captioner, CaptionerConfig(**SLIM, dropout=0.0, widths=(6, 8, 8, 8, 12))),
    "clip_captioner": (
        ClipCaptioner,
        ClipCaptionerConfig(
            **SLIM, dropout=0.0, frames=3, ground=255, widths=(6, 8, 8, 12), features=16, memory=16
        ),
    ),
}


def shown(clips: bool, count: int, seed: int) -> Captions:
    """White but for a square of a colour in the upper or the lower half; of clips in the last frame alone."""
    rng = np.random.default_rng(seed)
    pixels = np.full((count, 3, SIDE, SIDE, 3), 255, np.uint8)
    texts = [TEXTS[n % len(TEXTS)] for n in range(count)]
    for n, text in enumerate(texts):
        colour, where = text.split()
        top, left = (0 if where == "above" else 8) + rng.integers(0, 3), rng.integers(0, 10)
        pixels[n, 2, top : top + 5, left : left + 5] = COLOURS[colour]
    return Captions(pixels if clips else pixels[:, 2], tuple(texts), tuple(map(str, range(count))))


def data(name: str) -> CaptionData:
    clips = name == "clip_captioner"
    train = shown(clips, 120, 0)
    motion = ExampleMotion(1.0, shift=0.0, turn=0.0, zoom=0.0)
    return CaptionData(train, shown(clips, 30, 1), vocabulary_of(train, 9, "en"), 24, 0, motion)


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> Describer[Any]:
    torch.manual_seed(0)
    kind, config = SMALL[name]
    describer = kind(config)
    describer.prepare(data(name))
    return describer.eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def text_of(model: Describer[Any], example: torch.Tensor, **options: Any) -> str:
    return "".join(piece for piece, _ in model.describe(example, rng(), **options))


def test_it_learns_to_describe_what_is_shown_and_where(
    name: str, model: Describer[Any], tmp_path: Path
) -> None:
    plan = Plan(steps=150, learning_rate=1e-2, warm_up=10, validate_every=50)
    fit(model, data(name), plan, tmp_path)
    test = shown(name == "clip_captioner", 24, 2)
    right = [
        text_of(model.eval(), example) == text
        for example, text in zip(test.tensor(), test.texts, strict=True)
    ]
    assert np.mean(right) > 0.8


def test_each_piece_comes_with_attention_weights_whose_sum_is_one(name: str, model: Describer[Any]) -> None:
    example = shown(name == "clip_captioner", 1, 0).tensor()[0]
    parts = list(model.describe(example, rng()))
    assert parts
    for _, weights in parts:
        assert weights.shape == ((3,) if name == "clip_captioner" else (2, 2))
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-5)


def test_sampled_descriptions_go_by_the_seed_and_likeliest_ones_do_not(
    name: str, model: Describer[Any]
) -> None:
    example = shown(name == "clip_captioner", 1, 0).tensor()[0]
    sampled = {
        seed: "".join(piece for piece, _ in model.describe(example, rng(seed), temperature=2.0))
        for seed in range(6)
    }
    assert len(set(sampled.values())) > 1
    assert sampled[3] == "".join(piece for piece, _ in model.describe(example, rng(3), temperature=2.0))
    assert text_of(model, example) == text_of(model, example)


def test_another_shape_and_a_temperature_of_nothing_are_refused(model: Describer[Any]) -> None:
    with pytest.raises(BadInput, match=r"must have the shape \(.*16, 16\), got \(3, 5, 5\)"):
        next(model.describe(torch.zeros(3, 5, 5), rng()))
    with pytest.raises(BadInput, match="temperature must be above 0, got 0"):
        next(model.describe(torch.zeros(model.shape), rng(), temperature=0))


def test_saved_and_loaded_it_says_the_same(name: str, model: Describer[Any], tmp_path: Path) -> None:
    artifact.save(model, TrainingRecord("one"), tmp_path)
    again: Any
    again, card = registry.load(str(tmp_path))
    assert (card.model, card.capabilities, card.options) == (name, ("describe",), ("temperature",))
    for example in shown(name == "clip_captioner", 4, 0).tensor():
        assert text_of(again, example) == text_of(model, example)


def test_examples_are_moved_as_wholes_and_what_comes_in_is_ground() -> None:
    clip = shown(True, 8, 0).tensor()
    moved = ExampleMotion(1.0, shift=4.0, turn=0.0, zoom=0.0, mirrored=True)(clip, rng(1))
    assert moved.shape == clip.shape
    assert torch.equal(moved[:, :2], torch.ones_like(moved[:, :2]))
    assert not torch.equal(moved[:, 2], clip[:, 2])
    still = ExampleMotion(1.0, shift=0.0, turn=0.0, zoom=0.0)(clip, rng(1))
    torch.testing.assert_close(still, clip, atol=1e-5, rtol=0)
