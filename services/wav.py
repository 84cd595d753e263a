"""Sounds on the wire: WAV files of 16 bits a sample to float32 (B, samples), -1 to 1, and back."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import BadInput

Floats = NDArray[np.float32]
HEADER_BYTES = 44
BYTES_PER_SAMPLE = 2
FULL_SCALE = 1 << 15


def to_floats(files: Sequence[bytes], rate: int) -> Floats:
    """Returns float32 (B, samples).

    rate: samples a second, which every sound must have, as all must have one length. Raises BadInput.
    """
    sounds = [_samples(number, file, rate) for number, file in enumerate(files)]
    for number, sound in enumerate(sounds):
        if len(sound) != len(sounds[0]):
            raise BadInput(
                f"sound {number} must have {len(sounds[0])} samples, as the first has, got {len(sound)}"
            )
    return np.stack(sounds)


def to_files(sounds: Floats, rate: int) -> list[bytes]:
    """Returns a WAV file for each sound. sounds: (B, samples), -1 to 1; what is louder is clipped."""
    return [encoded(sound, rate) for sound in sounds]


def encoded(sound: Floats, rate: int) -> bytes:
    """Returns a WAV file. sound: (samples,), -1 to 1; what is louder is clipped."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(BYTES_PER_SAMPLE)
        writer.setframerate(rate)
        quantised = (sound * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1)
        writer.writeframes(quantised.astype("<i2").tobytes())
    return file.getvalue()


def file_bytes(samples: int) -> int:
    """Returns the size of a file of so many samples, as `encoded` writes it."""
    return HEADER_BYTES + BYTES_PER_SAMPLE * samples


def decoded(file: bytes) -> tuple[Floats, int]:
    """Returns samples and rate of a file that `encoded` wrote."""
    with wave.open(io.BytesIO(file)) as reader:
        return _scaled(reader.readframes(reader.getnframes())), reader.getframerate()


def _samples(number: int, file: bytes, rate: int) -> Floats:
    try:
        with wave.open(io.BytesIO(file)) as reader:
            if reader.getframerate() != rate:
                raise BadInput(
                    f"sound {number} must have {rate} samples a second, got {reader.getframerate()}"
                )
            if (reader.getnchannels(), reader.getsampwidth()) != (1, BYTES_PER_SAMPLE):
                raise BadInput(
                    f"sound {number} must have 1 channel of {8 * BYTES_PER_SAMPLE} bits, got "
                    f"{reader.getnchannels()} of {8 * reader.getsampwidth()}"
                )
            samples = _scaled(reader.readframes(reader.getnframes()))
    except (wave.Error, EOFError, RuntimeError) as error:  # the last for a chunk beyond the end
        raise BadInput(
            f"sound {number}, {len(file)} bytes, is not a WAV file of {8 * BYTES_PER_SAMPLE} bits that can "
            "be read"
        ) from error
    if not len(samples):
        raise BadInput(f"sound {number} must have one sample or more, got none")
    return samples


def _scaled(pcm: bytes) -> Floats:
    quantised = np.frombuffer(pcm, "<i2", len(pcm) // BYTES_PER_SAMPLE)
    return quantised.astype(np.float32) / np.float32(FULL_SCALE)
