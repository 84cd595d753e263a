from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.datasets.moving_digits import VideoBatch
from wordspot.models.errors import BadInput
from wordspot.models.generators.video_layers import move_pictures
from wordspot.models.generators.video_pixel_network import (
    MIN_PROBABILITY,
    VideoPixelNetwork,
    VideoPixelNetworkConfig,
)
from wordspot.models.trainer import Plan, fit

SMALL = VideoPixelNetworkConfig(
    height=6,
    width=8,
    frames=5,
    seen=2,
    encoder=16,
    blocks=1,
    memory=16,
    condition=4,
    decoder=8,
    layers=2,
    head=16,
)
ALONE = dataclasses.replace(SMALL, past=False)
SHORT = dataclasses.replace(SMALL, frames=3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(config: VideoPixelNetworkConfig = SMALL) -> VideoPixelNetwork:
    torch.manual_seed(3)
    return VideoPixelNetwork(config).eval()


def some(count: int = 3, config: VideoPixelNetworkConfig = SMALL) -> Tensor:
    return torch.rand((count, config.frames, 1, config.height, config.width), generator=rng(1))


def first(known: int, count: int = 3) -> Tensor:
    return (torch.arange(SMALL.frames) < known).expand(count, -1)


class Blocks:
    """A bright square that goes a pixel to the right each frame and comes in again on the left."""

    def batch(self, step: int) -> VideoBatch:
        corner = torch.zeros((16, SMALL.height, SMALL.width))
        corner[torch.arange(16), *(torch.randint(0, n, (16,), generator=rng(step + n)) for n in (5, 8))] = 1.0
        square = corner + corner.roll(1, dims=1)
        square = square + square.roll(1, dims=2)
        return VideoBatch(
            torch.stack([square.roll(t, dims=2) for t in range(SHORT.frames)], dim=1)[:, :, None]
        )

    def validation(self) -> list[VideoBatch]:
        return [self.batch(10_000)]


def test_a_pixel_depends_on_no_later_pixel_and_no_later_frame() -> None:
    model, clips = network(), some(1).requires_grad_()
    time, row, column = 3, 2, 5
    told = model.conditions(clips[:, :time])
    found = model.logits(clips[:, time], told[:, -1])[0, 0, row, column]
    (slope,) = torch.autograd.grad(found, clips)
    seen = slope[0, :, 0] != 0
    place = row * SMALL.width + column
    assert seen[:time].any(dim=(1, 2)).all()
    assert seen[time].flatten()[:place].any()
    assert not seen[time].flatten()[place:].any()
    assert not seen[time + 1 :].any()


@torch.inference_mode()
def test_what_is_told_of_a_frame_is_the_same_whatever_follows() -> None:
    model, clips = network(), some()
    whole = model.conditions(clips)
    for time in range(SMALL.frames):
        torch.testing.assert_close(model.conditions(clips[:, :time]), whole[:, : time + 1])


@torch.inference_mode()
def test_drawing_pixel_by_pixel_follows_the_logits_of_the_whole_network() -> None:
    model = network()
    given = some(4)
    found = model.complete(given, first(4, 4), rng(5))[:, 4]
    told = model.conditions(given[:, :4])[:, -1]
    slow, same = torch.zeros_like(found), rng(5)
    for row in range(SMALL.height):
        for column in range(SMALL.width):
            chance = model.logits(slow, told)[:, :, row, column].sigmoid()
            slow[:, :, row, column] = torch.bernoulli(chance, generator=same)
    assert torch.equal(found, slow)
    assert 0.05 < float(found.mean()) < 0.95


@torch.inference_mode()
def test_the_chances_of_all_futures_sum_to_one() -> None:
    config = dataclasses.replace(SMALL, height=2, width=2, frames=3, seen=1)
    model = network(config)
    futures = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 8).reshape(256, 2, 1, 2, 2)
    past = torch.rand((1, 1, 1, 2, 2), generator=rng()).expand(256, -1, -1, -1, -1)
    chances = (-model.nll(torch.cat([past, futures], dim=1), rng())).exp()
    assert float(chances.sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(chances.max()) > 3 / 256


@torch.inference_mode()
def test_nats_of_a_network_that_learned_nothing_are_those_of_black_frames() -> None:
    model, clips = network(ALONE), some()
    for parameter in model.head.parameters():
        parameter.zero_()
    future = clips[:, ALONE.seen :].flatten(1)
    expected = -(future * math.log(MIN_PROBABILITY) + (1 - future) * math.log(1 - MIN_PROBABILITY)).sum(dim=1)
    torch.testing.assert_close(model.nll(clips, rng()), expected)


def test_pictures_are_taken_from_frames_and_carried_on_as_the_shares_say() -> None:
    frames = torch.zeros((1, 3, 1, 4, 6))
    frames[0, 0, 0, 1, 2] = 0.8
    frames[0, 1:] = 0.5
    taken = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None, None].expand(1, 3, 2, 4, 6)
    shares = torch.zeros((1, 3, 2, 9, 4, 6))
    shares[:, :, 0, 3] = 1.0  # a pixel becomes what its left neighbour was
    shares[:, :, 1, (1, 4)] = 0.5  # half of what was above, half of what was here
    found = move_pictures(frames, taken, shares)
    assert found.shape == (1, 4, 2, 4, 6)
    assert not found[0, 0].any()
    for time, column in ((1, 3), (2, 4), (3, 5)):
        expected = torch.zeros((4, 6))
        expected[1, column] = 0.8
        assert torch.equal(found[0, time, 0], expected)
    torch.testing.assert_close(found[0, 2, 1, :, 2], torch.tensor([0.0, 0.2, 0.4, 0.2]))


@torch.inference_mode()
def test_known_frames_stay_and_the_others_are_drawn_by_the_seed() -> None:
    model, given = network(), some()
    known = torch.stack([first(1, 1)[0], first(2, 1)[0], first(5, 1)[0]])
    found = model.complete(given, known, rng(1))
    assert torch.equal(found[known], given[known])
    assert set(found[~known].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(found, model.complete(given, known, rng(1)))
    assert not torch.equal(found, model.complete(given, known, rng(2)))


@torch.inference_mode()
def test_near_temperature_zero_every_seed_draws_the_same() -> None:
    model, given = network(), some()
    cold = [model.complete(given, first(2), rng(seed), temperature=1e-6) for seed in (1, 2)]
    warm = [model.complete(given, first(2), rng(seed)) for seed in (1, 2)]
    assert torch.equal(*cold)
    assert not torch.equal(*warm)


@torch.inference_mode()
def test_clips_are_drawn_from_nothing() -> None:
    model = network()
    drawn = model.sample(2, rng(1))
    assert drawn.shape == (2, SMALL.frames, 1, SMALL.height, SMALL.width)
    assert torch.equal(drawn, model.sample(2, rng(1)))
    assert not torch.equal(drawn, model.sample(2, rng(2)))
    assert not torch.equal(drawn, model.sample(2, rng(1), temperature=3.0))


@torch.inference_mode()
def test_without_a_past_a_frame_is_drawn_whatever_went_before() -> None:
    model = network(ALONE)
    with_past, other = network(), some().flip(1)
    assert torch.equal(
        model.complete(some(), first(2), rng())[:, 2:], model.complete(other, first(2), rng())[:, 2:]
    )
    assert not torch.equal(
        with_past.complete(some(), first(2), rng())[:, 2:], with_past.complete(other, first(2), rng())[:, 2:]
    )


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (first(2).flip(1), "must be the first of each clip"),
        (first(2)[:, :3], "must be the first of each clip"),
        (first(0), "at least 1 frame of each clip must be known"),
    ],
)
def test_known_frames_that_are_not_the_first_ones_are_refused(known: Tensor, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        network().complete(some(), known, rng())


def test_other_shapes_and_temperatures_are_refused() -> None:
    model = network()
    with pytest.raises(BadInput, match=r"must have the shape \(B, T\) of \(1, 6, 8\)"):
        model.complete(some()[..., :4], first(2), rng())
    with pytest.raises(BadInput, match="more than 2 frames, got 2"):
        model.nll(some()[:, :2], rng())
    with pytest.raises(BadInput, match="temperature must be above 0"):
        model.sample(1, rng(), temperature=0.0)
    with pytest.raises(BadInput, match="7 x 8"):
        VideoPixelNetwork(dataclasses.replace(SMALL, height=7))
    with pytest.raises(BadInput, match="seen must be between 1 and 4 of 5 frames, got 5"):
        VideoPixelNetwork(dataclasses.replace(SMALL, seen=5))


def test_it_learns_where_things_go_and_without_a_past_it_cannot(tmp_path: Path) -> None:
    plan = Plan(steps=24, learning_rate=1e-2, warm_up=5, validate_every=12)
    torch.manual_seed(0)
    with_past, without = (
        fit(VideoPixelNetwork(config), Blocks(), plan, tmp_path / str(config.past)).best
        for config in (SHORT, dataclasses.replace(SHORT, past=False))
    )
    places = SMALL.width * (SMALL.height - 1)
    assert without > 0.95 * math.log(places)  # nobody knows where the square is
    assert with_past < 0.5 * math.log(places)


@torch.inference_mode()
def test_saved_and_loaded_it_draws_the_same(tmp_path: Path) -> None:
    model = network()
    artifact.save(model, TrainingRecord("one"), tmp_path)
    again, read = registry.load(str(tmp_path))
    assert again.config == SMALL
    assert read.modality == "video"
    assert read.capabilities == ("complete", "nll", "sample")
    assert torch.equal(again.sample(2, rng(4)), model.sample(2, rng(4)))
