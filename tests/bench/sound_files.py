"""Sound files of every container and codec that Debian's ffmpeg writes; damaged, joined, misdeclared ones.

All hold the same speech, so that a word of it can be looked for in each by correlation.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

RATE = 16_000
SAMPLE = Path(__file__).parents[2] / "deploy/demo/sample/recordings"
ORIGINAL_SECONDS = 45
PICTURE = ["-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=45"]

ZERO_SUFFIXES = (".mp4", ".m4a", ".mov", ".3gp", ".mkv", ".webm")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kind:
    """A file to make: name, with the ending by which ffmpeg knows the container; options of ffmpeg after the
    speech as its input; options before that. picture: a second input."""

    name: str
    options: str = ""
    before: str = ""
    picture: bool = False


ZERO_SUFFIXES = (".mp4", ".m4a", ".mov", ".3gp", ".mkv", ".webm")  # whose time 0 is where a player begins
WAV_CODECS = ["u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw"]
KINDS = (
    *(Kind(f"pcm-{codec}.wav", f"-c:a pcm_{codec}") for codec in WAV_CODECS),
    Kind("adpcm-ms.wav", "-c:a adpcm_ms"),
    Kind("adpcm-ima.wav", "-c:a adpcm_ima_wav"),
    Kind("g722.wav", "-c:a g722 -ar 16000"),
    Kind("g726.wav", "-c:a g726 -ar 8000"),
    Kind("gsm.wav", "-c:a libgsm_ms -ar 8000"),
    Kind("mp3.wav", "-c:a libmp3lame"),
    Kind("rf64.wav", "-rf64 always"),
    Kind("wave64.w64"),
    Kind("pcm.aiff"),
    Kind("pcm.au"),
    Kind("mulaw.au", "-c:a pcm_mulaw"),
    Kind("pcm.caf"),
    Kind("alac.caf", "-c:a alac"),
    Kind("pcm.voc"),
    Kind("pcm.sox"),
    Kind("plain.flac"),
    Kind("flac.ogg", "-c:a flac"),
    Kind("vorbis.ogg", "-c:a libvorbis"),
    Kind("opus.opus"),
    Kind("speex.spx", "-c:a libspeex -ar 16000"),
    Kind("cbr.mp3"),
    Kind("vbr-without-xing.mp3", "-q:a 6 -write_xing 0"),
    Kind("layer2.mp2"),
    Kind("adts.aac"),
    Kind("dolby.ac3"),
    Kind("dolby.eac3"),
    Kind("coherent.dts", "-strict -2 -ar 48000 -ac 2"),
    Kind("lossless.thd", "-strict -2 -ar 48000 -ac 2"),
    Kind("lossless.mlp", "-strict -2 -ar 48000 -ac 2"),
    Kind("true.tta"),
    Kind("pack.wv"),
    Kind("raw.gsm", "-c:a libgsm -ar 8000"),
    Kind("raw.g722", "-ar 16000"),
    Kind("raw.sbc"),
    Kind("aac.m4a"),
    Kind("alac.m4a", "-c:a alac"),
    Kind("empty-edit.m4a", before="-itsoffset 3"),
    Kind("fragmented.mp4", "-movflags frag_keyframe+empty_moov"),
    Kind("late.mp4", "-c:v mpeg4 -c:a aac", "-itsoffset 2", picture=True),
    Kind("pcm.mov", "-c:a pcm_s16le"),
    Kind("phone.3gp", "-c:a aac"),
    *(
        Kind(f"{c}.mkv", f"-c:a {c}")
        for c in ("aac", "libvorbis", "libopus", "libmp3lame", "ac3", "flac", "pcm_s16le")
    ),
    Kind("late.mkv", "-c:v mpeg4 -c:a aac", "-itsoffset 2", picture=True),
    Kind("opus.webm", "-c:a libopus"),
    Kind("vorbis.webm", "-c:a libvorbis"),
    *(
        Kind(f"{codec}.avi", f"-c:v mpeg4 -c:a {codec}", picture=True)
        for codec in ("libmp3lame", "pcm_s16le", "ac3")
    ),
    *(Kind(f"{codec}.ts", f"-c:a {codec}") for codec in ("aac", "mp2", "ac3", "libopus")),
    Kind("late.ts", "-c:v mpeg2video -c:a mp2", "-itsoffset 2", picture=True),
    Kind("blu-ray.m2ts", "-c:a ac3"),
    Kind("program.mpg", "-c:v mpeg2video -c:a mp2", picture=True),
    Kind("sound.mpg", "-c:a mp2"),
    Kind("dvd.vob", "-c:v mpeg2video -c:a ac3", picture=True),
    Kind("aac.flv", "-c:a aac"),
    Kind("mp3.flv", "-c:a libmp3lame"),
    Kind("windows.wma", "-c:a wmav2"),
    Kind("windows1.wma", "-c:a wmav1"),
    Kind("windows.wmv", "-c:v wmv2 -c:a wmav2", picture=True),
    Kind("real.rm", "-c:a ac3"),
    Kind("pcm.nut", "-c:a pcm_s16le"),
    Kind("broadcast.mxf", "-c:v mpeg2video -c:a pcm_s16le -ar 48000", picture=True),
    Kind("television.wtv", "-c:v mpeg2video -c:a mp2", picture=True),
)


def has_ffmpeg() -> bool:
    return shutil.which("ffmpeg") is not None


def original() -> Floats:
    """Speech (n,) at 16 kHz: recordings of the sample archive, one after another."""
    pieces: list[Floats] = []
    for path in sorted(SAMPLE.glob("*.flac")):
        sound, rate = soundfile.read(path, dtype="float32")
        mono = sound if sound.ndim == 1 else sound.mean(axis=1)
        pieces.append(resample_poly(mono, RATE, rate).astype(np.float32))
        if sum(map(len, pieces)) >= ORIGINAL_SECONDS * RATE:
            break
    return np.concatenate(pieces)[: ORIGINAL_SECONDS * RATE]


def ffmpeg(*arguments: object, data: bytes | None = None) -> bytes:
    """Raises CalledProcessError with what ffmpeg printed."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", *map(str, arguments)],
        check=True,
        capture_output=True,
        input=data,
    )
    return done.stdout


def make(kind: Kind, speech: Path, folder: Path) -> Path:
    """The file of this kind, of the speech in a WAV file."""
    path = folder / kind.name
    picture = PICTURE if kind.picture else []
    rate = (
        [] if "-ar" in kind.options else ["-ar", "48000" if "opus" in kind.options + kind.name else "44100"]
    )
    ffmpeg(*picture, *kind.before.split(), "-i", speech, *rate, *kind.options.split(), path)
    return path


def damaged(path: Path, places: int = 2, size: int = 64) -> Path:
    """A copy with random bytes at some places."""
    data, chance = bytearray(path.read_bytes()), random.Random(path.name)
    for place in range(1, places + 1):
        at = len(data) * place // (places + 1)
        data[at : at + size] = chance.randbytes(size)
    return _beside(path, "damaged", bytes(data))


def joined(path: Path, times: int = 3) -> Path:
    """Several copies end to end."""
    return _beside(path, "joined", path.read_bytes() * times)


def with_stale_length(path: Path, change: Callable[[bytes], bytes]) -> Path:
    return _beside(path, "stale", change(path.read_bytes()))


def presented(path: Path, track: int = 1) -> Floats:
    """The sound of a file (n,) at 16 kHz as ffmpeg's own program plays it, silence where timestamps have a
    gap. Time 0 is the container's where it has one, otherwise where its first track begins; of a track alone
    the program would take its own beginning."""
    placed = path.suffix in ZERO_SUFFIXES or path.name.startswith("late")
    zero = 0.0 if path.suffix in ZERO_SUFFIXES or not placed else _start_time(path)
    steady = f"aresample={RATE},aresample=async=1:min_hard_comp=0.02:first_pts={round(zero * RATE)}"
    heard = ["-map", f"0:a:{track - 1}", "-af", steady, "-ac", 1]
    data = ffmpeg(*["-copyts"] * placed, "-i", path, *heard, "-f", "f32le", "-")
    return np.frombuffer(data, np.float32)


def _start_time(path: Path) -> float:
    """Of the first track of a container, in seconds; 0 where it does not say."""
    asked = ["ffprobe", "-v", "error", "-show_entries", "format=start_time", "-of", "csv=p=0", str(path)]
    answer = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    return float(answer) if answer not in ("", "N/A") else 0.0


def decoded_seconds(path: Path, track: int = 1) -> float:
    """Of the sound that ffmpeg's own program decodes, whatever its timestamps."""
    data = ffmpeg("-i", path, "-map", f"0:a:{track - 1}", "-ac", 1, "-ar", RATE, "-f", "s16le", "-")
    return len(data) / 2 / RATE


def place_of(word: Floats, sound: Floats) -> tuple[float, float]:
    """Seconds at which a word lies in a sound, and its correlation there."""
    if len(sound) <= len(word):
        return 0.0, 0.0
    size = 1 << (len(sound) + len(word)).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(word, size)), size)
    energy = np.concatenate([[0.0], np.square(sound, dtype=np.float64).cumsum()])
    window = np.sqrt(np.maximum(energy[len(word) :] - energy[: -len(word)], 1e-9))
    correlation = product[: len(window)] / (window * np.linalg.norm(word))
    best = int(correlation.argmax())
    return best / RATE, float(correlation[best])


def _beside(path: Path, prefix: str, data: bytes) -> Path:
    copy = path.with_name(f"{prefix}-{path.name}")
    copy.write_bytes(data)
    return copy
