"""Files into PyAV and samples out of it, around what it does not do safely."""

from __future__ import annotations

import errno
import io
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_FORMATS = {  # factor to full scale, and offset
    "u8": (2.0**-7, -1.0),
    "s16": (2.0**-15, 0.0),
    "s32": (2.0**-31, 0.0),
    "s64": (2.0**-63, 0.0),
    "flt": (1.0, 0.0),
    "dbl": (1.0, 0.0),
}
MIN_OVERREAD_PLANES = 8  # from which on PyAV, looking for the end of a frame's planes, reads beyond it


class SafeSeeks:
    """A file for PyAV. A seek to nowhere, as damaged files ask for, fails by its value: what Python code
    raises there, PyAV may print on standard error."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.read = stream.read
        self.tell = stream.tell

    def seekable(self) -> bool:
        """Returns whether it can be sought in, which it can."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place and returns it, or -EINVAL where there is none."""
        try:
            return self._stream.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


@np.errstate(over="ignore")
def samples_of(frame: Any) -> NDArray[np.float32]:
    """Returns the frame's samples (n, channels), full scale 1; infinite where float32 cannot hold them."""
    name = frame.format.name
    channels = frame.layout.nb_channels
    if name.startswith("s64") or (name.endswith("p") and channels >= MIN_OVERREAD_PLANES):
        # What PyAV does not hand over, and what it does not hand over safely.
        packed = "dbl" if name.startswith("s64") else "flt"
        pieces = [piece.to_ndarray() for piece in av.AudioResampler(format=packed).resample(frame)]
        return np.concatenate(pieces, axis=1).reshape(-1, channels).astype(np.float32)
    array = frame.to_ndarray()
    samples = array.T if name.endswith("p") else array.reshape(-1, channels)
    factor, offset = SAMPLE_FORMATS[name.removesuffix("p")]
    scaled: NDArray[np.float32] = samples.astype(np.float32)
    if factor != 1.0:
        scaled *= np.float32(factor)
    if offset:
        scaled += np.float32(offset)
    return scaled
