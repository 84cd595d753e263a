"""Files, opened with the library that decodes them: FFmpeg where it is installed, libsndfile elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.indexer.sound.joined import ClosableReader, JoinedReader, matroska_parts
from wordspot.indexer.sound.lengths import with_true_length
from wordspot.indexer.sound.opened import AudioFile, opened
from wordspot.indexer.sound.original import RateChanges
from wordspot.indexer.sound.reader import AudioReader, check_track, line_of
from wordspot.indexer.sound.sndfile import SndfileReader


@dataclass(frozen=True)
class Decoding:
    """A file with the library that decodes it. remarks: about the file as a whole."""

    reader: AudioReader
    name: str
    remarks: tuple[str, ...] = ()


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Makes of whatever a decoding library raises the file's own refusal."""
    try:
        yield
    except (ArchiveError, MemoryError, RateChanges):
        raise
    except Exception as error:
        raise InvalidInput(f"{name} cannot be decoded ({type(error).__name__}: {line_of(error)})") from error


@contextmanager
def opened_for_decoding(audio: AudioFile | bytes, track: int = 0) -> Iterator[Decoding]:
    """Gives a file, or its bytes, with a reader. Raises InvalidInput."""
    with _stream(audio) as (stream, name, suffix), ExitStack() as stack:
        remarks: tuple[str, ...] = ()
        with refusals(name):
            repaired, remark = with_true_length(stream)
            if remark:
                remarks = (remark,)
            reader = _open_reader(repaired, name, suffix, track)
            stack.callback(reader.close)
        yield Decoding(reader, name, remarks)


def _open_reader(stream: BinaryIO, name: str, suffix: str, track: int) -> ClosableReader:
    """Opens with FFmpeg where it is installed and knows the format, else with libsndfile. Raises
    InvalidInput."""
    try:
        from wordspot.indexer.sound.ffmpeg import FFmpegReader
    except ImportError:
        try:
            return _sndfile(stream, name, track)
        except InvalidInput as error:
            raise InvalidInput(
                f"{error}; m4a and video containers need the extra: pip install 'wordspot[video]'"
            ) from None
    parts = matroska_parts(stream)
    try:
        if len(parts) > 1:
            return JoinedReader(parts, lambda part: FFmpegReader(part, name, suffix, track))
        return FFmpegReader(stream, name, suffix, track)
    except InvalidInput:
        try:
            return _sndfile(stream, name, track)
        except InvalidInput:
            pass
        raise


def _sndfile(stream: BinaryIO, name: str, track: int) -> SndfileReader:
    """Raises InvalidInput."""
    check_track(track, 1, name)
    stream.seek(0)
    # libsndfile reads a descriptor much faster than a Python object.
    return SndfileReader(stream.fileno() if isinstance(stream, io.FileIO) else stream, name)


@contextmanager
def _stream(audio: AudioFile | bytes) -> Iterator[tuple[BinaryIO, str, str]]:
    """Gives the content, its name and the name's suffix. Raises InvalidInput."""
    if isinstance(audio, bytes):
        if not audio:
            raise InvalidInput("the audio is empty, 0 bytes")
        yield io.BytesIO(audio), "the audio", ""
        return
    # Unbuffered: libsndfile shares the descriptor's position.
    with opened(audio) as file, io.FileIO(file.descriptor, closefd=False) as stream:
        if not stream.seek(0, io.SEEK_END):
            raise InvalidInput(f"{file.name} is empty, 0 bytes")
        stream.seek(0)
        yield stream, file.name, file.suffix
