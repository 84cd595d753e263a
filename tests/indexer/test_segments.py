from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wordspot.indexer import faults
from wordspot.indexer.errors import DataLoss, Exhausted, InvalidInput
from wordspot.indexer.records import Embedded, EncoderInfo, Region, Section
from wordspot.indexer.segments import SealedSegment, SegmentReader, SegmentWriter, verify

ENCODER = EncoderInfo("fake", "a" * 64, dimension=4, frame_dimension=2, ticks_per_frame=2)


def section(at: int, lengths: tuple[int, ...] = (31, 50)) -> Section:
    """Regions of these lengths, 10 ticks apart; two spans in each."""
    regions, start = [], at
    for ticks in lengths:
        regions.append(Region(start, start + ticks))
        start += ticks + 10
    spans = [row for number, ticks in enumerate(lengths) for row in ((number, 0, 20), (number, 5, ticks))]
    return Section(tuple(regions), np.array(spans, dtype=np.int32).reshape(-1, 3), start)


def embedded(part: Section, value: float) -> Embedded:
    frames = tuple(
        np.full((-(-region.ticks // ENCODER.ticks_per_frame), 2), value, dtype=np.float32)
        for region in part.regions
    )
    vectors = np.full((len(part.spans), 4), value, dtype=np.float32)
    vectors[:, 1] = 1.0
    return Embedded(vectors, tuple(rows * np.float32([1.0, 0.5]) for rows in frames))


def write(writer: SegmentWriter, recording: str, value: float, *parts: Section) -> None:
    writer.begin_recording()
    for part in parts:
        writer.append(part, embedded(part, value))
    writer.end_recording(recording)


def open_sealed(directory: Path, sealed: SealedSegment) -> SegmentReader:
    return SegmentReader.open(directory / sealed.name, sealed.manifest_sha256)


@pytest.fixture
def sealed(tmp_path: Path) -> SealedSegment:
    """Two recordings with speech around a silent one."""
    writer = SegmentWriter(tmp_path, ENCODER)
    write(writer, "first", 0.25, section(0), section(200))
    write(writer, "silent", 0.0)
    write(writer, "last", 0.5, section(7, (21,)))
    return writer.seal()


def test_what_was_written_is_read(tmp_path: Path, sealed: SealedSegment) -> None:
    reader = open_sealed(tmp_path, sealed)
    assert sealed.recordings == reader.recordings == ("first", "silent", "last")
    assert sealed.spans == (8, 0, 2)
    assert reader.encoder == ENCODER
    assert reader.vectors.dtype == reader.frames.dtype == np.int8
    np.testing.assert_array_equal(reader.vectors[:, 0], [32] * 8 + [64] * 2)
    np.testing.assert_array_equal(reader.vectors[:, 1], [127] * 10)
    np.testing.assert_array_equal(reader.spans["start"], [0, 5] * 5)
    np.testing.assert_array_equal(reader.spans["length"], [20, 26, 20, 45, 20, 26, 20, 45, 20, 16])
    np.testing.assert_array_equal(reader.regions["recording"], [0, 0, 0, 0, 2])
    np.testing.assert_array_equal(reader.regions["start"], [0, 41, 200, 241, 7])
    np.testing.assert_array_equal(reader.regions["stop"], [31, 91, 231, 291, 28])
    np.testing.assert_array_equal(reader.regions["frame"], [0, 16, 41, 57, 82])
    np.testing.assert_array_equal(reader.regions["span"], [0, 2, 4, 6, 8])
    np.testing.assert_array_equal(reader.frames, [[127, 64]] * 93)
    assert reader.extent(0) == (slice(0, 8), slice(0, 4), slice(0, 82))
    assert reader.extent(1) == (slice(8, 8), slice(4, 4), slice(82, 82))
    assert reader.extent(2) == (slice(8, 10), slice(4, 5), slice(82, 93))
    verify(tmp_path / sealed.name, sealed.manifest_sha256)
    assert sealed.size == sum(path.stat().st_size for path in (tmp_path / sealed.name).iterdir())


def test_the_files_are_plain_numpy_arrays(tmp_path: Path, sealed: SealedSegment) -> None:
    path = tmp_path / sealed.name
    assert np.load(path / "vectors.npy").shape == (10, 4)
    assert np.load(path / "spans.npy").dtype.names == ("start", "length")
    manifest = json.loads((path / "manifest.json").read_bytes())
    assert manifest["encoder"]["hash"] == ENCODER.hash
    assert manifest["files"]["spans.npy"]["rows"] == 10


def test_a_segment_of_silence_can_be_opened(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    write(writer, "silent", 0.0)
    reader = open_sealed(tmp_path, writer.seal())
    assert reader.vectors.shape == (0, 4)
    assert reader.extent(0) == (slice(0, 0), slice(0, 0), slice(0, 0))


def test_a_recording_rolled_back_leaves_no_trace(tmp_path: Path) -> None:
    writer, plain = SegmentWriter(tmp_path, ENCODER), SegmentWriter(tmp_path, ENCODER)
    write(writer, "one", 0.25, section(0))
    size = writer.size
    writer.begin_recording()
    writer.append(section(0), embedded(section(0), 9.0))
    assert writer.size > size
    writer.rollback_recording()
    assert writer.size == size
    write(writer, "two", 0.5, section(30))
    write(plain, "one", 0.25, section(0))
    write(plain, "two", 0.5, section(30))
    assert writer.seal().manifest_sha256 == plain.seal().manifest_sha256


def test_copying_recordings_equals_writing_them(tmp_path: Path, sealed: SealedSegment) -> None:
    copy, plain = SegmentWriter(tmp_path, ENCODER), SegmentWriter(tmp_path, ENCODER)
    source = open_sealed(tmp_path, sealed)
    for ordinal in (2, 0, 1):
        copy.copy(source, ordinal)
    write(plain, "last", 0.5, section(7, (21,)))
    write(plain, "first", 0.25, section(0), section(200))
    write(plain, "silent", 0.0)
    assert copy.seal().manifest_sha256 == plain.seal().manifest_sha256


def test_a_segment_of_another_encoder_cannot_be_copied(tmp_path: Path, sealed: SealedSegment) -> None:
    other = SegmentWriter(tmp_path, EncoderInfo("other", "b" * 64, 4, 2, 2))
    with pytest.raises(ValueError, match="is of encoder"):
        other.copy(open_sealed(tmp_path, sealed), 0)
    other.abort()


def test_arrays_that_do_not_fit_the_section_are_refused(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    writer.begin_recording()
    part, whole = section(0), embedded(section(0), 1.0)
    with pytest.raises(ValueError, match=r"vectors of shape \(3, 4\)"):
        writer.append(part, Embedded(whole.vectors[:-1], whole.frames))
    with pytest.raises(ValueError, match=r"frames of shapes .*needs \[\(16, 2\), \(25, 2\)\]"):
        writer.append(part, Embedded(whole.vectors, (whole.frames[0], whole.frames[1][:-1])))
    writer.abort()


def test_a_span_is_stored_in_four_bytes(tmp_path: Path, sealed: SealedSegment) -> None:
    assert open_sealed(tmp_path, sealed).spans.itemsize == 4


def test_spans_out_of_the_order_of_regions_and_endless_regions_are_refused(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    writer.begin_recording()
    part = section(0)
    with pytest.raises(ValueError, match="order of their regions"):
        writer.append(Section(part.regions, part.spans[::-1].copy(), part.stop), embedded(part, 1.0))
    endless = section(0, (65_536,))
    with pytest.raises(ValueError, match="a region of 65536 ticks"):
        writer.append(endless, embedded(endless, 1.0))
    writer.abort()


def test_a_segment_of_the_former_format_is_refused(tmp_path: Path, sealed: SealedSegment) -> None:
    path = tmp_path / sealed.name / "manifest.json"
    former = json.dumps(json.loads(path.read_bytes()) | {"format": 1}).encode()
    path.write_bytes(former)
    with pytest.raises(DataLoss, match="of format 1; this version reads 2: index it again"):
        SegmentReader.open(path.parent, hashlib.sha256(former).hexdigest())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    writer.begin_recording()
    with pytest.raises(InvalidInput, match="'fake' yields numbers that are not finite"):
        writer.append(section(0), embedded(section(0), value))
    writer.abort()


def test_an_aborted_segment_leaves_no_files(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    write(writer, "one", 0.25, section(0))
    assert len(list(tmp_path.iterdir())) == 1
    writer.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("point", ["segment-written", "segment-synced", "segment-renamed"])
def test_a_full_disk_while_sealing_is_said_so_and_can_be_aborted(tmp_path: Path, point: str) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    write(writer, "one", 0.25, section(0))
    faults.arm(point, "enospc")
    with pytest.raises(Exhausted, match="no space left on the disk while sealing a segment"):
        writer.seal()
    faults.disarm()
    writer.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["vectors.npy", "spans.npy", "regions.npy", "frames.npy", "manifest.json"])
def test_a_damaged_segment_is_recognised(tmp_path: Path, sealed: SealedSegment, name: str) -> None:
    path = tmp_path / sealed.name
    original = (path / name).read_bytes()

    (path / name).write_bytes(original[:-2])
    with pytest.raises(DataLoss, match=str(path)):
        open_sealed(tmp_path, sealed)

    (path / name).write_bytes(original[:-2] + bytes([original[-2] ^ 1]) + original[-1:])
    with pytest.raises(DataLoss, match="has SHA-256"):
        verify(path, sealed.manifest_sha256)

    (path / name).unlink()
    with pytest.raises(DataLoss, match="missing"):
        open_sealed(tmp_path, sealed)


def test_a_missing_segment_is_recognised(tmp_path: Path, sealed: SealedSegment) -> None:
    shutil.rmtree(tmp_path / sealed.name)
    with pytest.raises(DataLoss, match="missing"):
        open_sealed(tmp_path, sealed)


def test_an_open_segment_outlives_its_files(tmp_path: Path, sealed: SealedSegment) -> None:
    reader = open_sealed(tmp_path, sealed)
    shutil.rmtree(tmp_path / sealed.name)
    assert reader.vectors[9, 0] == 64


def test_the_arrays_of_an_open_segment_cannot_be_written(tmp_path: Path, sealed: SealedSegment) -> None:
    with pytest.raises(ValueError, match="read-only"):
        open_sealed(tmp_path, sealed).vectors[0, 0] = 1
