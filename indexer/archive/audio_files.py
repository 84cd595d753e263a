"""The audio files of recordings: whether they have changed, and reading them in blocks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordspot.indexer.archive import files
from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.indexer.limits import MAX_CLIP_SECONDS
from wordspot.indexer.records import SAMPLES_PER_TICK, Region, Samples

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder


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


def decodable_blocks(blocks: Iterator[Samples], path: Path) -> Iterator[Samples]:
    """Yields the same blocks. Raises InvalidInput, with the path, for all that is no ArchiveError."""
    try:
        yield from blocks
    except (ArchiveError, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(f"{path} cannot be decoded ({type(error).__name__}: {error})") from error


def file_change(path: Path, size: int, sha256: str = "") -> str | None:
    """Returns how the file differs from what was added; None if it does not.

    Args:
        path: of the file.
        size: when it was added, in bytes.
        sha256: of its content then, hexadecimal; empty to compare no content.
    """
    try:
        current_size = path.stat().st_size
    except OSError as error:
        return f"{path} cannot be read any more: {error.strerror}"
    if path.resolve() != path:
        return f"{path} has been replaced by a link to {path.resolve()}"
    if current_size != size:
        return f"{path} has {current_size} bytes; it had {size} when it was added"
    try:
        if sha256 and files.sha256_of(path) != sha256:
            return f"{path} has another content than when it was added"
    except OSError as error:
        return f"{path} cannot be read any more: {error.strerror}"
    return None


def read_clip(decoder: Decoder, path: Path, start: float, end: float) -> Samples:
    """Returns the audio (samples,) of the seconds [start, end) of a file, at 16 kHz.

    Raises:
        InvalidInput: if the stretch is not valid, longer than MAX_CLIP_SECONDS or cannot be decoded.
    """
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        raise InvalidInput(f"a clip must have 0 <= start < end, got {start} to {end} s")
    if end - start > MAX_CLIP_SECONDS:
        raise InvalidInput(f"a clip must last at most {MAX_CLIP_SECONDS:g} s, got {end - start:g} s")
    return decoder.read_stretch(path, start, end, max_seconds=2 * MAX_CLIP_SECONDS)


def read_regions(
    decoder: Decoder, path: Path, regions: Sequence[Region], *, max_seconds: float
) -> Iterator[Samples]:
    """Yields the audio (samples,) of regions of a file, which are in order of time and disjoint, at 16 kHz.

    Raises:
        InvalidInput: if the file cannot be decoded or is longer than max_seconds.
    """
    with closing_blocks(decoder.read_blocks(path, max_seconds=max_seconds)) as blocks:
        buffer = SampleBuffer(blocks)
        remaining_blocks = iter(buffer)
        for region in regions:
            while (
                buffer.samples < region.stop * SAMPLES_PER_TICK and next(remaining_blocks, None) is not None
            ):
                buffer.discard_before(region.start)
            yield buffer.cut(region)
