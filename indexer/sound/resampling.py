"""Polyphase resampling: to 16 kHz block by block, and by a ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import SAMPLE_RATE, Samples
from wordspot.indexer.sound.padding import padded
from wordspot.indexer.vectors.protocol import product

RUN_VALUES = 1 << 14  # of a matrix of the resampler


class Resampler:
    """Polyphase resampling to 16 kHz, block by block.

    The filter is scipy.signal.resample_poly's (a sinc of ten zero crossings a side, Kaiser window of beta 5)
    and so is the output, wherever the blocks are cut. Output m is
    sum over k of input[k] * taps[m * down - k * up + half].
    """

    def __init__(self, rate: int) -> None:
        self._filter = _polyphase(rate)
        self.up, self.down, self.half = self._filter.up, self._filter.down, self._filter.half
        self._held: Samples = np.zeros(0, np.float32)
        self._first = 0  # input index of _held[0]
        self._made = 0  # outputs so far

    def push(self, block: Samples) -> Samples:
        """Takes samples (n,) and returns those that no later input can change."""
        if self.up == self.down:
            return block
        self._held = np.concatenate([self._held, block])
        seen = self._first + len(self._held)
        return self._output(-(-(seen * self.up - self.half) // self.down))

    def finish(self) -> Samples:
        """Returns the rest, as if silence followed."""
        if self.up == self.down:
            return np.zeros(0, np.float32)
        seen = self._first + len(self._held)
        return self._output(-(-seen * self.up // self.down))

    def _output(self, stop: int) -> Samples:
        if stop <= self._made:
            return np.zeros(0, np.float32)
        made = self._filter.outputs(self._held, self._first, self._made, stop)
        self._made = stop
        needed = max(-(-(stop * self.down - self.half) // self.up), self._first)
        self._held = self._held[needed - self._first :]
        self._first = needed
        return made


def resampled(samples: Samples, up: int, down: int) -> Samples:
    """Returns samples (n,) at up / down times their rate, (ceil(n up / down),), by the same filter."""
    if not len(samples):
        return samples
    return _ratio(up, down).outputs(samples, 0, 0, -(-len(samples) * up // down))


@dataclass(frozen=True)
class _Polyphase:
    """A filter between two rates, as matrices.

    The pattern of taps repeats after `period` outputs, which take in `advance` inputs. A period is cut into
    runs of outputs; each is one small matrix product for many periods at once. It is added up in double
    precision, so that a stretch comes out as it does in the whole.

    runs: first output in the period, first input relative to the period's, and matrix (inputs, outputs).
    """

    up: int
    down: int
    half: int
    period: int
    advance: int
    runs: tuple[tuple[int, int, NDArray[np.float64]], ...]

    @classmethod
    def of(cls, up: int, down: int) -> _Polyphase:
        steeper = max(up, down)
        half = 10 * steeper
        # As scipy.signal.firwin: unity gain for a constant input.
        low_pass = np.sinc(np.arange(-half, half + 1) / steeper) * np.kaiser(2 * half + 1, 5.0)
        taps = up * low_pass / low_pass.sum()
        # The longest run of outputs whose matrix has RUN_VALUES: run x (run x down / up + inputs of one).
        ratio, inputs = down / up, 2 * half / up
        run = max(int((math.sqrt(inputs**2 + 4 * ratio * RUN_VALUES) - inputs) / (2 * ratio)), 1)
        repeats = max(run // up, 1)
        period, advance = repeats * up, repeats * down
        runs = []
        for first in range(0, period, run):
            outputs = np.arange(first, min(first + run, period))
            origin = -((half - first * down) // up)  # the first input that output `first` takes in
            last = (int(outputs[-1]) * down + half) // up
            place = outputs * down - np.arange(origin, last + 1)[:, None] * up + half  # (inputs, outputs)
            inside = (place >= 0) & (place <= 2 * half)
            matrix = np.where(inside, taps[np.clip(place, 0, 2 * half)], 0)
            runs.append((first, origin, matrix))
        return cls(up, down, half, period, advance, tuple(runs))

    def outputs(self, held: Samples, origin: int, start: int, stop: int) -> Samples:
        """Returns the outputs start to stop - 1. held: inputs from number `origin` on; all others are
        silence."""
        periods = range(start // self.period, -(-stop // self.period))
        lowest = periods[0] * self.advance + min(first for _, first, _ in self.runs)
        highest = periods[-1] * self.advance + max(first + len(m) for _, first, m in self.runs)
        inputs = padded(held, max(origin - lowest, 0), max(highest - origin - len(held), 0))
        out = np.empty((len(periods), self.period), np.float32)
        for first, relative, matrix in self.runs:
            begin = periods[0] * self.advance + relative - min(origin, lowest)
            # What sliding_window_view gives at every `advance`, without its checks of what it is given.
            windows = np.ndarray(
                (len(periods), len(matrix)),
                inputs.dtype,
                inputs,
                begin * inputs.itemsize,
                (self.advance * inputs.itemsize, inputs.itemsize),
            )
            out[:, first : first + matrix.shape[1]] = product(windows.astype(np.float64), matrix)
        skipped = periods[0] * self.period
        return out.reshape(-1)[start - skipped : stop - skipped].copy()


@lru_cache(maxsize=8)
def _polyphase(rate: int) -> _Polyphase:
    """Rates above 48 kHz with no small ratio are met to within 40 ms an hour."""
    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(48_000)
    if ratio == 1:
        return _Polyphase(1, 1, 0, 1, 1, ())
    return _Polyphase.of(ratio.numerator, ratio.denominator)


@lru_cache(maxsize=16)
def _ratio(up: int, down: int) -> _Polyphase:
    return _Polyphase.of(up, down)
