"""Consistent weighted sampling: random places of an archive that mostly remain when the archive changes.

Scores are normalised by random places. If these were drawn afresh for each state of an archive, adding one
recording would change all scores. Here every unit (a region, for example) has a Poisson process of its own,
with a rate in proportion to its weight and a seed that depends on the unit's key alone. The first arrivals of
all units together are a sample with replacement in which each unit is drawn in proportion to its weight.
Units that are added replace a share of about (added weight / total weight) of the places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
Doubles = NDArray[np.float64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def keys_of(names: Sequence[str]) -> Keys:
    """Returns keys (n,) that depend on the names alone."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def derived_keys(keys: Keys, numbers: Ints | int) -> Keys:
    """Returns keys (n,) derived from keys (n,) and numbers: SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        value = keys + (np.asarray(numbers).astype(np.uint64) + np.uint64(1)) * _STEP
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes: Keys = value ^ (value >> np.uint64(31))
    return hashes


def draw(keys: Keys, weights: Ints, count: int) -> tuple[Ints, Doubles]:
    """Draws units in proportion to their weights, with replacement.

    Args:
        keys: (n,).
        weights: (n,); a unit of weight 0 is never drawn.
        count: draws.

    Returns:
        Which units (count,) and where in each (count,), 0 to below 1, earliest arrival first; empty
        where no unit has weight.
    """
    unit = np.flatnonzero(weights > 0)
    time = np.zeros(len(unit))
    units, times, places = np.empty(0, np.int64), np.empty(0), np.empty(0)
    arrived = 0
    while len(unit):
        batch = max(1, 2 * count // len(unit))  # arrivals of each unit
        numbers = arrived + np.arange(batch)
        arrival_keys = derived_keys(np.repeat(keys[unit], batch), np.tile(numbers, len(unit))).reshape(
            -1, batch
        )
        intervals = -np.log1p(-_uniform(arrival_keys)) / weights[unit, None]
        intervals[:, 0] += time
        arrivals = np.cumsum(intervals, axis=1)  # (units, batch)
        units = np.append(units, np.repeat(unit, batch))
        times = np.append(times, arrivals)
        places = np.append(places, _uniform(derived_keys(arrival_keys.ravel(), 0)))
        arrived += batch
        time = arrivals[:, -1]
        if len(times) >= count:
            first = np.argpartition(times, count - 1)[:count]
            units, times, places = units[first], times[first], places[first]
            unit, time = unit[time < times.max()], time[time < times.max()]
    order = np.argsort(times, kind="stable")
    return units[order], places[order]


def _uniform(keys: Keys) -> Doubles:
    """Returns numbers of 0 to below 1, from the upper 53 bits of the keys."""
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53
