"""Every container and codec: whether what is indexed, what a player shows and what a clip holds agree.

    python -m tests.bench.containers [FOLDER]

Makes a file of each kind with ffmpeg, and damaged, joined and misdeclared ones; with FOLDER also takes the
files in it, which hold the speech of FOLDER/lecture.flac or less. A row each: seconds that are indexed, that
ffmpeg decodes, and that it presents; where a word lies by the index and as ffmpeg presents it, and how well
the clip from there correlates with the original. What the index warns of stands below.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from tests.bench import sound_files
from tests.bench.sound_files import KINDS, RATE, Floats
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.audio import read_blocks, read_stretch

WORD_SECONDS = 0.8
AGREEMENT_SECONDS = 0.05
DAMAGEABLE = (
    "aac.m4a",
    "adts.aac",
    "plain.flac",
    "aac.ts",
    "mp2.ts",
    "cbr.mp3",
    "vorbis.ogg",
    "opus.webm",
    "aac.mkv",
)
JOINABLE = ("cbr.mp3", "vorbis.ogg", "opus.opus", "adts.aac", "plain.flac", "mp2.ts", "dolby.ac3")


@dataclass(frozen=True)
class Row:
    """In seconds, but for the correlations. shown: where ffmpeg presents the word; None where it cannot tell.
    clip: the same in the clip of the hit, with 50 ms to either side."""

    name: str
    indexed: float
    decoded: float
    presented: float
    hit: float
    shown: float
    correlation: float
    clip: float
    warnings: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        return abs(self.hit - self.shown) <= AGREEMENT_SECONDS and self.clip > 0.8 * self.correlation


def measured(path: Path, word: Floats) -> Row:
    """Raises InvalidInput."""
    warnings: list[str] = []
    sound = np.concatenate(list(read_blocks(path, max_seconds=600.0, warnings=warnings)))
    track = next((int(w.split()[2]) for w in warnings if w.startswith("audio track")), 1)
    reference = sound_files.presented(path, track)
    # Of files joined end to end ffmpeg's program may present the first alone.
    hit, correlation = sound_files.place_of(word, sound[: len(reference) + RATE])
    # The same occurrence, should the speech be there several times.
    first = max(hit - 2.0, 0.0)
    near = reference[round(first * RATE) : round((hit + 3.0) * RATE)]
    shown, _ = sound_files.place_of(word, near)
    lead = min(AGREEMENT_SECONDS, hit)
    clip = read_stretch(path, hit - lead, hit + WORD_SECONDS + AGREEMENT_SECONDS, max_seconds=10.0)
    return Row(
        path.name,
        len(sound) / RATE,
        sound_files.decoded_seconds(path, track),
        len(reference) / RATE,
        hit,
        first + shown,
        correlation,
        sound_files.place_of(word, np.pad(clip, (0, max(len(word) + 1 - len(clip), 0))))[1],
        tuple(warnings),
    )


def word_of(speech: Floats, around: float = 36.0) -> Floats:
    """The loudest stretch of WORD_SECONDS near that second."""
    size = round(WORD_SECONDS * RATE)
    starts = np.arange(round((around - 3) * RATE), round((around + 3) * RATE), RATE // 10)
    loudest = max(starts, key=lambda start: float(np.square(speech[start : start + size]).sum()))
    return speech[loudest : loudest + size]


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        speech = sound_files.original()
        soundfile.write(folder / "speech.wav", speech, RATE, subtype="PCM_16")
        rows = 0
        agreeing = 0
        print(_line("file", "indexed", "decoded", "shown", "hit", "player", "apart", "corr", "clip"))
        given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        spoken = word_of(speech)
        jobs: Iterator[tuple[Path, Floats]] = ((path, spoken) for path in files(folder))
        if given is not None:
            lecture, _ = soundfile.read(given / "lecture.flac", dtype="float32")
            words = word_of(lecture, 41.0), word_of(lecture, 8.0)
            jobs = chain([(path, words["rate_change" in path.name]) for path in cases(given)], jobs)
        for path, word in jobs:
            rows += 1
            try:
                row = measured(path, word)
            except (InvalidInput, ValueError) as error:
                print(f"{path.name:32} {error}")
                continue
            agreeing += row.agrees
            print_row(row)
        print(f"{agreeing} of {rows} files agree within {AGREEMENT_SECONDS * 1000:.0f} ms and in their clips")


def files(folder: Path) -> Iterator[Path]:
    """Made one by one as they are asked for."""
    speech = folder / "speech.wav"
    for kind in KINDS:
        yield sound_files.make(kind, speech, folder)
    for name in DAMAGEABLE:
        yield sound_files.damaged(folder / name)
    for name in JOINABLE:
        yield sound_files.joined(folder / name)


def cases(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.iterdir()) if path.suffix not in (".md", ".tsv") and path.stem != "q"
    ]


def print_row(row: Row) -> None:
    apart = f"{1000 * (row.hit - row.shown):+.0f} ms"
    times = [f"{seconds:.3f}" for seconds in (row.indexed, row.decoded, row.presented, row.hit, row.shown)]
    print(
        _line(row.name, *times, apart, f"{row.correlation:.3f}", f"{row.clip:.3f}"),
        "" if row.agrees else "DIFFERS",
    )
    for warning in row.warnings:
        print(f"    {warning}")


def _line(name: str, *columns: str) -> str:
    return f"{name:32}" + "".join(f"{column:>9}" for column in columns)


if __name__ == "__main__":
    main()
