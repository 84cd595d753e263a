"""`wavenet`: sound generated sample by sample (van den Oord et al., WaveNet: a generative model for raw
audio, 2016, arXiv 1609.03499).

A sample is one of 256 codes of the mu-law (ITU-T G.711), and the network gives the probability of each given
the samples in its receptive field. Layer k, of dilation d, sees the layer below it at t and t - d:

    z_k(t) = tanh(W_k * x_k) sigmoid(V_k * x_k),   x_(k+1)(t) = x_k(t) + R_k z_k(t)             (equation 2)
    p(code) = softmax(relu(relu(sum_k S_k z_k(t))))    with a matrix after each relu             (figure 4)

Before its beginning a sound is silent. The likelihood of a sound takes one pass over all samples; new samples
are generated one after another, from queues (wavenet_queues.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torchaudio.functional import mu_law_decoding, mu_law_encoding

from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.sounds import RATE, SoundBatch, SoundData, sound_source, sounds
from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import Material, TrainedRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

if TYPE_CHECKING:
    from wordspot.models.wavenet_queues import WaveNetQueues, WaveNetWeights

CODES_AT_ONCE = 1_024  # between two checks whether they are still wanted
CHUNK_SAMPLES = 8_192  # of one pass, which bounds the memory that a long sound takes
SIZE_MULTIPLE = 8  # of channels and skip, for `wavenet_queues`
WAVE_DEVIATION = 3.0  # standard deviation of the frequencies of the initial embedding


@dataclass(frozen=True)
class WaveNetConfig:
    """The shape of a WaveNet.

    Attributes:
        rate: samples a second.
        codes: levels of the mu-law.
        channels: of the residual path and of the gates.
        skip: channels of the skip connections and of the output's hidden layer.
        dilations: of the layers, samples.
        samples: of a sound that `sample` returns.
        chunk: samples of a part that `generate` yields.
    """

    rate: int = RATE
    codes: int = 256
    channels: int = 48
    skip: int = 96
    dilations: tuple[int, ...] = tuple(2**power for power in range(10)) * 2
    samples: int = 2 * RATE
    chunk: int = RATE // 10

    @property
    def receptive_field(self) -> int:
        """Samples on which the next one depends."""
        return sum(self.dilations) + 2


class GatedLayer(nn.Module):
    """One dilated convolution of width 2, its gate, and the residual connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.past = nn.Linear(channels, 2 * channels, bias=False)
        self.now = nn.Linear(channels, 2 * channels)
        self.residual = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next layer's input and the gated output, (T - dilation, B, channels) each.

        x: (T, B, channels); time comes first, so that a shifted sound is a view and not a copy.
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
    """A stack of dilated causal convolutions over mu-law codes."""

    Config = WaveNetConfig
    modality = "sound"
    options = frozenset({"temperature"})

    def __init__(self, config: WaveNetConfig) -> None:
        """Makes a network with random weights. Raises BadInput if a size is no multiple of SIZE_MULTIPLE."""
        super().__init__(config)
        for name, value in (("channels", config.channels), ("skip", config.skip)):
            if value < SIZE_MULTIPLE or value % SIZE_MULTIPLE:
                raise BadInput(f"{name} must be a multiple of {SIZE_MULTIPLE}, got {value}")
        # (2, codes, channels): of the code before the last, and of the last. Random waves over the levels
        # (Rahimi and Recht 2007), so that near codes look alike from the beginning.
        level = torch.linspace(-math.pi, math.pi, config.codes)[:, None]
        shape = (2, 1, config.channels)
        waves = WAVE_DEVIATION * torch.randn(shape) * level + 2 * math.pi * torch.rand(shape)
        self.front = nn.Parameter(waves.cos())
        self.layers = nn.ModuleList(GatedLayer(config.channels, dilation) for dilation in config.dilations)
        self.skip = nn.Linear(len(config.dilations) * config.channels, config.skip)
        self.hidden = nn.Linear(config.skip, config.skip)
        self.logits = nn.Linear(config.skip, config.codes)

    def next_code_logits(self, codes: Tensor) -> Tensor:
        """Returns logits of the sample after each stretch as long as the receptive field.

        Args:
            codes: int64 (B, T), T at least the receptive field.

        Returns:
            float (B, T - receptive field + 1, codes).
        """
        config = self.config
        steps = codes.T
        x = self.front[0][steps[:-1]] + self.front[1][steps[1:]]  # (T - 1, B, channels)
        count = len(steps) - config.receptive_field + 1
        gated = []
        for layer in self.layers:
            x, out = layer(x)
            gated.append(out[-count:])
        summed = self.skip(torch.cat(gated, dim=2)).relu()  # (count, B, skip)
        logits: Tensor = self.logits(self.hidden(summed).relu())
        return logits.transpose(0, 1)

    def mu_law_encode(self, sounds: Tensor) -> Tensor:
        """Returns the mu-law codes of sounds, float (...), -1 to 1, as int64 (...)."""
        codes: Tensor = mu_law_encoding(sounds.float().clamp(-1, 1), self.config.codes)
        return codes

    def mu_law_decode(self, codes: Tensor) -> Tensor:
        """Returns the sounds of mu-law codes, int64 (...), as float32 (...), -1 to 1."""
        sounds: Tensor = mu_law_decoding(codes, self.config.codes)
        return sounds

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        """Returns sounds from their beginning, float32 (count, samples), -1 to 1. Raises BadInput if the
        temperature is not above 0."""
        weights, queues = self.queue_weights(), self.silent_queues(count)
        samples, chunk, codes = self.config.samples, self.config.chunk, []
        for first in range(0, samples, chunk):
            codes.append(self._sample_codes(weights, queues, min(chunk, samples - first), rng, temperature))
        return self.mu_law_decode(torch.cat(codes)).T.contiguous()

    def generate(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Iterator[Tensor]:
        """Yields `count` consecutive parts (chunk,) of one sound. Raises BadInput as `sample`."""
        weights, queues = self.queue_weights(), self.silent_queues(1)
        for _ in range(count):
            yield self.mu_law_decode(
                self._sample_codes(weights, queues, self.config.chunk, rng, temperature)[:, 0]
            )

    def nll(self, sounds: Tensor, rng: Generator) -> Tensor:
        """Returns the negative log-likelihood of the codes of sounds (B, samples), nats (B,)."""
        codes = pad(self.mu_law_encode(sounds), (self.config.receptive_field, 0), value=self.silent_code)
        field, nats = self.config.receptive_field, torch.zeros(len(codes), device=codes.device)
        for first in range(0, sounds.shape[1], CHUNK_SAMPLES):
            check_cancelled()
            nats = nats + self._nats(codes[:, first : first + CHUNK_SAMPLES + field]).sum(dim=1)
        return nats

    def loss(self, player: str, batch: SoundBatch, rng: Generator) -> Loss:
        """Returns nats a sample, of those behind the batch's context; figures: bits a sample."""
        short = self.config.receptive_field - batch.known
        codes = self.mu_law_encode(batch.sounds)
        codes = pad(codes, (short, 0), value=self.silent_code) if short > 0 else codes[:, -short:]
        nats = self._nats(codes).mean()
        return Loss(nats, {"bits": float(nats.detach()) / math.log(2)})

    def warm_up(self) -> None:
        """Compiles the sampling loop, or reads it from the cache, before the first call."""
        rng = torch.Generator().manual_seed(0)
        self._sample_codes(self.queue_weights(), self.silent_queues(1), 1, rng, 1.0)

    @property
    def silent_code(self) -> int:
        """The mu-law code of silence."""
        return self.config.codes // 2

    @torch.no_grad()
    def queue_weights(self) -> WaveNetWeights:
        """Returns the weights as `wavenet_queues` takes them."""
        from wordspot.models.wavenet_queues import WaveNetWeights

        layers = [layer for layer in self.layers if isinstance(layer, GatedLayer)]
        tensors = (
            self.front,
            torch.stack([torch.cat([layer.past.weight.T, layer.now.weight.T]) for layer in layers]),
            torch.stack([layer.now.bias for layer in layers]),
            torch.stack([layer.residual.weight.T for layer in layers]),
            torch.stack([layer.residual.bias for layer in layers]),
            *(
                part
                for layer in (self.skip, self.hidden, self.logits)
                for part in (layer.weight.T, layer.bias)
            ),
        )
        arrays = [np.ascontiguousarray(tensor.detach().float().cpu().numpy()) for tensor in tensors]
        return WaveNetWeights(np.array(self.config.dilations, np.int64), *arrays)

    @torch.no_grad()
    def silent_queues(self, count: int) -> WaveNetQueues:
        """Returns the queues of so many sounds before their first sample."""
        from wordspot.models.wavenet_queues import WaveNetQueues

        x, inputs = (self.front[0] + self.front[1])[self.silent_code], []
        for layer in self.layers:
            assert isinstance(layer, GatedLayer)
            inputs.append(x)
            x = layer(x.expand(layer.dilation + 1, 1, -1))[0][0, 0]
        stacked = torch.stack(inputs).float().cpu().numpy()
        return WaveNetQueues.filled(stacked, np.array(self.config.dilations), self.silent_code, count)

    def _sample_codes(
        self, weights: WaveNetWeights, queues: WaveNetQueues, samples: int, rng: Generator, temperature: float
    ) -> Tensor:
        """Returns the codes of the next samples, int64 (samples, B). Raises BadInput as `sample`."""
        from wordspot.models.wavenet_queues import advance

        if not temperature > 0:
            raise BadInput(f"temperature must be above 0, got {temperature}")
        shape = (samples, queues.codes.shape[1])
        uniform = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64).cpu().numpy()
        steps, parts = max(1, CODES_AT_ONCE // max(1, shape[1])), []
        for first in range(0, samples, steps):
            check_cancelled()
            part = uniform[first : first + steps]
            parts.append(advance(weights, queues, part, float(temperature), np.full(part.shape, -1))[0])
        return torch.from_numpy(np.concatenate(parts)).to(self.front.device)

    def _nats(self, codes: Tensor) -> Tensor:
        """Returns -log p of each code (B, T) behind the first receptive field, (B, T - receptive field)."""
        # (count, B, codes), as it lies in memory.
        logits = self.next_code_logits(codes[:, :-1]).transpose(0, 1)
        targets = codes[:, self.config.receptive_field :].T
        nats = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
        return nats.reshape(targets.shape).T


@dataclass(frozen=True)
class SoundRecipe(TrainedRecipe):
    """The training of a WaveNet on crops of sound, whose context is the receptive field.

    Attributes:
        sounds: the source of speech, `datasets.sounds`.
        crop: samples of a crop.
    """

    sounds: str
    crop: int

    def material(self, home: Path, seed: int) -> Material:
        """Returns crops of the source as batches. Raises DatasetError."""
        train, validation = (sounds(self.sounds, split, home) for split in ("train", "validation"))
        source = sound_source(self.sounds)
        about = {
            "source": self.sounds,
            "licence": source.licence,
            "split": source.split,
            "hours": round(train.seconds / 3600, 2),
            "sha256": hashlib.sha256(train.samples.tobytes()).hexdigest(),
        }
        context = self.config.receptive_field
        return Material(SoundData(train, validation, self.batch_size, self.crop, context, seed), about)


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
            ema_decay=0.999,
        ),
        description="Babbles like the man whose voice it learned, sample by sample.",
        thresholds={"bits_below_order_1": 0.3},
        scale="8 kHz, one voice, 48 channels in 20 layers, not conditioned on anything",
        source="van den Oord et al. 2016, WaveNet (arXiv 1609.03499); Paine et al. 2016 (arXiv 1611.09482)",
    )
)
