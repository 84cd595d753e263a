from __future__ import annotations

import numpy as np
import pytest

from wordspot.indexer.search.draws import derived_keys, draw, keys_of

NAMES = [f"recording {number}" for number in range(200)]


def test_units_are_drawn_in_proportion_to_their_weights_and_anywhere_within() -> None:
    keys, weights = keys_of(NAMES[:4]), np.array([1, 2, 0, 5])
    unit, place = draw(keys, weights, 16_000)
    shares = np.bincount(unit, minlength=4) / len(unit)
    assert shares == pytest.approx(weights / weights.sum(), abs=0.015)
    for number in (0, 1, 3):
        spread = np.histogram(place[unit == number], bins=4, range=(0, 1))[0] / np.sum(unit == number)
        assert spread == pytest.approx([0.25] * 4, abs=0.05)


def test_a_unit_that_is_added_replaces_no_more_than_its_share_of_the_draws() -> None:
    keys = keys_of(NAMES)
    weights = np.random.default_rng(0).integers(50, 400, len(NAMES))
    before = set(zip(*(part.tolist() for part in draw(keys[1:], weights[1:], 128)), strict=True))
    after = {
        (unit - 1, place)
        for unit, place in zip(*(part.tolist() for part in draw(keys, weights, 128)), strict=True)
    }
    assert len(before & after) >= 128 - 5
    assert {unit for unit, _ in after - before} == {-1} or after == before


def test_the_order_of_units_does_not_matter() -> None:
    keys, weights = keys_of(NAMES), np.arange(1, len(NAMES) + 1)
    unit, place = draw(keys, weights, 50)
    turned, same = draw(keys[::-1], weights[::-1], 50)
    assert (len(NAMES) - 1 - turned).tolist() == unit.tolist()
    assert same.tolist() == place.tolist()


@pytest.mark.parametrize("units", [1, 2, 50])
def test_as_many_are_drawn_as_are_asked_for_however_few_units_there_are(units: int) -> None:
    unit, place = draw(keys_of(NAMES[:units]), np.full(units, 3), 4_096)
    assert len(unit) == len(place) == 4_096
    assert set(unit.tolist()) == set(range(units))


def test_nothing_is_drawn_where_nothing_has_weight() -> None:
    for weights in ([], [0, 0]):
        unit, place = draw(keys_of(NAMES[: len(weights)]), np.array(weights, dtype=np.int64), 10)
        assert len(unit) == len(place) == 0


def test_keys_follow_names_and_numbers_alone() -> None:
    keys = keys_of(NAMES)
    assert len(set(keys.tolist())) == len(NAMES)
    assert derived_keys(keys, 3).tolist() == derived_keys(keys, np.full(len(NAMES), 3)).tolist()
    assert not set(derived_keys(keys, 0).tolist()) & set(derived_keys(keys, 1).tolist())
