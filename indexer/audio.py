"""Anything that sounds, to mono float32 at 16 kHz.

libsndfile decodes WAV, FLAC, OGG Vorbis and Opus, MP3, AIFF and CAF; FFmpeg decodes m4a and video containers
where PyAV is installed (extra `video`). Lengths in headers are never believed: audio is read in blocks of a
second and counted as it comes.

A damaged or cut-off file yields what decodes before the damage, in every format; one of which nothing decodes
is refused. MP4 and CAF keep an index at one end and cannot be opened when that end is missing. Channels are
averaged. Every refusal is an InvalidInput of one line, raised while reading.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, Samples

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
LOUDEST = 1e6  # full scale is 1; integer samples stored as floats reach 32768
LATEST = 1e9  # seconds
BLOCK_VALUES = 1 << 20  # frames times channels, bounds a block of many channels
PREROLL_SECONDS = 0.25  # lossy decoders settle within this after a seek
UNKNOWN_LENGTH = 2**36 - 1  # frames; the most a FLAC header can claim

# What FFmpeg may open. Playlists and scripts are left out: they name other files and addresses.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,aac,ac3,eac3,amr,ape,wv,tta,"
    "wav,w64,aiff,caf,flac,ogg,mp3,au"
)


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself.

    seconds: the header's claim, None where it makes none. Nothing may be allocated or bounded by it.
    sample_rate in Hz. format: libsndfile's or FFmpeg's name of the container.
    """

    seconds: float | None
    sample_rate: int
    channels: int
    format: str


class Decoder(Protocol):
    """The functions of this module, in this process or in another. Safe to call from several threads."""

    def probe(self, path: Path) -> AudioInfo: ...

    def read_blocks(
        self, path: Path, *, max_seconds: float, start: float = 0.0, stop: float | None = None
    ) -> Iterator[Samples]: ...

    def read_stretch(self, path: Path, start: float, stop: float, *, max_seconds: float) -> Samples: ...

    def decode_bytes(self, data: bytes, *, max_seconds: float) -> Samples: ...


def probe(path: Path) -> AudioInfo:
    """Reads the header only.

    Raises InvalidInput if the file is not audio or its sample rate is outside 1 kHz to 768 kHz.
    """
    with _opened(path) as track:
        return track.info


def read_blocks(
    path: Path, *, max_seconds: float, start: float = 0.0, stop: float | None = None
) -> Iterator[Samples]:
    """Blocks of about a second, float32 (n,) at 16 kHz, of the seconds [start, stop); None is the end.

    The blocks together equal the same stretch of the whole recording, resampled in one piece (in Matroska
    to the millisecond that its timestamps resolve). A stop after the end is the end.

    Raises InvalidInput if the file is not audio, if there is none in the stretch, if more than max_seconds
    of it decode, or at the first sample that is no number.
    """
    with _opened(path) as track:
        yield from _decoded(track, str(path), max_seconds, start, stop)


def read_stretch(path: Path, start: float, stop: float, *, max_seconds: float) -> Samples:
    """The seconds [start, stop), sought where the format allows it; raises as read_blocks."""
    return np.concatenate(list(read_blocks(path, max_seconds=max_seconds, start=start, stop=stop)))


def decode_bytes(data: bytes, *, max_seconds: float) -> Samples:
    """The whole of a file held in memory; raises as read_blocks."""
    with _opened(data) as track:
        return np.concatenate(list(_decoded(track, _name(data), max_seconds, 0.0, None)))


class DirectDecoder:
    """Decodes in this process: for files that are trusted."""

    probe = staticmethod(probe)
    read_blocks = staticmethod(read_blocks)
    read_stretch = staticmethod(read_stretch)
    decode_bytes = staticmethod(decode_bytes)


def write_wav(samples: Samples, sample_rate: int = SAMPLE_RATE) -> bytes:
    """samples (n,) as a 16-bit PCM WAV file; what exceeds full scale is clipped."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


class Resampler:
    """Polyphase resampling to 16 kHz, block by block.

    The filter is scipy.signal.resample_poly's (a sinc of ten zero crossings a side, Kaiser window of beta 5)
    and so is the output, wherever the blocks are cut. Output m is
    sum over k of input[k] * taps[m * down - k * up + half].
    """

    def __init__(self, rate: int) -> None:
        self.up, self.down, self._taps = _polyphase(rate)
        self.half = len(self._taps) // 2
        self._held: Samples = np.zeros(0, np.float32)
        self._first = 0  # input index of _held[0]
        self._made = 0  # outputs so far

    def push(self, block: Samples) -> Samples:
        """(n,) in, as many samples out as no later input can change."""
        if self.up == self.down:
            return block
        self._held = np.concatenate([self._held, block])
        seen = self._first + len(self._held)
        return self._output(-(-(seen * self.up - self.half) // self.down))

    def finish(self) -> Samples:
        """The rest, as if silence followed."""
        if self.up == self.down:
            return np.zeros(0, np.float32)
        seen = self._first + len(self._held)
        return self._output(-(-seen * self.up // self.down))

    def _output(self, stop: int) -> Samples:
        if stop <= self._made:
            return np.zeros(0, np.float32)
        from scipy.signal import upfirdn  # takes half a second to import

        # Zeros before the taps move the first wanted output onto upfirdn's grid of `down`.
        offset = self._made * self.down + self.half - self._first * self.up
        shift = -offset % self.down
        taps = np.concatenate([np.zeros(shift, np.float32), self._taps])
        skip = (offset + shift) // self.down
        made: Samples = upfirdn(taps, self._held, self.up, self.down)[skip : skip + stop - self._made]
        self._made = stop
        needed = max(-(-(stop * self.down - self.half) // self.up), self._first)
        self._held = self._held[needed - self._first :]
        self._first = needed
        return made


@lru_cache(maxsize=8)
def _polyphase(rate: int) -> tuple[int, int, NDArray[np.float32]]:
    """(up, down, taps). Rates above 48 kHz with no small ratio are met to within 40 ms an hour."""
    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(48_000)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return 1, 1, np.ones(1, np.float32)
    from scipy.signal import firwin

    steeper = max(up, down)
    taps = up * firwin(20 * steeper + 1, 1 / steeper, window=("kaiser", 5.0))
    return up, down, taps.astype(np.float32)


class _Track(Protocol):
    @property
    def info(self) -> AudioInfo: ...

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """(n, channels) from frame `first` on, about a second each; ends early at damage."""
        ...


def _decoded(
    track: _Track, name: str, max_seconds: float, start: float, stop: float | None
) -> Iterator[Samples]:
    if not 0 <= start < (LATEST if stop is None else min(stop, LATEST)):
        raise InvalidInput(
            f"the stretch {start} to {stop} s is not allowed: 0 <= start < stop, start < {LATEST:g}"
        )
    rate = track.info.sample_rate
    resampler = Resampler(rate)
    first = round(start * SAMPLE_RATE)
    last = round(min(stop or LATEST, LATEST) * SAMPLE_RATE)
    # Decoding begins where an input frame falls on an output sample, early enough for the filter.
    early = (first * resampler.down - resampler.half) // resampler.up - round(PREROLL_SECONDS * rate)
    origin = max(early, 0) // resampler.down * resampler.down
    position = origin * resampler.up // resampler.down
    produced = 0
    for block in _resampled(_mono(track.blocks(origin), name, rate, origin), resampler):
        wanted = block[max(first - position, 0) : max(last - position, 0)]
        position += len(block)
        produced += len(wanted)
        if produced > max_seconds * SAMPLE_RATE:
            raise InvalidInput(f"{name} is longer than the {max_seconds:g} s allowed")
        if len(wanted):
            yield wanted
        if position >= last:
            break
    if not produced:
        raise InvalidInput(f"{name} holds no audio that can be decoded from {start:g} s on")


def _mono(blocks: Iterator[NDArray[np.float32]], name: str, rate: int, position: int) -> Iterator[Samples]:
    for block in blocks:
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        bad = ~(np.abs(mono) <= LOUDEST)  # also true for NaN
        if bad.any():
            at = int(bad.argmax())
            raise InvalidInput(
                f"{name} has the sample {mono[at]} at {(position + at) / rate:.3f} s,"
                f" allowed are numbers within ±{LOUDEST:g}"
            )
        position += len(mono)
        yield mono


def _resampled(blocks: Iterator[Samples], resampler: Resampler) -> Iterator[Samples]:
    for block in blocks:
        yield resampler.push(block)
    yield resampler.finish()


def _name(audio: Path | bytes) -> str:
    return "the audio" if isinstance(audio, bytes) else str(audio)


@contextmanager
def _opened(audio: Path | bytes) -> Iterator[_Track]:
    with _stream(audio) as stream, ExitStack() as stack:
        # libsndfile reads a descriptor much faster than a Python object.
        source = stream if isinstance(audio, bytes) else stream.fileno()
        try:
            file = stack.enter_context(_Sequential(source, closefd=False))
            reason = "" if file.frames else "it holds no samples"
        except soundfile.LibsndfileError as error:
            reason = _line(error.error_string)
        if not reason:
            yield _SndfileTrack(file, _name(audio))
            return
        stream.seek(0)
        with _container(stream, _name(audio), reason) as track:
            yield track


@contextmanager
def _stream(audio: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(audio, bytes):
        if not audio:
            raise InvalidInput("the audio is empty, 0 bytes")
        yield io.BytesIO(audio)
        return
    path = Path(audio)
    try:
        if path.exists() and not path.is_file():
            raise InvalidInput(f"{path} is not a regular file")
        stream = path.open("rb", buffering=0)  # libsndfile shares the descriptor's position
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"cannot open {path}: {_line(getattr(error, 'strerror', None) or error)}"
        ) from None
    with stream:
        if not stream.seek(0, io.SEEK_END):
            raise InvalidInput(f"{path} is empty, 0 bytes")
        stream.seek(0)
        yield stream


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # untyped library
    """A SoundFile that does not seek to where it already is after each read: MP3 glitches when it does."""

    def seekable(self) -> bool:
        return False


class _SndfileTrack:
    def __init__(self, file: soundfile.SoundFile, name: str) -> None:
        self._file = file
        known = 0 < file.frames < UNKNOWN_LENGTH
        self.info = AudioInfo(
            seconds=file.frames / file.samplerate if known else None,
            sample_rate=_allowed_rate(file.samplerate, name),
            channels=file.channels,
            format=file.format,
        )

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        info = self.info
        size = max(min(info.sample_rate, BLOCK_VALUES // info.channels), 1)
        try:
            if first:
                self._file.seek(first)
        except soundfile.LibsndfileError:
            return
        while True:
            block = np.full((size, info.channels), np.nan, np.float32)
            try:
                read = len(self._file.read(out=block))
            except soundfile.LibsndfileError:
                # What was decoded before the damage has been written, the rest is still NaN.
                yield block[: np.isnan(np.append(block[:, -1], np.nan)).argmax()]
                return
            if not read:
                return
            yield block[:read]


@contextmanager
def _container(stream: BinaryIO, name: str, reason: str) -> Iterator[_Track]:
    try:
        import av
    except ImportError:
        raise InvalidInput(
            f"{name} is not audio that libsndfile reads ({reason});"
            " m4a and video containers need the extra: pip install 'wordspot[video]'"
        ) from None
    try:
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
        container = av.open(stream, options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError):
        raise InvalidInput(f"{name} is not audio that can be decoded ({reason})") from None
    with container:
        if not any(track.codec_context for track in container.streams.audio[:1]):
            raise InvalidInput(f"{name} has no audio track that FFmpeg decodes ({container.format.name})")
        yield _FFmpegTrack(av, container, name)


class _FFmpegTrack:
    def __init__(self, av, container, name: str) -> None:  # type: ignore[no-untyped-def]  # optional library
        self._av, self._container = av, container
        self._track = container.streams.audio[0]
        context = self._track.codec_context
        context.thread_count = 1
        self.info = AudioInfo(
            seconds=container.duration / av.time_base if container.duration else None,
            sample_rate=_allowed_rate(context.sample_rate or 0, name),
            channels=context.channels,
            format=container.format.name,
        )

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        gathered: list[NDArray[np.float32]] = []
        waiting = 0
        try:
            for frames in self._frames(first):
                gathered.append(frames)
                waiting += len(frames)
                if waiting >= self.info.sample_rate:
                    yield np.concatenate(gathered)
                    gathered, waiting = [], 0
        except (self._av.FFmpegError, ValueError):
            pass  # damage is the end, as in _SndfileTrack
        if gathered:
            yield np.concatenate(gathered)

    def _frames(self, first: int) -> Iterator[NDArray[np.float32]]:
        rate = self.info.sample_rate
        origin = self._track.start_time or 0
        if first:
            self._container.seek(origin + int(first / rate / self._track.time_base), stream=self._track)
        to_float = self._av.AudioResampler(format="fltp", layout=self._track.layout, rate=rate)
        position: int | None = None if first else 0
        for frame in self._container.decode(self._track):
            if position is None:
                if frame.pts is None:
                    return  # nothing tells where the seek has landed
                position = round((frame.pts - origin) * frame.time_base * rate)
                if position > first:
                    yield np.zeros((position - first, self.info.channels), np.float32)
            for piece in to_float.resample(frame):
                planes = piece.to_ndarray()  # (channels, n)
                wanted = planes[:, max(first - position, 0) :]
                position += planes.shape[1]
                if wanted.shape[1]:
                    yield np.ascontiguousarray(wanted.T)


def _allowed_rate(rate: int, name: str) -> int:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InvalidInput(
            f"{name} has a sample rate of {rate} Hz, allowed are {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        )
    return rate


def _line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")
