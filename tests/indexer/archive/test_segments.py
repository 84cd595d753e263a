from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from wordspot.indexer import faults
from wordspot.indexer.archive import segment_writer
from wordspot.indexer.archive.segment_writer import SegmentWriter
from wordspot.indexer.archive.segments import FILES, SealedSegment, SegmentReader, verify
from wordspot.indexer.errors import DataLoss, Exhausted, InvalidInput
from wordspot.indexer.records import EncoderInfo, Region, Section, SectionEmbeddings
from wordspot.indexer.vectors.checked import BLOCK_BYTES
from wordspot.indexer.vectors.protocol import quantised, unpacked
from wordspot.indexer.vectors.stored import readable_rows

ENCODER = EncoderInfo("fake", "a" * 64, dimension=4, frame_dimension=2, ticks_per_frame=2)


def section(at: int, lengths: tuple[int, ...] = (31, 50)) -> Section:
    """Regions of these lengths, 10 ticks apart; two spans in each."""
    regions, start = [], at
    for ticks in lengths:
        regions.append(Region(start, start + ticks))
        start += ticks + 10
    spans = [row for number, ticks in enumerate(lengths) for row in ((number, 0, 20), (number, 5, ticks))]
    return Section(tuple(regions), np.array(spans, dtype=np.int32).reshape(-1, 3), start)


def embedded(part: Section, value: float) -> SectionEmbeddings:
    frames = tuple(
        np.full((-(-region.ticks // ENCODER.ticks_per_frame), 2), value, dtype=np.float32)
        for region in part.regions
    )
    vectors = np.full((len(part.spans), 4), value, dtype=np.float32)
    vectors[:, 1] = 1.0
    return SectionEmbeddings(vectors, tuple(rows * np.float32([1.0, 0.5]) for rows in frames))


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
    with pytest.raises(ValueError, match="must be of encoder"):
        other.copy(open_sealed(tmp_path, sealed), 0)
    other.abort()


def test_arrays_that_do_not_fit_the_section_are_refused(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    writer.begin_recording()
    part, whole = section(0), embedded(section(0), 1.0)
    with pytest.raises(ValueError, match=r"got \(3, 4\)"):
        writer.append(part, SectionEmbeddings(whole.vectors[:-1], whole.frames))
    with pytest.raises(ValueError, match=r"shapes \[\(16, 2\), \(25, 2\)\], got"):
        writer.append(part, SectionEmbeddings(whole.vectors, (whole.frames[0], whole.frames[1][:-1])))
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
    with pytest.raises(ValueError, match="at most 65535 ticks long, got 65536"):
        writer.append(endless, embedded(endless, 1.0))
    writer.abort()


def test_a_segment_of_the_former_format_is_refused(tmp_path: Path, sealed: SealedSegment) -> None:
    path = tmp_path / sealed.name / "manifest.json"
    former = json.dumps(json.loads(path.read_bytes()) | {"format": 1}).encode()
    path.write_bytes(former)
    with pytest.raises(DataLoss, match="of format 1; this version reads 2, 3 and 4: index it again"):
        SegmentReader.open(path.parent, hashlib.sha256(former).hexdigest())


def test_segments_of_a_byte_a_number_are_read_and_copied_as_packed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = EncoderInfo("wide", "c" * 64, dimension=32, frame_dimension=16, ticks_per_frame=2)
    part = section(0, (40,))
    rng = np.random.default_rng(3)
    heard = SectionEmbeddings(
        rng.normal(size=(2, 32)).astype(np.float32), (rng.normal(size=(20, 16)).astype(np.float32),)
    )

    def written() -> SealedSegment:
        writer = SegmentWriter(tmp_path, wide)
        writer.begin_recording()
        writer.append(part, heard)
        writer.end_recording("one")
        return writer.seal()

    with monkeypatch.context() as former:
        former.setattr(segment_writer, "packed", quantised)
        former.setattr(segment_writer, "FORMAT", 2)
        old = open_sealed(tmp_path, written())
    new = open_sealed(tmp_path, written())
    assert (old.vectors.dtype, old.frames.dtype) == (np.int8, np.int8)
    assert (new.vectors.shape, new.frames.shape) == ((2, 16), (20, 8))
    copy = SegmentWriter(tmp_path, wide)
    copy.copy(old, 0)
    copied = open_sealed(tmp_path, copy.seal())
    for ours, theirs in ((copied.vectors, new.vectors), (copied.frames, new.frames)):
        assert ours.dtype == np.uint8
        # Rounded to 127 steps on the way, a number may fall on the other side of a half.
        assert np.abs(unpacked(ours[:]).astype(int) - unpacked(theirs[:])).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    writer = SegmentWriter(tmp_path, ENCODER)
    writer.begin_recording()
    with pytest.raises(InvalidInput, match="'fake' returned numbers that are not finite"):
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


@pytest.mark.parametrize("name", [*FILES, "checksums.npy", "manifest.json"])
def test_a_damaged_segment_is_recognised(tmp_path: Path, sealed: SealedSegment, name: str) -> None:
    path = tmp_path / sealed.name
    original = (path / name).read_bytes()

    (path / name).write_bytes(original[:-2])
    with pytest.raises(DataLoss, match=rf"^segment {sealed.name}: {name} has"):
        open_sealed(tmp_path, sealed)

    (path / name).write_bytes(original[:-2] + bytes([original[-2] ^ 1]) + original[-1:])
    with pytest.raises(DataLoss, match=rf"^segment {sealed.name}: {name} has SHA-256"):
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
        open_sealed(tmp_path, sealed).vectors[:][0, 0] = 1


DAMAGES = 20


@pytest.fixture
def large(tmp_path: Path) -> SealedSegment:
    """Several blocks of vectors and of frames, of random numbers."""
    encoder = EncoderInfo("large", "d" * 64, dimension=100, frame_dimension=50, ticks_per_frame=2)
    rng = np.random.default_rng(5)
    writer = SegmentWriter(tmp_path, encoder)
    part = section(0, (4_000,) * 2)
    part = Section(
        part.regions, np.array([(n, at, at + 26) for n in (0, 1) for at in range(0, 3_900, 4)]), part.stop
    )
    writer.begin_recording()
    writer.append(
        part,
        SectionEmbeddings(
            rng.normal(size=(len(part.spans), 100)).astype(np.float32),
            tuple(rng.normal(size=(2_000, 50)).astype(np.float32) for _ in part.regions),
        ),
    )
    writer.end_recording("one")
    return writer.seal()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns the data with a bit flipped, a stretch zeroed or overwritten, or an end cut off."""
    at = int(rng.integers(len(data)))
    length = int(rng.integers(1, 4_097))
    match rng.integers(4):
        case 0:
            changed = data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
        case 1:
            changed = data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
        case 2:
            changed = data[:at] + rng.bytes(len(data[at : at + length])) + data[at + length :]
        case _:
            changed = data[:at]
    return changed if changed != data else data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def read_against(whole: Sequence[np.ndarray], opened: Callable[..., SegmentReader], *place: object) -> None:
    """Compares all rows, a few at a time in steps, with those before the damage."""
    reader = opened(*place)
    for rows, expected in zip((reader.vectors, reader.frames), whole, strict=True):
        for row in range(0, len(rows), 3):
            np.testing.assert_array_equal(rows[row : row + 3], expected[row : row + 3])


@pytest.mark.parametrize("name", [*FILES, "checksums.npy", "manifest.json"])
def test_no_damage_is_ever_read(tmp_path: Path, large: SealedSegment, name: str) -> None:
    path = tmp_path / large.name / name
    original = path.read_bytes()
    whole = [np.array(getattr(open_sealed(tmp_path, large), column)) for column in ("vectors", "frames")]
    assert [len(rows) * rows.shape[1] > 2 * BLOCK_BYTES for rows in whole] == [True, True]
    rng = np.random.default_rng(sorted([*FILES, "checksums.npy", "manifest.json"]).index(name))
    for _ in range(DAMAGES):
        path.write_bytes(damaged(original, rng))
        with pytest.raises(DataLoss, match=f"^segment {large.name}"):
            verify(path.parent, large.manifest_sha256)
        problems: list[str] = []
        with pytest.raises(DataLoss, match=f"^segment {large.name}") as error:
            read_against(whole, SegmentReader.open, path.parent, large.manifest_sha256, problems.append)
        assert str(tmp_path) not in str(error.value)
        assert problems in ([], [str(error.value)])
    path.write_bytes(original)
    verify(path.parent, large.manifest_sha256)


def test_only_the_blocks_that_are_read_are_checked(tmp_path: Path, large: SealedSegment) -> None:
    path = tmp_path / large.name / "frames.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    frames = open_sealed(tmp_path, large).frames
    assert frames[:100].shape == (100, 50)
    assert frames[np.array([7, 3])].shape == (2, 50)
    assert readable_rows(frames, np.array([0, 90]), np.array([50, 99]))[90:99].shape == (9, 50)
    last = len(frames) - 1
    for read in (
        lambda: frames[-1],
        lambda: frames[last - 5 :],
        lambda: frames[np.array([0, last])],
        lambda: frames[:, 0],
        lambda: frames[::2],
        lambda: np.array(frames),
        lambda: readable_rows(frames, np.array([0, last]), np.array([50, last + 1])),
    ):
        with pytest.raises(DataLoss, match=r"frames\.npy differs from its checksums"):
            read()


def test_a_segment_without_checksums_of_blocks_is_read_and_verified(
    tmp_path: Path, large: SealedSegment
) -> None:
    path = tmp_path / large.name
    manifest = json.loads((path / "manifest.json").read_bytes()) | {"format": 3}
    del manifest["files"]["checksums.npy"]
    former = json.dumps(manifest).encode()
    (path / "manifest.json").write_bytes(former)
    (path / "checksums.npy").unlink()
    sha256 = hashlib.sha256(former).hexdigest()
    assert SegmentReader.open(path, sha256).vectors[:3].shape == (3, 100)
    verify(path, sha256)
    for name in FILES:
        original = (path / name).read_bytes()
        (path / name).write_bytes(original[:-60] + b"\xff" * 30 + original[-30:])
        with pytest.raises(DataLoss, match=f"{name} has SHA-256"):
            verify(path, sha256)
        (path / name).write_bytes(original)
