from __future__ import annotations

import numpy as np
import torch

from wordspot.models import audio
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import ContrastiveData
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.correspondence import STEPS, Correspondence
from wordspot.models.encoders.mining import mine
from wordspot.models.trainer import generator

SMALL = ConvolutionalConfig(width=24, dilations=(1, 2), frame_dimension=16, dimension=20)


def test_a_few_steps_lower_the_loss_of_itself_and_of_pairs(corpus: Spectra) -> None:
    torch.manual_seed(0)
    model = Correspondence(SMALL)
    for pairs in (None, mine(model, corpus, 60, 0)):
        data = ContrastiveData(corpus, model.normalise, 0, pairs=pairs, rows=10)
        optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
        model.train()
        values = []
        for step in range(24):
            loss = model.loss("model", data.batch(step), generator("cpu", 0, step))
            optimiser.zero_grad()
            loss.value.backward()
            optimiser.step()
            values.append(float(loss.value.detach()))
        assert np.mean(values[-4:]) < 0.95 * np.mean(values[:4])


def test_what_is_decoded_has_twelve_parts() -> None:
    model = Correspondence(SMALL).eval()
    assert model.decode(torch.randn(3, 20)).shape == (3, STEPS, audio.MEL_BANDS)
