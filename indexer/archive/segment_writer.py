"""Writing segments: recordings are streamed into column files, which become durable together.

The format is in segments.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive import files, origins, permissions
from wordspot.indexer.archive.origins import Origin
from wordspot.indexer.archive.segments import (
    CHECKSUMS,
    FILES,
    FORMAT,
    MANIFEST,
    MAX_REGION_TICKS,
    REGION,
    SPAN,
    TEMPORARY,
    SealedSegment,
    SegmentReader,
)
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.faults import reach
from wordspot.indexer.records import EncoderInfo, Section, SectionEmbeddings
from wordspot.indexer.streams import Layout, Selection
from wordspot.indexer.vectors.checked import BLOCK_BYTES, block_checksums
from wordspot.indexer.vectors.protocol import packed

_ROWS_PER_BLOCK = 65_536
_BLOCKS_PER_READ = 32


class SegmentWriter:
    """Streams recordings into a segment in bounded memory.

    Call `begin_recording`, any number of `append`, then `end_recording` or `rollback_recording`; at the end
    `seal` or `abort`. All raise Exhausted on a full disk and StorageFailed
    on one that fails, after which only `abort` may be called.
    """

    def __init__(self, directory: Path, encoder: EncoderInfo, selection: Selection | None = None) -> None:
        """Begins a segment of the encoder in a directory of segments, which must exist.

        selection: of the archive; None for the default.
        """
        self._directory = directory
        self._encoder = encoder
        self._selection = selection or Selection()
        self._name = uuid.uuid4().hex
        self._path = directory / f"{TEMPORARY}{self._name}"
        self._recordings: list[str] = []
        self._origins: list[Origin | None] = []
        self._spans: list[int] = []
        self._layouts: list[str | None] = []
        self._stream_regions: list[int] = []
        self._columns: tuple[_ColumnFile, ...] = ()
        try:
            with files.reporting_disk_errors("starting a segment"):
                self._path.mkdir(permissions.FOLDER_MODE)
                self._vectors = self._direction_column("vectors.npy", encoder.dimension)
                self._span_table = self._column("spans.npy", SPAN)
                self._regions = self._column("regions.npy", REGION)
                self._frames = self._direction_column("frames.npy", encoder.frame_dimension)
        except BaseException:
            self.abort()
            raise
        self._rollback_rows = self._rows()

    @property
    def recordings(self) -> int:
        """Complete recordings so far."""
        return len(self._recordings)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return sum(column.size for column in self._columns)

    def begin_recording(self) -> None:
        """Begins a recording, whose sections follow."""
        self._rollback_rows = self._rows()
        self._stream_regions = []

    def append(self, section: Section, embeddings: SectionEmbeddings, stream: int = 0) -> None:
        """Appends the next section of the current recording.

        Args:
            section: with what was found.
            embeddings: of it.
            stream: of the recording's layout, by ordinal; one after the other.

        Raises:
            ValueError: if shapes do not fit the section or the encoder, if spans are not in the order of
                regions, if a region is longer than MAX_REGION_TICKS, or if the stream has been completed.
            InvalidInput: if numbers are not finite.
        """
        if stream < len(self._stream_regions) - 1:
            raise ValueError(
                f"streams must follow each other, got {stream} after {len(self._stream_regions) - 1}"
            )
        self._stream_regions += [0] * (stream + 1 - len(self._stream_regions))
        self._stream_regions[stream] += len(section.regions)
        vectors, frames = self._checked(section, embeddings)
        ordinal = self.recordings
        regions = np.zeros(len(section.regions), dtype=REGION)
        regions["recording"] = ordinal
        regions["start"] = [region.start for region in section.regions]
        regions["stop"] = [region.stop for region in section.regions]
        regions["frame"] = self._frames.rows + np.cumsum([0, *map(len, embeddings.frames)])[:-1]
        first_spans = np.searchsorted(section.spans[:, 0], np.arange(len(regions)))
        regions["span"] = self._span_table.rows + first_spans
        spans = np.zeros(len(section.spans), dtype=SPAN)
        spans["start"] = section.spans[:, 1]
        spans["length"] = section.spans[:, 2] - section.spans[:, 1]
        with files.reporting_disk_errors("writing a segment"):
            self._vectors.append(vectors)
            self._frames.append(frames)
            self._regions.append(regions)
            self._span_table.append(spans)

    def copy(
        self,
        source: SegmentReader,
        ordinal: int,
        origin: Origin | None = None,
        layout: str | None = None,
    ) -> None:
        """Copies one whole recording of another segment of the same encoder.

        origin: of the recording. layout: of it, as text.
        """
        if source.encoder != self._encoder:
            raise ValueError(
                f"segment {source.name} must be of encoder {self._encoder}, got {source.encoder}"
            )
        self.begin_recording()
        rows, regions, frames = source.extent(ordinal)
        moved_regions = source.regions[regions].copy()
        moved_regions["recording"] = self.recordings
        for name, shift in (
            ("frame", self._frames.rows - frames.start),
            ("span", self._span_table.rows - rows.start),
        ):
            moved_regions[name] = moved_regions[name].astype(np.int64) + shift
        with files.reporting_disk_errors("writing a segment"):
            for part in _parts(rows):
                self._span_table.append(source.spans[part])
                self._vectors.append(_repacked(source.vectors[part]))
            for part in _parts(frames):
                self._frames.append(_repacked(source.frames[part]))
            self._regions.append(moved_regions)
        self._end_recording(source.recordings[ordinal], origin, layout)

    def end_recording(
        self, recording: str, origin: Origin | None = None, layout: Layout | None = None
    ) -> int:
        """Completes the recording under this id and returns its number of spans.

        origin: of the recording. layout: of it; streams without regions are left out.
        """
        text = None
        if layout is not None:
            missing = len(layout.streams) - len(self._stream_regions)
            text = layout.holding([*self._stream_regions, *[0] * missing]).encoded()
        return self._end_recording(recording, origin, text)

    def _end_recording(self, recording: str, origin: Origin | None, layout: str | None) -> int:
        spans = self._span_table.rows - self._rollback_rows[FILES.index("spans.npy")]
        self._recordings.append(recording)
        self._origins.append(origin and dataclasses.replace(origin, layout=layout))
        self._spans.append(spans)
        self._layouts.append(layout)
        self._rollback_rows = self._rows()
        with files.reporting_disk_errors("writing a segment"):
            reach("recording-written")
        return spans

    def rollback_recording(self) -> None:
        """Removes what was appended since `begin_recording`."""
        with files.reporting_disk_errors("writing a segment"):
            for column, rows in zip(self._columns, self._rollback_rows, strict=True):
                column.truncate(rows)
        self._stream_regions = []

    def seal(self) -> SealedSegment:
        """Makes the segment durable: syncs its files, renames the directory, syncs the parent."""
        with files.reporting_disk_errors("sealing a segment"):
            reach("segment-written")
            for column in self._columns:
                column.finish()
            others = {
                CHECKSUMS: self._write_checksums(),
                origins.FILE: self._write(origins.FILE, origins.encoded(self._origins), self.recordings),
            }
            manifest = json.dumps(self._manifest(others), indent=1).encode()
            files.write_durably(self._path / MANIFEST, manifest)
            reach("segment-synced")
            files.replace_durably(self._path, self._directory / self._name)
            reach("segment-renamed")
        return SealedSegment(
            name=self._name,
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            recordings=tuple(self._recordings),
            spans=tuple(self._spans),
            size=self.size + sum(entry["size"] for entry in others.values()) + len(manifest),
            layouts=tuple(self._layouts),
        )

    def abort(self) -> None:
        """Removes the segment, in whatever state it is."""
        for column in self._columns:
            column.close()
        files.remove(self._path)
        files.remove(self._directory / self._name)

    def _column(self, name: str, dtype: np.dtype[Any], *width: int) -> _ColumnFile:
        column = _ColumnFile(self._path / name, dtype, width)
        self._columns = (*self._columns, column)
        return column

    def _direction_column(self, name: str, width: int) -> _ColumnFile:
        rows = packed(np.zeros((0, width), np.float32))
        return self._column(name, rows.dtype, rows.shape[1])

    def _rows(self) -> tuple[int, ...]:
        return tuple(column.rows for column in self._columns)

    def _checked(self, section: Section, embeddings: SectionEmbeddings) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns vectors (N, D) and frames (F, H) of the section in stored form."""
        expected = (len(section.spans), self._encoder.dimension)
        if embeddings.vectors.shape != expected:
            raise ValueError(f"vectors must have the shape {expected}, got {embeddings.vectors.shape}")
        step, width = self._encoder.ticks_per_frame, self._encoder.frame_dimension
        shapes = [(-(-region.ticks // step), width) for region in section.regions]
        if [frames.shape for frames in embeddings.frames] != shapes:
            raise ValueError(
                f"frames must have the shapes {shapes}, got {[frames.shape for frames in embeddings.frames]}"
            )
        if (np.diff(section.spans[:, 0]) < 0).any():
            raise ValueError("spans must be in the order of their regions")
        longest = max((region.ticks for region in section.regions), default=0)
        if longest > MAX_REGION_TICKS:
            raise ValueError(f"regions must be at most {MAX_REGION_TICKS} ticks long, got {longest}")
        frames = np.concatenate([np.zeros((0, width), dtype=np.float32), *embeddings.frames])
        if not (np.isfinite(embeddings.vectors).all() and np.isfinite(frames).all()):
            raise InvalidInput(f"encoder {self._encoder.name!r} returned numbers that are not finite")
        return packed(embeddings.vectors), packed(frames)

    def _write_checksums(self) -> dict[str, Any]:
        """Writes the checksums of all blocks and returns the manifest's entry of their file."""
        checksums = np.array([c for name in FILES for c in _file_checksums(self._path / name)], dtype="<u4")
        buffer = io.BytesIO()
        np.save(buffer, checksums, allow_pickle=False)
        return self._write(CHECKSUMS, buffer.getvalue(), len(checksums))

    def _write(self, name: str, data: bytes, rows: int) -> dict[str, Any]:
        """Writes a file and returns its entry of the manifest."""
        files.write_durably(self._path / name, data)
        return {"rows": rows, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def _manifest(self, others: dict[str, Any]) -> dict[str, Any]:
        selection = (
            {} if self._selection == Selection() else {"selection": dataclasses.asdict(self._selection)}
        )
        return {
            "format": FORMAT,
            "encoder": dataclasses.asdict(self._encoder),
            **selection,
            "recordings": self._recordings,
            "files": {
                name: {
                    "rows": column.rows,
                    "size": column.size,
                    "sha256": files.sha256_of(self._path / name),
                }
                for name, column in zip(FILES, self._columns, strict=True)
            }
            | others,
        }


class _ColumnFile:
    """A .npy file that grows by rows; its header is completed by `finish`."""

    def __init__(self, path: Path, dtype: np.dtype[Any], width: tuple[int, ...]) -> None:
        self.rows = 0
        self._dtype = dtype
        self._width = width
        self._row_size = dtype.itemsize * int(np.prod(width, dtype=np.int64))
        self._file = permissions.open_private(path, "w+b")
        self._write_header()
        self._header_size = self._file.tell()

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._header_size + self.rows * self._row_size

    def append(self, rows: NDArray[Any]) -> None:
        """Appends rows."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).tobytes())
        self.rows += len(rows)

    def truncate(self, rows: int) -> None:
        """Removes all but the first rows."""
        self.rows = rows
        self._file.flush()
        self._file.truncate(self.size)
        self._file.seek(self.size)

    def finish(self) -> None:
        """Completes the header, syncs and closes the file."""
        self._file.seek(0)
        self._write_header()
        assert self._file.tell() == self._header_size
        files.sync_file(self._file)
        self._file.close()

    def close(self) -> None:
        """Closes an incomplete file."""
        # Closing flushes, which fails again on a full disk; the file is closed nevertheless.
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


def _file_checksums(path: Path) -> Iterator[int]:
    with path.open("rb") as file:
        while data := file.read(_BLOCKS_PER_READ * BLOCK_BYTES):
            yield from block_checksums(data)


def _repacked(rows: NDArray[Any]) -> NDArray[Any]:
    """Converts rows of either format to the current one."""
    return rows if rows.dtype == np.uint8 else packed(rows.astype(np.float32))


def _parts(rows: slice) -> Iterator[slice]:
    for first in range(rows.start, rows.stop, _ROWS_PER_BLOCK):
        yield slice(first, min(first + _ROWS_PER_BLOCK, rows.stop))
