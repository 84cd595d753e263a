"""Decoding by libsndfile, where FFmpeg is missing or does not know the format."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.reader import AudioInfo, Chunk, Remarks, allowed_rate, line_of

BLOCK_SECONDS = 4  # at most; the first block is of one, for those who only look
BLOCK_VALUES = 1 << 20  # frames times channels, bounds a block of many channels
PREROLL_SECONDS = 0.25  # lossy decoders settle within this after a seek
UNKNOWN_LENGTH = 2**36 - 1  # frames; the most a FLAC header can claim


class SndfileReader:
    """A file that libsndfile has opened. Damage is its end."""

    def __init__(self, stream: BinaryIO | int, name: str) -> None:
        """stream: a file, or its descriptor, which is read much faster. Raises InvalidInput."""
        try:
            file = _Sequential(stream, closefd=False)
        except (soundfile.LibsndfileError, OSError, ValueError) as error:
            reason = line_of(getattr(error, "error_string", error))
            raise InvalidInput(f"{name} is not audio that libsndfile reads ({reason})") from None
        if not file.frames:
            file.close()
            raise InvalidInput(f"{name} is not audio that libsndfile reads (it holds no samples)")
        self._file = file
        claimed = 0 < file.frames < UNKNOWN_LENGTH
        self.info = AudioInfo(
            seconds=file.frames / file.samplerate if claimed else None,
            sample_rate=allowed_rate(file.samplerate, name),
            channels=file.channels,
            format=file.format,
        )
        self.remarks = Remarks()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def chunks(self, start: float) -> Iterator[Chunk]:
        """Yields sound from `start` seconds or earlier, up to the first damage."""
        rate, channels = self.info.sample_rate, self.info.channels
        largest = max(BLOCK_VALUES // channels, 1)
        position = max(round((start - PREROLL_SECONDS) * rate), 0)
        try:
            if position:
                self._file.seek(position)
        except soundfile.LibsndfileError:
            return
        for size in itertools.chain([rate], itertools.repeat(BLOCK_SECONDS * rate)):
            block = np.full((min(size, largest), channels), np.nan, np.float32)
            try:
                count = len(self._file.read(out=block))
            except soundfile.LibsndfileError:
                # What was decoded before the damage has been written, the rest is still NaN.
                count = int(np.isnan(np.append(block[:, -1], np.nan)).argmax())
                self.remarks.lines.append(
                    f"damaged at {(position + count) / rate:.2f} s, nothing after it can be read without PyAV"
                )
                yield Chunk(position / rate, rate, block[:count])
                return
            if not count:
                return
            yield Chunk(position / rate, rate, block[:count])
            position += count


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # untyped library
    """A SoundFile that does not seek to where it already is after each read: MP3 glitches when it does."""

    def seekable(self) -> bool:
        return False
