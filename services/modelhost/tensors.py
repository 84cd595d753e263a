"""Tensors as the Open Inference Protocol names and types them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wordspot.services.limits import MAX_EXAMPLES_PER_CALL

ANY = -1
DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "FP32": np.dtype("<f4"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT64": np.dtype("<u8"),
    "BOOL": np.dtype("?"),
    "BYTES": np.dtype(object),
}


@dataclass(frozen=True)
class TensorKind:
    """What a tensor of the Open Inference Protocol may be.

    name: of the tensor.
    datatype: one of DTYPES.
    shape: ANY where any size may come.
    rate: of sound, samples a second; None for what is no sound.
    max_rows: along the first axis.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    rate: int | None = None
    max_rows: int = MAX_EXAMPLES_PER_CALL


SEED, COUNT = TensorKind("seed", "UINT64", (1,)), TensorKind("count", "INT64", (1,))
