"""Augmentation of batches of log-mel spectra of speech: other voices, tempi, rooms, channels, noise.

On spectra all of it costs a few small matrix products, so that training is not held up by it. Pitch and the
length of the vocal tract are shifts along the mel axis (VTLP; Jaitly and Hinton 2013); reverberation is a
decay of power over time; noise and other talkers add power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv1d

FLOOR_DB = -80.0


@dataclass(frozen=True)
class Strength:
    """Bounds of the random disturbances.

    Attributes:
        tempo: Largest change of tempo, as a ratio.
        warp: Largest change of the mel axis, as a ratio.
        colour_db: Scale of the channel's frequency response.
        snr_db: Range of signal-to-noise ratios.
        noisy: Probability of noise.
        reverberant: Probability of reverberation.
        narrow: Probability of a band-pass.
    """

    tempo: float = 1.2
    warp: float = 1.18
    colour_db: float = 7.0
    snr_db: tuple[float, float] = (0.0, 30.0)
    noisy: float = 0.65
    reverberant: float = 0.35
    narrow: float = 0.35


def uniform(size: tuple[int, ...], low: float, high: float, rng: Generator) -> Tensor:
    """Returns uniform random numbers between two bounds."""
    return torch.rand(size, generator=rng, device=rng.device) * (high - low) + low


def read_at(rows: Tensor, places: Tensor) -> Tensor:
    """Returns rows (B, n, F), interpolated linearly from rows (B, T, F) at fractional places (B, n)."""
    below = places.floor().long().clamp(0, rows.shape[1] - 1)
    above = (below + 1).clamp_max(rows.shape[1] - 1)
    weight = (places - below).clamp(0, 1)[..., None]
    index = torch.arange(len(rows), device=rows.device)[:, None]
    return rows[index, below] * (1 - weight) + rows[index, above] * weight


def disturb(spectra: Tensor, strength: Strength, rng: Generator) -> Tensor:
    """Returns the utterances of spectra (B, T, M) in dB by other voices, in other places, (B, T, M)."""
    warped = _warp(spectra, strength.warp, rng)
    coloured = warped + _colour(len(warped), warped.shape[2], strength.colour_db, rng)
    power = torch.pow(10.0, coloured / 10)
    power = _reverberate(power, strength.reverberant, rng)
    power = power + _noise(power, strength, rng)
    power = power * _band(len(power), power.shape[2], strength.narrow, rng)
    return 10 * torch.log10(power.clamp_min(10 ** (FLOOR_DB / 10)))


def _warp(spectra: Tensor, largest: float, rng: Generator) -> Tensor:
    batch, _, bands = spectra.shape
    ratio = torch.exp(uniform((batch, 1), -math.log(largest), math.log(largest), rng))
    places = (torch.arange(bands, device=rng.device) * ratio).clamp_max(bands - 1)
    return read_at(spectra.transpose(1, 2), places).transpose(1, 2)


def _colour(batch: int, bands: int, decibels: float, rng: Generator) -> Tensor:
    """Returns a smooth curve over the bands: the first cosines with falling weights, (B, 1, M)."""
    orders = torch.arange(1, 5, device=rng.device)
    basis = torch.cos(math.pi * orders[:, None] * (torch.arange(bands, device=rng.device) + 0.5) / bands)
    weights = torch.randn((batch, 4), generator=rng, device=rng.device) * decibels / orders
    return (weights @ basis)[:, None]


def _reverberate(power: Tensor, often: float, rng: Generator) -> Tensor:
    """Adds a tail that falls by 60 dB within 0.15 to 0.6 s, at -3 to -15 dB of the direct sound's power."""
    batch = len(power)
    length = 40
    fade = uniform((batch, 1), 15, 60, rng)
    tail = torch.exp(-13.8 * torch.arange(1, length + 1, device=rng.device) / fade)  # (B, length)
    share = 10 ** (-uniform((batch, 1), 3, 15, rng) / 10)
    tail = tail / tail.sum(dim=1, keepdim=True) * share
    tail = tail * (uniform((batch, 1), 0, 1, rng) < often)
    kernel = torch.cat([tail.flip(1), torch.ones_like(tail[:, :1])], dim=1)  # (B, length + 1), last is direct
    lanes = power.permute(2, 0, 1)  # (M, B, T): every utterance is a group with a kernel of its own
    padded = torch.nn.functional.pad(lanes, (length, 0))
    return conv1d(padded, kernel[:, None], groups=batch).permute(1, 2, 0)


def _noise(power: Tensor, strength: Strength, rng: Generator) -> Tensor:
    """Returns noise, half of it steady noise of a random colour, half another utterance of the batch and its
    echo."""
    batch, ticks, bands = power.shape
    steady = torch.pow(10.0, _colour(batch, bands, 10.0, rng) / 10)
    steady = steady * uniform((batch, ticks, bands), 0.3, 1.7, rng)
    shift = int(torch.randint(1, max(batch, 2), (1,), generator=rng, device=rng.device))
    others = power.roll(shift, 0) + power.roll(2 * shift, 0).flip(1)
    talk = (uniform((batch, 1, 1), 0, 1, rng) < 0.5).float()
    noise = talk * others / others.mean(dim=(1, 2), keepdim=True) + (1 - talk) * steady / steady.mean(
        dim=(1, 2), keepdim=True
    )
    ratio = 10 ** (-uniform((batch, 1, 1), *strength.snr_db, rng) / 10)
    often = (uniform((batch, 1, 1), 0, 1, rng) < strength.noisy).float()
    return noise * ratio * often * power.mean(dim=(1, 2), keepdim=True)


def _band(batch: int, bands: int, often: float, rng: Generator) -> Tensor:
    """Returns the power left by a band-pass, (B, 1, M): bands outside lose 15 to 45 dB."""
    low = uniform((batch, 1), -4, 6, rng)
    high = uniform((batch, 1), bands * 0.72, bands * 1.1, rng)
    places = torch.arange(bands, device=rng.device)
    outside = (places < low) | (places > high)
    loss = 10 ** (-uniform((batch, 1), 15, 45, rng) / 10)
    chosen = outside & (uniform((batch, 1), 0, 1, rng) < often)
    return torch.where(chosen, loss, torch.ones_like(loss))[:, None]
