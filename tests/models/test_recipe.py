from __future__ import annotations

import json
from dataclasses import replace

import pytest

from wordspot.models import recipe
from wordspot.models.recipe import RECIPES, Material, PictureRecipe, TrainedRecipe, find, load_recipes

load_recipes()
TRAINED = [name for name, one in RECIPES.items() if isinstance(one, TrainedRecipe)]


class NoData:
    def batch(self, step: int) -> object:
        raise AssertionError

    def validation(self) -> list[object]:
        return []


MATERIAL = Material(NoData(), {"sha256": "1"})


@pytest.mark.parametrize("name", TRAINED)
def test_a_recipes_provenance_is_json_and_holds_its_data(name: str) -> None:
    trained = find(name)
    assert isinstance(trained, TrainedRecipe)
    provenance = json.loads(json.dumps(trained.provenance(MATERIAL)))
    assert provenance["data"] == {"sha256": "1"}
    assert provenance["batch_size"] == trained.batch_size


def test_another_size_of_a_batch_source_or_data_is_another_provenance() -> None:
    digits = find("digits-vae")
    assert isinstance(digits, PictureRecipe)
    others = [
        replace(digits, batch_size=digits.batch_size + 1).provenance(MATERIAL),
        replace(digits, pictures="fashion").provenance(MATERIAL),
        digits.provenance(Material(NoData(), {"sha256": "2"})),
    ]
    assert all(other != digits.provenance(MATERIAL) for other in others)


def test_words_for_the_card_are_no_part_of_a_provenance() -> None:
    digits = find("digits-vae")
    assert isinstance(digits, PictureRecipe)
    described = replace(digits, description="something else", thresholds={})
    assert described.provenance(MATERIAL) == digits.provenance(MATERIAL)


def test_two_recipes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="digits-vae"):
        recipe.recipe(replace(find("digits-vae"), description="something else"))
