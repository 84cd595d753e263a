"""Segments: the vectors, spans, speech regions and frame features of batches of recordings on disk.

A segment is a directory that is immutable once it has its name:

    vectors.npy   uint8 (N, D / 2) or int8 (N, D)
    spans.npy     (N,) of SPAN
    regions.npy   (R,) of REGION
    frames.npy    uint8 (F, H / 2) or int8 (F, H)
    checksums.npy uint32, CRC-32 of each block of the files above, one file after the other
    recordings.json  which recordings it has, see origins.py; not in segments of an older version
    manifest.json format version, encoder, selection unless it is the default, recording ids by ordinal, size
                  and SHA-256 of each file

Rows are in the order of recordings, then of streams, then of regions, which is that of time. How many regions
each stream of a recording has is in the catalogue, and in recordings.json. Vectors and frames are stored as
directions, as `packed` returns them. The catalogue has the SHA-256 of the manifest, so that no byte is
without a checksum: spans and regions are checked when a segment is opened, vectors and frames block by block
when they are first read, everything by `verify`. segment_writer.py writes.

Older formats are read as well. Format 3 has no checksums of blocks: its vectors and frames are checked by
`verify` only. Format 2 has a byte a number besides.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive import files
from wordspot.indexer.errors import FailedPrecondition, SegmentDamaged
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import DEFAULT_SELECTION, Selection
from wordspot.indexer.vectors.checked import BLOCK_BYTES, CheckedRows, block_checksums
from wordspot.indexer.vectors.mapped import MappedArray, map_array
from wordspot.indexer.vectors.stored import Packed

FORMAT = 4
READABLE = (2, 3, FORMAT)
TEMPORARY = "tmp-"
# In ticks, start from the region's start. The region is the one among whose rows the span lies.
SPAN = np.dtype([("start", "<u2"), ("length", "<u2")])
# recording: ordinal within the segment; start, stop: ticks from the recording's start; frame, span: the
# region's first rows in frames.npy, and in spans.npy and vectors.npy.
REGION = np.dtype(
    [("recording", "<u4"), ("start", "<u4"), ("stop", "<u4"), ("frame", "<u8"), ("span", "<u8")]
)
MAX_REGION_TICKS = int(np.iinfo(np.uint16).max)
MANIFEST = "manifest.json"
FILES = ("vectors.npy", "spans.npy", "regions.npy", "frames.npy")
CHECKSUMS = "checksums.npy"
# What NumPy raises for a file that is none of its own.
_MALFORMED = (ValueError, TypeError, KeyError, OverflowError, SyntaxError, tokenize.TokenError, EOFError)


@dataclass(frozen=True)
class SealedSegment:
    """What the catalogue stores of a segment.

    Attributes:
        name: of its directory.
        manifest_sha256: SHA-256 of its manifest, hexadecimal.
        recordings: ids, by ordinal.
        spans: number of spans, by ordinal of the recording.
        size: in bytes.
        layouts: as text, by ordinal of the recording; None where none is known.
    """

    name: str
    manifest_sha256: str
    recordings: tuple[str, ...]
    spans: tuple[int, ...]
    size: int
    layouts: tuple[str | None, ...] = ()


@dataclass(frozen=True, eq=False)
class SegmentReader:
    """An opened segment. All arrays are read-only memory maps without descriptors, which stay valid when the
    files are removed. Reading vectors and frames raises SegmentDamaged where they are damaged.

    Attributes:
        path: of its directory.
        encoder: that embedded it.
        recordings: ids, by ordinal.
        vectors: uint8 (N, D / 2) or int8 (N, D).
        spans: (N,) of SPAN.
        regions: (R,) of REGION.
        frames: uint8 (F, H / 2) or int8 (F, H).
        selection: of the archive.
    """

    path: Path
    encoder: EncoderInfo
    recordings: tuple[str, ...]
    vectors: Packed
    spans: NDArray[np.void]
    regions: NDArray[np.void]
    frames: Packed
    selection: Selection = DEFAULT_SELECTION

    @classmethod
    def open(
        cls, path: Path, manifest_sha256: str, on_damage: Callable[[str], None] = lambda problem: None
    ) -> SegmentReader:
        """Opens a segment and checks its manifest, the size of every file, its spans and regions.

        Args:
            path: of its directory.
            manifest_sha256: as the catalogue has it.
            on_damage: called with the problem when a block that is read later differs from its checksum;
                SegmentDamaged is raised thereafter.

        Raises:
            SegmentDamaged: if a file is missing or damaged.
            FailedPrecondition: if a newer version wrote it.
        """
        manifest = _manifest_of(path, manifest_sha256)
        entries = manifest["files"]
        for name in entries:
            _check_size(path, name, entries[name]["size"])
        for name in ("spans.npy", "regions.npy", CHECKSUMS):
            if name in entries:
                _check_content(path, name, entries[name]["sha256"])
        checksums: dict[str, NDArray[np.uint32]] = {}
        if CHECKSUMS in entries:
            checksums = _block_checksums(path, {name: entries[name]["size"] for name in FILES})
            _check_headers(path, checksums)
        mapped = {name: _mapped(path, name, entries[name]["rows"]) for name in FILES}
        rows = {
            name: CheckedRows(
                mapped[name],
                checksums.get(name, np.zeros(0, np.uint32)),
                partial(_report_block, path.name, name, on_damage),
            )
            for name in ("vectors.npy", "frames.npy")
        }
        return cls(
            path,
            _encoder(manifest["encoder"]),
            tuple(manifest["recordings"]),
            vectors=rows["vectors.npy"],
            spans=mapped["spans.npy"].array,
            regions=mapped["regions.npy"].array,
            frames=rows["frames.npy"],
            selection=Selection(**manifest.get("selection", {})),
        )

    def stamps(self) -> tuple[tuple[int, int, int], ...]:
        """Returns what changes when somebody writes to a file: inode, size and time; nothing where one is
        missing."""
        try:
            states = [(self.path / name).stat() for name in FILES]
        except OSError:
            return ()
        return tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)

    @property
    def name(self) -> str:
        """Name of its directory."""
        return self.path.name

    def extent(self, ordinal: int) -> tuple[slice, slice, slice]:
        """Returns the rows of spans (and vectors), of regions, and of frames of one recording."""
        return (
            slice(*map(int, self._span_bounds[ordinal : ordinal + 2])),
            slice(*map(int, self._region_bounds[ordinal : ordinal + 2])),
            slice(*map(int, self._frame_bounds[ordinal : ordinal + 2])),
        )

    @cached_property
    def _region_bounds(self) -> NDArray[np.intp]:
        ordinals = np.arange(len(self.recordings) + 1, dtype=np.uint32)
        return np.searchsorted(self.regions["recording"], ordinals)

    @cached_property
    def _span_bounds(self) -> NDArray[np.int64]:
        return self._rows_by_recording("span", len(self.spans))

    @cached_property
    def _frame_bounds(self) -> NDArray[np.int64]:
        return self._rows_by_recording("frame", len(self.frames))

    def _rows_by_recording(self, name: str, rows: int) -> NDArray[np.int64]:
        """Returns the first row (recordings + 1,) of each recording in a table that a field of regions refers
        to."""
        return np.append(self.regions[name].astype(np.int64), rows)[self._region_bounds]


def verify(path: Path, manifest_sha256: str) -> None:
    """Compares every byte of a segment with its checksums.

    Raises:
        SegmentDamaged: at the first file that differs.
        FailedPrecondition: if a newer version wrote it.
    """
    entries = _manifest_of(path, manifest_sha256)["files"]
    for name, entry in entries.items():
        _check_size(path, name, entry["size"])
        _check_content(path, name, entry["sha256"])


def _manifest_of(path: Path, sha256: str) -> dict[str, Any]:
    try:
        data = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise SegmentDamaged(f"segment {path.name} is missing or has no manifest") from None
    except OSError as error:
        raise SegmentDamaged(f"segment {path.name}: {MANIFEST} cannot be read: {error.strerror}") from error
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise SegmentDamaged(
            f"segment {path.name}: {MANIFEST} has SHA-256 {actual}; the catalogue expects {sha256}"
        )
    manifest: dict[str, Any] = json.loads(data)
    if manifest["format"] > FORMAT:
        raise FailedPrecondition(
            f"segment {path.name} must be of format {FORMAT} or older, got {manifest['format']}: "
            "a newer wordspot wrote it; install that"
        )
    if manifest["format"] not in READABLE:
        allowed = f"{', '.join(map(str, READABLE[:-1]))} and {FORMAT}"
        raise SegmentDamaged(
            f"segment {path.name} is of format {manifest['format']}; this version reads {allowed}: "
            "index it again"
        )
    return manifest


def _encoder(record: dict[str, Any]) -> EncoderInfo:
    """Returns the encoder of a manifest; in old manifests semantic dimensions have another name."""
    renamed = {"meaning": "semantic_dimensions"}
    return EncoderInfo(**{renamed.get(name, name): value for name, value in record.items()})


def _check_size(path: Path, name: str, expected: int) -> None:
    with _reading(path, name):
        size = (path / name).stat().st_size
    if size != expected:
        raise SegmentDamaged(f"segment {path.name}: {name} has {size} bytes; {expected} were written")


def _check_content(path: Path, name: str, expected: str) -> None:
    with _reading(path, name):
        actual = files.sha256_of(path / name)
    if actual != expected:
        raise SegmentDamaged(f"segment {path.name}: {name} has SHA-256 {actual}; {expected} was written")


@contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    """Raises SegmentDamaged where a file of the segment cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise SegmentDamaged(f"segment {path.name}: {name} is missing") from None
    except OSError as error:
        raise SegmentDamaged(f"segment {path.name}: {name} cannot be read: {error.strerror}") from error


def _check_headers(path: Path, checksums: dict[str, NDArray[np.uint32]]) -> None:
    """Checks the first block of each file, before its header is believed."""
    for name, expected in checksums.items():
        with _reading(path, name), (path / name).open("rb") as file:
            (actual,) = block_checksums(file.read(BLOCK_BYTES))
        if actual != expected[0]:
            raise SegmentDamaged(f"segment {path.name}: {name} differs from its checksums")


def _mapped(path: Path, name: str, rows: int) -> MappedArray:
    """Returns the file as a memory map. Raises SegmentDamaged if its header is not that of so many rows."""
    try:
        with _reading(path, name):
            mapped = map_array(path / name)
    except _MALFORMED as error:
        raise SegmentDamaged(f"segment {path.name}: the header of {name} is damaged") from error
    if not mapped.array.ndim or len(mapped.array) != rows:
        raise SegmentDamaged(f"segment {path.name}: the header of {name} is damaged")
    return mapped


def _block_checksums(path: Path, sizes: dict[str, int]) -> dict[str, NDArray[np.uint32]]:
    """Returns the checksums of each file's blocks, by the file's name; sizes in bytes."""
    try:
        with _reading(path, CHECKSUMS):
            checksums: NDArray[np.uint32] = np.load(path / CHECKSUMS, allow_pickle=False)
    except _MALFORMED as error:
        raise SegmentDamaged(f"segment {path.name}: {CHECKSUMS} cannot be read") from error
    stops = list(itertools.accumulate(-(-size // BLOCK_BYTES) for size in sizes.values()))
    return {name: checksums[start:stop] for name, start, stop in zip(sizes, [0, *stops], stops, strict=False)}


def _report_block(segment: str, name: str, on_damage: Callable[[str], None]) -> SegmentDamaged:
    problem = f"segment {segment}: {name} differs from its checksums"
    on_damage(problem)
    return SegmentDamaged(problem)
