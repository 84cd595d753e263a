from __future__ import annotations

import struct

import numpy as np
import pytest

from wordspot.services import wire
from wordspot.services.errors import MalformedRequest


def test_samples_are_little_endian_floats() -> None:
    assert wire.to_samples(struct.pack("<2f", 0.5, -1.0), "pcm").tolist() == [0.5, -1.0]
    assert wire.from_floats(np.array([0.5, -1.0])) == struct.pack("<2f", 0.5, -1.0)


def test_spans_are_rows_of_three() -> None:
    spans = np.array([[0, 1, 20], [1, 0, 7]], np.int32)
    assert wire.from_spans(spans) == struct.pack("<6i", 0, 1, 20, 1, 0, 7)
    assert wire.to_spans(wire.from_spans(spans), "spans").tolist() == spans.tolist()
    assert wire.to_spans(b"", "spans").shape == (0, 3)


def test_rows_come_back_in_their_shape() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(wire.to_rows(wire.from_floats(rows), 4), rows)


@pytest.mark.parametrize(
    ("pcm", "told"),
    [
        (b"123", "pcm holds 3 bytes; a multiple of 4"),
        (struct.pack("<2f", 1.0, float("nan")), "a sample of nan"),
        (struct.pack("<f", float("-inf")), "a sample of -inf"),
    ],
)
def test_samples_that_are_none_are_refused(pcm: bytes, told: str) -> None:
    with pytest.raises(MalformedRequest, match=told):
        wire.to_samples(pcm, "pcm")


def test_part_of_a_span_is_refused() -> None:
    with pytest.raises(MalformedRequest, match="spans holds 13 bytes; a multiple of 12"):
        wire.to_spans(bytes(13), "spans")
