from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.models import registry
from wordspot.models.cancellation import Cancelled, cancellation_check, check_cancelled
from wordspot.models.encoders import load_encoder


class StepLimit:
    """A cancellation check that raises after so many steps; steps: those that were allowed."""

    def __init__(self, limit: int) -> None:
        self.limit, self.steps = limit, 0

    def __call__(self) -> None:
        if self.steps == self.limit:
            raise Cancelled
        self.steps += 1


def sampled(count: int, **options: Any) -> Callable[[Any], Any]:
    return lambda model: model.sample(count, torch.Generator().manual_seed(0), **options)


def described(model: Any) -> Iterator[Any]:
    return list(model.describe(torch.zeros(model.shape), torch.Generator()))  # type: ignore[return-value]


def likelihood(model: Any) -> Any:
    pictures = torch.zeros(2, model.config.channels, model.config.height, model.config.width)
    return model.nll(pictures, torch.Generator())


LOOPS: dict[str, tuple[str, Callable[[Any], Any], int]] = {
    "pixel CNN": ("digits-pixel-cnn", sampled(1), 28 * 28),
    "pixel RNN": ("creatures", sampled(1), 20 * 20),
    "video pixel network": ("moving-digits-alone", sampled(1), 8 * 20 * 20),
    "WaveNet": ("voice-wavenet", sampled(1), 10),
    "poem language model": ("poem-lm", sampled(1, condition="5x4"), 20),
    "poem GAN": ("poem", sampled(64, condition="7x8"), 2),
    "beam search": ("title-en", sampled(1, condition="a library for sound"), 3),
    "sampling of texts": ("title-en", sampled(2, condition="a library", temperature=1.0), 3),
    "captions": ("caption-en", described, 3),
    "likelihood of a VAE": ("digits-vae", likelihood, 10),
}


@pytest.mark.parametrize("loop", LOOPS)
@torch.inference_mode()
def test_long_loops_stop_at_the_step_at_which_they_are_cancelled(loop: str) -> None:
    name, call, steps = LOOPS[loop]
    model = registry.load(name)[0]
    check = StepLimit(steps - 1)
    with cancellation_check(check), pytest.raises(Cancelled):
        call(model)
    assert check.steps == steps - 1


@torch.inference_mode()
def test_sounds_are_the_same_however_often_the_loop_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from wordspot.models.generators import wavenet

    model: Any = registry.load("voice-wavenet")[0]
    part = next(model.generate(1, torch.Generator().manual_seed(1)))
    monkeypatch.setattr(wavenet, "CODES_AT_ONCE", 7)
    assert torch.equal(part, next(model.generate(1, torch.Generator().manual_seed(1))))


@pytest.mark.parametrize("cores", [1, 2])
def test_an_encoder_without_torch_stops_between_regions_on_all_its_threads(cores: int) -> None:
    encoder = load_encoder("phonetic", cores=cores)
    rng = np.random.default_rng(0)
    regions = [rng.standard_normal(8_000).astype(np.float32) for _ in range(20)]
    section = (regions, np.array([[0, 0, 30]], np.int32))
    check = StepLimit(25)  # 20 regions of features, then their frames
    with cancellation_check(check), pytest.raises(Cancelled):
        encoder.embed_sections([section])
    assert check.steps == 25
    assert len(encoder.embed_sections([section])[0][1]) == 20


def test_work_outside_of_any_check_is_never_cancelled() -> None:
    with cancellation_check(StepLimit(0)), pytest.raises(Cancelled):
        check_cancelled()
    check_cancelled()
