"""A segment: the vectors, spans, speech regions and frame features of a batch of recordings on disk.

A directory that never changes once it bears its name:

    vectors.npy   int8 (N, D)
    spans.npy     (N,) of SPAN
    regions.npy   (R,) of REGION
    frames.npy    int8 (F, H)
    manifest.json format version, encoder, recording ids by ordinal, size and SHA-256 of each file

Rows lie in the order of recordings, then of regions, then of time. Vectors and frames are kept as
directions, as `quantised` makes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer import files
from wordspot.indexer.errors import DataLoss, InvalidInput
from wordspot.indexer.faults import reach
from wordspot.indexer.records import Embedded, EncoderInfo, Section
from wordspot.indexer.vectors.protocol import quantised

FORMAT = 2
TEMPORARY = "tmp-"
# In ticks, start from the region's start. Which region: that whose rows the span lies among.
SPAN = np.dtype([("start", "<u2"), ("length", "<u2")])
# recording: ordinal within the segment; start, stop: ticks from the recording's start; frame, span: the
# region's first rows in frames.npy, and in spans.npy and vectors.npy.
REGION = np.dtype(
    [("recording", "<u4"), ("start", "<u4"), ("stop", "<u4"), ("frame", "<u8"), ("span", "<u8")]
)
LONGEST_REGION = int(np.iinfo(np.uint16).max)
_DIRECTION = np.dtype("i1")
_MANIFEST = "manifest.json"
_FILES = ("vectors.npy", "spans.npy", "regions.npy", "frames.npy")
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class SealedSegment:
    """What the catalogue keeps of a segment. size in bytes; spans by ordinal of the recording."""

    name: str
    manifest_sha256: str
    recordings: tuple[str, ...]
    spans: tuple[int, ...]
    size: int


class SegmentWriter:
    """Streams recordings into a segment; memory does not grow with what is written.

    Use: `begin_recording`, any number of `append`, then `end_recording` or `rollback_recording`; at the
    end `seal` or `abort`. Raises Exhausted on a full disk, after which only `abort` is of use.

    directory: where segments live, made by the caller.
    """

    def __init__(self, directory: Path, encoder: EncoderInfo) -> None:
        self._directory = directory
        self._encoder = encoder
        self._name = uuid.uuid4().hex
        self._path = directory / f"{TEMPORARY}{self._name}"
        self._recordings: list[str] = []
        self._spans: list[int] = []
        self._columns: tuple[_Column, ...] = ()
        try:
            with files.storing("starting a segment"):
                self._path.mkdir()
                self._vectors = self._column("vectors.npy", _DIRECTION, encoder.dimension)
                self._span_table = self._column("spans.npy", SPAN)
                self._regions = self._column("regions.npy", REGION)
                self._frames = self._column("frames.npy", _DIRECTION, encoder.frame_dimension)
        except BaseException:
            self.abort()
            raise
        self._mark = self._rows()

    @property
    def recordings(self) -> int:
        """Recordings ended so far."""
        return len(self._recordings)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return sum(column.size for column in self._columns)

    def begin_recording(self) -> None:
        self._mark = self._rows()

    def append(self, section: Section, embedded: Embedded) -> None:
        """The next section of the recording begun.

        Raises ValueError where shapes do not fit the section or the encoder, where spans are not in the
        order of regions or a region is longer than LONGEST_REGION; InvalidInput where numbers are not finite.
        """
        vectors, frames = self._checked(section, embedded)
        ordinal = self.recordings
        regions = np.zeros(len(section.regions), dtype=REGION)
        regions["recording"] = ordinal
        regions["start"] = [region.start for region in section.regions]
        regions["stop"] = [region.stop for region in section.regions]
        regions["frame"] = self._frames.rows + np.cumsum([0, *map(len, embedded.frames)])[:-1]
        first_spans = np.searchsorted(section.spans[:, 0], np.arange(len(regions)))
        regions["span"] = self._span_table.rows + first_spans
        spans = np.zeros(len(section.spans), dtype=SPAN)
        spans["start"] = section.spans[:, 1]
        spans["length"] = section.spans[:, 2] - section.spans[:, 1]
        with files.storing("writing a segment"):
            self._vectors.append(vectors)
            self._frames.append(frames)
            self._regions.append(regions)
            self._span_table.append(spans)

    def copy(self, source: SegmentReader, ordinal: int) -> None:
        """All of one recording of another segment of the same encoder, begun and ended."""
        if source.encoder != self._encoder:
            raise ValueError(f"segment {source.name} is of encoder {source.encoder}, not {self._encoder}")
        self.begin_recording()
        rows, regions, frames = source.extent(ordinal)
        moved_regions = source.regions[regions].copy()
        moved_regions["recording"] = self.recordings
        for name, shift in (
            ("frame", self._frames.rows - frames.start),
            ("span", self._span_table.rows - rows.start),
        ):
            moved_regions[name] = moved_regions[name].astype(np.int64) + shift
        with files.storing("writing a segment"):
            for part in _parts(rows):
                self._span_table.append(source.spans[part])
                self._vectors.append(source.vectors[part])
            for part in _parts(frames):
                self._frames.append(source.frames[part])
            self._regions.append(moved_regions)
        self.end_recording(source.recordings[ordinal])

    def end_recording(self, recording: str) -> int:
        """Keeps what was appended since `begin_recording` under this id. Returns its number of spans."""
        spans = self._span_table.rows - self._mark[_FILES.index("spans.npy")]
        self._recordings.append(recording)
        self._spans.append(spans)
        self._mark = self._rows()
        with files.storing("writing a segment"):
            reach("recording-written")
        return spans

    def rollback_recording(self) -> None:
        """Forgets what was appended since `begin_recording`."""
        with files.storing("writing a segment"):
            for column, rows in zip(self._columns, self._mark, strict=True):
                column.truncate(rows)

    def seal(self) -> SealedSegment:
        """Makes the segment durable under its name: files synced, directory renamed, parent synced."""
        with files.storing("sealing a segment"):
            reach("segment-written")
            for column in self._columns:
                column.finish()
            manifest = json.dumps(self._manifest(), indent=1).encode()
            files.write_durably(self._path / _MANIFEST, manifest)
            reach("segment-synced")
            files.replace_durably(self._path, self._directory / self._name)
            reach("segment-renamed")
        return SealedSegment(
            name=self._name,
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            recordings=tuple(self._recordings),
            spans=tuple(self._spans),
            size=self.size + len(manifest),
        )

    def abort(self) -> None:
        """Removes what was written, whatever state it is in."""
        for column in self._columns:
            column.abandon()
        files.remove(self._path)
        files.remove(self._directory / self._name)

    def _column(self, name: str, dtype: np.dtype[Any], *width: int) -> _Column:
        column = _Column(self._path / name, dtype, width)
        self._columns = (*self._columns, column)
        return column

    def _rows(self) -> tuple[int, ...]:
        return tuple(column.rows for column in self._columns)

    def _checked(self, section: Section, embedded: Embedded) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Vectors (N, D) and frames (F, H) of the section as directions."""
        expected = (len(section.spans), self._encoder.dimension)
        if embedded.vectors.shape != expected:
            raise ValueError(f"vectors of shape {embedded.vectors.shape}; the section needs {expected}")
        step, width = self._encoder.ticks_per_frame, self._encoder.frame_dimension
        shapes = [(-(-region.ticks // step), width) for region in section.regions]
        if [frames.shape for frames in embedded.frames] != shapes:
            raise ValueError(
                f"frames of shapes {[frames.shape for frames in embedded.frames]}; the section needs {shapes}"
            )
        if (np.diff(section.spans[:, 0]) < 0).any():
            raise ValueError("spans are not in the order of their regions")
        longest = max((region.ticks for region in section.regions), default=0)
        if longest > LONGEST_REGION:
            raise ValueError(f"a region of {longest} ticks; at most {LONGEST_REGION} are allowed")
        frames = np.concatenate([np.zeros((0, width), dtype=np.float32), *embedded.frames])
        if not (np.isfinite(embedded.vectors).all() and np.isfinite(frames).all()):
            raise InvalidInput(f"encoder {self._encoder.name!r} yields numbers that are not finite")
        return quantised(embedded.vectors), quantised(frames)

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "encoder": dataclasses.asdict(self._encoder),
            "recordings": self._recordings,
            "files": {
                name: {
                    "rows": column.rows,
                    "size": column.size,
                    "sha256": files.sha256_of(self._path / name),
                }
                for name, column in zip(_FILES, self._columns, strict=True)
            },
        }


@dataclass(frozen=True, eq=False)
class SegmentReader:
    """An opened segment. All arrays are read-only memory maps and outlive the removal of the files."""

    path: Path
    encoder: EncoderInfo
    recordings: tuple[str, ...]
    vectors: NDArray[np.int8]
    spans: NDArray[np.void]
    regions: NDArray[np.void]
    frames: NDArray[np.int8]

    @classmethod
    def open(cls, path: Path, manifest_sha256: str) -> SegmentReader:
        """Checks the manifest's checksum and the size of every file; `verify` checks the rest.

        Raises DataLoss where something is missing or of another size.
        """
        manifest = _manifest_of(path, manifest_sha256)
        for name in _FILES:
            size, expected = _size_of(path / name), manifest["files"][name]["size"]
            if size != expected:
                raise DataLoss(f"segment file {path / name} has {size} bytes; {expected} were written")
        arrays = [_mapped(path / name) for name in _FILES]
        return cls(path, EncoderInfo(**manifest["encoder"]), tuple(manifest["recordings"]), *arrays)

    @property
    def name(self) -> str:
        return self.path.name

    def extent(self, ordinal: int) -> tuple[slice, slice, slice]:
        """The rows of spans (and vectors), regions, and frames of one recording."""
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
        """(recordings + 1,): where the rows of each begin in a table of so many that regions point into."""
        return np.append(self.regions[name].astype(np.int64), rows)[self._region_bounds]


def verify(path: Path, manifest_sha256: str) -> None:
    """Reads every byte of a segment. Raises DataLoss at the first file that is not what was written."""
    manifest = _manifest_of(path, manifest_sha256)
    for name in _FILES:
        _size_of(path / name)
        found, expected = files.sha256_of(path / name), manifest["files"][name]["sha256"]
        if found != expected:
            raise DataLoss(f"segment file {path / name} has SHA-256 {found}; {expected} was written")


class _Column:
    """A .npy file that grows by rows; its header is completed by `finish`."""

    def __init__(self, path: Path, dtype: np.dtype[Any], width: tuple[int, ...]) -> None:
        self.rows = 0
        self._dtype = dtype
        self._width = width
        self._row_size = dtype.itemsize * int(np.prod(width, dtype=np.int64))
        self._file = path.open("w+b")
        self._write_header()
        self._header_size = self._file.tell()

    @property
    def size(self) -> int:
        return self._header_size + self.rows * self._row_size

    def append(self, rows: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).tobytes())
        self.rows += len(rows)

    def truncate(self, rows: int) -> None:
        self.rows = rows
        self._file.flush()
        self._file.truncate(self.size)
        self._file.seek(self.size)

    def finish(self) -> None:
        self._file.seek(0)
        self._write_header()
        assert self._file.tell() == self._header_size
        files.sync_file(self._file)
        self._file.close()

    def abandon(self) -> None:
        # Closing flushes, which fails again on the full disk that led here; the file is closed all the same.
        with contextlib.suppress(OSError):
            self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header so that it keeps its length whatever the number of rows.
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.rows, *self._width),
            },
        )


def _manifest_of(path: Path, sha256: str) -> dict[str, Any]:
    try:
        data = (path / _MANIFEST).read_bytes()
    except FileNotFoundError:
        raise DataLoss(f"segment {path} is missing or has no manifest") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataLoss(f"manifest of segment {path} has SHA-256 {found}; the catalogue expects {sha256}")
    manifest: dict[str, Any] = json.loads(data)
    if manifest["format"] != FORMAT:
        raise DataLoss(
            f"segment {path} is of format {manifest['format']}; this version reads {FORMAT}: index it again"
        )
    return manifest


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise DataLoss(f"segment file {path} is missing") from None


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _parts(rows: slice) -> Iterator[slice]:
    for first in range(rows.start, rows.stop, _ROWS_AT_ONCE):
        yield slice(first, min(first + _ROWS_AT_ONCE, rows.stop))
