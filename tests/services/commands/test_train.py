from __future__ import annotations

from wordspot.models.train import RECIPES
from wordspot.services.commands.train import Trainable


def test_the_command_line_offers_every_recipe() -> None:
    assert {member.value for member in Trainable} == set(RECIPES)
