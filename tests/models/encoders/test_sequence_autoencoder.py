from __future__ import annotations

import numpy as np
import torch

from wordspot.models.datasets.segments import SegmentBatch
from wordspot.models.encoders.sequence_autoencoder import (
    DenoisingSequenceAutoencoder,
    SequenceAutoencoder,
    SequenceAutoencoderConfig,
)
from wordspot.models.trainer import generator

SMALL = SequenceAutoencoderConfig(hidden=32)


def batch(seed: int) -> SegmentBatch:
    rng = torch.Generator().manual_seed(seed)
    clean = torch.randn(8, 12, 39, generator=rng).cumsum(dim=1) / 3
    return SegmentBatch(clean, clean + 0.5, torch.tensor([12, 12, 9, 8, 7, 5, 4, 2]))


def test_the_vector_of_a_span_is_the_state_after_its_last_frame() -> None:
    torch.manual_seed(0)
    model = SequenceAutoencoder(SMALL).eval()
    features = torch.randn(2, 60, 39)
    lengths = torch.tensor([60, 41])
    spans = torch.tensor([[0, 4, 24], [0, 4, 44], [1, 7, 41], [0, 5, 25], [1, 40, 41]])
    with torch.no_grad():
        vectors = model.embed(features, lengths, spans)
        for row, (region, start, stop) in enumerate(spans.tolist()):
            piece = features[region, start : int(lengths[region])]
            paired = [piece[i : i + 2].mean(dim=0) for i in range(0, stop - start, 2)]
            expected = model.encode(torch.stack(paired)[None], torch.tensor([len(paired)]))[0]
            torch.testing.assert_close(vectors[row], expected, atol=1e-5, rtol=1e-5)


def test_more_runs_than_fit_one_batch_give_the_same_vectors(monkeypatch: object) -> None:
    from wordspot.models.encoders import sequence_autoencoder as module

    torch.manual_seed(0)
    model = SequenceAutoencoder(SMALL).eval()
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 90, 300)
    spans = torch.tensor(
        np.stack([rng.integers(0, 3, 300), starts, starts + rng.integers(1, 30, 300)], axis=1)
    )
    features, lengths = torch.randn(3, 120, 39), torch.tensor([120, 120, 120])
    with torch.no_grad():
        expected = model.embed(features, lengths, spans)
        monkeypatch.setattr(module, "RUNS_AT_ONCE", 7)  # type: ignore[attr-defined]
        torch.testing.assert_close(model.embed(features, lengths, spans), expected, atol=1e-5, rtol=1e-5)


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    model = SequenceAutoencoder(SMALL)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for step in range(30):
        loss = model.loss("model", batch(0), generator("cpu", 0, step)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_padding_does_not_enter_the_loss() -> None:
    torch.manual_seed(0)
    model = SequenceAutoencoder(SMALL).eval()
    whole = batch(1)
    spoiled = whole.clean.clone()
    for row, length in enumerate(whole.lengths.tolist()):
        spoiled[row, length:] = 50.0
    rng = generator("cpu", 0, 0)
    first = model.loss("model", whole, rng).value
    second = model.loss("model", SegmentBatch(spoiled, spoiled, whole.lengths), rng).value
    torch.testing.assert_close(first, second)


def test_the_denoising_kind_hears_noise_and_is_judged_on_the_clean() -> None:
    torch.manual_seed(0)
    model = DenoisingSequenceAutoencoder(SMALL).eval()
    given = batch(2)
    quiet = SegmentBatch(given.clean, given.clean, given.lengths)
    rng = generator("cpu", 0, 0)
    assert model.loss("model", given, rng).value != model.loss("model", quiet, rng).value
    torch.testing.assert_close(model.encoder_input(given), given.noisy)


def test_fitted_statistics_centre_and_scale_the_vectors() -> None:
    torch.manual_seed(0)
    model = SequenceAutoencoder(SMALL).eval()
    batches = [batch(seed) for seed in range(4)]
    model.fit_statistics(batches)
    vectors = torch.cat([model.encode(b.clean, b.lengths) for b in batches])
    settled = ((vectors - model.centre) * model.scale).detach()
    torch.testing.assert_close(settled.mean(dim=0), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(settled.std(dim=0), torch.ones(32), atol=1e-3, rtol=0)
