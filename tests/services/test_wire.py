from __future__ import annotations

import struct

import numpy as np
import pytest

from wordspot.indexer.records import EncoderInfo
from wordspot.services import wire
from wordspot.services.errors import MalformedRequest
from wordspot.v1 import embedding_pb2


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


def test_what_is_known_of_an_encoder_comes_back_whole() -> None:
    info = EncoderInfo("one", "2" * 64, 3, frame_dimension=4, ticks_per_frame=5, semantic_dimensions=6)
    encoder = embedding_pb2.Encoder(**wire.from_encoder_info(info))
    sent = embedding_pb2.Encoder.FromString(encoder.SerializeToString())
    assert sent.meaning_dimension == 6
    assert wire.to_encoder_info(sent) == info


@pytest.mark.parametrize(
    ("pcm", "told"),
    [
        (b"123", "pcm must have a multiple of 4 bytes, got 3"),
        (struct.pack("<2f", 1.0, float("nan")), "finite samples, got nan"),
        (struct.pack("<f", float("-inf")), "finite samples, got -inf"),
    ],
)
def test_samples_that_are_none_are_refused(pcm: bytes, told: str) -> None:
    with pytest.raises(MalformedRequest, match=told):
        wire.to_samples(pcm, "pcm")


def test_part_of_a_span_is_refused() -> None:
    with pytest.raises(MalformedRequest, match="spans must have a multiple of 12 bytes, got 13"):
        wire.to_spans(bytes(13), "spans")
