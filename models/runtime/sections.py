"""What encoders of spans take and give: sections of audio, one unit vector a span and frame features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import BadInput

Section = tuple[Sequence[NDArray[np.float32]], NDArray[np.int32]]
EmbeddedSection = tuple[NDArray[np.float32], list[NDArray[np.float32]]]

PADDED_TICKS = 30_000  # of regions and their padding, that run through a network at once


def buckets(lengths: Sequence[int]) -> list[list[int]]:
    """Returns the places of regions of like length together, so that little is padding and no bucket is
    large."""
    buckets: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not buckets or (len(buckets[-1]) + 1) * lengths[buckets[-1][0]] > PADDED_TICKS:
            buckets.append([])
        buckets[-1].append(i)
    return buckets


def check_spans(spans: NDArray[np.int32], lengths: Sequence[int]) -> None:
    """Raises BadInput unless every span lies in its region.

    spans: (N, 3) of region, start, stop in ticks. lengths: of the section's regions, in ticks.
    """
    if spans.ndim != 2 or spans.shape[1] != 3:
        raise BadInput(f"spans have shape {spans.shape}; (N, 3) of region, start, stop is allowed")
    if len(spans) == 0:
        return
    region, start, stop = spans.T
    if int(region.min()) < 0 or int(region.max()) >= len(lengths):
        raise BadInput(f"a span names region {int(region.max())}; the section has {len(lengths)}")
    longest = np.asarray(lengths)[region]
    wrong = np.flatnonzero((start < 0) | (stop <= start) | (stop > longest))
    if len(wrong):
        row = int(wrong[0])
        raise BadInput(
            f"span {row} is [{int(start[row])}, {int(stop[row])}) ticks; "
            f"0 <= start < stop <= {int(longest[row])} is allowed in its region"
        )
