"""`wavenet`: sound sample by sample (van den Oord et al., WaveNet: a generative model for raw audio, 2016,
arXiv 1609.03499).

A sample is one of 256 codes of the mu-law (ITU-T G.711), and the network gives the chance of each, given all
samples within its receptive field before it. Layer k, of dilation d, sees the layer below it at t and t - d:

    z_k(t) = tanh(W_k * x_k) sigmoid(V_k * x_k),   x_(k+1)(t) = x_k(t) + R_k z_k(t)             (equation 2)
    p(code) = softmax(relu(relu(sum_k S_k z_k(t))))    with a matrix after each relu             (figure 4)

Before its beginning a sound is silent. All samples of a given sound are weighed in one pass; new ones are
made one after another, from queues (queues.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torchaudio.functional import mu_law_decoding, mu_law_encoding

from wordspot.models.datasets.sounds import RATE, SoundBatch, SoundRecipe
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

if TYPE_CHECKING:
    from wordspot.models.queues import Queues, Weights

STRETCH = 8_192  # samples weighed at a time, so that a long sound takes no more memory than a short one
MULTIPLE = 8  # of which channels and skip are, for `queues`
FREQUENCY = 3.0  # of the waves that a code begins as, standard deviation


@dataclass(frozen=True)
class WaveNetConfig:
    """codes: levels of the mu-law. channels: of the residual path and of the gates. skip: of the output.
    samples: of one sound that is drawn. chunk: of one part of a sound that goes on."""

    rate: int = RATE
    codes: int = 256
    channels: int = 48
    skip: int = 96
    dilations: tuple[int, ...] = tuple(2**power for power in range(10)) * 2
    samples: int = 2 * RATE
    chunk: int = RATE // 10

    @property
    def receptive_field(self) -> int:
        """So many samples decide about the next."""
        return sum(self.dilations) + 2


class GatedLayer(nn.Module):
    """One dilated convolution of width 2, its gate, and the way around them."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.past = nn.Linear(channels, 2 * channels, bias=False)
        self.now = nn.Linear(channels, 2 * channels)
        self.residual = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(T, B, channels) to what the next layer sees and what is gated, (T - dilation, B, channels) each.

        Time comes first, so that a shifted sound is a part of memory and not a copy.
        """
        count, batch, channels = x.shape
        past, now = x[: -self.dilation].flatten(0, 1), x[self.dilation :].flatten(0, 1)
        arguments = torch.addmm(self.now(now), past, self.past.weight.T)
        signal, gate = arguments.chunk(2, dim=1)
        gated = signal.tanh() * gate.sigmoid()
        shape = (count - self.dilation, batch, channels)
        return (now + self.residual(gated)).reshape(shape), gated.reshape(shape)


@register("wavenet")
class WaveNet(Model[WaveNetConfig]):
    Config = WaveNetConfig
    modality = "sound"
    options = frozenset({"temperature"})

    def __init__(self, config: WaveNetConfig) -> None:
        """Raises BadInput for sizes that are no multiples of MULTIPLE."""
        super().__init__(config)
        for name, value in (("channels", config.channels), ("skip", config.skip)):
            if value < MULTIPLE or value % MULTIPLE:
                raise BadInput(f"{value} {name}; multiples of {MULTIPLE} are allowed")
        # (2, codes, channels): of the code before the last, and of the last. Random waves over the levels
        # (Rahimi and Recht 2007), so that near codes look alike from the beginning.
        level = torch.linspace(-math.pi, math.pi, config.codes)[:, None]
        shape = (2, 1, config.channels)
        waves = FREQUENCY * torch.randn(shape) * level + 2 * math.pi * torch.rand(shape)
        self.front = nn.Parameter(waves.cos())
        self.layers = nn.ModuleList(GatedLayer(config.channels, dilation) for dilation in config.dilations)
        self.skip = nn.Linear(len(config.dilations) * config.channels, config.skip)
        self.hidden = nn.Linear(config.skip, config.skip)
        self.logits = nn.Linear(config.skip, config.codes)

    def weigh(self, codes: Tensor) -> Tensor:
        """Logits of the sample after each stretch as long as the receptive field.

        codes: int64 (B, T), T at least the receptive field. Returns (B, T - receptive field + 1, codes).
        """
        config = self.config
        ahead = codes.T
        x = self.front[0][ahead[:-1]] + self.front[1][ahead[1:]]  # (T - 1, B, channels)
        asked = len(ahead) - config.receptive_field + 1
        gated = []
        for layer in self.layers:
            x, out = layer(x)
            gated.append(out[-asked:])
        summed = self.skip(torch.cat(gated, dim=2)).relu()  # (asked, B, skip)
        logits: Tensor = self.logits(self.hidden(summed).relu())
        return logits.transpose(0, 1)

    def encoded(self, sounds: Tensor) -> Tensor:
        """float -1 to 1 to codes, int64."""
        found: Tensor = mu_law_encoding(sounds.float().clamp(-1, 1), self.config.codes)
        return found

    def decoded(self, codes: Tensor) -> Tensor:
        """Codes to float32, -1 to 1."""
        found: Tensor = mu_law_decoding(codes, self.config.codes)
        return found

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        """(count, samples), each from its beginning."""
        weights, queues = self.weights(), self.silence(count)
        samples, chunk, codes = self.config.samples, self.config.chunk, []
        for first in range(0, samples, chunk):
            codes.append(self._written(weights, queues, min(chunk, samples - first), rng, temperature))
        return self.decoded(torch.cat(codes)).T.contiguous()

    def generate(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Iterator[Tensor]:
        """Parts (chunk,) of one sound that goes on through all of them."""
        weights, queues = self.weights(), self.silence(1)
        for _ in range(count):
            yield self.decoded(self._written(weights, queues, self.config.chunk, rng, temperature)[:, 0])

    def nll(self, sounds: Tensor, rng: Generator) -> Tensor:
        """Of the codes of all samples. sounds: (B, samples)."""
        codes = pad(self.encoded(sounds), (self.config.receptive_field, 0), value=self.silent)
        field, found = self.config.receptive_field, torch.zeros(len(codes), device=codes.device)
        for first in range(0, sounds.shape[1], STRETCH):
            found = found + self._nats(codes[:, first : first + STRETCH + field]).sum(dim=1)
        return found

    def loss(self, player: str, batch: SoundBatch, rng: Generator) -> Loss:
        """Nats a sample, of those that are not known; figures: bits a sample."""
        short = self.config.receptive_field - batch.known
        codes = self.encoded(batch.sounds)
        codes = pad(codes, (short, 0), value=self.silent) if short > 0 else codes[:, -short:]
        nats = self._nats(codes).mean()
        return Loss(nats, {"bits": float(nats.detach()) / math.log(2)})

    def warm_up(self) -> None:
        """Compiles what makes samples, or reads it from where it was kept, so that no caller waits for it."""
        rng = torch.Generator().manual_seed(0)
        self._written(self.weights(), self.silence(1), 1, rng, 1.0)

    @property
    def silent(self) -> int:
        """The code of silence."""
        return self.config.codes // 2

    @torch.no_grad()
    def weights(self) -> Weights:
        """As `queues` takes them."""
        from wordspot.models.queues import Weights

        layers = [layer for layer in self.layers if isinstance(layer, GatedLayer)]
        tensors = (
            self.front,
            torch.stack([torch.cat([one.past.weight.T, one.now.weight.T]) for one in layers]),
            torch.stack([one.now.bias for one in layers]),
            torch.stack([one.residual.weight.T for one in layers]),
            torch.stack([one.residual.bias for one in layers]),
            *(part for one in (self.skip, self.hidden, self.logits) for part in (one.weight.T, one.bias)),
        )
        arrays = [np.ascontiguousarray(one.detach().float().cpu().numpy()) for one in tensors]
        return Weights(np.array(self.config.dilations, np.int64), *arrays)

    @torch.no_grad()
    def silence(self, count: int) -> Queues:
        """Where so many sounds stand before their first sample."""
        from wordspot.models.queues import Queues

        x, seen = (self.front[0] + self.front[1])[self.silent], []
        for layer in self.layers:
            assert isinstance(layer, GatedLayer)
            seen.append(x)
            x = layer(x.expand(layer.dilation + 1, 1, -1))[0][0, 0]
        inputs = torch.stack(seen).float().cpu().numpy()
        return Queues.filled(inputs, np.array(self.config.dilations), self.silent, count)

    def _written(
        self, weights: Weights, queues: Queues, samples: int, rng: Generator, temperature: float
    ) -> Tensor:
        """The codes of so many samples that come next, (samples, B). Raises BadInput."""
        from wordspot.models.queues import advance

        if not temperature > 0:
            raise BadInput(f"a temperature of {temperature}; above 0 is allowed")
        shape = (samples, queues.codes.shape[1])
        chances = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64).cpu().numpy()
        drawn, _ = advance(weights, queues, chances, float(temperature), np.full(shape, -1, np.int64))
        return torch.from_numpy(drawn).to(self.front.device)

    def _nats(self, codes: Tensor) -> Tensor:
        """-log p of each code (B, T) behind the first receptive field: (B, T - receptive field)."""
        logits = self.weigh(codes[:, :-1]).transpose(0, 1)  # (asked, B, codes), as it lies in memory
        asked = codes[:, self.config.receptive_field :].T
        nats = cross_entropy(logits.flatten(0, 1).float(), asked.flatten(), reduction="none")
        return nats.reshape(asked.shape).T


recipe(
    SoundRecipe(
        name="voice-wavenet",
        model="wavenet",
        config=WaveNetConfig(),
        sounds="festvox_ru",
        crop=4_096,
        batch_size=2,
        plan=Plan(
            steps=6_000,
            learning_rate=4e-3,
            warm_up=200,
            validate_every=500,
            weight_decay=0.0,
            average=0.999,
        ),
        description="Babbles like the man whose voice it learned, sample by sample.",
        thresholds={"bits_below_order_1": 0.3},
        scale="8 kHz, one voice, 48 channels in 20 layers, not conditioned on anything",
        source="van den Oord et al. 2016, WaveNet (arXiv 1609.03499); Paine et al. 2016 (arXiv 1611.09482)",
    )
)
