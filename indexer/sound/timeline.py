"""Chunks with presentation times, to one stream of samples whose place is their presentation time.

Where time passes without sound (a lost packet, a gap in the timestamps, sound that begins after the
picture), silence stands; rate and channels may change at any chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, Samples
from wordspot.indexer.sound.channels import ChannelMixer, ChannelPicker
from wordspot.indexer.sound.padding import padded
from wordspot.indexer.sound.reader import Chunk
from wordspot.indexer.sound.resampling import Resampler

LOUDEST = 1e6  # full scale is 1; integer samples stored as floats reach 32768
TOLERANCE_SECONDS = 0.03  # by which timestamps may differ from the count of samples: many are rounded
STRAY_SECONDS = 0.1  # by which, and for which, they may differ now and then
DAMAGE_SECONDS = 0.002  # the same where sound is known to be missing
REPORTED_GAP_SECONDS = 0.1
MAX_REPORTED = 5  # lines of one kind
BLOCK_SECONDS = 4  # of silence at once
GATHERED_VALUES = 1 << 18  # samples times channels that are resampled together
MAX_BACKWARD_SECONDS = 0.5  # of overlap; a larger step back is another count
MAX_STALE_CHUNKS = 8  # in a row that lie before what has been heard: their count has stopped


class TimestampUnwrapper:
    """Makes times that never begin anew of timestamps that do, as in files joined end to end.

    max_forward: a larger step forward is another count, too.
    """

    def __init__(self, max_forward: float) -> None:
        self._max_forward = max_forward
        self._offset = 0.0
        self._end = 0.0
        self._begun = False
        self._stale = 0
        self.jumps: list[tuple[float, float]] = []  # time, and step in seconds

    @property
    def end(self) -> float:
        """Of what has been presented."""
        return self._end

    def presentation(self, time: float | None, duration: float) -> float:
        """Returns the presentation time of what has this timestamp; None follows what came before."""
        moved = self._end if time is None else time + self._offset
        self._stale = self._stale + 1 if moved + duration <= self._end and duration else 0
        back = self._end - moved
        if self._begun and (
            back > MAX_BACKWARD_SECONDS or -back > self._max_forward or self._stale > MAX_STALE_CHUNKS
        ):
            self.jumps.append((self._end, -back))
            self._offset += back
            moved = self._end
            self._stale = min(
                self._stale, MAX_STALE_CHUNKS
            )  # of a count that stands still, the next is as bad
        self._begun = True
        self._end = max(self._end, moved + duration)
        return moved

    def rewind(self, time: float) -> None:
        """Sets the clock back: what was last asked about comes next, at this presentation time."""
        self._end, self._stale = time, 0


@dataclass
class TimelineFigures:
    """What was noticed. gaps: start, stop and whether damage made it. changes: time, rate, channels.
    left_out, inverted, sounding: seconds by channel. small_gaps: seconds in gaps too short to be listed."""

    end: float = 0.0
    gaps: list[tuple[float, float, bool]] = field(default_factory=list)
    small_gaps: float = 0.0
    damages: list[float] = field(default_factory=list)
    changes: list[tuple[float, int, int]] = field(default_factory=list)
    left_out: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    inverted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    sounding: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def lines(self) -> list[str]:
        """Returns lines for people, one a matter."""
        return [*self._gap_lines(), *self._change_lines(), *self._channel_lines()]

    def _gap_lines(self) -> Iterator[str]:
        damaged = [f"{a:.2f} to {b:.2f}" for a, b, damage in self.gaps if damage]
        damaged += [f"{at:.2f}" for at in self.damages]
        missing = [f"{a:.2f} to {b:.2f}" for a, b, damage in self.gaps if not damage]
        if damaged:
            yield f"damaged at {_listed(damaged)} s: skipped, silence where sound is lost"
        if missing:
            yield f"no sound from {_listed(missing)} s by its timestamps: silence in its place"
        if self.small_gaps > REPORTED_GAP_SECONDS:
            yield f"timestamps and sound drift apart: {self.small_gaps:.2f} s of silence inserted"

    def _change_lines(self) -> Iterator[str]:
        if self.changes:
            changes = [f"{rate} Hz, {channels} channels at {at:.2f} s" for at, rate, channels in self.changes]
            yield f"changes in the middle: {_listed(changes)}"

    def _channel_lines(self) -> Iterator[str]:
        channels = len(self.left_out)
        for channel in np.flatnonzero(self.left_out):
            others = [str(c + 1) for c in range(channels) if not self.left_out[c]]
            source = f"channel {', '.join(others)}" if others else "the others"
            yield (
                f"speech is taken from {source} of {channels}: a steady signal on channel {channel + 1}"
                f" drowns it, left out for {self.left_out[channel]:.1f} s"
            )
        for channel in np.flatnonzero(self.inverted):
            yield (
                f"channel {channel + 1} of {channels} has opposite phase and would cancel the others,"
                f" inverted for {self.inverted[channel]:.1f} s"
            )


class Timeline:
    """The samples [first, last) at 16 kHz of a recording. figures: complete once all are read."""

    def __init__(self, name: str, first: int, last: int, channel: int = 0) -> None:
        """channel: its number, from 1; 0 for the mix."""
        self._name, self._channel = name, channel
        self._clock, self._last = first, last
        self.figures = TimelineFigures()

    def blocks(self, chunks: Iterable[Chunk]) -> Iterator[Samples]:
        """Raises InvalidInput at the first sample that is no number. Empty blocks pass on empty chunks."""
        run: _Run | None = None
        for chunk in chunks:
            if not len(chunk.samples):
                yield np.zeros(0, np.float32)
                continue
            if run is None or not run.continues(chunk):
                if run is not None:
                    yield from self._placed(run.finish())
                    self._note(run, chunk)
                run = _Run(self._name, chunk, self._channel)
            elif chunk.damaged:
                self.figures.damages.append(chunk.time)
            yield from self._placed(run.push(chunk.samples))
            if self._clock >= self._last:
                break
        if run is not None:
            yield from self._placed(run.finish())
            self._count_channels(run)

    def _placed(self, pieces: Iterable[tuple[int, Samples]]) -> Iterator[Samples]:
        """Yields the wanted part of each piece, silence before it where it begins late."""
        for position, block in pieces:
            while self._clock < min(position, self._last):
                silence = min(position, self._last, self._clock + BLOCK_SECONDS * SAMPLE_RATE) - self._clock
                self._clock += silence
                yield np.zeros(silence, np.float32)
            wanted = block[max(self._clock - position, 0) : max(self._last - position, 0)]
            if len(wanted) or position < self._clock:  # an empty block says that decoding goes on
                self._clock += len(wanted)
                yield wanted
        self.figures.end = max(self.figures.end, self._clock / SAMPLE_RATE)

    def _note(self, run: _Run, chunk: Chunk) -> None:
        """Counts what lies between a run and the chunk with which the next begins."""
        figures, gap = self.figures, chunk.time - run.end
        if gap >= REPORTED_GAP_SECONDS or (chunk.damaged and gap > 0):
            figures.gaps.append((run.end, chunk.time, chunk.damaged))
        elif gap > 0:
            figures.small_gaps += gap
        if (chunk.rate, chunk.samples.shape[1]) != (run.rate, run.channels):
            figures.changes.append((chunk.time, chunk.rate, chunk.samples.shape[1]))
        self._count_channels(run)

    def _count_channels(self, run: _Run) -> None:
        figures = self.figures
        for name in ("left_out", "inverted", "sounding"):
            total, more = getattr(figures, name), getattr(run.mixer, name)
            width = max(len(total), len(more))
            added = padded(total, 0, width - len(total)) + padded(more, 0, width - len(more))
            setattr(figures, name, added)


class _Run:
    """Sound without a gap, of constant rate and channels."""

    def __init__(self, name: str, chunk: Chunk, channel: int) -> None:
        self.rate, self.channels = chunk.rate, chunk.samples.shape[1]
        self._name = name
        self._begin = round(chunk.time * self.rate)  # in input samples, as are the next two
        self._count = 0
        self._stray_seconds = 0.0  # of sound since its timestamps began to differ
        self.mixer: ChannelMixer | ChannelPicker = (
            ChannelPicker(self.rate, self.channels, channel)
            if channel
            else ChannelMixer(self.rate, self.channels, self._begin)
        )
        self._resampler = Resampler(self.rate)
        # Resampling begins where an input sample falls on an output sample: a stretch equals the whole.
        lead = self._begin % self._resampler.down
        self._position = (self._begin - lead) * self._resampler.up // self._resampler.down
        self._lead = np.zeros(lead, np.float32)
        self._gathered: list[NDArray[np.float32]] = []
        self._waiting = 0

    @property
    def end(self) -> float:
        return (self._begin + self._count) / self.rate

    def continues(self, chunk: Chunk) -> bool:
        """Returns whether the chunk follows; some muxers put single packets a frame too late, so a small
        gap must last."""
        if (chunk.rate, chunk.samples.shape[1]) != (self.rate, self.channels):
            return False
        apart = abs(chunk.time - self.end)
        if chunk.damaged or apart <= TOLERANCE_SECONDS:
            self._stray_seconds = 0.0
            return apart <= (DAMAGE_SECONDS if chunk.damaged else TOLERANCE_SECONDS)
        self._stray_seconds += len(chunk.samples) / chunk.rate
        return apart <= STRAY_SECONDS and self._stray_seconds <= STRAY_SECONDS

    def push(self, samples: NDArray[np.float32]) -> Iterator[tuple[int, Samples]]:
        self._gathered.append(samples)
        self._count += len(samples)
        self._waiting += len(samples)
        if self._waiting >= self.rate or self._waiting * self.channels >= GATHERED_VALUES:
            yield from self._mixed()

    def finish(self) -> Iterator[tuple[int, Samples]]:
        yield from self._mixed()
        for mono in self.mixer.finish():
            yield from self._resampled(mono)
        rest = self._resampler.finish()
        yield self._position, rest
        self._position += len(rest)

    def _mixed(self) -> Iterator[tuple[int, Samples]]:
        if not self._gathered:
            return
        block = self._gathered[0] if len(self._gathered) == 1 else np.concatenate(self._gathered)
        self._check(block)
        self._gathered, self._waiting = [], 0
        for mono in self.mixer.push(block):
            yield from self._resampled(mono)

    def _resampled(self, mono: Samples) -> Iterator[tuple[int, Samples]]:
        if len(self._lead):
            mono, self._lead = np.concatenate([self._lead, mono]), self._lead[:0]
        block = self._resampler.push(mono)
        yield self._position, block
        self._position += len(block)

    def _check(self, block: NDArray[np.float32]) -> None:
        """Raises InvalidInput."""
        if max(block.max(), -block.min()) <= LOUDEST:  # false for NaN
            return
        frame, channel = np.argwhere(~(np.abs(block) <= LOUDEST))[0]
        at = self.end - (len(block) - frame) / self.rate
        raise InvalidInput(
            f"{self._name} has the sample {block[frame, channel]} at {at:.3f} s,"
            f" allowed are numbers within ±{LOUDEST:g}"
        )


def _listed(items: list[str]) -> str:
    more = len(items) - MAX_REPORTED
    return ", ".join(items[:MAX_REPORTED]) + (f" and {more} more" if more > 0 else "")
