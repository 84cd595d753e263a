from __future__ import annotations

from wordspot.models import teaching
from wordspot.models.train import RECIPES
from wordspot.services.commands.train import TAUGHT, Trainable


def test_the_command_line_offers_every_recipe() -> None:
    assert {member.value for member in Trainable} == {*RECIPES, *teaching.RECIPES}


def test_those_that_learn_from_data_sets_take_no_folder() -> None:
    assert {member.value for member in TAUGHT} == set(teaching.RECIPES)
