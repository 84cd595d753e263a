"""Short sounds in every container and codec that libsndfile and FFmpeg write here, to be mutated."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Iterator
from functools import cache
from random import Random

import numpy as np
import soundfile

from tests.fuzz.mutation import mutated

SECONDS = 0.6
RATE = 16_000
# By container of FFmpeg, codecs. What this build cannot write is left out.
CODECS = {
    "mp4": ("aac", "alac", "libmp3lame", "ac3", "libopus"),
    "mov": ("aac", "pcm_s16le", "pcm_alaw", "alac"),
    "3gp": ("aac", "libopencore_amrnb"),
    "matroska": ("libopus", "vorbis", "aac", "pcm_s16le", "ac3", "mp2", "tta", "wavpack"),
    "webm": ("libopus", "vorbis"),
    "avi": ("pcm_s16le", "libmp3lame", "mp2", "ac3", "adpcm_ms"),
    "mpegts": ("mp2", "aac", "ac3", "libmp3lame", "libopus"),
    "mpeg": ("mp2",),
    "flv": ("libmp3lame", "aac", "nellymoser", "adpcm_swf"),
    "asf": ("wmav1", "wmav2", "libmp3lame"),
    "adts": ("aac",),
    "ac3": ("ac3",),
    "eac3": ("eac3",),
    "amr": ("libopencore_amrnb",),
    "wv": ("wavpack",),
    "tta": ("tta",),
    "wav": ("pcm_s16le", "adpcm_ima_wav", "adpcm_ms", "g722", "pcm_mulaw", "aac", "ac3"),
    "w64": ("pcm_s16le",),
    "aiff": ("pcm_s16be",),
    "caf": ("pcm_s16le", "alac"),
    "flac": ("flac",),
    "ogg": ("libopus", "vorbis"),
    "mp3": ("libmp3lame",),
    "au": ("pcm_s16be",),
}
RATES = {
    "libopencore_amrnb": 8_000,
    "libopus": 48_000,
    "ac3": 32_000,
    "eac3": 32_000,
    "nellymoser": 22_050,
    "adpcm_swf": 22_050,
}
DEFAULT_RATE = 22_050


@cache
def seeds() -> tuple[bytes, ...]:
    """All of them, the longest about 50 KB."""
    return tuple(file for file in (*_from_libsndfile(), *_from_ffmpeg()) if file)


def draw(rng: Random) -> bytes:
    """Returns a file, mostly mutated."""
    file = rng.choice(seeds())
    return file if rng.random() < 0.03 else mutated(file, rng, seeds())


def draw_wav(rng: Random, rate: int) -> bytes:
    """Returns a WAV file of 16 bits such as models take, mostly right."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1 if rng.random() < 0.9 else rng.choice((2, 3, 255)))
        writer.setsampwidth(2 if rng.random() < 0.9 else rng.choice((1, 3, 4)))
        writer.setframerate(rate if rng.random() < 0.9 else rng.choice((1, 44_100, 2**22)))
        writer.writeframesraw(rng.randbytes(rng.choice((0, 2, 3, 200, 2_000))))
    whole = file.getvalue()
    return whole if rng.random() < 0.5 else mutated(whole, rng)


def tone(rate: int, channels: int) -> np.ndarray:
    """Float64 (n, channels): tones that pulse like syllables."""
    time = np.arange(math.ceil(SECONDS * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * 300 * time) * (np.sin(2 * np.pi * 4 * time) > 0)
    return np.stack([sound * (1 - 0.5 * channel) for channel in range(channels)], axis=1)


def _from_libsndfile() -> Iterator[bytes]:
    for kind in sorted(set(soundfile.available_formats()) - {"SD2"}):  # writes a second file, `._`
        for subtype in sorted(soundfile.available_subtypes(kind)):
            rate, channels = (48_000, 1) if subtype == "OPUS" else (8_000, 1 + (subtype == "PCM_16"))
            file = io.BytesIO()
            try:
                soundfile.write(file, tone(rate, channels), rate, format=kind, subtype=subtype)
            except (soundfile.LibsndfileError, ValueError, TypeError):
                continue
            yield file.getvalue()


def _from_ffmpeg() -> Iterator[bytes]:
    import av

    for container, codecs in CODECS.items():
        for codec in codecs:
            try:
                yield _muxed(container, codec)
            except (av.FFmpegError, ValueError):
                continue


def _muxed(container: str, codec: str) -> bytes:
    import av

    rate = RATES.get(codec, DEFAULT_RATE)
    layout = "mono" if codec in ("nellymoser", "adpcm_swf", "libopencore_amrnb", "g722") else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        context = stream.codec_context
        if codec == "vorbis":
            context.options = {"strict": "experimental"}
        if codec.startswith("wma"):
            context.bit_rate = 64_000
        samples = tone(rate, len(context.layout.channels)).T.astype(np.float32)
        convert = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or 1024)
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
        whole.sample_rate = rate
        for frame in (*convert.resample(whole), *convert.resample(None), None):
            for packet in stream.encode(frame):
                output.mux(packet)
    return file.getvalue()
