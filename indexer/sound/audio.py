"""Anything that sounds, to mono float32 at 16 kHz, on the clock that a player shows.

FFmpeg decodes where PyAV is installed (extra `video`), libsndfile elsewhere: WAV, FLAC, OGG Vorbis and Opus,
MP3, AIFF and CAF. Lengths in headers are never believed: audio is counted as it comes.

Times are presentation times: what a damaged stretch or a gap in the timestamps takes is silent, and what
was skipped, inserted or left out is told as warnings. A file of which nothing decodes is refused. Every
refusal is an InvalidInput of one line, raised while reading.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from typing import Protocol

import numpy as np
import soundfile

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, Samples
from wordspot.indexer.sound.channels import CELL_SECONDS
from wordspot.indexer.sound.decoding import Decoding, opened_for_decoding, refusals
from wordspot.indexer.sound.opened import AudioFile
from wordspot.indexer.sound.original import OriginalSound, RateChanges, gathered
from wordspot.indexer.sound.reader import AudioInfo, check_channel
from wordspot.indexer.sound.survey import ChannelSurvey, HeardTrack, TrackSurvey
from wordspot.indexer.sound.timeline import LOUDEST, Timeline

LATEST = 1e9  # seconds
PAUSE_SECONDS = 20.0  # of sound, after which a survey says that it goes on
CLAIM_SECONDS, CLAIM_SHARE = 0.5, 0.005  # by which a header's claim may differ from what is there, unreported


class NoAudio(InvalidInput):
    """Nothing decodes, or nothing of the stretch."""


class Decoder(Protocol):
    """The functions of this module, in this process or in another. Safe to call from several threads."""

    def probe(self, file: AudioFile, *, track: int = 0) -> AudioInfo:
        """Returns what a file says about itself. Raises InvalidInput if no sound decodes."""

    def survey(self, file: AudioFile, *, max_seconds: float, track: int = 0) -> TrackSurvey:
        """Returns how the channels of a track differ. Raises what `read_blocks` raises."""

    def read_blocks(
        self,
        file: AudioFile,
        *,
        max_seconds: float,
        start: float = 0.0,
        stop: float | None = None,
        warnings: list[str] | None = None,
        heard: list[HeardTrack] | None = None,
        track: int = 0,
        channel: int = 0,
    ) -> Iterator[Samples]:
        """Yields the sound of a file in blocks (samples,), in order, gaps filled with silence.

        Args:
            file: its path, or open.
            max_seconds: a longer file is refused.
            start: in seconds, where reading begins.
            stop: in seconds, where reading ends; None for the end of the file.
            warnings: takes what was noticed of the sound, once all is read.
            heard: takes what was read, once all is.
            track: its number among the audio tracks, from 1; 0 for the one that a player would choose.
            channel: its number, from 1; 0 for the mix of all.

        Raises:
            InvalidInput: if the file cannot be decoded, is too long or has no such track or channel.
        """

    def read_stretch(
        self,
        file: AudioFile,
        start: float,
        stop: float,
        *,
        max_seconds: float,
        track: int = 0,
        channel: int = 0,
    ) -> Samples:
        """Returns the seconds [start, stop) of a file (samples,). Raises what `read_blocks` raises."""

    def decode_bytes(
        self,
        data: bytes,
        *,
        max_seconds: float,
        start: float = 0.0,
        stop: float | None = None,
        channel: int = 0,
    ) -> Samples:
        """Returns the seconds [start, stop) (samples,) of a file's bytes. Arguments and errors are those of
        `read_blocks`."""

    def read_original(
        self,
        file: AudioFile,
        start: float,
        stop: float,
        *,
        max_values: int,
        track: int = 0,
        channel: int = 0,
    ) -> OriginalSound:
        """Returns the seconds [start, stop) of a file as it has them; mono at 16 kHz where its rate changes
        within.

        Args:
            file: its path, or open.
            start: in seconds.
            stop: in seconds.
            max_values: samples times channels at most.
            track: as for `read_blocks`.
            channel: its number, from 1; 0 for all of them.

        Raises what `read_blocks` raises.
        """


def probe(file: AudioFile, *, track: int = 0) -> AudioInfo:
    """Reads the header, and the first sound to see that it decodes.

    Raises InvalidInput if the file is not audio or has no such track, its sample rate is outside 1 kHz to 768
    kHz, nothing decodes or the first sound holds a sample that is no number.
    """
    with opened_for_decoding(file, track) as decoding, refusals(decoding.name):
        for chunk in decoding.reader.chunks(0.0):
            if not len(chunk.samples):
                continue
            if not (np.abs(chunk.samples) <= LOUDEST).all():
                next(Timeline(decoding.name, 0, 1).blocks([chunk]), None)  # says which
            return decoding.reader.info
        raise NoAudio(f"{decoding.name} holds no audio that can be decoded")


def survey(file: AudioFile, *, max_seconds: float, track: int = 0) -> TrackSurvey:
    """Returns how the channels of a track differ. Raises as read_blocks."""
    (found,) = (each for each in survey_with_pauses(file, max_seconds=max_seconds, track=track) if each)
    return found


def survey_with_pauses(
    file: AudioFile, *, max_seconds: float, track: int = 0
) -> Iterator[TrackSurvey | None]:
    """Yields what `survey` returns, and None from time to time before."""
    with opened_for_decoding(file, track) as decoding, refusals(decoding.name):
        channels, pause = ChannelSurvey(), PAUSE_SECONDS
        for chunk in decoding.reader.chunks(0.0):
            channels.add(chunk)
            if channels.seconds > max_seconds:
                raise InvalidInput(_too_long(decoding.name, max_seconds))
            if not len(chunk.samples) or channels.seconds >= pause:
                pause = channels.seconds + PAUSE_SECONDS
                yield None
        if not channels.seconds:
            raise NoAudio(f"{decoding.name} holds no audio that can be decoded")
        info = decoding.reader.info
        yield channels.result(info.tracks, info.track)


def read_blocks(
    file: AudioFile,
    *,
    max_seconds: float,
    start: float = 0.0,
    stop: float | None = None,
    warnings: list[str] | None = None,
    heard: list[HeardTrack] | None = None,
    track: int = 0,
    channel: int = 0,
) -> Iterator[Samples]:
    """Blocks of a few seconds, float32 (n,) at 16 kHz, of the seconds [start, stop); None is the end.

    The blocks together equal the same stretch of the whole recording, resampled in one piece (in Matroska
    to the millisecond that its timestamps resolve). A stop after the end is the end.
    warnings: once all is read, gets a line for each matter that a reader of the whole should know.
    heard: once all is read, gets what that was.

    Raises InvalidInput if the file is not audio, if there is none in the stretch, if more than max_seconds
    of it decode, if it has no such track or channel, or at the first sample that is no number.
    """
    for block in read_with_pauses(
        file,
        max_seconds=max_seconds,
        start=start,
        stop=stop,
        warnings=warnings,
        heard=heard,
        track=track,
        channel=channel,
    ):
        if len(block):
            yield block


def read_with_pauses(
    file: AudioFile,
    *,
    max_seconds: float,
    start: float = 0.0,
    stop: float | None = None,
    warnings: list[str] | None = None,
    heard: list[HeardTrack] | None = None,
    track: int = 0,
    channel: int = 0,
) -> Iterator[Samples]:
    """As read_blocks, with an empty block from time to time while the start is being found."""
    with opened_for_decoding(file, track) as decoding:
        timeline = yield from _blocks(decoding, max_seconds, start, stop, channel)
        if warnings is not None:
            warnings += _warnings(decoding, timeline)
        if heard is not None:
            heard.append(_heard(decoding, timeline))


def read_stretch(
    file: AudioFile, start: float, stop: float, *, max_seconds: float, track: int = 0, channel: int = 0
) -> Samples:
    """Returns the seconds [start, stop) (samples,), sought where the format allows it. Raises as
    read_blocks."""
    blocks = read_blocks(file, max_seconds=max_seconds, start=start, stop=stop, track=track, channel=channel)
    return np.concatenate(list(blocks))


def decode_bytes(
    data: bytes, *, max_seconds: float, start: float = 0.0, stop: float | None = None, channel: int = 0
) -> Samples:
    """Returns the seconds [start, stop) of a file held in memory (samples,). Raises as read_blocks."""
    with opened_for_decoding(data) as decoding:
        # Empty blocks, which say that decoding goes on, take no place.
        return np.concatenate(list(_blocks(decoding, max_seconds, start, stop, channel)))


def read_original(
    file: AudioFile, start: float, stop: float, *, max_values: int, track: int = 0, channel: int = 0
) -> OriginalSound:
    """Returns the seconds [start, stop) at the file's own rate. Raises as read_blocks."""
    sounds = original_with_pauses(file, start, stop, max_values=max_values, track=track, channel=channel)
    (sound,) = (each for each in sounds if each)
    return sound


def original_with_pauses(
    file: AudioFile, start: float, stop: float, *, max_values: int, track: int = 0, channel: int = 0
) -> Iterator[OriginalSound | None]:
    """Yields what `read_original` returns, and None from time to time before."""
    sound = None
    try:
        with opened_for_decoding(file, track) as decoding, refusals(decoding.name):
            chunks = decoding.reader.chunks(start)
            for sound in gathered(chunks, start, stop, max_values=max_values, name=decoding.name):
                if sound is not None:
                    check_channel(channel, sound.channels, decoding.name)
                yield sound and sound.only(channel)
            if sound is None:
                raise NoAudio(f"{decoding.name} holds no audio in the stretch that is asked for")
    except RateChanges:
        blocks = []
        seconds = stop - start + 1
        for block in read_with_pauses(
            file, max_seconds=seconds, start=start, stop=stop, track=track, channel=channel
        ):
            blocks.append(block)
            yield None
        yield OriginalSound(np.concatenate(blocks)[:, None], SAMPLE_RATE)


class DirectDecoder:
    """Decodes in this process: for files that are trusted."""

    probe = staticmethod(probe)
    survey = staticmethod(survey)
    read_blocks = staticmethod(read_blocks)
    read_stretch = staticmethod(read_stretch)
    decode_bytes = staticmethod(decode_bytes)
    read_original = staticmethod(read_original)


def write_wav(samples: Samples, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Returns samples (n,) or (n, channels) as a 16-bit PCM WAV file; what exceeds full scale is clipped."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _blocks(
    decoding: Decoding, max_seconds: float, start: float, stop: float | None, channel: int
) -> Generator[Samples, None, Timeline]:
    """As read_blocks; an empty block says that decoding goes on. Returns the timeline of what was read."""
    if not 0 <= start < (LATEST if stop is None else min(stop, LATEST)):
        raise InvalidInput(
            f"the stretch {start} to {stop} s is not allowed: 0 <= start < stop, start < {LATEST:g}"
        )
    reader, name = decoding.reader, decoding.name
    first = round(start * SAMPLE_RATE)
    last = round(min(stop or LATEST, LATEST) * SAMPLE_RATE)
    timeline = Timeline(name, first, last, channel)
    # A cell of the channels' mix is decoded from its beginning.
    whole = channel or reader.info.channels == 1
    early = start if whole else start // CELL_SECONDS * CELL_SECONDS
    produced = 0
    with refusals(name):
        for block in timeline.blocks(reader.chunks(early)):
            produced += len(block)
            if produced > max_seconds * SAMPLE_RATE:
                raise InvalidInput(_too_long(name, max_seconds))
            yield block
    if not produced:
        place = "in the stretch that is asked for" if start else "that can be decoded"
        raise NoAudio(f"{name} holds no audio {place}")
    check_channel(channel, _channels(decoding, timeline), name)
    return timeline


def _channels(decoding: Decoding, timeline: Timeline) -> int:
    """Returns how many channels a track has, the most at any time."""
    return max(decoding.reader.info.channels, len(timeline.figures.sounding))


def _heard(decoding: Decoding, timeline: Timeline) -> HeardTrack:
    info = decoding.reader.info
    sounding = (int(number) + 1 for number in np.flatnonzero(timeline.figures.sounding))
    return HeardTrack(info.tracks, info.track, _channels(decoding, timeline), tuple(sounding))


def _warnings(decoding: Decoding, timeline: Timeline) -> list[str]:
    """Returns what the report of a whole recording has to say beside its seconds."""
    lines = [*decoding.remarks, *decoding.reader.remarks.lines, *timeline.figures.lines()]
    claim, end = decoding.reader.info.seconds, timeline.figures.end
    if claim is not None and abs(claim - end) > max(CLAIM_SECONDS, CLAIM_SHARE * end):
        lines.append(f"its header claims {claim:.1f} s, {end:.1f} s are there")
    return lines


def _too_long(name: str, max_seconds: float) -> str:
    return f"{name} is longer than the {max_seconds:g} s allowed"
