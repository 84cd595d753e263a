"""What happens to sound between a mouth and an archive: noise, rooms, telephone lines, coarse coding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from wordspot.models.audio import SAMPLE_RATE

Samples = NDArray[np.float32]


def at_snr(speech: Samples, noise: Samples, decibels: float) -> Samples:
    """Returns speech + noise (samples,), the noise scaled to a signal-to-noise ratio of mean powers."""
    power_speech = float(np.mean(np.square(speech, dtype=np.float64)))
    power_noise = float(np.mean(np.square(noise, dtype=np.float64)))
    gain = np.sqrt(power_speech / max(power_noise, 1e-20) / 10.0 ** (decibels / 10.0))
    return (speech + np.float32(gain) * noise).astype(np.float32)


def white(samples: int, rng: np.random.Generator) -> Samples:
    """Returns white noise (samples,)."""
    return rng.standard_normal(samples, dtype=np.float32)


def pink(samples: int, rng: np.random.Generator) -> Samples:
    """Returns pink noise (samples,), whose power falls with 1/f."""
    size = scipy.fft.next_fast_len(samples, real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum), dtype=np.float32), 1.0))
    noise: Samples = scipy.fft.irfft(spectrum, size)[:samples]
    return noise


def babble(samples: int, voices: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Returns other people's speech at equal power, each from a random place, repeated where too short."""
    mixed = np.zeros(samples, dtype=np.float32)
    for voice in voices:
        stretch = np.resize(np.roll(voice, -int(rng.integers(len(voice)))), samples)
        mixed += stretch / max(float(np.sqrt(np.mean(np.square(stretch)))), 1e-4)
    return mixed


def room(speech: Samples, rng: np.random.Generator) -> Samples:
    """Adds the reverberation of a simulated room: direct sound, then an exponentially fading tail of 0.1 to
    0.6 s."""
    fade = float(rng.uniform(0.1, 0.6))
    tail = int(fade * SAMPLE_RATE)
    response = rng.standard_normal(tail) * np.exp(-6.9 * np.arange(tail) / tail)
    response *= float(rng.uniform(0.1, 0.5)) / np.sqrt(np.sum(np.square(response)))
    response[0] = 1.0
    reverberant: Samples = scipy.signal.fftconvolve(speech, response)[: len(speech)].astype(np.float32)
    return reverberant


def band(speech: Samples, rng: np.random.Generator) -> Samples:
    """Filters speech with a band-pass as of telephones and small loudspeakers."""
    edges = [float(rng.uniform(80, 350)), float(rng.uniform(2800, 3900))]
    sections = scipy.signal.butter(2, edges, "band", fs=SAMPLE_RATE, output="sos")
    filtered: Samples = scipy.signal.sosfilt(sections, speech).astype(np.float32)
    return filtered


def coarse(speech: Samples, rng: np.random.Generator) -> Samples:
    """Quantises speech to five to eight bits a sample."""
    levels = 2.0 ** float(rng.uniform(4, 7))
    peak = max(float(np.abs(speech).max(initial=0.0)), 1e-6)
    quantised: Samples = (np.round(speech / peak * levels) / levels * peak).astype(np.float32)
    return quantised


CHANNELS: tuple[Callable[[Samples, np.random.Generator], Samples], ...] = (room, band, coarse)


def corrupt(speech: Samples, voices: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Returns speech (samples,) as a bad recording: noise at 0 to 20 dB nearly always, sometimes a channel
    too.

    voices: speech of others for the babble.
    """
    if rng.random() < 0.3:
        speech = CHANNELS[rng.integers(len(CHANNELS))](speech, rng)
    kind = rng.random()
    if kind < 0.1:
        return speech
    if kind < 0.4 or not voices:
        noise = white(len(speech), rng)
    elif kind < 0.7:
        noise = pink(len(speech), rng)
    else:
        noise = babble(len(speech), voices, rng)
    return at_snr(speech, noise, float(rng.uniform(0, 20)))
