"""The audio files of recordings, read in blocks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.indexer.limits import MAX_CLIP_SECONDS, MAX_CLIP_VALUES
from wordspot.indexer.records import SAMPLES_PER_TICK, Region, Samples

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder
    from wordspot.indexer.sound.opened import AudioFile
    from wordspot.indexer.sound.original import OriginalSound


class SampleBuffer:
    """Passes blocks of audio on and buffers them until they are discarded.

    Attributes:
        samples: passed on so far.
    """

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self.samples = 0
        self._blocks = blocks
        self._buffered: deque[Samples] = deque()
        self._start = 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self._buffered.append(block)
            self.samples += len(block)
            yield block

    def cut(self, region: Region) -> Samples:
        """Returns a region's audio (region.ticks * SAMPLES_PER_TICK,), zeros beyond the end of the
        recording."""
        start, stop = region.start * SAMPLES_PER_TICK, region.stop * SAMPLES_PER_TICK
        if start < self._start:
            raise ValueError(f"regions must begin at or after sample {self._start}, got {start}")
        audio = np.zeros(stop - start, dtype=np.float32)
        position = self._start
        for block in self._buffered:
            first, last = max(start, position), min(stop, position + len(block))
            if first < last:
                audio[first - start : last - start] = block[first - position : last - position]
            position += len(block)
        return audio

    def discard_before(self, tick: int) -> None:
        """Discards whole blocks that end at or before the tick."""
        limit = tick * SAMPLES_PER_TICK
        while self._buffered and self._start + len(self._buffered[0]) <= limit:
            self._start += len(self._buffered.popleft())


@contextmanager
def closing_blocks(blocks: Iterator[Samples]) -> Iterator[Iterator[Samples]]:
    """Closes the file, or the process that decodes it, at the end of the context."""
    try:
        yield blocks
    finally:
        if isinstance(blocks, Generator):
            blocks.close()


def decodable_blocks(blocks: Iterator[Samples], name: str) -> Iterator[Samples]:
    """Yields the same blocks. Raises InvalidInput, with the file's name, for all that is no ArchiveError."""
    try:
        yield from blocks
    except (ArchiveError, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(f"{name} cannot be decoded ({type(error).__name__}: {error})") from error


def read_clip(
    decoder: Decoder, file: AudioFile, start: float, end: float, *, track: int = 0, channel: int = 0
) -> Samples:
    """Returns the audio (samples,) of the seconds [start, end) of a file, at 16 kHz.

    track, channel: their numbers, from 1; 0 for the one that a player would choose, and for the mix.

    Raises:
        InvalidInput: if the stretch is not valid, longer than MAX_CLIP_SECONDS or cannot be decoded.
    """
    _check_clip(start, end)
    return decoder.read_stretch(
        file, start, end, max_seconds=2 * MAX_CLIP_SECONDS, track=track, channel=channel
    )


def read_original_clip(
    decoder: Decoder, file: AudioFile, start: float, end: float, *, track: int = 0, channel: int = 0
) -> OriginalSound:
    """Returns the seconds [start, end) of a file at its own rate, with all its channels or one of them.

    Raises:
        InvalidInput: as `read_clip`, or because there are more than MAX_CLIP_VALUES samples.
    """
    _check_clip(start, end)
    return decoder.read_original(file, start, end, max_values=MAX_CLIP_VALUES, track=track, channel=channel)


def _check_clip(start: float, end: float) -> None:
    """Raises InvalidInput."""
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        raise InvalidInput(f"a clip must have 0 <= start < end, got {start} to {end} s")
    if end - start > MAX_CLIP_SECONDS:
        raise InvalidInput(f"a clip must last at most {MAX_CLIP_SECONDS:g} s, got {end - start:g} s")


def read_regions(
    decoder: Decoder,
    file: AudioFile,
    regions: Sequence[Region],
    *,
    max_seconds: float,
    track: int = 0,
    channel: int = 0,
) -> Iterator[Samples]:
    """Yields the audio (samples,) of regions of a file, which are in order of time and disjoint, at 16 kHz.

    track, channel: as `read_clip` takes them.

    Raises:
        InvalidInput: if the file cannot be decoded or is longer than max_seconds.
    """
    reading = decoder.read_blocks(file, max_seconds=max_seconds, track=track, channel=channel)
    with closing_blocks(reading) as blocks:
        buffer = SampleBuffer(blocks)
        remaining_blocks = iter(buffer)
        for region in regions:
            while (
                buffer.samples < region.stop * SAMPLES_PER_TICK and next(remaining_blocks, None) is not None
            ):
                buffer.discard_before(region.start)
            yield buffer.cut(region)
