from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from wordspot.models import artifact, registry, wavenet_queues
from wordspot.models.artifact import TrainingRecord
from wordspot.models.datasets.sounds import FULL_SCALE, RATE, SoundBatch, SoundData, Sounds
from wordspot.models.errors import BadInput
from wordspot.models.generators import wavenet
from wordspot.models.generators.wavenet import WaveNet, WaveNetConfig
from wordspot.models.trainer import Plan, fit, validate

SMALL = WaveNetConfig(channels=16, skip=8, dilations=(1, 2, 4, 1, 2, 4), samples=60, chunk=20)
FIELD = 16


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model() -> WaveNet:
    torch.manual_seed(3)
    network = WaveNet(SMALL).eval()
    with torch.no_grad():
        network.logits.weight.mul_(20)  # so that what is padded makes a difference
    return network


def some_codes(*shape: int) -> Tensor:
    return torch.randint(0, SMALL.codes, shape, generator=rng(9))


@torch.inference_mode()
def test_a_sample_depends_on_all_of_its_receptive_field_and_on_nothing_else(model: WaveNet) -> None:
    assert SMALL.receptive_field == FIELD
    assert WaveNetConfig().receptive_field == 2_048
    codes = some_codes(1, 50)
    before = model.next_code_logits(codes)[0]
    assert before.shape == (50 - FIELD + 1, SMALL.codes)
    for place in range(50):
        other = codes.clone()
        other[0, place] = (codes[0, place] + 100) % SMALL.codes
        changed = (model.next_code_logits(other)[0] != before).any(dim=1).nonzero().flatten().tolist()
        # The output at i is of the sample behind codes i to i + FIELD - 1.
        assert changed == list(range(max(0, place - FIELD + 1), min(place, 50 - FIELD) + 1))


@torch.inference_mode()
def test_step_by_step_it_says_the_same_as_in_one_pass(model: WaveNet) -> None:
    codes = some_codes(3, 70)
    padded = pad(codes, (FIELD, 0), value=model.silent_code)
    expected = model.next_code_logits(padded[:, :-1])  # (3, 70, codes)
    weights, state, outputs = model.queue_weights(), model.silent_queues(3), []
    for part in codes.T.split((1, 30, 39)):
        taken, logits = wavenet_queues.advance(
            weights, state, np.zeros(part.shape), 1.0, part.contiguous().numpy()
        )
        np.testing.assert_array_equal(taken, part.numpy())
        outputs.append(torch.from_numpy(logits))
    torch.testing.assert_close(torch.cat(outputs).transpose(0, 1), expected, atol=2e-5, rtol=1e-5)


@torch.inference_mode()
def test_what_is_drawn_surprises_as_much_as_the_chances_say(model: WaveNet) -> None:
    drawn = model.mu_law_encode(model.sample(300, rng()))
    mixed = drawn[:, torch.randperm(SMALL.samples, generator=rng())]
    excess = []
    for codes in (drawn, mixed):
        padded = pad(codes, (FIELD, 0), value=model.silent_code)
        chances = model.next_code_logits(padded[:, :-1]).log_softmax(dim=2)
        surprise = -chances.gather(2, codes[:, :, None])[..., 0]
        entropy = -(chances.exp() * chances).sum(dim=2)
        excess.append(float((surprise - entropy).mean()))  # nats a sample
    assert abs(excess[0]) < 0.03
    assert excess[1] > 0.06


@torch.inference_mode()
def test_codes_are_drawn_as_often_as_their_chance_says(model: WaveNet) -> None:
    for parameter in model.parameters():
        parameter.zero_()
    model.logits.bias[:4] = torch.tensor([9.0, 10.0, 11.0, 10.5])
    for temperature in (0.5, 1.0, 2.0):
        codes = model.mu_law_encode(model.sample(400, rng(), temperature=temperature))
        shares = torch.bincount(codes.flatten(), minlength=SMALL.codes) / codes.numel()
        torch.testing.assert_close(shares, (model.logits.bias / temperature).softmax(0), atol=0.01, rtol=0)


@torch.inference_mode()
def test_parts_are_one_sound_that_goes_on(model: WaveNet) -> None:
    parts = list(model.generate(3, rng(1)))
    assert [part.shape for part in parts] == [(SMALL.chunk,)] * 3
    whole = model.sample(1, rng(1))
    assert whole.shape == (1, SMALL.samples)
    assert torch.equal(torch.cat(parts), whole[0])
    assert torch.equal(next(model.generate(1_000_000, rng(1))), parts[0])  # and made as they are asked for


@torch.inference_mode()
def test_the_same_seed_gives_the_same_sound(model: WaveNet) -> None:
    first, again, other = (model.sample(2, rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert first.dtype == torch.float32
    assert float(first.abs().max()) <= 1


@torch.inference_mode()
def test_nats_are_those_of_every_sample_from_the_first(
    model: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = model.mu_law_decode(some_codes(2, 33))
    expected = []
    for codes in pad(some_codes(2, 33), (FIELD, 0), value=model.silent_code):
        steps = [model.next_code_logits(codes[None, n : n + FIELD])[0, 0].log_softmax(0) for n in range(33)]
        expected.append(-sum(step[codes[n + FIELD]] for n, step in enumerate(steps)))
    torch.testing.assert_close(model.nll(sounds, rng()), torch.stack(expected))
    monkeypatch.setattr(wavenet, "CHUNK_SAMPLES", 7)
    torch.testing.assert_close(model.nll(sounds, rng()), torch.stack(expected))


@torch.inference_mode()
def test_what_is_known_is_heard_but_not_asked_for(model: WaveNet) -> None:
    sounds = model.mu_law_decode(some_codes(2, 40))
    everything = model.nll(sounds, rng()).sum()
    first = model.nll(sounds[:, :25], rng()).sum()
    rest = model.loss("model", SoundBatch(sounds, known=25), rng())
    torch.testing.assert_close(rest.value * 2 * 15, everything - first)
    assert rest.figures["bits"] == pytest.approx(float(rest.value) / math.log(2))
    few = model.loss("model", SoundBatch(sounds, known=3), rng())
    torch.testing.assert_close(few.value * 2 * 37, everything - model.nll(sounds[:, :3], rng()).sum())


def test_every_code_is_a_level_of_its_own(model: WaveNet) -> None:
    codes = torch.arange(SMALL.codes)
    levels = model.mu_law_decode(codes)
    assert bool((levels.diff() > 0).all())
    assert torch.equal(model.mu_law_encode(levels), codes)
    assert int(model.mu_law_encode(torch.zeros(1))) == model.silent_code
    assert torch.equal(model.mu_law_encode(torch.tensor([-7.0, 7.0])), codes[[0, -1]])


def test_tanh_without_a_call_is_tanh() -> None:
    points = np.linspace(-30, 30, 20_001, dtype=np.float32)
    found = np.array([wavenet_queues._tanh(point) for point in points])
    np.testing.assert_allclose(found, np.tanh(points.astype(np.float64)), atol=3e-7)


def test_steps_are_compiled_once_for_all(model: WaveNet) -> None:
    model.warm_up()
    model.sample(2, rng(), temperature=2)
    with torch.inference_mode():
        list(model.generate(1, rng()))
    assert len(wavenet_queues._advance.signatures) == 1  # type: ignore[attr-defined]


def tones(count: int) -> Sounds:
    """Chords of two pitches, of which one sample alone does not tell the next."""
    time = np.arange(400) / RATE
    phases = np.random.default_rng(count).uniform(0, 6, (count, 2))
    waves = [0.3 * np.sin(2_500 * time + a) + 0.3 * np.sin(9_000 * time + b) for a, b in phases]
    return Sounds((np.concatenate(waves) * FULL_SCALE).astype(np.int16), 400 * np.arange(1, count + 1))


def test_it_learns_and_is_the_same_when_stored_and_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = WaveNet(SMALL)
    data = SoundData(tones(50), tones(4), batch_size=4, crop=300, context=FIELD, seed=0)
    before = validate(model, data.validation(), 0, "cpu")
    plan = Plan(steps=60, learning_rate=8e-3, warm_up=5, validate_every=30)
    assert fit(model, data, plan, tmp_path / "training").best < 0.75 * before
    artifact.save(model, TrainingRecord("one"), tmp_path)
    again, read = registry.load(str(tmp_path))
    assert (again.config, read.modality) == (SMALL, "sound")
    assert set(read.capabilities) == {"sample", "generate", "nll"}
    assert isinstance(again, WaveNet)
    with torch.inference_mode():
        assert torch.equal(model.sample(2, rng()), again.sample(2, rng()))


def test_what_makes_no_sense_is_refused(model: WaveNet) -> None:
    with pytest.raises(BadInput, match="channels must be a multiple of 8, got 12"):
        WaveNet(WaveNetConfig(channels=12))
    with pytest.raises(BadInput, match=r"temperature must be above 0, got 0\.0"):
        model.sample(1, rng(), temperature=0.0)
