"""The network with its norms folded in, against the layers it is made of."""

import torch
from torch import nn

from wordspot.models.encoders import convolutional
from wordspot.models.encoders.contrastive import Contrastive


def network() -> Contrastive:
    """With random weights and norms that have seen something."""
    torch.manual_seed(0)
    model = Contrastive(Contrastive.Config(width=32, dilations=(1, 4)))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


@torch.inference_mode()
def test_a_frozen_network_hears_what_its_layers_hear(monkeypatch):
    model = network()
    lengths = torch.tensor([400, 257, 256, 255, 9, 3, 2, 1])
    features = torch.randn(len(lengths), 400, 40)
    expected = model.frames(features, lengths)
    model.freeze()
    for at_once in (1, 150, 1_500):
        monkeypatch.setattr(convolutional, "STEPS_AT_ONCE", at_once)
        heard = model.frames(features, lengths)
        assert heard.shape == expected.shape
        for ours, theirs, length in zip(heard, expected, lengths.tolist(), strict=True):
            inside = -(-length // 2)
            torch.testing.assert_close(ours[:inside], theirs[:inside], atol=2e-6, rtol=0)


def test_a_frozen_network_that_is_trained_again_is_frozen_no_more():
    model = network()
    model.freeze()
    lengths, features = torch.tensor([200]), torch.randn(1, 200, 40)
    model.train()
    with torch.no_grad():
        model.output.bias += 1.0
    model.eval()
    with torch.inference_mode():
        changed = model.frames(features, lengths)
        model.freeze()
        torch.testing.assert_close(model.frames(features, lengths), changed, atol=2e-6, rtol=0)
