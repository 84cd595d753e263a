"""How the channels of a track differ: which are identical, silent, or carry but a steady signal.

Compared are cells of ten seconds. Channels that differ in gain or sign alone count as identical: they sound
alike, and the same words are found on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from wordspot.indexer.sound.channels import (
    AUDIBLE,
    CELL_SECONDS,
    LEVEL_RATE,
    MODULATED_DB,
    STEADY_DB,
    level_and_modulation,
)
from wordspot.indexer.sound.reader import Chunk

IDENTICAL = 0.999  # correlation; lossy codecs make small differences of none
QUIETER = 0.5  # power, relative to the loudest of identical channels, from which on the first stands for all


@dataclass(frozen=True)
class HeardTrack:
    """What was read of a file.

    Attributes:
        tracks: of audio in the file.
        track: the one that was read, from 1.
        channels: of it, the most at any time.
        sounding: those of them, from 1, whose sound was heard.
    """

    tracks: int
    track: int
    channels: int
    sounding: tuple[int, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Returns what was written as JSON."""
        return cls(**{**record, "sounding": tuple(record["sounding"])})


@dataclass(frozen=True)
class TrackSurvey:
    """How the channels of a track differ.

    Attributes:
        tracks: of audio in the file.
        track: this one, from 1.
        channels: of it, the most at any time.
        groups: of channels, from 1, that are identical; the first of each stands for all. One at least.
        silent: channels without sound.
        steady: channels that carry but a time code, a tone or hum, while speech is on others.
    """

    tracks: int
    track: int
    channels: int
    groups: tuple[tuple[int, ...], ...]
    silent: tuple[int, ...] = ()
    steady: tuple[int, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Returns what was written as JSON."""
        lists = {name: tuple(record[name]) for name in ("silent", "steady")}
        return cls(**{**record, **lists, "groups": tuple(map(tuple, record["groups"]))})

    def lines(self) -> list[str]:
        """Returns lines for people: which channels are not searched by themselves, and why."""
        lines = [
            f"channel {', '.join(map(str, rest))} of {self.channels} sounds as channel {first}"
            for first, *rest in self.groups
            if rest
        ]
        for numbers, reason in ((self.silent, "silent"), (self.steady, "a steady signal, not searched")):
            if numbers and self.channels > len(numbers):
                lines.append(f"channel {', '.join(map(str, numbers))} of {self.channels}: {reason}")
        return lines


class ChannelSurvey:
    """Compares the channels of a track while it is read. seconds: so far."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._waiting: list[Chunk] = []
        self._samples = 0
        self._same = np.zeros((0, 0), np.bool_)
        self._power, self._modulation = np.zeros(0), np.zeros(0)
        self._audible = np.zeros(0, np.bool_)

    def add(self, chunk: Chunk) -> None:
        """Takes the next piece of the track."""
        if not len(chunk.samples):
            return
        first = self._waiting[0] if self._waiting else chunk
        if (first.rate, first.samples.shape[1]) != (chunk.rate, chunk.samples.shape[1]):
            self._compare()
        self._waiting.append(chunk)
        self._samples += len(chunk.samples)
        self.seconds += len(chunk.samples) / chunk.rate
        if self._samples >= CELL_SECONDS * chunk.rate:
            self._compare()

    def result(self, tracks: int, track: int) -> TrackSurvey:
        """Returns the survey once all is read."""
        self._compare()
        channels = len(self._power)
        steady = (self._modulation < STEADY_DB) & self._audible
        if not (self._modulation >= MODULATED_DB).any():
            steady[:] = False
        left = [n for n in range(channels) if self._audible[n] and not steady[n]] or [
            int(self._power.argmax())
        ]
        return TrackSurvey(
            tracks,
            track,
            channels,
            tuple(self._groups(left)),
            tuple((np.flatnonzero(~self._audible) + 1).tolist()),
            tuple((np.flatnonzero(steady) + 1).tolist()),
        )

    def _groups(self, channels: list[int]) -> list[tuple[int, ...]]:
        groups: list[tuple[int, ...]] = []
        while channels:
            alike = [n for n in channels if self._same[channels[0], n]]
            channels = [n for n in channels if n not in alike]
            loudest = max(self._power[n] for n in alike)
            first = next(n for n in alike if self._power[n] >= QUIETER * loudest)
            groups.append((first + 1, *(n + 1 for n in alike if n != first)))
        return groups

    def _compare(self) -> None:
        """Compares the channels within what is waiting."""
        if not self._waiting:
            return
        rate = self._waiting[0].rate
        cell = np.nan_to_num(np.concatenate([chunk.samples for chunk in self._waiting]))
        self._waiting, self._samples = [], 0
        self._make_room(cell.shape[1])
        peaks = np.abs(cell).max(axis=0)
        step = max(rate // LEVEL_RATE, 1)
        thinned = cell[::step]
        _, modulation = level_and_modulation(thinned, rate // step)
        centred = (thinned - thinned.mean(axis=0)).astype(np.float64)
        covariance = centred.T @ centred
        power, audible = covariance.diagonal(), peaks >= AUDIBLE
        correlation = np.abs(covariance) / np.maximum(np.sqrt(np.outer(power, power)), 1e-20)
        both = np.outer(audible, audible)
        neither = ~audible[:, np.newaxis] & ~audible
        present = slice(0, cell.shape[1])
        if cell.shape[1] > 1:  # one channel is given to every loudspeaker
            self._same[present, present] &= (both & (correlation >= IDENTICAL)) | neither
        self._power[present] += power
        self._audible[present] |= audible
        self._modulation[present] = np.maximum(self._modulation[present], modulation)

    def _make_room(self, channels: int) -> None:
        more = channels - len(self._power)
        if more <= 0:
            return
        self._same = np.pad(self._same, (0, more), constant_values=True)
        self._power, self._modulation = np.pad(self._power, (0, more)), np.pad(self._modulation, (0, more))
        self._audible = np.pad(self._audible, (0, more))
