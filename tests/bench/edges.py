"""What stands around a word that somebody says into a microphone: silence, noise, breath, clicks.

    samples, start = surround(word, "breath", "main/leave-queen-JIM")

A word and a name always give the same sound. Levels are those of usual recordings: a quiet room lies 50 dB
below full scale, a breath 20 dB below the word, a mouse clicks half as loud as the word's peak.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
ROOM_DECIBELS = -50.0
HUSHED_ROOM_DECIBELS = -65.0
BREATH_DECIBELS = -20.0
BREATH_HERTZ = (400.0, 4_500.0)
CLICK_DECAY_S = 0.002
CLICK_HERTZ = (1_500.0, 5_000.0)

Samples = NDArray[np.float32]
_Gain = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Edge = Literal["cut", "silence .2", "silence .5", "silence 1", "silence 2", "noise", "clicks", "breath"]
EDGES: tuple[Edge, ...] = get_args(Edge)
SURROUNDING_S: dict[Edge, float] = {
    "cut": 0.0,
    "silence .2": 0.2,
    "silence .5": 0.5,
    "silence 1": 1.0,
    "silence 2": 2.0,
    "noise": 0.5,
    "clicks": 0.6,
    "breath": 0.8,
}


def surround(word: Samples, edge: Edge, name: str) -> tuple[Samples, float]:
    """The word (samples,) at 16 kHz with what stands around it, and at how many seconds it begins.

    noise: a room's, also behind the word. clicks: one before and one after it, 80 to 300 ms away. breath: 250
    to 450 ms of it, which end 60 to 200 ms before the word.
    """
    if edge not in SURROUNDING_S:
        raise ValueError(f"nothing is called {edge!r}, there are {', '.join(EDGES)}")
    rng = np.random.default_rng(list(hashlib.sha256(f"{name} {edge}".encode()).digest()))
    seconds = SURROUNDING_S[edge]
    before = round(seconds * RATE)
    samples = np.pad(word.astype(np.float64), before)
    after = before + len(word)
    if edge == "noise":
        samples += _room(len(samples), ROOM_DECIBELS, rng)
    elif edge == "clicks":
        samples += _room(len(samples), HUSHED_ROOM_DECIBELS, rng)
        for place in (before - _samples(rng.uniform(0.08, 0.3)), after + _samples(rng.uniform(0.08, 0.3))):
            click = 0.5 * np.abs(word).max() * _click(rng)
            place -= len(click) if place < before else 0
            samples[place : place + len(click)] += click
    elif edge == "breath":
        samples += _room(len(samples), HUSHED_ROOM_DECIBELS, rng)
        breath = _breath(_samples(rng.uniform(0.25, 0.45)), rng)
        breath *= math.sqrt(np.mean(np.square(word, dtype=np.float64))) * 10 ** (BREATH_DECIBELS / 20)
        end = before - _samples(rng.uniform(0.06, 0.2))
        samples[end - len(breath) : end] += breath
    return samples.astype(np.float32), before / RATE


def _samples(seconds: float) -> int:
    return round(seconds * RATE)


def _room(length: int, decibels: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Pink noise of that root mean square, full scale 0 dB."""
    noise = _shaped(rng.standard_normal(length), lambda hertz: 1 / np.sqrt(np.maximum(hertz, 50.0)))
    return noise * 10 ** (decibels / 20)


def _click(rng: np.random.Generator) -> NDArray[np.float64]:
    """A damped oscillation whose peak is about 1."""
    time = np.arange(_samples(8 * CLICK_DECAY_S)) / RATE
    click: NDArray[np.float64] = np.exp(-time / CLICK_DECAY_S) * np.cos(
        2 * np.pi * rng.uniform(*CLICK_HERTZ) * time
    )
    return click


def _breath(length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of the mouth's band that swells and ebbs, of a root mean square of 1."""
    low, high = BREATH_HERTZ
    noise = _shaped(
        rng.standard_normal(length),
        lambda hertz: 1 / np.sqrt(1 + (low / np.maximum(hertz, 1.0)) ** 4 + (hertz / high) ** 4),
    )
    breath: NDArray[np.float64] = noise * np.hanning(length)
    return breath / math.sqrt(np.mean(np.square(breath)))


def _shaped(noise: NDArray[np.float64], gain: _Gain) -> NDArray[np.float64]:
    """gain: amplitude by frequency in Hz. Of a root mean square of 1."""
    spectrum = np.fft.rfft(noise) * gain(np.fft.rfftfreq(len(noise), 1 / RATE))
    shaped = np.fft.irfft(spectrum, len(noise))
    return shaped / math.sqrt(np.mean(np.square(shaped)))
