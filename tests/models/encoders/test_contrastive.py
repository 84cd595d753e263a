from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wordspot.models import trainer
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import ContrastiveData
from wordspot.models.encoders.contrastive import Contrastive, levelled, nt_xent
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.trainer import Plan, generator

SMALL = ConvolutionalConfig(width=24, dilations=(1, 2), frame_dimension=16, dimension=20)


def losses(model: Contrastive, data: ContrastiveData, steps: int) -> list[float]:
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    values = []
    for step in range(steps):
        loss = model.loss("model", data.batch(step), generator("cpu", 0, step))
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
        values.append(float(loss.value.detach()))
    return values


def test_a_few_steps_lower_the_loss(corpus: Spectra) -> None:
    torch.manual_seed(0)
    model = Contrastive(SMALL)
    values = losses(model, ContrastiveData(corpus, model.normalise, 0, rows=10), 24)
    assert np.mean(values[-4:]) < 0.9 * np.mean(values[:4])


def test_the_loss_is_that_of_a_slow_sum_over_pairs() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2, 5, 6))
    starts = np.array([[0, 100, 200, 300, 104], [0, 500, 600, 700, 800]], dtype=np.float64)
    places = np.stack([starts, starts + 10], axis=2)
    loss, right = nt_xent(torch.from_numpy(vectors), torch.from_numpy(places), 0.2)
    rows = vectors.reshape(10, 6) / np.linalg.norm(vectors.reshape(10, 6), axis=1, keepdims=True)
    flat = starts.reshape(10)
    terms, found = [], []
    for i in range(10):
        partner = (i + 5) % 10
        others = [j for j in range(10) if j == partner or abs(flat[i] - flat[j]) >= 10]
        scores = {j: rows[i] @ rows[j] / 0.2 for j in others if j != i}
        terms.append(np.log(sum(np.exp(s) for s in scores.values())) - scores[partner])
        found.append(max(scores, key=lambda j: scores[j]) == partner)
    assert abs(float(loss) - np.mean(terms)) < 1e-9
    assert float(right) == np.float32(np.mean(found))


def test_what_is_levelled_has_no_mean_within_its_length() -> None:
    clean = torch.randn(2, 3, 30, 40, generator=torch.Generator().manual_seed(0)) + 5
    lengths = torch.tensor([[30, 4, 17], [9, 30, 1]])
    inside = torch.arange(30) < lengths[..., None]
    flat, where = levelled(clean * inside[..., None], lengths)
    assert torch.equal(where, inside)
    assert float(flat.sum(dim=2).abs().max()) < 1e-3
    assert float((flat * ~inside[..., None]).abs().max()) == 0


def test_a_training_that_was_cut_off_goes_the_same_way(corpus: Spectra, tmp_path: Path) -> None:
    def fitted(folder: Path, minutes: float | None, resume: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = Contrastive(SMALL)
        data = ContrastiveData(corpus, model.normalise, 0, rows=6)
        plan = Plan(steps=4, minutes=minutes, warm_up=1, validate_every=1)
        trainer.fit(model, data, plan, folder, resume=resume)
        return model.state_dict()

    whole = fitted(tmp_path / "whole", None, False)
    fitted(tmp_path / "cut", 1e-9, False)
    resumed = fitted(tmp_path / "cut", None, True)
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor)
