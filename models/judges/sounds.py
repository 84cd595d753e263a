"""Judges of models of sampled sound."""

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

HEARD = 16  # recordings that are weighed
DRAWN = 24  # sounds that are listened to
PARTS = 20  # that are timed
PRIOR = 64.0  # samples, that a row of the table is taken to have seen already
CHANGE_TICKS = 5


@judges("nll", "sound")
def likelihood(subject: Subject) -> list[Metric]:
    """Bits a sample of held-out speech, each recording from its beginning, as codes of the mu-law.

    baseline: a table of the next code given the last, of the same training data; floor: none can be given.
    """
    held = sounds(subject.source, "test", subject.home)
    chosen = np.linspace(0, len(held) - 1, min(HEARD, len(held))).round().astype(int)
    some = [held.recording(int(index)) for index in chosen]
    count = sum(len(one) for one in some)
    rng = subject.rng()
    nats = sum(float(subject.model.nll(one[None], rng)) for one in some)
    table = order_1(subject.source, subject.home, int(subject.model.config.codes))
    value, baseline = (total / count / math.log(2) for total in (nats, sum(map(table.nats, some))))
    return [
        Metric("bits", value, baseline=baseline, lower_is_better=True),
        Metric("bits_below_order_1", baseline - value, floor=0.0),
    ]


@judges("generate", "sound")
def speed(subject: Subject) -> list[Metric]:
    """Seconds of sound made in a second, and seconds until there is a first part.

    baseline: asking for each sample what `nll` does for one, a pass over all that it depends on.
    """
    model = subject.model
    rate = int(model.config.rate)
    for _ in model.generate(1, subject.rng()):  # whatever is compiled
        pass
    begun = time.perf_counter()
    ready, samples = [], 0
    for part in model.generate(PARTS, subject.rng()):
        ready.append(time.perf_counter() - begun)
        samples += len(part)
    one = torch.zeros(1, 1)
    passes = [_seconds(lambda: model.nll(one, subject.rng())) for _ in range(PARTS)]
    return [
        Metric("real_time_factor", samples / rate / ready[-1], baseline=1 / rate / statistics.median(passes)),
        Metric("first_part_s", ready[0], lower_is_better=True),
    ]


@judges("sample", "sound")
def likeness(subject: Subject) -> list[Metric]:
    """How far samples are from held-out speech: of their long-term average spectra in dB, and Fréchet's
    distance of their log-mel energies and the changes of these within 50 ms, taken to be normal.

    Held-out speech is every other recording. floor: as much of the others as was drawn; baseline: samples of
    the table of `likelihood`.
    """
    held = sounds(subject.source, "test", subject.home)
    drawn = subject.model.sample(DRAWN, subject.rng())
    table = order_1(subject.source, subject.home, int(subject.model.config.codes))
    plain = table.sample(DRAWN, drawn.shape[1], subject.rng())
    others = [held.recording(index) for index in range(1, len(held), 2)]
    real = features([held.recording(index) for index in range(0, len(held), 2)])
    value, baseline, floor = (features(some) for some in (drawn, plain, crops(others, DRAWN, drawn.shape[1])))
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


class Order1:
    """Chances of the next code given the last, counted; rows that saw little lean on the chances of all."""

    def __init__(self, recordings: Sequence[NDArray[np.int64]], codes: int) -> None:
        """recordings: of codes, each preceded by silence."""
        self._codes, self._silent = codes, codes // 2
        pairs = [np.concatenate([[self._silent], one]) for one in recordings]
        counts = np.zeros(codes * codes)
        for one in pairs:
            counts += np.bincount(one[:-1] * codes + one[1:], minlength=codes * codes)
        table = counts.reshape(codes, codes)
        alone = (table.sum(axis=0) + 1) / (table.sum() + codes)
        self._chances = (table + PRIOR * alone) / (table.sum(axis=1, keepdims=True) + PRIOR)

    def nats(self, sound: Tensor) -> float:
        """-log p of a whole sound (n,), -1 to 1."""
        codes = encoded(sound, self._codes)
        before = np.concatenate([[self._silent], codes[:-1]])
        return -float(np.log(self._chances[before, codes]).sum())

    def sample(self, count: int, samples: int, rng: Generator) -> Tensor:
        """float32 (count, samples)."""
        passed = self._chances.cumsum(axis=1)
        chances = torch.rand((samples, count), generator=rng, dtype=torch.float64).numpy()
        made = np.empty((samples, count), np.int64)
        last = np.full(count, self._silent)
        for t in range(samples):
            last = np.minimum((passed[last] <= chances[t][:, None]).sum(axis=1), self._codes - 1)
            made[t] = last
        decoded: Tensor = torchaudio.functional.mu_law_decoding(torch.from_numpy(made.T.copy()), self._codes)
        return decoded


def encoded(sound: Tensor, codes: int) -> NDArray[np.int64]:
    """mu-law codes (n,) of a sound (n,)."""
    found: NDArray[np.int64] = torchaudio.functional.mu_law_encoding(sound, codes).numpy()
    return found


@cache
def order_1(source: str, home: Path, codes: int) -> Order1:
    """Of the training split."""
    train: Sounds = sounds(source, "train", home)
    return Order1([encoded(train.recording(index), codes) for index in range(len(train))], codes)


def crops(recordings: Sequence[Tensor], count: int, samples: int) -> list[Tensor]:
    """So many parts of that length, evenly spread over recordings (n,) laid end to end."""
    whole = torch.cat(list(recordings))
    starts = np.linspace(0, len(whole) - samples, count).astype(int)
    return [whole[start : start + samples] for start in starts]


def features(some: Iterable[Tensor]) -> NDArray[np.float64]:
    """Log-mel energies in dB, and their changes, of all 10 ms of sounds (n,) at RATE: (T, 2 MEL_BANDS)."""
    rows = []
    for one in some:
        energies = audio.log_mel(torchaudio.functional.resample(one, RATE, audio.SAMPLE_RATE))
        now, before = energies[CHANGE_TICKS:], energies[:-CHANGE_TICKS]
        rows.append(torch.cat([now, now - before], dim=1))
    return torch.cat(rows).double().numpy()


def spectrum_distance(some: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Root mean square over the bands of the difference of mean energies, in dB; rows as of `features`."""
    powers = (np.power(10, one[:, : audio.MEL_BANDS] / 10).mean(axis=0) for one in (some, real))
    ours, theirs = (10 * np.log10(power) for power in powers)
    return float(np.sqrt(np.square(ours - theirs).mean()))


def frechet_distance(some: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """The root of that of `wordspot.models.frechet`, in dB; rows as of `features`."""
    return math.sqrt(max(0.0, frechet.distance(torch.from_numpy(some), torch.from_numpy(real))))


def _seconds(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun
