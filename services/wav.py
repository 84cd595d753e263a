"""Sounds on the wire: WAV files of 16 bits a sample to float32 (B, samples), -1 to 1, and back."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import BadInput

Floats = NDArray[np.float32]
BYTES = 2  # a sample
FULL_SCALE = 1 << 15


def to_floats(files: Sequence[bytes], rate: int) -> Floats:
    """rate: samples a second, which every sound must have, as all must have one length. Raises BadInput."""
    sounds = [_samples(number, file, rate) for number, file in enumerate(files)]
    for number, sound in enumerate(sounds):
        if len(sound) != len(sounds[0]):
            raise BadInput(
                f"sound {number} has {len(sound)} samples; {len(sounds[0])}, as the first has, are allowed"
            )
    return np.stack(sounds)


def to_files(sounds: Floats, rate: int) -> list[bytes]:
    """sounds: (B, samples), -1 to 1; what is louder is clipped."""
    return [encoded(sound, rate) for sound in sounds]


def encoded(sound: Floats, rate: int) -> bytes:
    """sound: (samples,), -1 to 1; what is louder is clipped."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(BYTES)
        writer.setframerate(rate)
        whole = (sound * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1)
        writer.writeframes(whole.astype("<i2").tobytes())
    return file.getvalue()


def decoded(file: bytes) -> tuple[Floats, int]:
    """Samples and rate of what `encoded` made."""
    with wave.open(io.BytesIO(file)) as reader:
        return _scaled(reader.readframes(reader.getnframes())), reader.getframerate()


def _samples(number: int, file: bytes, rate: int) -> Floats:
    try:
        with wave.open(io.BytesIO(file)) as reader:
            if reader.getframerate() != rate:
                raise BadInput(
                    f"sound {number} has {reader.getframerate()} samples a second; {rate} are allowed"
                )
            if (reader.getnchannels(), reader.getsampwidth()) != (1, BYTES):
                raise BadInput(
                    f"sound {number} has {reader.getnchannels()} channels of {8 * reader.getsampwidth()} "
                    f"bits; 1 of {8 * BYTES} is allowed"
                )
            samples = _scaled(reader.readframes(reader.getnframes()))
    except (wave.Error, EOFError, RuntimeError) as error:  # the last for a chunk beyond the end
        raise BadInput(
            f"sound {number}, {len(file)} bytes, is not a WAV file of {8 * BYTES} bits that can be read"
        ) from error
    if not len(samples):
        raise BadInput(f"sound {number} holds no samples; one or more are allowed")
    return samples


def _scaled(pcm: bytes) -> Floats:
    whole = np.frombuffer(pcm, "<i2", len(pcm) // BYTES)
    return whole.astype(np.float32) / np.float32(FULL_SCALE)
