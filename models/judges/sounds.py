"""Judges of generators of sound."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Generator, Tensor

from wordspot.models import audio, frechet
from wordspot.models.artifact import Metric
from wordspot.models.datasets.sounds import RATE, Sounds, sounds
from wordspot.models.evaluation import Subject, judges

SCORED_RECORDINGS = 16
GENERATED_SOUNDS = 24
TIMED_PARTS = 20
PRIOR_SAMPLES = 64.0  # weight of the unigram prior in a row of the transition matrix
CHANGE_TICKS = 5


@judges("nll", "sound")
def likelihood(subject: Subject) -> list[Metric]:
    """Judges bits a sample of held-out speech as mu-law codes, each recording from its beginning.

    baseline: a Markov chain of order 1 of the training data; floor: none is known.
    """
    held = sounds(subject.source, "test", subject.home)
    chosen = np.linspace(0, len(held) - 1, min(SCORED_RECORDINGS, len(held))).round().astype(int)
    recordings = [held.recording(int(index)) for index in chosen]
    count = sum(len(sound) for sound in recordings)
    rng = subject.rng()
    nats = sum(float(subject.model.nll(sound[None], rng)) for sound in recordings)
    table = markov_chain(subject.source, subject.home, int(subject.model.config.codes))
    value, baseline = (total / count / math.log(2) for total in (nats, sum(map(table.nats, recordings))))
    return [
        Metric("bits", value, baseline=baseline, lower_is_better=True),
        Metric("bits_below_order_1", baseline - value, floor=0.0),
    ]


@judges("generate", "sound")
def speed(subject: Subject) -> list[Metric]:
    """Judges seconds of sound generated in a second, and the latency of the first part.

    baseline: a pass over the receptive field for each sample, as `nll` of one.
    """
    model = subject.model
    rate = int(model.config.rate)
    for _ in model.generate(1, subject.rng()):  # compiles
        pass
    started = time.perf_counter()
    ready, samples = [], 0
    for part in model.generate(TIMED_PARTS, subject.rng()):
        ready.append(time.perf_counter() - started)
        samples += len(part)
    silence = torch.zeros(1, 1)
    passes = [_seconds(lambda: model.nll(silence, subject.rng())) for _ in range(TIMED_PARTS)]
    return [
        Metric("real_time_factor", samples / rate / ready[-1], baseline=1 / rate / statistics.median(passes)),
        Metric("first_part_s", ready[0], lower_is_better=True),
    ]


@judges("sample", "sound")
def likeness(subject: Subject) -> list[Metric]:
    """Judges the distance of samples from held-out speech: of long-term average spectra in dB, and Fréchet's
    of log-mel energies with their differences over 50 ms.

    Held-out speech is every other recording. floor: as much of the remaining recordings as was generated;
    baseline: samples of the Markov chain of `likelihood`.
    """
    held = sounds(subject.source, "test", subject.home)
    generated = subject.model.sample(GENERATED_SOUNDS, subject.rng())
    table = markov_chain(subject.source, subject.home, int(subject.model.config.codes))
    plain = table.sample(GENERATED_SOUNDS, generated.shape[1], subject.rng())
    floor_recordings = [held.recording(index) for index in range(1, len(held), 2)]
    real = features([held.recording(index) for index in range(0, len(held), 2)])
    value, baseline, floor = (
        features(sounds_of)
        for sounds_of in (generated, plain, crops(floor_recordings, GENERATED_SOUNDS, generated.shape[1]))
    )
    return [
        Metric(
            name,
            distance(value, real),
            floor=distance(floor, real),
            baseline=distance(baseline, real),
            lower_is_better=True,
        )
        for name, distance in (("spectrum_db", spectrum_distance), ("frechet_mel", frechet_distance))
    ]


class MarkovChain:
    """A Markov chain of order 1 over codes, its transitions smoothed by the unigram distribution."""

    def __init__(self, recordings: Sequence[NDArray[np.int64]], codes: int) -> None:
        """recordings: int64 (n,) codes each, preceded by silence. codes: that there may be."""
        self._codes, self._silent = codes, codes // 2
        sequences = [np.concatenate([[self._silent], codes_of]) for codes_of in recordings]
        counts = np.zeros(codes * codes)
        for sequence in sequences:
            counts += np.bincount(sequence[:-1] * codes + sequence[1:], minlength=codes * codes)
        table = counts.reshape(codes, codes)
        unigram = (table.sum(axis=0) + 1) / (table.sum() + codes)
        self._probabilities = (table + PRIOR_SAMPLES * unigram) / (
            table.sum(axis=1, keepdims=True) + PRIOR_SAMPLES
        )

    def nats(self, sound: Tensor) -> float:
        """Returns -log p of a sound (n,), -1 to 1, nats."""
        codes = mu_law_codes(sound, self._codes)
        before = np.concatenate([[self._silent], codes[:-1]])
        return -float(np.log(self._probabilities[before, codes]).sum())

    def sample(self, count: int, samples: int, rng: Generator) -> Tensor:
        """Returns sampled sounds, float32 (count, samples), -1 to 1."""
        cumulative = self._probabilities.cumsum(axis=1)
        uniform = torch.rand((samples, count), generator=rng, dtype=torch.float64).numpy()
        codes = np.empty((samples, count), np.int64)
        last = np.full(count, self._silent)
        for t in range(samples):
            last = np.minimum((cumulative[last] <= uniform[t][:, None]).sum(axis=1), self._codes - 1)
            codes[t] = last
        decoded: Tensor = torchaudio.functional.mu_law_decoding(torch.from_numpy(codes.T.copy()), self._codes)
        return decoded


def mu_law_codes(sound: Tensor, codes: int) -> NDArray[np.int64]:
    """Returns the mu-law codes, int64 (n,), of a sound (n,), -1 to 1."""
    values: NDArray[np.int64] = torchaudio.functional.mu_law_encoding(sound, codes).numpy()
    return values


@cache
def markov_chain(source: str, home: Path, codes: int) -> MarkovChain:
    """Returns the Markov chain of a source's training split."""
    train: Sounds = sounds(source, "train", home)
    return MarkovChain([mu_law_codes(train.recording(index), codes) for index in range(len(train))], codes)


def crops(recordings: Sequence[Tensor], count: int, samples: int) -> list[Tensor]:
    """Returns crops of so many samples, evenly spaced over the concatenated recordings (n,)."""
    joined = torch.cat(list(recordings))
    starts = np.linspace(0, len(joined) - samples, count).astype(int)
    return [joined[start : start + samples] for start in starts]


def features(sounds: Iterable[Tensor]) -> NDArray[np.float64]:
    """Returns log-mel energies in dB with their differences, of all ticks of sounds (n,) at RATE, float64
    (T, 2 MEL_BANDS)."""
    rows = []
    for sound in sounds:
        energies = audio.log_mel(torchaudio.functional.resample(sound, RATE, audio.SAMPLE_RATE))
        now, before = energies[CHANGE_TICKS:], energies[:-CHANGE_TICKS]
        rows.append(torch.cat([now, now - before], dim=1))
    return torch.cat(rows).double().numpy()


def spectrum_distance(rows: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Returns the RMS over bands of the difference of mean powers, dB. rows, real: as `features`."""
    powers = (np.power(10, energies[:, : audio.MEL_BANDS] / 10).mean(axis=0) for energies in (rows, real))
    levels, real_levels = (10 * np.log10(power) for power in powers)
    return float(np.sqrt(np.square(levels - real_levels).mean()))


def frechet_distance(rows: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Returns the root of `frechet.distance`, dB. rows, real: `features`."""
    return math.sqrt(max(0.0, frechet.distance(torch.from_numpy(rows), torch.from_numpy(real))))


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
