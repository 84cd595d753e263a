"""One channel of several: one of them, or their mean, save for those that would hide the speech.

Two faults hide all speech in a mean: a steady signal on one side (time code, a tone, hum) drowns it, and
opposite phase cancels it. Both are looked for in cells of ten seconds of presentation time, so that a
stretch sounds as it does in the whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import Samples

CELL_SECONDS = 10
MAX_CHANNELS, MAX_CELL_VALUES = 16, 1 << 24  # beyond, the plain mean
FADE_SECONDS = 0.01
LEVEL_RATE = 8_000  # Hz, to which sound is thinned out for its levels
TICKS_PER_SECOND, SMOOTHING_TICKS = 100, 5
QUIET_DB, SILENT_DB = -20.0, -55.0  # below the loudest second; of full scale
STEADY_DB, MODULATED_DB = 5.0, 8.0  # between the 10th and 90th percentile of levels within a second
DROWNING_DB = -25.0  # of a steady signal, relative to the level of speech
OPPOSITE = -0.6  # correlation
AUDIBLE = 10 ** (-50 / 20)  # peak of a channel that is not taken for silent, full scale 1


class ChannelMixer:
    """Mixes a stretch of constant rate and channels, block by block.

    left_out, inverted, sounding: seconds by channel.
    """

    def __init__(self, rate: int, channels: int, index: int) -> None:
        """index: number of the first sample, counted from presentation time 0."""
        self._rate, self._channels, self._index = rate, channels, index
        self._cell = CELL_SECONDS * rate
        self._plain = channels == 1 or channels > MAX_CHANNELS or self._cell * channels > MAX_CELL_VALUES
        self._waiting: list[NDArray[np.float32]] = []
        self._room = self._cell - index % self._cell
        self._weights: NDArray[np.float32] | None = None
        self.left_out = np.zeros(channels)
        self.inverted = np.zeros(channels)
        self.sounding = np.zeros(channels)

    def push(self, block: NDArray[np.float32]) -> Iterator[Samples]:
        """Yields the mono samples (n,) of a block (n, channels), later where a cell is not complete."""
        if self._plain:
            self.sounding += len(block) / self._rate
            yield block[:, 0] if self._channels == 1 else block.mean(axis=1)
            return
        while len(block) >= self._room:
            self._waiting.append(block[: self._room])
            block = block[self._room :]
            self._room = self._cell
            yield self._mixed()
        if len(block):
            self._waiting.append(block)
            self._room -= len(block)

    def finish(self) -> Iterator[Samples]:
        """Yields what is left once no more sound comes."""
        if self._waiting:
            yield self._mixed()

    def _mixed(self) -> Samples:
        cell = np.concatenate(self._waiting)
        self._waiting = []
        weights = mixing_weights(cell, self._rate)
        mixed: Samples = cell @ weights
        seconds = len(cell) / self._rate
        self.left_out += seconds * (weights == 0)
        self.inverted += seconds * (weights < 0)
        self.sounding += seconds * ((weights != 0) & (np.abs(cell).max(axis=0) >= AUDIBLE))
        before, self._weights = self._weights, weights
        if before is not None and (before != weights).any():
            fade = min(round(FADE_SECONDS * self._rate), len(cell))
            ramp = np.linspace(0, 1, fade, dtype=np.float32)
            mixed[:fade] = ramp * mixed[:fade] + (1 - ramp) * (cell[:fade] @ before)
        return mixed


class ChannelPicker:
    """Takes one channel of a stretch of constant rate and channels, block by block, as ChannelMixer mixes.

    Where there is only one channel, that is it: a player gives it to every loudspeaker. A channel that a
    stretch lacks is silent.
    """

    def __init__(self, rate: int, channels: int, channel: int) -> None:
        """channel: its number, from 1."""
        self._rate, self._column = rate, 0 if channels == 1 else channel - 1
        self.left_out = np.zeros(channels)
        self.inverted = np.zeros(channels)
        self.sounding = np.zeros(channels)

    def push(self, block: NDArray[np.float32]) -> Iterator[Samples]:
        """Yields the channel's samples (n,) of a block (n, channels)."""
        if self._column >= block.shape[1]:
            yield np.zeros(len(block), np.float32)
            return
        self.sounding[self._column] += len(block) / self._rate
        yield np.ascontiguousarray(block[:, self._column])

    def finish(self) -> Iterator[Samples]:
        """Yields nothing: no sound is held back."""
        return iter(())


def mixing_weights(cell: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Returns weights (channels,) for a cell (n, channels): 0 where left out, negative where inverted."""
    channels = cell.shape[1]
    thinned = cell[:: max(rate // LEVEL_RATE, 1)]
    level, modulation = level_and_modulation(thinned, rate // max(rate // LEVEL_RATE, 1))
    used = np.ones(channels, bool)
    speech = modulation >= MODULATED_DB
    if speech.any():
        used = ~((modulation < STEADY_DB) & (level > level[speech].max() + DROWNING_DB))
    centred = thinned - thinned.mean(axis=0)
    covariance = (centred.T @ centred).astype(np.float64)
    power = np.where(used, covariance.diagonal(), 0)
    loudest = int(power.argmax())
    correlation = covariance[loudest] / np.maximum(np.sqrt(power * power[loudest]), 1e-20)
    signs = np.where(used & (power > 0) & (correlation < OPPOSITE), -1.0, 1.0)
    signs *= signs[used.argmax()]
    weights: NDArray[np.float32] = (used * signs / used.sum()).astype(np.float32)
    return weights


def level_and_modulation(
    samples: NDArray[np.float32], rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns level and modulation (channels,) of samples (n, channels), in dB.

    The level is that of the loudest second, relative to full scale. The modulation is how far levels
    within a loud second lie apart: speech rises and falls by tens, a steady signal by less than one. Less
    than a second, or silence, has none.
    """
    channels = samples.shape[1]
    size = max(rate // TICKS_PER_SECOND, 1)
    seconds = len(samples) // (size * TICKS_PER_SECOND)
    if not seconds:
        return np.full(channels, -100.0), np.zeros(channels)
    ticks = samples[: seconds * size * TICKS_PER_SECOND].reshape(-1, size, channels)
    power = np.pad(ticks.var(axis=1, dtype=np.float64).cumsum(axis=0), ((1, 0), (0, 0)))
    smooth = (power[SMOOTHING_TICKS:] - power[:-SMOOTHING_TICKS]) / SMOOTHING_TICKS
    smooth = np.pad(smooth, ((0, SMOOTHING_TICKS - 1), (0, 0)), mode="edge")
    decibels = 10 * np.log10(np.maximum(smooth, 1e-10)).reshape(seconds, TICKS_PER_SECOND, channels)
    low, high = np.percentile(decibels, (10, 90), axis=1)  # (seconds, channels)
    level = high.max(axis=0)
    loud = high >= np.maximum(level + QUIET_DB, SILENT_DB)
    apart = [np.median((high - low)[loud[:, c], c]) if loud[:, c].any() else 0.0 for c in range(channels)]
    return level, np.array(apart)
