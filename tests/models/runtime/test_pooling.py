from __future__ import annotations

import numpy as np
import pytest
import torch

from wordspot.models.encoders import pooled as tensors
from wordspot.models.runtime.pooling import Projection, part_means, pooled, product


@pytest.fixture
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.standard_normal((size, 8)).astype(np.float32) for size in (40, 1, 7, 300)]


SPANS = np.array([[0, 0, 80], [0, 3, 4], [1, 0, 2], [1, 1, 2], [2, 0, 13], [3, 599, 600], [3, 100, 333]])


def test_part_means_are_those_of_torch(frames: list[np.ndarray]) -> None:
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(rows) for rows in frames], batch_first=True)
    region, start, stop = torch.from_numpy(SPANS).T
    expected = tensors.part_means(padded, region, start.double() / 2, stop.double() / 2, 3).numpy()
    shares = np.linspace(0, 1, 4)
    edges = (SPANS[:, 1:2] + (SPANS[:, 2:] - SPANS[:, 1:2]) * shares) / 2
    np.testing.assert_allclose(part_means(frames, SPANS[:, 0], edges), expected, atol=1e-4)


def test_vectors_are_of_unit_length_and_none_of_no_spans(frames: list[np.ndarray]) -> None:
    rng = np.random.default_rng(3)
    projection = Projection(
        rng.standard_normal((5, 24)).astype(np.float32), rng.standard_normal(5).astype(np.float32)
    )
    vectors = pooled(frames, SPANS, 3, projection, 2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert pooled(frames, SPANS[:0], 3, projection, 2).shape == (0, 5)


@pytest.mark.parametrize("rows", [0, 1, 20, 21, 22, 5_000])
def test_a_product_in_blocks_is_the_product(rows: int) -> None:
    rng = np.random.default_rng(rows)
    left, right = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, 192), (192, 64)))
    np.testing.assert_allclose(product(left, right), left @ right, rtol=1e-4, atol=1e-4)
