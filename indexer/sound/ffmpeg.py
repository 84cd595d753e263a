"""Decoding by FFmpeg, through PyAV (extra `video`).

Presentation times come from the container's timestamps where it has any of its own; raw streams, whose
timestamps are only counts, are counted here. A packet that cannot be decoded is skipped and its time kept.
A place is sought only in formats whose index is exact; elsewhere packets are read from the start and
decoded from shortly before the place on.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import av
import av.stream
import numpy as np
from av.format import Flags

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.channels import STEADY_DB, level_and_modulation
from wordspot.indexer.sound.pyav import SafeSeeks, samples_of
from wordspot.indexer.sound.reader import AudioInfo, Chunk, Remarks, allowed_rate, check_track, line_of
from wordspot.indexer.sound.sndfile import UNKNOWN_LENGTH
from wordspot.indexer.sound.timeline import DAMAGE_SECONDS, TOLERANCE_SECONDS, TimestampUnwrapper

# What FFmpeg may open. Playlists and scripts are left out: they name other files and addresses.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,aac,loas,ac3,eac3,dts,dtshd,amr,ape,wv,tta,"
    "wav,w64,aiff,caf,flac,ogg,mp3,au,voc,rm,nut,mxf,gxf,wtv,dv,swf,sox,ircam,nistsphere,smjpeg,mlp,truehd,"
    "oma,mmf,spdif,amv,film_cpk,smk,rso,ast,gsm,g722,sbc,mpc,mpc8,tak,shn,qcp,dss,xwma,codec2,lvf,wsaud,roq"
)
# Raw streams without a mark of their own, told by the ending of the name alone.
RAW_FORMATS = {".gsm": "gsm", ".g722": "g722", ".sbc": "sbc", ".msbc": "sbc", ".rso": "rso"}
# Whose timestamps say when a packet is presented; those of all others count packets or bytes.
TIMESTAMPED = frozenset(
    ("mov", "matroska", "ogg", "mpegts", "mpeg", "flv", "asf", "avi", "rm", "nut", "mxf", "gxf", "wtv", "dv")
) | {"flac", "wv", "smjpeg", "swf"}
NUMBERED = frozenset(["flac", "wv"])  # whose blocks have numbers: a gap is a block that was lost
FROM_ZERO = frozenset(["mov", "matroska"])  # whose time 0 is where a player begins, whatever comes first
NO_CLAIM = frozenset(
    ["aac", "loas", "ac3", "eac3", "dts", "dtshd", "mpeg", "mlp", "truehd", "gsm", "g722", "sbc"]
)  # a guess by bit rate
PCM_CONTAINERS = frozenset(["wav", "w64", "aiff", "au", "caf"])
SNDFILE_NAMES = frozenset(["wav", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3"])  # in capitals, as there
PREROLL_SECONDS = 1.0  # lossy decoders settle within this
STEADYING_SECONDS = 0.75  # over which a place's time is averaged
READ_THROUGH_SECONDS = 20.0  # up to which everything is decoded
SEEK_BYTES = 1 << 28  # a Matroska file is sought in from this size on
WAV_PACKET_BYTES = "16384"  # instead of a twentieth of a second each
HEARTBEAT_PACKETS = 50_000
MAX_FAILED_READS = 100  # in a row
MAX_FORWARD_SECONDS = 60.0  # by which timestamps may rise, in formats where they may begin anew
JUDGED_SECONDS = 120  # of a track, for whether anything but silence or a steady signal is on it
AAC_RATES = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)

_DECODING_ERRORS = (av.FFmpegError, OSError, ValueError, RuntimeError)


class FFmpegReader:
    """A file that FFmpeg has opened, and the track of it that is heard.

    Unless it is told, the track is the one flagged as default, the first where none is; one that is silent or
    carries but a steady signal gives way to the next that does not.
    """

    def __init__(self, stream: BinaryIO, name: str, suffix: str, track: int = 0) -> None:
        """suffix: of the file's name. track: number among the audio tracks, from 1; 0 for the default.
        Raises InvalidInput."""
        self._stream, self._name, self._suffix = stream, name, suffix
        self.remarks = Remarks()
        self._open(None)
        try:
            chosen = self._chosen_track(track)
            if len(self._container.streams.audio) > 1:  # others may have been read
                self._open(chosen)
            else:
                self._choose(chosen)
            self.info = self._information()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the container."""
        self._container.close()

    def chunks(self, start: float) -> Iterator[Chunk]:
        """Yields sound from `start` seconds or earlier; seeks only where the time reached can be trusted."""
        place = start - PREROLL_SECONDS
        packets: Iterator[Any] = self._packets()
        if place > READ_THROUGH_SECONDS:
            packets = self._sought(place) or (yield from self._skipped(packets, place))
            sound = (chunk for packet in packets for chunk in self._decoded(packet))
            yield from _steadied(sound) if self._timestamped else sound
            return
        for packet in packets:
            yield from self._decoded(packet)

    # Opening

    def _open(self, number: int | None) -> None:
        """Opens the file at its start, with this audio track."""
        if number is not None:
            self.close()
        self._container: Any = _container(self._stream, self._name, self._suffix)
        formats = self._container.format.name.split(",")
        self._format: str = formats[0]
        self._timestamped = self._format in TIMESTAMPED
        restarts = Flags.ts_discont in Flags(self._container.format.flags)
        self._clock = TimestampUnwrapper(MAX_FORWARD_SECONDS if restarts else float("inf"))
        self._position = 0.0  # of the next sample, where samples are counted
        self._damaged = False
        self._frame_seconds = self._lost = 0.0
        self._stamp: float | None = None  # at which the demuxer has the end of the last frame
        first = (self._container.start_time or 0) / av.time_base
        self._origin = min(first, 0.0) if self._format in FROM_ZERO else first
        if number is not None:
            self._choose(number)

    def _choose(self, number: int) -> None:
        """Has this audio track decoded, and no other one read."""
        self._number, self._track = number, self._container.streams.audio[number]
        self._track.codec_context.thread_count = 1
        for other in self._container.streams:
            if other.index != self._track.index and hasattr(other, "discard"):  # of later versions of PyAV
                other.discard = av.stream.Discard.all

    def _chosen_track(self, track: int) -> int:
        """Returns the index of the track to be read. Raises InvalidInput."""
        tracks = self._track_numbers()
        if track:
            check_track(track, len(self._container.streams.audio), self._name)
            if track - 1 not in tracks:
                raise InvalidInput(
                    f"audio track {track} of {self._name} is of a codec that FFmpeg does not decode"
                )
            return track - 1
        chosen = tracks[0]
        if len(tracks) > 1:
            chosen = next((number for number in tracks if self._carries_sound(number)), chosen)
            self._remark_on_track(tracks, chosen)
        return chosen

    def _track_numbers(self) -> list[int]:
        """Returns the tracks that can be decoded, those flagged as default first. Raises InvalidInput."""
        tracks = self._container.streams.audio
        numbers = [number for number, track in enumerate(tracks) if track.codec_context]
        if not numbers:
            raise InvalidInput(
                f"{self._name} has no audio track that FFmpeg decodes ({self._container.format.name})"
            )
        return sorted(numbers, key=lambda number: not tracks[number].disposition & 1)

    def _remark_on_track(self, tracks: list[int], chosen: int) -> None:
        track = self._container.streams.audio[chosen]
        language = track.metadata.get("language", "")
        told = f", {language}" if language not in ("", "und") else ""
        reason = f": track {tracks[0] + 1} carries no speech" if chosen != tracks[0] else ""
        self.remarks.lines.append(
            f"audio track {chosen + 1} of {len(tracks)} ({track.codec_context.name}{told}) is heard{reason}"
        )

    def _carries_sound(self, number: int) -> bool:
        """Returns whether anything but silence or a steady signal is in the first minutes of a track."""
        self._open(number)
        seconds = 0.0
        pieces: list[Chunk] = []
        for chunk in self.chunks(0.0):
            pieces.append(chunk)
            seconds += len(chunk.samples) / chunk.rate
            same = [p for p in pieces if (p.rate, p.samples.shape) == (chunk.rate, chunk.samples.shape)]
            if sum(len(piece.samples) for piece in same) >= 2 * chunk.rate:
                samples = np.concatenate([piece.samples for piece in same])
                if (level_and_modulation(samples, chunk.rate)[1] >= STEADY_DB).any():
                    return True
                pieces = []
            if seconds >= JUDGED_SECONDS:
                break
        return False

    def _information(self) -> AudioInfo:
        context = self._track.codec_context
        claim: float | None = None
        if self._format not in NO_CLAIM:
            if self._track.duration:
                first = float((self._track.start_time or 0) * self._track.time_base)
                claim = first + float(self._track.duration * self._track.time_base) - self._origin
            elif self._container.duration and len(self._container.streams) == 1:
                claim = self._container.duration / av.time_base
        if self._format == "flac" and claim and round(claim * context.sample_rate) >= UNKNOWN_LENGTH:
            claim = None
        return AudioInfo(
            seconds=claim if claim is not None and claim > 0 else None,
            sample_rate=allowed_rate(context.sample_rate or 0, self._name),
            channels=context.channels,
            format=self._format.upper() if self._format in SNDFILE_NAMES else self._container.format.name,
            tracks=len(self._container.streams.audio),
            track=self._number + 1,
        )

    # Reading

    def _packets(self) -> Iterator[Any]:
        """Yields the packets of the track, in order, and an empty one at the end. What cannot be read is
        passed over."""
        failures = 0
        while failures < MAX_FAILED_READS:
            try:
                for packet in self._container.demux(self._track):
                    failures = 0
                    yield packet
                return
            except av.error.EOFError:
                return
            except _DECODING_ERRORS:
                failures += 1
                self._damaged = True

    def _decoded(self, packet: Any) -> Iterator[Chunk]:
        try:
            if packet.size and packet.has_sidedata("new_extradata"):
                self._track.codec_context.flush_buffers()  # a link of a chain owes nothing to the one before
            frames = packet.decode()
        except av.error.EOFError:
            return
        except _DECODING_ERRORS:
            self.remarks.lost_packets += 1
            self._damaged = True
            self._lost += self._packet_seconds(packet) or self._frame_seconds
            return
        for frame in frames:
            rate = allowed_rate(frame.sample_rate or 0, self._name)
            samples = samples_of(frame)
            self._frame_seconds = len(samples) / rate
            if len(samples):
                yield Chunk(self._presentation(frame, self._frame_seconds), rate, samples, self._damaged)
                self._damaged = False

    def _presentation(self, frame: Any, seconds: float) -> float:
        if self._timestamped:
            time = None if frame.pts is None else float(frame.pts * frame.time_base) - self._origin
            before, time = self._clock.end, self._clock.presentation(time, seconds)
            if self._format in NUMBERED and time > before + DAMAGE_SECONDS:
                self._damaged = True
            return time
        stamp = None if frame.pts is None else float(frame.pts * frame.time_base)
        if self._lost:
            # Damage makes packets of what are none: the demuxer's count may say that less is missing.
            passed = self._lost if stamp is None or self._stamp is None else max(stamp - self._stamp, 0.0)
            self._position += min(passed, self._lost)
            self._lost = 0.0
        self._stamp = None if stamp is None else stamp + seconds
        time, self._position = self._position, self._position + seconds
        return time

    # Finding a place

    def _sought(self, place: float) -> Iterator[Any] | None:
        """Returns the packets from before the place on; None where a seek cannot be trusted, or has gone
        wrong."""
        exact = (
            (self._format == "mov" and self._track.frames > 0)
            or (self._format == "matroska" and (self._container.size or 0) >= SEEK_BYTES)
            or (self._format in PCM_CONTAINERS and self._track.codec_context.name.startswith("pcm_"))
        )
        if not exact:
            return None
        time_base = self._track.time_base
        try:
            self._container.seek(int((place + self._origin) / time_base), stream=self._track)
            packets = self._packets()
            first = next(packets)
            landed = None if first.pts is None else float(first.pts * time_base) - self._origin
        except (*_DECODING_ERRORS, StopIteration):
            landed = None
        if landed is None or landed > place:
            self._open(self._number)
            return None
        self._position = landed
        return itertools.chain([first], packets)

    def _skipped(self, packets: Iterator[Any], place: float) -> Generator[Chunk, None, Iterator[Any]]:
        """Reads up to the place without decoding, and returns the packets from there on."""
        empty = np.zeros((0, 1), np.float32)
        for number, packet in enumerate(packets, 1):
            if not packet.size:
                return iter([packet])
            seconds = self._packet_seconds(packet)
            if self._timestamped:
                time = None if packet.pts is None else float(packet.pts * packet.time_base) - self._origin
                presentation = self._clock.presentation(time, seconds)
            else:
                presentation = self._position
            if self._clock.jumps or packet.has_sidedata("new_extradata"):
                # Files joined end to end: their lengths are known once they are decoded.
                self._open(self._number)
                return self._packets()
            if presentation + seconds > place:
                self._clock.rewind(presentation)
                return itertools.chain([packet], packets)
            self._position += seconds - self._discarded_seconds(packet)
            if number % HEARTBEAT_PACKETS == 0:
                yield Chunk(presentation, 1, empty)
        return iter(())

    def _packet_seconds(self, packet: Any) -> float:
        """Returns how much sound a packet holds; by its own header where the demuxer's count may be stale."""
        if self._format == "aac":
            header = bytes(memoryview(packet)[:7])
            if len(header) == 7 and header[0] == 0xFF and (header[2] >> 2 & 15) < len(AAC_RATES):
                return 1024 * ((header[6] & 3) + 1) / AAC_RATES[header[2] >> 2 & 15]
        if self._format == "mp3":
            header = bytes(memoryview(packet)[:4])
            if len(header) == 4 and header[0] == 0xFF and (seconds := _mpeg_frame_seconds(header)):
                return seconds
        seconds = float(packet.duration * packet.time_base) if packet.duration else 0.0
        if self._timestamped:
            return seconds
        rate = self._track.codec_context.sample_rate or 1
        return round(seconds * rate) / rate  # whole samples, which a coarse time base cuts off

    def _discarded_seconds(self, packet: Any) -> float:
        """Returns how much of a packet is the encoder's padding, which the decoder leaves out."""
        if not packet.has_sidedata("skip_samples"):
            return 0.0
        start, end = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
        return float((start + end) / (self._track.codec_context.sample_rate or 1))


def _steadied(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yields the same chunks, the first one's time the median of what the first few say of it: single
    timestamps are rounded (Matroska) or off by half a window (Vorbis)."""
    first: list[Chunk] = []
    starts: list[float] = []
    seconds = 0.0
    for chunk in chunks:
        first.append(chunk)
        if len(chunk.samples):
            starts.append(chunk.time - seconds)
            seconds += len(chunk.samples) / chunk.rate
        if seconds >= STEADYING_SECONDS or abs(starts[-1] - starts[0]) > TOLERANCE_SECONDS:
            break
    if starts and abs(starts[-1] - starts[0]) <= TOLERANCE_SECONDS:
        first[0] = replace(first[0], time=float(np.median(starts)))
    yield from first
    yield from chunks


def _container(stream: BinaryIO, name: str, suffix: str) -> Any:
    """Raises InvalidInput."""
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none", "max_size": WAV_PACKET_BYTES}
    reason = ""
    for format_name in (None, RAW_FORMATS.get(suffix.lower())):
        stream.seek(0)
        try:
            return av.open(SafeSeeks(stream), format=format_name, options=options, metadata_errors="replace")
        except _DECODING_ERRORS as error:
            reason = reason or line_of(getattr(error, "strerror", None) or error)
        if suffix.lower() not in RAW_FORMATS:
            break
    raise InvalidInput(f"{name} is not audio that can be decoded ({reason})")


def _mpeg_frame_seconds(header: bytes) -> float:
    """Returns the duration of a frame of MPEG audio by its header (ISO 11172-3, 13818-3); 0 if it is none."""
    version, layer, rate = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3
    if version == 1 or layer == 0 or rate == 3:
        return 0.0
    hertz = (44_100, 48_000, 32_000)[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
    samples = 384 if layer == 3 else 1_152 if layer == 2 or version == 3 else 576
    return samples / hertz
