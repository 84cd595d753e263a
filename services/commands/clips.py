"""The sound of hits as WAV files, and a table of what was saved."""

from __future__ import annotations

import errno
import os
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.indexer.records import Hit
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.errors import ServiceError
from wordspot.services.interchange import tables
from wordspot.services.interchange.names import safe_stem, shortened
from wordspot.services.limits import MAX_CLIP_SECONDS, MAX_FILE_NAME_BYTES

TABLE = "clips.csv"
MAX_PADDING_S = 20.0
COLUMNS = (
    *("file", "clip_start", "clip_end", "query", "recording", "path", "start", "end"),
    *("score", "p_correct", "detected", "problem"),
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class HitClip:
    """A stretch of a recording with the hits in it, which overlap.

    rank: of the best hit, from 1. start, end: in seconds. hits: best first.
    """

    rank: int
    start: float
    end: float
    hits: tuple[Hit, ...]


def check_padding(padding: float) -> None:
    """Raises InvalidInput."""
    if not 0 <= padding <= MAX_PADDING_S:  # false for NaN
        raise InvalidInput(f"--padding must be between 0 and {MAX_PADDING_S:g} s, got {padding:g}")


def save_clips(
    client: Client,
    archive: str,
    hits: Iterable[Hit],
    folder: Path,
    *,
    query: str = "",
    padding: float = 0.0,
) -> int:
    """Writes the sound of hits into the folder as WAV files, at the original rate, and a table of them.

    Hits that overlap share a file. One whose sound cannot be had is named.

    Args:
        client: of the archive.
        archive: its name.
        hits: of one query, best first.
        folder: is made where it is not there.
        query: for the table.
        padding: seconds before and after each hit, as far as the recording goes.

    Returns:
        How many clips could not be saved.

    Raises:
        InvalidInput: nothing can be written to the folder.
        ServiceError: the service cannot be reached.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot write clips to {folder}: {error.strerror}") from error
    max_bytes, failed = _max_name_bytes(folder), 0
    rows: list[Sequence[str | float | None]] = []
    for clip in grouped(hits, padding):
        path, best = folder / clip_name(clip, max_bytes), clip.hits[0]
        sound = partial(
            client.clip,
            best.recording,
            clip.start,
            clip.end,
            archive,
            original_rate=True,
            channel=best.channel,
            track=best.track,
        )
        if problem := _save(sound, path):
            failed += 1
            place = f"{best.path} {best.start:.2f}-{best.end:.2f}"
            console.warn(f"wordspot: no clip of hit {clip.rank}, {place}: {problem}")
        rows += _rows(clip, query, path, problem)
    if problem := _save(lambda: tables.table([COLUMNS, *rows], tables.CSV), folder / TABLE):
        raise InvalidInput(f"cannot write clips to {folder}: {problem}")
    return failed


def grouped(hits: Iterable[Hit], padding: float = 0.0) -> list[HitClip]:
    """Returns the clips of hits, best first; hits that overlap share one, as long as a clip may last."""
    ranked = sorted(enumerate(hits, 1), key=lambda each: (_sound(each[1]), each[1].start, each[1].end))
    groups: list[list[tuple[int, Hit]]] = []
    start = end = 0.0
    for rank, hit in ranked:
        same = groups and _sound(groups[-1][0][1]) == _sound(hit)
        if same and hit.start < end and max(end, hit.end) - start + 2 * padding <= MAX_CLIP_SECONDS:
            groups[-1].append((rank, hit))
            end = max(end, hit.end)
        else:
            groups.append([(rank, hit)])
            start, end = hit.start, hit.end
    return sorted((_clip(group, padding) for group in groups), key=lambda clip: clip.rank)


def _sound(hit: Hit) -> tuple[str, int, int]:
    """Returns what a hit's clip is taken from: recording, track and channel."""
    return hit.recording, hit.track, hit.channel


def clip_name(clip: HitClip, max_bytes: int = MAX_FILE_NAME_BYTES) -> str:
    """Returns the name of a clip: rank, recording, start, end and score of its best hit.

    The recording's name is made safe, and shortened where it is too long. No two of an answer are the same.
    """
    best = clip.hits[0]
    start = f"{clip.rank:03}_"
    end = f"_{clip.start:.2f}-{clip.end:.2f}_score{best.score:.2f}.wav"
    return f"{start}{shortened(safe_stem(best.path), max_bytes - len(start) - len(end))}{end}"


def _clip(group: Sequence[tuple[int, Hit]], padding: float) -> HitClip:
    """group: hits with their ranks, in order of time."""
    ranked = sorted(group, key=lambda each: each[0])
    start = max(min(hit.start for _, hit in group) - padding, 0.0)
    end = max(hit.end for _, hit in group) + padding
    # What is padded beyond what a clip may last stays out.
    return HitClip(ranked[0][0], start, min(end, start + MAX_CLIP_SECONDS), tuple(hit for _, hit in ranked))


def _rows(clip: HitClip, query: str, path: Path, problem: str) -> Iterator[Sequence[str | float | None]]:
    """Yields a row of the table for each hit. path: of the clip, which was saved if there is no problem."""
    end = None if problem else clip.start + _seconds(path)
    for hit in clip.hits:
        yield (
            *("" if problem else path.name, round(clip.start, 3), None if end is None else round(end, 3)),
            *(query, hit.recording, hit.path, round(hit.start, 3), round(hit.end, 3)),
            *(hit.score, hit.p_correct, "yes" if hit.detected else "no", problem),
        )


def _seconds(path: Path) -> float:
    """Returns how long a WAV file is, which the end of the recording may have cut short."""
    with wave.open(str(path)) as file:
        frames, rate = file.getnframes(), file.getframerate()
    return float(frames / rate)


def _save(sound: Callable[[], bytes], path: Path) -> str:
    """Writes a sound to a file. Returns why it could not be had or written, "" if it was.

    Raises:
        InvalidInput: no other file could be written there either.
        ServiceError: the service cannot be reached.
    """
    try:
        data = sound()
    except ServiceError:
        raise
    except ArchiveError as error:
        return str(error)
    try:
        path.write_bytes(data)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise InvalidInput(f"cannot write clips to {path.parent}: {error.strerror}") from error
        return f"{path.name} cannot be written: {error.strerror}"
    return ""


def _max_name_bytes(folder: Path) -> int:
    with suppress(OSError, ValueError):
        return min(os.pathconf(folder, "PC_NAME_MAX"), MAX_FILE_NAME_BYTES)
    return MAX_FILE_NAME_BYTES
